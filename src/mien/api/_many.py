"""Many sources at the same time, in order; a bad one becomes a row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mien import _threads as _in_order
from mien._checks import check_integer, describe
from mien.errors import InputError, MienError
from mien.models.runtime import default_threads
from mien.results import FailedItem, ImageResult, SpeechResult

__all__ = ["checked_workers", "in_order", "path_of"]

Result = TypeVar("Result", ImageResult, SpeechResult)


def checked_workers(sources: Iterable[Any], workers: int | None, *, what: str) -> int:
    """Return how many threads work, or raise `InputError` where that is no number, or ``sources`` is but one."""
    if isinstance(sources, str | bytes | os.PathLike):
        raise InputError(f"sources must be several {what}, but got one ({describe(sources)}): pass [source]")
    return default_threads() if workers is None else check_integer(workers, "workers", low=1)


def in_order(sources: Iterable[Any], work: Callable[[Any], Result], count: int) -> Iterator[Result | FailedItem]:
    """Do work on sources by several threads, and yield what comes of it in the order of the sources."""

    def tried(source: Any) -> Result | FailedItem:
        try:
            return work(source)
        except MienError as error:
            return FailedItem(_named(source), type(error).__name__, str(error))

    yield from _in_order.in_order(sources, tried, count)


def path_of(source: Any) -> str | None:
    """Return the path that a source is, if it is one."""
    return os.fsdecode(source) if isinstance(source, str | os.PathLike) else None


def _named(source: Any) -> str | None:
    name = getattr(source, "name", None)  # of a file object
    path = path_of(source)
    return path if path is not None or not isinstance(name, str) else name
