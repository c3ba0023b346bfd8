"""Strict reading of TOML tables, and the writing of them: the standard library reads TOML but does not write it."""

from __future__ import annotations

import copy
import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mien.errors import ModelError

__all__ = ["Table", "dump_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


class Table:
    """A table of a record: every key is asked for once, and `done` refuses the keys that nobody asked for.

    Parameters
    ----------
    values : mapping
        The table.
    path : pathlib.Path
        The file, for messages.
    where : str
        The table's place in the file, for messages: empty at the top.
    """

    def __init__(self, values: Mapping[str, Any], path: Path, where: str = "") -> None:
        self._values = dict(values)
        self._asked: set[str] = set()
        self._path = path
        self._where = where

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def wrong(self, key: str, problem: str) -> ModelError:
        """Return (not raise) the error that names file, table and key."""
        place = f"{self._where}: " if self._where else ""
        return ModelError(f"{self._path}: {place}key {key!r} {problem}")

    def _get(self, key: str, kinds: type | tuple[type, ...], expected: str) -> Any:
        self._asked.add(key)
        if key not in self._values:
            raise self.wrong(key, "is missing")
        value = self._values[key]
        # bool is an int in Python, but not in TOML.
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise self.wrong(key, f"must be {expected}, but got {value!r}")
        return value

    def text(
        self, key: str, *, default: str | None = None, among: Iterable[str] | None = None, pattern: str | None = None
    ) -> str:
        """Return a string; without a default it must be there and not be blank."""
        if default is not None and key not in self._values:
            return default
        value = str(self._get(key, str, "a string"))
        if default is None and not value.strip():
            raise self.wrong(key, "must not be empty")
        if among is not None and value not in (allowed := tuple(among)):
            raise self.wrong(key, f"must be {' or '.join(map(repr, allowed))}, but got {value!r}")
        if pattern is not None and re.fullmatch(pattern, value) is None:
            raise self.wrong(key, f"must match {pattern}, but got {value!r}")
        return value

    def number(self, key: str) -> float:
        """Return a finite number."""
        value = float(self._get(key, (int, float), "a number"))
        if not math.isfinite(value):
            raise self.wrong(key, f"must be a finite number, but got {value!r}")
        return value

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """Return so many finite numbers."""
        values = self._get(key, (list, tuple), f"an array of {count} numbers")
        if len(values) != count or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            raise self.wrong(key, f"must be an array of {count} numbers, but got {values!r}")
        return tuple(float(value) for value in values)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of strings."""
        values = self._get(key, (list, tuple), "an array of strings")
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(key, f"must be an array of strings, but got {values!r}")
        return tuple(values)

    def whole(self, key: str, *, low: int) -> int:
        """Return an integer of at least ``low``."""
        value = int(self._get(key, int, "an integer"))
        if value < low:
            raise self.wrong(key, f"must be at least {low}, but got {value}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        return bool(self._get(key, bool, "true or false")) if key in self._values else default

    def date(self, key: str) -> dt.date:
        """Return a date, written as a TOML date or as text of the form 2026-01-31."""
        value = self._get(key, (dt.date, str), "a date such as 2026-01-31")
        if isinstance(value, str):
            try:
                return dt.date.fromisoformat(value)
            except ValueError:
                raise self.wrong(key, f"must be a date such as 2026-01-31, but got {value!r}") from None
        if isinstance(value, dt.datetime):
            raise self.wrong(key, f"must be a date without a time, but got {value.isoformat()}")
        return dt.date(value.year, value.month, value.day)

    def table(self, key: str) -> Table:
        """Return a table within this one."""
        return Table(self._get(key, Mapping, "a table"), self._path, f"[{key}]")

    def tables(self, key: str, *, required: bool = True) -> list[Table]:
        """Return an array of tables, of at least one where it is required."""
        if not required and key not in self._values:
            return []
        values = self._get(key, (list, tuple), "an array of tables")
        if not all(isinstance(v, Mapping) for v in values) or (required and not values):
            raise self.wrong(key, f"must be an array of tables, [[{key}]], but got {values!r}")
        return [Table(v, self._path, f"[[{key}]] number {i}") for i, v in enumerate(values, 1)]

    def free(self, key: str, *, required: bool) -> dict[str, Any]:
        """Return a copy of a table whose content is not checked here."""
        if not required and key not in self._values:
            return {}
        return copy.deepcopy(dict(self._get(key, Mapping, "a table")))

    def done(self) -> None:
        """Raise `ModelError` when the table has a key that nobody asked for."""
        unknown = sorted(set(self._values) - self._asked)
        if unknown:
            raise self.wrong(unknown[0], f"is not known: expected {', '.join(sorted(self._asked))}")


def dump_toml(data: Mapping[str, Any]) -> str:
    """Write plain data as TOML 1.0.

    Parameters
    ----------
    data : mapping
        Strings, bools, integers, floats, dates, times, mappings with string keys, and lists and tuples of these.
        Lists that hold nothing but mappings become arrays of tables.

    Returns
    -------
    str
        Text that `tomllib.loads` reads back as the same data (tuples as lists).

    Raises
    ------
    ModelError
        If a value has no place in TOML, such as ``None``.

    References
    ----------
    TOML 1.0.0, https://toml.io/en/v1.0.0
    """
    return "\n".join(_table_lines(data, ())).strip("\n") + "\n"


def _table_lines(table: Mapping[str, Any], place: tuple[str, ...]) -> list[str]:
    """Return the lines of a table: plain values first, because what follows a header belongs to that header."""
    lines: list[str] = []
    nested: list[str] = []
    for key, value in table.items():
        if not isinstance(key, str):
            raise ModelError(f"TOML keys must be strings, but got {key!r}")
        here = (*place, key)
        header = ".".join(_key(k) for k in here)
        if isinstance(value, Mapping):
            nested += ["", f"[{header}]", *_table_lines(value, here)]
        elif _is_array_of_tables(value):
            for item in value:
                nested += ["", f"[[{header}]]", *_table_lines(item, here)]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return lines + nested


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(v, Mapping) for v in value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    def escape(character: str) -> str:
        if character in _ESCAPES:
            return _ESCAPES[character]
        return f"\\u{ord(character):04x}" if ord(character) < 0x20 or character == "\x7f" else character

    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise ModelError(f"TOML holds only Unicode text, but got a lone surrogate in {text!r}")
    return '"' + "".join(map(escape, text)) + '"'


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int():
            return str(int(value))
        case float():
            return _float(float(value))
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case Mapping():
            return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    raise ModelError(f"TOML has no place for {value!r}")


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    # repr gives the shortest text that reads back as the same double; TOML wants a point or an exponent in it.
    return repr(value)
