"""The short way: a file in, a result out.

These functions, the command line and services stand on one pipeline, `mien.api.pipeline`; this is the only place where
media, models, analyzers and output meet.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from mien._checks import check_integer, describe, warn
from mien.api.pipeline import ANALYZER_OPTIONS, Analyzers, Item, Pipeline, Result, analyzer_options
from mien.api.sources import KindName, Source, make_source
from mien.errors import InputError
from mien.options import (
    DEFAULT_MAX_PIXELS,
    AudioOptions,
    ModelOptions,
    VideoOptions,
    check_unknown,
    frame_step_s,
    make_options,
)

if TYPE_CHECKING:
    import threading

    import numpy as np
    from numpy.typing import NDArray

    from mien.face.analyzer import FaceAnalyzer
    from mien.face.detect import Detector
    from mien.face.prepare import PreparedFace
    from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoFrame, VideoResult
    from mien.speech.analyzer import SpeechAnalyzer
    from mien.video.analyzer import VideoAnalyzer

__all__ = [
    "analyze",
    "analyze_audio",
    "analyze_image",
    "analyze_images",
    "analyze_many",
    "analyze_speech",
    "analyze_video",
    "iter_speech",
    "iter_video",
    "prepare_faces",
    "read_image",
]


def analyze(source: Any, **options: Any) -> ImageResult | SpeechResult | VideoResult:
    """Analyze an image, a video or an audio file; its content says what it is, not its name.

    A file of a video's format that holds sound alone is an audio file.

    Parameters
    ----------
    source : object
        See `analyze_image`, `analyze_video` and `analyze_speech`.
    **options : object
        Those of all three; what is not for the kind of the source does nothing.

    Returns
    -------
    ImageResult, VideoResult or SpeechResult
        The faces, largest first; the people of the video; or the segments of the audio file.

    Raises
    ------
    UnsupportedMediaError
        If the source is none of them.
    MienError
        As for `analyze_image`, `analyze_video` and `analyze_speech`.
    """
    found = make_source(source)
    if found.kind == "audio":
        options = _as_speech(options)
    return _give(_pipeline(found.kind, options, ModelOptions, VideoOptions, AudioOptions).read(found))


def analyze_image(source: Any, *, analyzer: FaceAnalyzer | None = None, **options: Any) -> ImageResult:
    """Find the faces of an image and read their emotions.

    Model and detector stay loaded between calls with the same options.  For many images see `analyze_images`.

    Parameters
    ----------
    source : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        The image; an array is uint8 (H, W, 3) in RGB.
    analyzer : FaceAnalyzer, optional
        The analyzer, with options of its own; by default one of these options.
    **options : object
        The fields of `mien.ModelOptions`, such as ``model="face-base"`` or ``min_face_px=40``.

    Returns
    -------
    ImageResult
        Largest face first; in a notebook it shows the drawn image and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it is no image that can be read.
    InputError
        If an option is wrong or unknown.
    ModelError
        If the model cannot be loaded.
    """
    pipeline = _pipeline("image", options, ModelOptions, faces=analyzer)
    _check_own(analyzer, options, "image")
    return cast("ImageResult", _give(pipeline.read(_source(source, "image"))))


def analyze_speech(
    source: Any,
    *,
    analyzer: SpeechAnalyzer | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
    **options: Any,
) -> SpeechResult:
    """Find the speech of an audio file, or of the sound of a video, and read its emotions over time.

    The file is read block by block: its length does not matter for the memory.  The model stays loaded between calls
    with the same options.

    Parameters
    ----------
    source : str, os.PathLike, bytes, binary file object, or Audio
        A path, the content of a file, a stream, or what `read_audio` returned.
    analyzer : SpeechAnalyzer, optional
        The analyzer, with options of its own; by default one of these options.
    from_s, to_s : float, optional
        What is read, in seconds; by default all.  The time before is a segment without speech, "not read".
    **options : object
        The fields of `mien.ModelOptions` and `mien.AudioOptions`, such as ``window_s=2.0``; ``model`` is the model for
        voices here.

    Returns
    -------
    SpeechResult
        Segments that cover the file; in a notebook it shows the drawn sound and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it holds no sound that can be read.
    InputError
        If an option is wrong or unknown.
    ModelError
        If the model cannot be loaded.
    """
    pipeline = _pipeline("audio", _as_speech(options), ModelOptions, AudioOptions, speech=analyzer)
    _check_own(analyzer, options, "audio")
    pipeline.video = VideoOptions(from_s=from_s, to_s=to_s)
    return cast("SpeechResult", _give(pipeline.read(_source(source, "audio"))))


def analyze_video(source: Any, *, analyzer: VideoAnalyzer | None = None, **options: Any) -> VideoResult:
    """Follow the people of a video, and read the emotions of their faces and of its voice over time.

    The video is read frame by frame: its length does not matter for the memory.  The models stay loaded between calls
    with the same options.

    Parameters
    ----------
    source : str, os.PathLike, bytes, or binary file object
        A path, the content of a file, or a stream.
    analyzer : VideoAnalyzer, optional
        The analyzer of the faces, with options of its own; by default one of these options.
    **options : object
        The fields of `mien.ModelOptions`, `mien.VideoOptions` and `mien.AudioOptions`, such as ``step_s=0.5`` or
        ``voice=False``; ``fps`` says ``step_s`` as frames per second.

    Returns
    -------
    VideoResult
        Tracks with their timelines, the voice (``speech``), and both together (``fused``); in a notebook it shows the
        timeline and a table.  Where the sound cannot be read, a warning says so.

    Raises
    ------
    MediaError
        If there is no such file, or it holds no frame that can be read.
    InputError
        If an option is wrong or unknown.
    ModelError
        If the model cannot be loaded.
    """
    pipeline = _pipeline("video", options, ModelOptions, VideoOptions, AudioOptions, videos=analyzer)
    _check_own(analyzer, options, "video")
    return cast("VideoResult", _give(pipeline.read(_source(source, "video"))))


def analyze_many(
    sources: str | os.PathLike[str] | Iterable[Any],
    *,
    workers: int | None = None,
    cancel: threading.Event | Callable[[], bool] | None = None,
    **options: Any,
) -> Iterator[Result | FailedItem]:
    """Analyze images, videos and audio files as they come; a bad one becomes a `FailedItem` and stops nothing.

    `mien.api.pipeline.Pipeline` has callbacks for frames, segments and progress, too.

    Parameters
    ----------
    sources : str, os.PathLike or iterable
        Files, folders with all their folders, and patterns such as ``"photos/*.jpg"``; or what `analyze` takes.  They
        are read lazily; at most ``3 * workers`` are held.
    workers : int, optional
        Images or audio files analyzed at the same time; by default the cores of the process, at most four.
    cancel : threading.Event or callable, optional
        Tells whether to end.
    **options : object
        As for `analyze`.

    Yields
    ------
    ImageResult, VideoResult, SpeechResult or FailedItem
        In the order of the sources.  Warnings are in the results; none is given otherwise.

    Raises
    ------
    InputError
        If ``workers`` is not at least 1, an option is wrong, or ``sources`` is the bytes of one file.
    ModelError
        If a model cannot be loaded.
    """
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    pipeline = _shared_pipeline(sources, workers, options, ModelOptions, VideoOptions, AudioOptions, what="items")
    return _results(pipeline.run(sources, cancel=cancel))


def analyze_images(
    sources: Iterable[Any],
    *,
    analyzer: FaceAnalyzer | None = None,
    workers: int | None = None,
    on_image: Callable[[Any, NDArray[np.uint8], ImageResult], None] | None = None,
    **options: Any,
) -> Iterator[ImageResult | FailedItem]:
    """Analyze many images as they come; a bad one becomes a `FailedItem` and stops nothing.

    Parameters
    ----------
    sources : iterable
        What `analyze_image` takes, read lazily; at most ``3 * workers`` images are held.
    analyzer : FaceAnalyzer, optional
        The analyzer, with options of its own; by default one of these options with one thread a worker.
    workers : int, optional
        Images analyzed at the same time; by default the cores of the process, at most four.
    on_image : callable, optional
        Called with the source, the pixels and the result of each good image in the thread that read it, such as to
        draw it; a `MienError` that it raises becomes the image's error.
    **options : object
        As for `analyze_image`.

    Yields
    ------
    ImageResult or FailedItem
        In the order of the sources.  Warnings are in the results; none is given otherwise.

    Raises
    ------
    InputError
        If ``workers`` is not at least 1, or ``sources`` is a single path or the bytes of one image.
    """
    pipeline = _shared_pipeline(sources, workers, options, ModelOptions, what="images")
    _check_own(analyzer, options, "image")
    if analyzer is not None:
        pipeline.analyzers.faces = analyzer
    with_data = None if on_image is None else lambda source, *more: on_image(source.data, *more)
    items = pipeline.run((_source(source, "image") for source in sources), on_image=with_data)
    return cast("Iterator[ImageResult | FailedItem]", _results(items))


def analyze_audio(
    sources: Iterable[Any],
    *,
    analyzer: SpeechAnalyzer | None = None,
    workers: int | None = None,
    **options: Any,
) -> Iterator[SpeechResult | FailedItem]:
    """Analyze many audio files as they come; a bad one becomes a `FailedItem` and stops nothing.

    Parameters
    ----------
    sources : iterable
        What `analyze_speech` takes, read lazily; at most ``3 * workers`` files are held.
    analyzer : SpeechAnalyzer, optional
        The analyzer, with options of its own; by default one of these options.
    workers : int, optional
        Files analyzed at the same time; by default the cores of the process, at most four.
    **options : object
        As for `analyze_speech`.

    Yields
    ------
    SpeechResult or FailedItem
        In the order of the sources.  Warnings are in the results; none is given otherwise.

    Raises
    ------
    InputError
        If ``workers`` is not at least 1, or ``sources`` is a single path or the bytes of one file.
    """
    pipeline = _shared_pipeline(sources, workers, _as_speech(options), ModelOptions, AudioOptions, what="audio files")
    _check_own(analyzer, options, "audio")
    if analyzer is not None:
        pipeline.analyzers.speech = analyzer
    items = pipeline.run(_source(source, "audio") for source in sources)
    return cast("Iterator[SpeechResult | FailedItem]", _results(items))


def iter_video(source: Any, *, analyzer: VideoAnalyzer | None = None, **options: Any) -> Iterator[VideoFrame]:
    """Read the faces of a video, frame by frame: the first frames come long before its end.

    Parameters
    ----------
    source : object
        See `analyze_video`.
    analyzer : VideoAnalyzer, optional
        The analyzer, with options of its own; by default one of these options.
    **options : object
        As for `analyze_video`; of no use are those of the voice.

    Yields
    ------
    VideoFrame
        In order, also those without a face; their emotions are smoothed over the past.  Warnings about the video are
        given as Python warnings at the end.

    Raises
    ------
    MienError
        As for `analyze_video`.
    """
    from mien.api.analysis import VideoAnalysis

    pipeline = _pipeline("video", options, ModelOptions, VideoOptions)
    _check_own(analyzer, options, "video")
    max_pixels = pipeline.analyzers.models.max_pixels
    reader = VideoAnalysis(
        analyzer or pipeline.analyzers.videos, source, pipeline.video, keep=False, max_pixels=max_pixels
    )
    yield from reader.frames()
    for warning in reader.warnings:
        warn(warning)


def iter_speech(
    source: Any,
    *,
    analyzer: SpeechAnalyzer | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
    **options: Any,
) -> Iterator[SpeechSegment]:
    """Read the emotions of an audio file segment by segment: the first come long before its end.

    Parameters
    ----------
    source, from_s, to_s : object
        See `analyze_speech`.
    analyzer : SpeechAnalyzer, optional
        The analyzer, with options of its own; by default one of these options.
    **options : object
        As for `analyze_speech`.

    Yields
    ------
    SpeechSegment
        In the order of their starts, those of a channel without gaps.  Warnings about the file are given as Python
        warnings at the end.

    Raises
    ------
    MienError
        As for `analyze_speech`; damage in the middle of a file after the segments before it.
    """
    from mien.api.analysis import SpeechAnalysis, check_range

    pipeline = _pipeline("audio", _as_speech(options), ModelOptions, AudioOptions)
    _check_own(analyzer, options, "audio")
    begin_s = check_range(VideoOptions(from_s=from_s, to_s=to_s))
    chosen = analyzer or pipeline.analyzers.speech
    reader = SpeechAnalysis(chosen, source, from_s=begin_s, to_s=to_s, keep=False)
    yield from reader.segments()
    for warning in reader.warnings:
        warn(warning)


def read_image(source: Any, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Read an image.

    Parameters
    ----------
    source : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        See `mien.io.image.read_image`, which also returns format and warnings.
    max_pixels : int
        Largest width x height to decode, checked from the header.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB, upright.

    Raises
    ------
    MediaError
        If there is no such file, or it is no image that can be read.
    InputError
        If the source is of another type.
    """
    from mien.io import image

    read = image.read_image(source, max_pixels=max_pixels)
    for warning in read.warnings:
        warn(warning)
    return read.pixels


def prepare_faces(
    image: Any,
    *,
    x_factor: float = 2.1,
    y_factor: float = 3.2,
    size: int = 48,
    smooth: bool = True,
    gray: bool = True,
    detector: str = "mtcnn",
) -> tuple[PreparedFace, ...]:
    """Cut the faces of an image as data for training: upright, by the distance of the eyes, of one size.

    This is what ``mien data prepare`` does to each image; the detector stays loaded between calls.

    Parameters
    ----------
    image : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        The image; an array is uint8 (H, W, 3) in RGB.
    x_factor, y_factor, size, smooth, gray
        See `mien.face.align.eye_distance_crop`.
    detector : {"mtcnn", "haar", "yunet"}
        Haar cascades give no landmarks: their faces are not turned, and the eyes are assumed at their usual place.

    Returns
    -------
    tuple of PreparedFace
        All faces with their boxes, largest first; empty when there is none.  Faces in profile are left out.

    Raises
    ------
    MediaError
        If there is no such file, or it is no image that can be read.
    InputError
        If an argument is wrong.
    """
    from mien.face.prepare import FaceCut, cut_faces

    cut = FaceCut(x_factor=x_factor, y_factor=y_factor, size=size, smooth=smooth, gray=gray)
    return cut_faces(read_image(image), _detector(detector), cut)[0]


@functools.lru_cache(maxsize=2)
def _detector(name: str) -> Detector:
    from mien.face.detect import get_detector

    return get_detector(name)


def _source(data: Any, kind: KindName) -> Source:
    return data if isinstance(data, Source) else Source(data, kind)


_OWN: dict[KindName, Callable[[str], bool]] = {
    "image": lambda name: name != "max_pixels",
    "audio": lambda _: True,
    # The others are of the video, or of its voice, too.
    "video": {"model", "detector", "min_face_px", "flip", *ANALYZER_OPTIONS}.__contains__,
}
"""By kind of source, which options its analyzer has itself."""


def _check_own(analyzer: Any, given: Iterable[str], kind: KindName) -> None:
    """Raise `InputError` for options beside an analyzer that has its own."""
    own = [name for name in given if _OWN[kind](name)]
    if analyzer is not None and own:
        raise InputError(f"{', '.join(own)}: not with analyzer=, which has its own")


def _as_speech(options: dict[str, Any]) -> dict[str, Any]:
    """Let ``model`` stand for the model of voices, which takes a few milliseconds and one thread."""
    renamed = {"threads": 1, **options}
    if "model" in renamed:
        renamed.setdefault("speech_model", renamed.pop("model"))
    return renamed


def _options(given: dict[str, Any], kinds: Iterable[type]) -> tuple[ModelOptions, VideoOptions, AudioOptions]:
    """Take options out of keywords.

    Raises
    ------
    InputError
        If there are others than of these kinds.
    """
    values = dict(given)
    options: dict[type, Any] = {kind: kind() for kind in (ModelOptions, VideoOptions, AudioOptions)}
    if VideoOptions in kinds:
        values["step_s"] = frame_step_s(values.pop("step_s", None), values.pop("fps", None))
    for kind in kinds:
        options[kind] = make_options(kind, values)
    check_unknown(values, *kinds)
    return options[ModelOptions], options[VideoOptions], options[AudioOptions]


def _pipeline(kind: KindName, given: dict[str, Any], *kinds: type, **own: Any) -> Pipeline:
    """Return the pipeline for one source of a kind; its models stay loaded for the next.

    ``own`` are analyzers by their names in `Analyzers`, or None.
    """
    from mien.models import registry

    models, video, audio = _options(given, kinds)
    # By their records, so that a model that was written anew is loaded anew.
    if kind != "audio":
        models = replace(models, model=registry.get(models.model))
    if kind == "audio" or (kind == "video" and video.voice):
        models = replace(models, speech_model=registry.get(models.speech_model))
    if kind == "video":
        from mien.api.analysis import check_video_options

        check_video_options(video)
        if video.clip_model is not None:
            video = replace(video, clip_model=registry.get(video.clip_model))
    chosen = (models, analyzer_options(video), audio)
    own = {name: analyzer for name, analyzer in own.items() if analyzer is not None}
    # A detector of one's own need not be hashable.
    is_kept = (
        not own
        and isinstance(video.baseline, float | int | None)
        and (isinstance(models.detector, str) or type(models.detector).__hash__ is not None)
    )
    analyzers = _analyzers(*chosen) if is_kept else Analyzers(*chosen)
    for name, analyzer in own.items():
        setattr(analyzers, name, analyzer)
    return Pipeline(analyzers, video=video)


@functools.lru_cache(maxsize=4)
def _analyzers(models: ModelOptions, video: VideoOptions, audio: AudioOptions) -> Analyzers:
    return Analyzers(models, video, audio)


def _shared_pipeline(sources: Any, workers: int | None, given: dict[str, Any], *kinds: type, what: str) -> Pipeline:
    """Return a pipeline for many sources."""
    from mien.models.runtime import default_threads

    if isinstance(sources, str | bytes | os.PathLike):
        raise InputError(f"sources must be several {what}, but got one ({describe(sources)}): pass [source]")
    count = default_threads() if workers is None else check_integer(workers, "workers", low=1)
    return Pipeline(Analyzers(*_options(given, kinds), are_shared=True), workers=count)


def _results(items: Iterator[Item]) -> Iterator[Result | FailedItem]:
    with closing(cast("Any", items)):
        for item in items:
            yield item.result


def _give(result: Result) -> Result:
    """Return a result, and give its warnings to who called the function that calls this."""
    for warning in result.warnings:
        warn(warning, stacklevel=4)
    return result
