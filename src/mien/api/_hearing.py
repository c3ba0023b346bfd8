"""One recording from its file to segments: block by block, gaps filled, warnings collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mien.errors import DecodeError
from mien.io.audio import LONGEST_GAP_S, Audio, AudioBlock, AudioReader, iter_audio
from mien.io.paths import format_path
from mien.results import SpeechResult, SpeechSegment
from mien.speech.analyzer import SpeechAnalyzer

__all__ = ["Hearing"]

_BLOCK_S = 1.0
"""Sound is read in blocks of this length: a recording's first segments come after a few of them."""


class Hearing:
    """One recording on its way through an analyzer, in constant memory: no segment is kept.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        What answers.
    source : str, os.PathLike, bytes, binary file object, or Audio
        What is heard, once.
    called : str, optional
        How messages call it; by default by its path.
    from_s, to_s : float, optional
        What is heard of it.  The time before is one segment without speech that says so.
    """

    def __init__(
        self,
        analyzer: SpeechAnalyzer,
        source: Any,
        *,
        called: str | None = None,
        from_s: float = 0.0,
        to_s: float | None = None,
    ) -> None:
        self._source, self._called, self._analyzer = source, called, analyzer
        self._from_s, self._to_s = from_s, to_s
        self._rate_hz = source.rate_hz if isinstance(source, Audio) else analyzer.sound.rate_hz
        self._stream = analyzer.stream(rate_hz=self._rate_hz)
        self._sound: Audio | AudioReader | None = None
        self._gaps: list[float] = []
        self.began_s: float | None = None

    def segments(
        self,
        *,
        opened: Callable[[AudioReader], None] | None = None,
        heard: Callable[[AudioBlock], None] | None = None,
    ) -> Iterator[SpeechSegment]:
        """Yield each segment as soon as it is settled.

        Parameters
        ----------
        opened : callable, optional
            Gets the file before its first block.
        heard : callable, optional
            Gets each block after the segments that it settled.

        Raises
        ------
        MienError
            If the source cannot be read, or ends before what is to be heard; in the middle of a file after the segments
            before it.
        """
        if isinstance(self._source, Audio):
            self._sound = sound = self._source
            whole = AudioBlock(sound.wave, sound.start_s, sound.rate_hz)
            yield from self._answered([whole] if len(sound.wave) else [], heard)
        else:
            with iter_audio(self._source, rate_hz=self._rate_hz, block_s=_BLOCK_S) as stream:
                self._sound = stream
                if opened is not None:
                    opened(stream)
                yield from self._answered(stream, heard)
        if self.began_s is None and self._from_s:
            raise DecodeError(f"{self._name()} has no sound from {self._from_s:g} s on", path=self.path)
        yield from self.close()

    def close(self) -> tuple[SpeechSegment, ...]:
        """Return the segments that are left of what was heard so far; nothing is heard after, as at Ctrl-C."""
        return tuple(map(self._moved, self._stream.close()))

    @property
    def path(self) -> str | None:
        """The file, once it is open; None for bytes and streams without a name."""
        return None if self._sound is None else self._sound.path

    @property
    def duration_s(self) -> float:
        """Seconds up to where it was heard."""
        return self._from_s + self._stream.duration_s

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd so far."""
        notes = () if self._sound is None else self._sound.warnings
        if not self._gaps:
            return notes
        return (*notes, f"the sound has {len(self._gaps)} gaps, {sum(self._gaps):.2f} s in all; they are silence here")

    def result(self, segments: Iterable[SpeechSegment], *more: str) -> SpeechResult:
        """Return what was heard: all segments that were given out, and ``more`` warnings."""
        # First the segments: what is said of the rest is complete only after them.
        heard = tuple(segments)
        warnings = (*self.warnings, *more)
        model, labels = self._analyzer.spec.name, self._analyzer.labels
        return SpeechResult(self.duration_s, heard, self.path, model, warnings, labels)

    def _answered(
        self, blocks: Iterable[AudioBlock], heard: Callable[[AudioBlock], None] | None
    ) -> Iterator[SpeechSegment]:
        for block in blocks:
            if self._to_s is not None and block.start_s >= self._to_s:
                return
            part = self._part(block)
            if part is not None:
                if self.began_s is None:
                    self.began_s = part.start_s
                    if self._from_s:
                        yield SpeechSegment(0.0, self._from_s, speech=False, warnings=("not read",))
                yield from self._silence(part.start_s)
                yield from map(self._moved, self._stream.push(part.wave))
            if heard is not None:
                heard(block)

    def _part(self, block: AudioBlock) -> AudioBlock | None:
        """Return what is to be heard of a block."""
        if not self._from_s and self._to_s is None:
            return block
        first = max(round((self._from_s - block.start_s) * block.rate_hz), 0)
        until = len(block.wave) if self._to_s is None else round((self._to_s - block.start_s) * block.rate_hz)
        wave = block.wave[first:until]
        return AudioBlock(wave, block.start_s + first / block.rate_hz, block.rate_hz) if len(wave) else None

    def _moved(self, segment: SpeechSegment) -> SpeechSegment:
        """Return a segment with the times of the file."""
        if not self._from_s:
            return segment
        return replace(segment, start_s=segment.start_s + self._from_s, end_s=segment.end_s + self._from_s)

    def _name(self) -> str:
        return self._called or format_path(self.path or "the audio file")

    def _silence(self, start_s: float) -> Iterator[SpeechSegment]:
        """Fill a gap in the file, or the time before its sound begins, so that all times are the file's own."""
        gap_s = start_s - self.duration_s
        if gap_s > LONGEST_GAP_S:
            raise DecodeError(f"{self._name()} has damaged times: they jump by {gap_s:.0f} s", path=self.path)
        missing, most = max(round(gap_s * self._rate_hz), 0), round(_BLOCK_S * self._rate_hz)
        if missing and self._stream.duration_s:
            self._gaps.append(gap_s)
        for begin in range(0, missing, most):
            yield from map(self._moved, self._stream.push(np.zeros(min(most, missing - begin), np.float32)))
