"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414) in the three public forms.

The Kaggle table ``fer2013.csv`` (``emotion,pixels,Usage``), its sibling ``icml_face_data.csv`` (the same columns in
another order with a leading blank), both plain or compressed (xz, gz, zip), and the folder tree
``train|test/<emotion>/<Usage>_<id>.jpg``.  Rows keep the published order; nothing is cleaned here.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from mien.data import cache
from mien.data.base import FaceData
from mien.errors import DatasetError, InputError, MienError
from mien.io.image import read_image
from mien.labels import FER7

__all__ = ["SPLITS", "load"]

SPLITS = ("Training", "PublicTest", "PrivateTest")
SIZE = 48
_VERSION = 1  # of what `_read_table` makes of a file, for the cache
_COLUMNS = ("emotion", "pixels", "Usage")
_CODES = {str(code) for code in range(len(FER7))}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


def load(path: str | Path, *, split: str | None = None, progress: Callable[[int], None] | None = None) -> FaceData:
    """Read FER2013.

    A table is parsed once and then kept (see `mien.data.cache`).

    Parameters
    ----------
    path : str or pathlib.Path
        The table (plain, xz, gz or zip), a folder that holds one, or the folder tree of images.
    split : {"Training", "PublicTest", "PrivateTest"}, optional
        Keep only this split; by default all that are present.
    progress : callable, optional
        Called with the number of rows read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, 48, 48) gray with labels in ``FER7``.

    Raises
    ------
    DatasetError
        If the file is missing, truncated, or a row is wrong, of whatever split; the message names the row.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"fer2013 has the splits {', '.join(SPLITS)}, but got {split!r}")
    advance = progress or _silent
    root = Path(path)
    table = find_table(root) if is_folder(root) else root
    if table is None:
        data = _read_tree(root, split, advance)
    else:
        parts = cache.kept(table, loader="fer2013", version=_VERSION, read=lambda: _read_table(table, advance))
        data = _faces(parts, table)
    if split is not None and split not in data.splits:
        raise DatasetError(f"{data.source} has no rows of the split {split!r}: it has {', '.join(data.split_names())}")
    return data if split is None else data.split(split)


def _silent(_: int) -> None:
    pass


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; an impossible name is none, and fails where it is opened."""
    try:
        return path.is_dir()
    except OSError:
        return False


def find_table(folder: Path) -> Path | None:
    """Return the table of FER2013 in a folder, or None."""
    for stem in ("fer2013", "icml_face_data"):
        for suffix in (".csv", ".csv.xz", ".csv.gz", ".csv.zip", ".zip"):
            candidate = folder / f"{stem}{suffix}"
            if candidate.is_file():
                return candidate
    return None


class _UnpackError(Exception):
    """An archive is encrypted or packed by a method that Python lacks."""


@contextmanager
def open_table(path: Path) -> Iterator[IO[str]]:
    """Open a table as text, whatever its compression (told by content).

    Raises
    ------
    DatasetError
        If the file is missing, or its compressed data is damaged or truncated.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(6)
            raw.seek(0)
            with _decompressed(raw, head, path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
                yield text
    except FileNotFoundError:
        raise DatasetError(f"no file {path}") from None
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} is damaged or truncated: {error}") from error
    except _UnpackError as error:
        raise DatasetError(f"cannot unpack {path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a table: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise DatasetError(f"cannot read {path}: {error}") from error


def _decompressed(raw: IO[bytes], head: bytes, path: Path) -> IO[bytes]:
    if head.startswith(b"\xfd7zXZ"):
        return lzma.open(raw)
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(raw))
    if head.startswith(b"PK"):
        archive = zipfile.ZipFile(raw)
        tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        known = [name for name in tables if Path(name).name in {"fer2013.csv", "icml_face_data.csv"}] or tables
        if len(known) != 1:
            raise DatasetError(f"{path} must hold one table, but holds {', '.join(tables) or 'none'}")
        try:
            return archive.open(known[0])
        except (RuntimeError, NotImplementedError) as error:
            raise _UnpackError(error) from error
    return raw


def _read_table(path: Path, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
    """Return the parts of `FaceData` that a table holds, all splits."""
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    usages: list[str] = []
    rows: list[int] = []
    with open_table(path) as text:
        reader = csv.reader(text)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise DatasetError(
                    f"{path} lacks the column {', '.join(missing)}: it has {', '.join(header) or 'none'}"
                )
            at = [header.index(name) for name in _COLUMNS]
            for number, row in enumerate(reader):
                if not row:
                    continue
                emotion, pixels, usage = _fields(row, at, path, number)
                images.append(_pixels(pixels, path, number))
                labels.append(_code(emotion, path, number))
                usages.append(usage)
                rows.append(number)
                advance(1)
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: {error}") from error
    if not images:
        raise DatasetError(f"{path} has no rows")
    return _packed(images, labels, usages, rows)


def _packed(
    images: list[NDArray[np.uint8]], labels: list[int], usages: list[str], rows: list[int]
) -> dict[str, NDArray[Any]]:
    return {
        "images": np.stack(images),
        "labels": np.array(labels, dtype=np.int64),
        "splits": np.array(usages),
        "rows": np.array(rows, dtype=np.int64),
    }


def _faces(parts: dict[str, NDArray[Any]], source: Path) -> FaceData:
    return FaceData(
        name="fer2013",
        images=parts["images"],
        labels=parts["labels"],
        label_set=FER7,
        splits=parts["splits"],
        rows=parts["rows"],
        source=str(source),
    )


def _fields(row: list[str], at: list[int], path: Path, number: int) -> tuple[str, str, str]:
    if len(row) <= max(at):
        raise DatasetError(f"{path}, row {number}: expected {max(at) + 1} columns, but got {len(row)}")
    emotion, pixels, usage = (row[i].strip() for i in at)
    if usage not in SPLITS:
        raise DatasetError(f"{path}, row {number}: Usage must be one of {', '.join(SPLITS)}, but got {usage!r}")
    return emotion, pixels, usage


def _code(text: str, path: Path, number: int) -> int:
    if text not in _CODES:
        raise DatasetError(
            f"{path}, row {number}: emotion must be a code from 0 to {len(FER7) - 1}, but got {text[:40]!r}"
        )
    return int(text)


def _pixels(text: str, path: Path, number: int) -> NDArray[np.uint8]:
    values = _whole_numbers(text)
    if values is None:
        raise DatasetError(f"{path}, row {number}: pixels must be integers, but got {text[:40]!r}")
    if values.size != SIZE * SIZE:
        raise DatasetError(f"{path}, row {number}: expected {SIZE * SIZE} pixels, but got {values.size}")
    if values.min() < 0 or values.max() > 255:
        raise DatasetError(f"{path}, row {number}: pixels must be 0..255, but got {values.min()}..{values.max()}")
    return values.astype(np.uint8).reshape(SIZE, SIZE)


def _whole_numbers(text: str) -> NDArray[np.integer[Any]] | None:
    short = _short_numbers(text)
    if short is not None:
        return short
    try:
        return np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return None


def _short_numbers(text: str) -> NDArray[np.uint16] | None:
    """Return numbers of up to three digits with single blanks between, or None for any other text.

    Whole rows at once: three times as fast as `numpy.fromstring`, which counts over 74 million numbers.
    """
    if not text.isascii():
        return None
    # Three signs before the first number, so that one can always look back from its end.
    signs = np.frombuffer(f"   {text}".encode("ascii"), dtype=np.uint8)
    digits = signs - np.uint8(48)
    is_digit = digits < 10
    ends = np.append(np.flatnonzero(signs[3:] == 32) + 3, len(signs))
    lengths = np.diff(ends, prepend=2) - 1
    if np.count_nonzero(is_digit) + len(ends) + 2 != len(signs) or lengths.min() < 1 or lengths.max() > 3:
        return None
    values = np.where(is_digit, digits, 0).astype(np.uint16)
    hundreds = np.where(lengths == 3, values[ends - 3], 0)
    numbers: NDArray[np.uint16] = values[ends - 1] + 10 * values[ends - 2] + 100 * hundreds
    return numbers


def _read_tree(root: Path, split: str | None, advance: Callable[[int], None]) -> FaceData:
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    usages: list[str] = []
    rows: list[int] = []
    for number, (file, label, part) in enumerate(_tree_files(root)):
        usage = _usage_of(file, part)
        if split is None or usage == split:
            images.append(_tree_image(file))
            labels.append(label)
            usages.append(usage)
            rows.append(number)
            advance(1)
    if not images:
        wanted = "" if split is None else f" of the split {split!r}"
        raise DatasetError(f"{root} holds neither fer2013.csv nor a tree train|test/<emotion>/<file>{wanted}")
    return _faces(_packed(images, labels, usages, rows), root)


def _tree_files(root: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the images of a tree in alphabetical order, with label and ``"train"`` or ``"test"``."""
    for part in _visible(root):
        if part.name.lower() not in {"train", "test"} or not part.is_dir():
            continue
        for folder in filter(Path.is_dir, _visible(part)):
            try:
                label = FER7.index(folder.name)
            except InputError as error:
                raise DatasetError(f"{folder}: {error}") from None
            for file in _visible(folder):
                if file.suffix.lower() in _IMAGE_SUFFIXES:
                    yield file, label, part.name.lower()


def _visible(folder: Path) -> list[Path]:
    # Notebooks, archives and file managers leave hidden files beside the data (.ipynb_checkpoints, ._name.jpg).
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _usage_of(file: Path, part: str) -> str:
    prefix = file.name.split("_", 1)[0]
    if prefix in SPLITS:
        return prefix
    if part == "train":
        return "Training"
    raise DatasetError(f"{file}: a file under test/ must be named PublicTest_<id> or PrivateTest_<id>")


def _tree_image(file: Path) -> NDArray[np.uint8]:
    try:
        pixels = read_image(file).pixels
    except MienError as error:
        raise DatasetError(f"{file}: {error}") from error
    if pixels.shape[:2] != (SIZE, SIZE):
        raise DatasetError(f"{file}: expected {SIZE} x {SIZE} pixels, but got {pixels.shape[1]} x {pixels.shape[0]}")
    return np.ascontiguousarray(pixels[..., 0])
