"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414), and the votes of FER+ on its images (Barsoum et al. 2016).

FER2013 has three public forms: the Kaggle table ``fer2013.csv`` (``emotion,pixels,Usage``), its sibling
``icml_face_data.csv`` (the same columns in another order with a leading blank), both plain or compressed (xz, gz, zip),
and the folder tree ``train|test/<emotion>/<Usage>_<id>.jpg``. Rows keep the published order; nothing is cleaned here.

The label file of FER+, ``fer2013new.csv`` (microsoft/FERPlus, MIT), has a row for every row of ``fer2013.csv`` and in
its order; rows are matched within each split, so that files which hold only some splits work as long as both hold the
same rows.
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
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from mien.data import cache
from mien.data.files import HEADER, is_folder
from mien.data.registry import Dataset
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, MienError
from mien.io.image import read_image
from mien.labels import FER7, FERPLUS8

__all__ = [
    "FER2013",
    "FERPLUS",
    "PROTOCOLS",
    "SPLITS",
    "add_votes",
    "find_table",
    "majority",
    "open_table",
    "parse_integers",
    "plurality",
    "read_fer2013",
    "read_ferplus",
    "read_votes",
    "soft_labels",
    "voted_no_face",
]

SPLITS = ("Training", "PublicTest", "PrivateTest")
SIZE = 48
_VERSION = 1  # of what `_read_table` makes of a file, for the cache
_COLUMNS = ("emotion", "pixels", "Usage")
_CODES = {str(code) for code in range(len(FER7))}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


def read_fer2013(
    path: str | Path, *, split: str | None = None, progress: Callable[[int], None] | None = None
) -> Samples:
    """Read FER2013.

    A table is parsed once and then cached (see `mien.data.cache`).

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
    Samples
        Images uint8 (n, 48, 48) in memory, with labels in ``FER7``.

    Raises
    ------
    DatasetError
        If the file is missing, truncated, or a row is wrong, of whatever split; the message names the row.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"fer2013 has the splits {', '.join(SPLITS)}, but got {split!r}")
    advance = progress or (lambda _: None)
    root = Path(path)
    table = find_table(root)
    if table is None:
        parts = _read_tree(root, split, advance)
    else:
        parts = cache.cached_arrays(table, loader="fer2013", version=_VERSION, read=lambda: _read_table(table, advance))
    samples = Samples(
        name="fer2013",
        kind="image",
        source=str(table or root),
        pixels=parts["images"],
        labels=parts["labels"],
        label_set=FER7,
        columns={"split": parts["splits"]},
        rows=parts["rows"],
    )
    return samples if split is None else samples.split(split)


def find_table(path: str | Path) -> Path | None:
    """Return the table of FER2013 that a path means: itself, or the one in the folder; None for a folder without."""
    root = Path(path)
    if not is_folder(root):
        return root
    stems, suffixes = ("fer2013", "icml_face_data"), (".csv", ".csv.xz", ".csv.gz", ".csv.zip", ".zip")
    candidates = (root / f"{stem}{suffix}" for stem in stems for suffix in suffixes)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


_FREE_BYTES, _MOST_RATIO = 1 << 28, 100
"""A table unpacks to at most this, and so many times its size: FER2013 takes 300 MB, five times its size as xz."""

_LONGEST_LINE = 1 << 28
"""Longest line in characters: a color image of 4096 x 4096 has 201 million."""


class _UnpackError(Exception):
    """An archive is encrypted or packed by a method that Python lacks."""


class _TooLargeError(Exception):
    """A table unpacks to far more than a table would, or has a line without an end."""


class _Limited(io.RawIOBase):
    """Reads a stream up to a number of bytes."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._left, self._most = stream, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise _TooLargeError(f"it has more than {self._most >> 20} MB, too many for a file of its size")
        buffer[: len(piece)] = piece
        return len(piece)


class _Lines(io.TextIOWrapper):
    """Text whose lines have a limit."""

    def __next__(self) -> str:  # type: ignore[override]  # typed as that of bytes
        line = self.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        if len(line) == _LONGEST_LINE:
            raise _TooLargeError(f"it has a line of more than {_LONGEST_LINE >> 20} MB")
        return line


@contextmanager
def open_table(path: Path) -> Iterator[IO[str]]:
    """Open a table as text, whatever its compression (detected from content).

    Raises
    ------
    DatasetError
        If the file is missing, or its compressed data is damaged or truncated.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(6)
            raw.seek(0)
            most = _FREE_BYTES + _MOST_RATIO * path.stat().st_size
            with (
                _decompressed(raw, head, path) as stream,
                io.BufferedReader(_Limited(stream, most)) as limited,
                _Lines(limited, "utf-8-sig", newline="") as text,
            ):
                yield text
    except FileNotFoundError:
        raise DatasetError(f"no file {path}") from None
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} is damaged or truncated: {error}") from error
    except (_UnpackError, _TooLargeError) as error:
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
    """Return the arrays that a table holds, of all splits."""
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
            for number, row in enumerate(reader, start=HEADER + 1):
                if not row:
                    continue
                emotion, pixels, usage = _fields(row, at, path, number)
                images.append(_pixels(pixels, path, number))
                labels.append(_code(emotion, path, number))
                usages.append(usage)
                rows.append(number - HEADER - 1)
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
    values = parse_integers(text)
    if values is None:
        raise DatasetError(f"{path}, row {number}: pixels must be integers, but got {text[:40]!r}")
    if values.size != SIZE * SIZE:
        raise DatasetError(f"{path}, row {number}: expected {SIZE * SIZE} pixels, but got {values.size}")
    if values.min() < 0 or values.max() > 255:
        raise DatasetError(f"{path}, row {number}: pixels must be 0..255, but got {values.min()}..{values.max()}")
    return values.astype(np.uint8).reshape(SIZE, SIZE)


def parse_integers(text: str) -> NDArray[np.integer[Any]] | None:
    """Return integers with blanks between, or None for any other text."""
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


def _read_tree(root: Path, split: str | None, advance: Callable[[int], None]) -> dict[str, NDArray[Any]]:
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
    return _packed(images, labels, usages, rows)


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


# --- FER+ -------------------------------------------------------------------------------------------

PROTOCOLS = ("majority", "plurality", "probability", "cross-entropy")
"""How votes become labels.

``majority`` and ``plurality`` give one label a row (see the functions of those names). ``probability`` and
``cross-entropy`` are ways to *train* on `soft_labels` (section 3 of the paper): with ``probability`` a trainer draws
each row's label anew from its distribution every time that it sees the row; with ``cross-entropy`` the distribution
itself is the target. Both measure against the most voted emotion, so their ``labels`` are those of ``plurality``.
"""

_VOTES = (*FERPLUS8.emotions, "unknown", "NF")
_NAME = "Image name"
_MOST_VOTES = 1000  # ten taggers voted; far more is a damaged row


def read_ferplus(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    split: str | None = None,
    protocol: str = "majority",
    progress: Callable[[int], None] | None = None,
) -> Samples:
    """Read the images of FER2013 with the labels of FER+.

    Parameters
    ----------
    path : str or pathlib.Path
        The table of FER2013 (see `read_fer2013`), or a folder that holds it.
    labels : str or pathlib.Path, optional
        The votes; by default ``fer2013new.csv`` beside the table.
    split : str, optional
        Keep only this split.
    protocol : {"majority", "plurality", "probability", "cross-entropy"}
        How votes become labels (see `PROTOCOLS`). Rows without a label under the protocol are kept with label -1;
        `Samples.labeled` drops them.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    Samples
        Labels in ``FERPLUS8``, and ``distribution`` as `soft_labels` makes it.

    Raises
    ------
    DatasetError
        If a file is missing or wrong, or the two files hold different rows.
    """
    table = find_table(path)
    if table is None:
        raise DatasetError(
            f"{path} holds no fer2013.csv: FER+ follows the row order of the table, not of a folder tree"
        )
    return add_votes(read_fer2013(table, split=split, progress=progress), labels, protocol=protocol)


def add_votes(images: Samples, labels: str | Path | None = None, *, protocol: str = "majority") -> Samples:
    """Return images of FER2013 with the labels of FER+ in place of their own.

    Parameters
    ----------
    images : Samples
        All rows of one or more splits, as `read_fer2013` returns them from a table.
    labels : str or pathlib.Path, optional
        The votes; for each split of the images as many rows, in the same order. Other splits may be there or not. By
        default ``fer2013new.csv`` beside the table.
    protocol : {"majority", "plurality", "probability", "cross-entropy"}
        How votes become labels (see `PROTOCOLS`).

    Returns
    -------
    Samples
        See `read_ferplus`.

    Raises
    ------
    DatasetError
        If the file of votes is missing or wrong, or holds different rows.
    """
    if protocol not in PROTOCOLS:
        raise DatasetError(f"ferplus has the protocols {', '.join(PROTOCOLS)}, but got {protocol!r}")
    votes = read_votes(images, labels)
    return replace(
        images,
        name="ferplus",
        labels=majority(votes) if protocol == "majority" else plurality(votes),
        label_set=FERPLUS8,
        protocol=protocol,
        distribution=soft_labels(votes),
    )


def read_votes(images: Samples, labels: str | Path | None = None) -> NDArray[np.int64]:
    """Read the votes of FER+ on images of FER2013.

    Parameters
    ----------
    images, labels
        See `add_votes`; the file is plain or compressed.

    Returns
    -------
    numpy.ndarray
        int64 of shape (n, 10): the eight emotions of ``FERPLUS8``, then unknown and NF (not a face).

    Raises
    ------
    DatasetError
        If a column is missing, a vote is not an integer, or the file holds different rows.
    """
    path = Path(images.source).with_name("fer2013new.csv") if labels is None else Path(labels)
    usages, votes = _read_vote_file(path)
    matched = np.zeros((len(images), votes.shape[1]), dtype=np.int64)
    for name in images.split_names():
        here, there = images.splits == name, usages == name
        if here.sum() != there.sum():
            raise DatasetError(
                f"{path} has {there.sum()} rows of {name}, but {images.source} has {here.sum()}: "
                "both files must hold the same rows in the same order"
            )
        matched[here] = votes[there]
    return matched


def voted_no_face(images: Samples, labels: str | Path | None = None) -> NDArray[np.bool_]:
    """Return which images most taggers of FER+ called no face, bool (n,): more votes for it than for anything else.

    Parameters
    ----------
    images, labels
        See `read_votes`.
    """
    votes = read_votes(images, labels)
    return np.asarray(votes[:, -1] > votes[:, :-1].max(axis=1), np.bool_)


def _read_vote_file(path: Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the split of each row and its votes (n, 10)."""
    usages: list[str] = []
    votes: list[list[int]] = []
    names: list[str] = []
    with open_table(path) as text:
        reader = csv.reader(text)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in ("Usage", *_VOTES) if name not in header]
            if missing:
                raise DatasetError(
                    f"{path} lacks the column {', '.join(missing)}: it has {', '.join(header) or 'none'}"
                )
            usage_at, at = header.index("Usage"), [header.index(name) for name in _VOTES]
            name_at = header.index(_NAME) if _NAME in header else None
            for number, row in enumerate(reader, start=HEADER + 1):
                if not row:
                    continue
                votes.append(_counts(row, at, path, number))
                usages.append(_usage(row, usage_at, path, number))
                names.append(row[name_at].strip() if name_at is not None and name_at < len(row) else "")
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: {error}") from error
    if not votes:
        raise DatasetError(f"{path} has no rows")
    _check_order(names, usages, path)
    return np.array(usages), np.array(votes, dtype=np.int64)


def _counts(row: list[str], at: list[int], path: Path, number: int) -> list[int]:
    try:
        counts = [int(row[i]) for i in at]
    except (ValueError, IndexError):
        raise DatasetError(f"{path}, row {number}: expected ten vote counts, but got {row}") from None
    if min(counts) < 0 or max(counts) > _MOST_VOTES:
        raise DatasetError(f"{path}, row {number}: a vote count must be 0..{_MOST_VOTES}, but got {counts}")
    return counts


def _usage(row: list[str], at: int, path: Path, number: int) -> str:
    usage = row[at].strip() if at < len(row) else ""
    if usage not in SPLITS:
        raise DatasetError(f"{path}, row {number}: Usage must be one of {', '.join(SPLITS)}, but got {usage!r}")
    return usage


def _check_order(names: list[str], usages: list[str], path: Path) -> None:
    """Raise for a shuffled file: joined by position, it would give images the votes of others."""
    for usage in SPLITS:
        # The published file has no name for images that are no faces, and three names out of order.
        named = [name for name, of in zip(names, usages, strict=True) if name and of == usage]
        backwards = sum(after <= before for before, after in pairwise(named))
        if backwards > 3 and 4 * backwards > len(named):
            raise DatasetError(
                f"{path}: {backwards} of {len(named)} names of {usage} run backwards: the rows must be in the "
                "published order"
            )


def _without_singles(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(votes == 1, 0, votes)


def majority(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label rows on which more than half of the taggers agree.

    Counts of a single vote become 0; a row has a label when its largest count is more than half of what remains
    (unknown and NF counted) and that largest is one of the eight emotions (Barsoum et al. 2016, and the code of
    microsoft/FERPlus).

    Parameters
    ----------
    votes : numpy.ndarray
        int64 of shape (n, 10).

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,); -1 where there is no label.
    """
    kept = _without_singles(votes)
    top = kept.argmax(axis=1)
    clear = 2 * kept.max(axis=1) > kept.sum(axis=1)
    return np.where(clear & (top < len(FERPLUS8)), top, -1).astype(np.int64)


def plurality(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label rows with the most voted of the eight emotions, without a threshold.

    Counts of a single vote become 0; ties go to the first in the order of ``FERPLUS8``; a row on which no emotion has
    two votes has no label.

    Parameters
    ----------
    votes : numpy.ndarray
        int64 of shape (n, 10).

    Returns
    -------
    numpy.ndarray
        int64 of shape (n,); -1 where there is no label.
    """
    emotions = _without_singles(votes)[:, : len(FERPLUS8)]
    return np.where(emotions.max(axis=1) > 0, emotions.argmax(axis=1), -1).astype(np.int64)


def soft_labels(votes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the distribution of votes over the eight emotions, single votes set to 0.

    Parameters
    ----------
    votes : numpy.ndarray
        int64 of shape (n, 10).

    Returns
    -------
    numpy.ndarray
        float32 of shape (n, 8), rows summing to one; all zero where no emotion has two votes.
    """
    emotions = _without_singles(votes)[:, : len(FERPLUS8)].astype(np.float32)
    total = emotions.sum(axis=1, keepdims=True)
    shares: NDArray[np.float32] = np.divide(emotions, total, out=np.zeros_like(emotions), where=total > 0)
    return shares


FER2013 = Dataset(
    "image",
    "FER2013 (Goodfellow et al. 2013): 48 x 48 faces of a web search, seven emotions",
    read_fer2013,
    in_memory=True,
)
FERPLUS = Dataset(
    "image",
    "FER+ (Barsoum et al. 2016): ten taggers' votes on FER2013's images, eight emotions",
    read_ferplus,
    in_memory=True,
)
