"""Results become a Parquet table, as they come: one row a face or segment of speech."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mien._extras import import_extra
from mien.errors import InputError
from mien.labels import LabelSet
from mien.output.tables import Item, check_labels, columns_of
from mien.output.write import made_beside

__all__ = ["ParquetRows", "ParquetWriter"]

_GROUP_ROWS = 20_000
"""Rows that are held before they are written."""

_WHOLE, _TRUE_OR_FALSE = ("face", "segment", "track", "segment"), ("speech", "unsure", "detected")
_TEXT = ("path", "emotion", "warnings", "error", "message")


class ParquetRows:
    """Writes rows with types as they come, in groups; a context manager.

    The file appears whole when the writer is closed, with what came until then; after an error there is none, and an
    older one stays.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.parquet``.
    columns : tuple of str
        What a row does not have stays empty.

    Raises
    ------
    InputError
        If the name ends otherwise.
    MediaNotFoundError, MediaError
        If the folder does not exist, or nothing can be written there.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], columns: tuple[str, ...]) -> None:
        target = Path(os.fsdecode(path))
        if target.suffix.lower() != ".parquet":
            raise InputError(f"expected a name that ends in .parquet, but got {target.name!a}")
        self._arrow = import_extra("pyarrow", extra="parquet", purpose="writing Parquet")
        parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
        self._schema = self._arrow.schema([(name, self._type(name)) for name in columns])
        self._held: list[dict[str, Any]] = []
        self.rows = 0
        self._open = ExitStack()
        beside = self._open.enter_context(made_beside(target))
        self._file = self._open.enter_context(parquet.ParquetWriter(str(beside), self._schema, compression="zstd"))

    def hold(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows, and write what is held where that is enough for a group."""
        for row in rows:
            # Names that are not UTF-8 become their escapes: Parquet's text is UTF-8.
            self._held.append({name: _utf8(value) for name, value in row.items()})
        if len(self._held) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held and let the file appear."""
        self._flush()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._open.__exit__(kind, error, trace)

    def _flush(self) -> None:
        if self._held:
            self._file.write_table(self._arrow.Table.from_pylist(self._held, schema=self._schema))
        self.rows += len(self._held)
        self._held = []

    def _type(self, name: str) -> Any:
        if name in _TEXT:
            return self._arrow.string()
        if name in _WHOLE:
            return self._arrow.int32()
        return self._arrow.bool_() if name in _TRUE_OR_FALSE else self._arrow.float64()


class ParquetWriter(ParquetRows):
    """Writes the rows that `mien.output.CsvWriter` writes, with types; a context manager.

    The file appears whole when the writer is closed, with what came until then; after an error there is none, and an
    older one stays.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.parquet``.
    faces, speech : LabelSet, optional
        The emotions of faces and of speech, a column each.

    Raises
    ------
    InputError
        If the name ends otherwise.
    MediaNotFoundError, MediaError
        If the folder does not exist, or nothing can be written there.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], faces: LabelSet | None = None, *, speech: LabelSet | None = None
    ) -> None:
        super().__init__(path, columns_of(faces, speech))
        self._faces, self._speech = faces, speech

    def write(self, item: Item) -> None:
        """Write the rows of one item.

        Raises
        ------
        InputError
            If an emotion is of another label set than the table's.
        """
        check_labels(item, self._faces, self._speech)
        self.hold(item.rows())


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
