"""The rows of one person of a video, in few bytes each, until they become a track."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.face.analyzer import SMALL_FACE_PX
from mien.face.track import TrackedDetection
from mien.labels import LabelSet
from mien.results import Emotion, EmotionSegment, Face, FaceTrack, Moment, TrackedFace, VideoFrame
from mien.video.clips import ClipFrames, ClipModel
from mien.video.timeline import certainty, find_episodes, find_moments, smooth

__all__ = ["FacePatch", "GrowingArray", "TrackBuilder"]

_MARGIN = 0.6
"""What is kept around a face, in parts of its box."""

_MOMENTS = 5


class GrowingArray:
    """Rows that are added one by one to an array that grows by doubling.

    Parameters
    ----------
    dtype : type
        Of the array.
    *shape : int
        Of a row.
    """

    def __init__(self, dtype: Any, *shape: int) -> None:
        self._rows = np.zeros((16, *shape), dtype)
        self._count = 0

    def append(self, row: Any) -> int:
        """Add a row, and return its place."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[self._count] = row
        self._count += 1
        return self._count - 1

    def set(self, rows: NDArray[Any]) -> None:
        """Replace all rows."""
        self._rows, self._count = rows, len(rows)

    @property
    def values(self) -> NDArray[Any]:
        """The rows that were added."""
        return self._rows[: self._count]


class TrackBuilder:
    """One person: a row for each frame in which the face was seen.

    Parameters
    ----------
    number : int
        The number of the person.
    labels : LabelSet
        Of the distributions.
    clip_model : ClipModel, optional
        What predicts one emotion from all of the person's faces.
    """

    def __init__(self, number: int, labels: LabelSet, clip_model: ClipModel | None = None) -> None:
        self.number, self._labels, self._clip_model = number, labels, clip_model
        self._clip = ClipFrames(clip_model.input.frames if clip_model else 1)
        self._frames = GrowingArray(np.int64)
        self._boxes = GrowingArray(np.float32, 4)
        self._landmarks = GrowingArray(np.float32, 5, 2)
        self._scores = GrowingArray(np.float32)
        self._probabilities = GrowingArray(np.float32, len(labels))
        self._detected = GrowingArray(np.bool_)
        self._sharpness = GrowingArray(np.float32)
        self._has_landmarks = True

    def append(
        self,
        frame: int,
        detection: TrackedDetection,
        probabilities: NDArray[np.float64],
        sharpness: float,
        crop: NDArray[np.uint8] | None = None,
    ) -> None:
        """Add the face of a frame, which is given by its index, with its crop for a clip model."""
        if crop is not None:
            self._clip.append(frame, crop)
        self._frames.append(frame)
        self._boxes.append(detection.box)
        self._landmarks.append(0.0 if detection.landmarks is None else detection.landmarks)
        self._scores.append(detection.score)
        self._probabilities.append(probabilities)
        self._detected.append(detection.detected)
        self._sharpness.append(sharpness)
        self._has_landmarks &= detection.landmarks is not None

    def merge(self, other: TrackBuilder) -> None:
        """Take the rows of another that turned out to be of the same person; of two in one frame the own one stays."""
        frames = np.concatenate([self._frames.values, other._frames.values])
        _, kept = np.unique(frames, return_index=True)
        for name in ("_frames", "_boxes", "_landmarks", "_scores", "_probabilities", "_detected", "_sharpness"):
            mine, theirs = getattr(self, name), getattr(other, name)
            mine.set(np.concatenate([mine.values, theirs.values])[kept])
        self._clip.merge(other._clip)
        self.number = min(self.number, other.number)
        self._has_landmarks &= other._has_landmarks

    def build(self, times_s: NDArray[np.float64], durations_s: NDArray[np.float64], *, tau_s: float) -> FaceTrack:
        """Return the person's track.

        Parameters
        ----------
        times_s, durations_s : numpy.ndarray
            float64 (m,), of all analyzed frames.
        tau_s : float
            Time constant of the smoothing.
        """
        frames, probabilities = self._frames.values, self._probabilities.values
        times, lengths = times_s[frames], durations_s[frames]
        # A video that ends with its last frame gives that one no length.
        weights = certainty(probabilities) * self._scores.values * np.maximum(lengths, 1e-3)
        smoothed = smooth(times, probabilities, tau_s=tau_s, weights=weights)
        return FaceTrack(
            number=self.number,
            labels=self._labels,
            times_s=times,
            durations_s=lengths,
            boxes=self._boxes.values,
            scores=self._scores.values,
            probabilities=probabilities,
            smoothed=smoothed.astype(np.float32),
            detected=self._detected.values,
            landmarks=self._landmarks.values if self._has_landmarks else None,
            sharpness=self._sharpness.values,
            timeline=self._timeline(times, lengths, smoothed),
            moments=self._moments(times, smoothed),
            clip=self._predict_clip(),
            warnings=self._warnings(),
        )

    def _predict_clip(self) -> Emotion | None:
        crops = self._clip.crops()
        return self._clip_model.predict(np.stack(crops)) if self._clip_model and crops else None

    def _timeline(
        self, times: NDArray[np.float64], lengths: NDArray[np.float64], smoothed: NDArray[np.float64]
    ) -> tuple[EmotionSegment, ...]:
        return tuple(
            EmotionSegment(episode.start_s, episode.end_s, Emotion(self._labels, tuple(episode.mean.tolist())))
            for episode in find_episodes(times, lengths, smoothed)
        )

    def _moments(self, times: NDArray[np.float64], smoothed: NDArray[np.float64]) -> tuple[Moment, ...]:
        names = self._labels.emotions
        ignored = [k for k, name in enumerate(names) if name in ("neutral", "calm")]
        return tuple(
            Moment(float(times[at]), names[k], float(smoothed[at, k]), tuple(self._boxes.values[at].tolist()))
            for at, k in find_moments(times, smoothed, count=_MOMENTS, ignored=ignored)
        )

    def _warnings(self) -> tuple[str, ...]:
        widest = float((self._boxes.values[:, 2] - self._boxes.values[:, 0]).max())
        if widest >= SMALL_FACE_PX:
            return ()
        return (f"the face is never wider than {widest:.0f} px: under {SMALL_FACE_PX} px the answer is a guess",)


@dataclass(frozen=True, slots=True, eq=False)
class FacePatch:
    """The surroundings of a face, kept while the frame itself is not.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (h, w, 3).
    left, top : int
        Where it lay in the frame.
    """

    image: NDArray[np.uint8]
    left: int
    top: int

    @classmethod
    def around(cls, image: NDArray[np.uint8], box: NDArray[np.float32]) -> FacePatch:
        """Copy what lies around a box."""
        x1, y1, x2, y2 = box.tolist()
        across, down = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
        height, width = image.shape[:2]
        left, top = (int(min(max(v, 0), side - 1)) for v, side in ((x1 - across, width), (y1 - down, height)))
        right, bottom = (int(max(v, least + 1)) for v, least in ((x2 + across, left), (y2 + down, top)))
        return cls(image[top : bottom + 1, left : right + 1].copy(), left, top)

    def frame(self, time_s: float, face: TrackedFace) -> VideoFrame:
        """Return the patch as a frame of its own, with the face at its place there."""
        x1, y1, x2, y2 = face.face.box
        landmarks = face.face.landmarks
        moved = Face(
            (x1 - self.left, y1 - self.top, x2 - self.left, y2 - self.top),
            face.face.score,
            None if landmarks is None else tuple((x - self.left, y - self.top) for x, y in landmarks),
            face.face.emotion,
        )
        height, width = self.image.shape[:2]
        return VideoFrame(time_s, width, height, (replace(face, face=moved),))
