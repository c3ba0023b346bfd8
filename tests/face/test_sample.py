"""The one resampling against a plain implementation of its own description, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.face.align import sample


def by_the_book(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Follow the four steps of `sample` one pixel at a time."""
    height, width = image.shape[:2]
    steps = [math.hypot(*matrix[axis, :2]) for axis in (0, 1)]
    blocks = [2 ** max(0, math.floor(math.log2(step))) for step in steps]
    rows, columns = -(-height // blocks[1]), -(-width // blocks[0])
    means = np.zeros((rows, columns, 3))
    for r in range(rows):
        for c in range(columns):
            ys = [min(r * blocks[1] + k, height - 1) for k in range(blocks[1])]
            xs = [min(c * blocks[0] + k, width - 1) for k in range(blocks[0])]
            means[r, c] = np.floor(image[np.ix_(ys, xs)].reshape(-1, 3).mean(axis=0) + 0.5)
    rest = [step / block for step, block in zip(steps, blocks, strict=True)]
    places = (0.25, 0.75) if max(rest) > 1 + 1e-9 else (0.5,)
    out = np.zeros((size, size, 3))
    for j in range(size):
        for i in range(size):
            values = [one(means, matrix, blocks, i + u, j + v) for v in places for u in places]
            out[j, i] = np.mean(values, axis=0)
    return np.floor(out + 0.5).astype(np.uint8)


def one(means, matrix, blocks, u, v):
    rows, columns = means.shape[:2]
    x = (matrix[0] @ (u, v, 1)) / blocks[0] - 0.5
    y = (matrix[1] @ (u, v, 1)) / blocks[1] - 0.5
    x0, y0 = math.floor(x), math.floor(y)

    def at(r, c):
        return means[min(max(r, 0), rows - 1), min(max(c, 0), columns - 1)]

    top = at(y0, x0) * (1 - (x - x0)) + at(y0, x0 + 1) * (x - x0)
    bottom = at(y0 + 1, x0) * (1 - (x - x0)) + at(y0 + 1, x0 + 1) * (x - x0)
    return top * (1 - (y - y0)) + bottom * (y - y0)


def pattern(height: int, width: int) -> np.ndarray:
    """An image in closed form, with sharp edges and slow waves, that any implementation can make."""
    y, x = np.mgrid[:height, :width]
    channels = [(7 * x + 13 * y) % 256, 255 * ((x // 3 + y // 5) % 2), 127 + 127 * np.sin(x / 6) * np.cos(y / 9)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def turned(step: float, degrees: float, x: float, y: float) -> np.ndarray:
    a, b = step * math.cos(math.radians(degrees)), step * math.sin(math.radians(degrees))
    return np.array([[a, -b, x], [b, a, y]])


@pytest.mark.parametrize(
    ("shape", "matrix"),
    [
        ((20, 30), turned(0.37, 0, 3.2, 4.9)),  # enlarged
        ((20, 30), turned(1.0, 20, 8.0, -2.5)),  # turned, beyond the border
        ((41, 37), turned(1.7, -33, -4.0, 11.0)),  # four samples
        ((61, 83), turned(3.1, 12, 20.3, 5.5)),  # blocks of two
        ((90, 75), turned(5.9, 180, 73.0, 81.0)),  # blocks of four, unfinished at both edges
        ((50, 17), np.array([[17 / 12, 0, 0], [0, 50 / 12, 0]])),  # stretched: other blocks on each axis
        ((9, 9), turned(40.0, 0, -200.0, -200.0)),  # an image smaller than a block
        ((30, 30), turned(1.0, 0, 500.0, 500.0)),  # wholly outside
    ],
)
def test_follows_its_description(shape, matrix):
    image = pattern(*shape)
    got, expected = sample(image, matrix, 12), by_the_book(image, matrix, 12)
    assert np.abs(got.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [1, 7, 48])
def test_identity_returns_the_same_pixels(size):
    image = pattern(size, size)
    assert np.array_equal(sample(image, turned(1, 0, 0, 0), size), image)


def test_halving_averages_blocks():
    image = pattern(24, 24)
    expected = image.reshape(12, 2, 12, 2, 3).mean(axis=(1, 3))
    assert np.abs(sample(image, turned(2, 0, 0, 0), 12) - expected).max() <= 0.5


def test_quarter_turn_is_exact():
    image = pattern(16, 16)
    assert np.array_equal(sample(image, turned(1, 90, 16, 0), 16), np.rot90(image, 1))


def test_stored_vector():
    """The first rows of one crop, stored: whoever writes another implementation starts here."""
    got = sample(pattern(64, 64), turned(2.6, 15, 6, -3), 4)
    expected = by_the_book(pattern(64, 64), turned(2.6, 15, 6, -3), 4)
    assert got.shape == (4, 4, 3)
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected).max() <= 1
    assert np.abs(got[0].astype(int) - STORED).max() <= 1


STORED = np.array([(51, 63, 235), (69, 155, 250), (87, 135, 244), (106, 93, 217)])
