"""Short texts on dark ground that are laid over the image."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from mien.output import canvas
from mien.output.canvas import INK, RGB, WHITE, Sprite, lay, make_sprite

__all__ = ["RED", "WHITE", "chip", "letters", "place_chip"]

RED: RGB = (214, 48, 49)

_ALPHA = 0.82


def letters(width: int, height: int) -> int:
    """Return the height of letters for a window, in pixels: as high as those beside faces."""
    return max(10, min(48, round(4 + 0.0145 * math.sqrt(width * height))))


@functools.lru_cache(maxsize=64)
def chip(lines: tuple[str, ...], size: int, ink: RGB = WHITE, ground: RGB = INK) -> Sprite:
    """Return lines of text on a ground with round corners; a tab parts two columns."""
    cells = [line.split("\t") for line in lines]
    columns = max(len(row) for row in cells)
    gap, pad_x, pad_y = size * 1.2, size * 0.6, size * 0.35
    wide = [
        max((canvas.text_size(row[k], size)[0] for row in cells if k < len(row)), default=0) for k in range(columns)
    ]
    high = canvas.text_size("Mg", size)[1] * 1.15
    width = sum(wide) + gap * (columns - 1) + 2 * pad_x
    height = high * len(lines) + 2 * pad_y

    def draw(pixels: NDArray[np.uint8]) -> None:
        canvas.fill(pixels, (0, 0, width, height), ground, radius=size * 0.45, alpha=_ALPHA if ground == INK else 0.9)
        for at, row in enumerate(cells):
            for k, words in enumerate(row):
                left = pad_x + sum(wide[:k]) + gap * k
                canvas.text(pixels, left, pad_y + at * high, words, size, ink)

    return make_sprite(math.ceil(width), math.ceil(height), draw)


def place_chip(pixels: NDArray[np.uint8], sprite: Sprite, across: float, down: float, margin: int) -> None:
    """Lay a chip over the image: 0 is left or top, 0.5 the middle, 1 right or bottom."""
    height, width = pixels.shape[:2]
    left = margin + across * (width - sprite.width - 2 * margin)
    top = margin + down * (height - sprite.height - 2 * margin)
    lay(pixels, sprite, round(left), round(top))
