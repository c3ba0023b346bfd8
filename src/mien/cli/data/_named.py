"""Further data sets of a command, in one word each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mien.cli.data._options import Choice, choose

__all__ = ["named"]


def named(text: str, pairs: Sequence[str] = (), *, videos: bool = False) -> Choice:
    """Return the data set that ``NAME=PATH`` means, with those of the options ``NAME.KEY=VALUE`` that are its own.

    Corpora of clips are taken where ``videos`` is true.

    Raises
    ------
    click.UsageError
        If it is another form, or there is no data set of that name.
    """
    name, sign, path = text.partition("=")
    if not sign or not name.strip() or not path:
        raise click.UsageError(f"expected NAME=PATH, such as fer2013=fer2013.csv, but got {text!r}")
    own = [pair.removeprefix(f"{name.strip()}.") for pair in pairs if pair.startswith(f"{name.strip()}.")]
    return choose(name.strip(), Path(path), pairs=tuple(own), videos=videos)
