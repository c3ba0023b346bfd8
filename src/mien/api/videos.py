"""Videos: a file in, people and their emotions over time out, in constant memory."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mien._checks import warn
from mien.api._voicing import ONCE, Voicing, fusion_method
from mien.api._watching import Watching, step_of
from mien.errors import MissingExtraError
from mien.fusion import fuse
from mien.io.video import VideoReader
from mien.models import ModelSpec, registry
from mien.models.runtime import closest_precision
from mien.output.timeline import plot_timeline
from mien.output.video import draw_video as draw_video
from mien.results import VideoFrame, VideoResult
from mien.speech.analyzer import SpeechAnalyzer
from mien.video.analyzer import SMOOTH_S, VideoAnalyzer

__all__ = ["analyze_video", "draw_video", "fuse", "iter_video", "plot_timeline"]


def analyze_video(
    source: Any,
    *,
    model: str | os.PathLike[str] = "face-base",
    detector: str = "mtcnn",
    output: str | None = None,
    step_s: float | None = None,
    fps: float | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
    max_faces: int | None = None,
    min_face_px: float | None = None,
    smooth_s: float = SMOOTH_S,
    method: str = "timeline",
    voice: bool = True,
    speech_model: str | os.PathLike[str] = "speech-base",
    fusion: str = "experts",
    threads: int | None = 1,
    device: str = "cpu",
    engine: str = "onnxruntime",
    precision: str = "float32",
) -> VideoResult:
    """Follow the people of a video, and read the emotions of their faces and of its voice over time.

    The video is read frame by frame: its length does not matter for the memory.  The models stay loaded between calls
    with the same options.

    Parameters
    ----------
    source : str, os.PathLike, bytes, or binary file object
        A path, the content of a file, or a stream.
    step_s : float, optional
        Seconds from one analyzed frame to the next, by the video's own times; by default 0.2.  Zero takes every frame.
    fps : float, optional
        The same as frames per second.
    from_s, to_s : float, optional
        What is analyzed of the video; by default all.
    method : {"timeline", "middle-frame", "every-nth", "majority-vote"}
        How the video gets its one answer, see `mien.VideoResult`.  But for the timeline, the method also says which
        frames are analyzed, each by itself.
    voice : bool
        Read the sound, too, where there is some.  Where it cannot be read, a warning says so.
    speech_model : str or os.PathLike
        What reads the voice, see `mien.SpeechAnalyzer`.
    fusion : {"experts", "average", "most_confident", "rule_table"}
        How face and voice become one answer, see `mien.fuse`.
    model, detector, output, min_face_px, max_faces, smooth_s, threads, device, engine, precision
        See `mien.VideoAnalyzer`.

    Returns
    -------
    VideoResult
        Tracks with their timelines, the voice (``speech``), and both together (``fused``); in a notebook it shows the
        timeline and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it holds no frame that can be read.
    InputError
        If an argument is wrong.
    ModelError
        If the model cannot be loaded.
    """
    how = (threads, device, engine, precision)
    analyzer = _analyzer(registry.get(model), detector, output, min_face_px, max_faces, smooth_s, *how)
    step_s = step_of(step_s, fps)
    fusion_method(fusion)
    spoken = registry.get(speech_model) if voice else None
    begin = source.tell() if hasattr(source, "seekable") and source.seekable() else None
    watching = Watching(analyzer, source, step_s=step_s, from_s=from_s, to_s=to_s, method=method)
    speech: SpeechAnalyzer | None = None

    def opened(video: VideoReader) -> None:
        # Before a frame is read, so that a net that cannot be loaded costs nobody the images; not for silent videos.
        nonlocal speech
        if spoken is not None and video.has_audio:
            speech = _speech_analyzer(spoken, *how)

    result = watching.result(watching.frames(opened=opened))
    if speech is not None:
        result = _with_voice(result, source, begin, speech, fusion, to_s)
    result = replace(result, preview=_VideoPreview())
    for warning in result.warnings:
        warn(warning)
    return result


def iter_video(
    source: Any,
    *,
    analyzer: VideoAnalyzer | None = None,
    step_s: float | None = None,
    fps: float | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
) -> Iterator[VideoFrame]:
    """Read the faces of a video while it is read: the first frames come long before its end.

    Parameters
    ----------
    source, step_s, fps, from_s, to_s
        See `analyze_video`.
    analyzer : VideoAnalyzer, optional
        What analyzes; by default the shipped model.

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
    step_s = step_of(step_s, fps)
    watching = Watching(analyzer or VideoAnalyzer(), source, step_s=step_s, from_s=from_s, to_s=to_s, keep=False)
    yield from watching.frames()
    for warning in watching.warnings:
        warn(warning)


def _with_voice(
    video: VideoResult, source: Any, begin: int | None, analyzer: SpeechAnalyzer, fusion: str, to_s: float | None
) -> VideoResult:
    """Return the video with its voice; a stream is read again from where it began, if it can be."""
    if callable(getattr(source, "read", None)):
        if begin is None:
            return replace(video, warnings=(*video.warnings, ONCE))
        source.seek(begin)
    return Voicing(analyzer, source, video, fusion=fusion, to_s=to_s).run()


@functools.lru_cache(maxsize=4)
def _speech_analyzer(spec: ModelSpec, threads: int | None, device: str, engine: str, precision: str) -> SpeechAnalyzer:
    # int8 is for faces: a voice that has no such graph is read in float32 beside them.
    precision = closest_precision(spec, precision)
    return SpeechAnalyzer(spec, threads=threads, device=device, engine=engine, precision=precision)


@functools.lru_cache(maxsize=4)
def _analyzer(
    spec: ModelSpec,
    detector: str,
    output: str | None,
    min_face_px: float | None,
    max_faces: int | None,
    smooth_s: float,
    threads: int | None,
    device: str,
    engine: str,
    precision: str,
) -> VideoAnalyzer:
    return VideoAnalyzer(
        spec,
        detector=detector,
        output=output,
        min_face_px=min_face_px,
        max_faces=max_faces,
        smooth_s=smooth_s,
        threads=threads,
        device=device,
        engine=engine,
        precision=precision,
    )


@dataclass(frozen=True, slots=True)
class _VideoPreview:
    """Draws the timeline of a video for a notebook."""

    def __call__(self, result: VideoResult) -> bytes | None:
        """Return the timeline as PNG, or None where matplotlib is not installed."""
        try:
            return plot_timeline(result)
        except MissingExtraError:
            return None
