"""What is drawn over time, made small enough to draw: emotions as bands, sound as its outline and spectrogram.

A band is the same thing for a face, a voice, or both together, and for matplotlib and SVG.  Sound is gathered block by
block in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError
from mien.labels import LabelSet
from mien.output.summary import format_minutes, sound_summaries
from mien.results.emotion import TIME_EPSILON_S
from mien.speech.features import Settings, decibels, log_mel

if TYPE_CHECKING:
    from mien.io.audio import AudioBlock
    from mien.results import Emotion, FaceTrack, FusedResult, Moment, SpeechResult, VideoResult

__all__ = ["Band", "Sketch", "sound_bands", "speech_band", "stack_shares", "video_bands", "video_range"]

_MIN_COVER = 0.02
"""A column that is covered less than this shows nothing."""

_MIN_S = 0.04
"""A video of one frame is drawn as if it lasted this long: a frame at 25 a second."""

Wave = NDArray[np.float32]

_MAX_COLUMNS = 4096
"""Where there would be more columns than this, neighbors are merged: always more than a chart has pixels."""

_WINDOW_S, _STEP_S = 0.032, 0.01
"""Frames of the spectrogram, as speech nets see them."""

_TOP_HZ = 8000.0
"""Speech has little above; a higher top would leave a good part of the image dark."""

_MIN_RATE_HZ = 4000
"""Below, mel bands would be narrower than the bins of the transform."""


# --- emotions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Band:
    """One band of a chart over time.

    Parameters
    ----------
    title, note : str
        What stands beside it: whose it is, and a few words more.
    labels : LabelSet
        The emotions.
    starts_s, ends_s : numpy.ndarray
        float64 (n,): pieces of time [start, end) that do not overlap, in order; between them there is nothing.
    shares : numpy.ndarray
        float64 (n, k): the distribution of each piece; where pieces touch and ``smooth`` is set, the one at its start.
    smooth : bool
        Whether the distributions run from one piece to the next instead of stepping.
    segments : sequence of (float, float, str)
        Start and end in seconds, and the leading emotion, of the ribbon.
    moments : sequence of Moment
        The strongest moments.
    away : str
        What it means where there is nothing.
    """

    title: str
    note: str
    labels: LabelSet
    starts_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    shares: NDArray[np.float64]
    smooth: bool = False
    segments: Sequence[tuple[float, float, str]] = ()
    moments: Sequence[Moment] = field(default=())
    away: str = "not in view"

    def columns(self, edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each column of time shows.

        Parameters
        ----------
        edges_s : numpy.ndarray
            float64 (c + 1,): rising.

        Returns
        -------
        numpy.ndarray
            float64 (c, k): integrals over the columns, so that no time is lost; the sum of a row is the share of the
            column that the band covers.
        """
        if not len(self.starts_s):
            return np.zeros((len(edges_s) - 1, len(self.labels)))
        return _average_columns(edges_s, self.starts_s, self.ends_s, self.shares, smooth=self.smooth)

    def runs(self, edges_s: NDArray[np.float64]) -> list[tuple[int, int]]:
        """Return [first, last) of the columns of each run that the band covers without a gap."""
        covered = self.columns(edges_s).sum(axis=1) >= _MIN_COVER
        turns = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
        return [(int(a), int(b)) for a, b in turns.reshape(-1, 2)]

    def leading(self, edges_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return for each column the number of the emotion that leads longest in it; -1 where there is none.

        Parameters
        ----------
        edges_s : numpy.ndarray
            float64 (c + 1,): rising.
        """
        if not self.segments:
            return np.full(len(edges_s) - 1, -1)
        starts, ends = (np.array([segment[i] for segment in self.segments]) for i in (0, 1))
        places = [self.labels.index(name) for _, _, name in self.segments]
        shares = _average_columns(edges_s, starts, ends, np.eye(len(self.labels))[places])
        led: NDArray[np.int64] = np.where(shares.sum(axis=1) >= _MIN_COVER, shares.argmax(axis=1), -1)
        return led


def _average_columns(
    edges_s: NDArray[np.float64],
    starts_s: NDArray[np.float64],
    ends_s: NDArray[np.float64],
    shares: NDArray[np.float64],
    *,
    smooth: bool = False,
) -> NDArray[np.float64]:
    """Return the means over columns of time of what pieces of time hold, float64 (c, k); see `Band`."""
    lengths = ends_s - starts_s
    # The value at a piece's end: its own, or where the next piece touches, that one's.
    finals = shares.copy()
    if smooth and len(shares) > 1:
        touches = starts_s[1:] - ends_s[:-1] <= TIME_EPSILON_S
        finals[:-1][touches] = shares[1:][touches]
    areas = np.zeros((len(starts_s) + 1, shares.shape[1]))
    np.cumsum((shares + finals) / 2 * lengths[:, None], axis=0, out=areas[1:])
    piece = np.maximum(np.searchsorted(starts_s, edges_s, side="right") - 1, 0)
    within = np.clip(edges_s - starts_s[piece], 0, lengths[piece])
    place = within / np.where(lengths[piece] > 0, lengths[piece], 1.0)
    first = shares[piece]
    upto = areas[piece] + within[:, None] * (first + (finals[piece] - first) * (place / 2)[:, None])
    means: NDArray[np.float64] = np.diff(upto, axis=0) / np.diff(edges_s)[:, None]
    return np.maximum(means, 0)


def stack_shares(
    shares: NDArray[np.float64], colors: NDArray[np.uint8], *, rows: int, background: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Return columns of shares as an image, stacked from below.

    Parameters
    ----------
    shares : numpy.ndarray
        float64 (c, k): see `Band.columns`.
    colors : numpy.ndarray
        uint8 (k, 3).
    rows : int
        Height.
    background : (int, int, int)
        Where there is nothing.

    Returns
    -------
    numpy.ndarray
        uint8 (rows, c, 3), the first row the lowest.
    """
    image = np.full((rows, len(shares), 3), background, np.uint8)
    heights = (np.arange(rows) + 0.5)[:, None] / rows
    below = np.zeros(len(shares))
    for share, color in zip(shares.T, colors, strict=True):
        image[(heights >= below) & (heights < below + share)] = color
        below = below + share
    return image


def _face_band(track: FaceTrack, note: str) -> Band:
    """Return the band of a person's face: smoothed distributions, the timeline, and the strongest moments."""
    return Band(
        title=f"person {track.number}",
        note=note,
        labels=track.labels,
        starts_s=track.times_s,
        ends_s=track.times_s + track.durations_s,
        shares=track.smoothed.astype(np.float64),
        smooth=True,
        segments=[(segment.start_s, segment.end_s, segment.emotion.top) for segment in track.timeline],
        moments=track.moments,
    )


def speech_band(result: SpeechResult, title: str, note: str = "") -> Band | None:
    """Return the band of a voice, or None where nobody speaks."""
    parts = [
        (segment.start_s, segment.end_s, segment.emotion) for segment in result.segments if segment.emotion is not None
    ]
    if not parts:
        return None
    return _step_band(title, note, parts[0][2].labels, parts, away="no speech")


def _fused_band(result: FusedResult, title: str, note: str = "") -> Band:
    """Return the band of what face and voice say together."""
    parts = [(s.start_s, s.end_s, s.fused) for s in result.segments if s.fused is not None]
    return _step_band(title, note, result.labels, parts, away="neither")


def _empty_band(title: str, note: str, labels: LabelSet) -> Band:
    """Return a band on which there is nothing, and whose note says so."""
    return _step_band(title, note, labels, (), away=note)


def _reorder(band: Band, order: Sequence[str]) -> Band:
    """Return a band whose emotions are stacked in an order; those that it does not name come last."""
    emotions = band.labels.emotions
    names = [*(name for name in order if name in emotions), *(name for name in emotions if name not in order)]
    places = [emotions.index(name) for name in names]
    return replace(band, labels=LabelSet(band.labels.name, tuple(names)), shares=band.shares[:, places])


def _step_band(
    title: str, note: str, labels: LabelSet, parts: Sequence[tuple[float, float, Emotion]], *, away: str
) -> Band:
    segments: list[tuple[float, float, str]] = []
    for start, end, emotion in parts:
        # One emotion that goes on has one place in the ribbon, however many segments it is parts in.
        if segments and segments[-1][2] == emotion.top and start - segments[-1][1] <= TIME_EPSILON_S:
            start, *_ = segments.pop()
        segments.append((start, end, emotion.top))
    return Band(
        title=title,
        note=note,
        labels=labels,
        starts_s=np.array([start for start, _, _ in parts]),
        ends_s=np.array([end for _, end, _ in parts]),
        shares=np.array([emotion.probabilities for _, _, emotion in parts]).reshape(-1, len(labels)),
        segments=segments,
        away=away,
    )


def video_bands(video: VideoResult, most: int) -> list[Band]:
    """Return the bands of the people of a video, longest in view first, at most so many."""
    tracks = {track.number: track for track in video.tracks}
    people = video.summary.people[:most]
    end_s = video_range(video)[1]
    return [_face_band(tracks[person.track], f"{format_minutes(person.seen_s, end_s)} in view") for person in people]


def sound_bands(video: VideoResult) -> list[Band]:
    """Return the bands of the voice and of both together: none without sound, nor without both faces and speech.

    Where nobody speaks, the voice's band is empty and says so; both have a band where there are both.
    """
    sounds = sound_summaries(video)
    if video.speech is None or not (video.tracks or sounds[0].shares):
        return []
    end_s = video_range(video)[1]
    voice = speech_band(video.speech, "voice", f"{format_minutes(video.speech.speech_s, end_s)} of speech")
    bands = [voice or _empty_band("voice", "no speech", video.tracks[0].labels)]
    if len(sounds) > 1 and video.fused is not None:
        together_s = sounds[1].seconds
        note = "one prediction" if together_s is None else f"{format_minutes(together_s, end_s)} together"
        bands.append(_fused_band(video.fused, "face and voice", note))
    # One emotion lies at one height in all bands.
    return [_reorder(band, video.tracks[0].labels.emotions) for band in bands] if video.tracks else bands


def video_range(video: VideoResult) -> tuple[float, float]:
    """Return the part of a video that is drawn, in seconds: what was analyzed and all speech, and never nothing."""
    spoken = () if video.speech is None else [s.end_s for s in video.speech.segments if s.speech]
    end_s = max([video.end_s, *spoken, *(track.end_s for track in video.tracks)])
    return video.start_s, max(end_s, video.start_s + _MIN_S)


# --- sound ----------------------------------------------------------------------------------------------------------


class Sketch:
    """The outline and the spectrogram of sound, each with at most 4,096 columns.

    Where a column has to stand for more sound, two neighbors become one: of the outline the smallest and the largest
    sample stay, so that no peak is lost, and of the spectrogram the mean power.  What comes out does not depend on the
    size of the blocks.

    Parameters
    ----------
    rate_hz : int
        Samples per second of the sound to add, 4,000 to 384,000.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = check_integer(rate_hz, "rate_hz", low=_MIN_RATE_HZ, high=384_000)
        hop = round(_STEP_S * rate_hz)
        self.settings = Settings(
            rate_hz=rate_hz,
            n_fft=2 * round(_WINDOW_S * rate_hz / 2),
            hop=hop,
            mels=64 if rate_hz >= 16_000 else 40,
            high_hz=min(_TOP_HZ, rate_hz / 2),
        )
        self._low, self._high = _Columns(np.minimum, 1), _Columns(np.maximum, 1)
        self._power = _Columns(np.add, self.settings.mels)
        # A frame reaches this many hops to both sides: those at a block's end wait for the next block.
        self._reach = -(-self.settings.n_fft // (2 * hop))
        self._rest: Wave = np.zeros(0, np.float32)
        self._inside = False  # whether frames before `_rest` are done

    @property
    def duration_s(self) -> float:
        """Length of the sound so far, gaps included."""
        return self._low.units / self.rate_hz

    @classmethod
    def from_blocks(cls, blocks: Iterable[AudioBlock]) -> Self:
        """Sketch the blocks of an audio file (see `mien.io.audio.iter_audio`).

        Raises
        ------
        InputError
            If there is no block.
        """
        sketch: Self | None = None
        for block in blocks:
            sketch = sketch or cls(block.rate_hz)
            sketch.add(block)
        if sketch is None:
            raise InputError("a plot of an audio file needs sound, but got none")
        return sketch

    def add(self, block: AudioBlock) -> None:
        """Add a block at its time and the sketch's rate; a gap before it is silence."""
        self.add_silence(block.start_s - self.duration_s)
        self.add_samples(block.mono)

    def add_samples(self, wave: Wave) -> None:
        """Add the next samples, float32 (n,) in [-1, 1]."""
        if len(wave) == 0:
            return
        self._low.add(wave[:, None])
        self._high.add(wave[:, None])
        joined = np.concatenate([self._rest, wave])
        whole = len(joined) // self.settings.hop - self._reach + 1  # frames whose samples are all there
        if whole <= self._reach:
            self._rest = joined
            return
        self._power.add(_power(joined, self.settings)[self._reach if self._inside else 0 : whole])
        self._rest = joined[(whole - self._reach) * self.settings.hop :]
        self._inside = True

    def add_silence(self, seconds: float) -> None:
        """Add a gap, in a time that does not grow with its length."""
        hop = self.settings.hop
        missing = round(seconds * self.rate_hz)
        near = min(missing, 4 * self.settings.n_fft)
        self.add_samples(np.zeros(max(near, 0), np.float32))
        # Frames far from all sound hold nothing: they are counted, not computed.
        hops = max(missing - near, 0) // hop
        for columns, count in ((self._low, hops * hop), (self._high, hops * hop), (self._power, hops)):
            columns.add_zeros(count)
        self.add_samples(np.zeros(max(missing - near - hops * hop, 0), np.float32))

    def outline(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return (edges in seconds (k + 1,), smallest sample (k,), largest sample (k,))."""
        low, sizes = self._low.result()
        high, _ = self._high.result()
        return np.concatenate([[0.0], np.cumsum(sizes)]) / self.rate_hz, low[:, 0].copy(), high[:, 0].copy()

    def spectrogram(self) -> tuple[float, NDArray[np.float32]]:
        """Return (seconds a column, mel energies in dB, float32 (mels, k)); the last column may be a part of one."""
        power = self._power.copy()
        if len(self._rest):
            power.add(_power(self._rest, self.settings)[self._reach if self._inside else 0 :])
        sums, sizes = power.result()
        return power.size * self.settings.hop / self.rate_hz, decibels((sums / sizes[:, None]).T.astype(np.float32))


def _power(wave: Wave, settings: Settings) -> NDArray[np.float64]:
    """Return mel energies of shape (frames, mels)."""
    energies: NDArray[np.float64] = 10 ** (log_mel(wave, settings).T.astype(np.float64) / 10)
    return energies


class _Columns:
    """Rows of numbers, combined by an operation into at most `_MAX_COLUMNS` columns of equal numbers of rows."""

    def __init__(self, combine: np.ufunc, width: int) -> None:
        self.size, self.units = 1, 0
        self._combine = combine
        self._values = np.zeros((_MAX_COLUMNS, width))

    def copy(self) -> _Columns:
        other = _Columns(self._combine, self._values.shape[1])
        other.size, other.units, other._values = self.size, self.units, self._values.copy()
        return other

    def add(self, rows: NDArray[np.floating]) -> None:
        if len(rows) == 0:
            return
        self._make_room(len(rows))
        begun = self.units % self.size
        starts = np.maximum(np.arange(-begun, len(rows), self.size), 0)
        self._put(self._combine.reduceat(rows, starts, axis=0), len(rows))

    def add_zeros(self, count: int) -> None:
        if count <= 0:
            return
        self._make_room(count)
        begun = self.units % self.size
        self._put(np.zeros((-(-(begun + count) // self.size), self._values.shape[1])), count)

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return (values (k, width), how many rows are in each (k,))."""
        sizes = np.full(self._count, self.size, np.int64)
        sizes[-1:] -= self._count * self.size - self.units
        return self._values[: self._count], sizes

    @property
    def _count(self) -> int:
        return -(-self.units // self.size)

    def _put(self, columns: NDArray[np.floating], rows: int) -> None:
        first = self.units // self.size
        if self.units % self.size:
            self._values[first] = self._combine(self._values[first], columns[0])
            self._values[first + 1 : first + len(columns)] = columns[1:]
        else:
            self._values[first : first + len(columns)] = columns
        self.units += rows

    def _make_room(self, rows: int) -> None:
        while self.units + rows > _MAX_COLUMNS * self.size:
            count, half = self._count, self._count // 2
            self._values[:half] = self._combine(self._values[0 : 2 * half : 2], self._values[1 : 2 * half : 2])
            if count % 2:
                self._values[half] = self._values[count - 1]
            self.size *= 2
