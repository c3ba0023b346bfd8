"""A recording as an image: its waveform, its spectrogram and its emotions on one time axis.

Drawn like the charts of `mien.output.plots`: nothing of matplotlib's state is touched, and the same input gives the
same bytes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.labels import LabelSet
from mien.output._bands import speech_band, stacked
from mien.output._chart import GRAY, emotion_patches, legend, new_figure, shown, time_axis, to_png
from mien.output._sketch import Sketch, sketch
from mien.output._times import CLOCK_FROM_S, tick_label
from mien.output.palette import COLORS, text_on
from mien.output.write import write_encoded
from mien.speech.features import mel_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mien.results import SpeechResult

__all__ = ["Sketch", "sketch", "speech_plot", "write_speech_plot"]

_WIDTH_IN, _HEIGHT_IN = 12.0, 6.6
_FINE_COLUMNS, _BROAD_COLUMNS = 1400, 240
"""Columns of the emotions' bands: about the pixels of the axis, or, where there are more segments than people can tell
apart, as many as they can."""

_MANY_SEGMENTS = 300
_LEAST_SPEECH = 0.1
"""Share of a column that must be speech for its strongest emotion to be shown."""

_BAND_ROWS = 160
_QUIET = (0xF4, 0xF4, 0xF4)
"""Where nobody speaks there is no emotion."""

_SPEECH_INK, _QUIET_INK = "#333333", "#B8B8B8"
_RANGE_DB = 70.0
"""What lies further under the loudest place is drawn as dark as silence."""

_FAINTEST_DB = -30.0
"""The brightest color stands for no less than this, so that silence (-100 dB) is dark in any recording."""

_LETTER_SHARE = 0.0068
"""Width of a letter of a band's name as a share of the axis."""

_HERTZ = (250, 500, 1000, 2000, 4000, 8000)


def speech_plot(result: SpeechResult, sound: Sketch) -> bytes:
    """Draw what was heard in a recording.

    From above: the outline of the waveform (dark where somebody speaks), mel energies, the most probable emotion of
    each segment, and the probabilities of all emotions, stacked.  Where a column of pixels stands for more than one
    segment, its emotions are averaged over time.

    Parameters
    ----------
    result : SpeechResult
        The segments.
    sound : Sketch
        The sound, from `sketch`.

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
    figure = new_figure(_WIDTH_IN, _HEIGHT_IN)
    grid = figure.add_gridspec(4, 1, height_ratios=(1.5, 2.2, 0.45, 1.3))
    rows = [figure.add_subplot(grid[0])]
    rows += [figure.add_subplot(grid[number], sharex=rows[0]) for number in range(1, 4)]
    _draw_outline(rows[0], result, sound)
    _draw_spectrogram(rows[1], sound)
    bands = _Bands(result, end_s)
    _draw_top(rows[2], bands, result)
    _draw_shares(rows[3], bands)
    time_axis(rows, 0.0, end_s)
    _head(figure, rows[0], result, bands)
    return to_png(figure)


def write_speech_plot(path: str | os.PathLike[str], result: SpeechResult, sound: Sketch) -> None:
    """Write `speech_plot` to a file, whole or not at all.

    Raises
    ------
    InputError
        If the name does not end in ``.png``.
    MediaNotFoundError, MediaError
        If the folder does not exist, or the file cannot be written there.
    MissingExtraError
        If matplotlib is not installed.
    """
    write_encoded(path, ".png", lambda: speech_plot(result, sound))


class _Bands:
    """What is said, felt and how surely, in columns of equal time: integrals over the segments."""

    def __init__(self, result: SpeechResult, end_s: float) -> None:
        band = speech_band(result, "voice")
        self.labels: LabelSet | None = None if band is None else band.labels
        self.end_s = end_s
        names = () if self.labels is None else self.labels.emotions
        self._colors = np.array([COLORS[name] for name in names], np.uint8).reshape(len(names), 3)
        self.columns = _FINE_COLUMNS if len(result.segments) <= _MANY_SEGMENTS else _BROAD_COLUMNS
        edges = np.linspace(0, end_s, self.columns + 1)
        # (columns, emotions): mean probabilities; they add up to the share of the column in which somebody speaks.
        self.shares = np.zeros((self.columns, 0)) if band is None else band.columns(edges)

    @property
    def broad(self) -> bool:
        """Whether a column stands for more than about a pixel."""
        return self.columns == _BROAD_COLUMNS

    def top(self) -> NDArray[np.uint8]:
        """Return the color of the strongest emotion of each column, uint8 (1, columns, 3)."""
        image = np.full((1, self.columns, 3), _QUIET, np.uint8)
        spoken = self.shares.sum(axis=1) >= _LEAST_SPEECH
        if spoken.any():
            image[0, spoken] = self._colors[self.shares[spoken].argmax(axis=1)]
        return image

    def stacked(self) -> NDArray[np.uint8]:
        """Return the probabilities stacked from below, uint8 (rows, columns, 3), the first row the lowest."""
        return stacked(self.shares, self._colors, rows=_BAND_ROWS, ground=_QUIET)


def _draw_outline(axes: Axes, result: SpeechResult, sound: Sketch) -> None:
    edges, low, high = sound.outline()
    # Each column begins where the one before ended, so that the line has no gaps where it is steep.
    low[1:], high[1:] = np.minimum(low[1:], high[:-1]), np.maximum(high[1:], low[:-1])
    middles = (edges[:-1] + edges[1:]) / 2
    ends = np.array([segment.end_s for segment in result.segments])
    speech = np.array([segment.speech for segment in result.segments] + [False])
    spoken = speech[np.searchsorted(ends, middles, side="right")]
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


def _draw_top(axes: Axes, bands: _Bands, result: SpeechResult) -> None:
    axes.imshow(bands.top(), aspect="auto", extent=(0, bands.end_s, 0, 1), interpolation="nearest")
    axes.set_yticks([])
    axes.set_ylabel("most\nlikely", fontsize=9)
    for segment in result.segments:
        if segment.emotion is None:
            continue
        top = segment.emotion.top
        if len(top) * _LETTER_SHARE * bands.end_s < segment.duration_s:
            ink = tuple(value / 255 for value in text_on(COLORS[top]))
            middle = (segment.start_s + segment.end_s) / 2
            axes.text(middle, 0.47, top, color=ink, fontsize=9, ha="center", va="center", clip_on=True)
    if result.speech_s == 0:
        axes.text(bands.end_s / 2, 0.47, "no speech", color=GRAY, fontsize=10, ha="center", va="center")


def _draw_shares(axes: Axes, bands: _Bands) -> None:
    axes.imshow(
        bands.stacked(), origin="lower", aspect="auto", extent=(0, bands.end_s, 0, 100), interpolation="nearest"
    )
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("probability, %", fontsize=9)
    if bands.broad:
        axes.set_ylabel(f"mean probability\nof {bands.end_s / bands.columns:.0f} s, %", fontsize=9)


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < CLOCK_FROM_S else tick_label(seconds, seconds, 1)


def _head(figure: Figure, axes: Axes, result: SpeechResult, bands: _Bands) -> None:
    """Write what is drawn, and which color is which emotion."""
    name = "recording" if result.path is None else shown(os.path.basename(result.path))  # noqa: PTH119 - any string
    title = f"{name}: {_length(result.duration_s)}, {_length(result.speech_s)} of speech"
    if result.model:
        title += f", read by {shown(result.model)}"
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    if bands.labels is None:
        return
    entries = emotion_patches(bands.labels.emotions, {"no speech": _QUIET})
    legend(figure, entries, loc="outside upper center", ncols=len(entries))
