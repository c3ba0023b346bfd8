"""What is wrong with data before anything is trained on it: copies, leaks between splits, conflicts, empty images."""

from __future__ import annotations

import json
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien.data import ferplus
from mien.data._faceless import faceless
from mien.data._near import ALIKE, DETAIL, FLAT, Pairs, near_pairs, spreads
from mien.data._pool import Pool, by_key
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.output.sheet import sheet

__all__ = [
    "KINDS",
    "LEAKS",
    "Audit",
    "Finding",
    "Group",
    "Item",
    "audit",
    "pair_sheet",
    "voted_no_face",
    "write_json",
]

KINDS: dict[str, str] = {
    "identical": "identical images",
    "near": "near copies",
    "subject": "one subject in several splits",
    "clip": "one clip in several splits",
    "conflict": "identical images, different labels",
    "flat": "empty images",
    "unreadable": "unreadable files",
    "voted_no_face": "voted not a face",
    "no_face": "no face found",
}
"""What is looked for, in words."""

LEAKS = ("identical", "near", "subject", "clip")
"""Kinds of which a group that segments splits is a leak."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a group.

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
    where : str
        Its file, or its table and row, for people.
    """

    data: str
    row: int
    file: str = ""
    split: str = ""
    emotion: str = ""
    subject: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Images that belong together.

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

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the images, without data sets' names and empty ones."""
        return tuple(dict.fromkeys(item.split for item in self.items if item.split))

    @property
    def emotions(self) -> tuple[str, ...]:
        """The different labels of the images."""
        return tuple(dict.fromkeys(item.emotion for item in self.items if item.emotion))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "splits": list(self.splits), "emotions": list(self.emotions)}


@dataclass(frozen=True, slots=True)
class Finding:
    """All groups of one kind; single images are groups of one.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    groups : tuple of Group
        In the order of their first images.
    """

    kind: str
    groups: tuple[Group, ...]

    @property
    def images(self) -> int:
        """How many images are in the groups."""
        return sum(len(group.items) for group in self.groups)

    @property
    def leaks(self) -> int:
        """How many groups are leaks."""
        return sum(group.leak for group in self.groups) if self.kind in LEAKS else 0

    @property
    def differing(self) -> int:
        """How many groups hold different labels."""
        return sum(len(group.emotions) > 1 for group in self.groups)


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Parameters
    ----------
    data : tuple of str
        The data sets, as they were named, the audited one first.
    sides : tuple of str
        The splits of the data sets, with the data sets' names if there are several; the empty name for data without.
    images : int
        How many were looked at.
    findings : tuple of Finding
        One for each kind that was looked for, in the order of `KINDS`, also those without groups.
    between : tuple of (str, str, str, int)
        Kind, split, other split, and how many images of the first have a copy in the other.
    problems : tuple of str
        What the data sets' loaders said is missing, wrong or left out, a line each.
    thresholds : dict of str to float
        See `mien.data._near`.
    """

    data: tuple[str, ...]
    sides: tuple[str, ...]
    images: int
    findings: tuple[Finding, ...]
    between: tuple[tuple[str, str, str, int], ...]
    problems: tuple[str, ...] = ()
    thresholds: dict[str, float] = field(
        default_factory=lambda: {"correlation": ALIKE, "detail_correlation": DETAIL, "flat_deviation": FLAT}
    )

    @property
    def leaks(self) -> int:
        """How many groups of `LEAKS` lie on both sides of a split."""
        return sum(finding.leaks for finding in self.findings)

    def finding(self, kind: str) -> Finding:
        """Return the finding of a kind; empty if it was not looked for."""
        return next((one for one in self.findings if one.kind == kind), Finding(kind, ()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: everything, with every group's rows or files."""
        found = {
            one.kind: {
                "title": KINDS[one.kind],
                "images": one.images,
                "leaks": one.leaks,
                "groups": [group.to_dict() for group in one.groups],
            }
            for one in self.findings
        }
        between = [
            {"kind": kind, "split": first, "other": second, "images": count}
            for kind, first, second, count in self.between
        ]
        return {
            "data": list(self.data),
            "sides": list(self.sides),
            "images": self.images,
            "leaks": self.leaks,
            "thresholds": dict(self.thresholds),
            "between": between,
            "findings": found,
            "problems": list(self.problems),
        }


def audit(
    data: FaceData | ImageList,
    *,
    against: Sequence[FaceData | ImageList] = (),
    near: bool = True,
    no_faces: NDArray[np.bool_] | None = None,
    faces: bool = False,
    threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Look for what would make a result wrong.

    Images are compared by their pixels, whatever their files: a gray PNG is the same as a row of a table.  Subjects
    and clips are compared within data sets of one name.  An image without a split is on no side of its data set.

    Parameters
    ----------
    data : FaceData or ImageList
        What is audited.
    against : sequence of FaceData or ImageList
        Other data sets, such as an examination: everything that they share with ``data`` or each other is a leak.
    near : bool
        Look for near copies, too; `mien.data._near` says what it misses.
    no_faces : numpy.ndarray, optional
        bool of shape (n,) for ``data``: images that annotators called no face; see `voted_no_face`.
    faces : bool
        Look for the images of ``data`` in which the shipped detector finds no face; slow.
    threads : int, optional
        Files decoded, and faces looked for, at once; by default as many as there are cores, at most eight.
    progress : callable, optional
        Gets what is done, how many images of it were done since the last call, and of how many.

    Returns
    -------
    Audit
        The findings; unreadable files are one of them and stop nothing.

    Raises
    ------
    DatasetError
        If there is nothing to look at, or no image can be read.
    InputError
        If ``no_faces`` has another shape or type.
    """
    if no_faces is not None and (no_faces.shape != (len(data),) or no_faces.dtype != np.bool_):
        raise InputError(f"no_faces must be bool of shape ({len(data)},), but got {describe(no_faces)}")
    say = progress or (lambda *_: None)
    count = threads or min(os.cpu_count() or 1, 8)
    pool = Pool((data, *against), threads=count)
    if not len(pool):
        raise DatasetError(f"{format_path(data.source)} has no images")
    thumbs = pool.read_all(say)
    if not pool.readable.any():
        raise DatasetError(
            f"none of the {len(pool)} images of {format_path(data.source)} can be read: {pool.reasons[0]}"
        )
    empty = pool.readable & (spreads(thumbs) < FLAT)
    found, between = _linked(pool, _near_groups(pool, thumbs, empty, say) if near else None)
    single = {"flat": empty, "unreadable": ~pool.readable}
    if no_faces is not None:
        single["voted_no_face"] = no_faces
    if faces:
        single["no_face"] = faceless(data, pool.readable[: len(data)], count, say)
    for kind, mask in single.items():
        found[kind] = [_group(pool, [i], pool.reasons.get(i, "")) for i in np.flatnonzero(mask).tolist()]
    return Audit(
        data=tuple(pool.names),
        sides=tuple(pool.all_sides()),
        images=len(pool),
        findings=tuple(Finding(kind, tuple(found[kind])) for kind in KINDS if kind in found),
        between=tuple(between),
        problems=tuple(line for one in (data, *against) for line in getattr(one, "problems", ())),
    )


def voted_no_face(data: FaceData, labels: str | Path) -> NDArray[np.bool_]:
    """Return which images most FER+ taggers called no face: more votes for it than for anything else.

    Parameters
    ----------
    data : FaceData
        Images of FER2013 with all rows of each of their splits, in the published order.
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
    """Write everything that an audit found as JSON, whole or not at all.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    target = Path(path)
    beside = target.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        try:
            text = json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n"
            # A file name that is no UTF-8 holds lone surrogates: their backslash form is what JSON means by them.
            beside.write_text(text, encoding="utf-8", errors="backslashreplace")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error


def pair_sheet(
    found: Audit, parts: Sequence[FaceData | ImageList], *, most: int = 60, cell: int = 112
) -> NDArray[np.uint8]:
    """Draw copies beside each other: leaks first, then those with different labels; near copies before identical ones.

    Parameters
    ----------
    found : Audit
        What was found.
    parts : sequence of FaceData or ImageList
        The data that was audited and what it was audited against, in that order.
    most : int
        Pairs that are drawn, half of them for each kind as far as it has them.
    cell : int
        Side of the images in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    DatasetError
        If there are no copies.
    """
    kinds = [_in_order(found.finding(kind).groups) for kind in ("near", "identical")]
    near = kinds[0][: max(most - len(kinds[1]), most // 2)]
    chosen = [*near, *kinds[1][: most - len(near)]]
    if not chosen:
        raise DatasetError(f"{found.data[0]} has no copies to draw")
    by_name = dict(zip(found.data, parts, strict=True))
    pairs = [pair for group in chosen for pair in _pair(group)]
    captions = ["\n".join((_short(item), item.split or "-", item.emotion or "-", note)) for item, note in pairs]
    drawn = min(2 * len(chosen), 8)
    title = f"{', '.join(found.data)}: copies"
    return sheet([_read(by_name[i.data], i) for i, _ in pairs], captions, columns=drawn, cell=cell, title=title)


def _in_order(groups: Sequence[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (not group.leak, len(group.emotions) < 2))


def _pair(group: Group) -> list[tuple[Item, str]]:
    """Return the first image of a group and the one that differs most in what is known of it."""
    first = group.items[0]
    known = (first.data, first.split), first.emotion
    other = max(group.items[1:], key=lambda i: ((i.data, i.split) != known[0], i.emotion != known[1]))
    return [(first, f"{len(group.items)} images"), (other, group.note.replace("correlation", "r") or "identical")]


def _short(item: Item) -> str:
    return "/".join(Path(item.file).parts[-2:]) if item.file else f"row {item.row}"


def _read(part: FaceData | ImageList, item: Item) -> NDArray[np.uint8]:
    if isinstance(part, FaceData):
        return part.read(int(np.flatnonzero(part.rows == item.row)[0]))
    return part.read(item.row)


def _item(pool: Pool, number: int) -> Item:
    part, i = pool.place(number)
    files = part.files
    return Item(
        data=pool.name(number),
        row=int(part.rows[i]) if isinstance(part, FaceData) else i,
        file="" if files is None else str(files[i]),
        split=str(part.splits[i]),
        emotion=pool.emotion(number),
        subject="" if part.subjects is None else str(part.subjects[i]),
        where=part.where(i),
    )


def _group(pool: Pool, rows: Sequence[int], note: str = "") -> Group:
    return Group(tuple(_item(pool, row) for row in rows), leak=len(pool.sides(rows)) > 1, note=note)


def _linked(
    pool: Pool, near: list[tuple[list[int], str]] | None
) -> tuple[dict[str, list[Group]], list[tuple[str, str, str, int]]]:
    """Return the groups of several images by kind, and what stands between splits."""
    copies = [(rows, "") for rows in by_key(pool.hashes).values() if len(rows) > 1]
    linked = {"identical": copies} if near is None else {"identical": copies, "near": near}
    for kind, keys in (("subject", pool.subjects), ("clip", pool.clips)):
        linked[kind] = [(rows, key[1]) for key, rows in by_key(keys).items() if len(pool.sides(rows)) > 1]
    groups = {kind: [_group(pool, rows, note) for rows, note in sets] for kind, sets in linked.items()}
    groups["conflict"] = [group for group in groups["identical"] if len(group.emotions) > 1]
    between = [(kind, *line) for kind, sets in linked.items() for line in pool.between(rows for rows, _ in sets)]
    return groups, between


def _near_groups(
    pool: Pool, thumbs: NDArray[np.uint8], empty: NDArray[np.bool_], say: Callable[[str, int, int], None]
) -> list[tuple[list[int], str]]:
    """Return images linked by near copies (each with its identical ones), and a note on each group."""
    contents = [rows for rows in by_key(pool.hashes).values() if not empty[rows[0]]]
    pairs = near_pairs(
        thumbs[[rows[0] for rows in contents]], advance=lambda count: say("comparing", count, len(contents))
    )
    linked = [(sorted(row for one in members for row in contents[one]), note) for members, note in _components(pairs)]
    return sorted(linked, key=lambda group: group[0][0])


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
