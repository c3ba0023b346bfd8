"""What somebody shows or says over time, ready to be drawn as one band of a chart: times and shares, no images.

A band is the same thing for a face, a voice, or both together, and for matplotlib and SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.labels import LabelSet

if TYPE_CHECKING:
    from mien.results import Emotion, FaceTrack, FusedResult, Moment, SpeechResult

__all__ = ["Band", "columns_of_steps", "empty_band", "face_band", "fused_band", "ordered", "speech_band", "stacked"]

_TOUCH_S = 1e-6
_LEAST_COVER = 0.02
"""A column that is covered less than this shows nothing."""


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
        return columns_of_steps(edges_s, self.starts_s, self.ends_s, self.shares, smooth=self.smooth)

    def runs(self, edges_s: NDArray[np.float64]) -> list[tuple[int, int]]:
        """Return [first, last) of the columns of each run that the band covers without a gap."""
        covered = self.columns(edges_s).sum(axis=1) >= _LEAST_COVER
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
        held = columns_of_steps(edges_s, starts, ends, np.eye(len(self.labels))[places])
        led: NDArray[np.int64] = np.where(held.sum(axis=1) >= _LEAST_COVER, held.argmax(axis=1), -1)
        return led


def columns_of_steps(
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
        touches = starts_s[1:] - ends_s[:-1] <= _TOUCH_S
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


def stacked(
    shares: NDArray[np.float64], colors: NDArray[np.uint8], *, rows: int, ground: tuple[int, int, int]
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
    ground : (int, int, int)
        Where there is nothing.

    Returns
    -------
    numpy.ndarray
        uint8 (rows, c, 3), the first row the lowest.
    """
    image = np.full((rows, len(shares), 3), ground, np.uint8)
    heights = (np.arange(rows) + 0.5)[:, None] / rows
    below = np.zeros(len(shares))
    for share, color in zip(shares.T, colors, strict=True):
        image[(heights >= below) & (heights < below + share)] = color
        below = below + share
    return image


def face_band(track: FaceTrack, note: str) -> Band:
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
    told = [
        (segment.start_s, segment.end_s, segment.emotion) for segment in result.segments if segment.emotion is not None
    ]
    if not told:
        return None
    return _stepping(title, note, told[0][2].labels, told, away="no speech")


def fused_band(result: FusedResult, title: str, note: str = "") -> Band:
    """Return the band of what face and voice say together."""
    told = [(segment.start_s, segment.end_s, segment.fused) for segment in result.segments if segment.fused is not None]
    return _stepping(title, note, result.labels, told, away="neither")


def empty_band(title: str, note: str, labels: LabelSet) -> Band:
    """Return a band on which there is nothing, and whose note says so."""
    return _stepping(title, note, labels, (), away=note)


def ordered(band: Band, order: Sequence[str]) -> Band:
    """Return a band whose emotions are stacked in an order; those that it does not name come last."""
    emotions = band.labels.emotions
    names = [*(name for name in order if name in emotions), *(name for name in emotions if name not in order)]
    places = [emotions.index(name) for name in names]
    return replace(band, labels=LabelSet(band.labels.name, tuple(names)), shares=band.shares[:, places])


def _stepping(
    title: str, note: str, labels: LabelSet, told: Sequence[tuple[float, float, Emotion]], *, away: str
) -> Band:
    segments: list[tuple[float, float, str]] = []
    for start, end, emotion in told:
        # One emotion that goes on has one place in the ribbon, however many segments it is told in.
        if segments and segments[-1][2] == emotion.top and start - segments[-1][1] <= _TOUCH_S:
            start, *_ = segments.pop()
        segments.append((start, end, emotion.top))
    return Band(
        title=title,
        note=note,
        labels=labels,
        starts_s=np.array([start for start, _, _ in told]),
        ends_s=np.array([end for _, end, _ in told]),
        shares=np.array([emotion.probabilities for _, _, emotion in told]).reshape(-1, len(labels)),
        segments=segments,
        away=away,
    )
