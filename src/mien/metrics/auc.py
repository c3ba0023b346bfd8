"""The area under the ROC curve, one class against the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.metrics._arrays import scored_pair

__all__ = ["auc"]


def auc(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the area under the ROC curve, one class against the rest, averaged over the classes present.

    For each class it is the chance that a row of the class has a higher probability for it than a row of another
    class, ties counting half: computed from ranks, so it is exact, where Keras sums trapezoids over 200 thresholds.
    Every class counts the same.  A class is left out where the curve is not defined: no row is of it, or every row.

    Parameters
    ----------
    probabilities : array_like of float
        Shape (n, k), rows summing to one.
    targets : array_like of int
        Class numbers of shape (n,).

    Returns
    -------
    float
        From 0 to 1, 0.5 for answers that say nothing; NaN where fewer than two classes are present.

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
