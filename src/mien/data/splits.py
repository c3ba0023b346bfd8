"""Splits that let nothing stand on two sides: no subject, no clip, no copy of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data.base import FaceData, ImageList, content_hashes
from mien.errors import DatasetError, InputError

__all__ = ["WAYS", "folds", "groups", "holdout"]

WAYS = ("subject", "random")
"""``subject`` keeps groups together; ``random`` ignores them, and exists to show what that is worth."""


def groups(data: FaceData | ImageList) -> NDArray[np.int64]:
    """Return which rows must stay together: those that share subject, clip or pixels, directly or through others.

    Parameters
    ----------
    data : FaceData or ImageList
        Pixels are compared for images in memory only.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,): group numbers from 0, in order of first appearance.
    """
    keys: list[list[Any]] = [[name or None for name in part.tolist()] for part in _named(data)]
    if isinstance(data, FaceData):
        keys.append(list(content_hashes(data.images)))
    parent = list(range(len(data)))
    for column in keys:
        first: dict[Any, int] = {}
        for row, key in enumerate(column):
            if key is not None:
                _unite(parent, first.setdefault(key, row), row)
    roots = [_root(parent, row) for row in range(len(data))]
    number_of: dict[int, int] = {}
    return np.array([number_of.setdefault(root, len(number_of)) for root in roots], dtype=np.int64)


def _named(data: FaceData | ImageList) -> list[NDArray[np.str_]]:
    return [part for part in (data.subjects, data.clips) if part is not None]


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _unite(parent: list[int], a: int, b: int) -> None:
    a, b = _root(parent, a), _root(parent, b)
    parent[max(a, b)] = min(a, b)


def folds(
    labels: NDArray[np.int64], group: NDArray[np.int64], k: int, *, by: str = "subject", seed: int = 0
) -> NDArray[np.int64]:
    """Deal rows into folds of nearly equal size and nearly equal shares of each class.

    Groups go, largest first and in random order among equals, to the fold that then lies closest to an equal share of
    every class.

    Parameters
    ----------
    labels : numpy.ndarray
        int64 of shape (n,); -1 counts as a class of its own.
    group : numpy.ndarray
        int64 of shape (n,), as `groups` returns it.
    k : int
        Number of folds, at least 2.
    by : {"subject", "random"}
        See `WAYS`.
    seed : int
        Seed of the order.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,): fold of each row.

    Raises
    ------
    DatasetError
        If there are fewer groups than folds.
    InputError
        If ``by`` is unknown, or k too small.
    """
    count = check_integer(k, "k", low=2)
    if by not in WAYS:
        raise InputError(f"by must be {' or '.join(WAYS)}, but got {by!r}")
    member = np.unique(group, return_inverse=True)[1] if by == "subject" else np.arange(len(labels))
    n_groups = int(member.max()) + 1 if len(member) else 0
    if n_groups < count:
        what = "subjects (or groups of copies)" if by == "subject" else "images"
        raise DatasetError(f"{count} folds need at least {count} {what}, but there are {n_groups}")
    kinds = np.unique(labels, return_inverse=True)[1]
    table = np.zeros((n_groups, int(kinds.max()) + 1))
    np.add.at(table, (member, kinds), 1)
    return _dealt(table, count, np.random.default_rng(seed))[member]


def _dealt(table: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
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


def holdout(
    labels: NDArray[np.int64], group: NDArray[np.int64], share: float, *, by: str = "subject", seed: int = 0
) -> NDArray[np.bool_]:
    """Choose rows to hold out: about a share of all, of every class, whole groups.

    Parameters
    ----------
    labels, group, by, seed
        See `folds`.
    share : float
        0.02 to 0.5.

    Returns
    -------
    numpy.ndarray
        bool of shape (n,): True for rows held out.

    Raises
    ------
    DatasetError
        If there are too few groups.
    """
    parts = max(round(1 / check_number(share, "share", low=0.02, high=0.5)), 2)
    available = len(np.unique(group)) if by == "subject" else len(labels)
    return np.equal(folds(labels, group, max(min(parts, available), 2), by=by, seed=seed), 0)
