"""What was seen in films becomes a table for people and a line that sums it up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mien.output._cells import bar, printable, table_of
from mien.output._times import length, minutes
from mien.output.palette import COLOURS
from mien.results import FailedItem, PersonSummary, VideoResult

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["LEAST_SHARE", "MOST_PEOPLE", "people_left", "shares_of", "shares_of_film", "video_summary", "video_table"]

LEAST_SHARE = 0.05
"""Emotions with less of a person's time are left out where people read."""

MOST_PEOPLE = 20
"""People with rows of their own; of a crowd, those who are seen longest."""

_MOST_LINES = 4
_BAR_CELLS = 8
_NEXT = "\n"
_DASH = "\N{EN DASH}"

_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("who", {"justify": "right", "no_wrap": True}),
    ("seen", {"no_wrap": True}),
    ("shows", {"overflow": "fold", "min_width": 10 + _BAR_CELLS + 5}),
    ("strongest", {"no_wrap": True}),
)
"""As narrow as can be: the table of one film fits 80 letters."""

_FILE: tuple[str, dict[str, Any]] = ("file", {"overflow": "fold"})


def video_table(
    results: VideoResult | FailedItem | Iterable[VideoResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table for people: who was seen from when to when, what they showed how long, and when most.

    People who were in view longest come first.  Each has a line for each emotion that led for a twentieth of the time
    in view or more, with a bar in its colour, and beside them the strongest moments.  What was odd stands below.  A
    film's name stands in its first row, where there is more than one film or one failed.

    Parameters
    ----------
    results : VideoResult, FailedItem, or iterable of them
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
    items = [results] if isinstance(results, VideoResult | FailedItem) else list(results)
    named = len(items) != 1 or isinstance(items[0], FailedItem)
    rows = (cells if named else cells[1:] for item in items for cells in _cells(item, ascii_only))
    return table_of((_FILE, *_COLUMNS) if named else _COLUMNS, rows, ascii_only=ascii_only, title=title)


def _cells(item: VideoResult | FailedItem, ascii_only: bool) -> Iterator[tuple[str | Text, ...]]:
    from rich.text import Text

    name = Text(printable(item.path, ascii_only))
    if isinstance(item, FailedItem):
        yield name, "", Text("error", style="bold red"), Text(printable(item.message, ascii_only)), ""
        return
    people = item.summary.people
    if not people:
        yield name, "", "", Text("no face", style="dim"), ""
    warnings = {track.number: track.warnings for track in item.tracks}
    for place, person in enumerate(people[:MOST_PEOPLE]):
        yield (name if place == 0 else Text(""), *_person(person, item.end_s, ascii_only))
        if notes := "; ".join(warnings[person.track]):
            yield "", "", "", Text(notes, style="dim"), ""
    for note in (people_left(people, MOST_PEOPLE), "; ".join(item.warnings)):
        if note:
            yield "", "", "", Text(note, style="dim"), ""


def people_left(people: tuple[PersonSummary, ...], shown: int) -> str:
    """Say how many people are not shown, and how long they were in view; nothing where all are."""
    rest = people[shown:]
    if not rest:
        return ""
    are = "1 more person" if len(rest) == 1 else f"{len(rest)} more people"
    return f"{are}, in view for {length(sum(person.seen_s for person in rest))} in all"


def _person(person: PersonSummary, end_s: float, ascii_only: bool) -> tuple[str | Text, ...]:
    from rich.style import Style
    from rich.text import Text

    shown, moments = Text(), Text()
    told = [(name, share) for name, share in shares_of(person).items() if share >= LEAST_SHARE][:_MOST_LINES]
    for place, (name, share) in enumerate(told):
        red, green, blue = COLOURS[name]
        shown.append(f"{'' if place == 0 else _NEXT}{name:<9} ", style="bold" if place == 0 else "")
        shown.append(
            f"{bar(share, ascii_only, cells=_BAR_CELLS):<{_BAR_CELLS}}", style=Style(color=f"rgb({red},{green},{blue})")
        )
        shown.append(f" {100 * share:3.0f}%")
    for place, moment in enumerate(person.moments[:_MOST_LINES]):
        moments.append(f"{'' if place == 0 else _NEXT}{minutes(moment.time_s, end_s)} {moment.emotion}")
        moments.append(f" {100 * moment.probability:.0f}%", style="dim")
    first, last, seen = (minutes(second, end_s) for second in (person.start_s, person.end_s, person.seen_s))
    times = Text(f"{first}{'-' if ascii_only else _DASH}{last}{_NEXT}")
    return str(person.track), times.append(f"{seen} in view", style="dim"), shown, moments


def shares_of(person: PersonSummary) -> dict[str, float]:
    """Return the share of the time in view that each emotion leads, largest first."""
    return _shares(person.seconds) or dict(person.emotion.ranked())


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(seconds.values())
    return {name: length_s / whole for name, length_s in seconds.items()} if whole > 0 else {}


def shares_of_film(film: VideoResult) -> list[tuple[str, float]]:
    """Return the share of each emotion in a film's one answer, largest first; nothing where no face was seen.

    By the timeline these are shares of the time that all people are in view, by the emotion that leads.
    """
    summary = film.summary
    if summary.emotion is None:
        return []
    seconds: dict[str, float] = {}
    for person in summary.people:
        for emotion, length_s in person.seconds.items():
            seconds[emotion] = seconds.get(emotion, 0.0) + length_s
    shares = _shares(seconds) if film.method == "timeline" else {}
    return sorted((shares or dict(summary.emotion.items())).items(), key=lambda item: -item[1])


def video_summary(film: VideoResult, *, ascii_only: bool = False) -> str:
    """Return one line: how long the film is, how many people are in view for how long, and what they show.

    For example ``team.mp4: 12 min 4 s, 3 people, faces in view for 11 min 2 s: happiness 62%, neutral 30%``.  The
    shares are of the time that all people are in view.  Where the film's one answer is given by another method than
    its timeline, the line says so: ``by majority-vote happiness 80%``.
    """
    summary = film.summary
    name = "" if film.path is None else f"{printable(film.path, ascii_only)}: "
    part = film.end_s - film.start_s
    whole = length(film.duration_s)
    if part < film.duration_s - 0.5:
        whole = f"{length(part)} of {whole} (from {minutes(film.start_s, film.end_s)})"
    if not summary.people or summary.emotion is None:
        return f"{name}{whole}, no face"
    people = "1 person" if len(summary.people) == 1 else f"{len(summary.people)} people"
    told = ", ".join(f"{emotion} {100 * share:.0f}%" for emotion, share in shares_of_film(film) if share >= LEAST_SHARE)
    way = "" if film.method == "timeline" else f"by {film.method} "
    return f"{name}{whole}, {people}, faces in view for {length(summary.seen_s)}: {way}{told}"
