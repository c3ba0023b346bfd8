"""Results as tables to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from mien._checks import describe
from mien.errors import InputError
from mien.labels import LabelSet
from mien.output.canvas import COLORS
from mien.output.registry import Context, Result, Writer, kind_of
from mien.output.summary import (
    MIN_SHARE,
    SoundSummary,
    describe_rest,
    format_minutes,
    format_time,
    list_shares,
    person_shares,
    printable,
    sound_summaries,
    speech_summary,
    video_summary,
)
from mien.results import FailedItem, ImageResult, PersonSummary, SpeechResult, VideoResult

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    Cell = str | Text

__all__ = ["ConsoleWriter", "face_table", "speech_table", "video_table"]

_BAR_CELLS, _VIDEO_BAR_CELLS = 10, 8
"""Letters of a full bar."""

_MAX_PEOPLE = 20
"""People of a video with rows of their own: of a crowd, those who are in view longest."""

_MAX_LINES = 4
"""Emotions and moments of a person."""

_NOTE_CELLS = 48
"""Letters of a line of notes: longer ones take several lines."""

_EIGHTHS = " ▏▎▍▌▋▊▉"
_NEXT = "\n"

_FILE: tuple[str, dict[str, Any]] = ("file", {"overflow": "fold"})
_RIGHT = {"justify": "right", "no_wrap": True}
_EMOTION: tuple[tuple[str, dict[str, Any]], ...] = (
    ("emotion", {"no_wrap": True}),
    ("", {"no_wrap": True, "min_width": _BAR_CELLS}),
    ("", _RIGHT),
    ("then", {"no_wrap": True}),
    ("note", {"overflow": "fold", "max_width": _NOTE_CELLS}),
)
_PERSON: tuple[tuple[str, dict[str, Any]], ...] = (
    ("who", _RIGHT),
    ("seen", {"no_wrap": True}),
    ("shows", {"overflow": "fold", "min_width": 10 + _VIDEO_BAR_CELLS + 5, "max_width": _NOTE_CELLS}),
    ("strongest", {"no_wrap": True}),
)
"""As narrow as can be: the table of one video fits 80 letters."""


class ConsoleWriter(Writer):
    """Prints tables: of images and of audio files at the end, of each video as soon as it comes, with summaries.

    Nothing is printed where all items failed.

    Parameters
    ----------
    stream : text file object
        Where to print: in the width of a terminal, elsewhere as wide as a table needs to be.
    context : Context
        Of `many` videos each has its name as a title.
    """

    def __init__(self, stream: IO[str], context: Context) -> None:
        self._stream, self._many = stream, context.many
        self._ascii_only = not (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")
        self._images: list[ImageResult | FailedItem] = []
        self._audio: list[SpeechResult | FailedItem] = []
        self._failed_videos: list[FailedItem] = []
        self._is_any_done = False

    def write(self, result: Result) -> None:
        """Print a video, or keep another result for the table at the end."""
        kind = kind_of(result)
        self._is_any_done |= not isinstance(result, FailedItem)
        if isinstance(result, VideoResult):
            self._print_video(result)
        elif isinstance(result, FailedItem) and kind == "video":
            self._failed_videos.append(result)
        elif isinstance(result, SpeechResult) or (isinstance(result, FailedItem) and kind == "audio"):
            self._audio.append(result)
        elif isinstance(result, ImageResult | FailedItem):
            self._images.append(result)
        else:
            raise InputError(f"expected the result of an image, audio file or video, but got {describe(result)}")

    def _print_video(self, video: VideoResult) -> None:
        title = printable(video.path or "standard input", self._ascii_only) if self._many else None
        self._print(video_table(video, ascii_only=self._ascii_only, title=title))
        self._stream.write(video_summary(video, ascii_only=self._ascii_only) + "\n" * (2 if self._many else 1))
        self._stream.flush()

    def close(self) -> None:
        """Print the tables of images and audio files."""
        if not self._is_any_done:
            return
        if self._images:
            self._print(face_table(self._images, ascii_only=self._ascii_only))
        if self._failed_videos:
            self._print(video_table(self._failed_videos, ascii_only=self._ascii_only))
        if self._audio:
            self._print(speech_table(self._audio, ascii_only=self._ascii_only))
        for result in self._audio:
            if isinstance(result, SpeechResult):
                self._stream.write(speech_summary(result, ascii_only=self._ascii_only) + "\n")

    def _print(self, table: Table) -> None:
        from rich.console import Console

        console = Console(file=self._stream)
        if not self._stream.isatty():
            wide = console.options.update(width=10_000)
            console.width = max(console.width, console.measure(table, options=wide).maximum)
        console.print(table)


def face_table(
    results: ImageResult | FailedItem | Iterable[ImageResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table with a row a face, with a bar in the color of its emotion.

    An image's name stands in the row of its first face only.

    Parameters
    ----------
    results : ImageResult, FailedItem, or iterable of them
        The rows.
    ascii_only : bool
        For terminals whose encoding has no block characters.
    title : str, optional
        Stands above the table.

    Returns
    -------
    rich.table.Table
        To print with `rich.console.Console`.
    """
    rows = _item_rows(results, blanks=1, ascii_only=ascii_only)
    return _table((_FILE, ("face", _RIGHT), *_EMOTION), rows, ascii_only=ascii_only, title=title)


def speech_table(
    results: SpeechResult | FailedItem | Iterable[SpeechResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table with a row a segment of speech, with a bar in the color of its emotion; see `face_table`.

    Times are seconds, from three minutes on minutes and seconds.  Where nobody speaks, the row is dim and has no
    emotion.  Channels that were read each have their number in a column.
    """
    items = [results] if isinstance(results, SpeechResult | FailedItem) else list(results)
    has_channels = any(isinstance(item, SpeechResult) and None not in item.voices for item in items)
    places = (*([("channel", _RIGHT)] if has_channels else []), ("start", _RIGHT), ("end", _RIGHT))
    rows = _item_rows(items, blanks=len(places), ascii_only=ascii_only)
    return _table((_FILE, *places, *_EMOTION), rows, ascii_only=ascii_only, title=title)


def video_table(
    results: VideoResult | FailedItem | Iterable[VideoResult | FailedItem],
    *,
    ascii_only: bool = False,
    title: str | None = None,
) -> Table:
    """Return a table of the people of videos: in view from when to when, with which emotions, strongest when.

    People who were in view longest come first.  Each has a line for each emotion that led for a twentieth of the time
    in view or more, with a bar in its color, and beside them the strongest moments.  Below them stand the voice and
    both together, where the video has sound, and warnings.  A video's name stands in its first row, where there is
    more than one video or one failed.  For the parameters see `face_table`.
    """
    items = [results] if isinstance(results, VideoResult | FailedItem) else list(results)
    is_named = len(items) != 1 or isinstance(items[0], FailedItem)
    rows = (cells if is_named else cells[1:] for item in items for cells in _video_rows(item, ascii_only))
    return _table((_FILE, *_PERSON) if is_named else _PERSON, rows, ascii_only=ascii_only, title=title)


def _table(
    columns: Iterable[tuple[str, dict[str, Any]]],
    rows: Iterable[tuple[Cell, ...]],
    *,
    ascii_only: bool,
    title: str | None,
) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for name, options in columns:
        table.add_column(name, **options)
    for cells in rows:
        table.add_row(*cells)
    return table


# --- images and audio files -----------------------------------------------------------------------------------------


def _item_rows(results: Any, *, blanks: int, ascii_only: bool) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of images or audio files, whose number or times fill so many cells behind the name.

    They are those of every other table; the warnings of an image, which each of its faces has there, stand once.
    """
    for item in [results] if isinstance(results, ImageResult | SpeechResult | FailedItem) else results:
        own = "; ".join(item.warnings) if isinstance(item, ImageResult) else ""
        for number, row in enumerate(item.rows()):
            name = _text(printable(item.path, ascii_only) if number == 0 else "")
            cells, notes = _place_cells(item, row, blanks), row.get("warnings") or ""
            notes = notes if number == 0 else notes.removeprefix(own).removeprefix("; ")
            if isinstance(item, FailedItem):
                error = _text("error", style="bold red")
                yield name, *cells, error, "", "", "", _text(printable(item.message, ascii_only))
            elif row["emotion"] is not None:
                notes = "; ".join(["unsure"] * row["unsure"] + [notes] * bool(notes))
                yield name, *cells, *_emotion_cells(row, item.labels, ascii_only), _text(notes)
            else:
                dim = (_text(cell, style="dim") for cell in cells)
                label = _text(_placeholder(item, row, number), style="dim")
                yield name, *dim, label, "", "", "", _text(notes, style="dim" if label.plain else "")


def _place_cells(item: ImageResult | SpeechResult | FailedItem, row: Mapping[str, Any], blanks: int) -> list[str]:
    """Return the number of the face, or the channel, where there is a column for it, and times of the segment."""
    if isinstance(item, SpeechResult) and row["start_s"] is not None:
        times = [format_time(row[name], item.duration_s) for name in ("start_s", "end_s")]
        return [*([""] if row["channel"] is None else [str(row["channel"])])[: blanks - 2], *times]
    return [str(row["face"])] if row.get("face") is not None else [""] * blanks


def _placeholder(item: ImageResult | SpeechResult, row: Mapping[str, Any], number: int) -> str:
    """Return what stands in the place of an emotion."""
    if isinstance(item, SpeechResult) and row["speech"] is not None:
        return "speech" if row["speech"] else "no speech"
    return "" if number else "no face" if isinstance(item, ImageResult) else "no sound"


def _emotion_cells(row: Mapping[str, Any], labels: LabelSet, ascii_only: bool) -> tuple[Cell, ...]:
    """Return name, bar, percent of the most probable emotion, and the next with its percent."""
    others = [(row[name], name) for name in labels.emotions if name != row["emotion"]]
    share, second = max(others, key=lambda other: other[0], default=(0.0, ""))
    full = _text(_bar(row["confidence"], ascii_only), style=_style(row["emotion"]))
    then = _text(f"{second} {100 * share:.0f}%" if second else "", style="dim")
    return _text(row["emotion"], style="bold"), full, f"{100 * row['confidence']:.0f}%", then


def _text(words: str = "", style: Any = "") -> Text:
    # rich is imported by who prints: it takes a tenth of a second.
    from rich.text import Text

    return Text(words, style=style)


def _style(emotion: str) -> Any:
    from rich.style import Style

    return Style(color="rgb({},{},{})".format(*COLORS[emotion]))


def _bar(share: float, ascii_only: bool, *, cells: int = _BAR_CELLS) -> str:
    """Return a bar of at most so many letters."""
    if ascii_only:
        return "#" * round(share * cells)
    whole, eighth = divmod(round(share * cells * 8), 8)
    return "█" * whole + (_EIGHTHS[eighth] if eighth else "")


# --- videos ---------------------------------------------------------------------------------------------------------


def _video_rows(item: VideoResult | FailedItem, ascii_only: bool) -> Iterator[tuple[Cell, ...]]:
    name = _text(printable(item.path, ascii_only))
    if isinstance(item, FailedItem):
        yield name, "", _text("error", style="bold red"), _text(printable(item.message, ascii_only)), ""
        return
    people = item.summary.people
    if not people:
        yield name, "", "", _text("no face", style="dim"), ""
    tracks = {track.number: track for track in item.tracks}
    for place, person in enumerate(people[:_MAX_PEOPLE]):
        yield (name if place == 0 else _text(""), *_person_cells(person, item.end_s, ascii_only))
        if (clip := tracks[person.track].clip) is not None:
            yield "", "", "", _text(f"as a clip: {list_shares(clip.ranked())}", style="dim"), ""
        if notes := "; ".join(tracks[person.track].warnings):
            yield "", "", "", _text(notes, style="dim"), ""
    if rest := describe_rest(people, _MAX_PEOPLE):
        yield "", "", "", _text(rest, style="dim"), ""
    for sound in sound_summaries(item):
        yield ("", *_sound_cells(sound, item.end_s, ascii_only))
    if item.warnings:
        yield "", "", "", _text("; ".join(item.warnings), style="dim"), ""


def _person_cells(person: PersonSummary, end_s: float, ascii_only: bool) -> tuple[Cell, ...]:
    note = f"{format_minutes(person.seen_s, end_s)} in view"
    times = _times_cell(person.start_s, person.end_s, note, end_s, ascii_only)
    moments = [(moment.time_s, moment.emotion, moment.probability) for moment in person.moments]
    return str(person.track), times, _shares_cell(person_shares(person), ascii_only), _moments_cell(moments, end_s)


def _sound_cells(sound: SoundSummary, end_s: float, ascii_only: bool) -> tuple[Cell, ...]:
    if not sound.shares:
        return sound.name, "", _text("no speech", style="dim"), ""
    end_s = max(end_s, sound.end_s)
    times: Cell = ""
    if sound.seconds is not None:
        note = f"{format_minutes(sound.seconds, end_s)} {'speech' if sound.name == 'voice' else 'together'}"
        times = _times_cell(sound.start_s, sound.end_s, note, end_s, ascii_only)
    return sound.name, times, _shares_cell(sound.shares, ascii_only), _moments_cell(sound.moments, end_s)


def _times_cell(start_s: float, end_s: float, note: str, whole_s: float, ascii_only: bool) -> Text:
    dash = "-" if ascii_only else "\N{EN DASH}"
    text = _text(f"{format_minutes(start_s, whole_s)}{dash}{format_minutes(end_s, whole_s)}{_NEXT}")
    return text.append(note, style="dim")


def _shares_cell(shares: Iterable[tuple[str, float]], ascii_only: bool) -> Text:
    text = _text()
    for place, (name, share) in enumerate([item for item in shares if item[1] >= MIN_SHARE][:_MAX_LINES]):
        text.append(f"{'' if place == 0 else _NEXT}{name:<9} ", style="bold" if place == 0 else "")
        text.append(f"{_bar(share, ascii_only, cells=_VIDEO_BAR_CELLS):<{_VIDEO_BAR_CELLS}}", style=_style(name))
        text.append(f" {100 * share:3.0f}%")
    return text


def _moments_cell(moments: Sequence[tuple[float, str, float]], end_s: float) -> Text:
    text = _text()
    for place, (time_s, emotion, probability) in enumerate(moments[:_MAX_LINES]):
        text.append(f"{'' if place == 0 else _NEXT}{format_minutes(time_s, end_s)} {emotion}")
        text.append(f" {100 * probability:.0f}%", style="dim")
    return text
