"""Recordings, and the sound of videos: from a path, bytes or a stream to mono samples with true times.

PyAV (FFmpeg) decodes; it is imported when something is read.  Channels are averaged, and the rate is changed by
`mien.io.resample`, which is as clean as soxr's HQ.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import DecodeError, InputError
from mien.io._track import Piece, Track
from mien.io.container import format_source
from mien.io.resample import Resampler

__all__ = ["Audio", "AudioBlock", "AudioStream", "iter_audio", "read_audio"]

Wave = NDArray[np.float32]

LOWEST_HZ, HIGHEST_HZ = 1000, 384_000
"""Rates that can be asked for."""

LONGEST_GAP_S = 3600.0
"""`read_audio` fills gaps with silence up to this length in all: damaged times must not fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """A stretch of sound without a gap.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 of shape (n,), mono, in [-1, 1].
    start_s : float
        When its first sample sounds; zero is where the file's first stream begins, images included.
    rate_hz : int
        Samples per second.
    """

    wave: Wave
    start_s: float
    rate_hz: int

    @property
    def end_s(self) -> float:
        """When the block ends."""
        return self.start_s + len(self.wave) / self.rate_hz


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A recording, ready for analysis.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 of shape (n,), mono, in [-1, 1].  Gaps in the file are silence here, so that sample k sounds at
        ``start_s + k / rate_hz``.
    rate_hz : int
        Samples per second.
    start_s : float
        When the first sample sounds; see `AudioBlock`.
    path : str or None
        The file, as it was given; ``None`` for bytes and streams without a name.
    format, codec : str
        Such as ``"wav"`` and ``"pcm_s16le"``; ``"array"`` and ``""`` for samples from elsewhere.
    channels : int
        How many the file has; they are averaged.
    warnings : tuple of str
        What is not as it seems: clipping, silence, an offset, NaN, a truncated file, several tracks, gaps.
    """

    wave: Wave
    rate_hz: int
    start_s: float = 0.0
    path: str | None = None
    format: str = "array"
    codec: str = ""
    channels: int = 1
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wave = self.wave
        if not isinstance(wave, np.ndarray) or wave.ndim != 1 or wave.dtype != np.float32:
            raise InputError(f"wave must be float32 of shape (n,), but got {describe(wave)}")
        check_integer(self.rate_hz, "rate_hz", low=1)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.wave) / self.rate_hz


class AudioStream:
    """The blocks of a recording, decoded one by one; also a context manager.

    A block is shorter than asked for only before a gap and at the end; it never reaches over a gap.  The blocks are the
    same whatever their size, up to the rounding of float32.

    Attributes
    ----------
    path, format, codec, channels
        As in `Audio`.
    rate_hz : int
        Samples per second of the blocks.
    is_video : bool
        Whether the file has moving images, too.
    """

    def __init__(self, source: Any, *, rate_hz: int | None, block_s: float) -> None:
        if rate_hz is not None:
            check_integer(rate_hz, "rate_hz", low=LOWEST_HZ, high=HIGHEST_HZ)
        check_number(block_s, "block_s", low=0.001, high=3600)
        self._track = Track(source)
        self.path, self.format = self._track.path, self._track.format
        self.codec, self.channels = self._track.codec, self._track.channels
        self.is_video = self._track.is_video
        self.rate_hz = rate_hz or self._track.rate_hz
        self._block_s = block_s
        self._peak = 0.0
        self._blocks = self._made()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was seen so far; complete after the last block."""
        levels = self._track.levels
        notes = [*self._track.notes, *levels.warnings(levels.samples / self._track.rate_hz)]
        if self._peak > 1.05:
            notes.append(f"samples beyond full scale are cut off: the largest is {self._peak:.3g} times full scale")
        return tuple(notes)

    def close(self) -> None:
        """Close the file; a file object that was handed in stays open."""
        self._blocks.close()
        self._track.close()

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[AudioBlock]:
        return self

    def __next__(self) -> AudioBlock:
        return next(self._blocks)

    def _made(self) -> Generator[AudioBlock, None, None]:
        size = max(1, round(self._block_s * self.rate_hz))
        for start_s, rate_hz, pieces in _runs(self._track.pieces(), max(0.25, min(self._block_s, 10.0))):
            yield from self._cut(start_s, self._resampled(rate_hz, pieces), size)
        if not self._track.levels.samples:
            notes = "; ".join(self._track.notes)
            what = format_source(self.path, "audio file")
            raise DecodeError(
                f"{what} cannot be decoded: no sound follows its header{notes and f' ({notes})'}", path=self.path
            )
        self._track.close()

    def _resampled(self, rate_hz: int, pieces: Iterator[Wave]) -> Iterator[Wave]:
        resampler = Resampler(rate_hz, self.rate_hz)
        for piece in pieces:
            yield self._limited(resampler.push(piece))
        yield self._limited(resampler.flush())

    def _limited(self, wave: Wave) -> Wave:
        peak = float(np.abs(wave).max(initial=0.0))
        self._peak = max(self._peak, peak)
        return np.clip(wave, -1, 1) if peak > 1 else wave

    def _cut(self, start_s: float, waves: Iterator[Wave], size: int) -> Iterator[AudioBlock]:
        """Cut a run into blocks of a size."""
        kept: list[Wave] = []
        have = done = 0
        for wave in waves:
            kept.append(wave)
            have += len(wave)
            if have < size:
                continue
            joined = np.concatenate(kept)
            whole = have - have % size
            for begin in range(0, whole, size):
                block = np.ascontiguousarray(joined[begin : begin + size])
                yield AudioBlock(block, start_s + (done + begin) / self.rate_hz, self.rate_hz)
            kept, have, done = [joined[whole:]], have - whole, done + whole
        if have:
            yield AudioBlock(np.concatenate(kept), start_s + done / self.rate_hz, self.rate_hz)


def _runs(pieces: Iterator[Piece], least_s: float) -> Iterator[tuple[float, int, Iterator[Wave]]]:
    """Group pieces that follow each other without a gap; short ones are joined, which resampling gains from."""
    pending: list[Piece] = []
    first = next(pieces, None)
    if first is not None:
        pending.append(first)

    def run(rate_hz: int, end_s: float) -> Iterator[Wave]:
        piece: Piece | None = pending.pop()
        kept: list[Wave] = []
        have = 0
        while piece is not None:
            start_s, rate, wave = piece
            if rate != rate_hz or start_s > end_s:
                pending.append(piece)
                break
            kept.append(wave)
            have += len(wave)
            end_s = start_s + len(wave) / rate
            if have >= least_s * rate:
                yield np.concatenate(kept)
                kept, have = [], 0
            piece = next(pieces, None)
        if kept:
            yield np.concatenate(kept)

    while pending:
        start_s, rate_hz, _ = pending[-1]
        yield start_s, rate_hz, run(rate_hz, start_s)


def iter_audio(source: Any, *, rate_hz: int | None = 16000, block_s: float = 1.0) -> AudioStream:
    """Read a recording, or the sound of a video, block by block, in constant memory.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        A path, the content of a file, or a stream (read from where it stands, not closed).
    rate_hz : int or None
        Samples per second that come out; None keeps the file's own.
    block_s : float
        Length of a block in seconds.

    Returns
    -------
    AudioStream
        An iterator of `AudioBlock`.

    Raises
    ------
    MediaNotFoundError
        If there is no such file, it is a folder, or it may not be opened.
    UnsupportedMediaError
        If the content is an image, a video without sound, or neither video nor recording.
    DecodeError
        If the file is empty, damaged from the start, or holds no sound after its header (raised by the first block).
    InputError
        If the source is of another type, or an option out of range.
    """
    return AudioStream(source, rate_hz=rate_hz, block_s=block_s)


def read_audio(source: Any, *, rate_hz: int | None = None) -> Audio:
    """Read a whole recording, or the sound of a video.

    The first sound track is taken, its channels are averaged; integers of any width and floats become float32 with full
    scale at 1.  What a damaged file still holds is read, with a warning in the result.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        See `iter_audio`.
    rate_hz : int, optional
        Samples per second that come out; by default the file's own.

    Returns
    -------
    Audio
        Samples and what is known about them.

    Raises
    ------
    MediaNotFoundError, UnsupportedMediaError, DecodeError, InputError
        See `iter_audio`; also `DecodeError` if the file's times jump by more than an hour in all.
    """
    with iter_audio(source, rate_hz=rate_hz, block_s=10.0) as stream:
        waves: list[Wave] = []
        start_s = end_s = 0.0
        gaps: list[float] = []
        for block in stream:
            if not waves:
                start_s = end_s = block.start_s
            missing = round((block.start_s - end_s) * stream.rate_hz)
            if missing > 0:
                gaps.append(block.start_s - end_s)
                if sum(gaps) > LONGEST_GAP_S:
                    what = format_source(stream.path, "audio file")
                    raise DecodeError(f"{what} has damaged times: they jump by {sum(gaps):.0f} s", path=stream.path)
                waves.append(np.zeros(missing, np.float32))
            waves.append(block.wave)
            end_s = start_s + sum(map(len, waves)) / stream.rate_hz
        notes = stream.warnings
    if gaps:
        notes = (*notes, f"the sound has {len(gaps)} gaps, {sum(gaps):.2f} s in all; they are silence here")
    return Audio(
        np.concatenate(waves), stream.rate_hz, start_s, stream.path, stream.format, stream.codec, stream.channels, notes
    )
