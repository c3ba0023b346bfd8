"""What ``mien analyze`` says: tables, JSON, CSV and Parquet as results come, notes, and the exit code."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mien.cli import _shell
from mien.cli._analyze_sources import Source
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSpan

if TYPE_CHECKING:
    from mien.labels import LabelSet
    from mien.output import CsvWriter, JsonLinesWriter, ParquetWriter

__all__ = ["Report"]

Item = ImageResult | SpeechResult | FailedItem


class Report:
    """Writes results as they come, counts them, and knows the exit code; a context manager.

    Parameters
    ----------
    as_json, as_csv : bool
        What is written to stdout; a table for people where neither is asked for.
    parquet : Path or None
        A table to write as well.
    many : bool
        Whether several items are read.
    faces, speech : LabelSet or None
        The emotions of the kinds that are expected: columns do not change once the first row is written.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        as_csv: bool,
        parquet: Path | None,
        many: bool,
        faces: LabelSet | None,
        speech: LabelSet | None,
    ) -> None:
        from mien.output import CsvWriter, JsonLinesWriter, ParquetWriter

        self._as_json, self._many = as_json, many
        self._quiet = parquet is not None
        self._expected = {False: faces is not None, True: speech is not None}
        self._csv: CsvWriter | None = None
        self._lines: JsonLinesWriter | None = JsonLinesWriter(sys.stdout) if as_json and many else None
        self._parquet: ParquetWriter | None = None
        self._parquet_path = parquet
        self._open = ExitStack()
        if parquet is not None:
            self._parquet = self._open.enter_context(ParquetWriter(parquet, faces, speech=speech))
        if as_csv:
            self._csv = CsvWriter(sys.stdout, faces, speech=speech)
        self._pictures: list[ImageResult | FailedItem] = []
        self._recordings: list[SpeechResult | FailedItem] = []
        self.done = self.failed = self.faces = 0
        self._heard = self._seen = 0
        self._speech_s = 0.0
        self._started = time.monotonic()

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After Ctrl-C what was done is kept.
        kept = isinstance(error, KeyboardInterrupt)
        self._open.__exit__(*((None, None, None) if kept else (kind, error, trace)))

    @property
    def live(self) -> bool:
        """Whether spans are written as soon as they are settled."""
        return self._csv is not None

    def refused(self, source: Source) -> FailedItem | None:
        """Return the row of a source for whose kind the table has no columns, or None."""
        if self._expected[source.sound] or (self._csv is None and self._parquet is None):
            return None
        path = source.data if isinstance(source.data, str) else None
        is_, others = ("a recording", "pictures") if source.sound else ("a picture", "recordings")
        message = f"{source.told} is {is_}, but its name was taken for that of {others}, whose columns the table has"
        return FailedItem(path, "UnsupportedMediaError", f"{message}: name it outright, or use --json")

    def span(self, path: str | None, number: int, span: SpeechSpan) -> None:
        """Write a span of a recording that is still read."""
        if self._csv is not None:
            self._csv.write_span(path, number, span)
            sys.stdout.flush()

    def add(self, item: Item, *, sound: bool, live: bool = False) -> None:
        """Take one result.

        Parameters
        ----------
        item : ImageResult, SpeechResult or FailedItem
            The result.
        sound : bool
            Whether it is, or would have been, a recording.
        live : bool
            Whether its spans are written already.
        """
        self._count(item)
        if self._parquet is not None:
            self._parquet.write(item)
        if self._csv is not None:
            if live and isinstance(item, SpeechResult):
                self._csv.write_warnings(item.path, item.warnings)
            else:
                self._csv.write(item)
            sys.stdout.flush()
        elif self._lines is not None:
            self._lines.write(item)
            sys.stdout.flush()
        elif self._as_json:
            from mien.output import to_json

            _shell.write(to_json(item))
        elif not self._quiet:
            self._keep(item, sound)

    def _keep(self, item: Item, sound: bool) -> None:
        """Keep what goes into the tables at the end."""
        if isinstance(item, ImageResult) or (isinstance(item, FailedItem) and not sound):
            self._pictures.append(item)
        else:
            self._recordings.append(item)

    def _count(self, item: Item) -> None:
        from mien.media.paths import shown

        if isinstance(item, FailedItem):
            self.failed += 1
            named = item.path is None or shown(item.path) in item.message
            _shell.note(item.message if named else f"{item.path}: {item.message}")
            return
        self.done += 1
        if isinstance(item, ImageResult):
            self._seen += 1
            self.faces += len(item.faces)
        else:
            self._heard += 1
            self._speech_s += item.speech_s
        for warning in item.warnings:
            _shell.note(f"warning: {item.path or 'standard input'}: {warning}")

    def close(self) -> int:
        """Write the tables, if they are wanted, and return the exit code."""
        if self.done and self._pictures:
            _shell.write_faces(self._pictures)
        if self.done and self._recordings:
            self._write_spans()
        if self._parquet is not None:
            self._open.close()
            _shell.note(f"wrote {self._parquet.rows} rows to {self._parquet_path}")
        # A single failure has said all in its own line.
        if self._many and self.done + self.failed > 1:
            _shell.note(self._counts())
        if self.failed == 0:
            return 0
        return _shell.SOME_FAILED if self.done else _shell.FAILED

    def _write_spans(self) -> None:
        from mien.output import speech_summary

        _shell.write_spans(self._recordings)
        for item in self._recordings:
            if isinstance(item, SpeechResult):
                _shell.write(speech_summary(item, ascii_only=_shell.ascii_only()))

    def _counts(self) -> str:
        parts = [f"{self._seen} pictures, {self.faces} faces"] if self._seen or not self._heard else []
        if self._heard:
            parts.append(f"{self._heard} recordings, {self._speech_s:.1f} s of speech")
        return ", ".join([*parts, f"{self.failed} failed", f"{time.monotonic() - self._started:.1f} s"])
