"""Checks of the arrays that metrics take, with one wording for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import describe
from mien.errors import InputError

__all__ = ["class_numbers", "class_pair", "distributions", "scored_pair"]

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from one; a float32 softmax over a few classes is within 1e-6."""


def class_numbers(values: ArrayLike, name: str, *, n_classes: int | None = None) -> NDArray[np.int64]:
    """Return class numbers as int64 of shape (n,), n > 0, within 0..n_classes - 1, or raise `InputError`."""
    array: NDArray[Any] = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} must be integers of shape (n,) with n > 0, but got {describe(array)}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or (n_classes is not None and high >= n_classes):
        upper = "" if n_classes is None else f" and under {n_classes}"
        raise InputError(f"{name} must be class numbers from 0 up{upper}, but got {low if low < 0 else high}")
    return array.astype(np.int64)


def class_pair(
    targets: ArrayLike, predictions: ArrayLike, *, n_classes: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return truth and predictions as int64 of one length, or raise `InputError`."""
    truth = class_numbers(targets, "targets", n_classes=n_classes)
    predicted = class_numbers(predictions, "predictions", n_classes=n_classes)
    if truth.shape != predicted.shape:
        raise InputError(f"targets and predictions must be as many, but got {truth.size} and {predicted.size}")
    return truth, predicted


def distributions(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities as float64 of shape (n, k), rows summing to one, or raise `InputError`."""
    array = np.asarray(probabilities)
    if array.ndim != 2 or array.size == 0 or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"probabilities must be floats of shape (n, k), not empty, but got {describe(array)}")
    result = array.astype(np.float64)
    if not np.isfinite(result).all() or result.min() < 0:
        raise InputError("probabilities must be finite and not negative")
    off = float(np.abs(result.sum(axis=1) - 1).max())
    if off > SUM_TOLERANCE:
        raise InputError(f"each row of probabilities must sum to one, but a row is off by {off:.3g}: are they logits?")
    return result


def scored_pair(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities (n, k) and truth (n,) that fit each other, or raise `InputError`."""
    p = distributions(probabilities)
    truth = class_numbers(targets, "targets", n_classes=p.shape[1])
    if truth.size != p.shape[0]:
        raise InputError(f"probabilities and targets must be as many, but got {p.shape[0]} and {truth.size}")
    return p, truth
