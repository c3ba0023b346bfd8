"""The pieces of Markdown that reports are made of: names and numbers go in as they are, and come out as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["escaped", "section", "table"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def escaped(text: object) -> str:
    """Return text in one line that Markdown shows as it is."""
    words = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    return _SPECIAL.sub(r"\\\1", words)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Return a table; cells are escaped.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns.
    rows : sequence of sequences
        As many values a row.
    right : sequence of int
        Columns of numbers.
    """
    rule = ["--:" if column in right else "---" for column in range(len(head))]
    lines = [[escaped(title) for title in head], rule, *([escaped(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def section(title: str, *parts: str, level: int = 2) -> str:
    """Return a heading with what stands under it; parts that are empty are left out."""
    return "\n\n".join([f"{'#' * level} {escaped(title)}", *(part for part in parts if part)])
