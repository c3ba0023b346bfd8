"""The confusion matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer
from mien.metrics._arrays import class_pair

__all__ = ["confusion_matrix"]


def confusion_matrix(targets: ArrayLike, predictions: ArrayLike, *, n_classes: int) -> NDArray[np.int64]:
    """Count how often each true class was answered as each class.

    Parameters
    ----------
    targets, predictions : array_like of int
        Class numbers of shape (n,), from 0 to n_classes - 1.
    n_classes : int
        Number of classes; rows and columns of classes that do not occur stay zero.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n_classes, n_classes): rows are the truth, columns the answers.

    Raises
    ------
    InputError
        If the arrays are empty, of different length, or hold other class numbers.
    """
    size = check_integer(n_classes, "n_classes", low=1)
    truth, answers = class_pair(targets, predictions, n_classes=size)
    return np.bincount(truth * size + answers, minlength=size * size).reshape(size, size).astype(np.int64)
