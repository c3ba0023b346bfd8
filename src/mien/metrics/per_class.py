"""Precision, recall and F1 of each class, and macro F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.metrics.confusion import confusion_matrix

__all__ = ["ClassScores", "class_scores", "macro_f1"]


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """Scores by class; NaN where a score is not defined.

    Parameters
    ----------
    precision : numpy.ndarray
        float64 (k,): right answers over answers given; NaN for a class that was never answered.
    recall : numpy.ndarray
        float64 (k,): right answers over true rows; NaN for a class that does not occur in the truth.
    f1 : numpy.ndarray
        float64 (k,): 2 TP / (2 TP + FP + FN), which is 0 for a class that occurs but is never answered; NaN for a class
        that neither occurs nor is answered.
    support : numpy.ndarray
        int64 (k,): true rows.
    answered : numpy.ndarray
        int64 (k,): answers given.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    answered: NDArray[np.int64]


def class_scores(targets: ArrayLike, predictions: ArrayLike, *, n_classes: int) -> ClassScores:
    """Return precision, recall and F1 of each class.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,), from 0 to n_classes - 1.
    n_classes : int
        Number of classes.

    Returns
    -------
    ClassScores
        Arrays of length n_classes.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or hold other class numbers.
    """
    matrix = confusion_matrix(targets, predictions, n_classes=n_classes)
    hits, support, answered = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return ClassScores(
        precision=_ratio(hits, answered),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + answered),
        support=support,
        answered=answered,
    )


def macro_f1(targets: ArrayLike, predictions: ArrayLike, *, n_classes: int) -> float:
    """Return the mean F1 over the classes that occur in the truth or among the answers.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,), from 0 to n_classes - 1.
    n_classes : int
        Number of classes.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or hold other class numbers.
    """
    return float(np.nanmean(class_scores(targets, predictions, n_classes=n_classes).f1))


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result
