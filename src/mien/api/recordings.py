"""Recordings: a file in, emotions over time out, in constant memory."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien._checks import describe, warn, whole_number
from mien.analyzers.speech import SpeechAnalyzer, SpeechStream
from mien.api._many import in_order, path_of
from mien.errors import DecodeError, InputError, MissingExtraError
from mien.media.audio import LONGEST_GAP_S, Audio, AudioBlock, iter_audio
from mien.media.paths import shown
from mien.models import ModelSpec, registry
from mien.models.runtime import default_threads
from mien.output.speech_plot import sketch, speech_plot
from mien.results import FailedItem, SpeechResult, SpeechSpan

__all__ = ["analyze_recordings", "analyze_speech", "iter_speech"]

_BLOCK_S = 1.0
"""Sound is read in blocks of this length: a recording's first spans come after a few of them."""


def analyze_speech(
    source: Any,
    *,
    model: str | os.PathLike[str] = "speech-base",
    output: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    threads: int | None = 1,
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
    run = _Hearing(analyzer or SpeechAnalyzer())
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
    shared = analyzer or SpeechAnalyzer()
    yield from in_order(sources, lambda source: _heard(shared, source), count)


def _heard(analyzer: SpeechAnalyzer, source: Any) -> SpeechResult:
    run = _Hearing(analyzer)
    spans = tuple(run.spans(source))
    path = path_of(source)
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
