"""Work on all recordings of a corpus: in several processes, on with what is missing, whole files only."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import secrets
import signal
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from mien._checks import check_integer
from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.io.paths import format_path

__all__ = ["ABOUT", "Outcome", "SoundWork", "Task", "about", "stems", "write_whole"]

ABOUT = ("emotion", "subject", "sex", "clip", "split", "intensity", "statement")
"""Columns that say about a recording what its corpus says; see `Samples`."""

REJECTED = ("file", "reason")
"""Columns of ``rejected.csv``."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is made of one recording.

    Parameters
    ----------
    row : int
        Its place in the list of clips.
    source : str
        Its path.
    targets : tuple of str
        Paths of the files to make.
    """

    row: int
    source: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recording.

    Parameters
    ----------
    file : str
        The recording, relative to its corpus.
    reason : str
        Why nothing was made of it; empty where all went well.
    """

    file: str
    reason: str = ""


class SoundWork(ABC):
    """Files to make of a corpus in a folder, and the tables of what was made.

    Parameters
    ----------
    clips : Samples
        The corpus.
    out : pathlib.Path
        The folder; need not exist.
    record : str
        Name of the file that says how things were made; the work goes on only where it says the same.
    settings : dict
        What it says; JSON.

    Raises
    ------
    DatasetError
        If the folder holds what was made otherwise.
    """

    def __init__(self, clips: Samples, out: Path, *, record: str, settings: dict[str, Any]) -> None:
        self.clips, self.out = clips, out
        self._record, self._settings = out / record, settings
        if out.exists() and not out.is_dir():
            raise DatasetError(f"expected a folder to write to, but {format_path(out)} is a file")
        self._same_as_before()

    @abstractmethod
    def left(self) -> list[Task]:
        """Return what is not there yet, in the order of the corpus."""

    @property
    @abstractmethod
    def _work(self) -> Callable[[Task], str]:
        """What does one task and returns why it could not; must be picklable."""

    @abstractmethod
    def _finish(self, *, complete: bool) -> None:
        """Write the tables of what is there; ``complete`` tells whether everything was tried."""

    def run(self, *, workers: int = 1) -> Iterator[Outcome]:
        """Make what is missing.

        Every file is whole on the disk before its outcome is yielded, so the work can be ended at any time and goes on
        with the same call.  What could not be used is listed in ``rejected.csv``, and tried again by the next call.

        Parameters
        ----------
        workers : int
            Processes; 1 works in this one.

        Yields
        ------
        Outcome
            One for each recording that was left, in the order in which they are done.

        Raises
        ------
        DatasetError
            If nothing can be written, or a process was ended from outside.
        """
        count = check_integer(workers, "workers", low=1, high=1024)
        tasks = self.left()
        write_whole(self._record, _json(self._settings))
        rejected: dict[int, Outcome] = {}
        complete = False
        try:
            for task, reason in _each(self._work, tasks, count):
                outcome = Outcome(str(self.clips.files[task.row]), reason)
                if reason:
                    rejected[task.row] = outcome
                yield outcome
            complete = True
        finally:
            rows = [{"file": one.file, "reason": one.reason} for _, one in sorted(rejected.items())]
            table = self.out / "rejected.csv"
            if rows:
                _write_table(table, REJECTED, rows)
            else:
                table.unlink(missing_ok=True)
            self._finish(complete=complete)

    def _write_manifest(self, columns: Sequence[str], rows: list[dict[str, str]]) -> None:
        """Write ``manifest.csv``: these rows, and those of earlier calls on other recordings whose files are there."""
        path = self.out / "manifest.csv"
        mine = {row["source"] for row in rows} | set(self.clips.files.tolist())
        earlier = [row for row in _read_table(path, columns) if row["source"] not in mine]
        _write_table(path, columns, [*(row for row in earlier if (self.out / row["file"]).is_file()), *rows])

    def _same_as_before(self) -> None:
        try:
            before = json.loads(self._record.read_text("utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise DatasetError(f"cannot read {format_path(self._record)}: {error}") from error
        if before != json.loads(_json(self._settings)):
            raise DatasetError(
                f"{format_path(self._record)} says that this folder was made with other settings: choose another folder"
            )


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _each(work: Callable[[Task], str], tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, str]]:
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, work(task)
        return
    # Spawned, not forked: the caller may have threads, and a fork of those can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context, initializer=_leave_interrupts)
    rest = iter(tasks)
    try:
        waiting: dict[Future[str], Task] = {pool.submit(work, task): task for task in islice(rest, 4 * workers)}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                task = waiting.pop(future)
                waiting |= {pool.submit(work, following): following for following in islice(rest, 1)}
                yield task, future.result()
    except BrokenProcessPool as error:
        raise DatasetError("a process of this work was ended from outside: run it again, with fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    # Ctrl-C reaches all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stems(files: Sequence[str]) -> list[str]:
    """Return relative paths without their suffixes; with them where two would be the same.

    Raises
    ------
    DatasetError
        If two are the same nevertheless.
    """
    cut = [PurePosixPath(file).with_suffix("").as_posix() for file in files]
    # In lower case, because some file systems take both for the same.
    times = Counter(stem.lower() for stem in cut)
    made = [stem if times[stem.lower()] == 1 else file for stem, file in zip(cut, files, strict=True)]
    twice = next((stem for stem, n in Counter(stem.lower() for stem in made).items() if n > 1), None)
    if twice is not None:
        raise DatasetError(f"two recordings would give the same file, {format_path(twice)}: rename one")
    return made


def about(clips: Samples, row: int) -> dict[str, str]:
    """Return what the corpus says about a recording, by `ABOUT`."""
    return {name: str(clips.column(name)[row]) for name in ABOUT} | {"emotion": clips.emotion(row)}


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    """Write a CSV.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # A name that is no UTF-8 keeps its bytes.
    write_whole(path, stream.getvalue().encode("utf-8", "surrogateescape"))


def _read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, restval="", strict=True)
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise DatasetError(f"{format_path(path)} is none that mien wrote here: choose another folder")
            return list(reader)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"cannot read {format_path(path)}: {error}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    beside = path.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error
