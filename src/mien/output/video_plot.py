"""A video as an image: one band a person over time, and where it has sound one of the voice and one of both.

Drawn like the charts of `mien.output.plots`: nothing of matplotlib's state is touched, and the same input gives the
same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien._extras import import_extra
from mien.output._bands import Band, empty_band, face_band, fused_band, ordered, speech_band, stacked
from mien.output._chart import GRAY, emotion_patches, legend, new_figure, shown, time_axis, to_png
from mien.output._times import length, minutes
from mien.output.palette import COLORS, RGB, text_on
from mien.output.video_summary import people_left, sides_of
from mien.output.write import write_encoded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.results import VideoResult

__all__ = ["plot_timeline", "sound_bands", "video_bands", "video_segment", "write_timeline"]

_WIDTH_IN = 12.0
_HEIGHTS_IN = {1: 2.1, 2: 1.6, 3: 1.3, 4: 1.1, 6: 0.9, 8: 0.75}
"""Height of a band by the number of bands up to which it holds; more bands are `_LEAST_IN` high."""

_LEAST_IN, _HEAD_IN = 0.6, 1.25
_LINE_IN = 0.2
"""From one line of text to the next."""

_COLUMNS = 1060
"""About the pixels of the axis."""

_ROWS = 200
_AWAY: RGB = (0xF4, 0xF4, 0xF4)
"""Where a person is out of view there is no emotion."""

_RIBBON = (-0.24, -0.05)
"""The ribbon of leading emotions lies below the shares, which go from 0 to 1."""

_MARK = 1.13
_MOST_LINES = 60
"""Cuts that are lines through the bands; more would hide what is below, and are ticks at the lower edge."""

_MOST_NAMED = 6
"""Up to so many bands are high enough to name what their ribbons and marks show."""

_MOST_LETTERS, _LETTERS_EACH = 150, 6
"""Of the legend in one line; and the room beside the words of an entry, in letters."""

_LETTER_SHARE = 0.0066
"""Width of a letter as a share of the axis."""

_LEAST_S = 0.04
"""A video of one frame is drawn as if it lasted this long: a frame at 25 a second."""


def plot_timeline(video: VideoResult, *, most: int = 12, bands: Sequence[Band] = ()) -> bytes:
    """Draw what the people of a video show over time, and what its voice sounds like.

    Each person has a band: the smoothed probabilities of all emotions, stacked, and below them a ribbon of the emotion
    that leads.  Marks above stand at the strongest moments, thin lines where another scene begins.  Where a person is
    out of view, the band is empty.  Where a column of pixels stands for more than one frame, the frames are averaged
    over time.  Below lie the bands of the voice and of both together (see `sound_bands`).

    Parameters
    ----------
    video : VideoResult
        What was seen and heard.
    most : int
        People with a band; those who are in view longest, and the rest in a line that counts them.
    bands : sequence of Band
        More bands, below all others (see `mien.output._bands`).

    Returns
    -------
    bytes
        PNG, 1320 pixels wide; its height grows with the number of bands.

    Raises
    ------
    InputError
        If ``most`` is no whole number from 1 to 100.
    MissingExtraError
        If matplotlib is not installed.
    """
    all_bands = [*video_bands(video, check_integer(most, "most", low=1, high=100)), *sound_bands(video), *bands]
    start_s, end_s = video_segment(video)
    count = max(1, len(all_bands))
    height = next((inches for upto, inches in _HEIGHTS_IN.items() if count <= upto), _LEAST_IN)
    left = people_left(video.summary.people, most)
    entries = _entries(video, all_bands)
    lines = 1 if sum(_LETTERS_EACH + len(words) for _, words in entries) <= _MOST_LETTERS else 2
    below = _LINE_IN if left else 0.0
    figure = new_figure(_WIDTH_IN, _HEAD_IN + count * height + below + _LINE_IN * (lines - 1))
    # Their own upper and lower edges are room enough between bands.
    engine: Any = figure.get_layout_engine()
    engine.set(hspace=0, h_pad=0.02)
    rows: list[Axes] = []
    for number in range(count):
        rows.append(figure.add_subplot(count, 1, number + 1, sharex=rows[0] if rows else None))
    time_axis(rows, start_s, end_s, as_minutes=True)
    edges = np.linspace(start_s, end_s, _COLUMNS + 1)
    for axes, band in zip(rows, all_bands, strict=False):
        _draw_band(axes, band, edges, named=count <= _MOST_NAMED)
        _name_band(axes, band, height)
    if not all_bands:
        _draw_nobody(rows[0], "no face" if video.speech is None else "no face, no speech")
    _draw_cuts(rows, video, named=bool(all_bands))
    rows[0].set_title(_title(video), fontsize=11, loc="left", parse_math=False)
    if left:
        rows[-1].set_xlabel(f"{rows[-1].get_xlabel()}\n{left}", fontsize=9)
    legend(figure, entries, loc="outside upper center", ncols=-(-len(entries) // lines))
    return to_png(figure)


def write_timeline(path: str | os.PathLike[str], video: VideoResult, *, most: int = 12) -> None:
    """Write `plot_timeline` to a file, whole or not at all.

    Raises
    ------
    InputError
        If the name does not end in ``.png``, or ``most`` is no whole number from 1 to 100.
    MediaNotFoundError, MediaError
        If the folder does not exist, or the file cannot be written there.
    MissingExtraError
        If matplotlib is not installed.
    """
    write_encoded(path, ".png", lambda: plot_timeline(video, most=most))


def video_bands(video: VideoResult, most: int) -> list[Band]:
    """Return the bands of the people of a video, longest in view first, at most so many."""
    tracks = {track.number: track for track in video.tracks}
    people = video.summary.people[:most]
    end_s = video_segment(video)[1]
    return [face_band(tracks[person.track], f"{minutes(person.seen_s, end_s)} in view") for person in people]


def sound_bands(video: VideoResult) -> list[Band]:
    """Return the bands of the voice and of both together: none without sound, nor where nobody is seen and heard.

    Where nobody speaks, the voice's band is empty and says so; both have a band where there are both.
    """
    sides = sides_of(video)
    if video.speech is None or not (video.tracks or sides[0].shares):
        return []
    end_s = video_segment(video)[1]
    voice = speech_band(video.speech, "voice", f"{minutes(video.speech.speech_s, end_s)} of speech")
    bands = [voice or empty_band("voice", "no speech", video.tracks[0].labels)]
    if len(sides) > 1 and video.fused is not None:
        together_s = sides[1].seconds
        note = "one answer" if together_s is None else f"{minutes(together_s, end_s)} together"
        bands.append(fused_band(video.fused, "face and voice", note))
    # One emotion lies at one height in all bands.
    return [ordered(band, video.tracks[0].labels.emotions) for band in bands] if video.tracks else bands


def video_segment(video: VideoResult) -> tuple[float, float]:
    """Return what of a video's time is drawn, in seconds: what was analyzed and heard, and never nothing."""
    heard_s = 0.0 if video.speech is None else max((s.end_s for s in video.speech.segments if s.speech), default=0.0)
    end_s = max([video.end_s, heard_s, *(track.end_s for track in video.tracks)])
    return video.start_s, max(end_s, video.start_s + _LEAST_S)


def _title(video: VideoResult) -> str:
    name = "video" if video.path is None else shown(os.path.basename(video.path))  # noqa: PTH119 - any string
    people = "no face" if not video.tracks else "1 person" if len(video.tracks) == 1 else f"{len(video.tracks)} people"
    title = f"{name}: {length(video.duration_s)}, {people}"
    models = [name for name in (video.model, "" if video.speech is None else video.speech.model) if name]
    return f"{title}, read by {' and '.join(map(shown, models))}" if models else title


def _entries(video: VideoResult, bands: Sequence[Band]) -> list[tuple[Any, str]]:
    """Return what the legend explains."""
    if not bands:
        return []
    emotions = list(dict.fromkeys(name for band in bands for name in band.labels.emotions))
    voice = video.speech is not None
    entries = emotion_patches(emotions, {"not in view, no speech" if voice else "not in view": _AWAY})
    lines = import_extra("matplotlib.lines", extra="plot", purpose="drawing charts")
    if any(band.moments for band in bands):
        mark = lines.Line2D([], [], marker="v", color="white", markerfacecolor="white", markeredgecolor="#222222")
        entries.append((mark, "strongest"))
    if video.cuts:
        entries.append((lines.Line2D([], [], color="#222222", linewidth=0.8, linestyle=(0, (4, 2))), "cut"))
    return entries


def _draw_band(axes: Axes, band: Band, edges: NDArray[np.float64], *, named: bool) -> None:
    colors = np.array([COLORS[name] for name in band.labels.emotions], np.uint8)
    start_s, end_s = float(edges[0]), float(edges[-1])
    image = stacked(band.columns(edges), colors, rows=_ROWS, ground=_AWAY)
    axes.imshow(image, origin="lower", aspect="auto", extent=(start_s, end_s, 0, 1), interpolation="nearest")
    led = band.leading(edges)
    ribbon = np.vstack([colors, [_AWAY]])[led].astype(np.uint8)[None]
    axes.imshow(ribbon, aspect="auto", extent=(start_s, end_s, *_RIBBON), interpolation="nearest")
    axes.set(xlim=(start_s, end_s), ylim=(_RIBBON[0] - 0.03, 1.24))
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    # Lines of time, so that a moment of the first band finds its time below the last.
    axes.grid(visible=True, axis="x", color="white", linewidth=0.8, alpha=0.5)
    if named:
        _name_segments(axes, band, end_s - start_s)
    _mark_moments(axes, band, end_s - start_s, named=named)


def _name_band(axes: Axes, band: Band, height: float) -> None:
    """Write title and note beside a band, one below the other, however high the band is."""
    low, high = axes.get_ylim()
    apart = _LINE_IN / height * (high - low) / 2
    axes.set_yticks([0.45 + apart, 0.45 - apart], [shown(band.title), shown(band.note)])
    axes.tick_params(axis="y", length=0, pad=6)
    for text, size, ink in zip(axes.get_yticklabels(), (10, 8), ("#111111", GRAY), strict=True):
        text.set(fontsize=size, color=ink, parse_math=False)


def _name_segments(axes: Axes, band: Band, whole_s: float) -> None:
    """Write the emotions into the segments of the ribbon that are long enough."""
    for start_s, end_s, name in band.segments:
        if (len(name) + 1) * _LETTER_SHARE * whole_s < end_s - start_s:
            ink = tuple(value / 255 for value in text_on(COLORS[name]))
            middle = (start_s + end_s) / 2, sum(_RIBBON) / 2
            axes.text(*middle, name, color=ink, fontsize=8, ha="center", va="center_baseline", clip_on=True)


def _mark_moments(axes: Axes, band: Band, whole_s: float, *, named: bool) -> None:
    """Mark the strongest moments, and write what they are where no words are in the way."""
    free_s = axes.get_xlim()[0]
    for moment in sorted(band.moments, key=lambda moment: moment.time_s):
        color = tuple(value / 255 for value in COLORS[moment.emotion])
        size = 7 if named else 5
        axes.plot(moment.time_s, _MARK, "v", color=color, ms=size, mec="#222222", mew=0.6, clip_on=False)
        words = f"{moment.emotion} {100 * moment.probability:.0f}%"
        gap_s, wide_s = 0.007 * whole_s, len(words) * _LETTER_SHARE * whole_s
        if not named or moment.time_s < free_s:
            continue
        right = moment.time_s + gap_s + wide_s <= axes.get_xlim()[1]
        begin = moment.time_s + gap_s if right else moment.time_s - gap_s - wide_s
        if begin < free_s:
            continue
        place = moment.time_s + (gap_s if right else -gap_s)
        axes.text(place, _MARK, words, fontsize=8, color="#222222", ha="left" if right else "right", va="center")
        free_s = begin + wide_s + gap_s


def _draw_nobody(axes: Axes, words: str) -> None:
    axes.set_facecolor("#F4F4F4")
    axes.set_yticks([])
    axes.text(0.5, 0.5, words, color=GRAY, fontsize=11, ha="center", va="center", transform=axes.transAxes)


def _draw_cuts(rows: Sequence[Axes], video: VideoResult, *, named: bool) -> None:
    """Draw where scenes begin: lines through the bands, or of many only ticks at the lower edge."""
    low, high = (_RIBBON[0], 1.0) if named else (0.0, 1.0)
    if len(video.cuts) > _MOST_LINES:
        rows[-1].vlines(video.cuts, low - 0.03, low + 0.03, color="#222222", linewidth=0.7, clip_on=False)
        return
    for axes in rows:
        axes.vlines(video.cuts, low, high, color="#222222", linewidth=0.8, linestyle=(0, (4, 2)))
