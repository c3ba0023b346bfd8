"""Temperature scaling: one number that makes a model's confidence honest, and its honest examination.

Logits of minus infinity are allowed and mean a class that the model cannot answer (an output without contempt, asked
about data with contempt): its probability is 0 at every temperature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError

__all__ = ["cross_fitted", "fit_shared_temperature", "fit_temperature", "softmax"]

LOWEST, HIGHEST = 0.01, 100.0
"""Bounds of a fitted temperature: beyond them a softmax over a few classes is one-hot or uniform for any real model."""

_HALVINGS = 45
"""Narrow the bracket of log T from 9.2 to 3e-13."""


def softmax(logits: ArrayLike, *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities of logits divided by a temperature.

    Parameters
    ----------
    logits : array_like of float
        Shape (n, k); minus infinity for a class that cannot be answered, but not a whole row of it.
    temperature : float
        Above zero; larger is less certain.

    Returns
    -------
    numpy.ndarray
        float64 of shape (n, k), rows summing to one.

    Raises
    ------
    InputError
        If the logits are none, or the temperature is not above zero.
    """
    z = _logits(logits) / check_number(temperature, "temperature", low=math.ulp(0.0))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=np.float64)


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the temperature under which the true classes are most likely.

    The mean negative log likelihood is convex in 1/T, so its slope has one sign on each side of the best T, and halving
    a bracket around that change of sign cannot miss the minimum.  Answers lie in 0.01..100: a model that is never wrong
    gets 0.01, one that is worse than chance at every temperature gets 100, and logits that say nothing (all equal)
    get 1.

    Parameters
    ----------
    logits : array_like of float
        Shape (n, k).
    targets : array_like of int
        Class numbers of shape (n,).  Rows whose true class has a logit of minus infinity are left out: they are equally
        impossible at every temperature.

    Returns
    -------
    float
        The temperature, to be divided by.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit, or no row is left.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
    """
    return fit_shared_temperature([(logits, targets)])


def fit_shared_temperature(domains: Sequence[tuple[ArrayLike, ArrayLike]]) -> float:
    """Return the temperature under which the true classes of several sets of data are most likely.

    Every set counts the same, however many rows it has; see `fit_temperature`.

    Parameters
    ----------
    domains : sequence of (logits, targets)
        As for `fit_temperature`; the number of classes may differ.

    Raises
    ------
    InputError
        If there is no set, or one is not as `fit_temperature` takes it.
    """
    if not domains:
        raise InputError("a temperature needs at least one set of logits and targets")
    ready = [_relative(logits, targets) for logits, targets in domains]

    def slope(u: float) -> float:
        return math.fsum(_slope(z, chosen, u) for z, chosen in ready)

    low, high = -math.log(HIGHEST), -math.log(LOWEST)  # of log(1/T)
    if not any(np.where(np.isfinite(z), z, 0.0).any() for z, _ in ready):
        return 1.0
    if slope(high) <= 0:
        return LOWEST
    if slope(low) >= 0:
        return HIGHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return math.exp(-(low + high) / 2)


def _relative(logits: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits relative to the largest of each row, and those of the true classes, where these are possible."""
    z, truth = _pair(logits, targets)
    chosen = z[np.arange(truth.size), truth]
    possible = np.isfinite(chosen)
    if not possible.any():
        raise InputError("no row is left to fit a temperature: every true class has a logit of minus infinity")
    z, chosen = z[possible], chosen[possible]
    return z - z.max(axis=1, keepdims=True), chosen - z.max(axis=1)


def _slope(z: NDArray[np.float64], chosen: NDArray[np.float64], u: float) -> float:
    """Return the slope of the mean NLL in 1/T at 1/T = exp(u): the expected logit minus that of the true class."""
    e = np.exp(z * math.exp(u))
    p = e / e.sum(axis=1, keepdims=True)
    expected = (p * np.where(np.isfinite(z), z, 0.0)).sum(axis=1)
    return float(np.mean(expected - chosen))


def cross_fitted(
    logits: ArrayLike, targets: ArrayLike, *, folds: int = 2, seed: int = 0, groups: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return probabilities, each row scaled by a temperature that was fitted on the other folds.

    A temperature looks better on the rows it was fitted on than on new ones.  With every row scaled by a temperature
    that has not seen it, the calibration error of the whole set is honest although no other labeled rows were needed.

    Parameters
    ----------
    logits : array_like of float
        Shape (n, k).
    targets : array_like of int
        Class numbers of shape (n,).
    folds : int
        Number of folds, at least 2, of (nearly) equal size, drawn at random.
    seed : int
        Seed of the draw.
    groups : array_like, optional
        Shape (n,): rows with equal values (copies of one image) go to the same fold.

    Returns
    -------
    numpy.ndarray
        float64 of shape (n, k), rows summing to one.

    Raises
    ------
    InputError
        If the arrays do not fit, or there are fewer rows (or groups) than folds.
    """
    z, truth = _pair(logits, targets)
    count = check_integer(folds, "folds", low=2)
    fold = _folds(truth.size, count, seed, groups)
    result = np.empty_like(z)
    for held_out in range(count):
        here = fold == held_out
        result[here] = softmax(z[here], temperature=fit_temperature(z[~here], truth[~here]))
    return result


def _folds(n: int, count: int, seed: int, groups: ArrayLike | None) -> NDArray[np.int64]:
    names: NDArray[Any] = np.arange(n) if groups is None else np.asarray(groups)
    if names.shape != (n,):
        raise InputError(f"groups must be of shape ({n},), but got {describe(names)}")
    unique, member = np.unique(names, return_inverse=True)
    if unique.size < count:
        what = "rows" if groups is None else "groups"
        raise InputError(f"{count} folds need at least {count} {what}, but there are {unique.size}")
    return (np.random.default_rng(seed).permutation(unique.size) % count)[member]


def _logits(logits: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(logits)
    if array.ndim != 2 or array.size == 0 or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"logits must be floats of shape (n, k), not empty, but got {describe(array)}")
    z = array.astype(np.float64)
    if np.isnan(z).any() or np.isposinf(z).any() or np.isneginf(z).all(axis=1).any():
        raise InputError("logits must be finite; minus infinity may mark classes that cannot be answered, but not all")
    return z


def _pair(logits: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    z, truth = _logits(logits), np.asarray(targets)
    if truth.shape != z.shape[:1] or not np.issubdtype(truth.dtype, np.integer):
        raise InputError(f"targets must be integers of shape ({z.shape[0]},), but got {describe(truth)}")
    if truth.min() < 0 or truth.max() >= z.shape[1]:
        raise InputError(f"targets must be class numbers under {z.shape[1]}, but got {truth.min()}..{truth.max()}")
    return z, truth.astype(np.int64)
