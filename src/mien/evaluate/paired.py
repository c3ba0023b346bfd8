"""Is one model better than another?  Tests on the same rows, which see more than two separate intervals do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError
from mien.evaluate.answers import Answers
from mien.evaluate.speech_answers import SpeechAnswers, together
from mien.metrics import Interval, accuracy, bootstrap_interval, recall_sums, uar, uar_of_sums

__all__ = ["PairedResult", "compare", "compare_clips", "mcnemar"]


@dataclass(frozen=True, slots=True)
class PairedResult:
    """How the answers of two models to the same rows differ; differences are the first minus the second.

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
        Exact two-sided p value of McNemar's test: how often equally good models would differ by this much or more.  It
        takes rows as independent; where several show one person, trust the intervals.
    accuracy_difference, uar_difference : float
        From -1 to 1.
    accuracy_interval, uar_interval : Interval
        95 % intervals of a paired bootstrap; one that holds 0 leaves open which is better.
    intervals_by : str
        What was drawn: ``"subject"``, ``"speaker"``, ``"clip"`` or ``"image"``.
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
    first: Answers,
    second: Answers,
    *,
    names: tuple[str, str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedResult:
    """Test whether two models differ on the same rows.

    Parameters
    ----------
    first, second : Answers
        Of two models, to the same rows.
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
        If the answers are to other rows or labels.

    References
    ----------
    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12, 1947; the
    exact form is the sign test on the rows that differ.  Dietterich, "Approximate statistical tests for comparing
    supervised classification learning algorithms", Neural Computation 10, 1998.
    """
    truth = first.truth
    same = first.rows.source == second.rows.source and np.array_equal(first.rows.rows, second.rows.rows)
    if not same or not np.array_equal(truth, second.truth):
        raise InputError("two models are compared on the same rows, but got answers to different ones")
    return PairedResult(
        *(names or (first.spec.name, second.spec.name)),
        dataset=first.rows.name,
        split=first.split,
        **_figures(truth, first.answered, second.answered, first.groups, resamples, seed),
        intervals_by=first.groups_by,
    )


def compare_clips(
    first: SpeechAnswers,
    second: SpeechAnswers,
    *,
    names: tuple[str, str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedResult:
    """Test whether two speech models differ on the clips that both have answered.

    Parameters
    ----------
    first, second : SpeechAnswers
        Of two models, about one corpus; clips that one of them could not answer are left out.
    names, resamples, seed
        See `compare`.

    Returns
    -------
    PairedResult
        The differences.

    Raises
    ------
    InputError
        If the answers are about different corpora, or no clip was answered by both.
    """
    one, other = first.clips, second.clips
    place = {file: row for row, file in enumerate(other.files)}
    rows = np.array([row for row, file in enumerate(one.files) if file in place], dtype=np.int64)
    matching = np.array([place[one.files[row]] for row in rows], dtype=np.int64)
    alike = (one.name, one.source, one.label_set) == (other.name, other.source, other.label_set)
    if not alike or not len(rows) or not np.array_equal(one.labels[rows], other.labels[matching]):
        raise InputError("two models are compared on the same clips, but got answers to different ones")
    groups, by = together(one.take(rows))
    return PairedResult(
        *(names or (first.model, second.model)),
        dataset=one.name,
        split=first.split,
        **_figures(one.labels[rows], first.answered[rows], second.answered[matching], groups, resamples, seed),
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
    # Whole numbers throughout: for thousands of rows the binomial coefficients leave the range of floats.
    term = total = 1
    for i in range(low):
        term = term * (n - i) // (i + 1)
        total += term
    p: float = 2 * total / 2**n
    return min(1.0, p)
