"""Videos: who was seen when, and what their faces showed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.labels import label_set
from mien.results._notebook import frame, html_table, inline
from mien.results.emotion import Emotion
from mien.results.face import Face
from mien.results.frames import TrackedFace, VideoFrame, told
from mien.results.fused import FusedResult
from mien.results.speech import SpeechResult
from mien.results.track import EmotionSegment, FaceTrack, Moment

__all__ = ["VIDEO_METHODS", "VIDEO_TABLES", "PersonSummary", "VideoResult", "VideoSummary"]

VIDEO_METHODS = ("timeline", "middle-frame", "every-nth", "majority-vote")
"""How a video gets its one answer: see `VideoResult`."""

VIDEO_TABLES = ("frames", "tracks", "segments", "speech", "fused")
"""The tables of a video.  Those of speech and fusion are empty where it has no sound, or that was not read."""


@dataclass(frozen=True, slots=True)
class PersonSummary:
    """One person of a video in a few numbers.

    Parameters
    ----------
    track : int
        Number of the person.
    start_s, end_s, seen_s : float
        First and last seen, and for how long in view, in seconds.
    emotion : Emotion
        The person's distributions, averaged by time.
    seconds : dict of str to float
        Seconds in view by the emotion shown, longest first; emotions that never lead are left out.
    moments : tuple of Moment
        The strongest moments, strongest first.
    """

    track: int
    start_s: float
    end_s: float
    seen_s: float
    emotion: Emotion
    seconds: dict[str, float]
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """A video in a few numbers.

    Parameters
    ----------
    duration_s : float
        Length of the video.
    seen_s : float
        For how long at least one face is in view.
    emotion : Emotion or None
        The video's one answer, by its method (see `VideoResult`); None where no face is seen.
    people : tuple of PersonSummary
        The longest seen first.
    speech_s : float
        For how long somebody speaks; 0 also where the sound was not read.
    voice : Emotion or None
        What the voice sounds like, averaged by time; None where nobody speaks or the sound was not read.
    fused : Emotion or None
        What the faces and the voice say together, averaged by time; None where that was not asked.
    """

    duration_s: float
    seen_s: float
    emotion: Emotion | None
    people: tuple[PersonSummary, ...]
    speech_s: float = 0.0
    voice: Emotion | None = None
    fused: Emotion | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; the people are in the video's tracks."""
        return {
            "duration_s": self.duration_s,
            "seen_s": self.seen_s,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "people": [person.track for person in self.people],
            "speech_s": self.speech_s,
            "voice": None if self.voice is None else self.voice.to_dict(),
            "fused": None if self.fused is None else self.fused.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class VideoResult:
    """The people of a video and their emotions over time.

    Parameters
    ----------
    width, height : int
        Size of the frames in pixels, upright.
    duration_s : float
        Length of the video as far as it could be read, in seconds.
    start_s, end_s : float
        What was analyzed of it.
    times_s : numpy.ndarray
        float64 (m,): times of all analyzed frames, also of those without a face.
    tracks : tuple of FaceTrack
        By their numbers: in the order in which the people appear.
    cuts : tuple of float
        Where another scene begins, in seconds.
    frames_read, frames_failed : int
        Frames that were decoded, and frames that could not be and were skipped.
    frame_rate : float or None
        Frames per second on the average, as the video declares it.
    path : str or None
        The file, as it was given; None for arrays and bytes.
    model, detector : str
        Names of what made the answer.
    method : str
        How the video's one answer (``summary.emotion``) comes about.  ``"timeline"``: all smoothed distributions,
        averaged by time and person.  ``"middle-frame"``: the largest face of the frame in the middle.
        ``"every-nth"``: the largest face of every 7th frame after the first 21, averaged.  ``"majority-vote"``: of
        these frames, how often each emotion is the most probable.
    warnings : tuple of str
        What was odd about the video.
    speech : SpeechResult or None
        What its voice sounds like over time; None where it has no sound, or that was not read.
    fused : FusedResult or None
        What faces and voice say together over time; None where that was not asked.
    preview : callable or None
        Returns the drawn timeline as PNG bytes, or None where it cannot be drawn, for notebooks; left out of data and
        pickles.
    """

    width: int
    height: int
    duration_s: float
    start_s: float
    end_s: float
    times_s: NDArray[np.float64]
    tracks: tuple[FaceTrack, ...] = ()
    cuts: tuple[float, ...] = ()
    frames_read: int = 0
    frames_failed: int = 0
    frame_rate: float | None = None
    path: str | None = None
    model: str = ""
    detector: str = ""
    method: str = "timeline"
    warnings: tuple[str, ...] = ()
    speech: SpeechResult | None = None
    fused: FusedResult | None = None
    preview: Callable[[VideoResult], bytes | None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"a video must have a size, but got {self.width} x {self.height}")
        if not (math.isfinite(self.duration_s) and 0 <= self.start_s <= self.end_s):
            raise InputError(f"a video must have 0 <= start_s <= end_s, but got {self.start_s} to {self.end_s}")
        if self.method not in VIDEO_METHODS:
            raise InputError(f"method must be one of {', '.join(VIDEO_METHODS)}, but got {self.method!r}")
        times_s = np.array(self.times_s, np.float64)
        if times_s.ndim != 1 or not (np.diff(times_s) > 0).all():
            raise InputError("times_s must be one row of rising times")
        times_s.setflags(write=False)
        object.__setattr__(self, "times_s", times_s)
        for name in ("tracks", "cuts", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for name in self.__dataclass_fields__ if name != "preview"]
        return (type(self), tuple(getattr(self, name) for name in names))

    def frames(self) -> Iterator[VideoFrame]:
        """Yield every analyzed frame, with its faces."""
        places = [0] * len(self.tracks)
        for time_s in self.times_s.tolist():
            faces = []
            for index, track in enumerate(self.tracks):
                place = places[index]
                if place < len(track) and track.times_s[place] <= time_s:
                    places[index] += 1
                    faces.append(_tracked(track, place))
            yield VideoFrame(time_s, self.width, self.height, tuple(faces))

    @property
    def summary(self) -> VideoSummary:
        """The video in a few numbers."""
        people = sorted(self.tracks, key=lambda track: -track.seen_s)
        heard = None if self.speech is None else self.speech.summary
        return VideoSummary(
            self.duration_s,
            _union_s([stretch for track in self.tracks for stretch in track.stretches()]),
            self._answer(),
            tuple(
                PersonSummary(t.number, t.start_s, t.end_s, t.seen_s, t.emotion, t.seconds, t.moments) for t in people
            ),
            speech_s=0.0 if heard is None else heard.speech_s,
            voice=None if heard is None else heard.emotion,
            fused=None if self.fused is None else self.fused.emotion,
        )

    def _answer(self) -> Emotion | None:
        if not self.tracks:
            return None
        labels = self.tracks[0].labels
        if self.method == "timeline":
            weights = [track.seen_s for track in self.tracks]
            rows = np.array([track.emotion.to_array() for track in self.tracks])
            mean = np.average(rows, axis=0, weights=weights if any(weights) else None)
        else:
            answers = _of_largest(self.tracks)
            votes = np.eye(len(labels))[answers.argmax(axis=1)]
            mean = (votes if self.method == "majority-vote" else answers).mean(axis=0)
        return Emotion(labels, tuple((mean / mean.sum()).tolist()))

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row a face of a frame.

        Path, time_s, track, box, score, detected, emotion, confidence, unsure, and one column an emotion: smoothed.
        """
        return [row for frame_ in self.frames() for row in frame_.rows(self.path)]

    def track_rows(self) -> list[dict[str, Any]]:
        """Return one flat row a person: path, track, times, emotion, confidence, unsure, one column an emotion."""
        return [
            {
                "path": self.path,
                "track": track.number,
                "start_s": track.start_s,
                "end_s": track.end_s,
                "seen_s": track.seen_s,
                **told(track.emotion),
            }
            for track in self.tracks
        ]

    def segment_rows(self) -> list[dict[str, Any]]:
        """Return one flat row a segment of a person's timeline: path, track, segment, times, emotion and so on."""
        return [
            {
                "path": self.path,
                "track": track.number,
                "segment": number,
                "start_s": segment.start_s,
                "end_s": segment.end_s,
                **told(segment.emotion),
            }
            for track in self.tracks
            for number, segment in enumerate(track.timeline, 1)
        ]

    def table(self, name: str = "frames") -> list[dict[str, Any]]:
        """Return the rows of one of `VIDEO_TABLES`.

        Raises
        ------
        InputError
            If there is no such table.
        """
        if name not in VIDEO_TABLES:
            raise InputError(f"table must be one of {', '.join(VIDEO_TABLES)}, but got {name!r}")
        if name == "speech":
            rows = [] if self.speech is None else self.speech.rows()
            # What is before the part that was read is one segment that says nothing.
            return [row for row in rows if row["end_s"] > self.start_s]
        if name == "fused":
            return [] if self.fused is None else self.fused.rows(self.path)
        return {"frames": self.rows, "tracks": self.track_rows, "segments": self.segment_rows}[name]()

    def to_frame(self, library: str | None = None, *, table: str = "frames") -> Any:
        """Return one of the tables as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"}, optional
            Which library; by default pandas where it is installed, else polars.
        table : {"frames", "tracks", "segments", "speech", "fused"}
            See `rows`, `track_rows`, `segment_rows`, `SpeechResult.rows` and `FusedResult.rows`.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            One row a row of the table.

        Raises
        ------
        MissingExtraError
            If the library is not installed.
        InputError
            If the library or the table has another name.
        """
        return frame(self.table(table), library)

    def head(self) -> dict[str, Any]:
        """Return what `to_dict` says of the video as a whole: all but frames, tracks, speech and fusion."""
        return {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "duration_s": self.duration_s,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "frame_rate": self.frame_rate,
            "frames_read": self.frames_read,
            "frames_analyzed": len(self.times_s),
            "frames_failed": self.frames_failed,
            "model": self.model,
            "detector": self.detector,
            "method": self.method,
            "warnings": list(self.warnings),
            "cuts": list(self.cuts),
            "summary": self.summary.to_dict(),
        }

    def outline(self) -> dict[str, Any]:
        """Return what `to_dict` does but for the frames: small also for a long video."""
        return {
            **self.head(),
            "speech": None if self.speech is None else self.speech.to_dict(),
            "fused": None if self.fused is None else self.fused.to_dict(),
            "tracks": [track.to_dict() for track in self.tracks],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write: the video, its voice, both together, its tracks, its frames."""
        return {**self.outline(), "frames": [frame_.to_dict() for frame_ in self.frames()]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoResult:
        """Build from what `to_dict` returned."""
        times_s = np.array([frame_["time_s"] for frame_ in data["frames"]], np.float64)
        lengths_s = np.diff(np.append(times_s, max(data["end_s"], times_s[-1]) if len(times_s) else 0.0))
        found: dict[int, list[tuple[int, TrackedFace]]] = {}
        for place, frame_ in enumerate(data["frames"]):
            for face in frame_["faces"]:
                tracked = TrackedFace.from_dict(face)
                found.setdefault(tracked.track, []).append((place, tracked))
        names = ("width", "height", "duration_s", "start_s", "end_s", "frames_read", "frames_failed", "frame_rate")
        return cls(
            **{name: data[name] for name in (*names, "path", "model", "detector", "method", "warnings", "cuts")},
            times_s=times_s,
            tracks=tuple(_rebuilt(track, found[track["track"]], times_s, lengths_s) for track in data["tracks"]),
            speech=None if data["speech"] is None else SpeechResult.from_dict(data["speech"]),
            fused=None if data["fused"] is None else FusedResult.from_dict(data["fused"]),
        )

    def _repr_png_(self) -> bytes | None:
        return None if self.preview is None else self.preview(self)

    def _repr_html_(self) -> str:
        rows = self.track_rows()
        if not rows:
            return "<p>no face</p>"
        table = html_table(rows, ("track", "start_s", "end_s", "seen_s", "emotion", "confidence", "unsure"))
        return inline(self._repr_png_(), "the video over time") + table


def _tracked(track: FaceTrack, place: int) -> TrackedFace:
    points = None if track.points is None else tuple((x, y) for x, y in track.points[place].tolist())
    answer = Emotion(track.labels, tuple(track.probabilities[place].tolist()))
    face = Face(tuple(track.boxes[place].tolist()), float(track.scores[place]), points, answer)
    smoothed = Emotion(track.labels, tuple(track.smoothed[place].tolist()))
    sharpness = None if track.sharpness is None else float(track.sharpness[place])
    return TrackedFace(track.number, face, smoothed, bool(track.detected[place]), sharpness)


def _union_s(stretches: Sequence[tuple[float, float]]) -> float:
    """Return the length of the time that stretches cover together, in seconds."""
    covered, reached = 0.0, -math.inf
    for start_s, end_s in sorted(stretches):
        covered += max(0.0, end_s - max(start_s, reached))
        reached = max(reached, end_s)
    return covered


def _of_largest(tracks: Sequence[FaceTrack]) -> NDArray[np.float64]:
    """Return the answers to the largest face of each frame that has one, float64 (frames, k)."""
    times_s = np.concatenate([track.times_s for track in tracks])
    boxes = np.concatenate([track.boxes for track in tracks])
    answers = np.concatenate([track.probabilities for track in tracks]).astype(np.float64)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order = np.lexsort((-area, times_s))
    first = np.flatnonzero(np.diff(times_s[order], prepend=-math.inf) > 0)
    chosen: NDArray[np.float64] = answers[order[first]]
    return chosen


def _rebuilt(
    data: dict[str, Any],
    seen: Sequence[tuple[int, TrackedFace]],
    times_s: NDArray[np.float64],
    lengths_s: NDArray[np.float64],
) -> FaceTrack:
    places, faces = [place for place, _ in seen], [face for _, face in seen]
    points, sharp = [face.face.points for face in faces], [face.sharpness for face in faces]
    return FaceTrack(
        number=data["track"],
        labels=label_set(data["emotion"]["labels"]),
        times_s=times_s[places],
        durations_s=lengths_s[places],
        boxes=np.array([face.face.box for face in faces], np.float32),
        scores=np.array([face.face.score for face in faces], np.float32),
        probabilities=np.array([face.face.emotion.probabilities for face in faces if face.face.emotion], np.float32),
        smoothed=np.array([face.smoothed.probabilities for face in faces], np.float32),
        detected=np.array([face.detected for face in faces]),
        points=None if None in points else np.array(points, np.float32),
        sharpness=None if None in sharp else np.array(sharp, np.float32),
        timeline=tuple(EmotionSegment.from_dict(segment) for segment in data["timeline"]),
        moments=tuple(Moment.from_dict(moment) for moment in data["moments"]),
        warnings=tuple(data["warnings"]),
    )
