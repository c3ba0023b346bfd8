"""mien's own form of a data set: the table of FER2013 with columns for where each picture comes from.

``emotion,pixels,Usage`` as FER2013 has them, then ``subject,clip,source,box,labels``, and a column ``share_<emotion>``
for each emotion where annotators voted.  ``labels`` names the label set that the codes in ``emotion`` index; a table
without it is FER2013's own.  Parquet has the same columns with ``pixels`` as bytes; a folder has the pictures as PNG in
``<split>/<emotion>/`` and the rest in ``manifest.csv``.  `load` reads the first two, the data set ``folder`` the third.
"""

from __future__ import annotations

import csv
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._extras import need
from mien.datasets import cache
from mien.datasets.base import FaceData
from mien.datasets.fer2013 import _whole_numbers, open_table
from mien.errors import DatasetError, InputError
from mien.labels import LabelSet, label_set
from mien.media.paths import shown
from mien.output.write import encode_png

__all__ = ["COLUMNS", "MANIFEST", "Row", "kind_of", "load", "rows_of", "write"]

COLUMNS = ("emotion", "pixels", "Usage", "subject", "clip", "source", "box", "labels")
"""Columns of a table; ``pixels`` are rows of grey values, or of red, green, blue."""

MANIFEST = ("file", "emotion", "subject", "clip", "split", "source", "box")
"""Columns of a folder's ``manifest.csv``, before the shares."""

_KINDS = {".csv": "csv", ".parquet": "parquet", "": "folder"}
_SHARE = "share_"
_VERSION = 1  # of what `_read_csv` makes of a file, for the cache
_BATCH = 2048
_NO_SPLIT, _NO_LABEL = "all", "unlabelled"


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of a table that is written.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 of shape (S, S), grey, or (S, S, 3), RGB.
    emotion : str
        The label, or empty for none.
    split, subject, clip : str
        Empty where not known.
    source : str
        Where the picture comes from, in words.
    box : str
        Where the face lay in its picture, ``x1 y1 x2 y2`` in pixels; empty for none.
    shares : tuple of float
        The annotators' distribution over the label set, or empty.
    """

    pixels: NDArray[np.uint8]
    emotion: str
    split: str = ""
    subject: str = ""
    clip: str = ""
    source: str = ""
    box: str = ""
    shares: tuple[float, ...] = ()


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return what is written to a path, by its suffix: ``"csv"``, ``"parquet"``, or ``"folder"`` for none.

    Raises
    ------
    InputError
        If the suffix is another.
    MissingExtraError
        If Parquet is wanted and pyarrow is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _KINDS:
        raise InputError(f"a data set is written as .csv, .parquet or a folder without suffix, but got {shown(path)}")
    if suffix == ".parquet":
        need("pyarrow", extra="parquet", purpose="writing Parquet")
    return _KINDS[suffix]


def rows_of(data: FaceData, sources: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a data set, with the source of each in words."""
    emotions = (*data.label_set.emotions, "")
    for i, source in enumerate(sources):
        yield Row(
            pixels=data.images[i],
            emotion=emotions[data.labels[i]],
            split=str(data.splits[i]),
            subject="" if data.subjects is None else str(data.subjects[i]),
            clip="" if data.clips is None else str(data.clips[i]),
            source=source,
            shares=() if data.distribution is None else tuple(data.distribution[i].tolist()),
        )


def write(
    path: str | os.PathLike[str],
    rows: Iterable[Row],
    labels: LabelSet,
    *,
    shares: bool = False,
    beside: Callable[[Path], None] | None = None,
) -> int:
    """Write a data set, whole or not at all; see `kind_of` for the form.

    Parameters
    ----------
    path : str or os.PathLike
        Must not exist.
    rows : iterable of Row
        Taken one by one.
    labels : LabelSet
        What the emotions are codes of.
    shares : bool
        Write the distributions of the rows.
    beside : callable, optional
        For a folder, gets it before it takes its name, to add files.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    DatasetError
        If something stands at the path, or it cannot be written.
    InputError
        If the suffix is unknown, or a row is not square or of another size than the first.
    """
    target, kind = Path(path), kind_of(path)
    if os.path.lexists(target):
        raise DatasetError(f"will not write over {shown(target)}: choose another name, or move it away")
    extra = tuple(f"{_SHARE}{emotion}" for emotion in labels.emotions) if shares else ()
    with _whole(target) as hidden:
        checked = _checked(rows, square=kind != "folder")
        if kind == "folder":
            count = _write_folder(hidden, checked, extra)
            if beside is not None:
                beside(hidden)
        elif kind == "csv":
            count = _write_csv(hidden, checked, labels, extra)
        else:
            count = _write_parquet(hidden, checked, labels, extra)
    return count


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a hidden name beside the target, and move what was written there to the target at the end."""
    hidden = target.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        hidden.rename(target)
    except OSError as error:
        raise DatasetError(f"cannot write {shown(target)}: {error.strerror or error}") from error
    finally:
        if hidden.is_dir():
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            hidden.unlink(missing_ok=True)


def _checked(rows: Iterable[Row], *, square: bool) -> Iterator[Row]:
    shape: tuple[int, ...] | None = None
    for row in rows:
        got = row.pixels.shape
        if square and (got[0] != got[1] or (shape is not None and got != shape)):
            raise InputError(f"pictures of a table must be squares of one size, but got {got} after {shape or 'none'}")
        shape = got
        yield row


def _cells(row: Row, labels: LabelSet) -> dict[str, Any]:
    """Return what CSV and Parquet say of a row, but for its pixels."""
    cells = {
        "emotion": labels.index(row.emotion) if row.emotion else -1,
        "Usage": row.split,
        "subject": row.subject,
        "clip": row.clip,
        "source": row.source,
        "box": row.box,
        "labels": labels.name,
    }
    return cells | {f"{_SHARE}{e}": v for e, v in zip(labels.emotions, row.shares, strict=False)}


def _write_csv(path: Path, rows: Iterable[Row], labels: LabelSet, extra: tuple[str, ...]) -> int:
    count = 0
    words = np.array([str(value) for value in range(256)])
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *extra), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(_cells(row, labels) | {"pixels": " ".join(words[row.pixels.ravel()])})
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[Row], labels: LabelSet, extra: tuple[str, ...]) -> int:
    arrow = need("pyarrow", extra="parquet", purpose="writing Parquet")
    parquet = need("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
    types = {"emotion": arrow.int8(), "pixels": arrow.binary(), **dict.fromkeys(extra, arrow.float32())}
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in (*COLUMNS, *extra)])
    count, source = 0, iter(rows)
    with parquet.ParquetWriter(str(path), schema) as writer:
        while batch := list(islice(source, _BATCH)):
            cells = [_cells(row, labels) | {"pixels": row.pixels.tobytes()} for row in batch]
            writer.write_table(arrow.Table.from_pylist(cells, schema=schema))
            count += len(batch)
    return count


def _write_folder(folder: Path, rows: Iterable[Row], extra: tuple[str, ...]) -> int:
    folder.mkdir()
    count = 0
    with (folder / "manifest.csv").open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*MANIFEST, *extra))
        for count, row in enumerate(rows, 1):
            inside = Path(_folder_name(row.split or _NO_SPLIT)) / (row.emotion or _NO_LABEL)
            (folder / inside).mkdir(parents=True, exist_ok=True)
            file_name = inside / f"{count:07d}.png"
            with (folder / file_name).open("xb") as picture:
                picture.write(encode_png(row.pixels))
            writer.writerow(
                (file_name.as_posix(), row.emotion, row.subject, row.clip, row.split, row.source, row.box)
                + (row.shares if extra else ())
            )
    return count


def _folder_name(split: str) -> str:
    """Return a split's name as a folder: no separators, nothing hidden, nothing that leads elsewhere."""
    name = "".join(c if c.isalnum() or c in "-_ ." else "_" for c in split).strip(" .")
    return name or "_"


# --- reading --------------------------------------------------------------------------------------


def load(path: str | Path, *, split: str | None = None, progress: Callable[[int], None] | None = None) -> FaceData:
    """Read a table that mien wrote, or any in its form: CSV (plain, xz, gz or zip) or Parquet.

    Colour becomes grey (ITU-R BT.601 luma).  A CSV is parsed once and then kept (see `mien.datasets.cache`).

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
        uint8 (n, S, S) grey, with subjects, clips and distribution where the table has them.

    Raises
    ------
    DatasetError
        If the file is missing or damaged, or a row is wrong; the message names the row.
    """
    table, advance = Path(path), progress or (lambda _: None)
    if table.is_dir():
        raise DatasetError(f"{shown(table)} is a folder: a table is a .csv or .parquet file (see the data set folder)")
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


def _read_csv(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    rows = _Rows(path)
    with open_table(path) as text:
        reader = csv.reader(text)
        try:
            rows.begin([name.strip() for name in next(reader, [])])
            for number, row in enumerate(reader):
                if row:
                    rows.add(row, number)
                    advance(1)
        except csv.Error as error:
            raise DatasetError(f"{shown(path)}, line {reader.line_num}: {error}") from error
    return rows.packed()


def _read_parquet(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    arrow = need("pyarrow", extra="parquet", purpose="reading Parquet")
    parquet = need("pyarrow.parquet", extra="parquet", purpose="reading Parquet")
    rows, number = _Rows(path), 0
    try:
        with parquet.ParquetFile(str(path)) as file:
            rows.begin(list(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=_BATCH, columns=rows.names):
                columns = [batch.column(name).to_pylist() for name in rows.names]
                for values in zip(*columns, strict=True):
                    rows.add(list(values), number)
                    number += 1
                advance(batch.num_rows)
    except FileNotFoundError:
        raise DatasetError(f"no file {shown(path)}") from None
    except (arrow.ArrowException, OSError) as error:
        raise DatasetError(f"{shown(path)} is no Parquet file, or damaged: {error}") from error
    return rows.packed()


class _Rows:
    """Collects the rows of a table and checks each."""

    def __init__(self, path: Path) -> None:
        self._path = shown(path)
        self.names: list[str] = []
        self._set: LabelSet | None = None
        self._columns: dict[str, list[Any]] = {}
        self._shares: list[str] = []

    def begin(self, header: list[str]) -> None:
        """Take the names of the columns."""
        missing = [name for name in COLUMNS[:3] if name not in header]
        if missing:
            raise DatasetError(f"{self._path} lacks the column {', '.join(missing)}: it has {', '.join(header)[:200]}")
        self.names = header
        self._shares = [name for name in header if name.startswith(_SHARE)]
        wanted = ("images", "labels", "splits", "subjects", "clips", "distribution")
        self._columns = {name: [] for name in wanted}

    def add(self, values: list[Any], number: int) -> None:
        """Take a row."""
        if len(values) != len(self.names):
            raise DatasetError(f"{self._at(number)}: expected {len(self.names)} columns, but got {len(values)}")
        row = dict(zip(self.names, values, strict=True))
        self._check_set(str(row.get("labels") or "fer7").strip(), number)
        add = self._columns
        add["images"].append(self._image(row["pixels"], number))
        add["labels"].append(self._code(row["emotion"], number))
        for name, column in (("splits", "Usage"), ("subjects", "subject"), ("clips", "clip")):
            add[name].append(str(row.get(column) or "").strip())
        if self._shares:
            add["distribution"].append(self._distribution(row, number))

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        columns, chosen = self._columns, self._set
        if not columns["images"] or chosen is None:
            raise DatasetError(f"{self._path} has no rows")
        parts: dict[str, NDArray[Any]] = {
            "images": np.stack(columns["images"]),
            "labels": np.array(columns["labels"], dtype=np.int64),
            "splits": np.array(columns["splits"], dtype=np.str_),
            "label_set": np.array(chosen.name),
        }
        for name in ("subjects", "clips"):
            if any(columns[name]):
                parts[name] = np.array(columns[name], dtype=np.str_)
        if self._shares:
            parts["distribution"] = np.array(columns["distribution"], dtype=np.float32)
        return parts

    def _at(self, number: int) -> str:
        return f"{self._path}, row {number}"

    def _check_set(self, name: str, number: int) -> None:
        if self._set is None:
            try:
                self._set = label_set(name)
            except InputError as error:
                raise DatasetError(f"{self._at(number)}: {error}") from None
            wanted = {f"{_SHARE}{emotion}" for emotion in self._set.emotions}
            if self._shares and set(self._shares) != wanted:
                raise DatasetError(f"{self._path} must have all of {', '.join(sorted(wanted))}, or none")
        elif name != self._set.name:
            raise DatasetError(f"{self._at(number)}: labels must be {self._set.name} throughout, but got {name!r}")

    def _code(self, value: Any, number: int) -> int:
        assert self._set is not None
        text = str(-1 if value is None else value).strip() or "-1"
        try:
            code = int(text)
        except ValueError:
            code = -2
        if not -1 <= code < len(self._set):
            raise DatasetError(
                f"{self._at(number)}: emotion must be a code from 0 to {len(self._set) - 1}, or -1 for none, "
                f"but got {text[:40]!r}"
            )
        return code

    def _image(self, value: Any, number: int) -> NDArray[np.uint8]:
        values = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else _whole_numbers(str(value).strip())
        if values is None or values.size == 0:
            raise DatasetError(f"{self._at(number)}: pixels must be whole numbers, but got {str(value)[:40]!r}")
        if values.min() < 0 or values.max() > 255:
            raise DatasetError(f"{self._at(number)}: pixels must be 0..255, but got {values.min()}..{values.max()}")
        channels = 1 if math.isqrt(values.size) ** 2 == values.size else 3
        side = math.isqrt(values.size // channels)
        before = self._columns["images"][0].shape[0] if self._columns["images"] else side
        if channels * side**2 != values.size or side != before:
            wanted = "a square" if side == before else f"{before}x{before}"
            raise DatasetError(f"{self._at(number)}: expected {wanted} of pixels, but got {values.size}")
        if channels == 1:
            return values.astype(np.uint8).reshape(side, side)
        colour = values.astype(np.uint8).reshape(side, side, 3)
        return np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def _distribution(self, row: dict[str, Any], number: int) -> list[float]:
        assert self._set is not None
        try:
            shares = [float(row[f"{_SHARE}{emotion}"] or 0) for emotion in self._set.emotions]
        except (TypeError, ValueError):
            shares = [math.nan]
        total = sum(shares)
        if not all(s >= 0 for s in shares) or not (total == 0 or abs(total - 1) < 1e-3):
            raise DatasetError(f"{self._at(number)}: shares must be at least 0 and sum to 1, or all be 0")
        return shares
