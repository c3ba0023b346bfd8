"""What ``mien analyze`` says: results as they come, notes, counts, and the exit code."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from mien.cli import _shell
from mien.cli._analyze_kinds import Kind
from mien.cli._analyze_options import Options
from mien.cli._analyze_sources import Source
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoFrame

if TYPE_CHECKING:
    from mien.cli._analyze_sinks import Expected, Item, ParquetSink, Sink

__all__ = ["Report"]


class Report:
    """Writes results as they come, counts them, and knows the exit code; a context manager.

    Parameters
    ----------
    options : Options
        What is written, and where.
    expected : dict of Kind to LabelSet
        The emotions of the kinds that are expected: columns do not change once the first row is written.
    many : bool
        Whether several items are read.
    """

    def __init__(self, options: Options, expected: Expected, *, many: bool) -> None:
        from mien.cli._analyze_sinks import ParquetSink, stdout_sink

        self._many, self._expected = many, expected
        self._fixed = options.as_csv or options.parquet is not None
        self._parquet: ParquetSink | None = None
        if options.parquet is not None:
            self._parquet = ParquetSink(options.parquet, expected, table=options.table)
        self._sinks: list[Sink] = [stdout_sink(options, expected, many=many)]
        if self._parquet is not None:
            self._sinks.append(self._parquet)
        self.done = self.failed = 0
        self._read = dict.fromkeys(Kind, 0)
        self._faces = self._people = 0
        self._speech_s = self._video_s = 0.0
        self._started = time.monotonic()

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parquet is not None:
            self._parquet.leave(error)

    def refused(self, source: Source) -> FailedItem | None:
        """Return the row of a source for whose kind the table has no columns, or None."""
        if source.kind in self._expected or not self._fixed or source.missing:
            return None
        path = source.data if isinstance(source.data, str) else None
        others = " and ".join(kind.many for kind in self._expected)
        message = (
            f"{source.told} is {source.kind.one}, but its name was taken for that of {others}, whose columns the table "
            "has: name it outright, or use --json"
        )
        return FailedItem(path, "UnsupportedMediaError", message)

    def segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        """Write a segment of a recording that is still read."""
        for sink in self._sinks:
            sink.segment(path, number, segment)

    def frame(self, path: str | None, frame: VideoFrame) -> None:
        """Write a frame of a video that is still read."""
        for sink in self._sinks:
            sink.frame(path, frame)

    def add(self, item: Item, kind: Kind) -> None:
        """Take one result.

        Parameters
        ----------
        item : ImageResult, SpeechResult, VideoResult or FailedItem
            The result.
        kind : Kind
            What it is, or would have been.
        """
        from mien.cli._analyze_sinks import Outcome

        self._count(item)
        for sink in self._sinks:
            sink.add(Outcome(item, kind))

    def trouble(self, message: str) -> None:
        """Tell that a file could not be made of something that was read, which counts as a failure."""
        self.failed += 1
        _shell.note(message)

    def _count(self, item: Item) -> None:
        from mien.io.paths import format_path

        if isinstance(item, FailedItem):
            named = item.path is None or format_path(item.path) in item.message
            self.trouble(item.message if named else f"{item.path}: {item.message}")
            return
        self.done += 1
        if isinstance(item, ImageResult):
            self._read[Kind.IMAGE] += 1
            self._faces += len(item.faces)
        elif isinstance(item, SpeechResult):
            self._read[Kind.RECORDING] += 1
            self._speech_s += item.speech_s
        else:
            self._read[Kind.VIDEO] += 1
            self._people += len(item.tracks)
            self._video_s += item.end_s - item.start_s
        for warning in item.warnings:
            _shell.note(f"warning: {item.path or 'standard input'}: {warning}")

    def close(self) -> int:
        """Write what is left, and return the exit code."""
        for sink in self._sinks:
            sink.close()
        # A single failure has said all in its own line.
        if self._many and self.done + self.failed > 1:
            _shell.note(self._counts())
        if self.failed == 0:
            return 0
        return _shell.SOME_FAILED if self.done else _shell.FAILED

    def _counts(self) -> str:
        parts = []
        if self._read[Kind.IMAGE] or not self.done:
            parts.append(f"{self._read[Kind.IMAGE]} images, {self._faces} faces")
        if self._read[Kind.RECORDING]:
            parts.append(f"{self._read[Kind.RECORDING]} recordings, {self._speech_s:.1f} s of speech")
        if self._read[Kind.VIDEO]:
            parts.append(f"{self._read[Kind.VIDEO]} videos, {self._video_s:.1f} s, {self._people} people")
        return ", ".join([*parts, f"{self.failed} failed", f"{time.monotonic() - self._started:.1f} s"])
