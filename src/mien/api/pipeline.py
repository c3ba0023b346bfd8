"""The pipeline, described once: find sources, open, analyze, hand out results.

The functions of `mien`, the command line, live services and batch jobs are shells around it: they hand in options and
callbacks, and get results in order, in little memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mien._threads import in_order
from mien.api.sources import KindName, Source, find_sources
from mien.errors import InputError, MienError, MissingExtraError
from mien.labels import FER7
from mien.options import DEFAULT_MAX_PIXELS, AudioOptions, ModelOptions, VideoOptions
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoFrame, VideoResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.api.analysis import VoiceAnalysis
    from mien.face.analyzer import FaceAnalyzer
    from mien.io.audio import AudioBlock
    from mien.labels import LabelSet
    from mien.speech.analyzer import SpeechAnalyzer
    from mien.video.analyzer import VideoAnalyzer

__all__ = ["KINDS", "Analyzers", "Item", "Kind", "Pipeline", "Preview", "Progress", "Result", "analyzer_options"]

FACES, SPEECH = "face-emotion", "speech-emotion"
"""Tasks of models."""

_PREVIEW_PX = 1024

ANALYZER_OPTIONS = ("max_faces", "min_seen_s", "smooth_s", "clip_model", "baseline", "baseline_strength")
"""Options of videos that analyzers depend on."""

SOUND_TIMEOUT_S = 3.0
"""After an interruption, the sound of the frames that were read is read for at most so long."""

Result = ImageResult | SpeechResult | VideoResult


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an item is.

    Parameters
    ----------
    source : Source
        The item.
    stage : {"frames", "sound"}
        What is read of it at the moment.
    time_s : float
        Time in the video or audio file that was reached.
    start_s, end_s : float, float or None
        What is read of it; the end is None where the length is not known.
    """

    source: Source
    stage: Literal["frames", "sound"]
    time_s: float
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What became of a source.

    Parameters
    ----------
    source : Source
        The source.
    result : ImageResult, SpeechResult, VideoResult or FailedItem
        The result.
    is_complete : bool
        False where reading was interrupted: the result is of what was read until then, and the last.
    """

    source: Source
    result: Result | FailedItem
    is_complete: bool = True


class _CanceledError(BaseException):
    """The caller wants no more."""


class _CallbackError(BaseException):
    """Carries what a callback raised past the handling of sources that cannot be read."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class _Callbacks:
    """See `Pipeline.run`; ``check`` raises where the caller wants no more."""

    check: Callable[[], None]
    on_image: Callable[..., None] | None = None
    on_audio: Callable[..., None] | None = None
    on_frame: Callable[..., None] | None = None
    on_segment: Callable[..., None] | None = None
    on_progress: Callable[..., None] | None = None
    on_result: Callable[..., None] | None = None


class Analyzers:
    """The analyzers of one set of options, each loaded when it is first needed.

    Parameters
    ----------
    models : ModelOptions
        Which models, and how they run.
    video : VideoOptions
        Of these, how many faces are read and how they are smoothed.
    audio : AudioOptions
        How speech is cut.
    are_shared : bool
        Whether several threads use an analyzer at the same time: then each computation takes one thread.

    Attributes
    ----------
    faces, videos, speech, voices
        The analyzers of images, of the faces of videos, of audio files and of the sound of videos; assign to use
        your own.
    """

    def __init__(
        self,
        models: ModelOptions | None = None,
        video: VideoOptions | None = None,
        audio: AudioOptions | None = None,
        *,
        are_shared: bool = False,
    ) -> None:
        self.models, self.video, self.audio = models or ModelOptions(), video or VideoOptions(), audio or AudioOptions()
        self._voices: dict[tuple[str | None, int | None, str], SpeechAnalyzer] = {}
        self._threads = 1 if are_shared else self.models.threads

    @cached_property
    def faces(self) -> FaceAnalyzer:
        """The analyzer of images."""
        from mien.face.analyzer import FaceAnalyzer

        return FaceAnalyzer(self.models.model, threads=self._threads, **self._face_options())

    @cached_property
    def videos(self) -> VideoAnalyzer:
        """The analyzer of the faces of videos."""
        from mien.video.analyzer import VideoAnalyzer

        return VideoAnalyzer.from_options(self.models, self.video)

    @cached_property
    def speech(self) -> SpeechAnalyzer:
        """The analyzer of audio files."""
        return self._speech(self.models.output, self._threads, self.models.precision)

    @cached_property
    def voices(self) -> SpeechAnalyzer:
        """The analyzer of the sound of videos."""
        from mien.models import registry, runtime

        # An output of the model of faces is no matter of the voice; the common labels are one of both.  And int8 is for
        # faces: a voice that has no such graph is read in float32 beside them.
        spec = registry.get(self.models.speech_model)
        known = {FER7.name, *(output.name for output in spec.outputs)}
        output = self.models.output if self.models.output in known else None
        return self._speech(output, self.models.threads or 1, runtime.closest_precision(spec, self.models.precision))

    def load(self, kind: KindName) -> None:
        """Load what every source of a kind needs.

        Raises
        ------
        MienError
            If it cannot be loaded.
        """
        getattr(self, {"image": "faces", "audio": "speech", "video": "videos"}[kind])

    def labels(self, kind: KindName, table: str | None = None) -> LabelSet:
        """Return the emotions of what is read, of videos those of a table."""
        if kind == "audio":
            return self.speech.labels
        if kind == "image":
            return self.faces.labels
        if table == "fused":
            return FER7
        return self.voices.labels if table == "speech" else self.videos.labels

    def _face_options(self) -> dict[str, Any]:
        names = ("detector", "output", "min_face_px", "device", "engine", "precision", "flip")
        return {name: getattr(self.models, name) for name in names}

    def _speech(self, output: str | None, threads: int | None, precision: str) -> SpeechAnalyzer:
        """Return the analyzer of voices with these options, the same where files and videos have the same."""
        from mien.speech.analyzer import SpeechAnalyzer

        key = output, threads, precision
        if key not in self._voices:
            self._voices[key] = SpeechAnalyzer(
                self.models.speech_model,
                output=output,
                channel=self.audio.channel,
                window_s=self.audio.window_s,
                hop_s=self.audio.hop_s,
                threads=threads,
                device=self.models.device,
                engine=self.models.engine,
                precision=precision,
            )
        return self._voices[key]


def analyzer_options(video: VideoOptions) -> VideoOptions:
    """Return the options of videos that analyzers depend on; all others are of what is read."""
    return VideoOptions(**{name: getattr(video, name) for name in ANALYZER_OPTIONS})


class Pipeline:
    """Sources in, results out.

    Parameters
    ----------
    analyzers : Analyzers
        What reads them.
    video : VideoOptions, optional
        What is read of videos, and from when to when of audio files; by default as the analyzers were made.
    workers : int
        Images and audio files that are analyzed at the same time.  Videos come one after the other: each keeps several
        cores busy.
    """

    def __init__(self, analyzers: Analyzers, *, video: VideoOptions | None = None, workers: int = 1) -> None:
        self.analyzers, self.video, self.workers = analyzers, video or analyzers.video, workers

    def read(self, source: Source) -> Result:
        """Analyze one source.

        Raises
        ------
        MienError
            If it cannot be read.
        """
        return KINDS[source.kind].job(self, source, _Callbacks(lambda: None)).run()

    def run(
        self,
        sources: Iterable[Any],
        *,
        on_image: Callable[[Source, NDArray[np.uint8], ImageResult | VideoFrame], None] | None = None,
        on_audio: Callable[[Source, AudioBlock], None] | None = None,
        on_frame: Callable[[Source, VideoFrame], None] | None = None,
        on_segment: Callable[[Source, int, SpeechSegment], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_result: Callable[[Source, Result], None] | None = None,
        cancel: threading.Event | Callable[[], bool] | None = None,
    ) -> Iterator[Item]:
        """Analyze sources as they come; one that cannot be read becomes a `FailedItem` and stops nothing.

        A `MienError` that a callback raises becomes the error of its item; any other ends the run.

        After Ctrl-C (`KeyboardInterrupt` in the thread that takes the items), and where ``cancel`` says so, what was
        read of an audio file or video until then is the last item; `KeyboardInterrupt` is raised after it.

        Parameters
        ----------
        sources : iterable
            What `find_sources` takes, read lazily; at most ``3 * workers`` are held.
        on_image : callable, optional
            Called with the source, pixels and result of each image, and with the images of videos and their frames
            (see `VideoAnalyzer.stream`); in the thread that analyzes them.
        on_audio : callable, optional
            Called with the source and each block of an audio file; in the thread that analyzes it.
        on_frame : callable, optional
            Called with the source and each frame of a video as soon as it is settled.
        on_segment : callable, optional
            Called with the source, the number from 1 and each segment of an audio file as soon as it is settled; not
            where several are read at the same time.
        on_progress : callable, optional
            Called while videos and audio files are read; not where several are read at the same time.
        on_result : callable, optional
            Called with the source and its complete result before that is handed out; in the thread that made it.
        cancel : threading.Event or callable, optional
            Whether to end; checked between frames, blocks and items.

        Yields
        ------
        Item
            In the order of the sources.
        """
        is_canceled = cancel.is_set if isinstance(cancel, threading.Event) else cancel or (lambda: False)

        def check() -> None:
            if is_canceled():
                raise _CanceledError

        given = (on_image, on_audio, on_frame, on_segment, on_progress, on_result)
        callbacks = _Callbacks(check, *map(_carrying, given))
        try:
            for kind, group in groupby(find_sources(sources), key=lambda source: source.kind):
                self.analyzers.load(kind)
                if self.workers > 1 and kind != "video":
                    yield from self._in_parallel(group, callbacks)
                else:
                    for source in group:
                        check()
                        yield from self._in_turn(source, callbacks)
        except _CanceledError:
            return
        except _CallbackError as error:
            raise error.error from None

    def _in_turn(self, source: Source, callbacks: _Callbacks) -> Iterator[Item]:
        """Yield the item of one source; where it is interrupted, the part that was read."""
        if source.error is not None:
            yield _failed(source, source.error)
            return
        job = KINDS[source.kind].job(self, source, callbacks)
        try:
            item = _finish(job)
        except (KeyboardInterrupt, _CanceledError):
            part = job.partial()
            if part is not None:
                yield Item(source, part, is_complete=False)
            raise
        yield item

    def _in_parallel(self, group: Iterable[Source], callbacks: _Callbacks) -> Iterator[Item]:
        stop = threading.Event()

        def check() -> None:
            if stop.is_set():
                raise _CanceledError
            callbacks.check()

        quiet = replace(callbacks, check=check, on_segment=None, on_progress=None)

        def work(source: Source) -> Item:
            check()
            if source.error is not None:
                return _failed(source, source.error)
            return _finish(KINDS[source.kind].job(self, source, quiet))

        with closing(in_order(group, work, self.workers, stop=stop)) as items:
            yield from items


def _carrying(callback: Callable[..., None] | None) -> Callable[..., None] | None:
    if callback is None:
        return None

    def call(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except MienError:
            raise
        except Exception as error:
            raise _CallbackError(error) from error

    return call


def _finish(job: _Job) -> Item:
    """Do a job, and return its result or why there is none."""
    source = job.source
    try:
        result = job.run()
        if job.callbacks.on_result is not None:
            job.callbacks.on_result(source, result)
    except Exception as error:  # noqa: BLE001 - one of a million files must not end the run
        return _failed(source, error)
    return Item(source, result)


def _failed(source: Source, error: Exception) -> Item:
    name = type(error).__name__
    return Item(source, FailedItem(source.path, name, str(error) or name, source.kind))


# --- the three kinds --------------------------------------------------------------------------------------------------


class _Job(Protocol):
    """One source on its way to its result."""

    source: Source
    callbacks: _Callbacks

    def __init__(self, pipeline: Pipeline, source: Source, callbacks: _Callbacks) -> None: ...

    def run(self) -> Result:
        """Read all of it."""

    def partial(self) -> Result | None:
        """Return what was read until an interruption, if that is anything."""


class _ImageJob:
    def __init__(self, pipeline: Pipeline, source: Source, callbacks: _Callbacks) -> None:
        self.source, self.callbacks, self._analyzers = source, callbacks, pipeline.analyzers

    def run(self) -> ImageResult:
        from mien.io.image import read_image

        image = read_image(self.source.data, max_pixels=self._analyzers.models.max_pixels or DEFAULT_MAX_PIXELS)
        found = self._analyzers.faces.analyze(image.pixels, quiet=True)
        is_file = isinstance(self.source.data, str | os.PathLike)
        preview: Any = Preview(self.source.path if is_file else image.pixels)
        result = replace(found, path=image.path, warnings=(*image.warnings, *found.warnings), preview=preview)
        if self.callbacks.on_image is not None:
            self.callbacks.on_image(self.source, image.pixels, result)
        return result

    def partial(self) -> None:
        return None


class _AudioJob:
    def __init__(self, pipeline: Pipeline, source: Source, callbacks: _Callbacks) -> None:
        self.source, self.callbacks, self._analyzers = source, callbacks, pipeline.analyzers
        self._options = pipeline.video
        self._reader: Any = None
        self._count = 0

    def run(self) -> SpeechResult:
        from mien.api.analysis import SpeechAnalysis, check_range

        source, from_s = self.source, check_range(self._options)
        self._reader = SpeechAnalysis(
            self._analyzers.speech,
            source.data,
            from_s=from_s,
            to_s=self._options.to_s,
            name=source.label,
            on_block=self._take,
        )
        self._tell(self._reader.segments())
        result: SpeechResult = self._reader.result()
        is_file = isinstance(source.data, str | os.PathLike)
        return replace(result, preview=Preview(source.path)) if is_file else result

    def partial(self) -> SpeechResult | None:
        if self._reader is None:
            return None
        self._tell(self._reader.close())
        result: SpeechResult = self._reader.result(
            f"interrupted: only the first {self._reader.duration_s:.1f} s were read"
        )
        return result

    def _tell(self, segments: Iterable[SpeechSegment]) -> None:
        for segment in segments:
            self._count += 1
            if self.callbacks.on_segment is not None:
                self.callbacks.on_segment(self.source, self._count, segment)

    def _take(self, block: AudioBlock) -> None:
        if self.callbacks.on_audio is not None:
            self.callbacks.on_audio(self.source, block)
        if self.callbacks.on_progress is not None:
            self.callbacks.on_progress(Progress(self.source, "sound", block.end_s))
        self.callbacks.check()


class _VideoJob:
    def __init__(self, pipeline: Pipeline, source: Source, callbacks: _Callbacks) -> None:
        self.source, self.callbacks = source, callbacks
        self._analyzers, self._options = pipeline.analyzers, pipeline.video
        self._reader: Any = None
        self._start: int | None = None
        self._end_s: float | None = None
        self._voices: SpeechAnalyzer | None = None
        self._video: VideoResult | None = None
        self._voice: VoiceAnalysis | None = None

    def run(self) -> VideoResult:
        from mien.api.analysis import VideoAnalysis, stream_position

        if self._options.voice and self._analyzers.audio.channel == "each":
            raise InputError(
                "the voice of a video is one: channel='each' is for audio files, and for the sound of videos alone "
                "(mien.analyze_speech, --only voice)"
            )
        source, on_image = self.source, self.callbacks.on_image
        self._start = stream_position(source.data)
        self._reader = VideoAnalysis(
            self._analyzers.videos,
            source.data,
            self._options,
            max_pixels=self._analyzers.models.max_pixels,
            name=source.label,
            on_open=self._open,
            on_image=None if on_image is None else lambda image, frame: on_image(source, image, frame),
        )
        for frame in self._reader.frames():
            self._tell(frame)
            self._advance("frames", self._reader.reached_s)
            self.callbacks.check()
        self._video = video = replace(self._reader.result(), preview=Preview())
        return self._with_voice(video, self._options.to_s)

    def partial(self) -> VideoResult | None:
        from mien.api.analysis import without_voice

        if self._voice is not None:
            return self._voice.partial("interrupted")
        if self._video is not None:
            return without_voice(self._video, "interrupted")
        if self._reader is None:
            return None
        for frame in self._reader.close():
            self._tell(frame)
        try:
            video = self._reader.result(f"interrupted: read only up to {self._reader.reached_s:.1f} s")
        except InputError:
            return None
        began_s = time.monotonic()

        def check() -> None:
            if time.monotonic() - began_s > SOUND_TIMEOUT_S:
                raise _CanceledError

        self.callbacks = _Callbacks(check)
        try:
            return self._with_voice(video, video.end_s)
        except (_CanceledError, KeyboardInterrupt):
            return without_voice(video, "interrupted") if self._voice is None else self._voice.partial("interrupted")

    def _open(self, stream: Any) -> None:
        # Before a frame is read, so that a model that cannot be loaded costs nobody the images; not for silent videos.
        if self._options.voice and stream.has_audio:
            self._voices = self._analyzers.voices
        ends = [end for end in (stream.duration_s, self._options.to_s) if end is not None]
        self._end_s = min(ends, default=None)
        self._advance("frames", self._options.from_s)

    def _with_voice(self, video: VideoResult, to_s: float | None) -> VideoResult:
        """Return the video with its voice, if it has one, and both together."""
        from mien.api.analysis import VoiceAnalysis, without_voice

        source = self.source
        if self._voices is None:
            return video
        if callable(getattr(source.data, "read", None)):
            if self._start is None:
                name = source.label or "a stream that cannot be rewound"
                return without_voice(video, f"{name} is read once, for the images; name a file to have both")
            source.data.seek(self._start)
        self._end_s = video.end_s
        self._voice = VoiceAnalysis(
            self._voices,
            source.data,
            video,
            fusion=self._options.fusion,
            to_s=to_s,
            name=source.label,
            on_block=self._take,
        )
        return self._voice.run()

    def _tell(self, frame: VideoFrame) -> None:
        if self.callbacks.on_frame is not None:
            self.callbacks.on_frame(self.source, frame)

    def _take(self, block: AudioBlock) -> None:
        self._advance("sound", max(block.end_s, self._options.from_s))
        self.callbacks.check()

    def _advance(self, stage: Literal["frames", "sound"], time_s: float) -> None:
        if self.callbacks.on_progress is not None:
            self.callbacks.on_progress(Progress(self.source, stage, time_s, self._options.from_s, self._end_s))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of things that can be analyzed.

    Parameters
    ----------
    name : str
        As in `Source`.
    one, many : str
        How messages call it.
    tasks : tuple of str
        Of the models that read it, the most important first.
    job : type
        What reads one of it.
    """

    name: KindName
    one: str
    many: str
    tasks: tuple[str, ...]
    job: type[_Job]


KINDS: dict[KindName, Kind] = {
    "image": Kind("image", "an image", "images", (FACES,), _ImageJob),
    "audio": Kind("audio", "an audio file", "audio files", (SPEECH,), _AudioJob),
    "video": Kind("video", "a video", "videos", (FACES, SPEECH), _VideoJob),
}
"""The kinds, by name.  `mien.io.sniff` detects them from the content; `mien.output.FORMATS` declares which formats of
results fit them."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Draws a result for a notebook; of a file it keeps the path alone, not the content."""

    source: Any = None

    def __call__(self, result: Result) -> bytes | None:
        """Return the drawn result as PNG, images at most 1024 pixels a side; None where matplotlib is needed."""
        try:
            if isinstance(result, ImageResult):
                return self._image(result)
            if isinstance(result, VideoResult):
                from mien.output.timeline import plot_timeline

                return plot_timeline(result)
            from mien.io.audio import iter_audio
            from mien.output.bands import Sketch
            from mien.output.timeline import plot_speech

            with iter_audio(self.source, channel=result.channel) as blocks:
                return plot_speech(result, Sketch.from_blocks(blocks))
        except MissingExtraError:
            return None

    def _image(self, result: ImageResult) -> bytes:
        import numpy as np

        from mien.io.image import read_image
        from mien.output.draw import draw
        from mien.output.write import encode_png

        drawn = draw(read_image(self.source, max_pixels=result.width * result.height).pixels, result)
        step = -(-max(drawn.shape[:2]) // _PREVIEW_PX)
        return encode_png(np.ascontiguousarray(drawn[::step, ::step]))
