"""Long work on many items: in several processes, going on where it was stopped, files whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import importlib
import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import cv2

from mien._checks import check_integer
from mien._threads import WAIT_S, defer_signals
from mien.errors import DatasetError
from mien.io.paths import atomic_path, format_path

__all__ = ["Journal", "is_stopped", "journal_path", "read_table", "run_tasks", "write_bytes", "write_table"]

T = TypeVar("T")
R = TypeVar("R")


# --- processes ----------------------------------------------------------------------------------------


def run_tasks(
    work: Callable[[T], R], tasks: Iterable[T], total: int, *, workers: int = 1, at_once: int = 1
) -> Generator[tuple[T, R], None, None]:
    """Do tasks in this process or in several, and yield each with its result, as they are done.

    Parameters
    ----------
    work : callable
        Does one task; must be picklable. It is sent to each process once, so it may load a model on its first task.
    tasks : iterable
        What to do; taken one by one.
    total : int
        How many there are.
    workers : int
        Processes, 1 to 1024; with one, everything happens in this one.
    at_once : int
        Tasks that a process gets at a time.

    Raises
    ------
    InputError
        If the number of workers is wrong.
    DatasetError
        If a process dies.
    """
    count = check_integer(workers, "workers", low=1, high=1024)
    if count == 1 or total <= at_once:
        for task in tasks:
            yield task, work(task)
        return
    # Spawned, not forked: a forked child of a process with threads (of ONNX Runtime, of OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    count = min(count, -(-total // at_once))
    stop = context.Event()
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(work, stop))
    rest = iter(tasks)
    waiting: dict[Future[list[R]], list[T]] = {}
    try:
        while True:
            while len(waiting) < 2 * count and (parcel := list(islice(rest, at_once))):
                with defer_signals():
                    waiting[pool.submit(_run_parcel, parcel)] = parcel
            if not waiting:
                return
            with defer_signals():
                done = wait(waiting, timeout=WAIT_S, return_when=FIRST_COMPLETED).done
            for future in done:
                with defer_signals():
                    results = future.result()
                yield from zip(waiting.pop(future), results, strict=True)
    except BrokenProcessPool as error:
        raise DatasetError(
            "a process died at its work (out of memory, or killed): what was done is kept; "
            "run the same command again to go on, with fewer workers if it happens again"
        ) from error
    finally:
        with defer_signals():
            stop.set()  # nobody waits for what is left of a long video
            pool.shutdown(wait=True, cancel_futures=True)


_work: Callable[[Any], Any] | None = None
_stop: Event | None = None


def _start(work: Callable[[Any], Any], stop: Event) -> None:
    """Prepare a process: one thread; it ignores Ctrl-C and ends with its parent."""
    global _work, _stop  # what an initializer sets can live nowhere else
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _work, _stop = work, stop


def _follow_parent() -> None:
    # A parent that is killed cannot say so, and its children would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _run_parcel(parcel: list[Any]) -> list[Any]:
    assert _work is not None
    return [_work(task) for task in parcel]


def is_stopped() -> bool:
    """Return whether nobody waits any more for the result of the task that this process does."""
    return _stop is not None and _stop.is_set()


# --- files --------------------------------------------------------------------------------------------


def write_bytes(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file, whole or not at all, on request such that it outlives a power cut; folders above it are made.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    with atomic_path(path) as hidden:
        hidden.parent.mkdir(parents=True, exist_ok=True)
        with hidden.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())


def write_table(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    errors: str = "backslashreplace",
    sync: bool = False,
) -> None:
    """Write a CSV, whole or not at all; ``errors`` says what becomes of names that are no UTF-8.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, stream.getvalue().encode("utf-8", errors), sync=sync)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV that `write_table` wrote; none where there is no file.

    Raises
    ------
    DatasetError
        If it has other columns, or is damaged.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise DatasetError(
                    f"{format_path(path)} is none that mien wrote here: expected the columns {','.join(columns)}, but "
                    f"got {','.join(reader.fieldnames or ())[:200]!r}; choose another folder"
                )
            rows = list(reader)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"cannot read {format_path(path)}: {error}") from error
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DatasetError(f"{format_path(path)}, row {number}: expected {len(columns)} values")
    return rows


# --- what was done so far -----------------------------------------------------------------------------

_FORMAT = 1
_SYNC_EVERY = 64
_LONGEST_HEAD = 1 << 16  # what is not a journal may have no line breaks at all


def journal_path(out: str | os.PathLike[str]) -> Path:
    """Return where the journal of a result lies: hidden, beside it."""
    target = Path(out)
    return target.with_name(f".{target.name}.mien-journal")


class Journal:
    """What long work has done so far: a file beside the result that only grows, so that a killed run can go on.

    Lines of JSON: first what the work is, then an entry for each item, by its number. A line that was cut off by a kill
    is cut away when the journal is opened again. Two runs cannot have it at once.

    Parameters
    ----------
    path : pathlib.Path
        The file; made if it is not there.
    work : dict
        What makes this work that work: a journal of other work is rejected.

    Raises
    ------
    DatasetError
        If the journal is of other work, not a journal, in use, or cannot be written.
    """

    def __init__(self, path: Path, work: dict[str, Any]) -> None:
        self._path = path
        self._places: dict[int, int] = {}
        self._unsynced = 0
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not buffered: what a full disk did not take must not come back when the file is closed.
            self._file = path.open("ab", buffering=0)
        try:
            self._lock()
            with self._writing():
                self._open({"mien": "prepare", "format": _FORMAT, **work})
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
        """Write what became of an item.

        Raises
        ------
        DatasetError
            If it cannot be written, such as on a full disk; what was written before stays.
        """
        with self._writing():
            place = self._file.seek(0, os.SEEK_END)
            self._write({"i": number, **entry})
            self._unsynced += 1
            if self._unsynced >= _SYNC_EVERY:
                os.fsync(self._file.fileno())
                self._unsynced = 0
        self._places[number] = place

    def entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what became of the items, in the order of their numbers."""
        with self._path.open("rb") as file:
            for number in sorted(self._places):
                file.seek(self._places[number])
                yield number, self._parse(file.readline())

    def remove(self) -> None:
        """Delete the file, when the result is there."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DatasetError(f"cannot write {format_path(self._path)}: {error.strerror or error}") from error

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
        end = 0
        with self._path.open("rb") as file:
            head = file.readline(_LONGEST_HEAD)
            if head.endswith(b"\n"):
                found = self._parse(head)
                differs = sorted(key for key in {*work, *found} if found.get(key) != work.get(key))
                if differs:
                    raise DatasetError(
                        f"{format_path(self._path)} is of a run with other {', '.join(differs)}: "
                        "go on as it was begun, delete it to begin anew, or choose another name"
                    )
                end = file.tell()
                while (line := file.readline()).endswith(b"\n"):
                    number = self._parse(line).get("i")
                    if not isinstance(number, int):
                        raise self._damaged()
                    self._places[number] = end
                    end = file.tell()
            elif len(head) == _LONGEST_HEAD:
                raise self._damaged()
        # What was cut off by a kill, within the first line or the last, is cut away.
        self._file.truncate(end)
        if not end:
            self._write(work)

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _damaged(self) -> DatasetError:
        return DatasetError(f"{format_path(self._path)} is damaged: delete it to begin anew")

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise self._damaged()
        return entry
