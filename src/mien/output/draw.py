"""Faces with their emotions, and maps of what the model looked at, drawn on images of 200 to 8,000 pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_number, describe
from mien.errors import InputError
from mien.output import canvas
from mien.output.canvas import COLORS, INK, PLAIN, RGB, WHITE, Rect, text_on
from mien.output.registry import Context, Result, Writer
from mien.output.write import write_image
from mien.results import Emotion, Face, ImageResult, VideoFrame

if TYPE_CHECKING:
    from mien.face.explain import Explanation

__all__ = ["AnnotatedImageWriter", "draw", "heat"]

PANEL_ALPHA = 0.78
MIN_TEXT_PX = 8
FAINT: RGB = (205, 205, 210)
"""Names of emotions beside the leading one."""

MAX_CHARTS = 4
"""With more faces than this, each gets a bar within its box: charts would hide the crowd."""


@dataclass(frozen=True, slots=True)
class _Style:
    """Sizes in pixels for one face."""

    text: int
    line: float

    @property
    def pad(self) -> float:
        return self.text * 0.4

    @property
    def radius(self) -> float:
        return self.text * 0.35


def draw(
    image: NDArray[Any],
    faces: ImageResult | Face | Iterable[Face],
    *,
    scale: float | None = None,
    bars: bool = True,
    labels: bool = True,
) -> NDArray[np.uint8]:
    """Draw boxes, labels and small charts of the distributions on a copy of an image.

    Lines and letters grow with the image and with the face.  A label stays within the image and gets out of the way
    of other labels and faces where there is room.  A face beside which there is room gets a chart with names; any other
    gets a bar along the lower edge of its box, parted like the distribution.  An unsure prediction has a dashed box and
    a question mark; a face without emotion has a white box and nothing else.

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
    found = _faces(faces, width, height)
    factor = 1.0 if scale is None else check_number(scale, "scale", low=0.25, high=4.0)
    # Small faces last: their boxes and labels lie on top of the large ones.
    order = sorted((f for f in found if is_visible(f.box, width, height)), key=lambda f: -f.width_px * f.height_px)
    boxes = [face.box for face in order]
    styles = [_style(face, width, height, factor) for face in order]
    for face, style in zip(order, styles, strict=True):
        _box(pixels, face, style)
    occupied: list[Rect] = []
    for step in [_label] * labels + [_bars if len(order) <= MAX_CHARTS else _strip] * bars:
        for at, (face, style) in enumerate(zip(order, styles, strict=True)):
            if face.emotion is not None:
                step(pixels, face, face.emotion, style, occupied, boxes[:at] + boxes[at + 1 :])
    return pixels


def _faces(given: Any, width: int, height: int) -> Sequence[Face]:
    if isinstance(given, ImageResult):
        if (given.width, given.height) != (width, height):
            raise InputError(
                f"the result belongs to an image of {given.width} x {given.height} pixels, "
                f"but the image has {width} x {height}"
            )
        return given.faces
    if isinstance(given, Face):
        return (given,)
    faces = tuple(given) if isinstance(given, Iterable) else (given,)
    for face in faces:
        if not isinstance(face, Face):
            raise InputError(f"faces must be an ImageResult or faces, but got {describe(face)}")
    return faces


def is_visible(box: Rect, width: int, height: int) -> bool:
    return box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0


def letter_height(face_width: float, width: int, height: int) -> float:
    """Return the height of letters: on an image as wide as a screen, about that of the letters around it."""
    middle = math.sqrt(width * height)
    largest, smallest = max(11.0, 5.0 + 0.017 * middle), max(9.0, 0.0095 * middle)
    return min(largest, max(smallest, 0.16 * min(face_width, width)))


def line_width(text: float, face_width: float) -> float:
    """Return the width of lines beside letters of a height."""
    return min(max(1.25, text * 0.16), max(1.0, 0.08 * face_width))


def _style(face: Face, width: int, height: int, factor: float) -> _Style:
    size = letter_height(face.width_px, width, height)
    return _Style(max(MIN_TEXT_PX, round(size * factor)), line_width(size, face.width_px) * factor)


def _color(face: Face) -> RGB:
    return PLAIN if face.emotion is None else COLORS[face.emotion.top]


def _box(pixels: NDArray[np.uint8], face: Face, style: _Style) -> None:
    unsure = face.emotion is not None and face.emotion.unsure
    radius = min(face.width_px, face.height_px) * 0.06 + style.line
    dash = 3.2 * style.line if unsure else 0.0
    # The dark rim keeps a light box visible on light ground.
    canvas.outline(pixels, face.box, INK, width=style.line * 1.9, radius=radius, alpha=0.45, dash=dash)
    canvas.outline(pixels, face.box, _color(face), width=style.line, radius=radius, dash=dash)


# --- labels ---------------------------------------------------------------------------------------------------------


def _label(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, occupied: list[Rect], others: list[Rect]
) -> None:
    height, width = pixels.shape[:2]
    fitted = _fit(emotion, style.text, width, height)
    if fitted is None:
        return
    words, size = fitted
    text_width, text_height = canvas.text_size(words, size)
    pad_x, pad_y = size * 0.42, size * 0.14
    wide, high = text_width + 2 * pad_x, text_height + 2 * pad_y
    rect = _best_place(face.box, wide, high, style.line, (width, height), occupied, others)
    occupied.append(rect)
    color = _color(face)
    canvas.fill(pixels, grow(rect, style.line * 0.45), INK, radius=size * 0.38, alpha=0.45)
    canvas.fill(pixels, rect, color, radius=size * 0.32)
    canvas.text(pixels, rect[0] + pad_x, rect[1] + pad_y, words, size, text_on(color))


def _fit(emotion: Emotion, size: int, width: int, height: int) -> tuple[str, int] | None:
    """Choose words and a letter size that fit into the image; None where not even the smallest do."""
    mark = "?" if emotion.unsure else ""
    name = f"{emotion.top}{mark}"
    for letters in range(size, MIN_TEXT_PX - 1, -1):
        for words in (f"{name} {100 * emotion.confidence:.0f}%", name):
            text_width, text_height = canvas.text_size(words, letters)
            # Rather fewer words than smaller letters, once they are at nine tenths of the size.
            if (words == name or letters > 0.9 * size) and text_width + 0.84 * letters <= width:
                return (words, letters) if text_height + 0.28 * letters <= height else None
    return None


def _best_place(
    box: Rect,
    wide: float,
    high: float,
    line: float,
    size: tuple[int, int],
    occupied: list[Rect],
    others: list[Rect],
) -> Rect:
    """Try the places around a box, and take the first that hides least."""
    x1, y1, x2, y2 = box
    half = line / 2
    above, below = y1 - high - line, y2 + line
    candidates = [
        (x1 - half, above),
        (x2 + half - wide, above),
        (x1 - half, below),
        (x2 + half - wide, below),
        (x2 + line, y1 - half),
        (x1 - line - wide, y1 - half),
        (x1 - half, above - high * 1.15),
        (x1 - half, below + high * 1.15),
        (x1 + line, y1 + line),
        (x1 + line, y2 - high - line),
    ]
    best: Rect | None = None
    least = float("inf")
    for left, top in candidates:
        inside_left = min(max(left, 0.0), max(0.0, size[0] - wide))
        inside_top = min(max(top, 0.0), max(0.0, size[1] - high))
        rect = (inside_left, inside_top, inside_left + wide, inside_top + high)
        # Hiding a label is worst, then another face, then the own one.
        cost = 8 * sum(overlap(rect, other) for other in occupied) + 2 * sum(overlap(rect, other) for other in others)
        cost += overlap(rect, box) + abs(inside_left - left) * high * 0.1
        if cost < least - 1e-6:
            best, least = rect, cost
    assert best is not None
    return best


def overlap(a: Rect, b: Rect) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def grow(rect: Rect, by: float) -> Rect:
    return rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by


# --- distributions --------------------------------------------------------------------------------------------------


def _bars(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, occupied: list[Rect], others: list[Rect]
) -> None:
    rect = _panel_place(pixels, face, emotion, style, occupied, others)
    if rect is None:
        _strip(pixels, face, emotion, style, occupied, others)
    else:
        occupied.append(rect)
        _panel(pixels, rect, emotion, style)


def _strip(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, occupied: list[Rect], others: list[Rect]
) -> None:
    """Draw one bar along the lower edge, within the box, parted by the probabilities in the order of the label set."""
    del occupied, others  # within its own box it is nobody's neighbor
    thick = max(2.0, style.text * 0.3)
    margin = style.line + 1 + min(face.width_px, face.height_px) * 0.03
    x1, x2 = face.box[0] + margin, face.box[2] - margin
    y2 = min(face.box[3], pixels.shape[0]) - margin
    if x2 - x1 < 8 or face.height_px < 4 * thick:
        return
    canvas.fill(pixels, grow((x1, y2 - thick, x2, y2), 1), INK, radius=thick / 2, alpha=0.6)
    at = x1
    for name, probability in emotion.items():
        end = at + probability * (x2 - x1)
        canvas.fill(pixels, (at, y2 - thick, end, y2), COLORS[name])
        at = end


@dataclass(frozen=True, slots=True)
class _Chart:
    """The measures of a chart with names."""

    size: int
    row: float
    names: float
    bar: float
    pad: float

    @property
    def width(self) -> float:
        return self.names + self.bar + 3 * self.pad


def _chart(emotion: Emotion, style: _Style) -> _Chart:
    size = max(MIN_TEXT_PX, round(style.text * 0.82))
    names = max(canvas.text_size(name, size)[0] for name in emotion)
    return _Chart(size, size * 1.28, names, size * 4.2, size * 0.55)


def _panel_place(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, occupied: list[Rect], others: list[Rect]
) -> Rect | None:
    """Return where a chart with names hides nothing, or None."""
    chart = _chart(emotion, style)
    high = chart.row * len(emotion) + 2 * chart.pad
    if high > 1.6 * face.height_px:
        return None
    x1, y1, x2, y2 = face.box
    gap = style.line + style.pad
    height, width = pixels.shape[:2]
    top = min(max(y1, gap), height - high - gap)
    left = min(max(x1, gap), width - chart.width - gap)
    for x, y in ((x2 + gap, top), (x1 - gap - chart.width, top), (left, y2 + gap), (left, y1 - gap - high)):
        rect = (x, y, x + chart.width, y + high)
        inside = x >= 0 and y >= 0 and rect[2] <= width and rect[3] <= height
        if inside and not any(overlap(grow(rect, 1), other) for other in (*occupied, *others)):
            return rect
    return None


def _panel(pixels: NDArray[np.uint8], rect: Rect, emotion: Emotion, style: _Style) -> None:
    chart = _chart(emotion, style)
    canvas.fill(pixels, rect, INK, radius=style.radius * 1.4, alpha=PANEL_ALPHA)
    y = rect[1] + chart.pad
    start = rect[0] + 2 * chart.pad + chart.names
    text_height = canvas.text_size("happiness", chart.size)[1]
    for name, probability in emotion.items():
        ink = WHITE if name == emotion.top else FAINT
        name_width = canvas.text_size(name, chart.size)[0]
        canvas.text(pixels, start - chart.pad - name_width, y + (chart.row - text_height) / 2, name, chart.size, ink)
        thick = chart.row * 0.5
        top = y + (chart.row - thick) / 2
        canvas.fill(pixels, (start, top, start + chart.bar, top + thick), WHITE, radius=thick / 3, alpha=0.16)
        if probability * chart.bar >= 0.25:
            end = start + probability * chart.bar
            canvas.fill(pixels, (start, top, end, top + thick), COLORS[name], radius=thick / 3)
        y += chart.row


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
        """Draw the faces on the image, over maps where those are wanted.

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
