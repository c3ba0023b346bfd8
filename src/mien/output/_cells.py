"""What the tables for people share: bars, shares, names that cannot steer a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mien.output.palette import COLORS

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from mien.results import Emotion

__all__ = ["BAR_CELLS", "EMOTION_COLUMNS", "bar", "emotion_cells", "printable", "table_of"]

BAR_CELLS = 10
"""Letters of a full bar."""

EMOTION_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("emotion", {"no_wrap": True}),
    ("", {"no_wrap": True, "min_width": BAR_CELLS}),
    ("", {"justify": "right", "no_wrap": True}),
    ("then", {"no_wrap": True}),
    ("note", {"overflow": "fold"}),
)
"""Those of `emotion_cells`, and what is odd about it: names, and options for `rich`."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


def table_of(
    columns: Iterable[tuple[str, dict[str, Any]]],
    rows: Iterable[tuple[str | Text, ...]],
    *,
    ascii_only: bool,
    title: str | None,
) -> Table:
    """Return a table in the one style that all of them have."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for name, options in columns:
        table.add_column(name, **options)
    for cells in rows:
        table.add_row(*cells)
    return table


def emotion_cells(emotion: Emotion, *, ascii_only: bool) -> tuple[Text, Text, str, Text]:
    """Return name, bar, percent of the most probable emotion, and the next with its percent."""
    from rich.style import Style
    from rich.text import Text

    top, second = emotion.ranked()[:2] if len(emotion) > 1 else (*emotion.ranked(), ("", 0.0))
    red, green, blue = COLORS[top[0]]
    full = Text(bar(top[1], ascii_only), style=Style(color=f"rgb({red},{green},{blue})"))
    then = Text(f"{second[0]} {100 * second[1]:.0f}%" if second[0] else "", style="dim")
    return Text(top[0], style="bold"), full, f"{100 * top[1]:.0f}%", then


def bar(share: float, ascii_only: bool, *, cells: int = BAR_CELLS) -> str:
    """Return a bar of at most so many letters."""
    if ascii_only:
        return "#" * round(share * cells)
    whole, eighth = divmod(round(share * cells * 8), 8)
    return "█" * whole + (_EIGHTHS[eighth] if eighth else "")


def printable(value: str | None, ascii_only: bool) -> str:
    """Return a name in one line that cannot steer the terminal."""
    if value is None:
        return "-"
    text = value if value.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text
