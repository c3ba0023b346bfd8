"""Labels and charts that are drawn once and then laid over many frames."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.output import canvas as paint
from mien.output.draw import _INK, _PANEL_ALPHA, _SMALLEST_TEXT_PX
from mien.output.palette import COLORS, RGB, text_on

__all__ = ["Chart", "Sprite", "chart_of", "label_sprite", "lay"]

_WHITE: RGB = (255, 255, 255)
_FAINT: RGB = (205, 205, 210)


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A small image with transparency.

    Parameters
    ----------
    ink : numpy.ndarray
        uint8 (h, w, 3): its colors times how much they cover.
    through : numpy.ndarray
        uint8 (h, w, 3): how much of the ground is seen through, 255 where nothing was drawn.
    """

    ink: NDArray[np.uint8]
    through: NDArray[np.uint8]

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.ink.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.ink.shape[0])


def lay(image: NDArray[np.uint8], sprite: Sprite, left: int, top: int) -> None:
    """Lay a sprite over an image; what lies outside is cut off."""
    height, width = image.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + sprite.width, width), min(top + sprite.height, height)
    if x2 <= x1 or y2 <= y1:
        return
    ground = image[y1:y2, x1:x2]
    part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    seen = cv2.multiply(ground, np.ascontiguousarray(sprite.through[part]), scale=1 / 255)
    np.copyto(ground, cv2.add(seen, np.ascontiguousarray(sprite.ink[part])))


def _sprite(width: int, height: int, draw: Callable[[NDArray[np.uint8]], None]) -> Sprite:
    """Find colors and transparency from what a drawing looks like on black and on white."""
    black = np.zeros((height, width, 3), np.uint8)
    white = np.full((height, width, 3), 255, np.uint8)
    draw(black)
    draw(white)
    return Sprite(black, np.asarray(cv2.subtract(white, black), np.uint8))


@functools.lru_cache(maxsize=128)
def label_sprite(number: int, words: str, color: RGB, size: int, line: float) -> Sprite:
    """Return a label: the person's number on dark ground, and words on the color of the emotion.

    `words` are the emotion and, after a line break, its share in per cent.  The share stands in a field as wide as the
    widest, so that the label's width does not change with it.
    """
    name, _, share = words.partition("\n")
    digits = str(number)
    pad_x, pad_y = size * 0.42, size * 0.14
    badge = paint.text_size(digits, size)[0] + 2 * pad_x
    name_width, text_height = paint.text_size(name, size)
    field = paint.text_size(" 100%", size)[0] if share else 0.0
    rim = line * 0.45
    wide, high = badge + name_width + field + 2 * pad_x, text_height + 2 * pad_y

    def draw(canvas: NDArray[np.uint8]) -> None:
        outer = (0.0, 0.0, wide + 2 * rim, high + 2 * rim)
        paint.fill(canvas, outer, _INK, radius=size * 0.38, alpha=0.45)
        inner = (rim, rim, rim + wide, rim + high)
        paint.fill(canvas, inner, _INK, radius=size * 0.32)
        # The badge keeps its round corners on the left, the rest those on the right.
        paint.fill(canvas, (rim + badge, *inner[1:]), color, radius=size * 0.32)
        paint.fill(canvas, (rim + badge, inner[1], rim + badge + size * 0.4, inner[3]), color)
        paint.text(canvas, rim + pad_x, rim + pad_y, digits, size, _WHITE)
        ink = text_on(color)
        paint.text(canvas, rim + badge + pad_x, rim + pad_y, name, size, ink)
        if share:
            left = rim + wide - pad_x - paint.text_size(share, size)[0]
            paint.text(canvas, left, rim + pad_y, share, size, ink)

    return _sprite(int(np.ceil(wide + 2 * rim)), int(np.ceil(high + 2 * rim)), draw)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a distribution without its bars, and where they go.

    Parameters
    ----------
    sprite : Sprite
        The ground, names and empty bars.
    left, width : float
        Where the bars begin within it, and how long a full one is.
    tops : tuple of float
        The upper edge of each.
    thick : float
        Their height.
    """

    sprite: Sprite
    left: float
    width: float
    tops: tuple[float, ...]
    thick: float

    def draw(
        self, image: NDArray[np.uint8], left: int, top: int, emotions: tuple[str, ...], shares: list[float]
    ) -> None:
        """Lay the chart over an image, with its bars."""
        lay(image, self.sprite, left, top)
        x = left + self.left
        for name, y, share in zip(emotions, self.tops, shares, strict=True):
            if share * self.width >= 0.25:
                bar = (x, top + y, x + share * self.width, top + y + self.thick)
                paint.fill(image, bar, COLORS[name], radius=self.thick / 3)


@functools.lru_cache(maxsize=32)
def chart_of(emotions: tuple[str, ...], top: str, text: int) -> Chart:
    """Return the chart for these emotions beside a label with letters of `text` pixels; `top` is written in white."""
    size = max(_SMALLEST_TEXT_PX, round(text * 0.82))
    row, bar, pad = float(round(size * 1.28)), size * 4.2, size * 0.55
    names = max(paint.text_size(name, size)[0] for name in emotions)
    text_height = paint.text_size("happiness", size)[1]
    start = 2 * pad + names
    width, height = names + bar + 3 * pad, row * len(emotions) + 2 * pad
    thick = float(max(2, round(row * 0.5)))
    tops = tuple(float(round(pad + k * row + (row - thick) / 2)) for k in range(len(emotions)))

    def draw(canvas: NDArray[np.uint8]) -> None:
        paint.fill(canvas, (0, 0, width, height), _INK, radius=text * 0.5, alpha=_PANEL_ALPHA)
        for k, name in enumerate(emotions):
            ink = _WHITE if name == top else _FAINT
            left = start - pad - paint.text_size(name, size)[0]
            paint.text(canvas, left, pad + k * row + (row - text_height) / 2, name, size, ink)
            empty = (start, tops[k], start + bar, tops[k] + thick)
            paint.fill(canvas, empty, _WHITE, radius=thick / 3, alpha=0.16)

    return Chart(_sprite(int(np.ceil(width)), int(np.ceil(height)), draw), start, bar, tops, thick)
