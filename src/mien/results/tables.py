"""The tables of results: their columns, declared once, and their rows as data frames and in notebooks.

Every table has, in this order: the path, columns of its own (`TABLES`), the most probable emotion with its confidence,
one column an emotion, and the warnings, or the error of an item that failed.
"""

from __future__ import annotations

import base64
import html
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from mien._checks import escape_surrogates
from mien._extras import import_extra
from mien.errors import InputError, shorten
from mien.labels import LabelSet
from mien.results.emotion import Emotion

__all__ = ["TABLES", "Column", "FailedItem", "Result", "columns", "table_row", "to_frame"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name : str
        Its name, in every format.
    type : type
        ``str``, ``int``, ``float`` or ``bool``; any value may be missing.
    unit : str
        Such as ``"px"``; empty where there is none.
    digits : int
        Digits after the point of a float in text.
    help : str
        What it holds.
    """

    name: str
    type: type
    unit: str = ""
    digits: int = 6
    help: str = ""


_TIMES = (
    Column("start_s", float, "s", 6, "where the segment begins"),
    Column("end_s", float, "s", 6, "where the segment ends, exclusive"),
)
_BOX = (
    Column("x1", float, "px", 2, "left edge of the face"),
    Column("y1", float, "px", 2, "top edge"),
    Column("x2", float, "px", 2, "right edge, exclusive"),
    Column("y2", float, "px", 2, "bottom edge, exclusive"),
    Column("score", float, "", 6, "confidence that it is a face, 0..1"),
)
_TRACK = Column("track", int, help="number of the person")
_SEGMENT = Column("segment", int, help="number of the segment, 1 and up")

MODALITIES = ("face", "voice")
"""What is fused, unless said otherwise."""


def _fused_columns(modalities: Sequence[str]) -> tuple[Column, ...]:
    words = "weight of the {}, 0 to 1"
    weights = [Column(f"{name}_weight", float, help=words.format(name)) for name in modalities]
    predictions = [
        column
        for name in modalities
        for column in (
            Column(name, str, help=f"most probable emotion of the {name}"),
            Column(f"{name}_confidence", float, help="its probability"),
        )
    ]
    return (_SEGMENT, *_TIMES, _TRACK, *weights, *predictions)


TABLES: dict[str, tuple[Column, ...]] = {
    "faces": (Column("face", int, help="number of the face, largest first"), *_BOX),
    "speech": (
        _SEGMENT,
        *_TIMES,
        Column("channel", int, help="number of the channel, 1 is the left; empty where all were mixed"),
        Column("speech", bool, help="whether somebody speaks"),
    ),
    "frames": (
        Column("time_s", float, "s", 6, "when the frame is shown"),
        _TRACK,
        *_BOX,
        Column("detected", bool, help="whether the detector found the face; otherwise it was followed"),
    ),
    "tracks": (
        _TRACK,
        Column("start_s", float, "s", 6, "when the person is seen first"),
        Column("end_s", float, "s", 6, "when the person is seen last"),
        Column("seen_s", float, "s", 6, "for how long the person is in view"),
        Column("clip", str, help="most probable emotion by the model for clips"),
        Column("clip_confidence", float, help="its probability"),
    ),
    "segments": (_TRACK, _SEGMENT, *_TIMES),
    "fused": _fused_columns(MODALITIES),
    "failed": (),
}
"""Columns that only this table has; those of ``fused`` for face and voice."""

_PATH = Column("path", str, help="the file, as it was given")
_EMOTION = (
    Column("emotion", str, help="the most probable emotion"),
    Column("confidence", float, help="its probability"),
    Column("unsure", bool, help="whether the confidence is below one half"),
    Column("valence", float, help="how pleasant, -1..1, derived from the probabilities"),
    Column("arousal", float, help="how activated, -1..1, derived from the probabilities"),
)
_END = (
    Column("warnings", str, help="what was odd, separated by '; '"),
    Column("error", str, help="class of the error, where an item failed"),
    Column("message", str, help="the error's message"),
)


def columns(
    table: str | Sequence[str], labels: LabelSet | Sequence[LabelSet], modalities: Sequence[str] = MODALITIES
) -> tuple[Column, ...]:
    """Return the columns of a table: the same for every item, whatever was found in it.

    Parameters
    ----------
    table : str or sequence of str
        One of `TABLES`; several give one table for items of several kinds.
    labels : LabelSet or sequence of LabelSet
        The emotions, a column each.
    modalities : sequence of str
        What is fused, in the table ``fused``.

    Raises
    ------
    InputError
        If there is no such table.
    """
    names = (table,) if isinstance(table, str) else tuple(table)
    for name in names:
        if name not in TABLES:
            raise InputError(f"table must be one of {', '.join(TABLES)}, but got {name!r}")
    if names == ("failed",):
        return (_PATH, *_END[1:])
    tables = (_fused_columns(modalities) if name == "fused" else TABLES[name] for name in names)
    sets = (labels,) if isinstance(labels, LabelSet) else tuple(labels)
    emotions = dict.fromkeys(emotion for labels in sets for emotion in labels.emotions)
    return (
        _PATH,
        *dict.fromkeys(column for own in tables for column in own),
        *_EMOTION,
        *(Column(emotion, float, help="probability of this emotion") for emotion in emotions),
        *_END,
    )


@lru_cache(maxsize=64)
def _names(table: str, labels: LabelSet, modalities: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in columns(table, labels, modalities))


def table_row(
    table: str,
    labels: LabelSet,
    path: str | None,
    values: Mapping[str, Any] | None = None,
    *,
    emotion: Emotion | None = None,
    warnings: Sequence[str] = (),
    modalities: tuple[str, ...] = MODALITIES,
) -> dict[str, Any]:
    """Return one row with all columns of a table; what is not given is None.

    Raises
    ------
    InputError
        If the emotion is of another label set than the table.
    """
    row: dict[str, Any] = dict.fromkeys(_names(table, labels, modalities))
    row.update(values or {}, path=path)
    if emotion is not None:
        if emotion.labels != labels:
            raise InputError(f"the table has the labels {labels.name}, but an emotion has {emotion.labels.name}")
        row.update(emotion=emotion.top, confidence=emotion.confidence, unsure=emotion.unsure)
        row.update(valence=emotion.valence, arousal=emotion.arousal)
        row.update(zip(labels.emotions, emotion.probabilities, strict=True))
    if warnings:
        row["warnings"] = "; ".join(warnings)
    return row


def box_values(box: Sequence[float], score: float) -> dict[str, float]:
    """Return the columns of a face's box."""
    return {"x1": box[0], "y1": box[1], "x2": box[2], "y2": box[3], "score": score}


def to_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], library: str | None = None) -> Any:
    """Return rows as a data frame with typed columns.

    Parameters
    ----------
    rows : sequence of mapping
        Flat rows.
    columns : sequence of Column
        Of the frame; what a row does not have is missing.
    library : {"pandas", "polars"}, optional
        Which library; by default pandas where it is installed, else polars.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        In pandas, text is ``object``, integers ``Int64`` and booleans ``boolean``, which hold missing values.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    InputError
        If the library has another name.
    """
    if library not in (None, "pandas", "polars"):
        raise InputError(f"library must be 'pandas' or 'polars', but got {library!r}")
    if library is None:
        has_pandas, has_polars = (importlib.util.find_spec(name) is not None for name in ("pandas", "polars"))
        library = "polars" if has_polars and not has_pandas else "pandas"
    module = import_extra(library, extra=library, purpose="to_frame")
    if library == "polars":
        types = {str: module.String, int: module.Int64, float: module.Float64, bool: module.Boolean}
    else:
        types = {str: "object", int: "Int64", float: "float64", bool: "boolean"}
    data = {}
    for column in columns:
        values = [row.get(column.name) for row in rows]
        if library == "polars" and column.type is str:
            # File names that are not UTF-8 become their escapes.
            values = [value and escape_surrogates(value) for value in values]
        data[column.name] = module.Series(values, dtype=types[column.type])
    return module.DataFrame(data)


class Result(ABC):
    """What all results share: their tables, and a line that sums them up."""

    __slots__ = ()

    tables: ClassVar[tuple[str, ...]]
    """Names of the tables that the result has; the first is the default."""

    @abstractmethod
    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of a table, with a key for each of its `columns`."""

    @abstractmethod
    def columns(self, table: str | None = None) -> tuple[Column, ...]:
        """Return the columns of a table."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""

    def to_frame(self, table: str | None = None, library: str | None = None) -> Any:
        """Return the rows of a table as a data frame.

        Parameters
        ----------
        table : str, optional
            One of `tables`; by default the first.
        library : {"pandas", "polars"}, optional
            Which library; by default pandas where it is installed, else polars.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            The rows and columns of `rows`, also where the result is empty.

        Raises
        ------
        MissingExtraError
            If the library is not installed.
        InputError
            If the library or the table has another name.
        """
        return to_frame(self.rows(table), self.columns(table), library)

    def __repr__(self) -> str:
        path = getattr(self, "path", None)
        name = "" if path is None else f" {shorten(repr(path), 80)}"
        return f"<{type(self).__name__}{name}: {self._summarize()}>"

    def _summarize(self) -> str:
        """Return the result in a few words."""
        return ""

    def _table(self, table: str | None) -> str:
        if table is not None and table not in self.tables:
            raise InputError(f"table must be one of {', '.join(self.tables)}, but got {table!r}")
        return table or self.tables[0]


@dataclass(frozen=True, slots=True)
class FailedItem(Result):
    """An item of a batch that could not be read or analyzed: its row in the results.

    Parameters
    ----------
    path : str or None
        The file, as it was given.
    error : str
        Name of the error's class, such as ``"DecodeError"``.
    message : str
        The error's message.
    kind : {"image", "audio", "video", ""}
        What it was taken for; left out of comparison and data.
    """

    tables: ClassVar[tuple[str, ...]] = ("failed",)

    path: str | None
    error: str
    message: str
    kind: str = field(default="", repr=False, compare=False)

    def columns(self, table: str | None = None) -> tuple[Column, ...]:  # noqa: ARG002
        """Return path, error and message, whatever the table: they are in all of them."""
        return columns("failed", ())

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return one row with path, error and message, whatever the table."""
        return [self.to_dict()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {"path": self.path, "error": self.error, "message": self.message}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FailedItem:
        """Build from what `to_dict` returned."""
        return cls(data["path"], data["error"], data["message"])


def html_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return some columns of rows as an HTML table."""
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(name)))}</td>" for name in columns) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)


def html_preview(result: Any, description: str) -> str:
    """Return the preview of a result as an HTML element that holds it, or nothing where there is none."""
    png = None if result.preview is None else result.preview(result)
    if png is None:
        return ""
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"><br>'
