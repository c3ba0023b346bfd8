"""What ``mien analyze`` is asked to read: files, folders, patterns, standard input; pictures and recordings apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mien.errors import MediaNotFoundError, MienError

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = ["STDIN", "Plan", "Source", "Stdin", "identities", "identity", "iter_sources", "plan", "standard_input"]

STDIN = "-"

_NEEDS_SEEKING = ("mp4", "mov", "m4a", "3gp")
"""Formats whose table of contents may lie at their end."""


@dataclass(frozen=True)
class Source:
    """Something to analyze.

    Parameters
    ----------
    data : object
        What `mien.api` takes: a path, bytes, or a binary file; an argument that names nothing raises when it is read.
    name : str
        What its files are called, relative to a folder.
    sound : bool
        Whether it is read as a recording, and not as a picture.
    """

    data: Any
    name: str
    sound: bool = False

    @property
    def told(self) -> str:
        """How messages call it."""
        from mien.media.paths import shown

        return shown(self.data) if isinstance(self.data, str) else getattr(self.data, "name", "standard input")


@dataclass(frozen=True)
class Plan:
    """What is to come, as far as names and the first bytes of single files tell."""

    pictures: int
    recordings: int
    missing: int
    many: bool

    @property
    def total(self) -> int:
        """How many items there are."""
        return self.pictures + self.recordings + self.missing


class Stdin:
    """Standard input, whose first bytes say what it is."""

    def __init__(self, stream: BufferedReader) -> None:
        from mien.media.formats import HEAD_BYTES, identify

        self._stream = stream
        self._head = stream.read(HEAD_BYTES)
        self.kind, self._format = identify(self._head)

    def source(self, *, whole: bool) -> Source:
        """Return what to analyze; ``whole`` where it is read more than once.

        A recording is read as it comes, unless its format allows no reading from front to back.
        """
        sound = self.kind in ("audio", "video")
        data: Any = self
        if not sound or whole or self._format in _NEEDS_SEEKING:
            data = self._head + self._stream.read()
        return Source(data, "stdin.wav" if sound else "stdin.png", sound)

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if not self._head:
            # What has come is taken at once: the answers to a live recording shall not wait for more.
            return self._stream.read1(size) if size > 0 else self._stream.read()
        size = len(self._head) if size < 0 else size
        piece, self._head = self._head[:size], self._head[size:]
        return piece


def standard_input(paths: Sequence[str]) -> Stdin | None:
    """Look at standard input, if it is named."""
    return Stdin(cast("BufferedReader", sys.stdin.buffer)) if STDIN in paths else None


def plan(paths: Sequence[str], stdin: Stdin | None) -> Plan:
    """Count what there is.  Files of folders are told by their names: opening a million of them takes minutes."""
    counts: dict[bool | None, int] = {False: 0, True: 0, None: 0}
    for argument in paths:
        if argument == STDIN:
            counts[stdin is not None and stdin.kind in ("audio", "video")] += 1
            continue
        for sound in _kinds(argument):
            counts[sound] += 1
    return Plan(counts[False], counts[True], counts[None], len(paths) > 1 or _is_many(paths[0]))


def _kinds(argument: str) -> Iterator[bool | None]:
    """Yield for each file of an argument whether it is a recording, or None where there is no file."""
    from mien.media.kinds import kind_of, kind_of_name
    from mien.media.paths import iter_media_paths

    single = not _is_many(argument)
    try:
        for path in iter_media_paths([argument]):
            yield kind_of(path) in ("audio", "video") if single else kind_of_name(path) == "audio"
    except MediaNotFoundError:
        yield None


def _is_many(path: str) -> bool:
    # os.path answers False, where Path raises, for names that are too long or hold a zero byte.
    return os.path.isdir(path) or (any(sign in path for sign in "*?[") and not os.path.exists(path))  # noqa: PTH110, PTH112


def iter_sources(paths: Sequence[str], stdin: Stdin | None, *, whole: bool) -> Iterator[Source]:
    """Yield what to analyze; an argument that names nothing is yielded, too, so that reading it tells why.

    Parameters
    ----------
    paths : sequence of str
        The arguments.
    stdin : Stdin or None
        From `standard_input`; read where it is named first.
    whole : bool
        Whether recordings are read more than once.
    """
    from mien.media.kinds import kind_of
    from mien.media.paths import iter_media_paths

    for argument in paths:
        if argument == STDIN:
            assert stdin is not None
            yield stdin.source(whole=whole)
            continue
        folder = Path(argument) if os.path.isdir(argument) else None  # noqa: PTH112
        try:
            for path in iter_media_paths([argument]):
                name = str(Path(path).relative_to(folder)) if folder else Path(path).name
                yield Source(path, name, kind_of(path) in ("audio", "video"))
        except MediaNotFoundError as error:
            yield Source(_Missing(argument, error), argument, kind_of(argument) == "audio")


class _Missing:
    """An argument that names no file: reading it raises the error, which becomes its row."""

    def __init__(self, path: str, error: MienError) -> None:
        self.name, self._error = path, error

    def read(self, _size: int = -1) -> bytes:
        """Raise the error (a picture or recording may be read from anything that has this method)."""
        raise self._error


def identities(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the `identity` of each file that the arguments name."""
    from mien.media.paths import iter_media_paths

    for argument in paths:
        with suppress(MediaNotFoundError):
            for path in iter_media_paths([argument]):
                found = identity(path)
                if found is not None:
                    yield found


def identity(path: str | Path) -> tuple[int, int] | None:
    """Return what two names of one file have in common, or None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - takes a name as it is
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
