"""Binary accuracy, precision and recall of probabilities, each class taken against the rest.

These are Keras's ``BinaryAccuracy``, ``Precision`` and ``Recall`` as many published training logs of emotion models
print them: every one of the n x k probabilities is one yes-or-no question ("is it anger?"), answered with yes above
0.5, and all questions count the same (micro average).  A row may so be answered with no class at all.  The figures
are not comparable with accuracy: with seven classes, answering no to everything has a binary accuracy of 85.7 %.

References
----------
Keras, ``keras/src/metrics/accuracy_metrics.py`` and ``confusion_metrics.py`` (Apache 2.0): strictly above the
threshold is yes, and a ratio without a denominator is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.metrics._arrays import scored_pair

__all__ = ["binary_accuracy", "precision", "recall"]

THRESHOLD = 0.5
"""Keras's default: above it the answer is yes."""


def binary_accuracy(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the share of right yes-or-no answers over all rows and classes.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1; 1 - 1/k for a model that never says yes.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.
    """
    yes, true = _answers(probabilities, targets)
    return float(np.mean(yes == true))


def precision(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the share of the yes answers that are right, over all classes together.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1; 0 where nothing was answered with yes, as in Keras.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.
    """
    yes, true = _answers(probabilities, targets)
    return float((yes & true).sum() / max(1, yes.sum()))


def recall(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the share of rows whose true class was answered with yes.

    That is the accuracy if only answers above 0.5 are given.  Not to be confused with the UAR, which takes the largest
    probability as the answer and averages over classes.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.
    """
    yes, true = _answers(probabilities, targets)
    return float((yes & true).sum() / len(true))


def _answers(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what was answered and what is true, each bool of shape (n, k)."""
    p, truth = scored_pair(probabilities, targets)
    return p > THRESHOLD, truth[:, None] == np.arange(p.shape[1])
