"""An iterator that works ahead in a thread of its own, by a few items."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Ahead"]

T = TypeVar("T")

_WAKE_S = 0.5
"""How often a waiting thread looks up: on Windows, Ctrl-C does not interrupt a wait without end."""

_PATIENCE_S = 5.0
"""How long `Ahead.stop` waits for a thread that hangs in its source, such as a pipe that gives nothing."""


class Ahead(Generic[T]):
    """Run an iterator in a thread, and hand out what it makes in its order.

    The thread begins with the first item that is asked for.  It ends by itself with the iterator, or at `stop`; an
    error in it is raised in the consumer's thread, after the items before it.

    Parameters
    ----------
    make : callable
        Returns the iterator; it runs in the thread.
    limit : int
        How many items may wait.
    done : callable
        Called once at the end, in the thread that worked: it gives back what the iterator holds.
    """

    def __init__(self, make: Callable[[], Iterator[T]], *, limit: int, done: Callable[[], None]) -> None:
        self._make, self._limit, self._done = make, limit, done
        self._items: deque[T] = deque()
        self._change = threading.Condition()
        self._error: BaseException | None = None
        self._stopped = self._ended = False
        self._thread: threading.Thread | None = None

    def next(self) -> T:
        """Return the next item; raise `StopIteration` after the last, and what the iterator raised."""
        if self._thread is None and not self._stopped:
            # A daemon: a program that ends must not wait for a video that nobody reads on.
            self._thread = threading.Thread(target=self._work, name="mien-video", daemon=True)
            self._thread.start()
        with self._change:
            while not (self._items or self._ended or self._stopped):
                self._change.wait(_WAKE_S)
            if self._items and not self._stopped:
                self._change.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        if error is not None and not self._stopped:
            raise error
        self.stop()
        raise StopIteration

    def stop(self) -> None:
        """End the thread and drop what it made; may be called again."""
        with self._change:
            self._stopped = True
            self._items.clear()
            self._change.notify_all()
        thread = self._thread
        if thread is None:
            self._finish()
        elif thread is not threading.current_thread():
            thread.join(_PATIENCE_S)

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._done()

    def _work(self) -> None:
        try:
            for item in self._make():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asks)
            self._error = error
        finally:
            try:
                self._done()
            finally:
                with self._change:
                    self._ended = True
                    self._change.notify_all()

    def _put(self, item: T) -> bool:
        """Add an item when there is room; tell whether to go on."""
        with self._change:
            while len(self._items) >= self._limit and not self._stopped:
                self._change.wait(_WAKE_S)
            if self._stopped:
                return False
            self._items.append(item)
            self._change.notify_all()
            return True
