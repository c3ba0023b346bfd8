"""Where results of ``mien analyze`` go: tables for people, JSON, CSV and Parquet, each as results come."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli import _shell
from mien.cli._analyze_kinds import Kind
from mien.cli._analyze_options import Options
from mien.labels import LabelSet
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSpan, VideoFrame, VideoResult

if TYPE_CHECKING:
    from mien.output import ParquetWriter, VideoParquetWriter

__all__ = ["Expected", "Item", "Outcome", "ParquetSink", "Sink", "stdout_sink"]

Item = ImageResult | SpeechResult | VideoResult | FailedItem

Expected = dict[Kind, LabelSet]
"""The emotions of each kind that is expected."""


@dataclass(frozen=True)
class Outcome:
    """What became of a source.

    Parameters
    ----------
    item : ImageResult, SpeechResult, VideoResult or FailedItem
        The result.
    kind : Kind
        What it is, or would have been.
    live : bool
        Whether its spans or frames were written before.
    """

    item: Item
    kind: Kind
    live: bool = False


class Sink:
    """Takes results one after the other."""

    def span(self, path: str | None, number: int, span: SpeechSpan) -> None:
        """Take a span of a recording that is still read."""

    def frame(self, path: str | None, frame: VideoFrame) -> None:
        """Take a frame of a film that is still read."""

    def add(self, outcome: Outcome) -> None:
        """Take what became of a source."""

    def close(self) -> None:
        """Write what is left: nothing follows."""


def stdout_sink(options: Options, expected: Expected, *, many: bool) -> Sink:
    """Return what writes to stdout as the options say."""
    if options.as_csv:
        films = expected.get(Kind.FILM)
        return _FilmCsv(films, options.table or "frames") if films is not None else _Csv(expected)
    if options.as_jsonl:
        return _Lines()
    if options.as_json:
        return _Json(many=many)
    return Sink() if options.parquet is not None else _People(many=many)


class _People(Sink):
    """Tables for people: of pictures and recordings at the end, of each film when it was watched."""

    def __init__(self, *, many: bool) -> None:
        self._many = many
        self._done = False
        self._pictures: list[ImageResult | FailedItem] = []
        self._recordings: list[SpeechResult | FailedItem] = []
        self._failed_films: list[FailedItem] = []

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        self._done |= not isinstance(item, FailedItem)
        if isinstance(item, VideoResult):
            self._film(item)
        elif isinstance(item, FailedItem) and outcome.kind is Kind.FILM:
            self._failed_films.append(item)
        elif isinstance(item, SpeechResult) or (isinstance(item, FailedItem) and outcome.kind is Kind.RECORDING):
            self._recordings.append(item)
        else:
            self._pictures.append(item)

    def _film(self, film: VideoResult) -> None:
        from mien.media.paths import shown
        from mien.output.video_summary import video_summary

        _shell.write_films(film, title=shown(film.path or "standard input") if self._many else None)
        _shell.write(video_summary(film, ascii_only=_shell.ascii_only()))
        if self._many:
            _shell.write()
        sys.stdout.flush()

    def close(self) -> None:
        if self._done and self._pictures:
            _shell.write_faces(self._pictures)
        if self._done and self._failed_films:
            _shell.write_films(self._failed_films)
        if self._done and self._recordings:
            from mien.output import speech_summary

            _shell.write_spans(self._recordings)
            for item in self._recordings:
                if isinstance(item, SpeechResult):
                    _shell.write(speech_summary(item, ascii_only=_shell.ascii_only()))


class _Json(Sink):
    """A document for one item, a line each for many."""

    def __init__(self, *, many: bool) -> None:
        from mien.output import JsonLinesWriter

        self._lines = JsonLinesWriter(sys.stdout) if many else None

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        if self._lines is None:
            from mien.output import write_json

            write_json(item, sys.stdout)
            return
        self._lines.write(item)
        sys.stdout.flush()


class _Lines(Sink):
    """A line an item, and of films a line a frame as they come."""

    def __init__(self) -> None:
        from mien.output import JsonLinesWriter, VideoLinesWriter

        self._lines, self._films = JsonLinesWriter(sys.stdout), VideoLinesWriter(sys.stdout)

    def frame(self, path: str | None, frame: VideoFrame) -> None:
        self._films.write_frame(path, frame)
        sys.stdout.flush()

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        if isinstance(item, VideoResult):
            self._films.write_rest(item)
        elif isinstance(item, FailedItem) and outcome.kind is Kind.FILM:
            self._films.write(item)
        else:
            self._lines.write(item)
        sys.stdout.flush()


class _Csv(Sink):
    """Rows of pictures and recordings."""

    def __init__(self, expected: Expected) -> None:
        from mien.output import CsvWriter

        self._rows = CsvWriter(sys.stdout, expected.get(Kind.PICTURE), speech=expected.get(Kind.RECORDING))

    def span(self, path: str | None, number: int, span: SpeechSpan) -> None:
        self._rows.write_span(path, number, span)
        sys.stdout.flush()

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        assert not isinstance(item, VideoResult)
        if outcome.live and isinstance(item, SpeechResult):
            self._rows.write_warnings(item.path, item.warnings)
        else:
            self._rows.write(item)
        sys.stdout.flush()


class _FilmCsv(Sink):
    """Rows of films, when each is over: only then is it smoothed both ways, as in all other tables."""

    def __init__(self, labels: LabelSet, table: str) -> None:
        from mien.output import VideoCsvWriter

        self._rows = VideoCsvWriter(sys.stdout, labels, table=table)

    def add(self, outcome: Outcome) -> None:
        assert isinstance(outcome.item, VideoResult | FailedItem)
        self._rows.write(outcome.item)
        sys.stdout.flush()


class ParquetSink(Sink):
    """Rows in a file, which appears when it is closed; what was written before Ctrl-C is kept.

    Parameters
    ----------
    path : Path
        The file.
    expected : dict of Kind to LabelSet
        The emotions: columns do not change once the first row is written.
    table : str
        Which table of films.
    """

    def __init__(self, path: Path, expected: Expected, *, table: str) -> None:
        from mien.output import ParquetWriter, VideoParquetWriter

        self.path = path
        self._open = ExitStack()
        self._films: VideoParquetWriter | None = None
        self._others: ParquetWriter | None = None
        films = expected.get(Kind.FILM)
        if films is not None:
            self._films = self._open.enter_context(VideoParquetWriter(path, films, table=table))
        else:
            faces, speech = expected.get(Kind.PICTURE), expected.get(Kind.RECORDING)
            self._others = self._open.enter_context(ParquetWriter(path, faces, speech=speech))

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        if self._films is not None and isinstance(item, VideoResult | FailedItem):
            self._films.write(item)
        elif self._others is not None and not isinstance(item, VideoResult):
            self._others.write(item)

    def close(self) -> None:
        writer = self._films or self._others
        assert writer is not None
        self._open.close()
        _shell.note(f"wrote {writer.rows} rows to {self.path}")

    def leave(self, error: BaseException | None) -> None:
        """Close the file, or throw it away after an error."""
        if error is None or isinstance(error, KeyboardInterrupt):
            self._open.close()
        else:
            self._open.__exit__(type(error), error, error.__traceback__)
