"""mien's own form of a dataset: the table of FER2013 with columns for where each image comes from, and its writer.

``emotion,pixels,Usage`` as FER2013 has them, then ``subject,clip,source,box,labels``, and a column ``p_<emotion>`` for
each emotion where annotators voted. ``labels`` names the label set: with ``fer7``, as in a table without this column,
``emotion`` is FER2013's code, else a word. Pixels are rows of gray values, or of red, green, blue, in a square of any
size; in Parquet they are bytes. `write` makes both forms, and the folder that the dataset ``folder`` reads.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.data import cache
from mien.data.fer2013 import open_table, parse_integers
from mien.data.files import HEADER, MANIFEST, is_folder
from mien.data.registry import Dataset
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError
from mien.io.paths import atomic_path, format_path
from mien.labels import FER7, LABEL_SETS, LabelSet, label_set

__all__ = [
    "COLUMNS",
    "MANIFEST_COLUMNS",
    "TABLE",
    "Face",
    "check_free",
    "encode_gray_png",
    "faces_of",
    "folder_name",
    "form_of",
    "read_table",
    "write",
]

COLUMNS = ("emotion", "pixels", "Usage", "subject", "clip", "source", "box", "labels", "crop")
"""Columns of a table, before the shares."""

MANIFEST_COLUMNS = ("file", "emotion", "subject", "clip", "split", "source", "box", "crop")
"""Columns of a folder's ``manifest.csv``, before the shares."""

_SHARE = "p_"  # begins the name of a column with an emotion's share of the annotators
_NEEDED = ("emotion", "pixels", "Usage")
_FORMS = {".csv": "csv", ".parquet": "parquet", "": "folder"}
_VERSION = 2  # of what `_read_csv` makes of a file, for the cache
_BATCH = 2048
_NO_LABEL = "unlabeled"
_LONGEST_FIELD = 1 << 28
"""Longest text of a field: a color image of 4096 x 4096 has 201 million characters, Python's csv allows 131,072."""


def read_table(path: str | Path, *, progress: Callable[[int], None] | None = None) -> Samples:
    """Read a table that mien wrote, or any in its form: CSV (plain, xz, gz or zip) or Parquet.

    Color becomes gray (ITU-R BT.601 luma). A CSV is parsed once and then cached (see `mien.data.cache`).

    Parameters
    ----------
    path : str or pathlib.Path
        The table.
    progress : callable, optional
        Called with the number of rows read since the last call.

    Returns
    -------
    Samples
        Images uint8 (n, S, S) in memory, with subjects, clips and distribution where the table has them.

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
            f"{format_path(table)} is a folder: a table is a .csv or .parquet file (see the dataset folder)"
        )
    if table.suffix.lower() == ".parquet":
        parts = _read_parquet(table, advance)
    else:
        parts = cache.cached_arrays(table, loader="table", version=_VERSION, read=lambda: _read_csv(table, advance))
    columns = {"split": "splits", "subject": "subjects", "clip": "clips", "crop": "crops"}
    return Samples(
        name="table",
        kind="image",
        source=str(table),
        pixels=parts["images"],
        labels=parts["labels"],
        label_set=_read_label_set(str(parts["label_set"])),
        columns={column: parts[name] for column, name in columns.items() if name in parts},
        distribution=parts.get("distribution"),
    )


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read long fields; its limit is the process's, and goes back to what it was."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_csv(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    rows = _TableReader(path)
    with open_table(path) as text, _long_fields():
        reader = csv.reader(text)
        try:
            rows.start([name.strip() for name in next(reader, [])])
            for number, row in enumerate(reader):
                if row:
                    rows.add(row, number)
                    advance(1)
        except csv.Error as error:
            raise DatasetError(f"{format_path(path)}, line {reader.line_num}: {error}") from error
    return rows.arrays()


def _read_parquet(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    arrow = import_extra("pyarrow", extra="parquet", purpose="reading Parquet")
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="reading Parquet")
    rows, number = _TableReader(path), 0
    try:
        with parquet.ParquetFile(str(path), page_checksum_verification=True) as file:
            rows.start(list(file.schema_arrow.names))
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
    return rows.arrays()


class _TableReader:
    """Collects the rows of a table and checks each."""

    def __init__(self, path: Path) -> None:
        self._path = format_path(path)
        self.names: list[str] = []
        self._set: LabelSet | None = None
        self._columns: dict[str, list[Any]] = {}
        self._shares: list[str] = []

    def start(self, header: list[str]) -> None:
        """Check the names of the columns."""
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            has = ", ".join(header)[:200] or "none"
            raise DatasetError(f"{self._path} lacks the column {', '.join(missing)}: it has {has}")
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise DatasetError(f"{self._path} has the column {twice!r} twice")
        self.names = header
        self._shares = [name for name in header if name.startswith(_SHARE)]
        wanted = ("images", "labels", "splits", "subjects", "clips", "crops", "distribution")
        self._columns = {name: [] for name in wanted}

    def add(self, values: list[Any], number: int) -> None:
        """Check a row and add it."""
        if len(values) != len(self.names):
            raise DatasetError(f"{self._at(number)}: expected {len(self.names)} columns, but got {len(values)}")
        row = dict(zip(self.names, values, strict=True))
        labels = self._checked_set(str(row.get("labels") or FER7.name).strip(), number)
        add = self._columns
        add["images"].append(self._image(row["pixels"], number))
        add["labels"].append(self._label(row["emotion"], labels, number))
        for name, column in (("splits", "Usage"), ("subjects", "subject"), ("clips", "clip"), ("crops", "crop")):
            value = row.get(column)
            add[name].append("" if value is None else str(value).strip())
        if self._shares:
            add["distribution"].append(self._distribution(row, labels, number))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays."""
        columns, labels = self._columns, self._set
        if labels is None:
            raise DatasetError(f"{self._path} has no rows")
        parts: dict[str, NDArray[Any]] = {
            "images": np.stack(columns["images"]),
            "labels": np.array(columns["labels"], dtype=np.int64),
            "splits": np.array(columns["splits"], dtype=np.str_),
            "label_set": np.array(_write_label_set(labels)),
        }
        for name in ("subjects", "clips", "crops"):
            if any(columns[name]):
                parts[name] = np.array(columns[name], dtype=np.str_)
        if self._shares:
            parts["distribution"] = np.array(columns["distribution"], dtype=np.float32)
        return parts

    def _at(self, number: int) -> str:
        return f"{self._path}, row {number + HEADER + 1}"

    def _checked_set(self, name: str, number: int) -> LabelSet:
        if self._set is None:
            try:
                self._set = _read_label_set(name)
            except InputError as error:
                raise DatasetError(f"{self._at(number)}: {error}") from None
            wanted = {f"{_SHARE}{emotion}" for emotion in self._set.emotions}
            if self._shares and set(self._shares) != wanted:
                raise DatasetError(f"{self._path} must have all of {', '.join(sorted(wanted))}, or none")
        elif name != _write_label_set(self._set):
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
            values = parse_integers(value.strip()) if isinstance(value, str) else None
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
            shares = [float(row[f"{_SHARE}{emotion}"] or 0) for emotion in labels.emotions]
        except (TypeError, ValueError):
            shares = [math.nan]
        total = sum(shares)
        if not all(share >= 0 for share in shares) or not (total == 0 or abs(total - 1) < 1e-3):
            raise DatasetError(f"{self._at(number)}: shares must be at least 0 and sum to 1, or all be 0")
        return shares


def _write_label_set(labels: LabelSet) -> str:
    """Return the text of the column ``labels``: a name, and the words of a set that has no known one."""
    return labels.name if labels.name in LABEL_SETS else f"{labels.name}:{','.join(labels.emotions)}"


def _read_label_set(text: str) -> LabelSet:
    name, sign, words = text.partition(":")
    return LabelSet(name, tuple(words.split(",")), "the data") if sign else label_set(name)


# --- writing -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One image to write, and what is known of it; an empty word means unknown.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 of shape (S, S), gray, or (S, S, 3), RGB.
    emotion : str
        The label, or empty for none.
    split, subject, clip : str
        Its split, who is shown, and of which video or sequence.
    source : str
        Where the image comes from, in words.
    box : str
        Where the face lay in that image, ``x1 y1 x2 y2`` in pixels.
    crop : str
        How the face was cut, see `mien.face.prepare.crop_name`.
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
    crop: str = ""
    shares: tuple[float, ...] = ()


def form_of(path: str | os.PathLike[str]) -> str:
    """Return what is written to a path, by its suffix: ``"csv"``, ``"parquet"``, or ``"folder"`` for none.

    Raises
    ------
    InputError
        If the suffix is another.
    MissingExtraError
        If Parquet is wanted and pyarrow is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMS:
        raise InputError(
            f"a dataset is written as .csv, .parquet or a folder without suffix, but got {format_path(path)}"
        )
    if suffix == ".parquet":
        import_extra("pyarrow", extra="parquet", purpose="writing Parquet")
    return _FORMS[suffix]


def check_free(path: str | os.PathLike[str]) -> None:
    """Check that a dataset can be written to a path: before hours of work, not after.

    Raises
    ------
    DatasetError
        If something stands there.
    """
    if os.path.lexists(path):
        raise DatasetError(f"will not write over {format_path(path)}: choose another name, or move it away")


def faces_of(data: Samples, sources: Iterable[str]) -> Iterator[Face]:
    """Yield the images of a dataset in memory for `write`, with the source of each in words."""
    for i, source in enumerate(sources):
        yield Face(
            pixels=data.images[i],
            emotion=data.emotion(i),
            split=str(data.splits[i]),
            subject=str(data.subjects[i]),
            clip=str(data.clips[i]),
            source=source,
            crop=str(data.column("crop")[i]),
            shares=() if data.distribution is None else tuple(data.distribution[i]),
        )


def write(
    path: str | os.PathLike[str],
    rows: Iterable[Face],
    labels: LabelSet,
    *,
    shares: bool = False,
    beside: Callable[[Path], None] | None = None,
) -> int:
    """Write a dataset, whole or not at all; the suffix says in which form (see `form_of`).

    Parameters
    ----------
    path : str or os.PathLike
        Must not exist; folders above it are made.
    rows : iterable of Face
        Taken one by one, so that they need not fit into memory.
    labels : LabelSet
        The set that the emotions are of.
    shares : bool
        Write the distributions of the rows; rows without one get none.
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
        If the suffix is unknown, or a row is not square or of another shape than the first.
    """
    target, kind = Path(path), form_of(path)
    check_free(target)
    extra = tuple(f"{_SHARE}{emotion}" for emotion in labels.emotions) if shares else ()
    with atomic_path(target) as hidden:
        hidden.parent.mkdir(parents=True, exist_ok=True)
        checked = _checked(rows)
        if kind == "folder":
            count = _write_folder(hidden, checked, labels, extra)
            if beside is not None:
                beside(hidden)
        elif kind == "csv":
            count = _write_csv(hidden, checked, labels, extra)
        else:
            count = _write_parquet(hidden, checked, labels, extra)
    return count


def _checked(rows: Iterable[Face]) -> Iterator[Face]:
    first: tuple[int, ...] | None = None
    for row in rows:
        got = row.pixels.shape
        first = first or got
        if len(got) not in (2, 3) or got[0] != got[1] or got[2:] not in ((), (3,)) or got != first:
            raise InputError(
                f"images of a dataset must be squares of one size, but got {got}"
                + (f" after {first}" if got != first else "")
            )
        yield row


def _cells(row: Face, labels: LabelSet, extra: tuple[str, ...]) -> dict[str, Any]:
    """Return what CSV and Parquet say of a row, but for its pixels."""
    cells: dict[str, Any] = {
        "emotion": row.emotion,
        "Usage": row.split,
        "subject": row.subject,
        "clip": row.clip,
        "source": row.source,
        "box": row.box,
        "labels": _write_label_set(labels),
        "crop": row.crop,
    }
    cells = {name: _encodable(text) for name, text in cells.items()}
    if labels.name == FER7.name:  # FER2013's codes, so that its readers read it
        cells["emotion"] = labels.index(row.emotion) if row.emotion else -1
    return cells | dict(zip(extra, row.shares, strict=bool(row.shares)))


def _encodable(text: str) -> str:
    """Return text with those characters escaped that UTF-8 does not have: undecodable bytes of a file's name."""
    return text.encode("utf-8", "backslashreplace").decode()


def _write_csv(path: Path, rows: Iterable[Face], labels: LabelSet, extra: tuple[str, ...]) -> int:
    count = 0
    words = [str(value) for value in range(256)]
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *extra), restval="", lineterminator="\n")
        writer.writeheader()
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last number is the count
            pixels = " ".join([words[value] for value in row.pixels.ravel().tolist()])
            writer.writerow(_cells(row, labels, extra) | {"pixels": pixels})
    return count


def _write_parquet(path: Path, rows: Iterable[Face], labels: LabelSet, extra: tuple[str, ...]) -> int:
    arrow = import_extra("pyarrow", extra="parquet", purpose="writing Parquet")
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
    emotion = arrow.int8() if labels.name == FER7.name else arrow.string()
    types = {"emotion": emotion, "pixels": arrow.binary(), **dict.fromkeys(extra, arrow.float32())}
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in (*COLUMNS, *extra)])
    count, source = 0, iter(rows)
    with parquet.ParquetWriter(str(path), schema, compression="zstd", write_page_checksum=True) as writer:
        while batch := list(islice(source, _BATCH)):
            cells = [_cells(row, labels, extra) | {"pixels": row.pixels.tobytes()} for row in batch]
            writer.write_table(arrow.Table.from_pylist(cells, schema=schema))
            count += len(batch)
    return count


def _write_folder(folder: Path, rows: Iterable[Face], labels: LabelSet, extra: tuple[str, ...]) -> int:
    folder.mkdir()
    count = 0
    columns = (*MANIFEST_COLUMNS, *extra)
    with (folder / MANIFEST).open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for count, row in enumerate(rows, 1):
            inside = Path(*([folder_name(row.split)] if row.split else []), row.emotion or _NO_LABEL)
            (folder / inside).mkdir(parents=True, exist_ok=True)
            name = inside / f"{count:07d}.png"
            with (folder / name).open("xb") as image:
                image.write(encode_gray_png(row.pixels))
            here = {"file": name.as_posix(), "emotion": row.emotion, "split": _encodable(row.split)}
            writer.writerow(_cells(row, labels, extra) | here)
    return count


def folder_name(split: str) -> str:
    """Return a split's name as that of a folder: no separators, not hidden, nothing that leads elsewhere."""
    name = "".join(c if c.isalnum() or c in "-_ ." else "_" for c in split).strip(" .")
    return name[:100] or "_"


def encode_gray_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image as PNG; unlike `mien.output.write.encode_png`, gray stays gray and takes a third."""
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]  # OpenCV takes BGR
    return bytes(cv2.imencode(".png", np.ascontiguousarray(ordered))[1])


TABLE = Dataset(
    "image",
    "a table that mien wrote: FER2013's columns with subject, clip and source, as CSV or Parquet",
    read_table,
    in_memory=True,
    fixed_labels=False,
)
