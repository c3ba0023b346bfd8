"""Work on many things by several threads, with the results in order and few things held; and Ctrl-C at safe places."""

from __future__ import annotations

# The functions of `signal` look each handler up among its enums, which takes several times as long in Python 3.11: too
# long for each packet of a file.
import _signal  # type: ignore[import-not-found]
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["WAIT_S", "defer_signals", "in_order"]

WAIT_S = 0.2
"""How long to wait at a time where signals are deferred: a user who presses Ctrl-C does not notice."""

Source = TypeVar("Source")
Result = TypeVar("Result")


@contextmanager
def defer_signals(is_waiting: Callable[[], bool] = lambda: False) -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C and SIGTERM back until the end of the block; outside the main thread, do nothing.

    Python raises them between any two steps of a program: in the taking of a lock of `queue.Queue` or of a future, too,
    which then stays locked for ever, and those who wait for it with it.

    Parameters
    ----------
    is_waiting : callable, optional
        Whether the block is at a place where they are not held back.

    Yields
    ------
    callable
        Gives those held back so far to their handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    caught: list[int] = []
    found = {number: _signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers: dict[int, Callable[..., Any]] = {number: kept for number, kept in found.items() if callable(kept)}
    is_over = False

    def deliver() -> None:
        while caught:
            number = caught.pop(0)
            handlers[number](number, None)

    def take(number: int, _frame: object) -> None:
        caught.append(number)
        if is_over or is_waiting():
            deliver()

    try:
        for number in handlers:
            _signal.signal(number, take)
        yield deliver
    finally:
        is_over = True  # from here on a signal may break off this block, and leave `take` where it is
        for number, handler in handlers.items():
            if _signal.getsignal(number) is take:  # a handler that ran may have put another one there
                _signal.signal(number, handler)
        deliver()


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
            with defer_signals():
                pending.append(pool.submit(work, source))
            while pending and (len(pending) >= 3 * workers or _is_done(pending[0], 0)):
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())
    finally:
        # Reached early when the caller stops: what has not begun is not begun any more.
        if stop is not None:
            stop.set()
        pool.shutdown(cancel_futures=True)


def _is_done(future: Future[Any], timeout_s: float) -> bool:
    with defer_signals():
        return bool(wait([future], timeout=timeout_s).done)


def _result(future: Future[Result]) -> Result:
    while not _is_done(future, WAIT_S):
        pass
    with defer_signals():
        return future.result()
