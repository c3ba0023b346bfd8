"""Where results of ``mien analyze`` go: to stdout, and as Parquet to a file, each as results come."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli import _shell
from mien.cli._analyze_kinds import Kind
from mien.cli._analyze_options import Options
from mien.labels import LabelSet
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoFrame, VideoResult

if TYPE_CHECKING:
    from mien.output import Context, Writer

__all__ = ["Expected", "Item", "Outcome", "ParquetSink", "Sink", "stdout_sink"]

Item = ImageResult | SpeechResult | VideoResult | FailedItem

Expected = dict[Kind, LabelSet]
"""The emotions of each kind that is expected."""

_NAMES = {Kind.IMAGE: "image", Kind.RECORDING: "audio", Kind.VIDEO: "video"}


@dataclass(frozen=True)
class Outcome:
    """What became of a source.

    Parameters
    ----------
    item : ImageResult, SpeechResult, VideoResult or FailedItem
        The result.
    kind : Kind
        What it is, or would have been.
    """

    item: Item
    kind: Kind


class Sink:
    """Hands results to a writer, one after the other.

    Parameters
    ----------
    writer : Writer, optional
        Of a format; by default results go nowhere.
    """

    def __init__(self, writer: Writer | None = None) -> None:
        self._writer = writer

    def segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        """Take a segment of an audio file that is still read."""
        if self._writer is not None:
            self._writer.write_segment(path, number, segment)
            sys.stdout.flush()

    def frame(self, path: str | None, frame: VideoFrame) -> None:
        """Take a frame of a video that is still read."""
        if self._writer is not None:
            self._writer.write_frame(path, frame)
            sys.stdout.flush()

    def add(self, outcome: Outcome) -> None:
        """Take what became of a source."""
        item = outcome.item
        if isinstance(item, FailedItem):
            item = replace(item, kind=_NAMES[outcome.kind])
        if self._writer is not None:
            self._writer.write(item)
            sys.stdout.flush()

    def close(self) -> None:
        """Write what is left: nothing follows."""
        if self._writer is not None:
            self._writer.close()


def _context(expected: Expected, table: str | None, *, many: bool) -> Context:
    from mien.output import Context

    return Context(labels={_NAMES[kind]: labels for kind, labels in expected.items()}, table=table, many=many)


def stdout_sink(options: Options, expected: Expected, *, many: bool) -> Sink:
    """Return what writes to stdout as the options say."""
    from mien.output import FORMATS

    name = "console"
    for given, chosen in ((options.as_csv, "csv"), (options.as_jsonl, "jsonl"), (options.as_json, "json")):
        name = chosen if given else name
    if name == "console" and options.parquet is not None:
        return Sink()
    return Sink(FORMATS[name].open(sys.stdout, _context(expected, options.table, many=many)))


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

    def __init__(self, path: Path, expected: Expected, *, table: str | None) -> None:
        from mien.output import ParquetWriter

        self.path = path
        self._parquet = ParquetWriter(path, _context(expected, table, many=True))
        self._is_open = True
        super().__init__(self._parquet)

    def close(self) -> None:
        """Let the file appear."""
        self._is_open = False
        self._parquet.close()
        _shell.note(f"wrote {self._parquet.rows} rows to {self.path}")

    def leave(self, error: BaseException | None) -> None:
        """Close the file, or throw it away after an error."""
        if not self._is_open:
            return
        self._is_open = False
        if error is None or isinstance(error, KeyboardInterrupt):
            self._parquet.close()
        else:
            self._parquet.discard(error)
