"""Shares of right answers: over all rows (accuracy) and averaged over classes (UAR)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mien.metrics._arrays import class_pair

__all__ = ["accuracy", "uar"]


def accuracy(targets: ArrayLike, predictions: ArrayLike) -> float:
    """Return the share of rows whose answer is the true class.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or no class numbers.
    """
    truth, answers = class_pair(targets, predictions)
    return float(np.mean(truth == answers))


def uar(targets: ArrayLike, predictions: ArrayLike) -> float:
    """Return the unweighted average recall, also called balanced accuracy.

    Every class counts the same, however rare it is, so a model that neglects disgust (1.5 % of FER2013) cannot hide it.
    The mean is over the classes that occur in `targets`: recall of a class without a row is not defined, and counting
    it as 0 or 1 would move the number without any evidence.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1; chance level is one over the number of classes present.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or no class numbers.

    References
    ----------
    Schuller, Steidl and Batliner, "The INTERSPEECH 2009 Emotion Challenge", Interspeech 2009.
    """
    truth, answers = class_pair(targets, predictions)
    totals = np.bincount(truth)
    hits = np.bincount(truth[truth == answers], minlength=totals.size)
    present = totals > 0
    return float(np.mean(hits[present] / totals[present]))
