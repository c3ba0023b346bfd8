"""Spectrograms in one Parquet file."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.data.prepare._sound_work import ABOUT
from mien.errors import DatasetError
from mien.io.paths import format_path

__all__ = ["COLUMNS", "sources", "write"]

COLUMNS = ("source", *ABOUT, "method", "bands", "frames", "values")
"""``values`` is the array row by row, float32, ``bands * frames`` long."""

_AT_ONCE = 64
"""Rows in memory, and in a group of the file."""

_PURPOSE = "writing Parquet"


def sources(path: Path) -> set[str]:
    """Return the recordings that a table holds; none if there is no table.

    Raises
    ------
    DatasetError
        If it is damaged, or none of ours.
    """
    if not path.exists():
        return set()
    arrow, parquet = _arrow()
    try:
        return set(parquet.read_table(path, columns=["source"])["source"].to_pylist())
    except (arrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise DatasetError(f"cannot read {format_path(path)}: {error}") from error


def write(path: Path, rows: Iterable[tuple[dict[str, str], NDArray[np.float32]]]) -> None:
    """Write a table of what the old one holds and of new rows; without new rows, an old one stays as it is.

    Parameters
    ----------
    path : pathlib.Path
        The table.
    rows : iterable
        Columns but ``values`` as text, and the array.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    arrow, parquet = _arrow()
    rest = iter(rows)
    first = list(islice(rest, _AT_ONCE))
    if not first and path.exists():
        return
    whole = {"bands": arrow.int32(), "frames": arrow.int32(), "values": arrow.list_(arrow.float32())}
    schema = arrow.schema([(name, whole.get(name, arrow.string())) for name in COLUMNS])
    beside = path.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with parquet.ParquetWriter(beside, schema) as writer:
                if path.exists():
                    with parquet.ParquetFile(path) as old:
                        for batch in old.iter_batches(_AT_ONCE):
                            writer.write_table(arrow.Table.from_batches([batch]).cast(schema))
                for some in _groups(first, rest):
                    writer.write_table(arrow.table(_columns(some, arrow), schema=schema))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except (arrow.ArrowException, OSError) as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error}") from error


_Rows = list[tuple[dict[str, str], NDArray[np.float32]]]


def _groups(first: _Rows, rest: Iterator[tuple[dict[str, str], NDArray[np.float32]]]) -> Iterator[_Rows]:
    group = first
    while group:
        yield group
        group = list(islice(rest, _AT_ONCE))


def _columns(rows: _Rows, arrow: Any) -> dict[str, Any]:
    text = {name: [line[name] for line, _ in rows] for name in COLUMNS if name in rows[0][0]}
    shape = {name: [int(value) for value in text.pop(name)] for name in ("bands", "frames")}
    flat = [np.ascontiguousarray(values).ravel() for _, values in rows]
    ends = np.concatenate([[0], np.cumsum([len(values) for values in flat])]).astype(np.int32)
    return {**text, **shape, "values": arrow.ListArray.from_arrays(ends, arrow.array(np.concatenate(flat)))}


def _arrow() -> tuple[Any, Any]:
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose=_PURPOSE)
    return import_extra("pyarrow", extra="parquet", purpose=_PURPOSE), parquet
