"""All images of several data sets, numbered through: read once, looked up by number, told apart by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.data._near import SIDE, thumbnail
from mien.data.base import FaceData, ImageList, content_hashes
from mien.errors import MienError

__all__ = ["Pool", "by_key", "in_threads"]

Side = tuple[int, str]
"""Data set and split."""

T = TypeVar("T")

_AT_ONCE = 256


def in_threads(function: Callable[[int], T], rows: Sequence[int], threads: int) -> Iterator[T]:
    """Yield the results of a function on rows in their order; decoding and detection leave Python free meanwhile."""
    if threads < 2:
        yield from map(function, rows)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="mien-audit") as pool:
        # In portions, so that an interruption need not wait for everything.
        for start in range(0, len(rows), _AT_ONCE):
            yield from pool.map(function, rows[start : start + _AT_ONCE])


def by_key(keys: Sequence[Any]) -> dict[Any, list[int]]:
    """Return the places of each key in order; None is no key."""
    found: dict[Any, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key is not None:
            found[key].append(number)
    return found


class Pool:
    """All images of several data sets.

    Parameters
    ----------
    parts : sequence of FaceData or ImageList
        The data sets.
    threads : int
        How many files are decoded at once.
    """

    def __init__(self, parts: Sequence[FaceData | ImageList], *, threads: int = 1) -> None:
        self._parts = parts
        self._threads = threads
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

    def read_all(self, say: Callable[[str, int, int], None]) -> NDArray[np.uint8]:
        """Read everything once: return thumbnails (n, 48, 48), and keep the hashes and what cannot be read."""
        thumbs = np.zeros((len(self), SIDE, SIDE), np.uint8)
        for first, part in zip(self._first.tolist(), self._parts, strict=False):
            threads = 1 if isinstance(part, FaceData) else self._threads
            for i, (digest, small, reason) in enumerate(in_threads(_reader(part), range(len(part)), threads)):
                if reason:
                    self.readable[first + i] = False
                    self.reasons[first + i] = reason
                else:
                    self.hashes[first + i] = digest
                    thumbs[first + i] = small
                say("reading", 1, len(self))
        return thumbs

    def place(self, number: int) -> tuple[FaceData | ImageList, int]:
        """Return the data set of an image and its place in it."""
        part, i = self._place(number)
        return self._parts[part], i

    def _place(self, number: int) -> tuple[int, int]:
        part = int(np.searchsorted(self._first, number, side="right")) - 1
        return part, int(number) - int(self._first[part])

    def name(self, number: int) -> str:
        """Return how the data set of an image is named."""
        return self.names[self._place(number)[0]]

    def side(self, number: int) -> Side:
        """Return the data set and the split of an image."""
        index, i = self._place(number)
        return index, str(self._parts[index].splits[i])

    def sides(self, rows: Iterable[int]) -> set[Side]:
        """Return on which sides images lie; one without a split adds none to those of its data set."""
        found = {self.side(row) for row in rows}
        known = {part for part, split in found if split}
        return {(part, split) for part, split in found if split or part not in known}

    def all_sides(self) -> list[str]:
        """Return the names of all sides that there are, data set by data set, in order of first appearance."""
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

    def emotion(self, number: int) -> str:
        """Return the label of an image; empty for none."""
        part, i = self.place(number)
        return "" if part.labels[i] < 0 else part.label_set.emotions[part.labels[i]]

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


def _reader(part: FaceData | ImageList) -> Callable[[int], tuple[bytes, NDArray[np.uint8], str]]:
    def read(i: int) -> tuple[bytes, NDArray[np.uint8], str]:
        try:
            image = part.images[i] if isinstance(part, FaceData) else _gray(part.read(i))
        except MienError as error:
            return b"", _NOTHING, str(error)
        return content_hashes([image])[0], thumbnail(image), ""

    return read


_NOTHING = np.zeros((SIDE, SIDE), np.uint8)


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image without colors as (H, W), as it would be in a table."""
    return np.ascontiguousarray(image[..., 0]) if (image[..., :1] == image).all() else image
