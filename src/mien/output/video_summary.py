"""What was seen and heard in videos becomes a table for people and a line that sums it up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.output._cells import bar, printable, table_of
from mien.output._times import length, minutes
from mien.output.palette import COLORS
from mien.results import Emotion, FailedItem, PersonSummary, VideoResult

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "LEAST_SHARE",
    "MOST_PEOPLE",
    "Side",
    "people_left",
    "shares_of",
    "shares_of_video",
    "sides_of",
    "video_summary",
    "video_table",
]

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
"""As narrow as can be: the table of one video fits 80 letters."""

_FILE: tuple[str, dict[str, Any]] = ("file", {"overflow": "fold"})


@dataclass(frozen=True)
class Side:
    """What the voice of a video says, or face and voice together.

    Parameters
    ----------
    name : str
        ``"voice"`` or ``"both"``.
    seconds : float or None
        Of speech; or with a face and a voice at the same time, where the video was followed over time.
    start_s, end_s : float
        From the first to the last answer.
    shares : list of (str, float)
        The share of each emotion, largest first; empty where nobody speaks.
    moments : list of (float, str, float)
        Time, emotion and probability of the clearest segment of each emotion, clearest first.
    """

    name: str
    seconds: float | None
    start_s: float = 0.0
    end_s: float = 0.0
    shares: Sequence[tuple[str, float]] = ()
    moments: Sequence[tuple[float, str, float]] = ()


def sides_of(video: VideoResult) -> tuple[Side, ...]:
    """Return what a video says beside its faces: nothing without sound, and both where there is both.

    By the timeline the shares are of the time of speech, and of the time with an answer, by the emotion that leads; by
    other methods those of the one answer.
    """
    if video.speech is None:
        return ()
    voice = [
        (segment.start_s, segment.end_s, segment.emotion)
        for segment in video.speech.segments
        if segment.emotion is not None
    ]
    sides = [_side("voice", video.speech.speech_s, voice, video.method, video.summary.voice)]
    if video.fused is not None and video.fused.both_s > 0:
        both = [
            (segment.start_s, segment.end_s, segment.fused)
            for segment in video.fused.segments
            if segment.fused is not None
        ]
        together_s = video.fused.both_s if video.method == "timeline" else None
        sides.append(_side("both", together_s, both, video.method, video.fused.emotion))
    return tuple(sides)


def _side(
    name: str,
    length_s: float | None,
    told: Sequence[tuple[float, float, Emotion]],
    method: str,
    mean: Emotion | None,
) -> Side:
    if not told or mean is None:
        return Side(name, length_s)
    seconds: dict[str, float] = {}
    for start, end, emotion in told:
        seconds[emotion.top] = seconds.get(emotion.top, 0.0) + end - start
    shares = _shares(seconds) if method == "timeline" else dict(mean.items())
    clearest: dict[str, tuple[float, str, float]] = {}
    for start, _, emotion in sorted(told, key=lambda one: -one[2].confidence) if method == "timeline" else ():
        clearest.setdefault(emotion.top, (start, emotion.top, emotion.confidence))
    moments = list(clearest.values())
    return Side(name, length_s, told[0][0], told[-1][1], sorted(shares.items(), key=lambda item: -item[1]), moments)


def video_table(
    results: VideoResult | FailedItem | Iterable[VideoResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table for people: who was seen from when to when, what they showed how long, and when most.

    People who were in view longest come first.  Each has a line for each emotion that led for a twentieth of the time
    in view or more, with a bar in its color, and beside them the strongest moments.  Below them stand the voice and
    both together, where the video has sound, and what was odd.  A video's name stands in its first row, where there is
    more than one video or one failed.

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
    if left := people_left(people, MOST_PEOPLE):
        yield "", "", "", Text(left, style="dim"), ""
    for side in sides_of(item):
        yield ("", *_of_side(side, item.end_s, ascii_only))
    if item.warnings:
        yield "", "", "", Text("; ".join(item.warnings), style="dim"), ""


def people_left(people: tuple[PersonSummary, ...], shown: int) -> str:
    """Say how many people are not shown, and how long they were in view; nothing where all are."""
    rest = people[shown:]
    if not rest:
        return ""
    are = "1 more person" if len(rest) == 1 else f"{len(rest)} more people"
    return f"{are}, in view for {length(sum(person.seen_s for person in rest))} in all"


def _person(person: PersonSummary, end_s: float, ascii_only: bool) -> tuple[str | Text, ...]:
    shown = _shown(list(shares_of(person).items()), ascii_only)
    moments = _moments([(m.time_s, m.emotion, m.probability) for m in person.moments], end_s)
    times = _times(person.start_s, person.end_s, f"{minutes(person.seen_s, end_s)} in view", end_s, ascii_only)
    return str(person.track), times, shown, moments


def _of_side(side: Side, end_s: float, ascii_only: bool) -> tuple[str | Text, ...]:
    from rich.text import Text

    if not side.shares:
        return side.name, "", Text("no speech", style="dim"), ""
    end_s = max(end_s, side.end_s)
    times: str | Text = ""
    if side.seconds is not None:
        note = f"{minutes(side.seconds, end_s)} {'speech' if side.name == 'voice' else 'together'}"
        times = _times(side.start_s, side.end_s, note, end_s, ascii_only)
    return side.name, times, _shown(side.shares, ascii_only), _moments(side.moments, end_s)


def _times(start_s: float, end_s: float, note: str, whole_s: float, ascii_only: bool) -> Text:
    from rich.text import Text

    text = Text(f"{minutes(start_s, whole_s)}{'-' if ascii_only else _DASH}{minutes(end_s, whole_s)}{_NEXT}")
    return text.append(note, style="dim")


def _shown(shares: Iterable[tuple[str, float]], ascii_only: bool) -> Text:
    from rich.style import Style
    from rich.text import Text

    shown = Text()
    told = [(name, share) for name, share in shares if share >= LEAST_SHARE][:_MOST_LINES]
    for place, (name, share) in enumerate(told):
        red, green, blue = COLORS[name]
        shown.append(f"{'' if place == 0 else _NEXT}{name:<9} ", style="bold" if place == 0 else "")
        shown.append(
            f"{bar(share, ascii_only, cells=_BAR_CELLS):<{_BAR_CELLS}}", style=Style(color=f"rgb({red},{green},{blue})")
        )
        shown.append(f" {100 * share:3.0f}%")
    return shown


def _moments(moments: Iterable[tuple[float, str, float]], end_s: float) -> Text:
    from rich.text import Text

    told = Text()
    for place, (time_s, emotion, probability) in enumerate(list(moments)[:_MOST_LINES]):
        told.append(f"{'' if place == 0 else _NEXT}{minutes(time_s, end_s)} {emotion}")
        told.append(f" {100 * probability:.0f}%", style="dim")
    return told


def shares_of(person: PersonSummary) -> dict[str, float]:
    """Return the share of the time in view that each emotion leads, largest first."""
    return _shares(person.seconds) or dict(person.emotion.ranked())


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(seconds.values())
    return {name: length_s / whole for name, length_s in seconds.items()} if whole > 0 else {}


def shares_of_video(video: VideoResult) -> list[tuple[str, float]]:
    """Return the share of each emotion in a video's one answer, largest first; nothing where no face was seen.

    By the timeline these are shares of the time that all people are in view, by the emotion that leads.
    """
    summary = video.summary
    if summary.emotion is None:
        return []
    seconds: dict[str, float] = {}
    for person in summary.people:
        for emotion, length_s in person.seconds.items():
            seconds[emotion] = seconds.get(emotion, 0.0) + length_s
    shares = _shares(seconds) if video.method == "timeline" else {}
    return sorted((shares or dict(summary.emotion.items())).items(), key=lambda item: -item[1])


def video_summary(video: VideoResult, *, ascii_only: bool = False) -> str:
    """Return one line: how long the video is, how many people are in view for how long, and what they show.

    For example ``team.mp4: 12 min 4 s, 3 people, faces in view for 11 min 2 s: happiness 62%, neutral 30%``.  The
    shares are of the time that all people are in view.  Where the video has sound, the voice and both together follow:
    ``; voice for 4 min 8 s: anger 51%, neutral 40%; both: neutral 55%, anger 38%``.  Where the video's one answer is
    given by another method than its timeline, the line says so: ``by majority-vote happiness 80%``.
    """
    summary = video.summary
    name = "" if video.path is None else f"{printable(video.path, ascii_only)}: "
    part = video.end_s - video.start_s
    whole = length(video.duration_s)
    if part < video.duration_s - 0.5:
        whole = f"{length(part)} of {whole} (from {minutes(video.start_s, video.end_s)})"
    sound = "".join(f"; {_in_words(side)}" for side in sides_of(video))
    if not summary.people or summary.emotion is None:
        return f"{name}{whole}, no face{sound}"
    people = "1 person" if len(summary.people) == 1 else f"{len(summary.people)} people"
    way = "" if video.method == "timeline" else f"by {video.method} "
    told = f"{way}{_list(shares_of_video(video))}"
    return f"{name}{whole}, {people}, faces in view for {length(summary.seen_s)}: {told}{sound}"


def _in_words(side: Side) -> str:
    if not side.shares:
        return "no speech"
    spoken = f" for {length(side.seconds)}" if side.name == "voice" and side.seconds is not None else ""
    return f"{side.name}{spoken}: {_list(side.shares)}"


def _list(shares: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{emotion} {100 * share:.0f}%" for emotion, share in shares if share >= LEAST_SHARE)
