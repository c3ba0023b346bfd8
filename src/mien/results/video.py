"""Videos: who is in view when, and what their faces show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mien._checks import count_of
from mien.errors import InputError
from mien.labels import FER7, RAVDESS8, LabelSet
from mien.results.emotion import Emotion, Record, describe_top, mean_emotion, read_emotion, to_plain
from mien.results.face import Face, ImageResult
from mien.results.fused import FusedResult
from mien.results.speech import SpeechResult
from mien.results.tables import MODALITIES, Column, Result, box_values, columns, html_preview, html_table, table_row
from mien.results.track import EmotionSegment, FaceTrack, Moment

__all__ = ["VIDEO_METHODS", "PersonSummary", "TrackedFace", "VideoFrame", "VideoResult", "VideoSummary"]

VIDEO_METHODS = ("timeline", "middle-frame", "every-nth", "majority-vote")
"""How a video gets its one prediction: see `VideoResult`."""


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face in a frame of a video.

    Parameters
    ----------
    track : int
        Number of the person, 1 and up, the same in all frames.
    face : Face
        Box, landmarks and score; its emotion is the prediction for this frame alone.
    smoothed : Emotion
        The prediction smoothed over the frames around it; over those before it while the video is still read.
    detected : bool
        Whether the detector looked at the whole frame; otherwise the face was followed from an earlier one.
    sharpness : float or None
        How sharp the face is, see `mien.face.quality.sharpness`; None where that was not measured.
    """

    track: int
    face: Face
    smoothed: Emotion
    detected: bool = True
    sharpness: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        face = self.face.to_dict()
        return {
            "track": self.track,
            "detected": self.detected,
            "box": face["box"],
            "score": face["score"],
            "sharpness": self.sharpness,
            "landmarks": face["landmarks"],
            "emotion": face["emotion"],
            "smoothed": self.smoothed.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrackedFace:
        """Build from what `to_dict` returned."""
        face = Face.from_dict({**data, "outputs": {}, "warnings": []})
        return cls(data["track"], face, Emotion.from_dict(data["smoothed"]), data["detected"], data["sharpness"])


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One analyzed frame of a video.

    Parameters
    ----------
    time_s : float
        When it is shown, by the video's own clock; zero is where the video begins.
    width, height : int
        Size in pixels, upright.
    faces : tuple of TrackedFace
        By track number; empty when nobody is seen.
    """

    time_s: float
    width: int
    height: int
    faces: tuple[TrackedFace, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "faces", tuple(self.faces))

    def __repr__(self) -> str:
        return f"<VideoFrame at {self.time_s:.3f} s: {count_of(len(self.faces), 'face')}>"

    def image(self) -> ImageResult:
        """Return the frame as the result of an image; its faces have the smoothed emotions."""
        faces = tuple(Face(f.face.box, f.face.score, f.face.landmarks, f.smoothed) for f in self.faces)
        return ImageResult(self.width, self.height, faces)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {"time_s": self.time_s, "faces": to_plain(self.faces)}

    def rows(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of the frame in the table ``frames``, one a face: see `VideoResult.rows`."""
        return [
            table_row(
                "frames",
                face.smoothed.labels,
                path,
                {
                    "time_s": self.time_s,
                    "track": face.track,
                    **box_values(face.face.box, face.face.score),
                    "detected": face.detected,
                },
                emotion=face.smoothed,
            )
            for face in self.faces
        ]


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
class VideoSummary(Record):
    """A video in a few numbers.

    Parameters
    ----------
    duration_s : float
        Length of the video.
    seen_s : float
        For how long at least one face is in view.
    emotion : Emotion or None
        The video's one prediction, by its method (see `VideoResult`); None where no face is seen.
    people : tuple of PersonSummary
        The longest seen first.
    speech_s : float
        For how long somebody speaks; 0 also where the sound was not read.
    voice : Emotion or None
        What the voice sounds like, averaged by time; None where nobody speaks or the sound was not read.
    fused : Emotion or None
        What the faces and the voice say together, averaged by time; None where that was not asked.
    clip : Emotion or None
        The predictions of a model for clips for all people, averaged by the time in view; None without such a model.
    """

    duration_s: float
    seen_s: float
    emotion: Emotion | None
    people: tuple[PersonSummary, ...] = field(repr=False)
    speech_s: float = 0.0
    voice: Emotion | None = None
    fused: Emotion | None = None
    clip: Emotion | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; the people are in the video's tracks."""
        return {**Record.to_dict(self), "people": [person.track for person in self.people]}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VideoResult(Result):
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
    model, detector, clip_model : str
        Names of what made the predictions; ``clip_model`` is empty where no model for clips was used.
    method : str
        How the video's one prediction (``summary.emotion``) comes about.  ``"timeline"``: all smoothed distributions,
        averaged by time and person.  ``"middle-frame"``: the largest face of the frame in the middle.
        ``"every-nth"``: the largest face of every 7th frame after the first 21, averaged.  ``"majority-vote"``: of
        these frames, how often each emotion is the most probable.
    warnings : tuple of str
        What was odd about the video.
    speech : SpeechResult or None
        What its voice sounds like over time; None where it has no sound, or that was not read.
    fused : FusedResult or None
        What faces and voice say together over time; None where that was not asked.
    labels : LabelSet, optional
        The emotions of the faces; by default those of the tracks, and of none those of ``fer7``.
    preview : callable or None
        Returns the drawn timeline as PNG bytes, or None where it cannot be drawn, for notebooks; left out of data and
        pickles.
    """

    tables: ClassVar[tuple[str, ...]] = ("frames", "tracks", "segments", "speech", "fused")

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
    labels: LabelSet = None  # type: ignore[assignment]  # set below
    clip_model: str = ""
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
        if self.labels is None:
            object.__setattr__(self, "labels", self.tracks[0].labels if self.tracks else FER7)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), tuple(getattr(self, entry.name) for entry in fields(self) if entry.name != "preview"))

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
        voice = None if self.speech is None else self.speech.summary
        return VideoSummary(
            self.duration_s,
            _union_s([interval for track in self.tracks for interval in track.intervals()]),
            self._overall_emotion(),
            tuple(
                PersonSummary(t.number, t.start_s, t.end_s, t.seen_s, t.emotion, t.seconds, t.moments) for t in people
            ),
            speech_s=0.0 if voice is None else voice.speech_s,
            voice=None if voice is None else voice.emotion,
            fused=None if self.fused is None else self.fused.emotion,
            clip=self._mean(clips=True),
        )

    def _mean(self, *, clips: bool = False) -> Emotion | None:
        """Return the mean of the people's emotions by the time that each is in view, or of those of their clips."""
        emotions = [(track.clip if clips else track.emotion, track.seen_s) for track in self.tracks]
        known = [(emotion, seen_s) for emotion, seen_s in emotions if emotion is not None]
        return mean_emotion([emotion for emotion, _ in known], [seen_s for _, seen_s in known])

    def _overall_emotion(self) -> Emotion | None:
        if not self.tracks:
            return None
        labels = self.tracks[0].labels
        if self.method == "timeline":
            return self._mean()
        predictions = _of_largest(self.tracks)
        votes = np.eye(len(labels))[predictions.argmax(axis=1)]
        mean = (votes if self.method == "majority-vote" else predictions).mean(axis=0)
        return Emotion(labels, tuple((mean / mean.sum()).tolist()))

    def columns(self, table: str | None = None) -> tuple[Column, ...]:
        """Return the columns of one of `tables`."""
        name = self._table(table)
        return columns(name, self.labels_of(name), self._modalities)

    def rows(self, table: str | None = None, *, streamed: bool = False) -> list[dict[str, Any]]:
        """Return the rows of a table, and one with path and warnings where the video has warnings or the table none.

        Parameters
        ----------
        table : {"frames", "tracks", "segments", "speech", "fused"}
            A row a face of a frame, a person, a segment of a person's timeline, of the voice, or of face and voice.
        streamed : bool
            Leave out the frames, whose rows were written as they came (see `VideoFrame.rows`).

        Raises
        ------
        InputError
            If there is no such table.
        """
        name = self._table(table)
        rows = [] if streamed and name == "frames" else list(self._rows_of(name))
        if self.warnings or not (self.tracks if name == "frames" else rows):
            labels, modalities = self.labels_of(name), self._modalities
            rows.append(table_row(name, labels, self.path, warnings=self.warnings, modalities=modalities))
        return rows

    @property
    def _modalities(self) -> tuple[str, ...]:
        return MODALITIES if self.fused is None else self.fused.modalities

    def labels_of(self, table: str) -> LabelSet:
        """Return the emotions of one of `tables`."""
        if table == "speech":
            return RAVDESS8 if self.speech is None else self.speech.labels
        if table == "fused":
            return FER7 if self.fused is None else self.fused.labels
        return self.labels

    def _rows_of(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of what was found, without that of the warnings."""
        if table == "frames":
            for frame in self.frames():
                yield from frame.rows(self.path)
        elif table == "speech" and self.speech is not None:
            for number, segment in enumerate(self.speech.segments, 1):
                # What is before the part that was read is one segment that says nothing.
                if segment.end_s > self.start_s:
                    yield segment.row(self.path, number, self.speech.labels)
        elif table == "fused" and self.fused is not None:
            for number, fused in enumerate(self.fused.segments, 1):
                yield fused.row(self.path, number, self.fused.labels)
        for track in self.tracks if table in ("tracks", "segments") else ():
            if table == "tracks":
                values = {
                    "track": track.number,
                    **{name: getattr(track, name) for name in ("start_s", "end_s", "seen_s")},
                }
                if track.clip is not None:
                    values |= {"clip": track.clip.top, "clip_confidence": track.clip.confidence}
                yield table_row(table, self.labels, self.path, values, emotion=track.emotion, warnings=track.warnings)
                continue
            for number, part in enumerate(track.timeline, 1):
                values = {"track": track.number, "segment": number, "start_s": part.start_s, "end_s": part.end_s}
                yield table_row(table, self.labels, self.path, values, emotion=part.emotion)

    def to_dict(self, *, frames: bool = True) -> dict[str, Any]:
        """Return plain data that `json` can write: the video, its voice, both together, its tracks, its frames.

        Parameters
        ----------
        frames : bool
            With the frames; without them it is small also for a long video.
        """
        first = ("path", "width", "height", "duration_s", "start_s", "end_s", "frame_rate", "frames_read")
        last = ("frames_failed", "model", "detector", "method", "clip_model", "labels", "warnings", "cuts", "summary")
        data = {name: to_plain(getattr(self, name)) for name in first}
        data["frames_analyzed"] = len(self.times_s)
        data |= {name: to_plain(getattr(self, name)) for name in (*last, "speech", "fused", "tracks")}
        if frames:
            data["frames"] = [frame.to_dict() for frame in self.frames()]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoResult:
        """Build from what `to_dict` returned."""
        times_s = np.array([frame["time_s"] for frame in data["frames"]], np.float64)
        lengths_s = np.diff(np.append(times_s, max(data["end_s"], times_s[-1]) if len(times_s) else 0.0))
        found: dict[int, list[tuple[int, TrackedFace]]] = {}
        for place, frame in enumerate(data["frames"]):
            for face in frame["faces"]:
                tracked = TrackedFace.from_dict(face)
                found.setdefault(tracked.track, []).append((place, tracked))
        names = ("width", "height", "duration_s", "start_s", "end_s", "frames_read", "frames_failed", "frame_rate")
        return cls(
            **{
                name: data[name]
                for name in (*names, "path", "model", "detector", "method", "clip_model", "warnings", "cuts")
            },
            times_s=times_s,
            tracks=tuple(_rebuilt(track, found[track["track"]], times_s, lengths_s) for track in data["tracks"]),
            speech=None if data["speech"] is None else SpeechResult.from_dict(data["speech"]),
            fused=None if data["fused"] is None else FusedResult.from_dict(data["fused"]),
            labels=LabelSet.from_data(data["labels"]),
        )

    def _summarize(self) -> str:
        people, frames = count_of(len(self.tracks), "person", "people"), count_of(len(self.times_s), "frame")
        size, shown = f"{self.width} x {self.height} px", describe_top(self.summary.emotion)
        return f"{self.duration_s:.1f} s, {size}, {frames}, {people}, {shown}"

    def _repr_html_(self) -> str:
        if not self.tracks:
            return "<p>no face</p>"
        table = html_table(
            list(self._rows_of("tracks")), ("track", "start_s", "end_s", "seen_s", "emotion", "confidence", "unsure")
        )
        return html_preview(self, "the video over time") + table


def _tracked(track: FaceTrack, place: int) -> TrackedFace:
    landmarks = None if track.landmarks is None else tuple((x, y) for x, y in track.landmarks[place].tolist())
    emotion = Emotion(track.labels, tuple(track.probabilities[place].tolist()))
    face = Face(tuple(track.boxes[place].tolist()), float(track.scores[place]), landmarks, emotion)
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
    """Return the predictions for the largest face of each frame that has one, float64 (frames, k)."""
    times_s = np.concatenate([track.times_s for track in tracks])
    boxes = np.concatenate([track.boxes for track in tracks])
    predictions = np.concatenate([track.probabilities for track in tracks]).astype(np.float64)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order = np.lexsort((-area, times_s))
    first = np.flatnonzero(np.diff(times_s[order], prepend=-math.inf) > 0)
    chosen: NDArray[np.float64] = predictions[order[first]]
    return chosen


def _rebuilt(
    data: dict[str, Any],
    found: Sequence[tuple[int, TrackedFace]],
    times_s: NDArray[np.float64],
    lengths_s: NDArray[np.float64],
) -> FaceTrack:
    places, faces = [place for place, _ in found], [face for _, face in found]
    landmarks, sharp = [face.face.landmarks for face in faces], [face.sharpness for face in faces]
    return FaceTrack(
        number=data["track"],
        labels=Emotion.from_dict(data["emotion"]).labels,
        times_s=times_s[places],
        durations_s=lengths_s[places],
        boxes=np.array([face.face.box for face in faces], np.float32),
        scores=np.array([face.face.score for face in faces], np.float32),
        probabilities=np.array([face.face.emotion.probabilities for face in faces if face.face.emotion], np.float32),
        smoothed=np.array([face.smoothed.probabilities for face in faces], np.float32),
        detected=np.array([face.detected for face in faces]),
        landmarks=None if None in landmarks else np.array(landmarks, np.float32),
        sharpness=None if None in sharp else np.array(sharp, np.float32),
        timeline=tuple(EmotionSegment.from_dict(segment) for segment in data["timeline"]),
        moments=tuple(Moment.from_dict(moment) for moment in data["moments"]),
        clip=read_emotion(data["clip"]),
        warnings=tuple(data["warnings"]),
    )
