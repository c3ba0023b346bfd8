"""Results become JSON, CSV, Parquet and tables for people, whatever the files are called."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from mien._checks import describe
from mien.errors import InputError
from mien.labels import LabelSet, label_set
from mien.output._cells import EMOTION_COLUMNS, emotion_cells, printable, table_of
from mien.output._rows import CsvRows, same_labels
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoResult, columns

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["CsvWriter", "Item", "JsonLinesWriter", "columns_of", "face_table", "to_json", "write_json"]

Item = ImageResult | SpeechResult | FailedItem
"""What an item of a batch becomes in tables of images and recordings."""

Document = Item | VideoResult
"""What becomes JSON."""

_DIGITS = dict.fromkeys(("x1", "y1", "x2", "y2"), 2)
"""Digits after the point; probabilities have six."""


def to_json(results: Document | Iterable[Document], *, indent: int | None = 2) -> str:
    """Return one JSON document: an object for one result, an array for several.

    The text is plain ASCII (other letters are escaped), so that it passes through any terminal and holds file names
    that are not UTF-8; reading it back gives the very names.

    Parameters
    ----------
    results : ImageResult, SpeechResult, VideoResult, FailedItem, or iterable of them
        What to write.
    indent : int, optional
        Spaces a level; ``None`` for a single line.
    """
    if isinstance(results, Document):
        data: Any = results.to_dict()
    else:
        data = [_document(result).to_dict() for result in results]
    return json.dumps(data, indent=indent, allow_nan=False)


def write_json(item: Document, stream: IO[str]) -> None:
    """Write the document that `to_json` returns, and a line break; of a video frame by frame, in little memory.

    Parameters
    ----------
    item : ImageResult, SpeechResult, VideoResult or FailedItem
        What to write.
    stream : text file object
        Where to write; neither opened nor closed here.
    """
    if not isinstance(item, VideoResult):
        stream.write(to_json(item) + "\n")
        return
    text = json.dumps(item.to_dict(frames=False), indent=2, allow_nan=False)
    stream.write(text.removesuffix("\n}") + ',\n  "frames": [')
    first = True
    for frame in item.frames():
        told = json.dumps(frame.to_dict(), indent=2, allow_nan=False).replace("\n", "\n    ")
        stream.write(("" if first else ",") + "\n    " + told)
        first = False
    stream.write(("" if first else "\n  ") + "]\n}\n")


class JsonLinesWriter:
    """Writes one JSON object a line, each as soon as it comes.

    Parameters
    ----------
    stream : text file object
        Where to write; neither opened nor closed here.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, item: Document) -> None:
        """Write one item."""
        self._stream.write(json.dumps(_document(item).to_dict(), allow_nan=False) + "\n")


def columns_of(faces: LabelSet | None, speech: LabelSet | None) -> tuple[str, ...]:
    """Return the columns of a table of faces, of segments of speech, or of both: what only one has stands empty."""
    sets = {"faces": faces, "speech": speech}
    known = {table: labels for table, labels in sets.items() if labels is not None}
    return tuple(column.name for column in columns(tuple(known), tuple(known.values())))


class CsvWriter:
    r"""Writes one row a face or segment of speech, as soon as it comes, below a header that never changes.

    For the rows see `mien.results.ImageResult.rows` and `mien.results.SpeechResult.rows`.  Names keep their line breaks
    and quotes, as RFC 4180 allows; what the stream's encoding lacks is escaped: ``\udcff``.

    Parameters
    ----------
    stream : text file object
        Where to write, opened with ``newline=""`` if it is a file; neither opened nor closed here.
    labels : LabelSet or str, optional
        The emotions of faces, one column each; ``None`` where there will be no image.
    speech : LabelSet or str, optional
        The emotions of speech; ``None`` where there will be no recording.
    """

    def __init__(
        self, stream: IO[str], labels: LabelSet | str | None = None, *, speech: LabelSet | str | None = None
    ) -> None:
        self._faces = label_set(labels) if isinstance(labels, str) else labels
        self._speech = label_set(speech) if isinstance(speech, str) else speech
        self.columns: tuple[str, ...] = columns_of(self._faces, self._speech)
        self._rows = CsvRows(stream, self.columns, _DIGITS)

    def write(self, item: Item) -> None:
        """Write the rows of one item.

        Raises
        ------
        InputError
            If an emotion is of another label set than the header's.
        """
        check_labels(_item(item), self._faces, self._speech)
        for row in item.rows():
            self._rows.write(row)

    def write_segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        """Write the row of a segment, counted from 1, before the rest of its recording is read."""
        _same("a segment", segment, self._speech)
        self._rows.write(segment.row(path, number, self._speech))

    def write_warnings(self, path: str | None, warnings: Iterable[str]) -> None:
        """Write what was odd about a recording whose segments are written, if anything was."""
        if told := "; ".join(warnings):
            self._rows.write({"path": path, "warnings": told})


def check_labels(item: Item, faces: LabelSet | None, speech: LabelSet | None) -> None:
    """Raise `InputError` where an item does not fit a table's header."""
    if isinstance(item, ImageResult):
        for face in item.faces:
            _same("a face", face, faces)
    elif isinstance(item, SpeechResult):
        for segment in item.segments:
            _same("a segment", segment, speech)


def _same(what: str, part: Any, labels: LabelSet | None) -> None:
    same_labels(what, None if part.emotion is None else part.emotion.labels, labels)


def face_table(
    results: ImageResult | FailedItem | Iterable[ImageResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table for people: a row a face, with a bar in the color of its emotion.

    An image's name stands in the row of its first face only.

    Parameters
    ----------
    results : ImageResult, FailedItem, or iterable of them
        What to show.
    ascii_only : bool
        For terminals whose encoding has no block characters.
    title : str, optional
        Stands above the table.

    Returns
    -------
    rich.table.Table
        To print with `rich.console.Console`.
    """
    items = [results] if isinstance(results, ImageResult | FailedItem) else results
    rows = (cells for item in items for cells in _cells(item, ascii_only))
    return table_of(_COLUMNS, rows, ascii_only=ascii_only, title=title)


_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("file", {"overflow": "fold"}),
    ("face", {"justify": "right", "no_wrap": True}),
    *EMOTION_COLUMNS,
)


def _cells(item: ImageResult | FailedItem, ascii_only: bool) -> Iterable[tuple[str | Text, ...]]:
    from rich.text import Text

    name = Text(printable(item.path, ascii_only))
    if isinstance(item, FailedItem):
        yield name, "", Text("error", style="bold red"), "", "", "", Text(printable(item.message, ascii_only))
        return
    if not item.faces:
        yield name, "", Text("no face", style="dim"), "", "", "", Text("; ".join(item.warnings))
    for number, face in enumerate(item.faces, 1):
        name = name if number == 1 else Text("")
        notes = [*(item.warnings if number == 1 else ()), *face.warnings]
        if face.emotion is None:
            yield name, str(number), "", "", "", "", Text("; ".join(notes))
            continue
        notes = (["unsure"] if face.emotion.unsure else []) + notes
        yield name, str(number), *emotion_cells(face.emotion, ascii_only=ascii_only), Text("; ".join(notes))


def _item(item: Any) -> Item:
    if isinstance(item, VideoResult):
        raise InputError("a video has tables of its own: see mien.output.VideoCsvWriter")
    if not isinstance(item, Item):
        raise InputError(f"expected an ImageResult, a SpeechResult or a FailedItem, but got {describe(item)}")
    return item


def _document(item: Any) -> Document:
    return item if isinstance(item, VideoResult) else _item(item)
