"""What all drawings are made of: colors, anti-aliased shapes and text, and sprites that are drawn once and laid often.

Each emotion has one color everywhere, distinct with every common kind of color vision.  Shapes are drawn by their
distance field: a pixel is covered by how far its center lies inside the edge.  That gives smooth edges at fractional
positions, in a few numpy operations over just the pixels concerned.

References
----------
Seven colors are those of Okabe and Ito, "Color Universal Design" (2008, jfly.uni-koeln.de/color), and wine is from
Paul Tol's "muted" scheme (SRON/EPS/TN/09-002, 2021).  The gray of ``neutral`` is as light as it is because there its
smallest CIEDE2000 distance to the others is largest.  Under normal vision any two colors are at least 20 apart; with
protanopia, deuteranopia and tritanopia (Machado et al. 2009, doi:10.1109/TVCG.2009.113) at least 10.
"""

from __future__ import annotations

import colorsys
import functools
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = [
    "COLORS",
    "INK",
    "PLAIN",
    "RGB",
    "WHITE",
    "Rect",
    "Sprite",
    "contrast",
    "fill",
    "lay",
    "luminance",
    "make_sprite",
    "outline",
    "text",
    "text_on",
    "text_size",
    "to_hex",
]

RGB = tuple[int, int, int]
"""Red, green, blue, each 0 to 255, sRGB."""


class _Colors(dict[str, RGB]):
    """Colors by emotion; words that mien does not know have one by their letters, always the same."""

    def __missing__(self, emotion: str) -> RGB:
        hue = zlib.crc32(emotion.encode()) % 360
        red, green, blue = colorsys.hls_to_rgb(hue / 360, 0.65, 0.5)
        return round(255 * red), round(255 * green), round(255 * blue)


COLORS: dict[str, RGB] = _Colors(
    {
        "anger": (0xD5, 0x5E, 0x00),  # vermillion
        "disgust": (0x00, 0x9E, 0x73),  # bluish green
        "fear": (0xCC, 0x79, 0xA7),  # reddish purple
        "happiness": (0xF0, 0xE4, 0x42),  # yellow
        "sadness": (0x00, 0x72, 0xB2),  # blue
        "surprise": (0xE6, 0x9F, 0x00),  # orange
        "neutral": (0xBB, 0xBB, 0xBB),  # gray
        "contempt": (0x88, 0x22, 0x55),  # wine
        "calm": (0x56, 0xB4, 0xE9),  # sky blue
    }
)
"""The color of each emotion that mien knows."""

PLAIN: RGB = (255, 255, 255)
"""The color of a face without an emotion."""

INK: RGB = (24, 24, 27)
"""The dark ground of labels and charts."""

WHITE: RGB = (255, 255, 255)

Rect = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""


def luminance(color: RGB) -> float:
    """Return the relative luminance of a color, 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: RGB, second: RGB) -> float:
    """Return the contrast ratio of two colors, 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def text_on(color: RGB) -> RGB:
    """Return black or white, whichever reads better on a color; the contrast is always 4.5 or more (WCAG level AA)."""
    black, white = (0, 0, 0), (255, 255, 255)
    return black if contrast(black, color) >= contrast(white, color) else white


def to_hex(color: RGB) -> str:
    """Return a color as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


# --- shapes ---------------------------------------------------------------------------------------------------------


def _blend(canvas: NDArray[np.uint8], left: int, top: int, cover: NDArray[np.float32], color: RGB) -> None:
    """Mix a color into the canvas by coverage (0 to 1), whose upper left corner lies at (left, top) within it."""
    height, width = cover.shape
    region = canvas[top : top + height, left : left + width]
    mixed = region + cover[..., None] * (np.array(color, dtype=np.float32) - region)
    np.copyto(region, (mixed + 0.5).astype(np.uint8))


def _window(canvas: NDArray[np.uint8], rect: Rect) -> tuple[int, int, int, int]:
    """Return the whole pixels that a rectangle touches, within the canvas."""
    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = rect
    left, top = min(max(math.floor(x1), 0), width), min(max(math.floor(y1), 0), height)
    return left, top, min(max(math.ceil(x2), left), width), min(max(math.ceil(y2), top), height)


def _distance(window: tuple[int, int, int, int], rect: Rect, radius: float) -> NDArray[np.float32]:
    """Return the signed distance of pixel centers to a rounded rectangle, negative inside.

    References
    ----------
    The rounded box of Inigo Quilez, "2D distance functions", iquilezles.org/articles/distfunctions2d.
    """
    left, top, right, bottom = window
    x1, y1, x2, y2 = rect
    x = np.abs(np.arange(left, right, dtype=np.float32) + np.float32(0.5 - (x1 + x2) / 2)) - np.float32(
        (x2 - x1) / 2 - radius
    )
    y = np.abs(np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - (y1 + y2) / 2)) - np.float32(
        (y2 - y1) / 2 - radius
    )
    inside = np.minimum(np.maximum(x[None, :], y[:, None]), 0)
    outside = np.hypot(np.maximum(x, 0)[None, :], np.maximum(y, 0)[:, None])
    distance: NDArray[np.float32] = inside + outside - np.float32(radius)
    return distance


def fill(canvas: NDArray[np.uint8], rect: Rect, color: RGB, *, radius: float = 0.0, alpha: float = 1.0) -> None:
    """Fill a rounded rectangle."""
    left, top, right, bottom = window = _window(canvas, rect)
    if right <= left or bottom <= top:
        return
    radius = max(0.0, min(radius, (rect[2] - rect[0]) / 2, (rect[3] - rect[1]) / 2))
    cover = np.clip(0.5 - _distance(window, rect, radius), 0, 1) * np.float32(alpha)
    _blend(canvas, left, top, cover, color)


def outline(
    canvas: NDArray[np.uint8],
    rect: Rect,
    color: RGB,
    *,
    width: float,
    radius: float,
    alpha: float = 1.0,
    dash: float = 0.0,
) -> None:
    """Draw the outline of a rounded rectangle, its line centered on the edge.

    With `dash` > 0 the straight sides are dashed (about that many pixels on, as many off), while the corners stay
    whole; the dashes are fitted to each side, so that both of its ends look alike.
    """
    radius = max(0.0, min(radius, (rect[2] - rect[0]) / 2, (rect[3] - rect[1]) / 2))
    band = width / 2 + 1 + radius
    for part in _bands(rect, width / 2 + 1, band):
        left, top, right, bottom = window = _window(canvas, part)
        if right <= left or bottom <= top:
            continue
        cover = np.clip(np.float32(width / 2 + 0.5) - np.abs(_distance(window, rect, radius)), 0, 1)
        if dash > 0:
            across = _dashes(left, right, rect[0], rect[2], radius, dash)[None, :]
            down = _dashes(top, bottom, rect[1], rect[3], radius, dash)[:, None]
            horizontal = _near_end(top, bottom, rect[1], rect[3], band)[:, None]
            vertical = _near_end(left, right, rect[0], rect[2], band)[None, :]
            cover = cover * np.maximum(across * horizontal, down * vertical)
        _blend(canvas, left, top, (cover * np.float32(alpha)).astype(np.float32), color)


def _bands(rect: Rect, reach: float, band: float) -> list[Rect]:
    """Return four rectangles that hold the outline and do not overlap: the inside of a large box stays untouched."""
    x1, y1, x2, y2 = rect[0] - reach, rect[1] - reach, rect[2] + reach, rect[3] + reach
    top = int(np.floor(min(rect[1] + band, y2)))
    bottom = max(top, int(np.floor(rect[3] - band)))
    left = int(np.floor(min(rect[0] + band, x2)))
    right = max(left, int(np.floor(rect[2] - band)))
    return [(x1, y1, x2, top), (x1, bottom, x2, y2), (x1, top, left, bottom), (right, top, x2, bottom)]


def _near_end(start: int, stop: int, low: float, high: float, band: float) -> NDArray[np.float32]:
    """Return 1 where a coordinate lies in the band along either end of a side, 0 between."""
    at = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    return ((at < low + band) | (at > high - band)).astype(np.float32)


def _dashes(start: int, stop: int, low: float, high: float, radius: float, dash: float) -> NDArray[np.float32]:
    """Return how much each pixel along a side is on: whole corners, and between them dashes that begin and end on."""
    at = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    length = high - low - 2 * radius
    periods = max(1, round(length / (2 * dash)))
    step = max(length, 1e-6) / periods
    # The distance to the middle of the nearest gap; a quarter period on either side of it is off.
    phase = np.abs((at - np.float32(low + radius)) / np.float32(step) % 1 - np.float32(0.5)) * np.float32(step)
    on = np.clip(phase - np.float32(step / 4) + np.float32(0.5), 0, 1)
    corner = (at < low + radius) | (at > high - radius)
    return np.where(corner, np.float32(1), on).astype(np.float32)


# --- text -----------------------------------------------------------------------------------------------------------

# Small letters are drawn four times as large and averaged: glyphs on whole pixels are badly spaced.
_FINE = 4
_SMALL_TEXT_PX = 40


@functools.lru_cache(maxsize=512)
def _glyphs(words: str, size: int) -> NDArray[np.float32]:
    """Return the coverage of a line of text, from its ascender to its descender."""
    from PIL import Image, ImageDraw

    fine = _FINE if size < _SMALL_TEXT_PX else 1
    width, height = (int(np.ceil(v)) for v in text_size(words, size))
    mask = Image.new("L", (max(1, width) * fine, max(1, height) * fine))
    ImageDraw.Draw(mask).text((0, 0), words, fill=255, font=_font(size * fine))
    cover = np.asarray(mask.reduce(fine) if fine > 1 else mask, dtype=np.float32) / np.float32(255)
    cover.flags.writeable = False
    return cover


@functools.lru_cache(maxsize=64)
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return font


@functools.lru_cache(maxsize=1024)
def text_size(words: str, size: int) -> tuple[float, float]:
    """Return the width and height in pixels of a line of text, from its ascender to its descender."""
    fine = _FINE if size < _SMALL_TEXT_PX else 1
    font = _font(size * fine)
    ascent, descent = font.getmetrics()
    return font.getlength(words) / fine, (ascent + descent) / fine


def text(canvas: NDArray[np.uint8], x: float, y: float, words: str, size: int, color: RGB) -> None:
    """Write a line of text with its upper left corner at (x, y); what lies outside the canvas is cut off."""
    cover = _glyphs(words, size)
    left, top = round(x), round(y)
    cut_left, cut_top = max(0, -left), max(0, -top)
    bottom, right = canvas.shape[0] - top, canvas.shape[1] - left
    cover = cover[cut_top : max(cut_top, bottom), cut_left : max(cut_left, right)]
    if cover.size:
        _blend(canvas, left + cut_left, top + cut_top, cover, color)


# --- sprites --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A small image with transparency.

    Parameters
    ----------
    ink : numpy.ndarray
        uint8 (h, w, 3): its colors times how much they cover.
    through : numpy.ndarray
        uint8 (h, w, 3): how much of the background shows through, 255 where nothing was drawn.
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
    import cv2

    height, width = image.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + sprite.width, width), min(top + sprite.height, height)
    if x2 <= x1 or y2 <= y1:
        return
    ground = image[y1:y2, x1:x2]
    part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    background = cv2.multiply(ground, np.ascontiguousarray(sprite.through[part]), scale=1 / 255)
    np.copyto(ground, cv2.add(background, np.ascontiguousarray(sprite.ink[part])))


def make_sprite(width: int, height: int, draw: Callable[[NDArray[np.uint8]], None]) -> Sprite:
    """Return what `draw` draws on an image, with its transparency: found from how it looks on black and on white."""
    import cv2

    black = np.zeros((height, width, 3), np.uint8)
    white = np.full((height, width, 3), 255, np.uint8)
    draw(black)
    draw(white)
    return Sprite(black, np.asarray(cv2.subtract(white, black), np.uint8))
