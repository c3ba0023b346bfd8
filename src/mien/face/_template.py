"""Following a face by its own image, for detectors that cannot look at one place."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["patch", "shifted"]

Gray = NDArray[np.uint8]

SIDE, REACH = 24, 12
"""The face's box in pixels of its patch, and how far around it is searched: half a face."""


def patch(image: NDArray[np.uint8], box: NDArray[Any], *, margin: int = 0) -> Gray:
    """Return the gray square about a box, uint8 of side ``SIDE + 2 * margin`` where the box takes ``SIDE``."""
    x1, y1, x2, y2 = (float(v) for v in box)
    over, side = 2, SIDE + 2 * margin
    step = max(x2 - x1, y2 - y1, 1.0) / (SIDE * over)
    # OpenCV counts from the center of the first pixel.
    first = step / 2 - 0.5 - step * side * over / 2
    matrix = np.array([[step, 0, (x1 + x2) / 2 + first], [0, step, (y1 + y2) / 2 + first]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(image, matrix, (side * over,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    gray = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def shifted(image: NDArray[np.uint8], box: NDArray[Any], template: Gray) -> tuple[NDArray[np.float64], float]:
    """Return how far (x, y) from a box its image fits best, in pixels, and the correlation there, 0..1.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    box : numpy.ndarray
        x1, y1, x2, y2.
    template : numpy.ndarray
        What `patch` gave for the box in an earlier image.
    """
    fit = cv2.matchTemplate(patch(image, box, margin=REACH), template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(fit)
    step = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0) / SIDE
    # A face without any contrast fits nowhere and everywhere.
    certain = float(np.clip(best, 0, 1)) if np.isfinite(fit).all() and template.std() > 1 else 0.0
    return np.array([column - REACH, row - REACH]) * step, certain
