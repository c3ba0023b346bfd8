"""What a batch reads: files, folders, lists, tar archives, Parquet with media bytes, and object stores.

Everything becomes entries that say where the bytes of one item are, so that any machine can read any of them.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

from mien._extras import import_extra
from mien.api.sources import Only, Source, file_source, make_source
from mien.errors import InputError, MediaError, MediaNotFoundError, MienError, UnsupportedMediaError
from mien.io.paths import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    describe_missing,
    expand_home,
    format_path,
    iter_media_paths,
)

__all__ = ["LIST_SUFFIXES", "Entry", "list_entries", "open_sources"]

LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".parquet", ".tar")
"""Files that name or hold many items."""

PATH_COLUMNS = ("path", "file", "filename", "uri", "url")
"""Columns of lists that hold paths, unless another is named."""

BYTES_COLUMNS = ("bytes", "image", "audio", "video", "content")
"""Columns of Parquet that hold media, unless another is named."""

_MEDIA_SUFFIXES = IMAGE_SUFFIXES | AUDIO_SUFFIXES | VIDEO_SUFFIXES
_STORE = re.compile(r"(?:s3|s3a|gs|az|abfs|abfss|adl|azure)://", re.IGNORECASE)
_AHEAD = 8
"""Items that are fetched from an object store while others are analyzed."""

_PAGE_BYTES = 1 << 20
"""What is read of an archive in an object store at a time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the bytes of one item are.

    Parameters
    ----------
    path : str
        A file, or a URI of an object store.
    member : str, optional
        Name within an archive, or number of the row of a table.
    offset, size : int, optional
        The bytes of an archive's member; of a row its number in the table; of a file its size, where it is known.
    """

    path: str
    member: str | None = None
    offset: int | None = None
    size: int | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return format_path(self.path if self.member is None else f"{self.path}#{self.member}")


def list_entries(
    inputs: Iterable[str],
    *,
    column: str | None = None,
    root: str = "",
    on_skipped: Callable[[str], None] | None = None,
) -> Iterator[Entry]:
    """Yield the items that inputs name, lazily and in a fixed order.

    Parameters
    ----------
    inputs : iterable of str
        Media files, folders, patterns; lists (``.txt``: a path a line; ``.csv``, ``.tsv``, ``.parquet``: a column of
        paths); ``.tar`` archives, such as those of WebDataset; ``.parquet`` with a column of media bytes; ``s3://``,
        ``gs://`` and ``az://`` objects or prefixes (extra ``cloud``).
    column : str, optional
        Column of tables; by default the first of `PATH_COLUMNS` and `BYTES_COLUMNS` that there is.
    root : str
        Folder that relative paths start from; by default the current one.
    on_skipped : callable, optional
        Called with each file of a folder that is no media file.

    Raises
    ------
    MienError
        If an input cannot be listed.  A path in a list that names nothing is an entry: it becomes a row with its error.
    """
    for given in inputs:
        name = expand_home(given)
        if _STORE.match(name):
            yield from _list_store(name, column)
        elif name.lower().endswith(LIST_SUFFIXES) and (Path(root) / name).is_file():
            yield from _expand(name, column, root, _file_size(root, name))
        else:
            place = os.path.join(root, name)  # noqa: PTH118 - keeps names that are not UTF-8, and patterns, as they are
            for path in iter_media_paths([place], on_skipped=on_skipped):
                shown = os.path.relpath(path, root) if root and not os.path.isabs(name) else path  # noqa: PTH117
                yield Entry(shown, size=_file_size("", path))


def _expand(path: str, column: str | None, root: str, size: int | None) -> Iterator[Entry]:
    """Yield the entries of a list, table or archive."""
    suffix = Path(path).suffix.lower()
    try:
        with _open(path, root) as file:
            if suffix == ".tar":
                yield from _list_tar(path, file)
            elif suffix == ".parquet":
                yield from _list_parquet(path, file, column, root)
            else:
                yield from _list_text(path, file, column, root)
    except (tarfile.TarError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"cannot read {format_path(path)} ({size} bytes): {error}", path=path) from error


def _list_tar(path: str, file: IO[bytes]) -> Iterator[Entry]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if member.isfile() and Path(member.name).suffix.lower() in _MEDIA_SUFFIXES:
                yield Entry(path, member.name, member.offset_data, member.size)
            archive.members = []  # type: ignore[attr-defined]  # otherwise kept, all of them


def _list_parquet(path: str, file: IO[bytes], column: str | None, root: str) -> Iterator[Entry]:
    arrow = import_extra("pyarrow", extra="parquet", purpose="reading Parquet")
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="reading Parquet")
    try:
        table = parquet.ParquetFile(file)
    except arrow.ArrowInvalid as error:
        raise MediaError(f"cannot read {format_path(path)}: {error}", path=path) from error
    name = _choose_column(path, table.schema_arrow.names, column, PATH_COLUMNS + BYTES_COLUMNS)
    kind = table.schema_arrow.field(name).type
    if arrow.types.is_string(kind) or arrow.types.is_large_string(kind):
        for batch in table.iter_batches(columns=[name]):
            yield from (Entry(text, size=_file_size(root, text)) for text in batch.column(0).to_pylist() if text)
    elif _is_media(arrow, kind):
        for row in range(table.metadata.num_rows):
            yield Entry(path, f"{name}:{row}", row)
    else:
        raise InputError(f"{format_path(path)}: column {name!r} holds neither paths nor bytes, but {kind}")


def _is_media(arrow: Any, kind: Any) -> bool:
    """Tell whether a column holds bytes, plain or, as Hugging Face's datasets have them, with their path."""
    if arrow.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))


def _list_text(path: str, file: IO[bytes], column: str | None, root: str) -> Iterator[Entry]:
    with io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text:
        if path.lower().endswith(".txt"):
            names: Iterable[str] = (line.rstrip("\r\n") for line in text)
        else:
            rows = csv.DictReader(text, delimiter="\t" if path.lower().endswith(".tsv") else ",")
            name = _choose_column(path, list(rows.fieldnames or ()), column, PATH_COLUMNS)
            names = (row[name] or "" for row in rows)
        yield from (Entry(name, size=_file_size(root, name)) for name in names if name)


def _choose_column(path: str, names: list[str], column: str | None, known: tuple[str, ...]) -> str:
    for name in known if column is None else (column,):
        if name in names:
            return name
    wanted = f"no column {column!r}" if column else f"no column {', '.join(known)}: name one with column"
    raise InputError(f"{format_path(path)}: {wanted}; it has {', '.join(names) or 'none'}")


def _file_size(root: str, path: str) -> int | None:
    try:
        return os.stat(os.path.join(root, path)).st_size  # noqa: PTH116, PTH118 - takes a name as it is
    except (OSError, ValueError):
        return None


# --- object stores ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _store(base: str) -> Any:
    module = import_extra("obstore.store", extra="cloud", purpose="reading object stores")
    return module.from_url(base)


def _split(uri: str) -> tuple[Any, str]:
    """Return the store of a URI, and the key in it."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return _store(f"{scheme}://{bucket}"), key


def _list_store(uri: str, column: str | None) -> Iterator[Entry]:
    obstore = import_extra("obstore", extra="cloud", purpose="reading object stores")
    store, key = _split(uri)
    base = uri[: len(uri) - len(key)]
    if Path(key).suffix.lower() in LIST_SUFFIXES:
        yield from _expand(uri, column, "", None)
        return
    if Path(key).suffix.lower() in _MEDIA_SUFFIXES:
        yield Entry(uri)
        return
    try:
        found = False
        for page in obstore.list(store, prefix=key or None):
            for entry in page:
                found = True
                if Path(entry["path"]).suffix.lower() in _MEDIA_SUFFIXES:
                    yield Entry(base + entry["path"], size=entry["size"])
    except obstore.exceptions.BaseError as error:
        raise MediaError(f"cannot list {format_path(uri)}: {_first_line(error)}", path=uri) from error
    if not found:
        raise MediaNotFoundError(f"no object at {format_path(uri)}", path=uri)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _open(path: str, root: str) -> IO[bytes]:
    if not _STORE.match(path):
        return (Path(root) / path).open("rb")
    obstore = import_extra("obstore", extra="cloud", purpose="reading object stores")
    try:
        reader: Any = obstore.open_reader(*_split(path), buffer_size=_PAGE_BYTES)
    except (obstore.exceptions.BaseError, FileNotFoundError) as error:
        raise MediaNotFoundError(f"cannot read {format_path(path)}: {_first_line(error)}", path=path) from error
    return io.BufferedReader(_Reader(reader))


class _Reader(io.RawIOBase):
    """An object of a store as a file."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        content = bytes(self._reader.read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)


# --- reading ----------------------------------------------------------------------------------------------------------


def open_sources(entries: Iterable[Entry], *, root: str, only: Only = None) -> Iterator[Source]:
    """Yield the source of each entry, with its error where it cannot be read.

    Bytes of object stores are fetched by a few threads, a few items ahead.

    Parameters
    ----------
    entries : iterable of Entry
        What is read.
    root : str
        Folder that relative paths start from.
    only : {"face", "voice"}, optional
        What is read of videos.
    """
    tables = _Tables(root)
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="mien-fetch") as threads:
        waiting: deque[tuple[Entry, Callable[[], bytes | None]]] = deque()
        for entry in entries:
            if _STORE.match(entry.path) and not (entry.member and ":" in entry.member and entry.size is None):
                waiting.append((entry, threads.submit(_fetch, entry).result))
            else:
                waiting.append((entry, partial(tables.read, entry)))
            if len(waiting) > _AHEAD:
                yield _source(waiting.popleft(), root, only)
        while waiting:
            yield _source(waiting.popleft(), root, only)


def _source(item: tuple[Entry, Callable[[], bytes | None]], root: str, only: Only) -> Source:
    """Return the source of an entry, whose bytes are read unless it is a file."""
    entry, read = item
    try:
        content = read()
        if content is not None:
            return make_source(content, only=only)
        path = os.path.join(root, entry.path)  # noqa: PTH118 - keeps names that are not UTF-8
        if os.path.isdir(path):  # noqa: PTH112
            raise UnsupportedMediaError(f"{entry.label} is a folder, not a file", path=entry.path)
        if not os.path.exists(path):  # noqa: PTH110
            raise MediaNotFoundError(describe_missing(entry.path), path=entry.path)
        return file_source(path, only=only)
    except MienError as error:
        return Source(entry.path, "image", error=error)
    except (OSError, ValueError, ImportError) as error:
        return Source(entry.path, "image", error=MediaError(f"cannot read {entry.label}: {_first_line(error)}"))


def _fetch(entry: Entry) -> bytes:
    obstore = import_extra("obstore", extra="cloud", purpose="reading object stores")
    store, key = _split(entry.path)
    try:
        if entry.member is not None:
            return bytes(obstore.get_range(store, key, start=entry.offset, length=entry.size))
        return bytes(obstore.get(store, key).bytes())
    except FileNotFoundError as error:
        raise MediaNotFoundError(f"no such object: {entry.label}", path=entry.path) from error
    except obstore.exceptions.BaseError as error:
        raise MediaError(f"cannot read {entry.label}: {_first_line(error)}", path=entry.path) from error


class _Tables:
    """Members of archives and rows of tables on disk; of a table the last group of rows is kept."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._key: tuple[str, int] | None = None
        self._rows: Any = None
        self._first = 0

    def read(self, entry: Entry) -> bytes | None:
        """Return the bytes of an entry; None for a file, which is read from its path."""
        if entry.member is None:
            return None
        if entry.size is not None:
            with _open(entry.path, self._root) as file:
                file.seek(entry.offset or 0)
                content = file.read(entry.size)
            if len(content) < entry.size:
                raise MediaError(f"{entry.label} is cut off: {entry.size} bytes expected", path=entry.path)
            return content
        return self._read_row(entry, entry.offset or 0)

    def _read_row(self, entry: Entry, row: int) -> bytes:
        from pyarrow import ArrowInvalid, parquet

        if self._key is None or self._key[0] != entry.path or not 0 <= row - self._first < len(self._rows):
            column = str(entry.member).rpartition(":")[0]
            try:
                with _open(entry.path, self._root) as file:
                    table = parquet.ParquetFile(file)
                    first = 0
                    for group in range(table.num_row_groups):
                        count = table.metadata.row_group(group).num_rows
                        if row < first + count:
                            self._rows = table.read_row_group(group, columns=[column]).column(0)
                            self._first, self._key = first, (entry.path, group)
                            break
                        first += count
                    else:
                        raise MediaError(f"{entry.label}: there is no such row", path=entry.path)
            except (ArrowInvalid, KeyError) as error:
                raise MediaError(f"cannot read {entry.label}: {_first_line(error)}", path=entry.path) from error
        value = self._rows[row - self._first].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not content:
            raise MediaError(f"{entry.label} holds no bytes", path=entry.path)
        return bytes(content)
