"""What the tables for people share: bars, shares, names that cannot steer a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.output.palette import COLOURS

if TYPE_CHECKING:
    from rich.text import Text

    from mien.results import Emotion

__all__ = ["BAR_CELLS", "emotion_cells", "printable"]

BAR_CELLS = 10
"""Letters of a full bar."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


def emotion_cells(emotion: Emotion, *, ascii_only: bool) -> tuple[Text, Text, str, Text]:
    """Return name, bar, percent of the most probable emotion, and the next with its percent."""
    from rich.style import Style
    from rich.text import Text

    top, second = emotion.ranked()[:2] if len(emotion) > 1 else (*emotion.ranked(), ("", 0.0))
    red, green, blue = COLOURS[top[0]]
    bar = Text(_bar(top[1], ascii_only), style=Style(color=f"rgb({red},{green},{blue})"))
    then = Text(f"{second[0]} {100 * second[1]:.0f}%" if second[0] else "", style="dim")
    return Text(top[0], style="bold"), bar, f"{100 * top[1]:.0f}%", then


def _bar(share: float, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(share * BAR_CELLS)
    whole, eighth = divmod(round(share * BAR_CELLS * 8), 8)
    return "█" * whole + (_EIGHTHS[eighth] if eighth else "")


def printable(value: str | None, ascii_only: bool) -> str:
    """Return a name in one line that cannot steer the terminal."""
    if value is None:
        return "-"
    text = value if value.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text
