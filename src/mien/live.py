"""Live images and what their faces show, without ever lagging behind.

One thread takes images as they come, another analyzes the newest, and who shows them takes the newest that are ready.
Nothing waits in a line: what is too slow for every image leaves some out, and memory does not grow.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number
from mien.errors import MediaError, MienError
from mien.fusion.experts import experts, shipped_weights
from mien.io.live import format_live_source, live_file, open_live_source
from mien.labels import FER7, LabelSet, can_map, mapping
from mien.output.live import LiveLog, LiveRecording, write_snapshot
from mien.results import Emotion, SpeechSegment, TrackedFace, VideoFrame
from mien.video.analyzer import VideoAnalyzer

if TYPE_CHECKING:
    from mien.speech.analyzer import SpeechAnalyzer

__all__ = [
    "MAX_DELAY_S",
    "LiveFrame",
    "LiveResult",
    "LiveSession",
    "LiveStream",
    "LiveUpdate",
    "LiveView",
    "LiveVoice",
    "iter_live",
]

MAX_DELAY_S = 0.06
"""An image waits so long for its own analysis; then it is shown with the result of the one before."""

RETRY_S = 1.0
"""A source that is lost is looked for again as often."""

STILL_S = 2.0
"""A source that has given no image for so long is said to stand still."""

VOICE_S = 4.0
"""A voice's emotion counts for so long after it was read: segments come about a window of 3 s apart."""

MOST_RESULTS = 4096
"""Results that nobody has fetched are kept up to so many: two minutes of them."""

_WAITING = 8
"""Images that wait to be shown, at most: at 60 a second they cover twice `MAX_DELAY_S`."""

Callback = Callable[[str], None]


def _ignore(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """An image as it came.

    Parameters
    ----------
    number : int
        From 1.
    image : numpy.ndarray
        uint8 (H, W, 3), RGB; shared, and not to be changed.
    time_s : float
        When, in seconds from the first image of the source; of a video, by its own clock.
    captured_s : float
        When it came, by `time.monotonic`.
    """

    number: int
    image: NDArray[np.uint8]
    time_s: float
    captured_s: float


@dataclass(frozen=True, slots=True, eq=False)
class LiveResult:
    """The result of an image.

    Parameters
    ----------
    number : int
        The image's.
    frame : VideoFrame
        The faces.
    clock : datetime.datetime
        When the image came, in local time.
    delay_s : float
        From then to the result.
    """

    number: int
    frame: VideoFrame
    clock: datetime
    delay_s: float


@dataclass(frozen=True, slots=True, eq=False)
class LiveView:
    """An image to show.

    Parameters
    ----------
    image : LiveFrame
        The image.
    frame : VideoFrame or None
        The newest result that is no newer than the image; None before the first.
    is_exact : bool
        Whether the result is of this very image.
    """

    image: LiveFrame
    frame: VideoFrame | None
    is_exact: bool


class LiveStream:
    """Takes images from a source and analyzes them, in threads of its own; a context manager.

    A source that was lost is opened again until it is back.  Any number of threads may ask for what is new.

    Parameters
    ----------
    source : int, str or os.PathLike
        See `mien.io.live.open_live_source`.
    analyzer : VideoAnalyzer
        The analyzer of the faces.
    size : (int, int), optional
        Width and height to ask a camera for.
    step_s : float, optional
        Analyze at most one image in so many seconds; by default as many as can be.
    make_analyzer : callable, optional
        Makes the analyzer with another detector, by its name; see `use_detector`.
    on_message : callable, optional
        Called with messages for people, such as that the camera is lost; in threads of this object.

    Raises
    ------
    InputError
        If an option is out of range.
    """

    def __init__(
        self,
        source: int | str | os.PathLike[str],
        analyzer: VideoAnalyzer,
        *,
        size: tuple[int, int] | None = None,
        step_s: float | None = None,
        make_analyzer: Callable[[str], VideoAnalyzer] | None = None,
        on_message: Callback | None = None,
    ) -> None:
        self.name = format_live_source(source)
        self.source, self._size = source, size
        self._step_s = 0.0 if step_s is None else check_number(step_s, "step_s", low=0, high=3600)
        self.on_message = on_message or _ignore
        self._make_analyzer, self._detector = make_analyzer, analyzer.detector
        self._tracks = 0
        self._use(analyzer)
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._images: deque[LiveFrame] = deque(maxlen=_WAITING)
        self._results: deque[LiveResult] = deque(maxlen=MOST_RESULTS)
        self._last: LiveResult | None = None
        self._error: BaseException | None = None
        self._captured, self._is_over, self._is_done = 0, False, False
        self._loss = ""
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"mien-live-{what}", daemon=True)
            for what, work in (("capture", self._capture), ("analysis", self._analyze))
        ]

    # --- for who shows ------------------------------------------------------------------------------------------------

    def __enter__(self) -> LiveStream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End; a source that does not respond at the moment is closed when it does, or at the end of the program."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=1.0)

    @property
    def detector(self) -> str:
        """Name of the detector that is used, or about to be."""
        return self._detector

    @property
    def problem(self) -> str:
        """What is wrong with the source at the moment; empty where nothing is."""
        if self._loss:
            return self._loss
        with self._news:
            last_s = self._images[-1].captured_s if self._images else None
        is_still = last_s is not None and not self._is_over and time.monotonic() - last_s > STILL_S
        return f"{self.name} stands still" if is_still else ""

    @property
    def is_done(self) -> bool:
        """Whether nothing more comes: the video is over, and all of it that could be was analyzed."""
        return self._is_done and not self._results

    def use_detector(self, name: str) -> None:
        """Search with another detector from the next image on; people get new numbers."""
        self._detector = name

    def next_view(self, after: int, *, timeout_s: float = 0.0, max_delay_s: float | None = None) -> LiveView | None:
        """Wait for the next image to show.

        An image comes with its own result, or, when that takes longer than ``max_delay_s``, with the one before.

        Parameters
        ----------
        after : int
            Number of the image that was shown last.
        timeout_s : float
            How long to wait, in seconds.
        max_delay_s : float, optional
            How long an image waits for its own result; by default `MAX_DELAY_S`, and not at all where not every image
            is to be analyzed.

        Returns
        -------
        LiveView or None
            None where nothing new came in time, and at the end.

        Raises
        ------
        MienError
            If the source gave not one image; whatever went wrong in the threads.
        """
        until = time.monotonic() + timeout_s
        if max_delay_s is None:
            max_delay_s = 0.0 if self._step_s else MAX_DELAY_S
        with self._news:
            while True:
                self._raise()
                view, ready_s = self._newest_view(after, max_delay_s)
                now = time.monotonic()
                if view is not None or now >= until or self._is_done:
                    return view
                self._news.wait(max(0.0, min(until, ready_s) - now))

    def _newest_view(self, after: int, max_delay_s: float) -> tuple[LiveView | None, float]:
        """Return the newest image that may be shown, and when the next may be without a result of its own."""
        last, now = self._last, time.monotonic()
        ready_s = float("inf")
        for image in reversed(self._images):
            if image.number <= after:
                break
            is_exact = last is not None and last.number == image.number
            if is_exact or self._is_done or image.captured_s + max_delay_s <= now:
                return LiveView(image, None if last is None else last.frame, is_exact), 0.0
            ready_s = image.captured_s + max_delay_s
        return None, ready_s

    def results(self, *, timeout_s: float = 0.0) -> list[LiveResult]:
        """Return the results since the last call, oldest first; wait for one where there is none.

        Raises
        ------
        MienError
            See `next_view`.
        """
        with self._news:
            if not self._results and not self._is_done:
                self._news.wait_for(lambda: self._results or self._is_done or self._error is not None, timeout_s)
            results = list(self._results)
            self._results.clear()
            if not results:
                self._raise()
        return results

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    # --- threads ------------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (handed to who asks next, where it is raised)
            self._error = error
        finally:
            with self._news:
                self._news.notify_all()

    def _capture(self) -> None:
        """Take images until the end; open the source again when it is lost."""
        started_s = time.monotonic()
        while not self._stop.is_set():
            try:
                with open_live_source(self.source, size=self._size) as source:
                    while (frame := source.read(self._stop)) is not None:
                        now = time.monotonic()
                        self._add(frame.image, frame.time_s if source.is_timed else now - started_s, now)
                        if self._stop.is_set():
                            break
            except MediaError as error:
                if not self._captured:
                    raise
                if not self._loss:
                    self.on_message(f"{error}; looking for it again every {RETRY_S:g} s")
                self._loss = f"{error}; looking for it"
            else:
                self._is_over = True
                return
            self._stop.wait(RETRY_S)

    def _add(self, image: NDArray[np.uint8], time_s: float, now: float) -> None:
        if self._loss:
            self._loss = ""
            self.on_message(f"{self.name} is back")
        with self._news:
            self._captured += 1
            self._images.append(LiveFrame(self._captured, image, time_s, now))
            self._news.notify_all()

    def _analyze(self) -> None:
        """Analyze the newest image, again and again."""
        last, due_s = 0, float("-inf")
        while (image := self._newest_image(last, due_s)) is not None:
            last, due_s = image.number, image.time_s + self._step_s
            self._follow_detector()
            frame = self._read(image)
            delay_s = time.monotonic() - image.captured_s
            clock = datetime.fromtimestamp(time.time() - delay_s).astimezone()
            with self._news:
                self._last = LiveResult(image.number, frame, clock, delay_s)
                self._results.append(self._last)
                self._news.notify_all()
        # An error is to be raised, not mistaken for the end.
        self._is_done = self._error is None

    def _newest_image(self, after: int, due_s: float) -> LiveFrame | None:
        """Wait for an image that is new and due; None at the end."""
        with self._news:
            while not self._stop.is_set():
                newest = self._images[-1] if self._images else None
                if newest is not None and newest.number > after and newest.time_s >= due_s:
                    return newest
                if self._is_over or self._error is not None:
                    return None
                self._news.wait(0.1)
        return None

    def _use(self, analyzer: VideoAnalyzer) -> None:
        """Go on with another analyzer: everybody in view is new to it."""
        self.analyzer = analyzer
        self._stream = analyzer.stream(live=True, keep=False)
        self._tracks_before = self._tracks

    def _follow_detector(self) -> None:
        name = self._detector
        if name == self.analyzer.detector or self._make_analyzer is None:
            return
        try:
            self._use(self._make_analyzer(name))
        except MienError as error:
            self._detector = self.analyzer.detector
            self.on_message(str(error))

    def _read(self, image: LiveFrame) -> VideoFrame:
        """Return the result of an image; people are numbered on when the analyzer was changed."""
        (frame,) = self._stream.push(image.image, image.time_s)
        if self._tracks_before:
            faces = tuple(replace(face, track=face.track + self._tracks_before) for face in frame.faces)
            frame = replace(frame, faces=faces)
        self._tracks = max((self._tracks, *(face.track for face in frame.faces)))
        return frame


class LiveVoice:
    """Listens to the microphone in a thread of its own; a context manager.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        The analyzer of the speech.
    labels : LabelSet
        Of the faces: fusion has weights for each kind of face model.
    on_message : callable, optional
        Called with messages for people.
    microphone : object, optional
        What gives the sound, with ``rate_hz``, ``read(stop)`` and ``close()`` as of `mien.io.microphone.Microphone`,
        which is the default; a ``read`` that returns None before it is told to stop ends the sound.

    Raises
    ------
    MissingExtraError, MediaError
        If there is no microphone to listen to.
    """

    def __init__(
        self,
        analyzer: SpeechAnalyzer,
        labels: LabelSet,
        *,
        on_message: Callback | None = None,
        microphone: Any = None,
    ) -> None:
        if microphone is None:
            from mien.io.microphone import Microphone

            microphone = Microphone()
        self._on_message = on_message or _ignore
        self._microphone = microphone
        self._stream = analyzer.stream(rate_hz=self._microphone.rate_hz)
        self._labels, self._voice_mapping = labels, mapping(analyzer.labels, FER7)
        self._weights = shipped_weights(labels.name)
        self._lock = threading.Lock()
        self._segments: deque[SpeechSegment] = deque(maxlen=1000)
        self._last: tuple[float, SpeechSegment] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="mien-live-voice", daemon=True)

    def __enter__(self) -> LiveVoice:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._microphone.close()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the sound, where it has one."""
        self._thread.join(timeout_s)

    def segments(self) -> list[SpeechSegment]:
        """Return the segments that were settled since the last call; times count from the first sound."""
        with self._lock:
            segments = list(self._segments)
            self._segments.clear()
        return segments

    def current(self, frame: VideoFrame | None) -> tuple[Emotion | None, Emotion | None]:
        """Return the emotion of the voice, and that of it and the largest face together.

        Parameters
        ----------
        frame : VideoFrame or None
            The newest result of the images.

        Returns
        -------
        (Emotion or None, Emotion or None)
            None where nobody spoke lately; the second, in `mien.labels.FER7`, also where there is no face.
        """
        with self._lock:
            last = self._last
        if last is None or time.monotonic() - last[0] > VOICE_S:
            return None, None
        segment = last[1]
        faces = () if frame is None else frame.faces
        if not faces or segment.emotion is None or not can_map(self._labels, FER7):
            return segment.emotion, None
        return segment.emotion, self._fuse(
            max(faces, key=lambda face: face.face.width_px * face.face.height_px), segment
        )

    def _fuse(self, face: TrackedFace, segment: SpeechSegment) -> Emotion:
        assert segment.emotion is not None
        shown = mapping(self._labels, FER7).apply(face.smoothed.to_array()[None])
        spoken = self._voice_mapping.apply(segment.emotion.to_array()[None])
        fused = experts(
            {"face": shown / shown.sum(), "voice": spoken / spoken.sum()},
            weights=self._weights,
            quality={
                "face": {"width_px": [face.face.width_px], "sharpness": [_or_nan(face.sharpness)]},
                "voice": {"speech_s": [segment.duration_s], "snr_db": [_or_nan(segment.snr_db)]},
            },
        )
        return Emotion(FER7, tuple(fused.probabilities[0].tolist()))

    def _listen(self) -> None:
        try:
            while (block := self._microphone.read(self._stop)) is not None:
                self._keep(self._stream.push(block))
            self._keep(self._stream.close())
        except MienError as error:
            self._on_message(str(error))

    def _keep(self, segments: tuple[SpeechSegment, ...]) -> None:
        # A segment may last for minutes: what is said now counts before it is settled.
        current = self._stream.current
        with self._lock:
            self._segments.extend(segments)
            for segment in (*segments, current):
                if segment is not None and segment.emotion is not None:
                    self._last = (time.monotonic(), segment)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True, slots=True, eq=False)
class LiveUpdate:
    """What is new in a session.

    Parameters
    ----------
    view : LiveView or None
        The next image to show.
    results : list of LiveResult
        Results of images, oldest first.
    segments : list of SpeechSegment
        What was said, in seconds since the microphone was opened.
    """

    view: LiveView | None = None
    results: list[LiveResult] = field(default_factory=list)
    segments: list[SpeechSegment] = field(default_factory=list)


class LiveSession:
    """A live stream, the microphone beside it, and the files that are written meanwhile; a context manager.

    Leaving it finishes the files, whatever ends it.

    Parameters
    ----------
    stream : LiveStream
        Where images and results come from.
    voice : LiveVoice, optional
        Where segments of speech come from.
    log : str or os.PathLike, optional
        A CSV file for all results.
    record : str or os.PathLike, optional
        A video that begins at once.
    draw : bool
        Whether recordings show the people with their emotions, or the images as they came.
    folder : str or os.PathLike
        Where later recordings and snapshots go.

    Attributes
    ----------
    failures : list of MediaError
        Why recordings ended early.

    Raises
    ------
    MienError
        If a file cannot be written.
    """

    def __init__(
        self,
        stream: LiveStream,
        *,
        voice: LiveVoice | None = None,
        log: str | os.PathLike[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        draw: bool = True,
        folder: str | os.PathLike[str] = ".",
    ) -> None:
        self.stream, self.voice, self._folder = stream, voice, Path(folder)
        self._draw, self.failures = draw, list[MediaError]()
        self._log = None if log is None else LiveLog(log, stream.analyzer.labels, source=stream.name)
        self.recording = None if record is None else self._begin_recording(record)
        self._number = 0
        self._snapshots: list[threading.Thread] = []
        self._open = ExitStack()

    def __enter__(self) -> LiveSession:
        self._open.callback(self._close)
        self._open.enter_context(self.stream)
        if self.voice is not None:
            self._open.enter_context(self.voice)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def poll(self, timeout_s: float) -> LiveUpdate:
        """Return what is new, and write it to the log and the recording; wait for the next image at most so long.

        Raises
        ------
        MienError
            If the source cannot be opened, or the log cannot be written any more.
        """
        view = self.stream.next_view(self._number, timeout_s=timeout_s)
        results = self.stream.results()
        for result in results:
            if self._log is not None:
                self._log.write(result.frame, result.clock)
            self._record(LiveRecording.add_frame, result.frame, result.clock)
        if view is not None:
            self._number = view.image.number
            self._record(LiveRecording.add_image, view.image.image, view.frame, view.image.time_s)
        elif self.stream.is_done:
            time.sleep(timeout_s)
        return LiveUpdate(view, results, [] if self.voice is None else self.voice.segments())

    def run(
        self,
        on_update: Callable[[LiveUpdate], None],
        *,
        cancel: threading.Event | None = None,
        tick_s: float = 0.02,
    ) -> None:
        """Hand out what is new until the source ends, or the event says so.

        Raises
        ------
        MienError
            As for `poll`.
        """
        while cancel is None or not cancel.is_set():
            update = self.poll(tick_s)
            on_update(update)
            if self.stream.is_done and update.view is None:
                return

    def toggle_recording(self) -> None:
        """Begin a recording, or end the one that is running."""
        if self.recording is not None:
            self._stop_recording()
            return
        try:
            self.recording = self._begin_recording(self._free_name(".mp4", ".csv") + ".mp4")
        except MienError as error:
            self.stream.on_message(str(error))
        else:
            self.stream.on_message(f"recording {self.recording.path}")

    def save_snapshot(self, view: LiveView) -> None:
        """Write an image and its result, in a thread: compressing takes a tenth of a second."""
        name = self._free_name(".png", ".json")
        thread = threading.Thread(target=self._write_snapshot, args=(name, view), name="mien-live-snapshot")
        self._snapshots = [*(one for one in self._snapshots if one.is_alive()), thread]
        thread.start()

    def _begin_recording(self, path: str | os.PathLike[str]) -> LiveRecording:
        stream = self.stream
        return LiveRecording(
            path,
            stream.analyzer.labels,
            source=stream.name,
            draw=self._draw,
            sound=live_file(stream.source),
        )

    def _record(self, add: Callable[..., None], *what: Any) -> None:
        """Add to the recording, if there is one; one that fails is ended with a message."""
        if self.recording is None:
            return
        try:
            add(self.recording, *what)
        except MediaError:
            self._stop_recording()

    def _stop_recording(self) -> None:
        """End the recording, if there is one, and say what became of it."""
        recording, self.recording = self.recording, None
        if recording is None:
            return
        try:
            recording.close()
        except MediaError as error:
            self.failures.append(error)
            self.stream.on_message(str(error))
            return
        skipped = f" ({recording.dropped} images left out: too fast for the encoder)" if recording.dropped else ""
        if recording.frames:
            table = recording.path.with_suffix(".csv").name
            self.stream.on_message(f"recorded {recording.path} and {table}{skipped}")
        else:
            self.stream.on_message(f"{recording.path}: nothing was recorded, no image came")

    def _write_snapshot(self, name: str, view: LiveView) -> None:
        clock = datetime.now().astimezone()
        try:
            write_snapshot(name, view.image.image, view.frame, source=self.stream.name, clock=clock)
        except MienError as error:
            self.stream.on_message(str(error))
        else:
            self.stream.on_message(f"saved {name}.png, -drawn.png and .json")

    def _free_name(self, *suffixes: str) -> str:
        """Return a name by the time of day, without suffix, that no file has."""
        plain = self._folder / datetime.now().astimezone().strftime("mien-%Y%m%d-%H%M%S")
        name, number = str(plain), 1
        while any(Path(name + suffix).exists() for suffix in suffixes):
            number += 1
            name = f"{plain}-{number}"
        return name

    def _close(self) -> None:
        self._stop_recording()
        if self._log is not None:
            self._log.close()
        for thread in self._snapshots:
            thread.join()


def iter_live(
    source: int | str | os.PathLike[str] = 0,
    *,
    analyzer: VideoAnalyzer | None = None,
    size: tuple[int, int] | None = None,
    step_s: float | None = None,
    on_message: Callback | None = None,
    **options: Any,
) -> Iterator[VideoFrame]:
    """Yield what the faces before a camera show, as they change; see `LiveStream`.

    It never lags: a caller who takes longer than an image misses some, not all.  The generator ends with the video, or
    when it is closed.

    Parameters
    ----------
    source : int, str or os.PathLike
        The number of a camera, an address (``rtsp://``, ``http://``), or a video, which is played in its own time.
    analyzer : VideoAnalyzer, optional
        The analyzer; by default a new one.
    size : (int, int), optional
        Width and height to ask a camera for.
    step_s : float, optional
        At most one result in so many seconds.
    on_message : callable, optional
        Called with messages, such as that the camera is lost and found again.
    **options
        Of the new `VideoAnalyzer`.

    Yields
    ------
    VideoFrame
        The faces of one image; its time counts from the start.

    Raises
    ------
    MediaNotFoundError, MediaError
        If the source cannot be opened.
    InputError
        If an argument is wrong.

    Examples
    --------
    >>> import mien
    >>> for frame in mien.iter_live(0):  # doctest: +SKIP
    ...     for face in frame.faces:
    ...         print(f"{frame.time_s:.2f} {face.track} {face.smoothed.top}")
    """
    stream = LiveStream(source, analyzer or VideoAnalyzer(**options), size=size, step_s=step_s, on_message=on_message)
    with stream:
        while not stream.is_done:
            # Only the newest: what came while the caller was busy is stale.
            for result in stream.results(timeout_s=1.0)[-1:]:
                yield result.frame
