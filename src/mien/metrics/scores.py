"""The seven figures that a training run writes for every epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import describe
from mien.errors import InputError
from mien.metrics.accuracy import accuracy, uar
from mien.metrics.auc import auc
from mien.metrics.one_against_rest import binary_accuracy, precision, recall
from mien.metrics.per_class import macro_f1

__all__ = ["SCORES", "scores"]

SCORES = ("accuracy", "uar", "macro_f1", "binary_accuracy", "precision", "recall", "auc")
"""The keys of `scores`, in their order."""


def scores(truth: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Return all figures of one set of answers.

    Classes without a row do not disturb: UAR and AUC are over the classes that occur in `truth`, macro F1 over those
    that occur or are answered, and the others are over rows.  Only the AUC can be NaN: with one class alone there is
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
    answers = p.argmax(axis=1)
    values = (
        accuracy(numbers, answers),
        uar(numbers, answers),
        macro_f1(numbers, answers, n_classes=p.shape[1]),
        binary_accuracy(p, numbers),
        precision(p, numbers),
        recall(p, numbers),
        auc(p, numbers),
    )
    return dict(zip(SCORES, values, strict=True))
