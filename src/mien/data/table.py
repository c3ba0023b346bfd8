"""mien's own form of a data set: the table of FER2013 with columns for where each image comes from.

``emotion,pixels,Usage`` as FER2013 has them, then ``subject,clip,source,box,labels``, and a column ``p_<emotion>`` for
each emotion where annotators voted.  ``labels`` names the label set: with ``fer7``, as in a table without this column,
``emotion`` is FER2013's code, else a word.  Pixels are rows of gray values, or of red, green, blue, in a square of any
size; in Parquet they are bytes.  `write` makes both forms, and the folder that the data set ``folder`` reads.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.data import cache
from mien.data._table_write import COLUMNS, MANIFEST, SHARE, Row, check_free, kind_of, rows_of, write
from mien.data.base import FaceData
from mien.data.fer2013 import _whole_numbers, is_folder, open_table
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import FER7, LabelSet, label_set

__all__ = ["COLUMNS", "MANIFEST", "Row", "check_free", "kind_of", "load", "rows_of", "write"]

_VERSION = 1  # of what `_read_csv` makes of a file, for the cache
_BATCH = 2048
_NEEDED = ("emotion", "pixels", "Usage")
_LONGEST_FIELD = 1 << 28
"""Longest text of a field: a color image of 4096 x 4096 has 201 million signs, Python's csv allows 131,072."""


def load(path: str | Path, *, split: str | None = None, progress: Callable[[int], None] | None = None) -> FaceData:
    """Read a table that mien wrote, or any in its form: CSV (plain, xz, gz or zip) or Parquet.

    Color becomes gray (ITU-R BT.601 luma).  A CSV is parsed once and then kept (see `mien.data.cache`).

    Parameters
    ----------
    path : str or pathlib.Path
        The table.
    split : str, optional
        Keep only this split.
    progress : callable, optional
        Called with the number of rows read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, S, S) gray, with subjects, clips and distribution where the table has them.

    Raises
    ------
    DatasetError
        If the file is missing or damaged, or a row is wrong; the message names the row.
    MissingExtraError
        If it is Parquet and pyarrow is not installed.
    """
    table, advance = Path(path), progress or (lambda _: None)
    if is_folder(table):
        raise DatasetError(
            f"{format_path(table)} is a folder: a table is a .csv or .parquet file (see the data set folder)"
        )
    if table.suffix.lower() == ".parquet":
        parts = _read_parquet(table, advance)
    else:
        parts = cache.kept(table, loader="table", version=_VERSION, read=lambda: _read_csv(table, advance))
    optional: dict[str, Any] = {name: parts[name] for name in ("distribution", "subjects", "clips") if name in parts}
    data = FaceData(
        name="table",
        images=parts["images"],
        labels=parts["labels"],
        label_set=label_set(str(parts["label_set"])),
        splits=parts["splits"],
        rows=np.arange(len(parts["images"]), dtype=np.int64),
        source=str(table),
        **optional,
    )
    return data if split is None else data.split(split)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read long fields; its limit is the process's, and goes back to what it was."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_csv(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    rows = _Rows(path)
    with open_table(path) as text, _long_fields():
        reader = csv.reader(text)
        try:
            rows.begin([name.strip() for name in next(reader, [])])
            for number, row in enumerate(reader):
                if row:
                    rows.add(row, number)
                    advance(1)
        except csv.Error as error:
            raise DatasetError(f"{format_path(path)}, line {reader.line_num}: {error}") from error
    return rows.packed()


def _read_parquet(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    arrow = import_extra("pyarrow", extra="parquet", purpose="reading Parquet")
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="reading Parquet")
    rows, number = _Rows(path), 0
    try:
        with parquet.ParquetFile(str(path), page_checksum_verification=True) as file:
            rows.begin(list(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=_BATCH):
                columns = [batch.column(name).to_pylist() for name in rows.names]
                for values in zip(*columns, strict=True):
                    rows.add(list(values), number)
                    number += 1
                advance(batch.num_rows)
    except FileNotFoundError:
        raise DatasetError(f"no file {format_path(path)}") from None
    except (arrow.ArrowException, OSError) as error:
        raise DatasetError(f"{format_path(path)} is no Parquet file, or damaged: {error}") from error
    return rows.packed()


class _Rows:
    """Collects the rows of a table and checks each."""

    def __init__(self, path: Path) -> None:
        self._path = format_path(path)
        self.names: list[str] = []
        self._set: LabelSet | None = None
        self._columns: dict[str, list[Any]] = {}
        self._shares: list[str] = []

    def begin(self, header: list[str]) -> None:
        """Take the names of the columns."""
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            has = ", ".join(header)[:200] or "none"
            raise DatasetError(f"{self._path} lacks the column {', '.join(missing)}: it has {has}")
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise DatasetError(f"{self._path} has the column {twice!r} twice")
        self.names = header
        self._shares = [name for name in header if name.startswith(SHARE)]
        wanted = ("images", "labels", "splits", "subjects", "clips", "distribution")
        self._columns = {name: [] for name in wanted}

    def add(self, values: list[Any], number: int) -> None:
        """Take a row."""
        if len(values) != len(self.names):
            raise DatasetError(f"{self._at(number)}: expected {len(self.names)} columns, but got {len(values)}")
        row = dict(zip(self.names, values, strict=True))
        labels = self._checked_set(str(row.get("labels") or FER7.name).strip(), number)
        add = self._columns
        add["images"].append(self._image(row["pixels"], number))
        add["labels"].append(self._label(row["emotion"], labels, number))
        for name, column in (("splits", "Usage"), ("subjects", "subject"), ("clips", "clip")):
            value = row.get(column)
            add[name].append("" if value is None else str(value).strip())
        if self._shares:
            add["distribution"].append(self._distribution(row, labels, number))

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        columns, labels = self._columns, self._set
        if labels is None:
            raise DatasetError(f"{self._path} has no rows")
        parts: dict[str, NDArray[Any]] = {
            "images": np.stack(columns["images"]),
            "labels": np.array(columns["labels"], dtype=np.int64),
            "splits": np.array(columns["splits"], dtype=np.str_),
            "label_set": np.array(labels.name),
        }
        for name in ("subjects", "clips"):
            if any(columns[name]):
                parts[name] = np.array(columns[name], dtype=np.str_)
        if self._shares:
            parts["distribution"] = np.array(columns["distribution"], dtype=np.float32)
        return parts

    def _at(self, number: int) -> str:
        return f"{self._path}, row {number}"

    def _checked_set(self, name: str, number: int) -> LabelSet:
        if self._set is None:
            try:
                self._set = label_set(name)
            except InputError as error:
                raise DatasetError(f"{self._at(number)}: {error}") from None
            wanted = {f"{SHARE}{emotion}" for emotion in self._set.emotions}
            if self._shares and set(self._shares) != wanted:
                raise DatasetError(f"{self._path} must have all of {', '.join(sorted(wanted))}, or none")
        elif name != self._set.name:
            raise DatasetError(f"{self._at(number)}: labels must be {self._set.name} throughout, but got {name!r}")
        return self._set

    def _label(self, value: Any, labels: LabelSet, number: int) -> int:
        """Return the index of an emotion: a word, or a code."""
        text = "" if value is None else str(value).strip()
        if text in ("", "-1"):
            return -1
        if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < len(labels):
            return int(text)
        try:
            return labels.index(text)
        except InputError:
            words = ", ".join(labels.emotions)
            raise DatasetError(
                f"{self._at(number)}: emotion must be one of {words}, their code from 0 to {len(labels) - 1}, or -1 "
                f"for none, but got {text[:40]!r}"
            ) from None

    def _image(self, value: Any, number: int) -> NDArray[np.uint8]:
        if isinstance(value, bytes):
            values: NDArray[np.integer[Any]] | None = np.frombuffer(value, np.uint8)
        else:
            values = _whole_numbers(value.strip()) if isinstance(value, str) else None
        if values is None or values.size == 0:
            raise DatasetError(f"{self._at(number)}: pixels must be integers, but got {str(value)[:40]!r}")
        if values.min() < 0 or values.max() > 255:
            raise DatasetError(f"{self._at(number)}: pixels must be 0..255, but got {values.min()}..{values.max()}")
        side = math.isqrt(values.size)
        shape: tuple[int, ...] = (side, side)
        if side**2 != values.size:  # three times a square is never a square itself
            side = math.isqrt(values.size // 3)
            shape = (side, side, 3)
        before = self._columns["images"][0].shape[0] if self._columns["images"] else side
        if math.prod(shape) != values.size or side != before:
            wanted = "a square" if side == before else f"{before} x {before}"
            raise DatasetError(f"{self._at(number)}: expected {wanted} of pixels, but got {values.size} values")
        image = values.astype(np.uint8).reshape(shape)
        return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def _distribution(self, row: dict[str, Any], labels: LabelSet, number: int) -> list[float]:
        try:
            shares = [float(row[f"{SHARE}{emotion}"] or 0) for emotion in labels.emotions]
        except (TypeError, ValueError):
            shares = [math.nan]
        total = sum(shares)
        if not all(share >= 0 for share in shares) or not (total == 0 or abs(total - 1) < 1e-3):
            raise DatasetError(f"{self._at(number)}: shares must be at least 0 and sum to 1, or all be 0")
        return shares
