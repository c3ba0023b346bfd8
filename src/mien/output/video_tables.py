"""What was seen and heard in videos becomes rows in CSV, Parquet and JSON Lines.

A video has these tables: ``frames`` (a row a face of a frame), ``tracks`` (a row a person), ``segments`` (a row a
stretch of a person's time with one emotion), and where it has sound, ``speech`` (a row a segment of its sound) and
``fused`` (a row a stretch with what face, voice and both say).  The writers take frames as they come, so that a video
of hours is written in constant memory.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from mien.errors import InputError
from mien.labels import LabelSet, label_set
from mien.output._rows import CsvRows, same_labels
from mien.output.parquet import ParquetRows
from mien.results import FailedItem, VideoFrame, VideoResult, columns

__all__ = ["VideoCsvWriter", "VideoLinesWriter", "VideoParquetWriter", "video_columns"]

_DIGITS = dict.fromkeys(("x1", "y1", "x2", "y2"), 2)
"""Digits after the point.  Times have six as the rest has, so that rows of all tables are joined by them."""


def video_columns(table: str, labels: LabelSet) -> tuple[str, ...]:
    """Return the columns of a table of videos: the same for all videos whose emotions are of one label set.

    Parameters
    ----------
    table : {"frames", "tracks", "segments", "speech", "fused"}
        Which table.
    labels : LabelSet
        The emotions, a column each.

    Raises
    ------
    InputError
        If there is no such table.
    """
    if table not in VideoResult.tables:
        raise InputError(f"table must be one of {', '.join(VideoResult.tables)}, but got {table!r}")
    return tuple(column.name for column in columns(table, labels))


class _VideoWriter(ABC):
    """The rows of videos, wherever they go: frame by frame and then the rest, or a video at once."""

    labels: LabelSet
    table: str

    @abstractmethod
    def _put(self, rows: Iterable[Mapping[str, Any]]) -> None: ...

    def write(self, item: VideoResult | FailedItem) -> None:
        """Write the rows of a video, or the one row of a video that failed.

        Raises
        ------
        InputError
            If an emotion is of another label set than the table's.
        """
        if isinstance(item, FailedItem):
            self._put(item.rows())
            return
        if self.table == "frames":
            for frame in item.frames():
                self.write_frame(item.path, frame)
        self.write_rest(item)

    def write_frame(self, path: str | None, frame: VideoFrame) -> None:
        """Write the rows of a frame, a face each, before the rest of its video is read; in other tables nothing.

        Raises
        ------
        InputError
            If an emotion is of another label set than the table's.
        """
        if self.table != "frames":
            return
        for face in frame.faces:
            same_labels("a face", face.smoothed.labels, self.labels)
        self._put(frame.rows(path))

    def write_rest(self, video: VideoResult) -> None:
        """Write what only the whole video tells, after its frames: its tracks or segments, and what was odd about it.

        A video's own warnings have a row of their own at its end; so has a video of which the table has no row.
        """
        for what, labels in self._parts(video):
            same_labels(what, labels, self.labels)
        self._put(video.rows(self.table, streamed=True))

    def _parts(self, video: VideoResult) -> Iterator[tuple[str, LabelSet | None]]:
        """Yield the labels of what the table is of."""
        if self.table == "speech":
            for segment in () if video.speech is None else video.speech.segments:
                yield "a segment of speech", None if segment.emotion is None else segment.emotion.labels
        elif self.table == "fused":
            yield "face and voice", None if video.fused is None else video.fused.labels
        else:
            for track in video.tracks:
                yield "a person", track.labels


class VideoCsvWriter(_VideoWriter):
    """Writes a table of videos as CSV, below a header that never changes; for the rest see `mien.output.CsvWriter`.

    Parameters
    ----------
    stream : text file object
        Where to write, opened with ``newline=""`` if it is a file; neither opened nor closed here.
    labels : LabelSet or str
        The emotions, a column each: of the faces, of the voice, or of both, as the table is.
    table : {"frames", "tracks", "segments", "speech", "fused"}
        Which table.

    Raises
    ------
    InputError
        If there is no such table or label set.
    """

    def __init__(self, stream: IO[str], labels: LabelSet | str, *, table: str = "frames") -> None:
        self.labels = label_set(labels) if isinstance(labels, str) else labels
        self.table = table
        self.columns = video_columns(table, self.labels)
        self._rows = CsvRows(stream, self.columns, _DIGITS)

    def _put(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._rows.write(row)


class VideoParquetWriter(ParquetRows, _VideoWriter):
    """Writes the rows that `VideoCsvWriter` writes, with types; a context manager as `mien.output.ParquetWriter` is.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.parquet``.
    labels : LabelSet or str
        The emotions, a column each: of the faces, of the voice, or of both, as the table is.
    table : {"frames", "tracks", "segments", "speech", "fused"}
        Which table.

    Raises
    ------
    InputError
        If the name ends otherwise, or there is no such table or label set.
    MediaNotFoundError, MediaError
        If the folder does not exist, or nothing can be written there.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], labels: LabelSet | str, *, table: str = "frames") -> None:
        self.labels = label_set(labels) if isinstance(labels, str) else labels
        self.table = table
        super().__init__(path, video_columns(table, self.labels))

    def _type(self, name: str) -> Any:
        # Elsewhere a face is a number.
        return super()._type("emotion" if name in ("face", "voice") else name)

    def _put(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.hold(rows)


class VideoLinesWriter:
    """Writes videos as JSON Lines, one object a line, each as soon as it is known.

    Every object has a ``kind`` and the ``path`` of its video.  ``"frame"`` is `mien.VideoFrame.to_dict`; after the
    frames come ``"track"``, a person without its timeline, ``"segment"``, a stretch of a person's timeline with the
    number of its ``track``, ``"speech"`` and ``"fused"``, the segments of the voice and of both together with their
    numbers, and last ``"video"``: the video as a whole, its ``speech`` and ``fused`` without their segments.  A video
    that could not be read is one object of the kind ``"failed"``.

    Parameters
    ----------
    stream : text file object
        Where to write; neither opened nor closed here.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, item: VideoResult | FailedItem) -> None:
        """Write a video, or the one line of a video that failed."""
        if isinstance(item, FailedItem):
            self._line("failed", item.to_dict())
            return
        for frame in item.frames():
            self.write_frame(item.path, frame)
        self.write_rest(item)

    def write_frame(self, path: str | None, frame: VideoFrame) -> None:
        """Write a frame before the rest of its video is read."""
        self._line("frame", {"path": path, **frame.to_dict()})

    def write_rest(self, video: VideoResult) -> None:
        """Write what only the whole video tells, after its frames."""
        for kind, data in _rest(video):
            self._line(kind, data)

    def _line(self, kind: str, data: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps({"kind": kind, **data}, allow_nan=False) + "\n")


def _rest(video: VideoResult) -> Iterator[tuple[str, dict[str, Any]]]:
    for track in video.tracks:
        data = track.to_dict()
        del data["timeline"]
        yield "track", {"path": video.path, **data}
    for track in video.tracks:
        for number, segment in enumerate(track.timeline, 1):
            yield "segment", {"path": video.path, "track": track.number, "segment": number, **segment.to_dict()}
    sound: dict[str, Any] = {}
    for kind, part in (("speech", video.speech), ("fused", video.fused)):
        told: dict[str, Any] = {"segments": ()} if part is None else part.to_dict()
        for number, segment in enumerate(told.pop("segments"), 1):
            yield kind, {"path": video.path, "segment": number, **segment}
        sound[kind] = told or None
    yield "video", {**{k: v for k, v in video.to_dict(frames=False).items() if k != "tracks"}, **sound}
