"""The books of a folder of generated images: what is there, and what was turned away and why."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import secrets
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DatasetError
from mien.io.paths import format_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MANIFEST", "REJECTED", "Ledger"]

MANIFEST = (
    "file",
    "emotion",
    "subject",
    "clip",
    "split",
    "source",
    "prompt",
    "service",
    "model",
    "date",
    "sha256",
    "checks",
    "box",
)
"""Columns of ``manifest.csv``."""

REJECTED = ("file", "emotion", "reason", "prompt", "service", "model", "date")
"""Columns of ``rejected.csv``."""


class Ledger:
    """``manifest.csv`` and ``rejected.csv`` of a folder, and the way of an image into it.

    An image is first written under a hidden name, then entered, then given its name: whenever the work is cut off, the
    next one finds either no trace or a row with a hidden image, and finishes it.  A row whose image is gone is left
    alone: its owner threw it away.

    Parameters
    ----------
    folder : pathlib.Path
        Need not exist; nothing is written before the first image or rejection.

    Raises
    ------
    DatasetError
        If one of the tables is not what this class writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest = _Table(folder / "manifest.csv", MANIFEST)
        self.rejected = _Table(folder / "rejected.csv", REJECTED)

    def done(self) -> set[str]:
        """Return the files that need not be asked for."""
        return {row["file"] for table in (self.manifest, self.rejected) for row in table.rows}

    def foreign(self, files: Iterable[str]) -> str | None:
        """Return the first of the files that exists without being entered, if there is one."""
        entered = {row["file"] for row in self.manifest.rows}
        return next((f for f in files if f not in entered and os.path.lexists(self._folder / f)), None)

    def finish(self) -> None:
        """Give those images their names that were entered when the work was cut off."""
        for row in self.manifest.rows:
            target = self._folder / row["file"]
            hidden = _hidden(target)
            if hidden.is_file() and not os.path.lexists(target) and _sha256(hidden.read_bytes()) == row["sha256"]:
                with _writing(target):
                    hidden.rename(target)

    def keep(self, row: dict[str, str], data: bytes) -> None:
        """Enter an image and write it; ``sha256`` is added to the row.

        Raises
        ------
        DatasetError
            If it cannot be written, or a file of that name is there.
        """
        target = self._folder / row["file"]
        hidden = _hidden(target)
        with _writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise DatasetError(f"will not write over {format_path(target)}, which was not there before")
            try:
                _write_through(hidden, data)
                self.manifest.add({**row, "sha256": _sha256(data)})
            except BaseException:
                # Entered or not is what decides: the row may have been written before Ctrl-C came.
                if not self.manifest.holds(row["file"]):
                    hidden.unlink(missing_ok=True)
                raise
            hidden.rename(target)

    def reject(self, row: dict[str, str]) -> None:
        """Enter that there is no image, and why."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.rejected.add(row)


class _Table:
    """A CSV that grows by a row at a time and is whole at any time."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._path, self._columns = path, columns
        self.rows: list[dict[str, str]] = self._read()
        self._stamp = self._now()

    def add(self, row: dict[str, str]) -> None:
        """Add a row, on the disk first."""
        if self._now() != self._stamp:
            raise DatasetError(
                f"{format_path(self._path)} was changed while mien worked on it: is it run twice at once?"
            )
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, self._columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*self.rows, row])
        beside = self._path.with_name(f".mien-{secrets.token_hex(6)}.tmp")
        with _writing(self._path):
            try:
                _write_through(beside, stream.getvalue().encode())
                beside.replace(self._path)
            finally:
                beside.unlink(missing_ok=True)
        self.rows.append(row)
        self._stamp = self._now()

    def holds(self, file: str) -> bool:
        """Say whether the table on the disk names a file."""
        return any(row["file"] == file for row in self._read())

    def _now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    def _read(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                found = tuple(reader.fieldnames or ())
                if found != self._columns:
                    raise DatasetError(
                        f"{format_path(self._path)} is none that mien data extend wrote: expected the columns "
                        f"{','.join(self._columns)}, but got {','.join(found)[:200]!r}; choose another folder"
                    )
                rows = list(reader)
        except (OSError, ValueError, csv.Error) as error:
            raise DatasetError(f"cannot read {format_path(self._path)}: {error}") from error
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise DatasetError(f"{format_path(self._path)}, row {number}: expected {len(self._columns)} values")
        return rows


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_through(path: Path, data: bytes) -> None:
    """Write a file down to the disk: what is entered must also be there after a power cut."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error
