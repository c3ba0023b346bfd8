"""Is one model better than another?  Tests on the same samples, which see more than two separate intervals do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError
from mien.evaluate.predictions import Predictions, resampling_groups
from mien.metrics import Interval, accuracy, bootstrap_interval, recall_sums, uar, uar_of_sums

__all__ = ["PairedResult", "compare", "mcnemar"]


@dataclass(frozen=True, slots=True)
class PairedResult:
    """How the predictions of two models for the same samples differ; differences are the first minus the second.

    Parameters
    ----------
    first, second : str
        The models.
    dataset, split : str
        The rows.
    n : int
        Rows.
    only_first_right, only_second_right : int
        Rows that one model alone has right: all that tells the two apart.
    p_mcnemar : float
        Exact two-sided p value of McNemar's test: how often equally good models would differ by this much or more. It
        takes rows as independent; where several show one person, trust the intervals.
    accuracy_difference, uar_difference : float
        From -1 to 1.
    accuracy_interval, uar_interval : Interval
        95 % intervals of a paired bootstrap; one that holds 0 leaves open which is better.
    intervals_by : str
        What was drawn: ``"subject"``, ``"clip"`` or ``"image"``.
    """

    first: str
    second: str
    dataset: str
    split: str
    n: int
    only_first_right: int
    only_second_right: int
    p_mcnemar: float
    accuracy_difference: float
    accuracy_interval: Interval
    uar_difference: float
    uar_interval: Interval
    intervals_by: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        plain = dataclasses.asdict(self)
        return plain | {key: list(plain[key]) for key in ("accuracy_interval", "uar_interval")}


def compare(
    first: Predictions,
    second: Predictions,
    *,
    names: tuple[str, str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedResult:
    """Test whether two models differ on the samples that both have predicted.

    Parameters
    ----------
    first, second : Predictions
        Of two models, for one dataset; samples that one of them could not predict are left out.
    names : (str, str), optional
        What to call the models; by default as their records do.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    PairedResult
        The differences.

    Raises
    ------
    InputError
        If the predictions are for other samples or labels, or no sample was predicted by both.

    References
    ----------
    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12, 1947; the
    exact form is the sign test on the rows that differ. Dietterich, "Approximate statistical tests for comparing
    supervised classification learning algorithms", Neural Computation 10, 1998.
    """
    one, other = first.samples, second.samples
    _, rows, matching = np.intersect1d(one.rows, other.rows, return_indices=True)
    order = np.argsort(rows)
    rows, matching = rows[order], matching[order]
    alike = (one.name, one.source, one.label_set) == (other.name, other.source, other.label_set)
    if not alike or not len(rows) or not np.array_equal(one.labels[rows], other.labels[matching]):
        raise InputError("two models are compared on the same samples, but got predictions for different ones")
    groups, by = resampling_groups(one.take(rows))
    return PairedResult(
        *(names or (first.model, second.model)),
        dataset=one.name,
        split=first.split,
        **_figures(one.labels[rows], first.classes[rows], second.classes[matching], groups, resamples, seed),
        intervals_by=by,
    )


def _figures(
    truth: NDArray[np.int64],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    groups: NDArray[np.int64],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return the differences by the names of the fields of `PairedResult`."""
    right_a, right_b = a == truth, b == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())

    def interval(sums: NDArray[Any], figure: Any) -> Interval:
        return bootstrap_interval(sums, figure, groups=groups, resamples=resamples, seed=seed)

    shares = np.stack([right_a.astype(float) - right_b, np.ones(len(truth))], axis=1)
    recalls = np.concatenate([recall_sums(truth, a), recall_sums(truth, b)], axis=1)
    return {
        "n": len(truth),
        "only_first_right": only_a,
        "only_second_right": only_b,
        "p_mcnemar": mcnemar(only_a, only_b),
        "accuracy_difference": accuracy(truth, a) - accuracy(truth, b),
        "accuracy_interval": interval(shares, lambda sums: sums[:, 0] / sums[:, 1]),
        "uar_difference": uar(truth, a) - uar(truth, b),
        "uar_interval": interval(recalls, _uar_difference),
    }


def _uar_difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    one, other = np.split(sums, 2, axis=1)
    return np.asarray(uar_of_sums(one) - uar_of_sums(other))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p value of McNemar's test.

    Parameters
    ----------
    only_first, only_second : int
        Rows that only one of two models has right.

    Returns
    -------
    float
        From 0 to 1; 1 where no row differs.

    Raises
    ------
    InputError
        If a count is no whole number of at least 0.
    """
    low, high = sorted(
        check_integer(count, name, low=0) for count, name in ((only_first, "only_first"), (only_second, "only_second"))
    )
    n = low + high
    # Integers throughout: for thousands of rows the binomial coefficients leave the range of floats.
    term = total = 1
    for i in range(low):
        term = term * (n - i) // (i + 1)
        total += term
    p: float = 2 * total / 2**n
    return min(1.0, p)
