"""What is wrong with data before anything is trained on it: copies, leaks between splits, conflicts, empty pictures."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.datasets import ferplus
from mien.datasets._near import ALIKE, DETAIL, FLAT, Pairs, near_pairs, spreads, thumbnail
from mien.datasets.base import FaceData, PictureList, content_hashes
from mien.errors import DatasetError, MienError
from mien.faces.align import fit_crop
from mien.faces.detect import Detector
from mien.media.paths import shown

__all__ = ["KINDS", "Audit", "Finding", "Group", "Item", "audit", "voted_no_face", "write_json"]

KINDS: dict[str, str] = {
    "identical": "identical pictures",
    "near": "near copies",
    "subject": "one subject in several splits",
    "clip": "one clip in several splits",
    "conflict": "identical pictures, different labels",
    "flat": "empty pictures",
    "unreadable": "unreadable files",
    "voted_no_face": "voted not a face",
    "no_face": "no face found",
}
"""What is looked for, in words."""

LEAKS = ("identical", "near", "subject", "clip")
"""Kinds of which a group that spans splits is a leak."""

CROP_PX, CROP_ENLARGED = 96, 4
"""Pictures of tables up to this side are enlarged so many times before a face is looked for, as in
``scripts/measure_crop.py``: detectors look for faces of 20 px and more."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a group.

    Parameters
    ----------
    data : str
        The data set, as it was named.
    row : int
        Its row, or its place in the list of files, from 0.
    file : str
        Its file, relative to the data set; empty for a row of a table.
    split, emotion, subject : str
        What the data set says; empty where it says nothing.
    """

    data: str
    row: int
    file: str = ""
    split: str = ""
    emotion: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that belong together.

    Parameters
    ----------
    items : tuple of Item
        In the order of the data.
    leak : bool
        Whether they lie in several splits, or in several data sets.
    note : str
        The subject or clip; of near copies the lowest correlation, and whether some are mirrored.
    """

    items: tuple[Item, ...]
    leak: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """All groups of one kind; single pictures are groups of one.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    groups : tuple of Group
        In the order of their first pictures.
    """

    kind: str
    groups: tuple[Group, ...]

    @property
    def pictures(self) -> int:
        """How many pictures are in the groups."""
        return sum(len(group.items) for group in self.groups)

    @property
    def leaks(self) -> int:
        """How many groups are leaks."""
        return sum(group.leak for group in self.groups)


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Parameters
    ----------
    data : tuple of str
        The data sets, as they were named, the audited one first.
    pictures : int
        How many were looked at.
    findings : tuple of Finding
        One for each kind that was looked for, in the order of `KINDS`, also those without groups.
    between : tuple of (str, str, str, int)
        Kind, split, other split, and how many pictures of the first have a copy in the other.
    problems : tuple of str
        What the data sets' loaders said is missing, wrong or left out, a line each.
    thresholds : dict of str to float
        See `mien.datasets._near`.
    """

    data: tuple[str, ...]
    pictures: int
    findings: tuple[Finding, ...]
    between: tuple[tuple[str, str, str, int], ...]
    problems: tuple[str, ...] = ()
    thresholds: dict[str, float] = field(
        default_factory=lambda: {"correlation": ALIKE, "detail_correlation": DETAIL, "flat_deviation": FLAT}
    )

    @property
    def leaks(self) -> int:
        """How many groups lie on both sides of a split."""
        return sum(finding.leaks for finding in self.findings)

    def finding(self, kind: str) -> Finding:
        """Return the finding of a kind; empty if it was not looked for."""
        return next((one for one in self.findings if one.kind == kind), Finding(kind, ()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: everything, with every group's rows or files."""
        found = {
            one.kind: {
                "title": KINDS[one.kind],
                "pictures": one.pictures,
                "leaks": one.leaks,
                "groups": [asdict(group) for group in one.groups],
            }
            for one in self.findings
        }
        between = [
            {"kind": kind, "split": first, "other": second, "pictures": count}
            for kind, first, second, count in self.between
        ]
        return {
            "data": list(self.data),
            "pictures": self.pictures,
            "leaks": self.leaks,
            "thresholds": dict(self.thresholds),
            "between": between,
            "findings": found,
            "problems": list(self.problems),
        }


def audit(
    data: FaceData | PictureList,
    *,
    against: Sequence[FaceData | PictureList] = (),
    near: bool = True,
    no_faces: NDArray[np.bool_] | None = None,
    detector: Detector | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Look for what would make a result wrong.

    Pictures are compared by their pixels, whatever their files: a grey PNG is the same as a row of a table.  Subjects
    and clips are compared within data sets of one name.  A picture without a split is on no side of its data set.

    Parameters
    ----------
    data : FaceData or PictureList
        What is audited.
    against : sequence of FaceData or PictureList
        Other data sets, such as an examination: everything that they share with ``data`` or each other is a leak.
    near : bool
        Look for near copies, too.
    no_faces : numpy.ndarray, optional
        bool of shape (n,) for ``data``: pictures that annotators called no face; see `voted_no_face`.
    detector : Detector, optional
        Finds the pictures of ``data`` without a face; slow.
    progress : callable, optional
        Gets what is done, how many pictures of it were done since the last call, and of how many.

    Returns
    -------
    Audit
        The findings; unreadable files are one of them and stop nothing.

    Raises
    ------
    DatasetError
        If there is nothing to look at, or no picture can be read.
    """
    say = progress or (lambda *_: None)
    pool = _Pool((data, *against))
    if not len(pool):
        raise DatasetError(f"{data.source} has no pictures")
    thumbs = pool.read(say)
    good = np.flatnonzero(pool.readable)
    if not len(good):
        raise DatasetError(f"none of the {len(pool)} pictures of {data.source} can be read: {pool.reasons[0]}")
    copies = [rows for rows in _by(pool.hashes).values() if len(rows) > 1]
    empty = pool.readable & (spreads(thumbs) < FLAT)
    groups: dict[str, list[Group]] = {"identical": [pool.group(rows) for rows in copies]}
    between = pool.between("identical", copies)
    if near:
        linked, notes = _near_groups(pool, thumbs, empty, say)
        groups["near"] = [pool.group(rows, note) for rows, note in zip(linked, notes, strict=True)]
        between += pool.between("near", linked)
    for kind, keys in (("subject", pool.subjects), ("clip", pool.clips)):
        named = [(key, rows) for key, rows in _by(keys).items() if len(pool.sides(rows)) > 1]
        groups[kind] = [pool.group(rows, key[1]) for key, rows in named]
        between += pool.between(kind, [rows for _, rows in named])
    groups["conflict"] = [pool.group(rows) for rows in copies if len(pool.emotions(rows)) > 1]
    groups["flat"] = [pool.group([i]) for i in np.flatnonzero(empty).tolist()]
    groups["unreadable"] = [pool.group([i], pool.reasons[i]) for i in np.flatnonzero(~pool.readable).tolist()]
    if no_faces is not None:
        groups["voted_no_face"] = [pool.group([i]) for i in np.flatnonzero(no_faces).tolist()]
    if detector is not None:
        groups["no_face"] = [pool.group([i]) for i in _faceless(data, detector, pool.readable, say)]
    return Audit(
        data=tuple(pool.names),
        pictures=len(pool),
        findings=tuple(Finding(kind, tuple(groups[kind])) for kind in KINDS if kind in groups),
        between=tuple(between),
        problems=tuple(line for one in (data, *against) for line in getattr(one, "problems", ())),
    )


def voted_no_face(data: FaceData, labels: str | Path) -> NDArray[np.bool_]:
    """Return which pictures most FER+ taggers called no face: more votes for it than for anything else.

    Parameters
    ----------
    data : FaceData
        Pictures of FER2013 with all rows of each of their splits, in the published order.
    labels : str or pathlib.Path
        The votes.

    Raises
    ------
    DatasetError
        If the votes are missing or wrong, or of other rows.
    """
    usages, votes = ferplus.read_votes(Path(labels))
    result = np.zeros(len(data), dtype=np.bool_)
    for name in data.split_names():
        here, there = data.splits == name, usages == name
        if here.sum() != there.sum():
            raise DatasetError(f"{labels} has {there.sum()} rows of {name}, but {data.source} has {here.sum()}")
        result[here] = votes[there][:, -1] > votes[there][:, :-1].max(axis=1)
    return result


def write_json(found: Audit, path: str | os.PathLike[str]) -> None:
    """Write everything that an audit found as JSON.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    try:
        with Path(path).open("w", encoding="utf-8") as file:
            json.dump(found.to_dict(), file, indent=1, ensure_ascii=False)
            file.write("\n")
    except OSError as error:
        raise DatasetError(f"cannot write {shown(path)}: {error.strerror or error}") from error


class _Pool:
    """All pictures of several data sets, numbered through."""

    def __init__(self, parts: Sequence[FaceData | PictureList]) -> None:
        self._parts = parts
        self._first = np.cumsum([0, *(len(part) for part in parts)])
        self.names: list[str] = []
        for part in parts:
            used = sum(name.split(" #")[0] == part.name for name in self.names)
            self.names.append(f"{part.name} #{used + 1}" if used else part.name)
        self.readable = np.ones(len(self), dtype=np.bool_)
        self.reasons: dict[int, str] = {}
        self.hashes: list[bytes | None] = [None] * len(self)
        self.subjects = self._named("subjects")
        self.clips = self._named("clips")

    def __len__(self) -> int:
        return int(self._first[-1])

    def _named(self, what: str) -> list[tuple[str, str] | None]:
        keys: list[tuple[str, str] | None] = []
        for part in self._parts:
            values = getattr(part, what)
            keys += [None] * len(part) if values is None else [(part.name, v) if v else None for v in values.tolist()]
        return keys

    def read(self, say: Callable[[str, int, int], None]) -> NDArray[np.uint8]:
        """Read everything once: return thumbnails, and keep the hashes and what cannot be read."""
        thumbs = np.zeros((len(self), 48, 48), np.uint8)
        for first, part in zip(self._first.tolist(), self._parts, strict=False):
            for i in range(len(part)):
                try:
                    picture = part.images[i] if isinstance(part, FaceData) else _grey(part.read(i))
                except MienError as error:
                    self.readable[first + i] = False
                    self.reasons[first + i] = str(error)
                else:
                    self.hashes[first + i] = content_hashes([picture])[0]
                    thumbs[first + i] = thumbnail(picture)
                say("reading", 1, len(self))
        return thumbs

    def _place(self, number: int) -> tuple[int, int]:
        part = int(np.searchsorted(self._first, number, side="right")) - 1
        return part, number - int(self._first[part])

    def item(self, number: int) -> Item:
        """Return a picture by its number."""
        index, i = self._place(number)
        part = self._parts[index]
        files = part.files
        return Item(
            data=self.names[index],
            row=int(part.rows[i]) if isinstance(part, FaceData) else i,
            file="" if files is None else str(files[i]),
            split=str(part.splits[i]),
            emotion="" if part.labels[i] < 0 else part.label_set.emotions[part.labels[i]],
            subject="" if part.subjects is None else str(part.subjects[i]),
        )

    def group(self, rows: Sequence[int], note: str = "") -> Group:
        """Return pictures as a group."""
        return Group(tuple(self.item(row) for row in rows), leak=len(self.sides(rows)) > 1, note=note)

    def side(self, number: int) -> tuple[int, str]:
        """Return the data set and the split of a picture."""
        index, i = self._place(number)
        return index, str(self._parts[index].splits[i])

    def sides(self, rows: Iterable[int]) -> set[tuple[int, str]]:
        """Return on which sides pictures lie; one without a split adds none to those of its data set."""
        found = {self.side(row) for row in rows}
        known = {part for part, split in found if split}
        return {(part, split) for part, split in found if split or part not in known}

    def emotions(self, rows: Iterable[int]) -> set[str]:
        """Return the different labels of pictures."""
        return {self.item(row).emotion for row in rows} - {""}

    def between(self, kind: str, groups: Iterable[Sequence[int]]) -> list[tuple[str, str, str, int]]:
        """Count for each pair of sides the pictures of one that have a companion on the other."""
        counts: dict[tuple[tuple[int, str], tuple[int, str]], int] = defaultdict(int)
        for rows in groups:
            on: dict[tuple[int, str], int] = defaultdict(int)
            for row in rows:
                on[self.side(row)] += 1
            for a, b in combinations(sorted(self.sides(rows)), 2):
                counts[a, b] += on[a]
                counts[b, a] += on[b]
        return [(kind, self._side_name(a), self._side_name(b), count) for (a, b), count in sorted(counts.items())]

    def _side_name(self, side: tuple[int, str]) -> str:
        part, split = side
        if len(self._parts) == 1:
            return split
        return f"{self.names[part]}: {split}" if split else self.names[part]


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture without colours as (H, W), as it would be in a table."""
    return np.ascontiguousarray(picture[..., 0]) if (picture[..., :1] == picture).all() else picture


def _by(keys: Sequence[Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key is not None:
            found[key].append(number)
    return found


def _near_groups(
    pool: _Pool, thumbs: NDArray[np.uint8], empty: NDArray[np.bool_], say: Callable[[str, int, int], None]
) -> tuple[list[list[int]], list[str]]:
    """Return pictures linked by near copies (each with its identical ones), and a note on each group."""
    contents = [rows for rows in _by(pool.hashes).values() if not empty[rows[0]]]
    pairs = near_pairs(
        thumbs[[rows[0] for rows in contents]], advance=lambda count: say("comparing", count, len(contents))
    )
    groups, notes = [], []
    for members, note in _components(pairs):
        groups.append(sorted(row for member in members for row in contents[member]))
        notes.append(note)
    order = sorted(range(len(groups)), key=lambda i: groups[i][0])
    return [groups[i] for i in order], [notes[i] for i in order]


def _components(pairs: Pairs) -> list[tuple[list[int], str]]:
    """Return the connected components of pairs, each with a note."""
    links: dict[int, list[int]] = defaultdict(list)
    for index, (a, b) in enumerate(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)):
        links[a].append(index)
        links[b].append(index)
    seen: set[int] = set()
    found = []
    for start in links:
        if start in seen:
            continue
        members, waiting, used = {start}, [start], set[int]()
        while waiting:
            for index in links[waiting.pop()]:
                used.add(index)
                new = {int(pairs.first[index]), int(pairs.second[index])} - members
                members |= new
                waiting += new
        seen |= members
        chosen = sorted(used)
        lowest = f"correlation {pairs.alike[chosen].min():.3f}"
        found.append((sorted(members), f"{lowest}, mirrored" if pairs.mirrored[chosen].any() else lowest))
    return found


def _faceless(
    data: FaceData | PictureList,
    detector: Detector,
    readable: NDArray[np.bool_],
    say: Callable[[str, int, int], None],
) -> list[int]:
    found = []
    for i in range(len(data)):
        if readable[i]:
            picture = data.read(i)
            if max(picture.shape[:2]) <= CROP_PX:
                picture = fit_crop(picture, CROP_ENLARGED * max(picture.shape[:2]))
            if not len(detector.detect(picture)):
                found.append(i)
        say("looking for faces", 1, len(data))
    return found
