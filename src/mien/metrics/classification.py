"""Metrics of predicted classes: accuracy, recall, F1, confusion, and one class against the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer, describe
from mien.errors import InputError
from mien.metrics.arrays import class_pair, scored_pair

__all__ = [
    "SCORES",
    "ClassScores",
    "accuracy",
    "auc",
    "binary_accuracy",
    "class_scores",
    "confusion_matrix",
    "macro_f1",
    "precision",
    "recall",
    "scores",
    "uar",
]


def accuracy(targets: ArrayLike, predictions: ArrayLike) -> float:
    """Return the share of rows whose predicted class is the true one.

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
    truth, predicted = class_pair(targets, predictions)
    return float(np.mean(truth == predicted))


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
    truth, predicted = class_pair(targets, predictions)
    totals = np.bincount(truth)
    hits = np.bincount(truth[truth == predicted], minlength=totals.size)
    present = totals > 0
    return float(np.mean(hits[present] / totals[present]))


def confusion_matrix(targets: ArrayLike, predictions: ArrayLike, *, n_classes: int) -> NDArray[np.int64]:
    """Count how often each true class was predicted as each class.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,), from 0 to n_classes - 1.
    n_classes : int
        Number of classes; rows and columns of classes that do not occur stay zero.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n_classes, n_classes): rows are the truth, columns the predictions.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or hold other class numbers.
    """
    size = check_integer(n_classes, "n_classes", low=1)
    truth, predicted = class_pair(targets, predictions, n_classes=size)
    return np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """Scores by class; NaN where a score is not defined.

    Parameters
    ----------
    precision : numpy.ndarray
        float64 (k,): right predictions over predictions of the class; NaN for a class that was never predicted.
    recall : numpy.ndarray
        float64 (k,): right predictions over true rows; NaN for a class that does not occur in the truth.
    f1 : numpy.ndarray
        float64 (k,): 2 TP / (2 TP + FP + FN), which is 0 for a class that occurs but is never predicted; NaN for a
        class that neither occurs nor is predicted.
    support : numpy.ndarray
        int64 (k,): true rows.
    predicted : numpy.ndarray
        int64 (k,): predictions of the class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    predicted: NDArray[np.int64]


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
    hits, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return ClassScores(
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + predicted),
        support=support,
        predicted=predicted,
    )


def macro_f1(targets: ArrayLike, predictions: ArrayLike, *, n_classes: int) -> float:
    """Return the mean F1 over the classes that occur in the truth or among the predictions.

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


def auc(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the area under the ROC curve, one class against the rest, averaged over the classes present.

    For each class it is the chance that a row of the class has a higher probability for it than a row of another
    class, ties counting half: computed from ranks, so it is exact, where Keras sums trapezoids over 200 thresholds.
    Every class counts the same. A class is left out where the curve is not defined: no row is of it, or every row.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1, 0.5 for uninformative probabilities; NaN where fewer than two classes are present.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982 (the area is the
    Mann-Whitney statistic); Fawcett, "An introduction to ROC analysis", 2006, section 9 (one against the rest).
    """
    p, truth = scored_pair(probabilities, targets)
    present = np.unique(truth)
    if present.size < 2:
        return float("nan")
    return float(np.mean([_area(p[truth == c, c], p[truth != c, c]) for c in present]))


def _area(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Return the share of pairs in which the row of the class is the higher one, ties counting half."""
    others = np.sort(outside)
    below = np.searchsorted(others, inside, side="left").sum()
    not_above = np.searchsorted(others, inside, side="right").sum()
    return float((below + not_above) / 2 / (inside.size * outside.size))


# Binary accuracy, precision and recall of probabilities, each class taken against the rest: Keras's ``BinaryAccuracy``,
# ``Precision`` and ``Recall`` as many published training logs of emotion models print them. Every one of the n x k
# probabilities is one yes-or-no question ("is it anger?"), with yes above 0.5, and all questions count the same (micro
# average). A row may so be assigned to no class at all. The figures are not comparable with accuracy: with seven
# classes, no to everything has a binary accuracy of 85.7 %.
# Keras, keras/src/metrics/accuracy_metrics.py and confusion_metrics.py (Apache 2.0): strictly above the threshold is
# yes, and a ratio without a denominator is 0.

THRESHOLD = 0.5
"""Keras's default: above it the answer is yes."""


def binary_accuracy(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the share of right yes-or-no decisions over all rows and classes.

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
    yes, true = _yes_and_true(probabilities, targets)
    return float(np.mean(yes == true))


def precision(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the share of the yes decisions that are right, over all classes together.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1; 0 where nothing is above the threshold, as in Keras.

    Raises
    ------
    InputError
        If the arrays are empty or do not fit each other.
    """
    yes, true = _yes_and_true(probabilities, targets)
    return float((yes & true).sum() / max(1, yes.sum()))


def recall(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the share of rows whose true class is above the threshold.

    That is the accuracy if only predictions above 0.5 are given. Not to be confused with the UAR, which takes the
    largest probability and averages over classes.

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
    yes, true = _yes_and_true(probabilities, targets)
    return float((yes & true).sum() / len(true))


def _yes_and_true(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what is above the threshold and what is true, each bool of shape (n, k)."""
    p, truth = scored_pair(probabilities, targets)
    return p > THRESHOLD, truth[:, None] == np.arange(p.shape[1])


SCORES = ("accuracy", "uar", "macro_f1", "binary_accuracy", "precision", "recall", "auc")
"""The keys of `scores`, in their order."""


def scores(truth: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Return all figures of one set of predictions.

    UAR and AUC are over the classes that occur in `truth`, macro F1 over those
    that occur or are predicted, and the others are over rows. Only the AUC can be NaN: with one class alone there is
    nothing to tell apart.

    Parameters
    ----------
    truth : array_like of int
        Class numbers of shape (n,); rows with -1 have no label and are left out.
    probabilities : array_like of float
        Shape (n, k), rows summing to one.

    Returns
    -------
    dict of str to float
        With the keys `SCORES`: accuracy, UAR and macro F1 of the most likely class; binary accuracy, precision and
        recall of every class against the rest at 0.5 (micro); AUC of every class against the rest (macro).

    Raises
    ------
    InputError
        If the arrays do not fit each other, or no row has a label.
    """
    numbers: NDArray[np.int64] = np.asarray(truth)
    p = np.asarray(probabilities)
    if numbers.ndim != 1 or p.ndim != 2 or len(numbers) != len(p):
        raise InputError(
            f"truth and probabilities must be of shape (n,) and (n, k), but got {describe(numbers)} and {describe(p)}"
        )
    labeled = numbers != -1
    if not labeled.any():
        raise InputError(f"no row has a label: all {len(numbers)} are -1")
    numbers, p = numbers[labeled], p[labeled]
    predicted = p.argmax(axis=1)
    values = (
        accuracy(numbers, predicted),
        uar(numbers, predicted),
        macro_f1(numbers, predicted, n_classes=p.shape[1]),
        binary_accuracy(p, numbers),
        precision(p, numbers),
        recall(p, numbers),
        auc(p, numbers),
    )
    return dict(zip(SCORES, values, strict=True))
