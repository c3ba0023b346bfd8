"""Rows of results as data frames and in notebooks."""

from __future__ import annotations

import base64
import html
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from mien._extras import import_extra
from mien.errors import InputError

__all__ = ["cell", "frame", "html_table", "inline"]


def frame(rows: Sequence[Mapping[str, Any]], library: str | None = None) -> Any:
    """Return rows as a data frame.

    Parameters
    ----------
    rows : sequence of mapping
        Flat rows.
    library : {"pandas", "polars"}, optional
        Which library; by default pandas where it is installed, else polars.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    InputError
        If the library has another name.
    """
    if library not in (None, "pandas", "polars"):
        raise InputError(f"library must be 'pandas' or 'polars', but got {library!r}")
    if library is None:
        library = "polars" if _only_polars() else "pandas"
    return import_extra(library, extra=library, purpose="to_frame").DataFrame(rows)


def html_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return some columns of rows as an HTML table."""
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell(row.get(name)))}</td>" for name in columns) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _only_polars() -> bool:
    def installed(name: str) -> bool:
        return importlib.util.find_spec(name) is not None

    return installed("polars") and not installed("pandas")


def cell(value: object) -> str:
    """Return a value as a notebook shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else "" if value is None else str(value)


def inline(png: bytes | None, told: str) -> str:
    """Return an image as an HTML element that holds it, or nothing for None."""
    if png is None:
        return ""
    return f'<img alt="{html.escape(told)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"><br>'
