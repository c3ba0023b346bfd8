"""How a face looks: its colors and lights, which tell one person of a video from another for some seconds.

The thresholds of `mien.face.track` lie between the likeness of one person some seconds apart and that of two people,
on clips of talking people and on faces of photographs; without color both come close.  ``benchmarks/tracking.py``
measures what comes of it, with ``--gray`` without color.

The embedding of a net for emotions does not tell people apart: it describes the expression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["LUMA", "Look", "blended", "coefficient", "colors", "look", "similar"]

Floats = NDArray[np.float64]

SIDE, OVER = 16, 4
"""A face is seen in so many columns and rows, each the mean of so many samples in each direction."""

LIGHTS, HUES, BANDS = 6, 8, 3
"""Bins of brightness, of each of two color axes, and of height (hair, eyes, mouth)."""

FINE_LIGHTS, FINE_BANDS = 16, 4
"""The same for brightness alone, which is all that videos without color have."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""

DARK = 4.0
"""Added before logarithms: what lies below is noise."""


class Look(NamedTuple):
    """Roots of two histograms, each float64 of length one: over color, and over brightness alone."""

    colors: Floats
    lights: Floats


def look(image: NDArray[np.uint8], box: NDArray[Any]) -> Look:
    """Describe the square about a face's box.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    box : numpy.ndarray
        x1, y1, x2, y2; it may reach beyond the image, whose border is repeated.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    count = SIDE * OVER
    step = max(x2 - x1, y2 - y1, 1.0) / count
    # OpenCV counts from the center of the first pixel.
    first = step / 2 - 0.5 - step * count / 2
    matrix = np.array([[step, 0, (x1 + x2) / 2 + first], [0, step, (y1 + y2) / 2 + first]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    samples = cv2.warpAffine(image, matrix, (count, count), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(samples, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return Look(colors(small, bands=BANDS), _lights(small))


def similar(a: Look, b: Look) -> float:
    """Return how alike two looks are, 0..1: what colors and lights have in common, lights counted twice."""
    return coefficient(a.colors, b.colors) * coefficient(a.lights, b.lights) ** 2


def blended(a: Look, b: Look, part: float) -> Look:
    """Return a look between two."""
    mixed = [x + part * (y - x) for x, y in zip(a, b, strict=True)]
    return Look(*(x / np.linalg.norm(x) for x in mixed))


def coefficient(a: Floats, b: Floats) -> float:
    """Return the Bhattacharyya coefficient of two histograms that are given as roots."""
    return float(a @ b)


def colors(image: NDArray[Any], *, bands: int = 1) -> Floats:
    """Return the roots of a histogram over brightness and color that a change of the light's strength leaves alone.

    Brightness counts relative to the geometric mean, color as the ratios red : green and blue : green; each pixel is
    shared between the nearest bins.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (h, w, 3), RGB in 0..255.
    bands : int
        So many histograms, from the upper to the lower part.

    Returns
    -------
    numpy.ndarray
        float64 of shape (bands * bins,), of length one.
    """
    color = image.astype(np.float32) + np.float32(DARK)
    logs = np.log2(color)
    light = np.log2(color @ LUMA)
    # Skin and most of what is around it is redder than green and less blue: the middle lies there.
    red = 4 * (logs[..., 0] - logs[..., 1]) + (HUES - 3) / 2
    blue = 4 * (logs[..., 2] - logs[..., 1]) + (HUES + 1) / 2
    relative = 1.5 * (light - light.mean()) + (LIGHTS - 1) / 2
    return _roots([(relative, LIGHTS), (red, HUES), (blue, HUES)], bands)


def _lights(image: NDArray[Any]) -> Floats:
    light = np.log2(image.astype(np.float32) @ LUMA + np.float32(DARK))
    return _roots([(4 * (light - light.mean()) + (FINE_LIGHTS - 1) / 2, FINE_LIGHTS)], FINE_BANDS)


def _roots(axes: Sequence[tuple[NDArray[Any], int]], bands: int) -> Floats:
    """Return the roots of a joint histogram of values in units of bins, each shared between the nearest bins."""
    shape = axes[0][0].shape
    rows = np.arange(shape[0]) * bands // shape[0]
    places, shares, total = [np.broadcast_to(rows[:, None], shape)], [np.ones(shape)], bands
    for value, bins in axes:
        inside = np.clip(value, 0, bins - 1.001)
        low = inside.astype(np.intp)
        part = inside - low
        places = [place * bins + low + upper for place in places for upper in (0, 1)]
        shares = [share * (part if upper else 1 - part) for share in shares for upper in (0, 1)]
        total *= bins
    roots: Floats = np.sqrt(np.bincount(np.stack(places).ravel(), np.stack(shares).ravel(), total))
    unit: Floats = roots / np.linalg.norm(roots)
    return unit
