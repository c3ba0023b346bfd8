"""Several datasets become one: labels mapped to one set, splits kept, and where each image comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.data.samples import Samples, content_hashes
from mien.errors import DatasetError, InputError
from mien.face.align import fit_crop
from mien.labels import LabelSet, label_set, mapping

__all__ = ["LABELS", "Joined", "is_training", "join"]

LABELS = ("fer7", "ferplus8")
"""Label sets that datasets are joined in."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Several datasets as one.

    Parameters
    ----------
    data : Samples
        All images, in the order of the sources.
    sources : tuple of str
        Where each image comes from, such as ``"fer2013:row 17"`` or ``"jaffe:KA.AN1.39.tiff"``.
    notes : tuple of str
        What was merged, dropped, left out or resampled, a line each.
    duplicates : tuple of (str, str, int)
        For two sources, how many images of the second are pixel for pixel in the first; for one and itself, how
        many come again.
    split_copies : int
        How many different images stand in two splits or more.
    conflicts : int
        How many different images have copies with other labels.
    dropped : int
        How many copies were left out.
    """

    data: Samples
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    duplicates: tuple[tuple[str, str, int], ...]
    split_copies: int
    conflicts: int
    dropped: int


def join(parts: Sequence[Samples], *, labels: str = "fer7", size: int = 48, drop_duplicates: bool = False) -> Joined:
    """Join datasets.

    Images without a label, or with one that the label set has no place for, are left out. Names of subjects and
    clips get the dataset's name before them, so that ``S01`` of two of them stays two people. Distributions of votes
    are kept when all sources have them.

    Parameters
    ----------
    parts : sequence of Samples
        The sources.
    labels : {"fer7", "ferplus8"}
        Label set of the result; see `mien.labels.mapping` for what merges and what is dropped.
    size : int
        Side of the images; others are resampled as `mien.face.align.fit_crop` does.
    drop_duplicates : bool
        Keep one copy of an image, within and across the sources, so that nothing stands in two splits: the first in
        a split that is held out, else the first (see `is_training`).

    Returns
    -------
    Joined
        The data, and what was done to it.

    Raises
    ------
    InputError
        If there is no source, or the label set is unknown.
    DatasetError
        If nothing is left.
    """
    if not parts:
        raise InputError("join needs at least one dataset, but got none")
    if labels not in LABELS:
        raise InputError(f"labels must be one of {', '.join(LABELS)}, but got {labels!r}")
    side = check_integer(size, "size", low=8, high=1024)
    notes: list[str] = []
    names = _names(parts)
    mapped = [
        _sized(_mapped(part, label_set(labels), name, notes), side, name, notes)
        for part, name in zip(parts, names, strict=True)
    ]
    voted = [part.distribution is not None for part in mapped]
    if any(voted) and not all(voted):
        notes.append("the distributions of votes are left out: not all sources have them")
    data = _stacked(mapped, keep_votes=all(voted))
    sources = np.array([line for part, name in zip(mapped, names, strict=True) for line in _sources(part, name)])
    origin = np.repeat(np.arange(len(mapped)), [len(part) for part in mapped])
    if not len(data):
        raise DatasetError("nothing is left to join: no image has a label of the set " + labels)
    content = _content(data)
    found = _duplicates(content, origin, names), _several(content, data.splits), _several(content, data.labels)
    dropped = 0
    if drop_duplicates:
        kept = _kept(content, data.splits)
        dropped = len(data) - len(kept)
        data, sources = replace(data.take(kept), rows=np.arange(len(kept), dtype=np.int64)), sources[kept]
    return Joined(data, tuple(sources.tolist()), tuple(notes), *found, dropped)


def is_training(split: str) -> bool:
    """Return whether a split is for training by its name: it begins with ``train``, or there is none.

    All others, such as ``PublicTest``, ``val`` and ``test``, are taken as held out.
    """
    return not split or split.lower().startswith("train")


def _names(parts: Sequence[Samples]) -> list[str]:
    """Return the names of the sources; a second one of the same name from elsewhere gets a number."""
    seen: dict[str, list[str]] = {}
    names = []
    for part in parts:
        known = seen.setdefault(part.name, [])
        if part.source not in known:
            known.append(part.source)
        number = known.index(part.source)
        names.append(f"{part.name}-{number + 1}" if number else part.name)
    return names


def _mapped(part: Samples, target: LabelSet, name: str, notes: list[str]) -> Samples:
    """Return the labeled images with labels of another set, their subjects and clips named after the source."""
    rule = mapping(part.label_set, target)
    # One row more, for what has no label: -1 finds it from the end.
    place = np.append(np.where(rule.weights.any(axis=1), rule.weights.argmax(axis=1), -1), -1)
    labels = place[part.labels].astype(np.int64)
    if not (part.labels >= 0).all():
        notes.append(f"{name}: {int((part.labels < 0).sum())} images without a label are left out")
    gone = Counter(part.label_set.emotions[i] for i in part.labels[(labels < 0) & (part.labels >= 0)])
    notes.extend(f"{name}: {count} images of {emotion} are left out" for emotion, count in gone.items())
    merged = Counter(
        (part.label_set.emotions[i], target.emotions[place[i]]) for i in part.labels[part.labels >= 0] if place[i] >= 0
    )
    notes.extend(f"{name}: {n} images of {old} count as {new}" for (old, new), n in merged.items() if old != new)
    votes = part.distribution
    if votes is not None:
        shares = rule.apply(votes).astype(np.float32)
        # An image whose votes all went to what is dropped has none left, not one for each emotion.
        shares[(votes @ rule.weights).sum(axis=1) <= 0] = 0
        votes = shares
    columns = {
        "split": part.splits,
        "subject": _prefixed(part.subjects, name),
        "clip": _prefixed(part.clips, name),
        "crop": part.column("crop"),
    }
    result = replace(part, labels=labels, label_set=target, distribution=votes, columns=columns)
    return result.take(labels >= 0)


def _prefixed(names: NDArray[np.str_], prefix: str) -> NDArray[np.str_]:
    return np.array([f"{prefix}:{word}" if word else "" for word in names.tolist()], dtype=np.str_)


def _sized(part: Samples, side: int, name: str, notes: list[str]) -> Samples:
    height, width = part.images.shape[1:]
    if (height, width) == (side, side) or not len(part):
        return part if len(part) else replace(part, pixels=np.zeros((0, side, side), np.uint8))
    notes.append(f"{name}: images of {width} x {height} are resampled to {side} x {side}")
    return replace(part, pixels=np.stack([fit_crop(image, side)[..., 0] for image in part.images]))


def _stacked(parts: Sequence[Samples], *, keep_votes: bool) -> Samples:
    votes = [part.distribution for part in parts if part.distribution is not None]
    columns = {
        name: np.concatenate([part.column(name) for part in parts]) for name in ("split", "subject", "clip", "crop")
    }
    return Samples(
        name="joined",
        kind="image",
        source=", ".join(dict.fromkeys(part.source for part in parts)),
        pixels=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        label_set=parts[0].label_set,
        columns=columns,
        protocol="; ".join(dict.fromkeys(part.protocol for part in parts if part.protocol)),
        distribution=np.concatenate(votes) if keep_votes else None,
    )


def _sources(part: Samples, name: str) -> list[str]:
    places = [file or f"row {row}" for file, row in zip(part.files.tolist(), part.rows.tolist(), strict=True)]
    return [f"{name}:{place}" for place in places]


def _content(data: Samples) -> NDArray[np.int64]:
    """Return a number for each image, the same for the same pixels, from 0 in order of first appearance."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(digest, len(seen)) for digest in content_hashes(data.images)], dtype=np.int64)


def _duplicates(
    content: NDArray[np.int64], origin: NDArray[np.int64], names: Sequence[str]
) -> tuple[tuple[str, str, int], ...]:
    """Return the counts of copies by the sources of the first and of the later one."""
    first = np.unique(content, return_index=True)[1][content]
    later = np.flatnonzero(first < np.arange(len(content)))
    pairs = Counter(zip(origin[first[later]].tolist(), origin[later].tolist(), strict=True))
    return tuple((names[a], names[b], count) for (a, b), count in sorted(pairs.items()))


def _several(content: NDArray[np.int64], values: NDArray[Any]) -> int:
    """Count the contents that come with more than one value."""
    codes = np.unique(values, return_inverse=True)[1]
    pairs = np.unique(np.stack([content, codes], axis=1), axis=0)
    return int((np.bincount(pairs[:, 0]) > 1).sum())


def _kept(content: NDArray[np.int64], splits: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the rows of the copies to keep, in order: of each content the first held out, else the first."""
    training = np.array([is_training(split) for split in splits.tolist()])
    order = np.argsort(training, kind="stable")  # those held out come first
    return np.sort(order[np.unique(content[order], return_index=True)[1]])
