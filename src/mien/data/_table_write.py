"""Writing mien's own form of a data set, row by row: CSV, Parquet, or a folder of PNG files with a manifest."""

from __future__ import annotations

import csv
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

from mien._extras import import_extra
from mien.data.base import FaceData
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import FER7, LabelSet

__all__ = ["COLUMNS", "MANIFEST", "SHARE", "Row", "check_free", "folder_name", "kind_of", "rows_of", "whole", "write"]

COLUMNS = ("emotion", "pixels", "Usage", "subject", "clip", "source", "box", "labels")
"""Columns of a table, before the shares."""

MANIFEST = ("file", "emotion", "subject", "clip", "split", "source", "box")
"""Columns of a folder's ``manifest.csv``, before the shares."""

SHARE = "p_"
"""Begins the name of a column with an emotion's share of the annotators."""

_KINDS = {".csv": "csv", ".parquet": "parquet", "": "folder"}
_BATCH = 2048
_NO_LABEL = "unlabeled"


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One image that is written, and what is known about it; an empty word means that it is not known.

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
        raise InputError(
            f"a data set is written as .csv, .parquet or a folder without suffix, but got {format_path(path)}"
        )
    if suffix == ".parquet":
        import_extra("pyarrow", extra="parquet", purpose="writing Parquet")
    return _KINDS[suffix]


def check_free(path: str | os.PathLike[str]) -> None:
    """Check that a data set can be written to a path: before hours of work, not after.

    Raises
    ------
    DatasetError
        If something stands there.
    """
    if os.path.lexists(path):
        raise DatasetError(f"will not write over {format_path(path)}: choose another name, or move it away")


def rows_of(data: FaceData, sources: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a data set, with the source of each in words."""
    emotions = (*data.label_set.emotions, "")  # the label -1 is the last
    for i, source in enumerate(sources):
        yield Row(
            pixels=data.images[i],
            emotion=emotions[data.labels[i]],
            split=str(data.splits[i]),
            subject="" if data.subjects is None else str(data.subjects[i]),
            clip="" if data.clips is None else str(data.clips[i]),
            source=source,
            shares=() if data.distribution is None else tuple(data.distribution[i]),
        )


def write(
    path: str | os.PathLike[str],
    rows: Iterable[Row],
    labels: LabelSet,
    *,
    shares: bool = False,
    beside: Callable[[Path], None] | None = None,
) -> int:
    """Write a data set, whole or not at all; the suffix says in which form (see `kind_of`).

    Parameters
    ----------
    path : str or os.PathLike
        Must not exist; folders above it are made.
    rows : iterable of Row
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
    target, kind = Path(path), kind_of(path)
    check_free(target)
    extra = tuple(f"{SHARE}{emotion}" for emotion in labels.emotions) if shares else ()
    with whole(target) as hidden:
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


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a hidden name beside the target, and move what was written there to the target at the end.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    hidden = target.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield hidden
            hidden.replace(target)
        finally:
            if hidden.is_dir():
                shutil.rmtree(hidden, ignore_errors=True)
            else:
                hidden.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(target)}: {error.strerror or error}") from error


def _checked(rows: Iterable[Row]) -> Iterator[Row]:
    first: tuple[int, ...] | None = None
    for row in rows:
        got = row.pixels.shape
        first = first or got
        if len(got) not in (2, 3) or got[0] != got[1] or got[2:] not in ((), (3,)) or got != first:
            raise InputError(
                f"images of a data set must be squares of one size, but got {got}"
                + (f" after {first}" if got != first else "")
            )
        yield row


def _cells(row: Row, labels: LabelSet, extra: tuple[str, ...]) -> dict[str, Any]:
    """Return what CSV and Parquet say of a row, but for its pixels."""
    cells: dict[str, Any] = {
        "emotion": row.emotion,
        "Usage": row.split,
        "subject": row.subject,
        "clip": row.clip,
        "source": row.source,
        "box": row.box,
        "labels": labels.name,
    }
    cells = {name: _encodable(text) for name, text in cells.items()}
    if labels.name == FER7.name:  # FER2013's codes, so that its readers read it
        cells["emotion"] = labels.index(row.emotion) if row.emotion else -1
    return cells | dict(zip(extra, row.shares, strict=bool(row.shares)))


def _encodable(text: str) -> str:
    """Return text with those signs escaped that UTF-8 does not have: undecodable bytes of a file's name."""
    return text.encode("utf-8", "backslashreplace").decode()


def _write_csv(path: Path, rows: Iterable[Row], labels: LabelSet, extra: tuple[str, ...]) -> int:
    count = 0
    words = [str(value) for value in range(256)]
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *extra), restval="", lineterminator="\n")
        writer.writeheader()
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last number is the count
            pixels = " ".join([words[value] for value in row.pixels.ravel().tolist()])
            writer.writerow(_cells(row, labels, extra) | {"pixels": pixels})
    return count


def _write_parquet(path: Path, rows: Iterable[Row], labels: LabelSet, extra: tuple[str, ...]) -> int:
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


def _write_folder(folder: Path, rows: Iterable[Row], labels: LabelSet, extra: tuple[str, ...]) -> int:
    folder.mkdir()
    count = 0
    columns = (*MANIFEST, *extra)
    with (folder / "manifest.csv").open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for count, row in enumerate(rows, 1):
            inside = Path(*([folder_name(row.split)] if row.split else []), row.emotion or _NO_LABEL)
            (folder / inside).mkdir(parents=True, exist_ok=True)
            name = inside / f"{count:07d}.png"
            with (folder / name).open("xb") as image:
                image.write(_png(row.pixels))
            here = {"file": name.as_posix(), "emotion": row.emotion, "split": _encodable(row.split)}
            writer.writerow(_cells(row, labels, extra) | here)
    return count


def folder_name(split: str) -> str:
    """Return a split's name as that of a folder: no separators, not hidden, nothing that leads elsewhere."""
    name = "".join(c if c.isalnum() or c in "-_ ." else "_" for c in split).strip(" .")
    return name[:100] or "_"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image as PNG; unlike `mien.output.write.encode_png`, gray stays gray and takes a third."""
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]  # OpenCV takes BGR
    return bytes(cv2.imencode(".png", np.ascontiguousarray(ordered))[1])
