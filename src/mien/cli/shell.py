"""What all subcommands share: errors in one line, output that never fails on a name, tables, progress."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from mien.errors import MienError, MienWarning

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "LINE_EVERY_S",
    "SOME_FAILED",
    "TERMINATED",
    "Advance",
    "guard",
    "note",
    "one_line",
    "open_closed_streams",
    "progress",
    "set_matplotlib_cache",
    "table",
    "terminable",
    "time_progress",
    "write",
]

FAILED = 1
"""Exit code: nothing could be done."""

SOME_FAILED = 3
"""Exit code: some items failed."""

INTERRUPTED = 130
"""Exit code: stopped by Ctrl-C, as shells report it (128 + SIGINT)."""

TERMINATED = 143
"""Exit code: ended by SIGTERM, as shells report it (128 + SIGTERM)."""

LINE_EVERY_S = 10.0
"""How often long work reports where there is no terminal."""

_LONGEST_NAME = 40


class _Failure(click.ClickException):
    """An error as the command line shows it: one line on stderr, and an exit code."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's signature
        """Write the line."""
        note(self.message)


class _Interrupted(_Failure):
    """Ctrl-C."""

    exit_code = INTERRUPTED


class _Terminated(_Failure):
    """SIGTERM."""

    exit_code = TERMINATED


class _TerminateError(KeyboardInterrupt):
    """SIGTERM, which ends work as Ctrl-C does."""


@contextmanager
def guard() -> Iterator[None]:
    """Turn mien's errors, the system's errors and Ctrl-C into one line on stderr and an exit code.

    Anything else is a defect and keeps its traceback.  Warnings of mien become one line too.  A reader of stdout that
    goes away (``mien analyze ... | head``) ends the work without a word.

    Raises
    ------
    click.ClickException
        With exit code 1 for an error, 130 for Ctrl-C.
    """
    _never_fail_on_a_name(sys.stdout)
    _never_fail_on_a_name(sys.stderr)
    shown_before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, MienWarning):
            note(f"warning: {message}")
        else:
            shown_before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    except MienError as error:
        raise _Failure(str(error)) from error
    except OSError as error:
        # A broken pipe is click's: it ends the process quietly.
        if error.errno == errno.EPIPE:
            raise
        is_output = error.errno == errno.ENOSPC and error.filename is None
        text = f"cannot write the output: {error.strerror}" if is_output else str(error)
        raise _Failure(text) from error
    except _TerminateError as error:
        raise _Terminated("terminated") from error
    except KeyboardInterrupt as error:
        raise _Interrupted("interrupted") from error
    finally:
        warnings.showwarning = shown_before


@contextmanager
def terminable(*, ignore_repeats: bool = False) -> Iterator[None]:
    """Let SIGTERM end work as Ctrl-C does, so that what was written is finished; the exit code is then `TERMINATED`.

    A second one is ignored, since the first is being obeyed; where finishing ``ignore_repeats``, so is a second Ctrl-C.
    Outside the main thread, and where somebody else handles SIGTERM, nothing changes.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _TerminateError

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    if ignore_repeats and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _never_fail_on_a_name(stream: TextIO) -> None:
    # File names may hold what the terminal's encoding has no sign for; that must not end a run of thousands.
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def one_line(text: str) -> str:
    """Return text without line breaks and control characters, which a file name may hold: they are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def write(text: str = "") -> None:
    """Write a line of results to stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Write one line for people to stderr, with ``mien: `` before it; where it cannot be written, work goes on."""
    with suppress(OSError):
        sys.stderr.write(f"mien: {one_line(text)}\n")
        sys.stderr.flush()


def open_closed_streams() -> None:
    """Open the null device for standard streams that are closed.

    Otherwise the next files to be opened would take their places, and native libraries write their messages to them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - as long as the process


def set_matplotlib_cache() -> None:
    """Let matplotlib keep its list of fonts in mien's cache folder, not in a folder of its own in the user's home.

    For commands that draw charts, before anything imports matplotlib.
    """
    if "MPLCONFIGDIR" not in os.environ:
        from mien.models.store import download_folder

        os.environ["MPLCONFIGDIR"] = str(download_folder().with_name("matplotlib"))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Lay out rows as aligned columns, without frames: easy to read, to grep and to cut.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns.
    rows : sequence of sequences
        As many values a row as titles; shown by `str`, in one line each.
    right : sequence of int
        Columns that are aligned to the right (numbers).

    Returns
    -------
    str
        The table, without a line break at its end.
    """
    cells = [[one_line(str(value)) for value in row] for row in (head, *rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - _width(cell))
            padded.append(gap + cell if index in right else cell + gap)
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian wide signs take two, combining ones none."""
    if text.isascii():
        return len(text)
    signs = (c for c in text if not unicodedata.combining(c))
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in signs)


class Advance:
    """Takes how many items were done since the last call; shows nothing."""

    def __call__(self, count: int) -> None:
        """Count items."""

    def expect(self, total: int) -> None:
        """Take how many items there are, where that was not known at first; from any thread."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the place to another display, or to results that go to the same terminal."""
        yield


@contextmanager
def progress(total: int | None, what: str, *, unit: str = "") -> Iterator[Advance]:
    """Show how far long work has come, on stderr.

    On a terminal a bar with rate and time left; elsewhere a plain line every ten seconds, so that short work stays
    silent and a log of long work stays short.

    Parameters
    ----------
    total : int or None
        How many items there are, if that is known.
    what : str
        What is done, such as ``"analyzing"``.
    unit : str
        What is counted, such as ``"images"``.

    Yields
    ------
    Advance
        Takes the number of items done since the last call.
    """
    if not sys.stderr.isatty():
        yield _Lines(total, what, unit)
        return
    # rich takes a tenth of a second to import: only who sees a bar pays for it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(what, total=total, rate=""), unit)


class _Bar(Advance):
    """Progress on a terminal."""

    def __init__(self, bar: Progress, task: TaskID, unit: str) -> None:
        self._bar, self._task, self._unit = bar, task, unit
        self._started = time.monotonic()
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        rate_text = f"{rate:.1f} {self._unit}/s" if self._unit else f"{rate:.1f}/s"
        self._bar.update(self._task, advance=count, rate=rate_text)

    def expect(self, total: int) -> None:
        self._bar.update(self._task, total=total)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


class _Lines(Advance):
    """Progress where there is no terminal: a line every ten seconds."""

    def __init__(self, total: int | None, what: str, unit: str) -> None:
        self._total = total
        self._what = what
        self._unit = unit
        self._done = 0
        self._started = self._last = time.monotonic()

    def expect(self, total: int) -> None:
        self._total = total

    def __call__(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < LINE_EVERY_S:
            return
        self._last = now
        rate = self._done / (now - self._started)
        text = f"{self._what}: {self._done}{f' of {self._total}' if self._total else ''} {self._unit}".rstrip()
        text += f", {rate:.1f}/s"
        if self._total and rate > 0:
            text += f", {(self._total - self._done) / rate:.0f} s left"
        note(text)


@contextmanager
def time_progress(what: str, start_s: float, end_s: float | None) -> Iterator[Callable[[float], None]]:
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
    from mien.output.summary import format_duration, format_minutes

    began_s = time.monotonic()

    def words(time_s: float) -> str:
        """Return such as ``0:35 of 12:04, 11 x real time, 63 s left``."""
        spent_s, done_s = time.monotonic() - began_s, time_s - start_s
        whole_s = time_s if end_s is None else max(end_s, time_s)
        parts = [
            format_minutes(time_s, whole_s) + (f" of {format_minutes(whole_s, whole_s)}" if end_s is not None else "")
        ]
        if done_s > 0 and spent_s > 0.5:
            speed = done_s / spent_s
            parts.append(f"{speed:.{0 if speed >= 10 else 1}f} x real time")
            if end_s is not None:
                parts.append(f"{format_duration(max(round((whole_s - time_s) / speed), 0)).replace('.0 s', ' s')} left")
        return ", ".join(parts)

    if not sys.stderr.isatty():
        last_s = began_s

        def write_line(time_s: float) -> None:
            nonlocal last_s
            now = time.monotonic()
            if now - last_s >= LINE_EVERY_S:
                last_s = now
                note(f"{what}: {words(time_s)}")

        yield write_line
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    name = one_line(what)
    name = name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = None if end_s is None else max(end_s - start_s, 1e-3)
        task = bar.add_task(escape(name), total=total, words=words(start_s))
        yield lambda time_s: bar.update(task, completed=time_s - start_s, words=words(time_s))
