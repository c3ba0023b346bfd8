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
from mien.face.align import Crop, model_crop
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import Detector
from mien.face.quality import sharpness
from mien.face.track import FaceTracker, Tracked
from mien.labels import LabelSet, mapping
from mien.models import ModelSpec, Output
from mien.models.emotion import softmax
from mien.options import ModelOptions, VideoOptions
from mien.results import Emotion, Face, FaceTrack, TrackedFace, VideoFrame, VideoResult
from mien.timeline import Smoother, certainty
from mien.video._course import Course, Patch, Times

__all__ = ["DETECT_EVERY_S", "SMOOTH_S", "FaceStream", "VideoAnalyzer"]

SMOOTH_S = 0.4
"""Time constant of the smoothing: expressions last from half a second to four (Ekman 2003, see `timeline.course`)."""

DETECT_EVERY_S = 0.5
"""How often the whole frame is searched; between, faces are followed."""

_FORGET_S = 30.0
"""A person who was away for so long starts again with an empty memory of answers."""

Image = NDArray[np.uint8]
FrameCallback = Callable[[Image, VideoFrame], None]


class VideoAnalyzer:
    """Reads the emotions of faces in videos, frame by frame with their times.

    The model and the detector are loaded once; any number of videos may be analyzed at the same time, each by its own
    `stream`.

    Parameters
    ----------
    model : str or os.PathLike or ModelSpec
        Name of a shipped model, a record, or a run folder.
    detector : str or Detector
        One of `mien.face.detect.DETECTORS`, or an object with that protocol.
    output : str, optional
        Which of the model's outputs answers, or a label set that its default output maps to; by default the output that
        its record names.
    min_face_px : float, optional
        Width of the smallest face to look for, in pixels; by default the detector chooses from the size of the frames.
    max_faces : int, optional
        Only the largest so many faces of a frame; by default all.
    detect_every_s : float
        How often the whole frame is searched for faces, in seconds; between, faces are followed.  Zero searches every
        frame.
    smooth_s : float
        Time constant of the smoothing (see `mien.timeline.smooth`); zero smooths nothing.
    threads : int, optional
        Threads within one call; by default one, since decoding takes another.
    device : str
        ``"cpu"``, or ``"cuda"`` where the installed runtime has it.
    engine : str
        What reads the emotions: ``"onnxruntime"``, or ``"openvino"`` where that extra is installed.  Faces are found by
        ONNX Runtime in float32 whatever is said here: on one thread it is the faster there.
    precision : str
        ``"float32"``; ``"bfloat16"`` for the emotions with OpenVINO, on processors that have it; ``"int8"`` with either
        engine, for models that have such a graph.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    ModelError
        If the model is not for faces, or its weights are missing or damaged.
    InputError
        If another argument is wrong.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelSpec = "face-base",
        *,
        detector: str | Detector = "mtcnn",
        output: str | None = None,
        min_face_px: float | None = None,
        max_faces: int | None = None,
        detect_every_s: float = DETECT_EVERY_S,
        smooth_s: float = SMOOTH_S,
        threads: int | None = 1,
        device: str = "cpu",
        engine: str = "onnxruntime",
        precision: str = "float32",
    ) -> None:
        self.max_faces = None if max_faces is None else check_integer(max_faces, "max_faces", low=1)
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
        )
        self._crop = Crop.from_dict(self.faces.spec.crop)

    @classmethod
    def from_options(cls, options: ModelOptions, video: VideoOptions | None = None) -> Self:
        """Return an analyzer of the options of an analysis, loaded; on one thread where they say nothing."""
        video = video or VideoOptions()
        names = ("model", "detector", "output", "min_face_px", "device", "engine", "precision")
        return cls(
            **{name: getattr(options, name) for name in names},
            threads=options.threads or 1,
            max_faces=video.max_faces,
            smooth_s=video.smooth_s,
        )

    @property
    def spec(self) -> ModelSpec:
        """The record of the model."""
        return self.faces.spec

    @property
    def output(self) -> Output:
        """The output that answers."""
        return self.faces.output

    @property
    def labels(self) -> LabelSet:
        """The emotions of the answers."""
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
            Keep what the result tells; without it there is none, and a video without end needs no more memory.
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

    def read(self, image: Image, faces: Sequence[Tracked]) -> tuple[NDArray[np.float64], list[float]]:
        """Return the distributions of faces of a frame, float64 (n, k), and how sharp each face is."""
        if not faces:
            return np.zeros((0, len(self.labels))), []
        crops = [model_crop(image, face.box, face.landmarks, self._crop, self.detector) for face in faces]
        logits = self.faces.tensors(np.stack(crops), [self.output.tensor])[self.output.tensor]
        shares = softmax(logits, self.output.temperature)
        if self.labels != self.output.labels:
            shares = mapping(self.output.labels, self.labels).apply(shares)
        return shares, [sharpness(crop) for crop in crops]


@dataclass(slots=True, eq=False)
class _Face:
    """One face of a frame that is not given back yet."""

    tracked: Tracked
    answer: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    sharpness: float
    patch: Patch | None = None


@dataclass(slots=True, eq=False)
class _Held:
    """A frame that is not given back yet, with what may still be shown of it."""

    time_s: float
    size: tuple[int, int]
    faces: list[_Face]
    image: Image | None


class FaceStream:
    """One video on its way through a `VideoAnalyzer`.

    Memory does not grow with the frames that were pushed, but for what the result tells of each face: about 150 bytes.

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
        )
        self._smoothers: dict[int, tuple[float, Smoother]] = {}
        self._held: deque[_Held] = deque()
        self._courses: dict[int, Course] = {}
        self._last = 0
        self._times = Times()
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
        self._held.append(self._look(image, time_s))
        given = self._given(final=self._live or self._alone)
        for held in self._held:
            self._trim(held)
        return given

    def close(self) -> tuple[VideoFrame, ...]:
        """Return the frames that are left: no frame follows."""
        self._tracker.close()
        return self._given(final=True)

    def _look(self, image: Image, time_s: float) -> _Held:
        tracked = self._tracker.update(image, time_s)
        answers, sharp = self._analyzer.read(image, tracked)
        weights = certainty(answers) if len(answers) else answers
        faces = []
        for face, answer, weight, clear in zip(tracked, answers, weights, sharp, strict=True):
            smoothed = self._smoother(face.id, time_s).push(time_s, answer, weight=float(weight))
            faces.append(_Face(face, answer, smoothed, clear))
        return _Held(time_s, (image.shape[1], image.shape[0]), faces, image if self._on_frame else None)

    def _smoother(self, person: int, time_s: float) -> Smoother:
        seen_s, smoother = self._smoothers.get(person, (time_s, Smoother(self._tau_s)))
        if time_s - seen_s > _FORGET_S:
            smoother = Smoother(self._tau_s)
        self._smoothers[person] = (time_s, smoother)
        if len(self._smoothers) > 64:
            self._smoothers = {i: kept for i, kept in self._smoothers.items() if time_s - kept[0] <= _FORGET_S}
        return smoother

    def _given(self, *, final: bool) -> tuple[VideoFrame, ...]:
        """Give back frames from the oldest on: as far as it is known which faces are real, or all where it must be."""
        given = []
        while self._held:
            held = self._held[0]
            known = [(face, self._tracker.confirmed(face.tracked.id)) for face in held.faces]
            if not final and any(real is None for _, real in known):
                break
            self._held.popleft()
            faces = [face for face, real in known if real or self._alone]
            given.append(self._settle(held, faces))
        return tuple(given)

    def _settle(self, held: _Held, faces: Sequence[_Face]) -> VideoFrame:
        row = self._times.append(held.time_s) if self._keep else 0
        if not self._keep:
            self._tracker.cuts.clear()
        tracked = []
        for face in faces:
            course = self._course(face.tracked.id)
            if self._keep:
                course.append(row, face.tracked, face.answer, face.sharpness)
            tracked.append(_shown(course.number, face, self._analyzer.labels))
        frame = VideoFrame(held.time_s, *held.size, tuple(sorted(tracked, key=lambda shown: shown.track)))
        if self._on_frame is not None:
            self._show(held, frame, {self._course(face.tracked.id).number: face for face in faces})
        return frame

    def _course(self, seen_as: int) -> Course:
        """Return the course of a person by the number that the tracker gave, which may turn out to be another's."""
        person = self._tracker.known_as(seen_as)
        before = self._courses.pop(seen_as, None) if person != seen_as else None
        course = self._courses.get(person)
        if course is None:
            self._last += before is None
            course = before or Course(self._last, self._analyzer.labels)
        elif before is not None:
            course.join(before)
        self._courses[person] = course
        return course

    def _show(self, held: _Held, frame: VideoFrame, faces: dict[int, _Face]) -> None:
        assert self._on_frame is not None
        if held.image is not None:
            self._on_frame(held.image, frame)
            return
        for shown in frame.faces:
            patch = faces[shown.track].patch
            if patch is not None:
                self._on_frame(patch.image, patch.frame(frame.time_s, shown))

    def _trim(self, held: _Held) -> None:
        """Keep of a frame that waits only what is around its faces."""
        if held.image is None:
            return
        for face in held.faces:
            face.patch = Patch.around(held.image, face.tracked.box)
        held.image = None

    def result(
        self,
        *,
        duration_s: float | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        method: str = "timeline",
        warnings: Sequence[str] = (),
        **said: Any,
    ) -> VideoResult:
        """Return what the frames that were given back say.

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
        **said
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
            detector=self._analyzer.detector,
            method=method,
            warnings=tuple(warnings),
            labels=self._analyzer.labels,
            **said,
        )

    def _tracks(self, times_s: NDArray[np.float64], durations_s: NDArray[np.float64]) -> tuple[FaceTrack, ...]:
        for seen_as in list(self._courses):
            if seen_as in self._courses:
                self._course(seen_as)
        courses = sorted(self._courses.values(), key=lambda course: course.number)
        return tuple(course.track(times_s, durations_s, tau_s=self._tau_s) for course in courses)


def _shown(number: int, face: _Face, labels: LabelSet) -> TrackedFace:
    seen = face.tracked
    landmarks = None if seen.landmarks is None else tuple((x, y) for x, y in seen.landmarks.tolist())
    found = Face(tuple(seen.box.tolist()), float(seen.score), landmarks, Emotion(labels, tuple(face.answer.tolist())))
    smoothed = Emotion(labels, tuple(face.smoothed.tolist()))
    return TrackedFace(number, found, smoothed, seen.detected, float(np.float32(face.sharpness)))
