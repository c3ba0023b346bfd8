"""Further data sets of a command, in one word each."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli.data._options import Choice, choose

__all__ = ["named"]


def named(text: str) -> Choice:
    """Return the data set that ``NAME=PATH`` means.

    Raises
    ------
    click.UsageError
        If it is another form, or there is no data set of that name.
    """
    name, sign, path = text.partition("=")
    if not sign or not name.strip() or not path:
        raise click.UsageError(f"expected NAME=PATH, such as fer2013=fer2013.csv, but got {text!r}")
    return choose(name.strip(), Path(path))
