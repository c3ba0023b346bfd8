"""Work on many things by several threads, with the results in order and few things held."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

Source = TypeVar("Source")
Result = TypeVar("Result")


def in_order(
    sources: Iterable[Source],
    work: Callable[[Source], Result],
    workers: int,
    *,
    stop: threading.Event | None = None,
) -> Generator[Result, None, None]:
    """Do work on things as they come, and yield what comes of it in their order.

    The things are taken in the caller's thread, lazily, so any iterable will do, an endless one too.  Results that are
    ready are handed out before more is taken.

    Parameters
    ----------
    sources : iterable
        What to work on; at most ``3 * workers`` of them are under way or wait to be handed out.
    work : callable
        What is done to each, in one of the threads.  What it raises is raised when it is this result's turn.
    workers : int
        Threads.
    stop : threading.Event, optional
        Set when no more results are wanted, also at Ctrl-C: work that takes long can look at it and end.

    Yields
    ------
    object
        What ``work`` returned.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="mien")
    try:
        for source in sources:
            pending.append(pool.submit(work, source))
            while pending and (len(pending) >= 3 * workers or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Reached early when the caller stops: what has not begun is not begun any more.
        if stop is not None:
            stop.set()
        pool.shutdown(cancel_futures=True)
