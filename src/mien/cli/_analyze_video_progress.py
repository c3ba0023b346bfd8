"""How far a video has been read: video time, speed and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mien.cli import _shell
from mien.output.summary import format_duration, format_minutes

__all__ = ["video_progress"]

_LONGEST_NAME = 40


@contextmanager
def video_progress(what: str, start_s: float, end_s: float | None) -> Iterator[Callable[[float], None]]:
    """Show on stderr how far a video has been read: a bar on a terminal, elsewhere a line every ten seconds.

    Parameters
    ----------
    what : str
        What is done, such as ``"video.mp4"``.
    start_s, end_s : float, float or None
        What is read of the video; the end is None where its length is not known.

    Yields
    ------
    callable
        Takes the time that was reached, in seconds of the video.
    """
    state = _State(start_s, end_s)
    if not sys.stderr.isatty():
        yield _Lines(_shell.one_line(what), state)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    name = _shell.one_line(what)
    name = name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = None if end_s is None else max(end_s - start_s, 1e-3)
        task = bar.add_task(escape(name), total=total, told=state.told(start_s))

        def reach(time_s: float) -> None:
            bar.update(task, completed=time_s - start_s, told=state.told(time_s))

        yield reach


class _State:
    """What is told of a video that is being read."""

    def __init__(self, start_s: float, end_s: float | None) -> None:
        self._start_s, self._end_s = start_s, end_s
        self._began = time.monotonic()

    def told(self, time_s: float) -> str:
        """Return such as ``0:35 of 12:04, 11 x real time, 63 s left``."""
        spent_s, done_s = time.monotonic() - self._began, time_s - self._start_s
        whole_s = time_s if self._end_s is None else max(self._end_s, time_s)
        parts = [
            format_minutes(time_s, whole_s)
            + (f" of {format_minutes(whole_s, whole_s)}" if self._end_s is not None else "")
        ]
        if done_s > 0 and spent_s > 0.5:
            speed = done_s / spent_s
            parts.append(f"{speed:.{0 if speed >= 10 else 1}f} x real time")
            if self._end_s is not None:
                parts.append(f"{format_duration(max(round((whole_s - time_s) / speed), 0)).replace('.0 s', ' s')} left")
        return ", ".join(parts)


class _Lines:
    """Progress where there is no terminal."""

    def __init__(self, what: str, state: _State) -> None:
        self._what, self._state = what, state
        self._last = time.monotonic()

    def __call__(self, time_s: float) -> None:
        now = time.monotonic()
        if now - self._last >= _shell.LINE_EVERY_S:
            self._last = now
            _shell.note(f"{self._what}: {self._state.told(time_s)}")
