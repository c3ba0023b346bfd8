"""Images with their faces and emotions, and with maps of what the model looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_number, describe
from mien.errors import InputError
from mien.output.paint import Painter, Person
from mien.output.registry import Context, Result, Writer
from mien.output.write import write_image
from mien.results import Face, ImageResult, VideoFrame

if TYPE_CHECKING:
    from mien.face.explain import Explanation

__all__ = ["AnnotatedImageWriter", "draw", "heat"]


def draw(
    image: NDArray[Any],
    faces: ImageResult | Face | Iterable[Face],
    *,
    scale: float | None = None,
    bars: bool = True,
    labels: bool = True,
) -> NDArray[np.uint8]:
    """Draw boxes, labels and small charts of the distributions on a copy of an image.

    Lines and letters grow with the image and with the face.  An unsure prediction has a dashed box and a question
    mark; a face without emotion has a white box and nothing else.  For the rest see `mien.output.paint.Painter`.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB, or gray of shape (H, W); not modified.
    faces : ImageResult, Face, or iterable of Face
        What to draw, boxes in pixels of this image.
    scale : float, optional
        Makes letters and lines larger or smaller than the size chosen by itself, 0.25 to 4.
    bars, labels : bool
        Whether to draw the distributions and the words.

    Returns
    -------
    numpy.ndarray
        A new uint8 array of shape (H, W, 3), RGB.

    Raises
    ------
    InputError
        If the image is none, or the result belongs to an image of another size.
    """
    pixels = check_image(image).copy()
    height, width = pixels.shape[:2]
    found = _check_faces(faces, width, height)
    factor = 1.0 if scale is None else check_number(scale, "scale", low=0.25, high=4.0)
    painter = Painter(width, height, bars=bars, labels=labels, scale=factor)
    painter.paint(pixels, [_to_person(face) for face in found], 0.0)
    return pixels


def _to_person(face: Face) -> Person:
    emotion = face.emotion
    if emotion is None:
        return Person(None, face.box)
    return Person(None, face.box, emotion.labels, emotion.probabilities, emotion.top)


def _check_faces(faces: Any, width: int, height: int) -> Sequence[Face]:
    if isinstance(faces, ImageResult):
        if (faces.width, faces.height) != (width, height):
            raise InputError(
                f"the result belongs to an image of {faces.width} x {faces.height} pixels, "
                f"but the image has {width} x {height}"
            )
        return faces.faces
    several = faces if isinstance(faces, Iterable) and not isinstance(faces, Face) else (faces,)
    checked = tuple(several)
    for face in checked:
        if not isinstance(face, Face):
            raise InputError(f"faces must be an ImageResult or faces, but got {describe(face)}")
    return checked


class AnnotatedImageWriter(Writer):
    """Writes an image with its faces drawn on it; see `draw`."""

    def __init__(self, target: Path, context: Context) -> None:
        self._target, self._explain = target, context.explain
        self._image: NDArray[np.uint8] | None = None

    def add_image(self, image: NDArray[np.uint8], found: ImageResult | VideoFrame) -> None:
        """Keep the image until its result comes."""
        del found
        self._image = image

    def write(self, result: Result) -> None:
        """Draw the faces on the image, over maps where there are some.

        Raises
        ------
        InputError
            If the result is not that of an image, or there is no image.
        """
        if not isinstance(result, ImageResult) or self._image is None:
            raise InputError(f"a drawn image needs an image and an ImageResult, but got {describe(result)}")
        image = self._image if self._explain is None else self._explain(self._image, result.faces)
        write_image(self._target, draw(image, result))


# --- maps -----------------------------------------------------------------------------------------------------------

_MAP_CELLS = 192
"""Cells a side of the map that is warped: finer than the eye sees in so smooth a map."""

_FADE = 0.08
"""Share of the crop's side over which the map fades out, so that it has no hard edge."""


def heat(
    image: NDArray[Any], explanations: Explanation | Iterable[Explanation], *, strength: float = 0.65
) -> NDArray[np.uint8]:
    """Lay maps over a copy of an image: the brighter, the more a place spoke for the emotion.

    Each map is scaled by its own largest value, so that maps of different faces cannot be compared in strength; what
    spoke against the emotion is not shown.  Colors run from purple over orange to yellow (matplotlib's inferno, by
    Smith and van der Walt), which stay in order for every kind of color vision.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3), RGB, or gray (H, W): the image that the crops were cut from, or the crop itself where ready
        crops were explained.
    explanations : Explanation or iterable of Explanation
        What to lay over it.
    strength : float
        How much of the image the brightest place hides, 0 to 1.

    Returns
    -------
    numpy.ndarray
        A new uint8 array (H, W, 3), RGB.

    Raises
    ------
    InputError
        If the image is none, or an explanation is something else.
    """
    # Drawing boxes alone need not load the analyzer.
    from mien.face.explain import Explanation

    pixels = check_image(image).copy()
    part = check_number(strength, "strength", low=0, high=1)
    for explanation in [explanations] if isinstance(explanations, Explanation) else explanations:
        if not isinstance(explanation, Explanation):
            raise InputError(f"explanations must be what explain returns, but got {describe(explanation)}")
        _lay_map(pixels, explanation, part)
    return pixels


def _lay_map(pixels: NDArray[np.uint8], explanation: Explanation, strength: float) -> None:
    import cv2

    positive = np.maximum(explanation.on_crop(_MAP_CELLS), 0)
    if not positive.max() > 0:
        return
    values = (positive / positive.max()).astype(np.float32)
    fine, scale = _MAP_CELLS, explanation.size / _MAP_CELLS
    matrix = explanation.matrix @ np.diag([scale, scale, 1.0])  # from the fine map to the image
    corners = matrix @ np.array([[0, fine, 0, fine], [0, 0, fine, fine], [1, 1, 1, 1]], dtype=np.float64)
    height, width = pixels.shape[:2]
    left, top = (max(math.floor(v), 0) for v in corners.min(axis=1))
    right, bottom = (min(math.ceil(v), end) for v, end in zip(corners.max(axis=1), (width, height), strict=True))
    if right <= left or bottom <= top:
        return
    # From the middles of the region's pixels to those of the map's: both are half a pixel from the corner.
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    inverse[:, 2] += inverse[:, :2] @ [left + 0.5, top + 0.5] - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    both = np.dstack([values, _fade(_MAP_CELLS)])
    warped = cv2.warpAffine(both, inverse, (right - left, bottom - top), flags=flags)
    value, fade = warped[..., 0], warped[..., 1]
    colors = cv2.applyColorMap((64 + 191 * np.clip(value, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    cover = (strength * value * fade)[..., None]
    region = pixels[top:bottom, left:right]
    np.copyto(region, (region + cover * (colors.astype(np.float32) - region) + 0.5).astype(np.uint8))


def _fade(side: int) -> NDArray[np.float32]:
    """Return 1 inside and a linear fall to 0 at the edges, float32 (side, side)."""
    at = (np.arange(side) + 0.5) / side
    fall = np.clip(np.minimum(at, 1 - at) / _FADE, 0, 1)
    return np.minimum(fall[:, None], fall[None, :]).astype(np.float32)
