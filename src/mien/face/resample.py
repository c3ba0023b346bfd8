"""One resampling for every crop, specified to the pixel, so that another implementation can meet it.

Coordinates are continuous: pixel (column i, row j) covers [i, i + 1) x [j, j + 1) and its center is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["sample"]

Matrix = NDArray[np.float64]
Image = NDArray[np.uint8]


def sample(image: Image, matrix: NDArray[Any], size: int) -> Image:
    """Read a square of ``size`` pixels from an image through an affine map: the one resampling of the toolkit.

    Specified so that any other implementation gives the same pixels within one gray level:

    1. *Steps.* The step of an image axis is the Euclidean norm of that row of ``matrix[:, :2]``: image pixels per
       crop pixel.  ``n = max(0, floor(log2(step)))`` for each axis.
    2. *Blocks.* The image is averaged over blocks of ``2**n_x`` columns and ``2**n_y`` rows, counted from its upper
       left corner; unfinished blocks at the right and lower edge are completed by repeating the last column and row.
       The mean is rounded to the nearest integer.  Coordinates are divided accordingly, so both steps are below 2.
    3. *Bilinear samples.* If a remaining step is above 1, the value of a crop pixel (i, j) is the mean of four samples
       at (i + 0.25 or i + 0.75, j + 0.25 or j + 0.75), else one sample at (i + 0.5, j + 0.5).  A sample at (x, y) lies
       between the centers of four pixels, at x - 0.5 and y - 0.5; beyond the image its border is repeated.
    4. The result is rounded to the nearest integer.

    An identity map returns the same pixels, and halving an image of even size returns the means of 2 x 2 blocks.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3).
    matrix : numpy.ndarray
        Shape (2, 3): from continuous coordinates of the crop (0..size) to those of the image.
    size : int
        Side of the crop in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (size, size, 3).
    """
    m = np.asarray(matrix, dtype=np.float64)
    blocks = [2 ** max(0, math.floor(math.log2(max(step, 1.0)) + 1e-9)) for step in np.hypot(m[:, 0], m[:, 1])]
    m = m / np.array(blocks)[:, None]
    double = bool((np.hypot(m[:, 0], m[:, 1]) > 1 + 1e-9).any())
    n = size * (2 if double else 1)
    grid = (np.arange(n) + 0.5) * (size / n)
    x = m[0, 0] * grid + m[0, 1] * grid[:, None] + (m[0, 2] - 0.5)
    y = m[1, 0] * grid + m[1, 1] * grid[:, None] + (m[1, 2] - 0.5)
    values = _bilinear(image, x, y, blocks[0], blocks[1])
    if double:
        values = values.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
    return (values + 0.5).astype(np.uint8)


def _bilinear(image: Image, x: Matrix, y: Matrix, block_x: int, block_y: int) -> NDArray[np.float32]:
    """Sample the block means of an image at block coordinates counted from the first block's center."""
    height, width = image.shape[:2]
    left, right, part_x = _neighbors(x, -(-width // block_x))
    upper, lower, part_y = _neighbors(y, -(-height // block_y))
    # Only the part that is needed is averaged: a face in an image of 50 megapixels costs what the face costs.
    x0, y0 = int(left.min()), int(upper.min())
    means = _block_means(image, (x0, int(right.max()) + 1), (y0, int(lower.max()) + 1), block_x, block_y)
    columns = means.shape[1]
    flat = means.reshape(-1, 3)
    upper, lower = (upper - y0) * columns, (lower - y0) * columns
    left, right = left - x0, right - x0
    top = _mix(flat[upper + left], flat[upper + right], part_x)
    bottom = _mix(flat[lower + left], flat[lower + right], part_x)
    return _mix(top, bottom, part_y)


def _mix(a: NDArray[Any], b: NDArray[Any], part: NDArray[np.float32]) -> NDArray[np.float32]:
    mixed: NDArray[np.float32] = a + (b.astype(np.float32) - a) * part
    return mixed


def _neighbors(at: Matrix, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    low = np.floor(at)
    part = (at - low).astype(np.float32)[..., None]
    index = np.clip(low, -1, count).astype(np.intp)
    return np.clip(index, 0, count - 1), np.clip(index + 1, 0, count - 1), part


def _block_means(image: Image, columns: tuple[int, int], rows: tuple[int, int], block_x: int, block_y: int) -> Image:
    part = image[rows[0] * block_y : rows[1] * block_y, columns[0] * block_x : columns[1] * block_x]
    if block_x == block_y == 1:
        return np.ascontiguousarray(part)
    wanted = ((columns[1] - columns[0]) * block_x, (rows[1] - rows[0]) * block_y)
    if part.shape[1::-1] != wanted:
        missing = wanted[1] - part.shape[0], wanted[0] - part.shape[1]
        part = np.asarray(cv2.copyMakeBorder(part, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE), np.uint8)
    # With whole ratios OpenCV's INTER_AREA is the mean of the block, rounded once.
    size = (columns[1] - columns[0], rows[1] - rows[0])
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
