"""Running a plan: parts go to workers, and a part that ends its worker is halved until the item is found."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from mien.batch.parts import PartReader
from mien.batch.plan import Plan, write_durably
from mien.errors import MienError

__all__ = ["LocalPool", "Outcome", "Pool", "Task", "run_parts", "work"]

_REPORT_S = 0.25
_ATTEMPTS = 2
"""A part, or a single item, that ends its worker so often is at fault."""


@dataclass(frozen=True, slots=True)
class Task:
    """A part, or some of its items.

    Parameters
    ----------
    part : int
        Number of the part.
    begin, end : int, optional
        Items of the part, as of a slice; by default all.
    """

    part: int
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Parameters
    ----------
    task : Task
        The task.
    items, failed : int
        Items that were read, and those with an error.
    table : bytes, optional
        The rows of some items of a part, as an Arrow stream; those of a whole part are in its file.
    is_alive : bool
        False where the worker ended.
    """

    task: Task
    items: int = 0
    failed: int = 0
    table: bytes | None = None
    is_alive: bool = True


class Pool(Protocol):
    """Workers, each of which takes one task at a time."""

    @property
    def free(self) -> int:
        """Number of workers without a task."""

    def submit(self, task: Task) -> None:
        """Give a task to a free worker."""

    def wait(self) -> list[Outcome]:
        """Wait for something to end; also returns, empty, now and then."""

    def close(self) -> None:
        """End the workers at once."""


def work(reader: PartReader, task: Task, on_item: Callable[[], None] | None = None) -> Outcome:
    """Read a task; the file of a whole part is written here, by the worker."""
    table = reader.read(reader.plan.entries(task.part)[task.begin : task.end], on_item)
    failed = table.num_rows - table["error"].null_count
    if task.end is None:
        write_durably(reader.plan.part_path(task.part), table)
        return Outcome(task, table.num_rows, failed)
    return Outcome(task, table.num_rows, failed, _to_bytes(table))


def run_parts(
    plan: Plan,
    parts: Iterable[int],
    pool: Pool,
    *,
    retry: bool = False,
    on_read: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Read parts, and write a file of each.

    Parameters
    ----------
    plan : Plan
        The plan.
    parts : iterable of int
        Which parts; those whose file is there by then are left out.
    pool : Pool
        The workers; closed at the end.
    retry : bool
        Read the items with an error of parts whose file is there again, and nothing else.
    on_read : callable, optional
        Called with the number of items, and of those that failed, whenever some were read.

    Returns
    -------
    items, failed : int
        Numbers of items that were read, and of those with an error.

    Raises
    ------
    MienError, OSError
        If a model cannot be loaded, or a file not be written.
    """
    return _Run(plan, pool, retry, on_read).run(parts)


class _Run:
    def __init__(self, plan: Plan, pool: Pool, retry: bool, on_read: Callable[[int, int], None] | None) -> None:
        self._plan, self._pool, self._on_read = plan, pool, on_read
        self._tasks_of = self._tasks_again if retry else self._tasks
        self._again: deque[Task] = deque()
        self._deaths: dict[Task, int] = {}
        self._pieces: dict[int, dict[int, Any]] = {}
        self._open: dict[int, int] = {}  # tasks of halved parts that are not done yet
        self._items = self._failed = 0

    def run(self, parts: Iterable[int]) -> tuple[int, int]:
        running, is_over, tasks = 0, False, (task for part in parts for task in self._tasks_of(part))
        try:
            while True:
                while self._pool.free:
                    task = self._again.popleft() if self._again else next(tasks, None)
                    if task is None:
                        is_over = True
                        break
                    self._pool.submit(task)
                    running += 1
                if is_over and not running and not self._again:
                    return self._items, self._failed
                for outcome in self._pool.wait():
                    running -= 1
                    self._take(outcome)
        finally:
            self._pool.close()

    def _tasks(self, part: int) -> Iterator[Task]:
        if not self._plan.part_path(part).exists():  # somebody else may have written it meanwhile
            yield Task(part)

    def _tasks_again(self, part: int) -> Iterator[Task]:
        """Yield a task for each item with an error, and keep the other rows of the part."""
        from pyarrow import parquet

        table = parquet.read_table(self._plan.part_path(part))
        bad = [k for k, error in enumerate(table["error"].to_pylist()) if error is not None]
        if not bad:
            return
        edges = [-1, *bad, table.num_rows]
        self._pieces[part] = {k + 1: table.slice(k + 1, end - k - 1) for k, end in pairwise(edges) if end > k + 1}
        self._open[part] = len(bad)
        yield from (Task(part, k, k + 1) for k in bad)

    @cached_property
    def _reader(self) -> PartReader:
        return PartReader(self._plan)

    def _take(self, outcome: Outcome) -> None:
        task = outcome.task
        if not outcome.is_alive:
            self._retry_or_halve(task)
        elif outcome.table is None:
            self._count(outcome.items, outcome.failed)
        else:
            self._add(task, _from_bytes(outcome.table))

    def _retry_or_halve(self, task: Task) -> None:
        """Do a task again; if its worker ended again, halve it."""
        self._deaths[task] = self._deaths.get(task, 0) + 1
        entries = self._plan.entries(task.part)
        begin, end = task.begin, len(entries) if task.end is None else task.end
        is_halved = task.end is not None
        if self._deaths[task] < _ATTEMPTS and (not is_halved or end - begin == 1):
            self._again.append(task)
        elif end - begin == 1:
            self._open.setdefault(task.part, 1)
            self._add(task, self._reader.make_dead_rows(entries[begin:end]))
        else:
            middle = (begin + end) // 2
            self._again += (Task(task.part, begin, middle), Task(task.part, middle, end))
            self._open[task.part] = self._open.get(task.part, 1) + 1

    def _add(self, task: Task, table: Any) -> None:
        """Keep some rows of a part, and write it when it is complete."""
        import pyarrow as pa

        pieces = self._pieces.setdefault(task.part, {})
        pieces[task.begin] = table
        self._count(table.num_rows, table.num_rows - table["error"].null_count)
        self._open[task.part] -= 1
        if not self._open[task.part]:
            whole = pa.concat_tables([pieces[begin] for begin in sorted(pieces)], promote_options="default")
            del self._pieces[task.part], self._open[task.part]
            whole = whole.unify_dictionaries().combine_chunks()
            write_durably(self._plan.part_path(task.part), whole)

    def _count(self, items: int, failed: int) -> None:
        self._items, self._failed = self._items + items, self._failed + failed
        if self._on_read is not None:
            self._on_read(items, failed)


def _to_bytes(table: Any) -> bytes:
    import pyarrow as pa

    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def _from_bytes(content: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(content).read_all()


# --- processes of this machine ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    task: Task | None = None


class LocalPool:
    """Processes of this machine.

    Parameters
    ----------
    folder : Path
        The dataset.
    workers : int
        How many processes.
    on_items : callable, optional
        Called with how many more items were read, a few times a second.
    """

    def __init__(self, folder: Path, workers: int, on_items: Callable[[int], None] | None = None) -> None:
        self._folder, self._on_items = folder, on_items
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start() for _ in range(workers)]

    @property
    def free(self) -> int:
        """Number of workers without a task."""
        return sum(worker.task is None for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Give a task to a free worker."""
        worker = next(worker for worker in self._workers if worker.task is None)
        worker.task = task
        with suppress(OSError):  # its end is seen by `wait`
            worker.pipe.send(task)

    def wait(self) -> list[Outcome]:
        """Wait for something to end.

        Raises
        ------
        MienError, OSError
            What a worker raised: nothing of it is the fault of an item.
        """
        busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        outcomes = []
        for pipe in wait(list(busy), timeout=1.0):
            worker = busy[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                message = None
            if isinstance(message, int):
                if self._on_items is not None:
                    self._on_items(message)
            elif isinstance(message, BaseException):
                raise message
            elif message is None:
                worker.process.join()
                assert worker.task is not None
                outcomes.append(Outcome(worker.task, is_alive=False))
                worker.pipe.close()
                self._workers[self._workers.index(worker)] = self._start()
            else:
                worker.task = None
                outcomes.append(message)
        return outcomes

    def close(self) -> None:
        """End the workers at once."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def _start(self) -> _Worker:
        mine, its = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(its, self._folder), daemon=True, name="mien-batch")
        process.start()
        its.close()
        return _Worker(process, mine)


def _serve(pipe: Connection, folder: Path) -> None:
    """Take tasks until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reader = PartReader(Plan.load(folder))
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        counter = _Counter(pipe)
        try:
            outcome: Any = work(reader, task, counter)
        except (MienError, OSError) as error:
            outcome = error
        counter.flush()
        pipe.send(outcome)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Counter:
    """Sends how many items were read, a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._count, self._sent_s = pipe, 0, time.monotonic()

    def __call__(self) -> None:
        self._count += 1
        if time.monotonic() - self._sent_s > _REPORT_S:
            self.flush()

    def flush(self) -> None:
        self._pipe.send(self._count)
        self._count, self._sent_s = 0, time.monotonic()
