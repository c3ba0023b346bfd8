"""Bootstrap intervals for figures that are made of sums over rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError
from mien.metrics.arrays import class_pair

__all__ = ["Interval", "bootstrap_interval", "f1_sums", "recall_sums", "uar_of_sums"]

_CHUNK_VALUES = 4_000_000
"""Drawn row numbers held at a time."""


class Interval(NamedTuple):
    """Lower and upper end of an interval."""

    low: float
    high: float


def bootstrap_interval(
    sums: ArrayLike,
    figure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a percentile bootstrap interval of a figure.

    Accuracy, UAR and mean losses are all functions of sums over rows, so a resample needs no copy of the data: each
    row's share is counted and multiplied in. Where rows depend on each other (several images of one person, copies
    of one image), give `groups`: whole groups are then drawn, which gives the wider, honest interval.

    Parameters
    ----------
    sums : array_like of float
        Shape (n, s): what each row adds to each of s sums. For an accuracy: (right, 1).
    figure : callable
        Takes sums of shape (resamples, s) and returns the figures of shape (resamples,); NaN where it is not defined
        (those resamples are left out).
    groups : array_like, optional
        Shape (n,): rows with equal values are drawn together.
    level : float
        Coverage, between 0 and 1.
    resamples : int
        Number of resamples.
    seed : int
        Seed of the draws: the same input gives the same interval.

    Returns
    -------
    Interval
        The (1 - level) / 2 and (1 + level) / 2 quantiles of the figure.

    Raises
    ------
    InputError
        If the shapes do not fit, or no resample has a figure.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; groups: Field and Welsh, "Bootstrapping
    clustered data", JRSS B 69, 2007.
    """
    rows = _grouped(_rows(sums), groups)
    share = check_number(level, "level", low=0, high=1)
    total = check_integer(resamples, "resamples", low=1)
    generator = np.random.default_rng(seed)
    units = rows.shape[0]
    step = max(1, _CHUNK_VALUES // units)
    figures = []
    for begin in range(0, total, step):
        some = min(step, total - begin)
        drawn = generator.integers(0, units, size=(some, units)) + units * np.arange(some)[:, None]
        times = np.bincount(drawn.ravel(), minlength=some * units).reshape(some, units)
        figures.append(figure(times.astype(np.float64) @ rows))
    values = np.concatenate(figures)
    values = values[~np.isnan(values)]
    if values.size == 0:
        raise InputError("the figure is not defined on any resample")
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return Interval(float(low), float(high))


def recall_sums(targets: ArrayLike, predictions: ArrayLike) -> NDArray[np.float64]:
    """Return what each row adds to hits and totals by class, for `bootstrap_interval` with `uar_of_sums`.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    numpy.ndarray
        float64 of shape (n, 2 c), c being the classes present in `targets`: hits, then totals.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or no class numbers.
    """
    truth, predicted = class_pair(targets, predictions)
    member = truth[:, None] == np.unique(truth)
    right = (truth == predicted)[:, None]
    return np.concatenate([member & right, member], axis=1).astype(np.float64)


def f1_sums(targets: ArrayLike, predictions: ArrayLike) -> NDArray[np.float64]:
    """Return what each row adds to both sides of the F1 of each class, for `bootstrap_interval` with `uar_of_sums`.

    An F1 is a ratio of sums as a recall is, so that the mean over classes is made alike.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    numpy.ndarray
        float64 of shape (n, 2 c), c being the classes that are true or predicted: twice the hits, then true rows and
        predictions together.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or no class numbers.
    """
    truth, predicted = class_pair(targets, predictions)
    classes = np.union1d(truth, predicted)
    true, said = truth[:, None] == classes, predicted[:, None] == classes
    return np.concatenate([2.0 * (true & said), true * 1.0 + said], axis=1)


def uar_of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over classes of each row of sums made by `recall_sums` or `f1_sums`: UAR, or macro F1.

    It is over the classes that the resample holds.

    Parameters
    ----------
    sums : numpy.ndarray
        float64 of shape (r, 2 c): hits, then totals.

    Returns
    -------
    numpy.ndarray
        float64 of shape (r,); NaN where no class has a row.
    """
    hits, totals = np.split(sums, 2, axis=1)
    present = totals > 0
    recall = np.divide(hits, totals, out=np.zeros_like(hits), where=present)
    classes = present.sum(axis=1)
    result = np.full(classes.shape, np.nan)
    np.divide(recall.sum(axis=1), classes, out=result, where=classes > 0)
    return result


def _rows(sums: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(sums, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
        raise InputError(f"sums must be finite numbers of shape (n, s), not empty, but got {describe(rows)}")
    return rows


def _grouped(rows: NDArray[np.float64], groups: ArrayLike | None) -> NDArray[np.float64]:
    if groups is None:
        return rows
    names: NDArray[Any] = np.asarray(groups)
    if names.shape != rows.shape[:1]:
        raise InputError(f"groups must be of shape ({rows.shape[0]},), but got {describe(names)}")
    _, number_of = np.unique(names, return_inverse=True)
    merged = np.zeros((int(number_of.max()) + 1, rows.shape[1]))
    np.add.at(merged, number_of, rows)
    return merged
