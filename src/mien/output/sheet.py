"""Many images on one: a contact sheet with captions, for looking at data, at augmentation and at mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer
from mien.errors import InputError
from mien.output import canvas
from mien.output.canvas import INK, RGB

__all__ = ["sheet"]

_PAPER = 250
_EMPTY: RGB = (236, 236, 238)
_QUIET: RGB = (82, 82, 91)  # 7:1 on the paper
_GAP = 8
_MARGIN = 16
_BESIDE = 12  # between a heading and the first image
_MAX_PIXELS = 100_000_000
"""A larger sheet (300 MB in memory) is a mistake: nobody looks at it."""


def sheet(
    images: Sequence[NDArray[Any] | None],
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    cell: int = 96,
    title: str | None = None,
    headings: Sequence[str] | None = None,
) -> NDArray[np.uint8]:
    """Lay out images of any size in rows and columns, each with a short caption below it.

    Every image is scaled as a whole to fit its square: by area when it shrinks, bicubically when it grows.  Letters
    are 12 pixels and more, so that the sheet is read at its own size; words that do not fit are cut with an ellipsis.

    Parameters
    ----------
    images : sequence of numpy.ndarray or None
        uint8 of shape (H, W, 3), RGB, or gray (H, W), in rows from the upper left; None leaves an empty square, so
        that rows may hold fewer images than there are columns.
    captions : sequence of str, optional
        One for each image, possibly empty; a line break begins another line.
    columns : int, optional
        Images in a row; by default a few more than rows.
    cell : int
        Side of the squares in pixels, 16 to 1024.
    title : str, optional
        A line above all.
    headings : sequence of str, optional
        One for each row, to its left.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    InputError
        If there is no image, one is wrong, the counts do not match, or the sheet would be larger than 100 megapixels.
    """
    if len(images) == 0:
        raise InputError("a sheet needs at least one image, but got none")
    side = check_integer(cell, "cell", low=16, high=1024)
    wide = math.ceil(math.sqrt(1.5 * len(images))) if columns is None else check_integer(columns, "columns", low=1)
    rows = math.ceil(len(images) / wide)
    names = _matching(headings, rows, "headings", "rows")
    words = [text.split("\n") for text in _matching(captions, len(images), "captions", "images")]
    size = max(12, min(16, side // 8))
    left = _heading_width(names, size + 2)
    line = math.ceil(canvas.text_size("Ag", size)[1])
    below = 4 + line * max((len(lines) for lines in words if lines != [""]), default=0)
    top = _MARGIN + (math.ceil(canvas.text_size("Ag", size + 6)[1]) + _GAP if title else 0)
    shape = (top + rows * (side + below + _GAP) - _GAP + _MARGIN, left + wide * (side + _GAP) - _GAP + _MARGIN)
    if shape[0] * shape[1] > _MAX_PIXELS:
        raise InputError(f"a sheet of {shape[1]} x {shape[0]} pixels is too large: take fewer images or a smaller cell")
    page = np.full((*shape, 3), _PAPER, dtype=np.uint8)
    if title:
        _write(page, _MARGIN, _MARGIN, title, size + 6, shape[1] - 2 * _MARGIN, INK)
    for row, name in enumerate(names):
        at = top + row * (side + below + _GAP) + (side - line) // 2
        _write(page, _MARGIN, at, name, size + 2, left - _MARGIN - _BESIDE, INK)
    for index, image in enumerate(images):
        x, y = left + index % wide * (side + _GAP), top + index // wide * (side + below + _GAP)
        _place(page[y : y + side, x : x + side], image, index)
        for number, text in enumerate(words[index]):
            _write(page, x, y + side + 2 + number * line, text, size, side, _QUIET)
    return page


def _matching(texts: Sequence[str] | None, count: int, name: str, what: str) -> list[str]:
    if texts is None:
        return [""] * count
    if isinstance(texts, str) or len(texts) != count:
        raise InputError(f"{name} must be one for each of the {count} {what}, but got {len(texts)}")
    return [str(text) for text in texts]


def _heading_width(names: Sequence[str], size: int) -> int:
    """Return where the images begin: behind the widest heading, but never further in than 20 letters reach."""
    widest = max(canvas.text_size(name, size)[0] for name in names)
    return _MARGIN + (math.ceil(min(widest, 10.0 * size)) + _BESIDE if widest else 0)


def _place(square: NDArray[np.uint8], image: NDArray[Any] | None, index: int) -> None:
    """Put an image into the middle of a square, as large as it fits."""
    side = len(square)
    if image is None:
        square[:] = _EMPTY
        return
    pixels = check_image(image, f"images[{index}]")
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale != 1:
        to = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, to, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.uint8)
    height, width = pixels.shape[:2]
    square[:] = _EMPTY
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = pixels


def _write(page: NDArray[np.uint8], x: int, y: int, words: str, size: int, width: int, color: RGB) -> None:
    """Write one line, cut with an ellipsis where it is wider than allowed."""
    line = "".join(c if c.isprintable() else "?" for c in words)[:500]
    if line and canvas.text_size(line, size)[0] > width:
        low, high = 0, len(line)
        while low < high:
            middle = (low + high + 1) // 2
            fits = canvas.text_size(line[:middle].rstrip() + "...", size)[0] <= width
            low, high = (middle, high) if fits else (low, middle - 1)
        line = line[:low].rstrip() + "..."
    if line:
        canvas.text(page, x, y, line, size, color)
