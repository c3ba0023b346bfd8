"""FER+ (Barsoum et al. 2016, arXiv:1608.01041): ten taggers' votes on the images of FER2013.

The label file ``fer2013new.csv`` (microsoft/FERPlus, MIT) has a row for every row of ``fer2013.csv`` and in its order;
rows are matched within each split, so that files which hold only some splits work as long as both hold the same rows.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data import fer2013
from mien.data.base import FaceData
from mien.errors import DatasetError
from mien.labels import FERPLUS8

__all__ = ["PROTOCOLS", "load", "majority", "plurality", "soft_labels", "with_votes"]

PROTOCOLS = ("majority", "plurality", "probability", "cross-entropy")
"""How votes become labels.

``majority`` and ``plurality`` give one label a row (see the functions of those names).  ``probability`` and
``cross-entropy`` are ways to *train* on `soft_labels` (section 3 of the paper): with ``probability`` a trainer draws
each row's label anew from its distribution every time that it sees the row; with ``cross-entropy`` the distribution
itself is the target.  Both measure against the most voted emotion, so their ``labels`` are those of ``plurality``.
"""

_VOTES = (*FERPLUS8.emotions, "unknown", "NF")
_NAME = "Image name"
_MOST_VOTES = 1000  # ten taggers voted; far more is a damaged row


def load(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    split: str | None = None,
    protocol: str = "majority",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read the images of FER2013 with the labels of FER+.

    Parameters
    ----------
    path : str or pathlib.Path
        The table of FER2013 (see `mien.data.fer2013.load`), or a folder that holds it.
    labels : str or pathlib.Path, optional
        The votes; by default ``fer2013new.csv`` beside the images.
    split : str, optional
        Keep only this split.
    protocol : {"majority", "plurality", "probability", "cross-entropy"}
        How votes become labels (see `PROTOCOLS`).  Rows without a label under the protocol are kept with label -1;
        ``FaceData.labeled()`` drops them.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    FaceData
        Labels in ``FERPLUS8``, and ``distribution`` as `soft_labels` makes it.

    Raises
    ------
    DatasetError
        If a file is missing or wrong, or the two files hold different rows.
    """
    table = table_of(path)
    images = fer2013.load(table, split=split, progress=progress)
    return with_votes(images, labels if labels is not None else votes_beside(table), protocol=protocol)


def table_of(path: str | Path) -> Path:
    """Return the table of FER2013 that a path means: itself, or the one in the folder.

    Raises
    ------
    DatasetError
        If the folder holds none.
    """
    root = Path(path)
    table = fer2013.find_table(root) if fer2013.is_folder(root) else root
    if table is None:
        raise DatasetError(
            f"{root} holds no fer2013.csv: FER+ follows the row order of the table, not of a folder tree"
        )
    return table


def votes_beside(table: Path) -> Path:
    """Return where the votes lie by default: ``fer2013new.csv`` beside the table."""
    return table.parent / "fer2013new.csv"


def with_votes(images: FaceData, labels: str | Path, *, protocol: str = "majority") -> FaceData:
    """Return images of FER2013 with the labels of FER+ in place of their own.

    Parameters
    ----------
    images : FaceData
        All rows of one or more splits, as `mien.data.fer2013.load` returns them from a table.
    labels : str or pathlib.Path
        The votes; for each split of the images as many rows, in the same order.  Other splits may be there or not.
    protocol : {"majority", "plurality", "probability", "cross-entropy"}
        How votes become labels (see `PROTOCOLS`).

    Returns
    -------
    FaceData
        As `load` returns it.

    Raises
    ------
    DatasetError
        If the file of votes is missing or wrong, or holds different rows.
    """
    if protocol not in PROTOCOLS:
        raise DatasetError(f"ferplus has the protocols {', '.join(PROTOCOLS)}, but got {protocol!r}")
    path = Path(labels)
    usages, votes = read_votes(path)
    matched = _match(images, usages, votes, path)
    return replace(
        images,
        name="ferplus",
        labels=majority(matched) if protocol == "majority" else plurality(matched),
        label_set=FERPLUS8,
        protocol=protocol,
        distribution=soft_labels(matched),
    )


def read_votes(path: Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Read the votes.

    Parameters
    ----------
    path : pathlib.Path
        ``fer2013new.csv``, plain or compressed.

    Returns
    -------
    usages : numpy.ndarray
        str of shape (n,).
    votes : numpy.ndarray
        int64 of shape (n, 10): the eight emotions of ``FERPLUS8``, then unknown and NF (not a face).

    Raises
    ------
    DatasetError
        If a column is missing or a vote is not an integer.
    """
    usages: list[str] = []
    votes: list[list[int]] = []
    names: list[str] = []
    with fer2013.open_table(path) as text:
        reader = csv.reader(text)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in ("Usage", *_VOTES) if name not in header]
            if missing:
                raise DatasetError(
                    f"{path} lacks the column {', '.join(missing)}: it has {', '.join(header) or 'none'}"
                )
            usage_at, at = header.index("Usage"), [header.index(name) for name in _VOTES]
            name_at = header.index(_NAME) if _NAME in header else None
            for number, row in enumerate(reader):
                if not row:
                    continue
                votes.append(_counts(row, at, path, number))
                usages.append(_usage(row, usage_at, path, number))
                names.append(row[name_at].strip() if name_at is not None and name_at < len(row) else "")
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: {error}") from error
    if not votes:
        raise DatasetError(f"{path} has no rows")
    _check_order(names, usages, path)
    return np.array(usages), np.array(votes, dtype=np.int64)


def _counts(row: list[str], at: list[int], path: Path, number: int) -> list[int]:
    try:
        counts = [int(row[i]) for i in at]
    except (ValueError, IndexError):
        raise DatasetError(f"{path}, row {number}: expected ten vote counts, but got {row}") from None
    if min(counts) < 0 or max(counts) > _MOST_VOTES:
        raise DatasetError(f"{path}, row {number}: a vote count must be 0..{_MOST_VOTES}, but got {counts}")
    return counts


def _usage(row: list[str], at: int, path: Path, number: int) -> str:
    usage = row[at].strip() if at < len(row) else ""
    if usage not in fer2013.SPLITS:
        raise DatasetError(f"{path}, row {number}: Usage must be one of {', '.join(fer2013.SPLITS)}, but got {usage!r}")
    return usage


def _check_order(names: list[str], usages: list[str], path: Path) -> None:
    """Refuse a shuffled file: joined by position, it would give images the votes of others."""
    for usage in fer2013.SPLITS:
        # The published file has no name for images that are no faces, and three names out of order.
        named = [name for name, of in zip(names, usages, strict=True) if name and of == usage]
        backwards = sum(after <= before for before, after in pairwise(named))
        if backwards > 3 and 4 * backwards > len(named):
            raise DatasetError(
                f"{path}: {backwards} of {len(named)} names of {usage} run backwards: the rows must be in the "
                "published order"
            )


def _match(images: FaceData, usages: NDArray[np.str_], votes: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
    matched = np.zeros((len(images), votes.shape[1]), dtype=np.int64)
    for name in images.split_names():
        here, there = images.splits == name, usages == name
        if here.sum() != there.sum():
            raise DatasetError(
                f"{path} has {there.sum()} rows of {name}, but {images.source} has {here.sum()}: "
                "both files must hold the same rows in the same order"
            )
        matched[here] = votes[there]
    return matched


def _without_singles(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(votes == 1, 0, votes)


def majority(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label rows on which more than half of the taggers agree.

    Counts of a single vote become 0; a row has a label when its largest count is more than half of what remains
    (unknown and NF counted) and that largest is one of the eight emotions (Barsoum et al. 2016, and the code of
    microsoft/FERPlus).

    Parameters
    ----------
    votes : numpy.ndarray
        int64 of shape (n, 10).

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,); -1 where there is no label.
    """
    kept = _without_singles(votes)
    top = kept.argmax(axis=1)
    clear = 2 * kept.max(axis=1) > kept.sum(axis=1)
    return np.where(clear & (top < len(FERPLUS8)), top, -1).astype(np.int64)


def plurality(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label rows with the most voted of the eight emotions, without a threshold.

    Counts of a single vote become 0; ties go to the first in the order of ``FERPLUS8``; a row on which no emotion has
    two votes has no label.

    Parameters
    ----------
    votes : numpy.ndarray
        int64 of shape (n, 10).

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,); -1 where there is no label.
    """
    emotions = _without_singles(votes)[:, : len(FERPLUS8)]
    return np.where(emotions.max(axis=1) > 0, emotions.argmax(axis=1), -1).astype(np.int64)


def soft_labels(votes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the distribution of votes over the eight emotions, single votes set to 0.

    Parameters
    ----------
    votes : numpy.ndarray
        int64 of shape (n, 10).

    Returns
    -------
    numpy.ndarray
        float32 of shape (n, 8), rows summing to one; all zero where no emotion has two votes.
    """
    emotions = _without_singles(votes)[:, : len(FERPLUS8)].astype(np.float32)
    total = emotions.sum(axis=1, keepdims=True)
    shares: NDArray[np.float32] = np.divide(emotions, total, out=np.zeros_like(emotions), where=total > 0)
    return shares
