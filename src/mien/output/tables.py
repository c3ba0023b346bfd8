"""Results become JSON, CSV and tables for people, whatever the files are called."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from mien._checks import describe
from mien.errors import InputError
from mien.labels import LabelSet, label_set
from mien.output.palette import COLOURS
from mien.results import FailedItem, ImageResult

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["CsvWriter", "Item", "JsonLinesWriter", "face_table", "to_json"]

Item = ImageResult | FailedItem
"""What an item of a batch becomes."""


def to_json(results: Item | Iterable[Item], *, indent: int | None = 2) -> str:
    """Return one JSON document: an object for one result, an array for several.

    The text is plain ASCII (other letters are escaped), so that it passes through any terminal and holds file names
    that are not UTF-8; reading it back gives the very names.

    Parameters
    ----------
    results : ImageResult, FailedItem, or iterable of them
        What to write.
    indent : int, optional
        Spaces a level; ``None`` for a single line.
    """
    if isinstance(results, ImageResult | FailedItem):
        data: Any = results.to_dict()
    else:
        data = [_item(result).to_dict() for result in results]
    return json.dumps(data, indent=indent, allow_nan=False)


class JsonLinesWriter:
    """Writes one JSON object a line, each as soon as it comes.

    Parameters
    ----------
    stream : text file object
        Where to write; neither opened nor closed here.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, item: Item) -> None:
        """Write one item."""
        self._stream.write(json.dumps(_item(item).to_dict(), allow_nan=False) + "\n")


class CsvWriter:
    r"""Writes one row a face, each picture as soon as it comes, below a header that never changes.

    A picture without a face has one row whose face is empty; an item that failed has one row with its error.  Names
    keep their line breaks and quotes, as RFC 4180 allows; what the stream's encoding lacks is escaped: ``\udcff``.

    Parameters
    ----------
    stream : text file object
        Where to write, opened with ``newline=""`` if it is a file; neither opened nor closed here.
    labels : LabelSet or str
        The emotions, one column each.
    """

    def __init__(self, stream: IO[str], labels: LabelSet | str) -> None:
        self._labels = label_set(labels) if isinstance(labels, str) else labels
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.columns: tuple[str, ...] = (
            *("path", "face", "x1", "y1", "x2", "y2", "score", "emotion", "confidence", "unsure"),
            *self._labels.emotions,
            *("warnings", "error", "message"),
        )
        self._rows = csv.DictWriter(stream, self.columns, restval="", lineterminator="\n")
        # A lone carriage return is a line end for readers, but no reason to quote for every version of csv.
        self._quoted = csv.DictWriter(stream, self.columns, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._rows.writeheader()

    def write(self, item: Item) -> None:
        """Write the rows of one item.

        Raises
        ------
        InputError
            If a face has an emotion of another label set.
        """
        item = _item(item)
        if isinstance(item, FailedItem):
            self._row({"path": item.path, "error": item.error, "message": item.message})
            return
        rows = item.rows() or [{"path": item.path}]
        for row, face in zip(rows, item.faces or (None,), strict=True):
            if face is not None and face.emotion is not None and face.emotion.labels != self._labels:
                raise InputError(
                    f"the table has the labels {self._labels.name}, but a face has {face.emotion.labels.name}"
                )
            own = () if face is None else face.warnings
            self._row({**row, "warnings": "; ".join((*item.warnings, *own))})

    def _row(self, row: dict[str, Any]) -> None:
        plain = {name: self._plain(name, value) for name, value in row.items()}
        risky = any("\r" in value for value in plain.values())
        (self._quoted if risky else self._rows).writerow(plain)

    def _plain(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return f"{value:.2f}" if name in ("x1", "y1", "x2", "y2") else f"{value:.6f}"
        return str(value).encode(self._encoding, "backslashreplace").decode(self._encoding)


def face_table(results: Item | Iterable[Item], *, ascii_only: bool = False, title: str | None = None) -> Table:
    """Return a table for people: a row a face, with a bar in the colour of its emotion.

    A picture's name stands in the row of its first face only.

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
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for name, options in _COLUMNS:
        table.add_column(name, **options)
    for item in [results] if isinstance(results, ImageResult | FailedItem) else results:
        for cells in _cells(_item(item), ascii_only):
            table.add_row(*cells)
    return table


_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("file", {"overflow": "fold"}),
    ("face", {"justify": "right", "no_wrap": True}),
    ("emotion", {"no_wrap": True}),
    ("", {"no_wrap": True, "min_width": 10}),
    ("", {"justify": "right", "no_wrap": True}),
    ("then", {"no_wrap": True}),
    ("note", {"overflow": "fold"}),
)
_EIGHTHS = " ▏▎▍▌▋▊▉"
_BAR_CELLS = 10


def _cells(item: Item, ascii_only: bool) -> Iterable[tuple[str | Text, ...]]:
    from rich.style import Style
    from rich.text import Text

    name = Text(_shown(item.path, ascii_only))
    if isinstance(item, FailedItem):
        yield name, "", Text("error", style="bold red"), "", "", "", Text(_shown(item.message, ascii_only))
        return
    if not item.faces:
        yield name, "", Text("no face", style="dim"), "", "", "", Text("; ".join(item.warnings))
    for number, face in enumerate(item.faces, 1):
        name = name if number == 1 else Text("")
        notes = [*(item.warnings if number == 1 else ()), *face.warnings]
        if face.emotion is None:
            yield name, str(number), "", "", "", "", Text("; ".join(notes))
            continue
        top, second = face.emotion.ranked()[:2] if len(face.emotion) > 1 else (*face.emotion.ranked(), ("", 0.0))
        notes = (["unsure"] if face.emotion.unsure else []) + notes
        red, green, blue = COLOURS[top[0]]
        bar = Text(_bar(top[1], ascii_only), style=Style(color=f"rgb({red},{green},{blue})"))
        then = Text(f"{second[0]} {100 * second[1]:.0f}%" if second[0] else "", style="dim")
        yield name, str(number), Text(top[0], style="bold"), bar, f"{100 * top[1]:.0f}%", then, Text("; ".join(notes))


def _bar(share: float, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(share * _BAR_CELLS)
    whole, eighth = divmod(round(share * _BAR_CELLS * 8), 8)
    return "█" * whole + (_EIGHTHS[eighth] if eighth else "")


def _shown(value: str | None, ascii_only: bool) -> str:
    """Return a name in one line that cannot steer the terminal."""
    if value is None:
        return "-"
    text = value if value.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def _item(item: Any) -> Item:
    if not isinstance(item, ImageResult | FailedItem):
        raise InputError(f"expected an ImageResult or a FailedItem, but got {describe(item)}")
    return item
