"""Results as JSON, CSV and Parquet, written as they come, whatever the files are called.

All tables have the rows and columns of `mien.results`: see its ``columns`` and the ``rows`` of each result.
"""

from __future__ import annotations

import csv
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from mien._checks import describe, escape_surrogates
from mien._extras import import_extra
from mien.errors import InputError
from mien.output.registry import Context, Result, Writer, kind_of
from mien.output.write import check_suffix, replace_atomically
from mien.results import Column, FailedItem, SpeechResult, SpeechSegment, VideoFrame, VideoResult, columns

__all__ = [
    "CsvRows",
    "CsvWriter",
    "JsonLinesWriter",
    "JsonWriter",
    "ParquetRows",
    "ParquetWriter",
    "TableWriter",
    "to_json",
    "write_json",
]

_TABLES = {"image": "faces", "audio": "speech", "video": "frames", "fused": "fused"}
"""The table of each kind of result, by default."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection")."""

_GROUP_ROWS = 20_000
"""Rows that are held before they are written to a Parquet file."""


# --- JSON -------------------------------------------------------------------------------------------------------------


def to_json(results: Result | Iterable[Result], *, indent: int | None = 2) -> str:
    """Return one JSON document: an object for one result, an array for several.

    The text is plain ASCII (other letters are escaped), so that it passes through any terminal and holds file names
    that are not UTF-8; reading it back gives the very names.

    Parameters
    ----------
    results : Result or iterable of Result
        Such as ImageResult, SpeechResult, VideoResult or FailedItem.
    indent : int, optional
        Spaces a level; ``None`` for a single line.
    """
    if isinstance(results, Result):
        data: Any = results.to_dict()
    else:
        data = [_check(result).to_dict() for result in results]
    return json.dumps(data, indent=indent, allow_nan=False)


def write_json(result: Result, stream: IO[str]) -> None:
    """Write the document that `to_json` returns, and a line break; of a video frame by frame, in little memory.

    Parameters
    ----------
    result : Result
        What to write.
    stream : text file object
        Where to write; neither opened nor closed here.
    """
    if not isinstance(result, VideoResult):
        stream.write(to_json(_check(result)) + "\n")
        return
    text = json.dumps(result.to_dict(frames=False), indent=2, allow_nan=False)
    stream.write(text.removesuffix("\n}") + ',\n  "frames": [')
    first = True
    for frame in result.frames():
        document = json.dumps(frame.to_dict(), indent=2, allow_nan=False).replace("\n", "\n    ")
        stream.write(("" if first else ",") + "\n    " + document)
        first = False
    stream.write(("" if first else "\n  ") + "]\n}\n")


class JsonWriter(Writer):
    """Writes a JSON document; of many results, a line each."""

    def __init__(self, stream: IO[str], context: Context | None = None) -> None:
        self._stream, self._many = stream, (context or Context()).many

    def write(self, result: Result) -> None:
        """Write one result."""
        if self._many:
            self._stream.write(json.dumps(_check(result).to_dict(), allow_nan=False) + "\n")
        else:
            write_json(result, self._stream)


class JsonLinesWriter(Writer):
    """Writes one JSON object a line, each as soon as it is known.

    Images and audio files are an object each.  Of a video every object has a ``kind`` and the ``path`` of the video:
    ``"frame"`` is `mien.VideoFrame.to_dict`; after the frames come ``"track"``, a person without the timeline,
    ``"segment"``, a segment of a person's timeline with the number of its ``track``, ``"speech"`` and ``"fused"``, the
    segments of the voice and of both together with their numbers, and last ``"video"``: the video as a whole, its
    ``speech`` and ``fused`` without their segments.  A video that could not be read is one object of the kind
    ``"failed"``.

    Parameters
    ----------
    stream : text file object
        Where to write; neither opened nor closed here.
    """

    def __init__(self, stream: IO[str], context: Context | None = None) -> None:
        del context
        self._stream = stream
        self._frames = 0

    def write(self, result: Result) -> None:
        """Write a result; of a video whose frames were written as they came, the rest."""
        if isinstance(result, VideoResult):
            if not self._frames:
                for frame in result.frames():
                    self.write_frame(result.path, frame)
            for kind, data in _parts_of(result):
                self._line({"kind": kind, "path": result.path, **data})
        elif isinstance(result, FailedItem) and kind_of(result) == "video":
            self._line({"kind": "failed", **result.to_dict()})
        else:
            self._line(_check(result).to_dict())
        self._frames = 0

    def write_frame(self, path: str | None, frame: VideoFrame) -> None:
        """Write a frame before the rest of its video is analyzed."""
        self._frames += 1
        self._line({"kind": "frame", "path": path, **frame.to_dict()})

    def _line(self, data: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(data, allow_nan=False) + "\n")


def _parts_of(video: VideoResult) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and data of what follows the frames of a video."""
    document = video.to_dict(frames=False)
    for track in document["tracks"]:
        yield "track", {name: value for name, value in track.items() if name != "timeline"}
    for track in document.pop("tracks"):
        for number, segment in enumerate(track["timeline"], 1):
            yield "segment", {"track": track["track"], "segment": number, **segment}
    for kind in ("speech", "fused"):
        if document[kind] is not None:
            for number, segment in enumerate(document[kind].pop("segments"), 1):
                yield kind, {"segment": number, **segment}
    yield "video", document


def _check(result: Any) -> Result:
    if not isinstance(result, Result):
        raise InputError(f"expected a result, such as an ImageResult or a FailedItem, but got {describe(result)}")
    return result


# --- tables -----------------------------------------------------------------------------------------------------------


class TableWriter(Writer):
    """Rows of results in a table whose columns never change: what only one kind of result has stays empty elsewhere.

    Parameters
    ----------
    context : Context
        `labels` has the emotions of each kind of result that is expected, a column each; `table` says which table of
        videos is written.

    Raises
    ------
    InputError
        If there is no such table.
    """

    def __init__(self, context: Context) -> None:
        self._labels = dict(context.labels)
        self._table = context.table or _TABLES["video"]
        if self._table not in VideoResult.tables:
            raise InputError(f"table must be one of {', '.join(VideoResult.tables)}, but got {self._table!r}")
        tables = [self._table_of(kind) for kind in self._labels] or ["failed"]
        self.columns = columns(tables, list(self._labels.values()))
        self._segments = 0

    @abstractmethod
    def write_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows; what a row does not have stays empty."""

    def write(self, result: Result) -> None:
        """Write the rows of a result; of an audio file whose segments were written as they came, the rest.

        Raises
        ------
        InputError
            If the table has no columns for it, or other emotions.
        """
        kind = kind_of(_check(result))
        if isinstance(result, FailedItem):
            self.write_rows(result.rows())
        elif isinstance(result, SpeechResult):
            self.write_rows(self._fitting(kind, result.rows(streamed=self._segments > 0)))
        elif isinstance(result, VideoResult) and self._table == "frames":
            for frame in result.frames():
                self.write_rows(self._fitting(kind, frame.rows(result.path)))
            self.write_rows(self._fitting(kind, result.rows("frames", streamed=True)))
        else:
            table = self._table if isinstance(result, VideoResult) else None
            self.write_rows(self._fitting(kind, result.rows(table)))
        self._segments = 0

    def write_segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        """Write the row of a segment before the rest of its audio file is analyzed."""
        self._segments += 1
        labels = self._labels.get("audio") if segment.emotion is None else segment.emotion.labels
        self.write_rows(self._fitting("audio", [segment.row(path, number, labels)]))

    def _table_of(self, kind: str) -> str:
        if kind not in _TABLES:
            raise InputError(f"labels must be by kind, one of {', '.join(_TABLES)}, but got {kind!r}")
        return self._table if kind == "video" else _TABLES[kind]

    def _fitting(self, kind: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows of a kind after a check that their emotions, if there are any, are those of the table."""
        labels = self._labels.get(kind)
        if labels is None:
            raise InputError(f"the table has no columns for results of the kind {kind!r}")
        names = [column.name for column in columns(self._table_of(kind), labels)]
        for row in rows:
            if list(row) == names:
                continue
            if row["emotion"] is not None:
                raise InputError(f"the table has the labels {labels.name}, but a row has other emotions")
            for name in row.keys() - set(names):
                del row[name]
        return rows


class CsvRows:
    r"""Writes rows below a header, in an encoding's own letters; what it lacks is escaped: ``\udcff``.

    Text that a spreadsheet would take for a formula gets a ``'`` before it; a path ``./``, which names the same file.

    Parameters
    ----------
    stream : text file object
        Where to write, opened with ``newline=""`` if it is a file; neither opened nor closed here.
    columns : sequence of Column
        What a row does not have stays empty.
    digits : mapping of str to int, optional
        Digits after the point where they differ from the column's own.
    """

    def __init__(self, stream: IO[str], columns: Sequence[Column], digits: Mapping[str, int] | None = None) -> None:
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._digits = {**{column.name: column.digits for column in columns}, **(digits or {})}
        names = [column.name for column in columns]
        self._rows = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        # A lone carriage return is a line end for readers, but no reason to quote for every version of csv.
        self._quoted = csv.DictWriter(stream, names, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._rows.writerow({name: self._text("", name) for name in names})

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        texts = {name: self._text(name, value) for name, value in row.items()}
        has_return = any("\r" in text for text in texts.values())
        (self._quoted if has_return else self._rows).writerow(texts)

    def _text(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return f"{value:.{self._digits[name]}f}"
        text = str(value)
        if text.startswith(_FORMULA) and not isinstance(value, int):
            text = f"./{text}" if name == "path" else f"'{text}"
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)


class CsvWriter(TableWriter):
    r"""Writes rows as CSV, as they come, below a header that never changes.

    Names keep their line breaks and quotes, as RFC 4180 allows; what the stream's encoding lacks is escaped:
    ``\udcff``.  Times of audio files have three digits, those of videos six, so that rows of all tables of a video are
    joined by them.

    Parameters
    ----------
    stream : text file object
        Where to write, opened with ``newline=""`` if it is a file; neither opened nor closed here.
    context : Context
        See `TableWriter`.
    """

    def __init__(self, stream: IO[str], context: Context) -> None:
        super().__init__(context)
        digits = {} if {"video", "fused"} & self._labels.keys() else {"start_s": 3, "end_s": 3}
        self._rows = CsvRows(stream, self.columns, digits)

    def write_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows; what a row does not have stays empty."""
        for row in rows:
            self._rows.write(row)


class ParquetRows:
    """Writes rows with types, in groups; the file appears whole when it is closed.

    Parameters
    ----------
    path : Path
        Ends in ``.parquet``.
    columns : sequence of Column
        What a row does not have stays empty.

    Raises
    ------
    InputError
        If the name ends otherwise.
    MediaNotFoundError, MediaError
        If the folder does not exist, or nothing can be written there.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        target = check_suffix(path, ".parquet")
        self._arrow = import_extra("pyarrow", extra="parquet", purpose="writing Parquet")
        parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
        arrow = self._arrow
        types = {str: arrow.string(), int: arrow.int32(), float: arrow.float64(), bool: arrow.bool_()}
        self._schema = arrow.schema([(column.name, types[column.type]) for column in columns])
        self._held: list[dict[str, Any]] = []
        self.rows = 0
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replace_atomically(target))
        # pyarrow opens no name that is not UTF-8.
        file = self._stack.enter_context(temporary.open("xb"))
        self._file = self._stack.enter_context(parquet.ParquetWriter(file, self._schema, compression="zstd"))

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        # Parquet's text is UTF-8.
        texts = {name: escape_surrogates(value) if isinstance(value, str) else value for name, value in row.items()}
        self._held.append(texts)
        if len(self._held) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held and let the file appear."""
        self._flush()
        self._stack.close()

    def discard(self, error: BaseException) -> None:
        """Remove what was written."""
        self._stack.__exit__(type(error), error, error.__traceback__)

    def _flush(self) -> None:
        if self._held:
            self._file.write_table(self._arrow.Table.from_pylist(self._held, schema=self._schema))
        self.rows += len(self._held)
        self._held = []


class ParquetWriter(TableWriter):
    """Writes rows with types, as they come, in groups.

    The file appears whole when the writer is closed; after an error there is none, and an older one stays.

    Parameters
    ----------
    path : Path
        Ends in ``.parquet``.
    context : Context
        See `TableWriter`.

    Raises
    ------
    InputError
        If the name ends otherwise, or there is no such table.
    MediaNotFoundError, MediaError
        If the folder does not exist, or nothing can be written there.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, path: Path, context: Context) -> None:
        super().__init__(context)
        self._rows = ParquetRows(path, self.columns)

    @property
    def rows(self) -> int:
        """Rows that were written."""
        return self._rows.rows

    def write_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows; what a row does not have stays empty."""
        for row in rows:
            self._rows.write(row)

    def close(self) -> None:
        """Write what is held and let the file appear."""
        self._rows.close()

    def discard(self, error: BaseException) -> None:
        """Remove what was written."""
        self._rows.discard(error)
