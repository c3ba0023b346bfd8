"""Splits in which nothing stands on two sides: no subject, no clip, no copy of an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer, check_number
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError

__all__ = ["TRAINING", "VALIDATION", "WAYS", "fold_ids", "folds", "holdout", "holdout_mask", "is_split", "suggest"]

TRAINING = ("training", "train")
"""Names of splits to train on, in any case."""

VALIDATION = ("publictest", "validation", "valid", "val", "dev")
"""Names of splits to choose on, in any case. Others, such as ``test`` or ``PrivateTest``, are for final tests: training
never reads them."""

WAYS = ("subject", "random")
"""``subject`` keeps groups together; ``random`` ignores them, and exists to show what that is worth."""


def is_split(names: ArrayLike, wanted: Sequence[str]) -> NDArray[np.bool_]:
    """Return which names of splits, str (n,), are among some in any case, such as `VALIDATION`; bool (n,)."""
    return np.isin(np.char.lower(np.asarray(names, np.str_)), wanted)


def folds(
    samples: Samples, k: int, *, by: str = "subject", group: NDArray[np.int64] | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Divide samples into folds of nearly equal size.

    Images and videos: every class is spread nearly evenly, see `fold_ids`. Audio: whole speakers are spread, and their
    sexes evenly: speakers of each sex are shuffled and assigned in turn; what does not come out even goes on where the
    assignment stopped, so that folds differ by one speaker at most, and by one of either sex. 20 actors of RAVDESS in
    five folds are two women and two men each. Files without a known speaker are assigned one by one, emotion by
    emotion, each with all its copies.

    Parameters
    ----------
    samples : Samples
        The samples.
    k : int
        Number of folds, at least 2.
    by : {"subject", "random"}
        See `WAYS`.
    group : numpy.ndarray, optional
        int64 of shape (n,): what must stay together; by default `Samples.groups`.
    seed : int
        Seed of the order; the same samples and seed give the same folds.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,): fold of each sample.

    Raises
    ------
    DatasetError
        If there are fewer groups than folds.
    InputError
        If ``by`` is unknown, or k too small.
    """
    together = samples.groups() if group is None else group
    if samples.kind == "audio" and by == "subject":
        return _speaker_folds(samples, together, check_integer(k, "k", low=2), seed)
    return fold_ids(samples.labels, together, k, by=by, seed=seed)


def holdout(
    samples: Samples,
    share: float,
    *,
    by: str = "subject",
    group: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Choose samples to hold out: the first of as many `folds` as come nearest to a share.

    Parameters
    ----------
    samples, by, group, seed
        See `folds`.
    share : float
        0.02 to 0.5.

    Returns
    -------
    numpy.ndarray
        bool of shape (n,): True for samples held out.

    Raises
    ------
    DatasetError
        If there are too few groups.
    """
    together = samples.groups() if group is None else group
    return np.equal(folds(samples, _parts(share, together, by), by=by, group=together, seed=seed), 0)


def suggest(samples: Samples, *, seed: int = 0) -> NDArray[np.str_]:
    """Suggest a split for each sample: of five `folds` one is for tests and one for validation.

    Parameters
    ----------
    samples : Samples
        The samples; their own splits are ignored.
    seed : int
        See `folds`.

    Returns
    -------
    numpy.ndarray
        str of shape (n,): ``"train"``, ``"validation"`` or ``"test"``; nobody stands in two of them.

    Raises
    ------
    DatasetError
        If the subjects are not known, or fewer than five.
    """
    if not samples.has("subject"):
        raise DatasetError(f"{samples.name} does not say who its subjects are: no split keeps them apart")
    return np.array(["test", "validation", "train", "train", "train"])[folds(samples, 5, seed=seed)]


def holdout_mask(
    labels: NDArray[np.int64], group: NDArray[np.int64], share: float, *, by: str = "subject", seed: int = 0
) -> NDArray[np.bool_]:
    """Do as `holdout`, by labels and groups alone; see `fold_ids`."""
    return np.equal(fold_ids(labels, group, _parts(share, group, by), by=by, seed=seed), 0)


def _parts(share: float, group: NDArray[np.int64], by: str) -> int:
    """Return the number of folds of which one is about a share of all."""
    parts = max(round(1 / check_number(share, "share", low=0.02, high=0.5)), 2)
    available = len(np.unique(group)) if by == "subject" else len(group)
    return max(min(parts, available), 2)


def fold_ids(
    labels: NDArray[np.int64], group: NDArray[np.int64], k: int, *, by: str = "subject", seed: int = 0
) -> NDArray[np.int64]:
    """Divide rows into folds of nearly equal size and nearly equal shares of each class.

    Groups go, largest first and in random order among equals, to the fold that then lies closest to an equal share of
    every class.

    Parameters
    ----------
    labels : numpy.ndarray
        int64 of shape (n,); -1 counts as a class of its own.
    group : numpy.ndarray
        int64 of shape (n,): rows of a number stay together.
    k, by, seed
        See `folds`.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,): fold of each row.

    Raises
    ------
    DatasetError, InputError
        See `folds`.
    """
    count = check_integer(k, "k", low=2)
    if by not in WAYS:
        raise InputError(f"by must be {' or '.join(WAYS)}, but got {by!r}")
    member = np.unique(group, return_inverse=True)[1] if by == "subject" else np.arange(len(labels))
    n_groups = int(member.max()) + 1 if len(member) else 0
    if n_groups < count:
        what = "subjects (or groups of copies)" if by == "subject" else "samples"
        raise DatasetError(f"{count} folds need at least {count} {what}, but there are {n_groups}")
    kinds = np.unique(labels, return_inverse=True)[1]
    table = np.zeros((n_groups, int(kinds.max()) + 1))
    np.add.at(table, (member, kinds), 1)
    return _balanced_folds(table, count, np.random.default_rng(seed))[member]


def _balanced_folds(table: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each group; ``table`` counts its rows by class."""
    shuffled = rng.permutation(len(table))
    order = shuffled[np.argsort(-table[shuffled].sum(axis=1), kind="stable")]
    # Classes weigh by their rarity, so that the few rows of a rare one are spread, too; the last column is the size.
    columns = np.column_stack([table, table.sum(axis=1)])
    columns = columns / np.maximum(columns.sum(axis=0), 1)
    sums = np.zeros((k, columns.shape[1]))
    result = np.empty(len(table), dtype=np.int64)
    for group in order:
        # Adding x to a sum s grows the sum of squares by 2 s x + x x; the last is the same for all folds.
        fold = int((sums @ columns[group]).argmin())
        sums[fold] += columns[group]
        result[group] = fold
    return result


def _speaker_folds(samples: Samples, group: NDArray[np.int64], k: int, seed: int) -> NDArray[np.int64]:
    group = np.unique(group, return_inverse=True)[1]
    first = np.unique(group, return_index=True)[1]
    if len(first) < k:
        what = "speakers" if samples.has("subject") else "recordings"
        raise DatasetError(f"{k} folds need at least {k} {what}, but {samples.source} has {len(first)}")
    subjects, clips, sexes = samples.subjects, samples.clips, samples.column("sex")
    strata: defaultdict[tuple[str, int], list[tuple[str, str, int]]] = defaultdict(list)
    for number, row in enumerate(first.tolist()):
        subject = str(subjects[row])
        label = -1 if subject else int(samples.labels[row])
        # Sorted by name, not by place in the list: filters and the order of files do not change who is in which fold.
        strata[str(sexes[row]), label].append((subject, str(clips[row]), number))
    rng = np.random.default_rng(seed)
    fold_of = np.empty(len(first), dtype=np.int64)
    assigned = 0
    for key in sorted(strata):
        members = sorted(strata[key])
        for place in rng.permutation(len(members)).tolist():
            fold_of[members[place][2]] = assigned % k
            assigned += 1
    return fold_of[group]
