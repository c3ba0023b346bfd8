"""Rows become CSV: the part that all tables share."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import IO, Any

from mien.errors import InputError
from mien.labels import LabelSet

__all__ = ["CsvRows", "same_labels"]


class CsvRows:
    r"""Writes rows below a header, in an encoding's own letters; what it lacks is escaped: ``\udcff``.

    Parameters
    ----------
    stream : text file object
        Where to write.
    columns : tuple of str
        The header; what a row does not have stays empty.
    digits : mapping of str to int
        Digits after the point by column; six otherwise.
    """

    def __init__(self, stream: IO[str], columns: tuple[str, ...], digits: Mapping[str, int]) -> None:
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._digits = digits
        self._rows = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        # A lone carriage return is a line end for readers, but no reason to quote for every version of csv.
        self._quoted = csv.DictWriter(stream, columns, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._rows.writeheader()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        plain = {name: self._plain(name, value) for name, value in row.items()}
        risky = any("\r" in value for value in plain.values())
        (self._quoted if risky else self._rows).writerow(plain)

    def _plain(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return f"{value:.{self._digits.get(name, 6)}f}"
        return str(value).encode(self._encoding, "backslashreplace").decode(self._encoding)


def same_labels(what: str, labels: LabelSet | None, table: LabelSet | None) -> None:
    """Raise `InputError` where the emotions of a part of a result have no columns in a table; None has none."""
    if table is None:
        raise InputError(f"the table has no columns for {what}")
    if labels is not None and labels != table:
        raise InputError(f"the table has the labels {table.name}, but {what} has {labels.name}")
