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
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoFrame, VideoResult

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
        Whether its segments or frames were written before.
    """

    item: Item
    kind: Kind
    live: bool = False


class Sink:
    """Takes results one after the other."""

    def segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        """Take a segment of a recording that is still read."""

    def frame(self, path: str | None, frame: VideoFrame) -> None:
        """Take a frame of a video that is still read."""

    def add(self, outcome: Outcome) -> None:
        """Take what became of a source."""

    def close(self) -> None:
        """Write what is left: nothing follows."""


def stdout_sink(options: Options, expected: Expected, *, many: bool) -> Sink:
    """Return what writes to stdout as the options say."""
    if options.as_csv:
        videos = expected.get(Kind.VIDEO)
        return _VideoCsv(videos, options.table or "frames") if videos is not None else _Csv(expected)
    if options.as_jsonl:
        return _Lines()
    if options.as_json:
        return _Json(many=many)
    return Sink() if options.parquet is not None else _People(many=many)


class _People(Sink):
    """Tables for people: of images and recordings at the end, of each video when it was watched."""

    def __init__(self, *, many: bool) -> None:
        self._many = many
        self._done = False
        self._images: list[ImageResult | FailedItem] = []
        self._recordings: list[SpeechResult | FailedItem] = []
        self._failed_videos: list[FailedItem] = []

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        self._done |= not isinstance(item, FailedItem)
        if isinstance(item, VideoResult):
            self._video(item)
        elif isinstance(item, FailedItem) and outcome.kind is Kind.VIDEO:
            self._failed_videos.append(item)
        elif isinstance(item, SpeechResult) or (isinstance(item, FailedItem) and outcome.kind is Kind.RECORDING):
            self._recordings.append(item)
        else:
            self._images.append(item)

    def _video(self, video: VideoResult) -> None:
        from mien.io.paths import format_path
        from mien.output.summary import video_summary

        _shell.write_videos(video, title=format_path(video.path or "standard input") if self._many else None)
        _shell.write(video_summary(video, ascii_only=_shell.ascii_only()))
        if self._many:
            _shell.write()
        sys.stdout.flush()

    def close(self) -> None:
        if self._done and self._images:
            _shell.write_faces(self._images)
        if self._done and self._failed_videos:
            _shell.write_videos(self._failed_videos)
        if self._done and self._recordings:
            from mien.output import speech_summary

            _shell.write_segments(self._recordings)
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
    """A line an item, and of videos a line a frame as they come."""

    def __init__(self) -> None:
        from mien.output import JsonLinesWriter, VideoLinesWriter

        self._lines, self._videos = JsonLinesWriter(sys.stdout), VideoLinesWriter(sys.stdout)

    def frame(self, path: str | None, frame: VideoFrame) -> None:
        self._videos.write_frame(path, frame)
        sys.stdout.flush()

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        if isinstance(item, VideoResult):
            self._videos.write_rest(item)
        elif isinstance(item, FailedItem) and outcome.kind is Kind.VIDEO:
            self._videos.write(item)
        else:
            self._lines.write(item)
        sys.stdout.flush()


class _Csv(Sink):
    """Rows of images and recordings."""

    def __init__(self, expected: Expected) -> None:
        from mien.output import CsvWriter

        self._rows = CsvWriter(sys.stdout, expected.get(Kind.IMAGE), speech=expected.get(Kind.RECORDING))

    def segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        self._rows.write_segment(path, number, segment)
        sys.stdout.flush()

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        assert not isinstance(item, VideoResult)
        if outcome.live and isinstance(item, SpeechResult):
            self._rows.write_warnings(item.path, item.warnings)
        else:
            self._rows.write(item)
        sys.stdout.flush()


class _VideoCsv(Sink):
    """Rows of videos, when each is over: only then is it smoothed both ways, as in all other tables."""

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
        Which table of videos.
    """

    def __init__(self, path: Path, expected: Expected, *, table: str) -> None:
        from mien.output import ParquetWriter, VideoParquetWriter

        self.path = path
        self._open = ExitStack()
        self._videos: VideoParquetWriter | None = None
        self._others: ParquetWriter | None = None
        videos = expected.get(Kind.VIDEO)
        if videos is not None:
            self._videos = self._open.enter_context(VideoParquetWriter(path, videos, table=table))
        else:
            faces, speech = expected.get(Kind.IMAGE), expected.get(Kind.RECORDING)
            self._others = self._open.enter_context(ParquetWriter(path, faces, speech=speech))

    def add(self, outcome: Outcome) -> None:
        item = outcome.item
        if self._videos is not None and isinstance(item, VideoResult | FailedItem):
            self._videos.write(item)
        elif self._others is not None and not isinstance(item, VideoResult):
            self._others.write(item)

    def close(self) -> None:
        writer = self._videos or self._others
        assert writer is not None
        self._open.close()
        _shell.note(f"wrote {writer.rows} rows to {self.path}")

    def leave(self, error: BaseException | None) -> None:
        """Close the file, or throw it away after an error."""
        if error is None or isinstance(error, KeyboardInterrupt):
            self._open.close()
        else:
            self._open.__exit__(type(error), error, error.__traceback__)
