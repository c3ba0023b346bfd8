"""How a face looks, to find it again: colors and lights for the same person later, a gray patch for the next frame.

The thresholds of `mien.face.motion` lie between the likeness of one person some seconds apart and that of two people,
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

__all__ = [
    "LUMA",
    "Appearance",
    "bhattacharyya",
    "blend",
    "color_histogram",
    "describe",
    "gray_patch",
    "match_patch",
    "similarity",
]

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

FACE_SIDE, OVERSAMPLING = 16, 4
"""A face is seen in so many columns and rows, each the mean of so many samples in each direction."""

LIGHTS, HUES, BANDS = 6, 8, 3
"""Bins of brightness, of each of two color axes, and of height (hair, eyes, mouth)."""

FINE_LIGHTS, FINE_BANDS = 16, 4
"""The same for brightness alone, which is all that videos without color have."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""

DARK = 4.0
"""Added before logarithms: what lies below is noise."""


class Appearance(NamedTuple):
    """Roots of two histograms, each float64 of length one: over color, and over brightness alone."""

    colors: Floats
    lights: Floats


def describe(image: NDArray[np.uint8], box: NDArray[Any]) -> Appearance:
    """Describe the square about a face's box.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    box : numpy.ndarray
        x1, y1, x2, y2; it may reach beyond the image, whose border is repeated.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    count = FACE_SIDE * OVERSAMPLING
    step = max(x2 - x1, y2 - y1, 1.0) / count
    # OpenCV counts from the center of the first pixel.
    first = step / 2 - 0.5 - step * count / 2
    matrix = np.array([[step, 0, (x1 + x2) / 2 + first], [0, step, (y1 + y2) / 2 + first]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    samples = cv2.warpAffine(image, matrix, (count, count), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(samples, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA)
    return Appearance(color_histogram(small, bands=BANDS), _light_histogram(small))


def similarity(a: Appearance, b: Appearance) -> float:
    """Return how alike two appearances are, 0..1: what colors and lights have in common, lights counted twice."""
    return bhattacharyya(a.colors, b.colors) * bhattacharyya(a.lights, b.lights) ** 2


def blend(a: Appearance, b: Appearance, part: float) -> Appearance:
    """Return an appearance between two."""
    mixed = [x + part * (y - x) for x, y in zip(a, b, strict=True)]
    return Appearance(*(x / np.linalg.norm(x) for x in mixed))


def bhattacharyya(a: Floats, b: Floats) -> float:
    """Return the Bhattacharyya bhattacharyya of two histograms that are given as roots."""
    return float(a @ b)


def color_histogram(image: NDArray[Any], *, bands: int = 1) -> Floats:
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
    return _histogram_roots([(relative, LIGHTS), (red, HUES), (blue, HUES)], bands)


def _light_histogram(image: NDArray[Any]) -> Floats:
    light = np.log2(image.astype(np.float32) @ LUMA + np.float32(DARK))
    return _histogram_roots([(4 * (light - light.mean()) + (FINE_LIGHTS - 1) / 2, FINE_LIGHTS)], FINE_BANDS)


def _histogram_roots(axes: Sequence[tuple[NDArray[Any], int]], bands: int) -> Floats:
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


PATCH_SIDE, PATCH_REACH = 24, 12
"""The face's box in pixels of its patch, and how far around it is searched: half a face."""


def gray_patch(image: NDArray[np.uint8], box: NDArray[Any], *, margin: int = 0) -> Image:
    """Return the gray square about a box, uint8 of side ``PATCH_SIDE + 2 * margin``; the box takes ``PATCH_SIDE``."""
    x1, y1, x2, y2 = (float(v) for v in box)
    over, side = 2, PATCH_SIDE + 2 * margin
    step = max(x2 - x1, y2 - y1, 1.0) / (PATCH_SIDE * over)
    # OpenCV counts from the center of the first pixel.
    first = step / 2 - 0.5 - step * side * over / 2
    matrix = np.array([[step, 0, (x1 + x2) / 2 + first], [0, step, (y1 + y2) / 2 + first]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(image, matrix, (side * over,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    gray = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def match_patch(image: NDArray[np.uint8], box: NDArray[Any], template: Image) -> tuple[NDArray[np.float64], float]:
    """Return how far (x, y) from a box its image fits best, in pixels, and the correlation there, 0..1.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    box : numpy.ndarray
        x1, y1, x2, y2.
    template : numpy.ndarray
        What `gray_patch` returned for the box in an earlier image.
    """
    fit = cv2.matchTemplate(gray_patch(image, box, margin=PATCH_REACH), template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(fit)
    step = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0) / PATCH_SIDE
    # A face without any contrast fits nowhere and everywhere.
    certain = float(np.clip(best, 0, 1)) if np.isfinite(fit).all() and template.std() > 1 else 0.0
    return np.array([column - PATCH_REACH, row - PATCH_REACH]) * step, certain
