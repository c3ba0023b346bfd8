"""Faces and their emotions, drawn on the image: legible on 200 and on 8,000 pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_number, describe
from mien.errors import InputError
from mien.output import canvas as paint
from mien.output.palette import COLORS, PLAIN, RGB, text_on
from mien.results import Emotion, Face, ImageResult

__all__ = ["draw"]

_INK: RGB = (24, 24, 27)
_PANEL_ALPHA = 0.78
_SMALLEST_TEXT_PX = 8
_MOST_CHARTS = 4
"""With more faces than this, each gets a bar within its box: charts would hide the crowd."""

Rect = tuple[float, float, float, float]


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
    gets a bar along the lower edge of its box, parted like the distribution.  An unsure answer has a dashed box and a
    question mark; a face without emotion has a white box and nothing else.

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
    order = sorted((f for f in found if _visible(f.box, width, height)), key=lambda f: -f.width_px * f.height_px)
    boxes = [face.box for face in order]
    styles = [_style(face, width, height, factor) for face in order]
    for face, style in zip(order, styles, strict=True):
        _box(pixels, face, style)
    taken: list[Rect] = []
    for step in [_label] * labels + [_bars if len(order) <= _MOST_CHARTS else _strip] * bars:
        for at, (face, style) in enumerate(zip(order, styles, strict=True)):
            if face.emotion is not None:
                step(pixels, face, face.emotion, style, taken, boxes[:at] + boxes[at + 1 :])
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


def _visible(box: Rect, width: int, height: int) -> bool:
    return box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0


def _style(face: Face, width: int, height: int, factor: float) -> _Style:
    """Choose letter and line sizes: seen at the width of a screen, a letter is about as high as those around it."""
    middle = float(np.sqrt(width * height))
    largest = max(11.0, 5.0 + 0.017 * middle)
    smallest = max(9.0, 0.0095 * middle)
    size = min(largest, max(smallest, 0.16 * min(face.width_px, width)))
    line = min(max(1.25, size * 0.16), max(1.0, 0.08 * face.width_px))
    return _Style(max(_SMALLEST_TEXT_PX, round(size * factor)), line * factor)


def _color(face: Face) -> RGB:
    return PLAIN if face.emotion is None else COLORS[face.emotion.top]


def _box(pixels: NDArray[np.uint8], face: Face, style: _Style) -> None:
    unsure = face.emotion is not None and face.emotion.unsure
    radius = min(face.width_px, face.height_px) * 0.06 + style.line
    dash = 3.2 * style.line if unsure else 0.0
    # The dark rim keeps a light box visible on light ground.
    paint.outline(pixels, face.box, _INK, width=style.line * 1.9, radius=radius, alpha=0.45, dash=dash)
    paint.outline(pixels, face.box, _color(face), width=style.line, radius=radius, dash=dash)


# --- labels -----------------------------------------------------------------------------------------------------------


def _label(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, taken: list[Rect], others: list[Rect]
) -> None:
    height, width = pixels.shape[:2]
    fitted = _fit(emotion, style.text, width, height)
    if fitted is None:
        return
    words, size = fitted
    text_width, text_height = paint.text_size(words, size)
    pad_x, pad_y = size * 0.42, size * 0.14
    wide, high = text_width + 2 * pad_x, text_height + 2 * pad_y
    rect = _best_place(face.box, wide, high, style.line, (width, height), taken, others)
    taken.append(rect)
    color = _color(face)
    paint.fill(pixels, _grown(rect, style.line * 0.45), _INK, radius=size * 0.38, alpha=0.45)
    paint.fill(pixels, rect, color, radius=size * 0.32)
    paint.text(pixels, rect[0] + pad_x, rect[1] + pad_y, words, size, text_on(color))


def _fit(emotion: Emotion, size: int, width: int, height: int) -> tuple[str, int] | None:
    """Choose words and a letter size that fit into the image; None where not even the smallest do."""
    mark = "?" if emotion.unsure else ""
    name = f"{emotion.top}{mark}"
    for letters in range(size, _SMALLEST_TEXT_PX - 1, -1):
        for words in (f"{name} {100 * emotion.confidence:.0f}%", name):
            text_width, text_height = paint.text_size(words, letters)
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
    taken: list[Rect],
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
        cost = 8 * sum(_overlap(rect, other) for other in taken) + 2 * sum(_overlap(rect, other) for other in others)
        cost += _overlap(rect, box) + abs(inside_left - left) * high * 0.1
        if cost < least - 1e-6:
            best, least = rect, cost
    assert best is not None
    return best


def _overlap(a: Rect, b: Rect) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _grown(rect: Rect, by: float) -> Rect:
    return rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by


# --- distributions ----------------------------------------------------------------------------------------------------


def _bars(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, taken: list[Rect], others: list[Rect]
) -> None:
    rect = _panel_place(pixels, face, emotion, style, taken, others)
    if rect is None:
        _strip(pixels, face, emotion, style, taken, others)
    else:
        taken.append(rect)
        _panel(pixels, rect, emotion, style)


def _strip(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, taken: list[Rect], others: list[Rect]
) -> None:
    """Draw one bar along the lower edge, within the box, parted by the probabilities in the order of the label set."""
    del taken, others  # within its own box it is nobody's neighbor
    thick = max(2.0, style.text * 0.3)
    margin = style.line + 1 + min(face.width_px, face.height_px) * 0.03
    x1, x2 = face.box[0] + margin, face.box[2] - margin
    y2 = min(face.box[3], pixels.shape[0]) - margin
    if x2 - x1 < 8 or face.height_px < 4 * thick:
        return
    paint.fill(pixels, _grown((x1, y2 - thick, x2, y2), 1), _INK, radius=thick / 2, alpha=0.6)
    at = x1
    for name, probability in emotion.items():
        end = at + probability * (x2 - x1)
        paint.fill(pixels, (at, y2 - thick, end, y2), COLORS[name])
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
    size = max(_SMALLEST_TEXT_PX, round(style.text * 0.82))
    names = max(paint.text_size(name, size)[0] for name in emotion)
    return _Chart(size, size * 1.28, names, size * 4.2, size * 0.55)


def _panel_place(
    pixels: NDArray[np.uint8], face: Face, emotion: Emotion, style: _Style, taken: list[Rect], others: list[Rect]
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
        if inside and not any(_overlap(_grown(rect, 1), other) for other in (*taken, *others)):
            return rect
    return None


def _panel(pixels: NDArray[np.uint8], rect: Rect, emotion: Emotion, style: _Style) -> None:
    chart = _chart(emotion, style)
    paint.fill(pixels, rect, _INK, radius=style.radius * 1.4, alpha=_PANEL_ALPHA)
    y = rect[1] + chart.pad
    start = rect[0] + 2 * chart.pad + chart.names
    text_height = paint.text_size("happiness", chart.size)[1]
    for name, probability in emotion.items():
        ink = (255, 255, 255) if name == emotion.top else (205, 205, 210)
        name_width = paint.text_size(name, chart.size)[0]
        paint.text(pixels, start - chart.pad - name_width, y + (chart.row - text_height) / 2, name, chart.size, ink)
        thick = chart.row * 0.5
        top = y + (chart.row - thick) / 2
        paint.fill(pixels, (start, top, start + chart.bar, top + thick), (255, 255, 255), radius=thick / 3, alpha=0.16)
        if probability * chart.bar >= 0.25:
            end = start + probability * chart.bar
            paint.fill(pixels, (start, top, end, top + thick), COLORS[name], radius=thick / 3)
        y += chart.row
