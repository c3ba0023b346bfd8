"""Maps of what a model looked at, laid over the faces of an image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_number, describe
from mien.errors import InputError

if TYPE_CHECKING:
    from mien.face.explain import Explanation

__all__ = ["heat"]

_FINE = 192  # cells a side of the map that is warped: finer than the eye sees in so smooth a map
_RIM = 0.08  # share of the crop's side over which the map fades out, so that it has no hard edge


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
    # Who draws boxes alone need not load what analyzes.
    from mien.face.explain import Explanation

    pixels = check_image(image).copy()
    part = check_number(strength, "strength", low=0, high=1)
    given = [explanations] if isinstance(explanations, Explanation) else list(explanations)
    for one in given:
        if not isinstance(one, Explanation):
            raise InputError(f"explanations must be what explain returns, but got {describe(one)}")
        _lay(pixels, one, part)
    return pixels


def _lay(pixels: NDArray[np.uint8], one: Explanation, strength: float) -> None:
    import cv2

    shown = np.maximum(one.on_crop(_FINE), 0)
    if not shown.max() > 0:
        return
    values = (shown / shown.max()).astype(np.float32)
    matrix = one.matrix @ np.diag([one.size / _FINE, one.size / _FINE, 1.0])  # from the fine map to the image
    corners = matrix @ np.array([[0, _FINE, 0, _FINE], [0, 0, _FINE, _FINE], [1, 1, 1, 1]], dtype=np.float64)
    height, width = pixels.shape[:2]
    left, top = (max(math.floor(v), 0) for v in corners.min(axis=1))
    right, bottom = (min(math.ceil(v), end) for v, end in zip(corners.max(axis=1), (width, height), strict=True))
    if right <= left or bottom <= top:
        return
    # From the middles of the region's pixels to those of the map's: both are half a pixel from the corner.
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    inverse[:, 2] += inverse[:, :2] @ [left + 0.5, top + 0.5] - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    both = np.dstack([values, _rim(_FINE)])
    warped = cv2.warpAffine(both, inverse, (right - left, bottom - top), flags=flags)
    value, rim = warped[..., 0], warped[..., 1]
    colors = cv2.applyColorMap((64 + 191 * np.clip(value, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    cover = (strength * value * rim)[..., None]
    region = pixels[top:bottom, left:right]
    np.copyto(region, (region + cover * (colors.astype(np.float32) - region) + 0.5).astype(np.uint8))


def _rim(side: int) -> NDArray[np.float32]:
    """Return 1 inside and a linear fall to 0 at the edges, float32 (side, side)."""
    at = (np.arange(side) + 0.5) / side
    fall = np.clip(np.minimum(at, 1 - at) / _RIM, 0, 1)
    return np.minimum(fall[:, None], fall[None, :]).astype(np.float32)
