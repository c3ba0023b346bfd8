"""One person of a video over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import count_of, describe
from mien.errors import InputError
from mien.labels import LabelSet
from mien.results.emotion import (
    TIME_EPSILON_S,
    Emotion,
    Record,
    Segment,
    describe_top,
    seconds_by_emotion,
    to_plain,
)
from mien.results.face import Box

__all__ = ["EmotionSegment", "FaceTrack", "Moment", "TrackPoint"]

_SUM_TOLERANCE = 1e-3
"""How far the sum of a distribution in float32 may be from one."""


@dataclass(frozen=True, slots=True)
class EmotionSegment(Segment):
    """A stretch of time in which a person shows one emotion.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds of the video.
    emotion : Emotion
        The person's distributions over the stretch, averaged by time.
    """

    emotion: Emotion

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EmotionSegment:
        """Build from what `to_dict` returned."""
        return cls(data["start_s"], data["end_s"], Emotion.from_dict(data["emotion"]))


@dataclass(frozen=True, slots=True)
class Moment(Record):
    """A moment at which a person shows an emotion most.

    Parameters
    ----------
    time_s : float
        When, in seconds of the video.
    emotion : str
        Which.
    probability : float
        How probable it is then, smoothed over time.
    box : Box
        Where the face is then.
    """

    time_s: float
    emotion: str
    probability: float
    box: Box

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Moment:
        """Build from what `to_dict` returned."""
        return cls(data["time_s"], data["emotion"], data["probability"], tuple(data["box"]))


@dataclass(frozen=True, slots=True, eq=False)
class TrackPoint:
    """Where a person's face is at a time, and what it shows.

    Parameters
    ----------
    box : numpy.ndarray
        float32 (4,): x1, y1, x2, y2 in pixels of the video.
    landmarks : numpy.ndarray or None
        float32 (5, 2), see `mien.Face`.
    probabilities : numpy.ndarray
        float32 (k,): the smoothed distribution.
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrack:
    """One person over time: a row for each analyzed frame in which the person's face was seen.

    The arrays are copied and made read-only.

    Parameters
    ----------
    number : int
        1 for the person who appears first, and so on.
    labels : LabelSet
        Which emotions, in which order.
    times_s : numpy.ndarray
        float64 (n,), n at least 1: times of the frames, rising.
    durations_s : numpy.ndarray
        float64 (n,): for how long each stands, that is until the next analyzed frame of the video.
    boxes : numpy.ndarray
        float32 (n, 4): x1, y1, x2, y2 in pixels of the video.
    scores : numpy.ndarray
        float32 (n,): confidence that it is a face, 0..1.
    probabilities : numpy.ndarray
        float32 (n, k): the model's prediction for each frame alone.
    smoothed : numpy.ndarray
        float32 (n, k): the predictions smoothed over time.
    detected : numpy.ndarray
        bool (n,): whether the detector looked at the whole frame; otherwise the face was followed from the last one.
    landmarks : numpy.ndarray or None
        float32 (n, 5, 2), where the detector has them.
    sharpness : numpy.ndarray or None
        float32 (n,): how sharp the face is, see `mien.face.quality.sharpness`; None where that was not measured.
    timeline : tuple of EmotionSegment
        What the person shows, stretch by stretch.
    moments : tuple of Moment
        The strongest moments, strongest first.
    clip : Emotion or None
        One prediction for all of the person's faces by a model for clips, in its own labels; None without such a model.
    warnings : tuple of str
        What makes the person hard to read.

    Raises
    ------
    InputError
        If shapes do not fit each other, or times do not rise.
    """

    number: int
    labels: LabelSet
    times_s: NDArray[np.float64]
    durations_s: NDArray[np.float64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    smoothed: NDArray[np.float32]
    detected: NDArray[np.bool_]
    landmarks: NDArray[np.float32] | None = None
    sharpness: NDArray[np.float32] | None = None
    timeline: tuple[EmotionSegment, ...] = ()
    moments: tuple[Moment, ...] = ()
    clip: Emotion | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.number < 1:
            raise InputError(f"the number of a track must be at least 1, but got {self.number}")
        n, k = len(self.times_s), len(self.labels)
        if n < 1:
            raise InputError("a track must have at least one frame")
        for name, dtype, shape in (
            ("times_s", np.float64, (n,)),
            ("durations_s", np.float64, (n,)),
            ("boxes", np.float32, (n, 4)),
            ("scores", np.float32, (n,)),
            ("probabilities", np.float32, (n, k)),
            ("smoothed", np.float32, (n, k)),
            ("detected", np.bool_, (n,)),
            ("landmarks", np.float32, (n, 5, 2)),
            ("sharpness", np.float32, (n,)),
        ):
            value = getattr(self, name)
            if value is None:
                continue
            array = np.array(value, dtype=dtype)
            if array.shape != shape:
                raise InputError(f"{name} must have the shape {shape}, but got {describe(array)}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check()
        for name in ("timeline", "moments", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def _check(self) -> None:
        if not (np.isfinite(self.times_s).all() and (np.diff(self.times_s) > 0).all() and self.times_s[0] >= 0):
            raise InputError("the times of a track must be finite, not negative, and rise")
        if not ((self.durations_s >= 0).all() and np.isfinite(self.durations_s).all()):
            raise InputError("durations_s must be finite and not negative")
        for name, shares in (("probabilities", self.probabilities), ("smoothed", self.smoothed)):
            if not (np.abs(shares.sum(axis=1) - 1) < _SUM_TOLERANCE).all():
                raise InputError(f"{name} must be distributions that sum to 1")

    def __repr__(self) -> str:
        times, frames = f"{self.start_s:.1f} to {self.end_s:.1f} s", count_of(len(self), "frame")
        return f"<FaceTrack {self.number}: {times}, {frames}, {describe_top(self.emotion)}>"

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def start_s(self) -> float:
        """When the person is seen first."""
        return float(self.times_s[0])

    @property
    def end_s(self) -> float:
        """When the person is seen last."""
        return float(self.times_s[-1] + self.durations_s[-1])

    @property
    def seen_s(self) -> float:
        """For how long the person is in view."""
        return float(self.durations_s.sum())

    @property
    def emotion(self) -> Emotion:
        """The smoothed distributions, averaged by time."""
        # Frames of a video that stands still have no length.
        weights = self.durations_s if self.durations_s.any() else None
        mean = np.average(self.smoothed.astype(np.float64), axis=0, weights=weights)
        return Emotion(self.labels, tuple((mean / mean.sum()).tolist()))

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds in view by the most probable emotion of the timeline, longest first."""
        return seconds_by_emotion([(segment.duration_s, segment.emotion) for segment in self.timeline])

    def intervals(self) -> list[tuple[float, float]]:
        """Return [start, end) of each interval in which the person is in view without a gap, in seconds."""
        ends = self.times_s + self.durations_s
        gaps = np.flatnonzero(self.times_s[1:] - ends[:-1] > TIME_EPSILON_S)
        firsts, lasts = [0, *(gaps + 1).tolist()], [*gaps.tolist(), len(self) - 1]
        return [(float(self.times_s[a]), float(ends[b])) for a, b in zip(firsts, lasts, strict=True)]

    def at(self, time_s: float) -> TrackPoint | None:
        """Return the person at a time, interpolated between analyzed frames, or None when out of view.

        A person is in view from the beginning of a frame to before its end, as in `intervals`: at a cut, those of the
        scene before are not.

        Parameters
        ----------
        time_s : float
            In seconds of the video.
        """
        i = int(np.searchsorted(self.times_s, time_s + TIME_EPSILON_S, side="right")) - 1
        if i < 0:
            return None
        after_s = time_s - self.times_s[i]
        if after_s > TIME_EPSILON_S and after_s >= self.durations_s[i] - TIME_EPSILON_S:
            return None
        share = 0.0
        follows = i + 1 < len(self) and self.times_s[i + 1] - self.times_s[i] <= self.durations_s[i] + TIME_EPSILON_S
        if follows:
            share = min(max((time_s - self.times_s[i]) / (self.times_s[i + 1] - self.times_s[i]), 0.0), 1.0)
        j = i + 1 if follows else i

        def between(values: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray((1 - share) * values[i] + share * values[j], np.float32)

        landmarks = None if self.landmarks is None else between(self.landmarks)
        return TrackPoint(between(self.boxes), landmarks, between(self.smoothed))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write: the person as a whole; frames are in those of the video."""
        names = ("start_s", "end_s", "seen_s", "emotion", "seconds", "clip", "warnings", "moments", "timeline")
        return {"track": self.number, **{name: to_plain(getattr(self, name)) for name in names}}
