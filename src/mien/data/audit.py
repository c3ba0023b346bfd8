"""What is wrong with data before anything is trained on it: copies, leaks between splits, conflicts, empty images."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien._threads import in_order
from mien.data.near_copies import ALIKE, DETAIL, FLAT, SIDE, Pairs, near_pairs, spreads, thumbnail
from mien.data.samples import Samples, content_hashes
from mien.errors import DatasetError, InputError, MienError
from mien.face.detect import get_detector
from mien.io.paths import atomic_path, format_path
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
    "sort_groups",
    "write_json",
]

KINDS: dict[str, str] = {
    "identical": "identical images",
    "near": "near copies",
    "subject": "one subject in several splits",
    "clip": "one clip in several splits",
    "conflict": "identical images, different labels",
    "shared": "identical images, different subjects",
    "flat": "empty images",
    "unreadable": "unreadable files",
    "voted_no_face": "voted not a face",
    "no_face": "no face found",
}
"""What is looked for, in words."""

_AUDIO_TITLES = {
    "identical": "identical sounds",
    "conflict": "identical sounds, different labels",
    "shared": "identical sounds, different subjects",
    "flat": "silent files",
}

LEAKS = ("identical", "near", "subject", "clip")
"""Kinds of which a group that spans splits is a leak."""

_CROP_PX, _CROP_ENLARGED, _FRAME, _CROP_MIN_FACE = 96, 192, 0.25, 72
"""Images whose shorter side is below 96 px are enlarged to 192 px before a face is looked for, as
``scripts/measure_crop.py`` does with FER2013: detectors want faces of 20 px and more. A quarter of the shorter side
around them repeats their border (detectors want background, too), and 72 px is the smallest face: 18 of 48."""

_LONGEST_PX = 2048
_SILENT = 1e-4  # peak below which a sound is empty: -80 dB of full scale


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a group.

    Parameters
    ----------
    data : str
        The dataset, as it was named.
    row : int
        Its row, or its place in the list of files, from 0.
    file : str
        Its file, relative to the dataset; empty for a row of a table.
    split, emotion, subject : str
        What the dataset says; empty where it says nothing.
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
        Whether they lie in several splits, or in several datasets.
    note : str
        The subject or clip; of near copies the lowest correlation, and whether some are mirrored.
    """

    items: tuple[Item, ...]
    leak: bool = False
    note: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the images, without datasets' names and empty ones."""
        return tuple(dict.fromkeys(item.split for item in self.items if item.split))

    @property
    def emotions(self) -> tuple[str, ...]:
        """The different labels of the images."""
        return tuple(dict.fromkeys(item.emotion for item in self.items if item.emotion))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The different subjects of the images."""
        return tuple(dict.fromkeys(item.subject for item in self.items if item.subject))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in ("splits", "emotions", "subjects")}}


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
        The datasets, as they were named, the audited one first.
    sides : tuple of str
        The splits of the datasets, with the datasets' names if there are several; the empty name for data without.
    images : int
        How many were looked at.
    findings : tuple of Finding
        One for each kind that was looked for, in the order of `KINDS`, also those without groups.
    between : tuple of (str, str, str, int)
        Kind, split, other split, and how many images of the first have a copy in the other.
    problems : tuple of str
        What the datasets name as missing, wrong or left out, a line each.
    thresholds : dict of str to float
        See `mien.data.near_copies`.
    kind : {"image", "audio", "video"}
        What the samples are.
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
    kind: str = "image"

    @property
    def leaks(self) -> int:
        """How many groups of `LEAKS` lie on both sides of a split."""
        return sum(finding.leaks for finding in self.findings)

    def title(self, kind: str) -> str:
        """Return in words what is looked for, as `KINDS` has it, for these samples."""
        return _AUDIO_TITLES.get(kind, KINDS[kind]) if self.kind == "audio" else KINDS[kind]

    def finding(self, kind: str) -> Finding:
        """Return the finding of a kind; empty if it was not looked for."""
        return next((one for one in self.findings if one.kind == kind), Finding(kind, ()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: everything, with every group's rows or files."""
        found = {
            one.kind: {
                "title": self.title(one.kind),
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
    data: Samples,
    *,
    against: Sequence[Samples] = (),
    near: bool = True,
    no_faces: NDArray[np.bool_] | None = None,
    faces: bool = False,
    threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Look for what would make a result wrong.

    Images are compared by their pixels, whatever their files: a gray PNG is the same as a row of a table. Of videos,
    the middle frames are compared; of audio, the samples of the sound, without a search for near copies. Subjects and
    clips are compared within datasets of one name. What has no split is on no side of its dataset.

    Parameters
    ----------
    data : Samples
        What is audited.
    against : sequence of Samples
        Other datasets, such as an examination: everything that they share with ``data`` or each other is a leak.
    near : bool
        Look for near copies, too; `mien.data.near_copies` says what it misses.
    no_faces : numpy.ndarray, optional
        bool of shape (n,) for ``data``: images that annotators called no face; see `mien.data.fer2013.voted_no_face`.
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
    if {part.kind == "audio" for part in against} - {data.kind == "audio"}:
        raise InputError(f"{data.name} is a dataset of {data.kind} files: compare it with datasets of the same kind")
    if data.kind == "audio" and faces:
        raise InputError(f"{data.name} is a dataset of audio files, in which no faces can be found")
    say = progress or (lambda *_: None)
    count = threads or min(os.cpu_count() or 1, 8)
    pool = _Pool((data, *against))
    if not len(pool):
        raise DatasetError(f"{format_path(data.source)} has no images")
    thumbs = pool.read_all(count, say)
    if not pool.readable.any():
        raise DatasetError(
            f"none of the {len(pool)} images of {format_path(data.source)} can be read: {pool.reasons[0]}"
        )
    empty = pool.readable & (pool.silent if data.kind == "audio" else spreads(thumbs) < FLAT)
    is_near = near and data.kind != "audio"
    found, between = _linked(pool, _near_groups(pool, thumbs, empty, say) if is_near else None)
    single = {"flat": empty, "unreadable": ~pool.readable}
    if no_faces is not None:
        single["voted_no_face"] = no_faces
    if faces:
        single["no_face"] = _find_faceless(data, pool.readable[: len(data)], count, say)
    for kind, mask in single.items():
        found[kind] = [_group(pool, [i], pool.reasons.get(i, "")) for i in np.flatnonzero(mask).tolist()]
    return Audit(
        data=tuple(pool.names),
        sides=tuple(pool.all_sides()),
        images=len(pool),
        findings=tuple(Finding(kind, tuple(found[kind])) for kind in KINDS if kind in found),
        between=tuple(between),
        problems=tuple(line for one in (data, *against) for line in one.problems),
        kind=data.kind,
    )


def write_json(found: Audit, path: str | os.PathLike[str]) -> None:
    """Write everything that an audit found as JSON, whole or not at all.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    text = json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n"
    with atomic_path(os.fspath(path)) as hidden:
        # A file name that is no UTF-8 holds lone surrogates: their backslash form is what JSON means by them.
        hidden.write_text(text, encoding="utf-8", errors="backslashreplace")


def pair_sheet(found: Audit, parts: Sequence[Samples], *, most: int = 60, cell: int = 112) -> NDArray[np.uint8]:
    """Draw copies beside each other: leaks first, then those with different labels; near copies before identical ones.

    Parameters
    ----------
    found : Audit
        What was found.
    parts : sequence of Samples
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
    kinds = [sort_groups(found.finding(kind).groups) for kind in ("near", "identical")]
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


def sort_groups(groups: Sequence[Group]) -> list[Group]:
    """Return groups by weight: leaks, then those with different labels, then those with different subjects."""
    return sorted(groups, key=lambda group: (not group.leak, len(group.emotions) < 2, len(group.subjects) < 2))


def _pair(group: Group) -> list[tuple[Item, str]]:
    """Return the first image of a group and the one that differs most in what is known of it."""
    first = group.items[0]
    known = (first.data, first.split), first.emotion
    other = max(group.items[1:], key=lambda i: ((i.data, i.split) != known[0], i.emotion != known[1]))
    return [(first, f"{len(group.items)} images"), (other, group.note.replace("correlation", "r") or "identical")]


def _short(item: Item) -> str:
    return "/".join(Path(item.file).parts[-2:]) if item.file else f"row {item.row}"


def _read(part: Samples, item: Item) -> NDArray[np.uint8]:
    return part.read(int(np.flatnonzero(part.rows == item.row)[0]))


def _item(pool: _Pool, number: int) -> Item:
    part, i = pool.place(number)
    return Item(
        data=pool.name(number),
        row=int(part.rows[i]),
        file=str(part.files[i]),
        split=str(part.splits[i]),
        emotion=part.emotion(i),
        subject=str(part.subjects[i]),
        where=part.where(i),
    )


def _group(pool: _Pool, rows: Sequence[int], note: str = "") -> Group:
    return Group(tuple(_item(pool, row) for row in rows), leak=len(pool.sides(rows)) > 1, note=note)


def _linked(
    pool: _Pool, near: list[tuple[list[int], str]] | None
) -> tuple[dict[str, list[Group]], list[tuple[str, str, str, int]]]:
    """Return the groups of several images by kind, and what stands between splits."""
    copies = [(rows, "") for rows in _rows_by_key(pool.hashes).values() if len(rows) > 1]
    linked = {"identical": copies} if near is None else {"identical": copies, "near": near}
    for kind, keys in (("subject", pool.subjects), ("clip", pool.clips)):
        linked[kind] = [(rows, key[1]) for key, rows in _rows_by_key(keys).items() if len(pool.sides(rows)) > 1]
    groups = {kind: [_group(pool, rows, note) for rows, note in sets] for kind, sets in linked.items()}
    groups["conflict"] = [group for group in groups["identical"] if len(group.emotions) > 1]
    groups["shared"] = [group for group in groups["identical"] if len(group.subjects) > 1]
    between = [(kind, *line) for kind, sets in linked.items() for line in pool.between(rows for rows, _ in sets)]
    return groups, between


def _near_groups(
    pool: _Pool, thumbs: NDArray[np.uint8], empty: NDArray[np.bool_], say: Callable[[str, int, int], None]
) -> list[tuple[list[int], str]]:
    """Return images linked by near copies (each with its identical ones), and a note on each group."""
    contents = [rows for rows in _rows_by_key(pool.hashes).values() if not empty[rows[0]]]
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


# --- all samples of several datasets, numbered through -------------------------------------------------

Side = tuple[int, str]
"""Dataset and split."""


class _Pool:
    """All images of several datasets.

    Parameters
    ----------
    parts : sequence of Samples
        The datasets.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        self._parts = parts
        self._first = np.cumsum([0, *(len(part) for part in parts)])
        self.names: list[str] = []
        for part in parts:
            used = sum(name.split(" #")[0] == part.name for name in self.names)
            self.names.append(f"{part.name} #{used + 1}" if used else part.name)
        self.readable = np.ones(len(self), dtype=np.bool_)
        self.silent = np.zeros(len(self), dtype=np.bool_)
        self.reasons: dict[int, str] = {}
        self.hashes: list[bytes | None] = [None] * len(self)
        self.subjects = self._keys("subject")
        self.clips = self._keys("clip")

    def __len__(self) -> int:
        return int(self._first[-1])

    def _keys(self, column: str) -> list[tuple[str, str] | None]:
        return [(part.name, v) if v else None for part in self._parts for v in part.column(column).tolist()]

    def read_all(self, threads: int, say: Callable[[str, int, int], None]) -> NDArray[np.uint8]:
        """Read everything once: return thumbnails (n, 48, 48), and keep the hashes and what cannot be read."""
        thumbs = np.zeros((len(self), SIDE, SIDE), np.uint8)
        for first, part in zip(self._first.tolist(), self._parts, strict=False):
            rows, read = range(len(part)), _reader(part)
            results = in_order(rows, read, threads) if part.pixels is None else map(read, rows)
            for i, found in enumerate(results):
                number = first + i
                self.hashes[number], thumbs[number], self.silent[number], reason = found
                if reason:
                    self.readable[number] = False
                    self.reasons[number] = reason
                say("reading", 1, len(self))
        return thumbs

    def place(self, number: int) -> tuple[Samples, int]:
        """Return the dataset of an image and its place in it."""
        part, i = self._place(number)
        return self._parts[part], i

    def _place(self, number: int) -> tuple[int, int]:
        part = int(np.searchsorted(self._first, number, side="right")) - 1
        return part, int(number) - int(self._first[part])

    def name(self, number: int) -> str:
        """Return how the dataset of an image is named."""
        return self.names[self._place(number)[0]]

    def side(self, number: int) -> Side:
        """Return the dataset and the split of an image."""
        index, i = self._place(number)
        return index, str(self._parts[index].splits[i])

    def sides(self, rows: Iterable[int]) -> set[Side]:
        """Return on which sides images lie; one without a split adds none to those of its dataset."""
        found = {self.side(row) for row in rows}
        known = {part for part, split in found if split}
        return {(part, split) for part, split in found if split or part not in known}

    def all_sides(self) -> list[str]:
        """Return the names of all sides that there are, dataset by dataset, in order of first appearance."""
        found = []
        for index, part in enumerate(self._parts):
            splits = list(dict.fromkeys(part.splits.tolist()))
            found += [(index, split) for split in splits if split or len(splits) == 1]
        return [self.side_name(side) for side in found]

    def side_name(self, side: Side) -> str:
        """Return a side in words."""
        part, split = side
        if len(self._parts) == 1:
            return split
        return f"{self.names[part]}: {split}" if split else self.names[part]

    def between(self, groups: Iterable[Sequence[int]]) -> list[tuple[str, str, int]]:
        """Count for each pair of sides the images of one that have a companion on the other."""
        counts: dict[tuple[Side, Side], int] = defaultdict(int)
        for rows in groups:
            on: dict[Side, int] = defaultdict(int)
            for row in rows:
                on[self.side(row)] += 1
            for a, b in combinations(sorted(self.sides(rows)), 2):
                counts[a, b] += on[a]
                counts[b, a] += on[b]
        return [(self.side_name(a), self.side_name(b), count) for (a, b), count in sorted(counts.items())]


Content = tuple[bytes | None, NDArray[np.uint8], bool, str]
"""Digest, thumbnail, whether a sound is silent, and why a file cannot be read."""


def _reader(part: Samples) -> Callable[[int], Content]:
    nothing = np.zeros((SIDE, SIDE), np.uint8)

    def read(i: int) -> Content:
        try:
            if part.kind == "audio":
                wave = part.read_audio(i)
                return content_hashes([wave])[0], nothing, bool(np.abs(wave).max() < _SILENT), ""
            image = _gray(part.read(i)) if part.pixels is None else part.pixels[i]
        except MienError as error:
            return None, nothing, False, str(error)
        return content_hashes([image])[0], thumbnail(image), False, ""

    return read


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image without colors as (H, W), as it would be in a table."""
    return np.ascontiguousarray(image[..., 0]) if (image[..., :1] == image).all() else image


def _rows_by_key(keys: Sequence[Any]) -> dict[Any, list[int]]:
    """Return the places of each key in order; None is no key."""
    found: dict[Any, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key is not None:
            found[key].append(number)
    return found


def _find_faceless(
    data: Samples, readable: NDArray[np.bool_], threads: int, say: Callable[[str, int, int], None]
) -> NDArray[np.bool_]:
    """Return which readable images have no face for the shipped detector, bool (n,)."""
    plain, cut = get_detector(), get_detector(min_face_px=_CROP_MIN_FACE)

    def lacks(i: int) -> bool:
        image = data.read(i)
        if min(image.shape[:2]) < _CROP_PX:
            return not len(cut.detect(_framed(image, _CROP_ENLARGED)))
        # A face that fills the image needs background around it, a photograph does not.
        return not len(plain.detect(image)) and not len(plain.detect(_framed(image, min(image.shape[:2]))))

    result = np.zeros(len(data), dtype=np.bool_)
    rows = np.flatnonzero(readable).tolist()
    for i, missing in zip(rows, in_order(rows, lacks, threads), strict=True):
        result[i] = missing
        say("looking for faces", 1, len(rows))
    return result


def _framed(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Enlarge an image until its shorter side has so many pixels, and repeat its border around it."""
    # A strip of an image must not become a gigabyte.
    scale = min(side / min(image.shape[:2]), _LONGEST_PX / max(image.shape[:2]))
    if scale > 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    frame = round(side * _FRAME)
    return np.asarray(cv2.copyMakeBorder(image, frame, frame, frame, frame, cv2.BORDER_REPLICATE), np.uint8)
