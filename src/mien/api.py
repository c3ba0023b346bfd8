"""The short way: a file in, a result out.  The only place where media, models, analyzers and output meet."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe, warn, whole_number
from mien.analyzers.face import FaceAnalyzer
from mien.analyzers.speech import SpeechAnalyzer, SpeechStream
from mien.errors import DecodeError, InputError, MienError, MissingExtraError, UnsupportedMediaError
from mien.faces.detect import Detector, get_detector
from mien.faces.prepared import FaceCut, PreparedFace, cut_faces
from mien.media import image as _image
from mien.media.audio import LONGEST_GAP_S, Audio, AudioBlock, iter_audio
from mien.media.formats import HEAD_BYTES, sniff
from mien.media.kinds import kind_of
from mien.media.paths import shown
from mien.models import ModelSpec, registry
from mien.models.runtime import default_threads
from mien.output.draw import draw
from mien.output.speech_plot import sketch, speech_plot
from mien.output.write import encode_png
from mien.results import FailedItem, ImageResult, SpeechResult, SpeechSpan

__all__ = [
    "analyze",
    "analyze_image",
    "analyze_images",
    "analyze_recordings",
    "analyze_speech",
    "draw",
    "iter_speech",
    "prepare_faces",
    "read_image",
]

_PREVIEW_PX = 1024

_BLOCK_S = 1.0
"""Sound is read in blocks of this length: a recording's first spans come after a few of them."""

Result = TypeVar("Result", ImageResult, SpeechResult)


def read_image(source: Any, *, max_pixels: int = _image.DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture.

    Parameters
    ----------
    source : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        See `mien.media.image.read_image`, which also tells format and warnings.
    max_pixels : int
        Largest width x height to decode, checked from the header.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB, upright.

    Raises
    ------
    MediaError
        If there is no such file, or it is no picture that can be read.
    InputError
        If the source is of another type.
    """
    picture = _image.read_image(source, max_pixels=max_pixels)
    for warning in picture.warnings:
        warn(warning)
    return picture.pixels


def analyze(source: Any, **options: Any) -> ImageResult | SpeechResult:
    """Analyze a picture or a recording, told by its content, not by its name.

    Films are refused until mien reads their pictures; `analyze_speech` reads their sound.  A file of a film's format
    that holds sound alone is a recording.

    Parameters
    ----------
    source : object
        See `analyze_image` and `analyze_speech`.
    **options : object
        See there.

    Returns
    -------
    ImageResult or SpeechResult
        The faces, largest first, or the spans of the recording.

    Raises
    ------
    UnsupportedMediaError
        If the source is a film, or neither picture nor recording.
    MienError
        As for `analyze_image` and `analyze_speech`.
    """
    kind, whole = _kind(source)
    if kind == "video":
        _refuse_film(whole)
    return analyze_speech(whole, **options) if kind in ("audio", "video") else analyze_image(whole, **options)


def _kind(source: Any) -> tuple[str, Any]:
    """Return what kind of media a source is by its content, and the source as it was before it was looked at."""
    if isinstance(source, bytes | bytearray | memoryview):
        return sniff(bytes(source[:HEAD_BYTES])), source
    if isinstance(source, str | os.PathLike):
        return kind_of(source), source
    if isinstance(source, Audio):
        return "audio", source
    if not callable(getattr(source, "read", None)):
        return "unknown", source
    seekable = getattr(source, "seekable", None)
    place = source.tell() if callable(seekable) and seekable() else None
    try:
        head = source.read(HEAD_BYTES)
    except OSError:
        return "unknown", source  # reading it says why
    kind = sniff(head) if isinstance(head, bytes) else "unknown"
    if place is not None:
        source.seek(place)
        return kind, source
    # A film's format is looked at twice, which a pipe does not allow.
    return kind, head + source.read() if kind == "video" else _Peeked(head, source)


def _refuse_film(source: Any) -> None:
    """Raise where a file has moving pictures; a stream is left where it stands."""
    place = source.tell() if hasattr(source, "tell") else None
    with iter_audio(source) as sound:
        if sound.is_film:
            raise UnsupportedMediaError(
                f"{shown(sound.path or 'the source')} is a film ({sound.format}), whose pictures mien does not read "
                "yet: analyze_speech reads its sound",
                path=sound.path,
            )
    if place is not None:
        source.seek(place)


class _Peeked:
    """A stream whose first bytes were read already."""

    def __init__(self, head: Any, stream: Any) -> None:
        self._head, self._stream = head, stream
        self.name = getattr(stream, "name", None)

    def read(self, size: int = -1) -> Any:
        """Read on."""
        if not self._head:
            return self._stream.read(size)
        if size < 0:
            head, self._head = self._head, self._head[:0]
            return head + self._stream.read()
        head, self._head = self._head[:size], self._head[size:]
        return head


def analyze_image(
    source: Any,
    *,
    model: str | os.PathLike[str] = "face-base",
    detector: str = "mtcnn",
    output: str | None = None,
    min_face_px: float | None = None,
    threads: int | None = None,
    device: str = "cpu",
    max_pixels: int = _image.DEFAULT_MAX_PIXELS,
) -> ImageResult:
    """Find the faces of a picture and read their emotions.

    Model and detector stay loaded between calls with the same options.  For many pictures see `analyze_images`.

    Parameters
    ----------
    source : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        The picture; an array is uint8 (H, W, 3) in RGB.
    model, detector, output, min_face_px, threads, device
        See `mien.FaceAnalyzer`.
    max_pixels : int
        Largest width x height to decode.

    Returns
    -------
    ImageResult
        Largest face first; in a notebook it shows the drawn picture and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it is no picture that can be read.
    InputError
        If an argument is wrong.
    ModelError
        If the model cannot be loaded.
    """
    analyzer = _analyzer(registry.get(model), detector, output, min_face_px, threads, device)
    result = _analyzed(analyzer, source, max_pixels)
    for warning in result.warnings:
        warn(warning)
    return result


def analyze_images(
    sources: Iterable[Any],
    *,
    analyzer: FaceAnalyzer | None = None,
    workers: int | None = None,
    max_pixels: int = _image.DEFAULT_MAX_PIXELS,
    seen: Callable[[Any, NDArray[np.uint8], ImageResult], None] | None = None,
) -> Iterator[ImageResult | FailedItem]:
    """Analyze many pictures as they come; a bad one becomes a `FailedItem` and stops nothing.

    Parameters
    ----------
    sources : iterable
        What `analyze_image` takes, read lazily; at most ``2 * workers`` pictures are held.
    analyzer : FaceAnalyzer, optional
        What analyzes; by default the shipped model with one thread a worker.
    workers : int, optional
        Pictures analyzed at the same time; by default the cores of the process, at most four.
    max_pixels : int
        Largest width x height to decode.
    seen : callable, optional
        Gets source, pixels and result of each good picture in the worker that read it, such as to draw it; a
        `MienError` that it raises becomes the picture's error.

    Yields
    ------
    ImageResult or FailedItem
        In the order of the sources.  Warnings are in the results; none is given otherwise.

    Raises
    ------
    InputError
        If ``workers`` is not at least 1, or ``sources`` is a single path or the bytes of one picture.
    """
    if isinstance(sources, str | bytes | os.PathLike):
        raise InputError(f"sources must be several pictures, but got one ({describe(sources)}): pass [source]")
    count = default_threads() if workers is None else whole_number(workers, "workers", low=1)
    shared = analyzer or FaceAnalyzer(threads=1)

    yield from _in_order(sources, lambda source: _analyzed(shared, source, max_pixels, seen), count)


def analyze_speech(
    source: Any,
    *,
    model: str | os.PathLike[str] = "speech-base",
    output: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> SpeechResult:
    """Find the speech of a recording, or of the sound of a film, and read its emotions over time.

    The file is read block by block: its length does not matter for the memory.  The model stays loaded between calls
    with the same options.

    Parameters
    ----------
    source : str, os.PathLike, bytes, binary file object, or Audio
        A path, the content of a file, a stream, or what `read_audio` returned.
    model, output, window_s, hop_s, threads, device
        See `mien.SpeechAnalyzer`.

    Returns
    -------
    SpeechResult
        Spans that cover the recording; in a notebook it shows the drawn recording and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it holds no sound that can be read.
    InputError
        If an argument is wrong.
    ModelError
        If the model cannot be loaded.
    """
    analyzer = _speech_analyzer(registry.get(model), output, window_s, hop_s, threads, device)
    result = _heard(analyzer, source)
    for warning in result.warnings:
        warn(warning)
    return result


def iter_speech(source: Any, *, analyzer: SpeechAnalyzer | None = None) -> Iterator[SpeechSpan]:
    """Read the emotions of a recording while it is read: the first spans come long before its end.

    Parameters
    ----------
    source : object
        See `analyze_speech`.
    analyzer : SpeechAnalyzer, optional
        What analyzes; by default the shipped model.

    Yields
    ------
    SpeechSpan
        In order, without gaps.  Warnings about the recording are given as Python warnings at the end.

    Raises
    ------
    MienError
        As for `analyze_speech`; damage in the middle of a file after the spans before it.
    """
    run = _Hearing(analyzer or SpeechAnalyzer(threads=1))
    yield from run.spans(source)
    for warning in run.warnings:
        warn(warning)


def analyze_recordings(
    sources: Iterable[Any],
    *,
    analyzer: SpeechAnalyzer | None = None,
    workers: int | None = None,
) -> Iterator[SpeechResult | FailedItem]:
    """Analyze many recordings as they come; a bad one becomes a `FailedItem` and stops nothing.

    Parameters
    ----------
    sources : iterable
        What `analyze_speech` takes, read lazily; at most ``2 * workers`` recordings are held.
    analyzer : SpeechAnalyzer, optional
        What analyzes; by default the shipped model with one thread a worker.
    workers : int, optional
        Recordings analyzed at the same time; by default the cores of the process, at most four.

    Yields
    ------
    SpeechResult or FailedItem
        In the order of the sources.  Warnings are in the results; none is given otherwise.

    Raises
    ------
    InputError
        If ``workers`` is not at least 1, or ``sources`` is a single path or the bytes of one recording.
    """
    if isinstance(sources, str | bytes | os.PathLike):
        raise InputError(f"sources must be several recordings, but got one ({describe(sources)}): pass [source]")
    count = default_threads() if workers is None else whole_number(workers, "workers", low=1)
    shared = analyzer or SpeechAnalyzer(threads=1)
    yield from _in_order(sources, lambda source: _heard(shared, source), count)


def _heard(analyzer: SpeechAnalyzer, source: Any) -> SpeechResult:
    run = _Hearing(analyzer)
    spans = tuple(run.spans(source))
    path = _path_of(source)
    return SpeechResult(
        run.duration_s,
        spans,
        path=run.path,
        model=analyzer.spec.name,
        warnings=run.warnings,
        preview=None if path is None else _SpeechPreview(path),
    )


class _Hearing:
    """One recording on its way through an analyzer."""

    def __init__(self, analyzer: SpeechAnalyzer) -> None:
        self._analyzer = analyzer
        self.path: str | None = None
        self.duration_s = 0.0
        self.warnings: tuple[str, ...] = ()
        self._gaps: list[float] = []

    def spans(self, source: Any) -> Iterator[SpeechSpan]:
        """Yield the spans of a source."""
        if isinstance(source, Audio):
            block = AudioBlock(source.wave, source.start_s, source.rate_hz)
            yield from self._told([block] if len(source.wave) else [], source.rate_hz, source.path)
            self.warnings = source.warnings
            return
        rate_hz = self._analyzer.sound.rate_hz
        with iter_audio(source, rate_hz=rate_hz, block_s=_BLOCK_S) as blocks:
            yield from self._told(blocks, rate_hz, blocks.path)
            self.warnings = blocks.warnings
        if self._gaps:
            gaps = f"the sound has {len(self._gaps)} gaps, {sum(self._gaps):.2f} s in all; they are silence here"
            self.warnings = (*self.warnings, gaps)

    def _told(self, blocks: Iterable[AudioBlock], rate_hz: int, path: str | None) -> Iterator[SpeechSpan]:
        self.path = path
        stream = self._analyzer.stream(rate_hz=rate_hz)
        for block in blocks:
            yield from self._silence(block.start_s, stream, rate_hz)
            yield from stream.push(block.wave)
            self.duration_s = stream.duration_s
        yield from stream.close()

    def _silence(self, start_s: float, stream: SpeechStream, rate_hz: int) -> Iterator[SpeechSpan]:
        """Fill a gap in the file, or the time before its sound begins, so that all times are the file's own."""
        gap_s = start_s - stream.duration_s
        if gap_s > LONGEST_GAP_S:
            name = shown(self.path or "the recording")
            raise DecodeError(f"{name} has damaged times: they jump by {gap_s:.0f} s", path=self.path)
        missing = max(round(gap_s * rate_hz), 0)
        if missing and stream.duration_s:
            self._gaps.append(gap_s)
        step = round(_BLOCK_S * rate_hz)
        for begin in range(0, missing, step):
            yield from stream.push(np.zeros(min(step, missing - begin), np.float32))


def _in_order(sources: Iterable[Any], work: Callable[[Any], Result], count: int) -> Iterator[Result | FailedItem]:
    """Do work on sources by several threads, and yield what comes of it in the order of the sources."""

    def tried(source: Any) -> Result | FailedItem:
        try:
            return work(source)
        except MienError as error:
            return FailedItem(_failed_path(source), type(error).__name__, str(error))

    pending: deque[Future[Result | FailedItem]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="mien")
    try:
        for source in sources:
            pending.append(pool.submit(tried, source))
            if len(pending) >= 2 * count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Reached early when the caller stops: what has not begun is not begun any more.
        pool.shutdown(cancel_futures=True)


def prepare_faces(
    image: Any,
    *,
    x_factor: float = 2.1,
    y_factor: float = 3.2,
    size: int = 48,
    smooth: bool = True,
    grey: bool = True,
    detector: str = "mtcnn",
) -> tuple[PreparedFace, ...]:
    """Cut the faces of a picture as data for training: upright, by the distance of the eyes, of one size.

    This is what ``mien data prepare`` does to each picture; the detector stays loaded between calls.

    Parameters
    ----------
    image : str, os.PathLike, bytes, file object, numpy.ndarray or PIL.Image.Image
        The picture; an array is uint8 (H, W, 3) in RGB.
    x_factor, y_factor, size, smooth, grey
        See `mien.faces.align.eye_distance_crop`.
    detector : {"mtcnn", "haar"}
        Haar cascades give no points: their faces are not turned, and the eyes are assumed at their usual place.

    Returns
    -------
    tuple of PreparedFace
        All faces with their boxes, largest first; empty when there is none.  Faces in profile are left out.

    Raises
    ------
    MediaError
        If there is no such file, or it is no picture that can be read.
    InputError
        If an argument is wrong.
    """
    cut = FaceCut(x_factor=x_factor, y_factor=y_factor, size=size, smooth=smooth, grey=grey)
    return cut_faces(read_image(image), _detector(detector), cut)[0]


@functools.lru_cache(maxsize=2)
def _detector(name: str) -> Detector:
    return get_detector(name)


def _analyzed(
    analyzer: FaceAnalyzer,
    source: Any,
    max_pixels: int,
    seen: Callable[[Any, NDArray[np.uint8], ImageResult], None] | None = None,
) -> ImageResult:
    picture = _image.read_image(source, max_pixels=max_pixels)
    found = analyzer.analyze(picture.pixels, quiet=True)
    path = _path_of(source)
    result = replace(
        found,
        path=picture.path,
        warnings=(*picture.warnings, *found.warnings),
        preview=_Preview(path if path is not None else picture.pixels),
    )
    if seen is not None:
        seen(source, picture.pixels, result)
    return result


def _path_of(source: Any) -> str | None:
    return os.fsdecode(source) if isinstance(source, str | os.PathLike) else None


def _failed_path(source: Any) -> str | None:
    name = getattr(source, "name", None)  # of a file object
    path = _path_of(source)
    return path if path is not None or not isinstance(name, str) else name


@functools.lru_cache(maxsize=4)
def _analyzer(
    spec: ModelSpec,
    detector: str,
    output: str | None,
    min_face_px: float | None,
    threads: int | None,
    device: str,
) -> FaceAnalyzer:
    return FaceAnalyzer(spec, detector=detector, output=output, min_face_px=min_face_px, threads=threads, device=device)


@functools.lru_cache(maxsize=4)
def _speech_analyzer(
    spec: ModelSpec,
    output: str | None,
    window_s: float | None,
    hop_s: float | None,
    threads: int | None,
    device: str,
) -> SpeechAnalyzer:
    return SpeechAnalyzer(spec, output=output, window_s=window_s, hop_s=hop_s, threads=threads, device=device)


@dataclass(frozen=True, slots=True)
class _SpeechPreview:
    """Draws a recording for a notebook; it keeps the path alone."""

    path: str

    def __call__(self, result: SpeechResult) -> bytes | None:
        """Return the drawn recording as PNG, or None where matplotlib is not installed."""
        try:
            with iter_audio(self.path) as blocks:
                return speech_plot(result, sketch(blocks))
        except MissingExtraError:
            return None


@dataclass(frozen=True, slots=True)
class _Preview:
    """Draws a result for a notebook; of a file it keeps the path alone, not the pixels."""

    source: Any

    def __call__(self, result: ImageResult) -> bytes:
        """Return the drawn picture as PNG, at most `_PREVIEW_PX` a side."""
        drawn = draw(_image.read_image(self.source, max_pixels=result.width * result.height).pixels, result)
        step = -(-max(drawn.shape[:2]) // _PREVIEW_PX)
        return encode_png(np.ascontiguousarray(drawn[::step, ::step]))
