"""Recordings: a file in, emotions over time out, in constant memory."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from mien._checks import warn
from mien.api._hearing import Hearing
from mien.api._many import checked_workers, in_order, path_of
from mien.errors import MissingExtraError
from mien.io.audio import iter_audio
from mien.models import ModelSpec, registry
from mien.output.bands import Sketch
from mien.output.timeline import plot_speech
from mien.results import FailedItem, SpeechResult, SpeechSegment
from mien.speech.analyzer import SpeechAnalyzer

__all__ = ["analyze_recordings", "analyze_speech", "iter_speech"]


def analyze_speech(
    source: Any,
    *,
    model: str | os.PathLike[str] = "speech-base",
    output: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    threads: int | None = 1,
    device: str = "cpu",
    engine: str = "onnxruntime",
    precision: str = "float32",
) -> SpeechResult:
    """Find the speech of a recording, or of the sound of a video, and read its emotions over time.

    The file is read block by block: its length does not matter for the memory.  The model stays loaded between calls
    with the same options.

    Parameters
    ----------
    source : str, os.PathLike, bytes, binary file object, or Audio
        A path, the content of a file, a stream, or what `read_audio` returned.
    model, output, window_s, hop_s, threads, device, engine, precision
        See `mien.SpeechAnalyzer`.

    Returns
    -------
    SpeechResult
        Segments that cover the recording; in a notebook it shows the drawn recording and a table.

    Raises
    ------
    MediaError
        If there is no such file, or it holds no sound that can be read.
    InputError
        If an argument is wrong.
    ModelError
        If the model cannot be loaded.
    """
    analyzer = _speech_analyzer(registry.get(model), output, window_s, hop_s, threads, device, engine, precision)
    result = _heard(analyzer, source)
    for warning in result.warnings:
        warn(warning)
    return result


def iter_speech(source: Any, *, analyzer: SpeechAnalyzer | None = None) -> Iterator[SpeechSegment]:
    """Read the emotions of a recording while it is read: the first segments come long before its end.

    Parameters
    ----------
    source : object
        See `analyze_speech`.
    analyzer : SpeechAnalyzer, optional
        What analyzes; by default the shipped model.

    Yields
    ------
    SpeechSegment
        In order, without gaps.  Warnings about the recording are given as Python warnings at the end.

    Raises
    ------
    MienError
        As for `analyze_speech`; damage in the middle of a file after the segments before it.
    """
    hearing = Hearing(analyzer or SpeechAnalyzer(), source)
    yield from hearing.segments()
    for warning in hearing.warnings:
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
        What `analyze_speech` takes, read lazily; at most ``3 * workers`` recordings are held.
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
    count = checked_workers(sources, workers, what="recordings")
    shared = analyzer or SpeechAnalyzer()
    yield from in_order(sources, lambda source: _heard(shared, source), count)


def _heard(analyzer: SpeechAnalyzer, source: Any) -> SpeechResult:
    hearing = Hearing(analyzer, source)
    result = hearing.result(hearing.segments())
    path = path_of(source)
    return result if path is None else replace(result, preview=_SpeechPreview(path))


@functools.lru_cache(maxsize=4)
def _speech_analyzer(
    spec: ModelSpec,
    output: str | None,
    window_s: float | None,
    hop_s: float | None,
    threads: int | None,
    device: str,
    engine: str,
    precision: str,
) -> SpeechAnalyzer:
    return SpeechAnalyzer(
        spec,
        output=output,
        window_s=window_s,
        hop_s=hop_s,
        threads=threads,
        device=device,
        engine=engine,
        precision=precision,
    )


@dataclass(frozen=True, slots=True)
class _SpeechPreview:
    """Draws a recording for a notebook; it keeps the path alone."""

    path: str

    def __call__(self, result: SpeechResult) -> bytes | None:
        """Return the drawn recording as PNG, or None where matplotlib is not installed."""
        try:
            with iter_audio(self.path) as blocks:
                return plot_speech(result, Sketch.from_blocks(blocks))
        except MissingExtraError:
            return None
