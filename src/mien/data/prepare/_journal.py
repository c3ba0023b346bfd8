"""What long work has done so far: a file beside the result that only grows, so that a killed run can go on."""

from __future__ import annotations

import errno
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mien.errors import DatasetError
from mien.io.paths import format_path

__all__ = ["Journal", "journal_of"]

_FORMAT = 1
_SYNC_EVERY = 64
_LONGEST_HEAD = 1 << 16  # what is not a journal may have no line breaks at all


def journal_of(out: str | os.PathLike[str]) -> Path:
    """Return where the journal of a result lies: hidden, beside it."""
    target = Path(out)
    return target.with_name(f".{target.name}.mien-journal")


class Journal:
    """Lines of JSON: first what the work is, then an entry for each image, by its number.

    A line that was cut off by a kill is cut away when the journal is opened again.  Two runs cannot have it at once.

    Parameters
    ----------
    path : pathlib.Path
        The file; made if it is not there.
    work : dict
        What makes this work that work: a journal of another is refused.

    Raises
    ------
    DatasetError
        If the journal is of other work, not a journal, in use, or cannot be written.
    """

    def __init__(self, path: Path, work: dict[str, Any]) -> None:
        self._path = path
        self._places: dict[int, int] = {}
        self._unsynced = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not buffered: what a full disk refused must not come back when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error
        try:
            self._lock()
            self._open({"mien": "prepare", "format": _FORMAT, **work})
        except OSError as error:
            self._file.close()
            raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, number: object) -> bool:
        return number in self._places

    def add(self, number: int, entry: dict[str, Any]) -> None:
        """Write what became of an image.

        Raises
        ------
        DatasetError
            If it cannot be written, such as on a full disk; what was written before stays.
        """
        place = self._file.seek(0, os.SEEK_END)
        try:
            self._write(_line({"i": number, **entry}))
            self._unsynced += 1
            if self._unsynced >= _SYNC_EVERY:
                os.fsync(self._file.fileno())
                self._unsynced = 0
        except OSError as error:
            raise DatasetError(f"cannot write {format_path(self._path)}: {error.strerror or error}") from error
        self._places[number] = place

    def entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what became of the images, in the order of their numbers."""
        with self._path.open("rb") as file:
            for number in sorted(self._places):
                file.seek(self._places[number])
                yield number, self._parsed(file.readline())

    def remove(self) -> None:
        """Delete the file, when the result is there."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _lock(self) -> None:
        try:
            fcntl = importlib.import_module("fcntl")
        except ModuleNotFoundError:  # Windows: two runs at once are not noticed there
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatasetError(f"another run works on {format_path(self._path)} right now") from error

    def _open(self, work: dict[str, Any]) -> None:
        """Read what is there, or begin."""
        with self._path.open("rb") as file:
            head = file.readline(_LONGEST_HEAD)
            if head.endswith(b"\n"):
                self._check(self._parsed(head), work)
                end = self._read(file)
            elif len(head) == _LONGEST_HEAD:
                raise self._damaged()
            else:  # new, or killed within its first line
                end = 0
        self._file.truncate(end)
        if not end:
            self._write(_line(work))

    def _check(self, found: dict[str, Any], work: dict[str, Any]) -> None:
        differs = sorted(key for key in {*work, *found} if found.get(key) != work.get(key))
        if differs:
            raise DatasetError(
                f"{format_path(self._path)} is of a run with other {', '.join(differs)}: "
                "go on as it was begun, delete it to begin anew, or choose another name"
            )

    def _read(self, file: IO[bytes]) -> int:
        """Read the entries, and return where the last whole one ends."""
        while True:
            place = file.tell()
            line = file.readline()
            if not line.endswith(b"\n"):
                return place
            number = self._parsed(line).get("i")
            if not isinstance(number, int):
                raise self._damaged()
            self._places[number] = place

    def _write(self, line: bytes) -> None:
        written = self._file.write(line)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _damaged(self) -> DatasetError:
        return DatasetError(f"{format_path(self._path)} is damaged: delete it to begin anew")

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise self._damaged()
        return entry


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"
