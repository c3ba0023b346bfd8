"""Reading a dataset of a batch: how far it is, its tables as ``mien analyze`` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mien._extras import import_extra
from mien.batch.parts import NESTED
from mien.batch.plan import Plan
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.output.tables import CsvRows, ParquetRows
from mien.output.write import replace_atomically
from mien.results import TABLES, Column

__all__ = ["Status", "export_table", "iter_rows", "read_status"]

_TYPES = {"string": str, "double": float, "bool": bool, "int32": int}


@dataclass(frozen=True, slots=True)
class Status:
    """How far a batch is.

    Parameters
    ----------
    parts, items : int
        Numbers of the plan.
    done_parts, done_items : int
        What is there.
    errors : dict of str to int
        Items by the class of their error, the most frequent first.
    kinds : dict of str to int
        Items that were read by kind.
    """

    parts: int
    items: int
    done_parts: int
    done_items: int
    errors: dict[str, int]
    kinds: dict[str, int]


def read_status(plan: Plan) -> Status:
    """Count what is there.

    Raises
    ------
    DatasetError
        If a file is damaged.
    """
    errors: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    parts = items = 0
    for table in _tables(plan, ["kind", "error"]):
        parts, items = parts + 1, items + table.num_rows
        errors.update(value for value in table["error"].to_pylist() if value is not None)
        kinds.update(value for value in table["kind"].to_pylist() if value is not None)
    return Status(plan.parts, plan.items, parts, items, dict(errors.most_common()), dict(kinds.most_common()))


def iter_rows(plan: Plan, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one table of all items, as ``mien analyze`` has them.

    Parameters
    ----------
    plan : Plan
        The dataset; what is missing is left out.
    table : str
        ``"items"``, without the nested tables, or one of `mien.batch.NESTED`.

    Yields
    ------
    dict
        A key for each of the table's columns.  An item without any row in the table, and one with an error, is a row,
        too, in the tables of its kind.

    Raises
    ------
    DatasetError
        If a file is damaged.
    InputError
        If there is no such table.
    """
    _check_table(table)
    plain = [name for name in _schema(plan).names if name not in NESTED]
    wanted = plain if table == "items" else ["path", "member", "warnings", "error", "message", table]
    for part in _tables(plan, wanted):
        for row in part.to_pylist():
            warnings = "; ".join(row["warnings"] or ()) or None
            if table == "items":
                yield row | {"warnings": warnings}
                continue
            nested: list[dict[str, Any]] | None = row[table]
            if nested is None and row["error"] is None:
                continue  # an item of another kind
            path = row["path"] if row["member"] is None else f"{row['path']}#{row['member']}"
            for inner in nested or [{}]:
                yield {
                    "path": path,
                    **inner,
                    "warnings": warnings,
                    "error": row["error"],
                    "message": row["message"],
                }


def export_table(plan: Plan, table: str, target: Path | IO[str]) -> int:
    """Write one table of all items as CSV or Parquet.

    Parameters
    ----------
    plan : Plan
        The dataset.
    table : str
        See `iter_rows`.
    target : Path or text file object
        A name that ends in ``.csv`` or ``.parquet``; text file objects get CSV.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        If there is no such table, or the name ends otherwise.
    DatasetError
        If nothing is there yet, or a file is damaged.
    """
    own, count = _columns(plan, table), 0
    with ExitStack() as stack:
        if not isinstance(target, Path):
            rows: CsvRows | ParquetRows = CsvRows(target, own)
        elif target.suffix.lower() == ".csv":
            path = stack.enter_context(replace_atomically(target))
            rows = CsvRows(stack.enter_context(path.open("x", encoding="utf-8", newline="")), own)
        elif target.suffix.lower() == ".parquet":
            rows = ParquetRows(target, own)
            stack.push(_close_or_discard(rows))
        else:
            raise InputError(f"expected a name that ends in .csv or .parquet, but got {format_path(target)}")
        for row in iter_rows(plan, table):
            rows.write(row)
            count += 1
    return count


def _close_or_discard(rows: ParquetRows) -> Callable[[Any, BaseException | None, Any], None]:
    """Return what ends a file: whole, or not at all after an error."""

    def end(_kind: Any, error: BaseException | None, _trace: Any) -> None:
        if error is None:
            rows.close()
        else:
            rows.discard(error)

    return end


def _check_table(table: str) -> None:
    if table != "items" and table not in NESTED:
        raise InputError(f"table must be items or one of {', '.join(NESTED)}, but got {table!r}")


def _columns(plan: Plan, table: str) -> tuple[Column, ...]:
    """Return the columns of a table, from the schema of the dataset."""
    _check_table(table)
    schema = _schema(plan)
    text = (Column("warnings", str), Column("error", str), Column("message", str))
    if table != "items":
        known = {column.name: column for column in TABLES[table]}
        own = (known.get(field.name) or _column(field) for field in schema.field(table).type.value_type)
        return (Column("path", str), *own, *text)
    return tuple(_column(field) for field in schema if field.name not in NESTED)


def _column(field: Any) -> Column:
    return Column(field.name, _TYPES.get(str(field.type), int if str(field.type) == "int64" else str))


def _schema(plan: Plan) -> Any:
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose="reading a batch")
    for part in range(plan.parts):
        path = plan.part_path(part)
        if path.exists():
            return parquet.read_schema(path)
    raise DatasetError(f"{format_path(plan.folder)} has no results yet")


def _tables(plan: Plan, names: list[str]) -> Iterator[Any]:
    arrow = import_extra("pyarrow", extra="parquet", purpose="reading a batch")
    from pyarrow import parquet

    for part in range(plan.parts):
        path = plan.part_path(part)
        try:
            yield parquet.read_table(path, columns=names)
        except FileNotFoundError:
            continue
        except arrow.ArrowInvalid as error:
            raise DatasetError(
                f"cannot read {format_path(path)}: {error}; remove it and run the batch again"
            ) from error
