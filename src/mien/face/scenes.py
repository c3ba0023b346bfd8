"""Scene cuts: an image that has neither the places nor the colors of the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.face.appearance import LUMA, bhattacharyya, color_histogram

__all__ = ["SceneCutDetector"]

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 32, 18
"""The thumbnail that is compared."""

SAME_SCENE = 2.15
"""Least sum within a scene of the correlation of brightness (places) and twice the likeness of colors; what moves
changes the places, not the colors.  Measured: neighbouring frames of planted videos and of four clips
have 2.43 and more at 30 and at 5 frames a second (people walking in, pans, flashes, dimmed light); two photographs,
the cuts of the clips and planted ones have 1.6 and less."""

FLAT = 4.0
"""Variance of a thumbnail that shows nothing: without it the noise of two black frames would not be alike."""

CHANGE, DARK = 0.4, 8.0
"""A block has changed when it is brighter or darker by so many powers of two; gray below the second is noise."""

FLASH_S, FLASH_PART = 0.25, 0.95
"""A flash (or a black frame) lasts no longer, and makes this part of the image brighter (or darker)."""


@dataclass(frozen=True, slots=True)
class _Thumbnail:
    light: Floats
    colors: Floats


class SceneCutDetector:
    """Finds scene cuts, frame by frame, in constant memory.

    An image that differs only in being brighter (or darker) all over is held back as a flash: should the following one
    resemble the one before, there was no cut; else the cut is reported with the following one.
    """

    def __init__(self) -> None:
        self._before: _Thumbnail | None = None
        self._before_s = 0.0
        self._now = self._reference = np.zeros((HEIGHT, WIDTH))
        self.color_similarity = 1.0
        """How alike the colors of the last image and the one before are, 0..1."""

    def update(self, image: NDArray[np.uint8], time_s: float) -> bool:
        """Take the next image, and return whether it begins a new scene; the first never does.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB; the size may change from one to the next.
        time_s : float
            Its time, not before the last one's.
        """
        now, before = _thumbnail(image), self._before
        self._now = now.light
        if before is None:
            self._before, self._before_s = now, time_s
            return False
        self.color_similarity = bhattacharyya(before.colors, now.colors)
        differs = _correlation(before.light, now.light) + 2 * self.color_similarity < SAME_SCENE
        if differs and time_s - self._before_s <= FLASH_S and _is_flash(before, now):
            return False
        self._before, self._before_s = now, time_s
        return differs

    def set_reference(self) -> None:
        """Remember the last image for `count_changed_blocks`."""
        self._reference = self._now

    def count_changed_blocks(self, boxes: NDArray[Any], size: tuple[int, int]) -> int:
        """Count the blocks of the thumbnail that have changed since `set_reference`, beside the whole image's light.

        Parameters
        ----------
        boxes : numpy.ndarray
            Shape (n, 4): faces, about which everything may change.
        size : tuple of int
            Width and height of the image.
        """
        change = np.log2((self._now + DARK) / (self._reference + DARK))
        changed = np.abs(change - np.median(change)) > CHANGE
        scale = np.array([WIDTH / size[0], HEIGHT / size[1]] * 2)
        for x1, y1, x2, y2 in (np.asarray(boxes) * scale).tolist():
            # Hair and shoulders move with the face.
            margin = 0.75 * max(x2 - x1, y2 - y1)
            rows = slice(max(math.floor(y1 - margin), 0), max(math.ceil(y2 + 2 * margin), 0))
            changed[rows, max(math.floor(x1 - margin), 0) : max(math.ceil(x2 + margin), 0)] = False
        return int(changed.sum())


def _thumbnail(image: NDArray[np.uint8]) -> _Thumbnail:
    # Every n-th pixel is enough for the mean of a block, and ten times faster than all of them.
    step_y, step_x = max(image.shape[0] // (4 * HEIGHT), 1), max(image.shape[1] // (4 * WIDTH), 1)
    thinned: NDArray[Any] = np.ascontiguousarray(image[::step_y, ::step_x])
    small = cv2.resize(thinned, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _Thumbnail((small @ LUMA).astype(np.float64), color_histogram(small))


def _correlation(a: Floats, b: Floats) -> float:
    """Return the correlation of two thumbnails: light of another strength does not change it."""
    x, y = a - a.mean(), b - b.mean()
    return float(((x * y).mean() + FLAT) / np.sqrt(((x * x).mean() + FLAT) * ((y * y).mean() + FLAT)))


def _is_flash(a: _Thumbnail, b: _Thumbnail) -> bool:
    change = b.light - a.light
    return bool(max((change > 0).mean(), (change < 0).mean()) >= FLASH_PART)
