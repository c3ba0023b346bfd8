"""Audio files and videos as images over time: the sound and its emotions, and a band a person.

Drawn like the charts of `mien.output.plots`: nothing of matplotlib's state is touched, and the same input gives the
same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, count_of, describe
from mien._extras import import_extra
from mien.errors import InputError
from mien.output.bands import Band, Sketch, sound_bands, speech_band, stack_shares, video_bands, video_range
from mien.output.canvas import COLORS, RGB, text_on
from mien.output.plots import GRAY, emotion_patches, legend, name_to_draw, new_figure, time_axis, to_png
from mien.output.registry import Context, Result, Writer
from mien.output.summary import CLOCK_FROM_S, describe_rest, format_duration, tick_label
from mien.output.write import check_suffix, write_bytes
from mien.results import SpeechResult, VideoResult
from mien.speech.features import mel_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mien.io.audio import AudioBlock

__all__ = ["PlotWriter", "plot_speech", "plot_timeline"]

_WIDTH_IN = 12.0
_AWAY: RGB = (0xF4, 0xF4, 0xF4)
"""Where nobody speaks, or a person is out of view, there is no emotion."""

_LETTER_SHARE = 0.0066
"""Width of a letter as a share of the axis."""

# --- of audio files

_SPEECH_HEIGHT_IN, _VOICE_HEIGHT_IN = 6.6, 2.0
"""Of a plot, and of what each further voice adds."""

_FINE_COLUMNS, _BROAD_COLUMNS = 1400, 240
"""Columns of the emotions' bands: about the pixels of the axis, or, where there are more segments than people can tell
apart, as many as they can."""

_MANY_SEGMENTS = 300
_MIN_SPEECH = 0.1
"""Share of a column that must be speech for its strongest emotion to be shown."""

_BAND_ROWS = 160
_SPEECH_INK, _QUIET_INK = "#333333", "#B8B8B8"
_RANGE_DB = 70.0
"""What lies further under the loudest place is drawn as dark as silence."""

_FAINTEST_DB = -30.0
"""The brightest color stands for no less than this, so that silence (-100 dB) is dark in any file."""

_NAME_LETTER_SHARE = 0.0068
"""Width of a letter of a segment's emotion as a share of the axis."""

_HERTZ = (250, 500, 1000, 2000, 4000, 8000)

# --- of videos

_HEIGHTS_IN = {1: 2.1, 2: 1.6, 3: 1.3, 4: 1.1, 6: 0.9, 8: 0.75}
"""Height of a band by the number of bands up to which it holds; more bands are `_MIN_IN` high."""

_MIN_IN, _HEAD_IN = 0.6, 1.25
_LINE_IN = 0.2
"""From one line of text to the next."""

_COLUMNS = 1060
"""About the pixels of the axis."""

_ROWS = 200
_RIBBON = (-0.24, -0.05)
"""The ribbon of leading emotions lies below the shares, which go from 0 to 1."""

_MARK = 1.13
_MAX_LINES = 60
"""Cuts that are lines through the bands; more would hide what is below, and are ticks at the lower edge."""

_MAX_NAMED = 6
"""Up to so many bands are high enough to name what their ribbons and marks show."""

_MAX_LETTERS, _LETTERS_EACH = 150, 6
"""Of the legend in one line; and the space beside the words of an entry, in letters."""


class PlotWriter(Writer):
    """Writes the plot of an audio file (see `plot_speech`) or of a video (see `plot_timeline`) as PNG."""

    def __init__(self, target: Path, context: Context) -> None:
        del context
        import_extra("matplotlib.figure", extra="plot", purpose="drawing charts")
        self._target = check_suffix(target, ".png")
        self._sketch: Sketch | None = None

    def add_audio(self, block: AudioBlock) -> None:
        """Add a block of the sound."""
        self._sketch = self._sketch or Sketch(block.rate_hz)
        self._sketch.add(block)

    def write(self, result: Result) -> None:
        """Draw the result; of an audio file without sound there is no plot.

        Raises
        ------
        InputError
            If it is neither that of an audio file nor of a video.
        """
        if isinstance(result, VideoResult):
            write_bytes(self._target, ".png", lambda: plot_timeline(result))
        elif not isinstance(result, SpeechResult):
            raise InputError(f"a plot needs a SpeechResult or a VideoResult, but got {describe(result)}")
        elif (sketch := self._sketch) is not None and result.duration_s:
            write_bytes(self._target, ".png", lambda: plot_speech(result, sketch))


# --- audio files ----------------------------------------------------------------------------------------------------


def plot_speech(result: SpeechResult, sound: Sketch) -> bytes:
    """Draw the emotions of an audio file over time.

    From above: the outline of the waveform (dark where somebody speaks), mel energies, the most probable emotion of
    each segment, and the probabilities of all emotions, stacked; these two for each channel that was read.  Where a
    column of pixels stands for more than one segment, its emotions are averaged over time.

    Parameters
    ----------
    result : SpeechResult
        The segments.
    sound : Sketch
        Its sound.

    Returns
    -------
    bytes
        PNG of about 1300 x 730 pixels.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    end_s = max(sound.duration_s, result.duration_s)
    voices = sorted(result.voices.items(), key=lambda voice: voice[0] or 0)
    figure = new_figure(_WIDTH_IN, _SPEECH_HEIGHT_IN + _VOICE_HEIGHT_IN * (len(voices) - 1))
    heights = (1.5, 2.2, *(0.45, 1.3) * len(voices))
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    rows = [figure.add_subplot(grid[0])]
    rows += [figure.add_subplot(grid[number], sharex=rows[0]) for number in range(1, len(heights))]
    _draw_outline(rows[0], result, sound)
    _draw_spectrogram(rows[1], sound)
    emotions: dict[str, None] = {}
    for (channel, voice), leading, shares in zip(voices, rows[2::2], rows[3::2], strict=True):
        columns = _Columns(voice, end_s)
        emotions.update(dict.fromkeys(columns.emotions))
        _draw_leading(leading, columns, voice)
        _draw_shares(shares, columns, "" if channel is None else f"channel {channel}\n")
    time_axis(rows, 0.0, end_s)
    _draw_title(figure, rows[0], result, tuple(emotions))
    return to_png(figure)


class _Columns:
    """Speech and its emotions in columns of equal time: integrals over the segments."""

    def __init__(self, result: SpeechResult, end_s: float) -> None:
        band = speech_band(result, "voice")
        self.emotions = () if band is None else band.labels.emotions
        self.end_s = end_s
        self._colors = np.array([COLORS[name] for name in self.emotions], np.uint8).reshape(-1, 3)
        self.count = _FINE_COLUMNS if len(result.segments) <= _MANY_SEGMENTS else _BROAD_COLUMNS
        edges = np.linspace(0, end_s, self.count + 1)
        # (columns, emotions): mean probabilities; they add up to the share of the column in which somebody speaks.
        self.shares = np.zeros((self.count, 0)) if band is None else band.columns(edges)

    def leading(self) -> NDArray[np.uint8]:
        """Return the color of the strongest emotion of each column, uint8 (1, columns, 3)."""
        image = np.full((1, self.count, 3), _AWAY, np.uint8)
        spoken = self.shares.sum(axis=1) >= _MIN_SPEECH
        if spoken.any():
            image[0, spoken] = self._colors[self.shares[spoken].argmax(axis=1)]
        return image

    def stacked(self) -> NDArray[np.uint8]:
        """Return the probabilities stacked from below, uint8 (rows, columns, 3), the first row the lowest."""
        return stack_shares(self.shares, self._colors, rows=_BAND_ROWS, background=_AWAY)


def _draw_outline(axes: Axes, result: SpeechResult, sound: Sketch) -> None:
    edges, low, high = sound.outline()
    # Each column begins where the one before ended, so that the line has no gaps where it is steep.
    low[1:], high[1:] = np.minimum(low[1:], high[:-1]), np.maximum(high[1:], low[:-1])
    middles = (edges[:-1] + edges[1:]) / 2
    spoken = np.zeros(len(middles), bool)
    for voice in result.voices.values():
        ends = np.array([segment.end_s for segment in voice.segments])
        speech = np.array([segment.speech for segment in voice.segments] + [False])
        spoken |= speech[np.searchsorted(ends, middles, side="right")]
    for mask, ink in ((~spoken, _QUIET_INK), (spoken, _SPEECH_INK)):
        axes.vlines(middles[mask], low[mask], high[mask], color=ink, linewidth=0.8)
    level = max(float(np.abs(np.concatenate([low, high])).max(initial=0.0)), 0.01)
    axes.set_ylim(-1.05 * level, 1.05 * level)
    axes.axhline(0, color=GRAY, linewidth=0.5)
    axes.set_ylabel("waveform", fontsize=9)
    axes.locator_params(axis="y", nbins=5)


def _draw_spectrogram(axes: Axes, sound: Sketch) -> None:
    column_s, energies = sound.spectrogram()
    top = max(float(energies.max()), _FAINTEST_DB)
    # Frames stand on the multiples of the hop: the middle of the first column is (size - 1) / 2 hops after zero.
    hop_s = sound.settings.hop / sound.rate_hz
    begin = -hop_s / 2
    bands = sound.settings.mels
    extent = (begin, begin + column_s * energies.shape[1], 0, bands)
    axes.imshow(
        energies,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=top - _RANGE_DB,
        vmax=top,
        interpolation="bilinear" if energies.shape[1] < _FINE_COLUMNS else "antialiased",
    )
    places = [(hz, place) for hz in _HERTZ if (place := _band_of(hz, sound)) is not None]
    axes.set_yticks([place for _, place in places], [f"{hz:,}" for hz, _ in places])
    axes.set_ylabel("mel bands, Hz", fontsize=9)


def _band_of(hz: float, sound: Sketch) -> float | None:
    """Return where a frequency lies on the axis of mel bands (a band's middle is its number + 0.5), or None."""
    filters = mel_matrix(sound.settings)
    middles = filters @ np.linspace(0, sound.rate_hz / 2, filters.shape[1]) / filters.sum(axis=1)
    if not middles[0] <= hz <= sound.settings.top_hz:
        return None
    return float(np.interp(hz, [*middles, sound.settings.top_hz], [*(np.arange(len(middles)) + 0.5), len(middles)]))


def _draw_leading(axes: Axes, columns: _Columns, result: SpeechResult) -> None:
    axes.imshow(columns.leading(), aspect="auto", extent=(0, columns.end_s, 0, 1), interpolation="nearest")
    axes.set_yticks([])
    axes.set_ylabel("most\nlikely", fontsize=9)
    for segment in result.segments:
        if segment.emotion is None:
            continue
        top = segment.emotion.top
        if len(top) * _NAME_LETTER_SHARE * columns.end_s < segment.duration_s:
            ink = tuple(value / 255 for value in text_on(COLORS[top]))
            middle = (segment.start_s + segment.end_s) / 2
            axes.text(middle, 0.47, top, color=ink, fontsize=9, ha="center", va="center", clip_on=True)
    if result.speech_s == 0:
        axes.text(columns.end_s / 2, 0.47, "no speech", color=GRAY, fontsize=10, ha="center", va="center")


def _draw_shares(axes: Axes, columns: _Columns, name: str) -> None:
    axes.imshow(
        columns.stacked(), origin="lower", aspect="auto", extent=(0, columns.end_s, 0, 100), interpolation="nearest"
    )
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel(f"{name}probability, %", fontsize=9)
    if columns.count == _BROAD_COLUMNS:
        axes.set_ylabel(f"{name}mean probability\nof {columns.end_s / columns.count:.0f} s, %", fontsize=9)


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < CLOCK_FROM_S else tick_label(seconds, seconds, 1)


def _draw_title(figure: Figure, axes: Axes, result: SpeechResult, emotions: tuple[str, ...]) -> None:
    """Draw the title and the legend."""
    name = "audio" if result.path is None else name_to_draw(os.path.basename(result.path))  # noqa: PTH119 - any string
    title = f"{name}: {_length(result.duration_s)}, {_length(result.speech_s)} of speech"
    if result.model:
        title += f", read by {name_to_draw(result.model)}"
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    if not emotions:
        return
    entries = emotion_patches(emotions, {"no speech": _AWAY})
    legend(figure, entries, loc="outside upper center", ncols=len(entries))


# --- videos ---------------------------------------------------------------------------------------------------------


def plot_timeline(video: VideoResult, *, most: int = 12, bands: Sequence[Band] = ()) -> bytes:
    """Draw what the people of a video show over time, and what its voice sounds like.

    Each person has a band: the smoothed probabilities of all emotions, stacked, and below them a ribbon of the emotion
    that leads.  Marks above stand at the strongest moments, thin lines where another scene begins.  Where a person is
    out of view, the band is empty.  Where a column of pixels stands for more than one frame, the frames are averaged
    over time.  Below lie the bands of the voice and of both together (see `sound_bands`).

    Parameters
    ----------
    video : VideoResult
        The result.
    most : int
        People with a band; those who are in view longest, and the rest in a line that counts them.
    bands : sequence of Band
        More bands, below all others (see `mien.output.bands`).

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
    start_s, end_s = video_range(video)
    count = max(1, len(all_bands))
    height = next((inches for upto, inches in _HEIGHTS_IN.items() if count <= upto), _MIN_IN)
    rest = describe_rest(video.summary.people, most)
    entries = _entries(video, all_bands)
    lines = 1 if sum(_LETTERS_EACH + len(words) for _, words in entries) <= _MAX_LETTERS else 2
    below = _LINE_IN if rest else 0.0
    figure = new_figure(_WIDTH_IN, _HEAD_IN + count * height + below + _LINE_IN * (lines - 1))
    # The bands' own upper and lower edges are space enough between them.
    engine: Any = figure.get_layout_engine()
    engine.set(hspace=0, h_pad=0.02)
    rows: list[Axes] = []
    for number in range(count):
        rows.append(figure.add_subplot(count, 1, number + 1, sharex=rows[0] if rows else None))
    time_axis(rows, start_s, end_s, as_minutes=True)
    edges = np.linspace(start_s, end_s, _COLUMNS + 1)
    for axes, band in zip(rows, all_bands, strict=False):
        _draw_band(axes, band, edges, named=count <= _MAX_NAMED)
        _name_band(axes, band, height)
    if not all_bands:
        _draw_nobody(rows[0], "no face" if video.speech is None else "no face, no speech")
    _draw_cuts(rows, video, named=bool(all_bands))
    rows[0].set_title(_title(video), fontsize=11, loc="left", parse_math=False)
    if rest:
        rows[-1].set_xlabel(f"{rows[-1].get_xlabel()}\n{rest}", fontsize=9)
    legend(figure, entries, loc="outside upper center", ncols=-(-len(entries) // lines))
    return to_png(figure)


def _title(video: VideoResult) -> str:
    name = "video" if video.path is None else name_to_draw(os.path.basename(video.path))  # noqa: PTH119 - any string
    people = count_of(len(video.tracks), "person", "people") if video.tracks else "no face"
    title = f"{name}: {format_duration(video.duration_s)}, {people}"
    models = [name for name in (video.model, "" if video.speech is None else video.speech.model) if name]
    return f"{title}, read by {' and '.join(map(name_to_draw, models))}" if models else title


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
    image = stack_shares(band.columns(edges), colors, rows=_ROWS, background=_AWAY)
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
    axes.set_yticks([0.45 + apart, 0.45 - apart], [name_to_draw(band.title), name_to_draw(band.note)])
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
    if len(video.cuts) > _MAX_LINES:
        rows[-1].vlines(video.cuts, low - 0.03, low + 0.03, color="#222222", linewidth=0.7, clip_on=False)
        return
    for axes in rows:
        axes.vlines(video.cuts, low, high, color="#222222", linewidth=0.8, linestyle=(0, (4, 2)))
