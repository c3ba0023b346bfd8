"""What was heard in recordings becomes a table for people, a line that sums it up, and rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mien.output._cells import EMOTION_COLUMNS, emotion_cells, printable, table_of
from mien.output._times import clock, length
from mien.results import FailedItem, SpeechResult

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["speech_summary", "speech_table"]

_LEAST_SHARE = 0.005
"""Emotions of less than half a percent of the speech are left out of the summary in words."""

_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("file", {"overflow": "fold"}),
    ("start", {"justify": "right", "no_wrap": True}),
    ("end", {"justify": "right", "no_wrap": True}),
    *EMOTION_COLUMNS,
)


def speech_table(
    results: SpeechResult | FailedItem | Iterable[SpeechResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table for people: a row a segment, with a bar in the color of its emotion.

    Times are seconds, from three minutes on minutes and seconds.  A recording's name stands in its first row only.
    Where nobody speaks, the row is dim and has no emotion.

    Parameters
    ----------
    results : SpeechResult, FailedItem, or iterable of them
        What to show.
    ascii_only : bool
        For terminals whose encoding has no block characters.
    title : str, optional
        Stands above the table.

    Returns
    -------
    rich.table.Table
        To print with `rich.console.Console`.
    """
    items = [results] if isinstance(results, SpeechResult | FailedItem) else results
    rows = (cells for item in items for cells in _cells(item, ascii_only))
    return table_of(_COLUMNS, rows, ascii_only=ascii_only, title=title)


def _cells(item: SpeechResult | FailedItem, ascii_only: bool) -> Iterator[tuple[str | Text, ...]]:
    from rich.text import Text

    name = Text(printable(item.path, ascii_only))
    if isinstance(item, FailedItem):
        yield name, "", "", Text("error", style="bold red"), "", "", "", Text(printable(item.message, ascii_only))
        return
    if not item.segments:
        yield name, "", "", Text("no sound", style="dim"), "", "", "", Text("; ".join(item.warnings))
    for number, segment in enumerate(item.segments):
        notes = [*(item.warnings if number == 0 else ()), *segment.warnings]
        times = [clock(second, item.duration_s) for second in (segment.start_s, segment.end_s)]
        first = name if number == 0 else Text("")
        if segment.emotion is None:
            quiet = Text("speech" if segment.speech else "no speech", style="dim")
            dim = (Text(time, style="dim") for time in times)
            yield first, *dim, quiet, "", "", "", Text("; ".join(notes), style="dim")
            continue
        notes = (["unsure"] if segment.emotion.unsure else []) + notes
        yield first, *times, *emotion_cells(segment.emotion, ascii_only=ascii_only), Text("; ".join(notes))


def speech_summary(result: SpeechResult, *, ascii_only: bool = False) -> str:
    """Return one line: how much speech there is, and which shares of it have which emotion on top.

    For example ``call.wav: 41.3 s of speech in 60.0 s: neutral 61%, anger 27%, sadness 12%``.
    """
    summary = result.summary
    name = "" if result.path is None else f"{printable(result.path, ascii_only)}: "
    whole = length(summary.duration_s)
    if summary.speech_s <= 0:
        return f"{name}no speech in {whole}"
    ranked = sorted(summary.seconds.items(), key=lambda item: -item[1])
    shares = [(emotion, seconds / summary.speech_s) for emotion, seconds in ranked]
    told = ", ".join(f"{emotion} {100 * share:.0f}%" for emotion, share in shares if share >= _LEAST_SHARE)
    return f"{name}{length(summary.speech_s)} of speech in {whole}: {told}"
