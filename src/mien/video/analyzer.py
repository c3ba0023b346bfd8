"""Faces of videos: who is seen when, and what the faces show, frame by frame in constant memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number
from mien.errors import InputError
from mien.face.adapt import BASELINE_STRENGTH, baseline_bias, subtract_bias
from mien.face.align import Crop, model_crop
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import Detector
from mien.face.quality import sharpness
from mien.face.track import FaceTracker, TrackedDetection
from mien.io.image import read_image
from mien.io.paths import format_path
from mien.io.sniff import detect_kind
from mien.io.video import iter_frames
from mien.labels import LabelSet, mapping
from mien.models import ModelSpec, Output
from mien.models.emotion import softmax
from mien.options import ModelOptions, VideoOptions
from mien.results import Emotion, Face, FaceTrack, TrackedFace, VideoFrame, VideoResult
from mien.video.clips import ClipModel
from mien.video.timeline import Smoother, certainty
from mien.video.tracks import FacePatch, GrowingArray, TrackBuilder

__all__ = ["DETECT_EVERY_S", "SMOOTH_S", "FaceStream", "VideoAnalyzer"]

SMOOTH_S = 0.4
"""Time constant of the smoothing: expressions last from half a second to four (see `mien.video.timeline`)."""

DETECT_EVERY_S = 0.5
"""How often the whole frame is searched; between, faces are followed."""

_FORGET_S = 30.0
"""A person who was away for so long starts again with an empty memory of predictions."""

_MOST_RESTING = 256
"""People whose faces at rest are remembered: a video without end may show any number."""

Image = NDArray[np.uint8]
FrameCallback = Callable[[Image, VideoFrame], None]


class VideoAnalyzer:
    """Reads the emotions of faces in videos, frame by frame with their times.

    The model and the detector are loaded once; any number of videos may be analyzed at the same time, each by its own
    `stream`.

    Parameters
    ----------
    model, detector, output, min_face_px, device, engine, precision, flip
        As for `mien.FaceAnalyzer`, which raises the same errors.
    max_faces : int, optional
        Only the largest so many faces of a frame; by default all.
    min_seen_s : float
        Leave out people who are never seen for so many seconds at a stretch.
    detect_every_s : float
        How often the whole frame is searched for faces, in seconds; between, faces are followed.  Zero searches every
        frame.
    smooth_s : float
        Time constant of the smoothing (see `mien.video.timeline.smooth`); zero smooths nothing.
    clip_model : str or os.PathLike or ModelSpec, optional
        A model for clips (see `mien.video.clips.ClipModel`), which predicts one emotion for each person and for the
        video, beside the model for faces.
    baseline : float, str or os.PathLike, optional
        A face at rest, whose predictions are subtracted from those of the faces (see `mien.face.adapt.baseline_bias`):
        an image, whose largest face it is, or a video, whose longest track it is, for all faces; or how many seconds
        each person is at rest after coming into view first.
    baseline_strength : float
        How much of it is subtracted, from 0 to 1.
    threads : int, optional
        Threads within one call; by default one, since decoding takes another.

    Raises
    ------
    MediaError
        If the baseline cannot be read.
    InputError
        If the baseline shows no face.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSpec = "face-base",
        *,
        detector: str | Detector = "mtcnn",
        output: str | None = None,
        min_face_px: float | None = None,
        max_faces: int | None = None,
        min_seen_s: float = 0.0,
        detect_every_s: float = DETECT_EVERY_S,
        smooth_s: float = SMOOTH_S,
        clip_model: str | os.PathLike[str] | ModelSpec | None = None,
        baseline: float | str | os.PathLike[str] | None = None,
        baseline_strength: float = BASELINE_STRENGTH,
        threads: int | None = 1,
        device: str = "cpu",
        engine: str = "onnxruntime",
        precision: str = "float32",
        flip: bool = False,
    ) -> None:
        self.max_faces = None if max_faces is None else check_integer(max_faces, "max_faces", low=1)
        self.min_seen_s = check_number(min_seen_s, "min_seen_s", low=0)
        self.detect_every_s = check_number(detect_every_s, "detect_every_s", low=0)
        self.smooth_s = check_number(smooth_s, "smooth_s", low=0)
        self.faces = FaceAnalyzer(
            model,
            detector=detector,
            output=output,
            min_face_px=min_face_px,
            threads=threads,
            device=device,
            engine=engine,
            precision=precision,
            flip=flip,
        )
        self._crop = Crop.from_dict(self.faces.spec.crop)
        self.clip_model: ClipModel | None = None
        if clip_model is not None:
            self.clip_model = ClipModel(clip_model, threads=threads, device=device, engine=engine)
        self.baseline_strength = baseline_strength
        self.baseline_s: float | None = None
        self._bias: NDArray[np.float64] | None = None
        if isinstance(baseline, float | int):
            self.baseline_s = check_number(baseline, "baseline", low=0)
            self.bias_of(np.ones((1, len(self.labels))))  # whether there can be one
        elif baseline is not None:
            self._bias = self.bias_of(self._read_baseline(baseline))

    @classmethod
    def from_options(cls, options: ModelOptions, video: VideoOptions | None = None) -> Self:
        """Return an analyzer of the options of an analysis, loaded; on one thread where they say nothing."""
        video = video or VideoOptions()
        names = ("model", "detector", "output", "min_face_px", "device", "engine", "precision", "flip")
        return cls(
            **{name: getattr(options, name) for name in names},
            threads=options.threads or 1,
            **{name: getattr(video, name) for name in ("max_faces", "min_seen_s", "smooth_s", "clip_model")},
            baseline=video.baseline,
            baseline_strength=video.baseline_strength,
        )

    @property
    def spec(self) -> ModelSpec:
        """The record of the model."""
        return self.faces.spec

    @property
    def output(self) -> Output:
        """The output that is read."""
        return self.faces.output

    @property
    def labels(self) -> LabelSet:
        """The emotions of the predictions."""
        return self.faces.labels

    @property
    def detector(self) -> str:
        """Name of the detector."""
        return self.faces.detector

    def stream(
        self, *, live: bool = False, alone: bool = False, keep: bool = True, on_frame: FrameCallback | None = None
    ) -> FaceStream:
        """Begin a video that comes frame by frame.

        Parameters
        ----------
        live : bool
            Give each frame back at once, with those people alone that are certain by then; otherwise frames wait until
            it is known which of their faces are real.
        alone : bool
            Look at each frame by itself: every one is searched, nothing is smoothed, no face is doubted.
        keep : bool
            Keep what the result needs; without it there is none, and a video without end needs no more memory.
        on_frame : callable, optional
            Called with images and their frames, as they are given back: a whole frame, or the surroundings of one face
            as an image of its own, with its place in that.
        """
        return FaceStream(self, live=live, alone=alone, keep=keep, on_frame=on_frame)

    def analyze(self, frames: Iterable[tuple[Image, float]]) -> VideoResult:
        """Analyze frames that are at hand.

        Parameters
        ----------
        frames : iterable of (numpy.ndarray, float)
            uint8 (H, W, 3), RGB, and the time in seconds, rising.

        Returns
        -------
        VideoResult
            The last frame stands for as long as the one before.

        Raises
        ------
        InputError
            If a frame is no image, times do not rise, or there is no frame.
        """
        stream = self.stream()
        for image, time_s in frames:
            stream.push(image, time_s)
        stream.close()
        return stream.result()

    def predict(self, image: Image, faces: Sequence[TrackedDetection]) -> tuple[NDArray[np.float64], list[float]]:
        """Return the distributions of faces of a frame, float64 (n, k), and how sharp each face is."""
        if not faces:
            return np.zeros((0, len(self.labels))), []
        crops = [model_crop(image, face.box, face.landmarks, self._crop, self.detector) for face in faces]
        shares = softmax(self.faces.logits(np.stack(crops))[self.output.name], self.output.temperature)
        if self.labels != self.output.labels:
            shares = mapping(self.output.labels, self.labels).apply(shares)
        if self._bias is not None:
            shares = subtract_bias(shares, self._bias)
        return shares, [sharpness(crop) for crop in crops]

    def bias_of(self, resting: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is subtracted from the log probabilities of a person, (k,), whose face at rest gets (n, k)."""
        return baseline_bias(resting, self.labels, strength=self.baseline_strength)

    def _read_baseline(self, source: str | os.PathLike[str]) -> NDArray[np.float64]:
        """Return the distributions of a face at rest, float64 (n, k), from an image or video."""
        if detect_kind(source) == "video":
            with iter_frames(source, step_s=VideoOptions().step_s) as frames:
                tracks = self.analyze((frame.image, frame.time_s) for frame in frames).tracks
            found = [track.probabilities for track in sorted(tracks, key=lambda track: -track.seen_s)]
        else:
            faces = self.faces.analyze(read_image(source).pixels, quiet=True).faces
            found = [np.array([face.emotion.probabilities]) for face in faces if face.emotion is not None]
        if not found:
            raise InputError(f"found no face in the baseline {format_path(os.fspath(source))}")
        return found[0].astype(np.float64)


@dataclass(slots=True, eq=False)
class _Face:
    """One face of a frame that is not settled back yet."""

    detection: TrackedDetection
    probabilities: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    sharpness: float
    crop: NDArray[np.uint8] | None = None
    patch: FacePatch | None = None


@dataclass(slots=True, eq=False)
class _PendingFrame:
    """A frame that is not settled back yet, with what may still be shown of it."""

    time_s: float
    size: tuple[int, int]
    faces: list[_Face]
    image: Image | None


class FaceStream:
    """One video on its way through a `VideoAnalyzer`.

    Memory does not grow with the frames that were pushed, but for what the result needs of each face: about 150 bytes.

    Parameters
    ----------
    analyzer, live, alone, keep, on_frame
        See `VideoAnalyzer.stream`.
    """

    def __init__(
        self, analyzer: VideoAnalyzer, *, live: bool, alone: bool, keep: bool, on_frame: FrameCallback | None
    ) -> None:
        self._analyzer, self._live, self._alone, self._keep, self._on_frame = analyzer, live, alone, keep, on_frame
        self._tau_s = 0.0 if alone else analyzer.smooth_s
        self._tracker = FaceTracker(
            analyzer.faces.face_detector,
            detect_every_s=0.0 if alone else analyzer.detect_every_s,
            max_faces=analyzer.max_faces,
            min_seen_s=0.0 if alone else analyzer.min_seen_s,
        )
        self._smoothers: dict[int, tuple[float, Smoother]] = {}
        self._resting: dict[int, tuple[float, list[NDArray[np.float64]]]] = {}
        self._pending: deque[_PendingFrame] = deque()
        self._builders: dict[int, TrackBuilder] = {}
        self._last = 0
        self._times = GrowingArray(np.float64)
        self._size: tuple[int, int] | None = None
        self._last_s = -1.0

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the first frame; None before it."""
        return self._size

    @property
    def reached_s(self) -> float:
        """Time of the last frame that was pushed; 0 before the first."""
        return max(self._last_s, 0.0)

    def push(self, image: Image, time_s: float) -> tuple[VideoFrame, ...]:
        """Look at the next frame.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB; gray (H, W) works too.
        time_s : float
            When it is shown, in seconds: later than the frame before.

        Returns
        -------
        tuple of VideoFrame
            The frames that are settled by now, in order: often this one, sometimes none or several.

        Raises
        ------
        InputError
            If the array is no image, or the time does not rise.
        """
        image = check_image(image)
        time_s = check_number(time_s, "time_s", low=0)
        if time_s <= self._last_s:
            raise InputError(f"frames must come in the order of their times, but {time_s} follows {self._last_s}")
        self._last_s = time_s
        self._size = self._size or (image.shape[1], image.shape[0])
        self._pending.append(self._analyze(image, time_s))
        settled = self._pop_settled(final=self._live or self._alone)
        for pending in self._pending:
            self._trim(pending)
        return settled

    def close(self) -> tuple[VideoFrame, ...]:
        """Return the frames that are left: no frame follows."""
        self._tracker.close()
        return self._pop_settled(final=True)

    def _analyze(self, image: Image, time_s: float) -> _PendingFrame:
        tracked = self._tracker.update(image, time_s)
        rows, sharp = self._analyzer.predict(image, tracked)
        if self._analyzer.baseline_s is not None:
            for at, face in enumerate(tracked):
                rows[at] = self._above_rest(self._tracker.final_number(face.number), time_s, rows[at])
        weights = certainty(rows) if len(rows) else rows
        faces = []
        for face, row, weight, clear in zip(tracked, rows, weights, sharp, strict=True):
            smoothed = self._smoother(face.number, time_s).push(time_s, row, weight=float(weight))
            faces.append(_Face(face, row, smoothed, clear, self._clip_crop(image, face)))
        return _PendingFrame(time_s, (image.shape[1], image.shape[0]), faces, image if self._on_frame else None)

    def _above_rest(self, person: int, time_s: float, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a prediction for a person less what their face shows at rest, as far as that is known by now."""
        assert self._analyzer.baseline_s is not None
        since_s, resting = self._resting.setdefault(person, (time_s, []))
        if len(self._resting) > _MOST_RESTING:
            del self._resting[next(iter(self._resting))]
        if not resting or time_s < since_s + self._analyzer.baseline_s:
            resting.append(row.copy())
        return subtract_bias(row, self._analyzer.bias_of(np.array(resting)))

    def _clip_crop(self, image: Image, face: TrackedDetection) -> NDArray[np.uint8] | None:
        """Return the face as a clip model takes it, if there is one and a result."""
        if self._analyzer.clip_model is None or not self._keep:
            return None
        return model_crop(image, face.box, face.landmarks, self._analyzer.clip_model.crop, self._analyzer.detector)

    def _smoother(self, person: int, time_s: float) -> Smoother:
        seen_s, smoother = self._smoothers.get(person, (time_s, Smoother(self._tau_s)))
        if time_s - seen_s > _FORGET_S:
            smoother = Smoother(self._tau_s)
        self._smoothers[person] = (time_s, smoother)
        if len(self._smoothers) > 64:
            self._smoothers = {i: kept for i, kept in self._smoothers.items() if time_s - kept[0] <= _FORGET_S}
        return smoother

    def _pop_settled(self, *, final: bool) -> tuple[VideoFrame, ...]:
        """Return frames from the oldest on: as far as it is known which faces are real, or all if ``final``."""
        settled = []
        while self._pending:
            pending = self._pending[0]
            known = [(face, self._tracker.is_confirmed(face.detection.number)) for face in pending.faces]
            if not final and any(real is None for _, real in known):
                break
            self._pending.popleft()
            faces = [face for face, real in known if real or self._alone]
            settled.append(self._settle(pending, faces))
        return tuple(settled)

    def _settle(self, pending: _PendingFrame, faces: Sequence[_Face]) -> VideoFrame:
        row = self._times.append(pending.time_s) if self._keep else 0
        if not self._keep:
            self._tracker.cuts.clear()
        tracked = []
        for face in faces:
            builder = self._builder(face.detection.number)
            if self._keep:
                builder.append(row, face.detection, face.probabilities, face.sharpness, face.crop)
            tracked.append(_tracked_face(builder.number, face, self._analyzer.labels))
        frame = VideoFrame(pending.time_s, *pending.size, tuple(sorted(tracked, key=lambda face: face.track)))
        if self._on_frame is not None:
            self._show(pending, frame, {self._builder(face.detection.number).number: face for face in faces})
        return frame

    def _builder(self, number: int) -> TrackBuilder:
        """Return the rows of a person by the number that the tracker gave, which may turn out to be another's."""
        person = self._tracker.final_number(number)
        before = self._builders.pop(number, None) if person != number else None
        builder = self._builders.get(person)
        if builder is None:
            self._last += before is None
            builder = before or TrackBuilder(self._last, self._analyzer.labels, self._analyzer.clip_model)
        elif before is not None:
            builder.merge(before)
        self._builders[person] = builder
        return builder

    def _show(self, pending: _PendingFrame, frame: VideoFrame, faces: dict[int, _Face]) -> None:
        assert self._on_frame is not None
        if pending.image is not None:
            self._on_frame(pending.image, frame)
            return
        for face in frame.faces:
            patch = faces[face.track].patch
            if patch is not None:
                self._on_frame(patch.image, patch.frame(frame.time_s, face))

    def _trim(self, pending: _PendingFrame) -> None:
        """Keep of a frame that waits only what is around its faces."""
        if pending.image is None:
            return
        for face in pending.faces:
            face.patch = FacePatch.around(pending.image, face.detection.box)
        pending.image = None

    def result(
        self,
        *,
        duration_s: float | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        method: str = "timeline",
        warnings: Sequence[str] = (),
        **more: Any,
    ) -> VideoResult:
        """Return what the frames that were settled back say.

        Parameters
        ----------
        duration_s : float, optional
            Length of the video; by default to the end of the last frame.
        start_s, end_s : float, optional
            What was analyzed of it; by default from 0 to the end of the last frame.
        method : str
            See `mien.VideoResult`.
        warnings : sequence of str
            What was odd about the video.
        **more
            Further fields of the result: path, frames_read, frames_failed, frame_rate.

        Raises
        ------
        InputError
            If no frame was pushed, or nothing was kept.
        """
        if not self._keep:
            raise InputError("a stream that keeps nothing has no result")
        if self._size is None:
            raise InputError("a video must have at least one frame, but none was pushed")
        times_s = self._times.values
        last_s = float(times_s[-1]) if len(times_s) else 0.0
        step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
        end_s = max(last_s + step_s if end_s is None else end_s, last_s)
        durations_s = np.diff(np.append(times_s, end_s))
        return VideoResult(
            *self._size,
            duration_s=max(end_s, duration_s or 0.0),
            start_s=min(start_s, end_s),
            end_s=end_s,
            times_s=times_s,
            tracks=self._tracks(times_s, durations_s),
            cuts=tuple(self._tracker.cuts),
            model=self._analyzer.spec.name,
            clip_model="" if self._analyzer.clip_model is None else self._analyzer.clip_model.spec.name,
            detector=self._analyzer.detector,
            method=method,
            warnings=tuple(warnings),
            labels=self._analyzer.labels,
            **more,
        )

    def _tracks(self, times_s: NDArray[np.float64], durations_s: NDArray[np.float64]) -> tuple[FaceTrack, ...]:
        for number in list(self._builders):
            if number in self._builders:
                self._builder(number)
        builders = sorted(self._builders.values(), key=lambda builder: builder.number)
        return tuple(builder.build(times_s, durations_s, tau_s=self._tau_s) for builder in builders)


def _tracked_face(number: int, face: _Face, labels: LabelSet) -> TrackedFace:
    found = face.detection
    landmarks = None if found.landmarks is None else tuple((x, y) for x, y in found.landmarks.tolist())
    emotion = Emotion(labels, tuple(face.probabilities.tolist()))
    smoothed = Emotion(labels, tuple(face.smoothed.tolist()))
    own = Face(tuple(found.box.tolist()), float(found.score), landmarks, emotion)
    return TrackedFace(number, own, smoothed, found.detected, float(np.float32(face.sharpness)))
