"""Proper scores of probabilities: negative log likelihood and Brier score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mien.metrics._arrays import scored_pair

__all__ = ["brier", "nll"]

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
        In nats, at least 0; log(k) for uniform answers.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.
    """
    p, truth = scored_pair(probabilities, targets)
    chosen = p[np.arange(truth.size), truth]
    return float(-np.mean(np.log(np.clip(chosen, _SMALLEST, 1.0))))


def brier(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the multi-class Brier score: the mean squared distance between the answer and the one-hot truth.

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
        From 0 (certain and right) to 2 (certain and wrong); 1 - 1/k for uniform answers.

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
