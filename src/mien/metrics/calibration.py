"""Metrics of probabilities: calibration error with its floor, reliability, and proper scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer
from mien.metrics.arrays import distributions, scored_pair

__all__ = ["ReliabilityBins", "brier", "ece", "ece_floor", "nll", "reliability_bins"]

BINS = 15
"""Equal-width bins, as Guo et al. 2017 use."""

_CHUNK_VALUES = 4_000_000
"""Random values held at a time, so that a floor over a large split needs tens of megabytes, not gigabytes."""


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """The reliability diagram as numbers.

    Parameters
    ----------
    edges : numpy.ndarray
        float64 (bins + 1,): the edges; a bin holds confidences above its lower and up to its upper edge.
    count : numpy.ndarray
        int64 (bins,): rows in each bin.
    confidence, accuracy : numpy.ndarray
        float64 (bins,): mean top probability and share of right predictions; NaN for an empty bin.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability_bins(probabilities: ArrayLike, targets: ArrayLike, *, bins: int = BINS) -> ReliabilityBins:
    """Sort predictions into bins of confidence and compare confidence with accuracy in each.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).
    bins : int
        Number of equal-width bins over 0..1.

    Returns
    -------
    ReliabilityBins
        Edges, counts, mean confidence and accuracy.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other, or `bins` is under 1.
    """
    p, truth = scored_pair(probabilities, targets)
    confidence, where, edges = _binned(p, bins)
    count = np.bincount(where, minlength=bins)
    full = np.where(count > 0, count, np.nan)
    right = p.argmax(axis=1) == truth
    return ReliabilityBins(
        edges=edges,
        count=count.astype(np.int64),
        confidence=np.bincount(where, weights=confidence, minlength=bins) / full,
        accuracy=np.bincount(where, weights=right, minlength=bins) / full,
    )


def ece(probabilities: ArrayLike, targets: ArrayLike, *, bins: int = BINS) -> float:
    """Return the expected calibration error of the top class.

    The mean over rows of the distance between confidence and accuracy in the row's bin. It is biased upwards: even a
    perfectly calibrated model has some by chance; compare with `ece_floor` at the same rows.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).
    bins : int
        Number of equal-width bins over 0..1.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other, or `bins` is under 1.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
    """
    p, truth = scored_pair(probabilities, targets)
    confidence, where, _ = _binned(p, bins)
    gap = (p.argmax(axis=1) == truth) - confidence
    return float(np.abs(np.bincount(where, weights=gap, minlength=bins)).sum() / truth.size)


def ece_floor(probabilities: ArrayLike, *, bins: int = BINS, draws: int = 1000, seed: int = 0) -> float:
    """Return the ECE to expect by chance if these very probabilities were perfectly calibrated.

    Labels are drawn from the model's own probabilities: each row's top class is then right with exactly its
    confidence, and only that matters for a top-label ECE. The mean ECE over many such draws is what no model
    with these confidences and this number of rows can be expected to go below. Monte Carlo with a fixed seed, so
    that the figure is reproducible; with 1000 draws its own standard error is about one hundredth of it.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    bins : int
        Number of equal-width bins over 0..1.
    draws : int
        How many sets of labels to draw.
    seed : int
        Seed of the draws.

    Returns
    -------
    float
        From 0 to 1; falls as one over the square root of n.

    Raises
    ------
    InputError
        If the probabilities are none, or `bins` or `draws` is under 1.

    References
    ----------
    Vaicenavicius et al., "Evaluating model calibration in classification", AISTATS 2019, arXiv:1902.06977 (consistency
    resampling).
    """
    p = distributions(probabilities)
    total = check_integer(draws, "draws", low=1)
    confidence, where, _ = _binned(p, bins)
    order = np.argsort(where, kind="stable")
    confidence, (_, starts) = confidence[order], np.unique(where[order], return_index=True)
    expected = np.add.reduceat(confidence, starts)
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK_VALUES // confidence.size)
    gaps = 0.0
    for begin in range(0, total, step):
        right = generator.random((min(step, total - begin), confidence.size)) < confidence
        hits = np.add.reduceat(right, starts, axis=1, dtype=np.int64)
        gaps += float(np.abs(hits - expected).sum())
    return gaps / (total * confidence.size)


def _binned(p: NDArray[np.float64], bins: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    edges = np.linspace(0.0, 1.0, check_integer(bins, "bins", low=1) + 1)
    confidence = np.minimum(p.max(axis=1), 1.0)  # a float32 softmax may end a hair above one
    where = np.searchsorted(edges, confidence, side="left") - 1
    return confidence, np.clip(where, 0, bins - 1), edges


_SMALLEST = float(np.finfo(np.float64).eps)


def nll(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the mean negative log likelihood of the true class.

    Probabilities under 2.2e-16 count as that much, as in scikit-learn's ``log_loss``: one row that a model excluded
    entirely costs 36 nats instead of making the whole figure infinite.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        In nats, at least 0; log(k) for uniform probabilities.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.
    """
    p, truth = scored_pair(probabilities, targets)
    chosen = p[np.arange(truth.size), truth]
    return float(-np.mean(np.log(np.clip(chosen, _SMALLEST, 1.0))))


def brier(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the multi-class Brier score: the mean squared distance between the probabilities and the one-hot truth.

    This is Brier's own sum over all classes, from 0 to 2; some libraries halve it.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 (certain and right) to 2 (certain and wrong); 1 - 1/k for uniform probabilities.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.
    """
    p, truth = scored_pair(probabilities, targets)
    chosen = p[np.arange(truth.size), truth]
    return float(np.mean((p**2).sum(axis=1) - 2 * chosen + 1))
