"""What ``mien analyze`` is asked to read: files, folders, patterns, standard input; each of its kind."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mien.cli._analyze_kinds import Kind, kind_of_file
from mien.errors import MediaNotFoundError, MienError

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = [
    "FIRST_LOOK",
    "STDIN",
    "Plan",
    "Source",
    "Stdin",
    "count_beside",
    "identities",
    "identity",
    "iter_sources",
    "plan",
    "standard_input",
]

STDIN = "-"

FIRST_LOOK = 10_000
"""So many files are looked at before the first is read: a folder of a million takes seconds, on a slow disk minutes."""

_END = object()

_NEEDS_SEEKING = ("mp4", "mov", "m4a", "3gp")
"""Formats whose table of contents may lie at their end."""

_VIDEO_HEAD_BYTES = 1 << 14
"""Other videos say in their first bytes whether there are images in them."""

_STDIN_NAMES = {Kind.IMAGE: "stdin.png", Kind.RECORDING: "stdin.wav", Kind.VIDEO: "stdin.mp4"}


@dataclass(frozen=True)
class Source:
    """Something to analyze.

    Parameters
    ----------
    data : object
        What `mien.api` takes: a path, bytes, or a binary file; an argument that names nothing raises when it is read.
    name : str
        What its files are called, relative to a folder.
    kind : Kind
        How it is read.
    """

    data: Any
    name: str
    kind: Kind = Kind.IMAGE

    @property
    def told(self) -> str:
        """How messages call it."""
        from mien.io.paths import format_path

        return format_path(self.data) if isinstance(self.data, str) else getattr(self.data, "name", "standard input")

    @property
    def missing(self) -> bool:
        """Whether there is nothing to read."""
        return isinstance(self.data, _Missing)


@dataclass(frozen=True)
class Plan:
    """What is to come, as far as names and the first bytes of single files tell.

    Parameters
    ----------
    counts : dict of Kind to int
        How many there are of each kind; kinds that there are none of are left out.
    missing : int
        Arguments that name nothing.
    videos : int
        Files that are videos, however they are read.
    many : bool
        Whether several items are read.
    whole : bool
        Whether all was looked at; otherwise there is more, of any kind.
    """

    counts: dict[Kind, int]
    missing: int
    videos: int
    many: bool
    whole: bool = True

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that there are, images first."""
        return tuple(kind for kind in Kind if kind in self.counts)

    @property
    def total(self) -> int | None:
        """How many items there are, if that is known."""
        return sum(self.counts.values()) + self.missing if self.whole else None


class Stdin:
    """Standard input, whose first bytes say what it is."""

    def __init__(self, stream: BufferedReader) -> None:
        from mien.io.container import has_moving_images
        from mien.io.sniff import HEAD_BYTES, detect_format

        # What has come is taken at once: the answers to what is live shall not wait for more.  And a video is read in a
        # thread of its own, which must not hold the lock of the buffer when Ctrl-C ends the program.
        self._stream: Any = getattr(stream, "raw", stream)
        self._head = b""
        self._look(HEAD_BYTES)
        found, self._format = detect_format(self._head)
        if found == "video":
            self._look_further()
        self.video = found == "video" and has_moving_images(self._head)
        self._sound = found in ("audio", "video")

    def _look(self, size: int) -> None:
        """Read until so much of the beginning is known."""
        while len(self._head) < size:
            piece = self._stream.read(size - len(self._head))
            if not piece:
                return
            self._head += piece

    def _look_further(self) -> None:
        """Read as much as tells whether a file of a video's format holds images."""
        if self._format in _NEEDS_SEEKING:
            self._head += self._stream.read()
        else:
            self._look(_VIDEO_HEAD_BYTES)

    def kind(self, only: str | None) -> Kind:
        """Return how it is read."""
        if self.video and only != "voice":
            return Kind.VIDEO
        return Kind.RECORDING if self._sound else Kind.IMAGE

    def source(self, only: str | None, *, twice: Callable[[Kind], bool]) -> Source:
        """Return what to analyze.

        Videos and recordings are read as they come, unless they are read ``twice`` or their format allows no reading
        from front to back.
        """
        kind = self.kind(only)
        data: Any = self
        if kind is Kind.IMAGE or twice(kind) or self._format in _NEEDS_SEEKING:
            data = self._head + self._stream.read()
        return Source(data, _STDIN_NAMES[kind], kind)

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if not self._head:
            piece: bytes = self._stream.read(size)
            return piece
        size = len(self._head) if size < 0 else size
        head, self._head = self._head[:size], self._head[size:]
        return head


def standard_input(paths: Sequence[str]) -> Stdin | None:
    """Look at standard input, if it is named."""
    return Stdin(cast("BufferedReader", sys.stdin.buffer)) if STDIN in paths else None


def plan(paths: Sequence[str], stdin: Stdin | None, only: str | None = None, *, at_most: int | None = None) -> Plan:
    """Count what there is.  Files of folders are told by their names: opening a million of them takes minutes.

    Parameters
    ----------
    paths : sequence of str
        The arguments.
    stdin : Stdin or None
        Standard input, if it is named.
    only : {"face", "voice"} or None
        What is read of videos.
    at_most : int or None
        How many files are looked at; of folders with more, the walk goes on while the first are read.
    """
    counts: Counter[Kind] = Counter()
    missing = videos = 0
    every = chain.from_iterable(
        [(stdin.kind(only), stdin.video)] if argument == STDIN and stdin is not None else _kinds(argument, only)
        for argument in paths
    )
    for found in islice(every, at_most):
        if found is None:
            missing += 1
            continue
        counts[found[0]] += 1
        videos += found[1]
    whole = at_most is None or next(every, _END) is _END
    return Plan(dict(counts), missing, videos, len(paths) > 1 or _is_many(paths[0]), whole)


def count_beside(paths: Sequence[str], tell: Callable[[int], None]) -> threading.Event:
    """Count in a thread what the arguments name, and tell how many there are; setting the event ends it.

    The thread is not waited for: a slow disk must not hold up the end of the program.
    """
    over = threading.Event()

    def count() -> None:
        total = 0
        for argument in paths:
            for _ in [None] if argument == STDIN else _names(argument):
                if over.is_set():
                    return
                total += 1
        tell(total)

    threading.Thread(target=count, name="mien-count", daemon=True).start()
    return over


def _names(argument: str) -> Iterator[str | None]:
    """Yield the files of an argument, or None where there is no file."""
    from mien.io.paths import iter_media_paths

    try:
        yield from iter_media_paths([argument])
    except MediaNotFoundError:
        yield None


def _kinds(argument: str, only: str | None) -> Iterator[tuple[Kind, bool] | None]:
    """Yield for each file of an argument its kind and whether it is a video, or None where there is no file."""
    single = not _is_many(argument)
    for path in _names(argument):
        yield None if path is None else kind_of_file(path, only=only, look=single)


def _is_many(path: str) -> bool:
    # os.path answers False, where Path raises, for names that are too long or hold a zero byte.
    return os.path.isdir(path) or (any(sign in path for sign in "*?[") and not os.path.exists(path))  # noqa: PTH110, PTH112


def iter_sources(
    paths: Sequence[str], stdin: Stdin | None, only: str | None, *, twice: Callable[[Kind], bool]
) -> Iterator[Source]:
    """Yield what to analyze; an argument that names nothing is yielded, too, so that reading it tells why.

    Parameters
    ----------
    paths : sequence of str
        The arguments.
    stdin : Stdin or None
        From `standard_input`; read where it is named first.
    only : {"face", "voice"} or None
        What is read of videos.
    twice : callable
        Tells whether things of a kind are read more than once.
    """
    from mien.io.paths import iter_media_paths

    for argument in paths:
        if argument == STDIN:
            assert stdin is not None
            yield stdin.source(only, twice=twice)
            continue
        folder = Path(argument) if os.path.isdir(argument) else None  # noqa: PTH112
        try:
            for path in iter_media_paths([argument]):
                name = str(Path(path).relative_to(folder)) if folder else Path(path).name
                yield Source(path, name, kind_of_file(path, only=only)[0])
        except MediaNotFoundError as error:
            yield Source(_Missing(argument, error), argument, kind_of_file(argument, only=only, look=False)[0])


class _Missing:
    """An argument that names no file: reading it raises the error, which becomes its row."""

    def __init__(self, path: str, error: MienError) -> None:
        self.name, self._error = path, error

    def read(self, _size: int = -1) -> bytes:
        """Raise the error (anything may be read from what has this method)."""
        raise self._error


def identities(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the `identity` of each file that the arguments name."""
    for argument in paths:
        for path in _names(argument):
            found = None if path is None else identity(path)
            if found is not None:
                yield found


def identity(path: str | Path) -> tuple[int, int] | None:
    """Return what two names of one file have in common, or None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - takes a name as it is
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
