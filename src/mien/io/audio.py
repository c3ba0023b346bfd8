"""Audio files, and the sound of videos: from a path, bytes or a stream to mono samples with true times.

PyAV (FFmpeg) decodes; it is imported when something is read.  Channels are averaged, and the rate is changed by
`mien.io.resample`, which is as clean as soxr's HQ.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, count_of, describe
from mien.errors import DecodeError, InputError
from mien.io._audio_decoder import AudioDecoder
from mien.io.container import format_source
from mien.io.resample import Resampler

__all__ = ["Audio", "AudioBlock", "AudioReader", "iter_audio", "read_audio"]

Wave = NDArray[np.float32]

LOWEST_HZ, HIGHEST_HZ = 1000, 384_000
"""Rates that may be requested."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """A stretch of sound without a gap.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 of shape (n,), mono, in [-1, 1]; (channels, n) where each channel is read.
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
        return self.start_s + int(self.wave.shape[-1]) / self.rate_hz

    @property
    def mono(self) -> Wave:
        """float32 of shape (n,): the mean where each channel is read."""
        return self.wave if self.wave.ndim == 1 else self.wave.mean(axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A waveform, ready for analysis.

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


class AudioReader:
    """The blocks of an audio file, decoded one by one: an iterator of `AudioBlock` and a context manager.

    A block is shorter than requested only before a gap and at the end; it never reaches over a gap.  The blocks are the
    same whatever their size, up to the rounding of float32.

    Attributes
    ----------
    path, format, codec, channels
        As in `Audio`.
    selected : tuple of int or None
        Numbers of the channels that are read, from 1; only None where they are mixed.
    rate_hz : int
        Samples per second of the blocks.
    is_video : bool
        Whether the file has moving images, too.
    """

    def __init__(self, source: Any, *, rate_hz: int | None, block_s: float, channel: str | int = "mix") -> None:
        if rate_hz is not None:
            check_integer(rate_hz, "rate_hz", low=LOWEST_HZ, high=HIGHEST_HZ)
        check_number(block_s, "block_s", low=0.001, high=3600)
        self._decoder = AudioDecoder(source, channel)
        self.path, self.format = self._decoder.path, self._decoder.format
        self.codec, self.channels = self._decoder.codec, self._decoder.channels
        self.selected, self.is_video = self._decoder.selected, self._decoder.is_video
        self._is_mono = channel != "each"
        self.rate_hz = rate_hz or self._decoder.rate_hz
        self._block_s = block_s
        self._peak = 0.0
        self._blocks = self._read_blocks()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd so far; complete after the last block."""
        signal = self._decoder.signal
        found = [*self._decoder.warnings, *signal.warnings(signal.samples / self._decoder.rate_hz)]
        if self._peak > 1.05:
            found.append(f"samples beyond full scale are cut off: the largest is {self._peak:.3g} times full scale")
        return tuple(found)

    def close(self) -> None:
        """Close the file; a file object that was handed in stays open."""
        self._blocks.close()
        self._decoder.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[AudioBlock]:
        return self

    def __next__(self) -> AudioBlock:
        return next(self._blocks)

    def _read_blocks(self) -> Generator[AudioBlock, None, None]:
        size = max(1, round(self._block_s * self.rate_hz))
        resamplers: list[Resampler] = []
        cutter = None
        piece_hz, end_s = 0, 0.0
        for start_s, rate_hz, wave in self._decoder.pieces():
            if cutter is None or rate_hz != piece_hz or start_s > end_s:
                if cutter is not None:
                    yield from cutter.push(self._join(one.flush() for one in resamplers), is_end=True)
                resamplers = [Resampler(rate_hz, self.rate_hz) for _ in self.selected]
                cutter = _BlockCutter(start_s, self.rate_hz, size)
                piece_hz = rate_hz
            yield from cutter.push(self._join(one.push(row) for one, row in zip(resamplers, wave, strict=True)))
            end_s = start_s + wave.shape[1] / rate_hz
        if cutter is not None:
            yield from cutter.push(self._join(one.flush() for one in resamplers), is_end=True)
        if not self._decoder.signal.samples:
            found = "; ".join(self._decoder.warnings)
            label = format_source(self.path, "audio file")
            raise DecodeError(
                f"{label} cannot be decoded: no sound follows its header{found and f' ({found})'}", path=self.path
            )
        self._decoder.close()

    def _join(self, rows: Iterable[Wave]) -> Wave:
        """Return rows of samples as blocks have them, cut off at full scale."""
        wave = next(iter(rows)) if self._is_mono else np.stack(list(rows))
        peak = float(np.abs(wave).max(initial=0.0))
        self._peak = max(self._peak, peak)
        return np.clip(wave, -1, 1) if peak > 1 else wave


class _BlockCutter:
    """Cut sound without gaps into blocks of one size; the last one may be shorter."""

    def __init__(self, start_s: float, rate_hz: int, size: int) -> None:
        self._start_s, self._rate_hz, self._size = start_s, rate_hz, size
        self._pending: list[Wave] = []
        self._have = self._samples_out = 0

    def push(self, wave: Wave, *, is_end: bool = False) -> Iterator[AudioBlock]:
        """Take samples and yield the blocks that they complete; at the end, also what is left."""
        self._pending.append(wave)
        self._have += wave.shape[-1]
        if self._have < self._size and not is_end:
            return
        joined = np.concatenate(self._pending, axis=-1)
        whole = self._have if is_end else self._have - self._have % self._size
        for begin in range(0, whole, self._size):
            block = np.ascontiguousarray(joined[..., begin : min(begin + self._size, whole)])
            yield AudioBlock(block, self._start_s + (self._samples_out + begin) / self._rate_hz, self._rate_hz)
        self._pending, self._have = [joined[..., whole:]], self._have - whole
        self._samples_out += whole


def iter_audio(
    source: Any, *, rate_hz: int | None = 16000, block_s: float = 1.0, channel: str | int = "mix"
) -> AudioReader:
    """Read an audio file, or the sound of a video, block by block, in constant memory.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        A path, the content of a file, or a stream (read from its current position, not closed).
    rate_hz : int or None
        Samples per second that come out; None keeps the file's own.
    block_s : float
        Length of a block in seconds.
    channel : {"mix", "each", "left", "right"} or int
        Which channel is read: the mean of all, where those in antiphase to the first are inverted; each, as a row of
        the blocks; or one, by name or number (the left is 1).

    Returns
    -------
    AudioReader
        An iterator of `AudioBlock`.

    Raises
    ------
    MediaNotFoundError
        If there is no such file, it is a folder, or it may not be opened.
    UnsupportedMediaError
        If the content is an image, a video without sound, or neither video nor audio.
    DecodeError
        If the file is empty, damaged from the start, holds no sound after its header (raised by the first block), or
        its times jump by more in all than an hour and the length of its sound (raised there).
    InputError
        If the source is of another type, an option out of range, or there is no such channel.
    """
    return AudioReader(source, rate_hz=rate_hz, block_s=block_s, channel=channel)


def read_audio(source: Any, *, rate_hz: int | None = None) -> Audio:
    """Read a whole audio file, or the sound of a video.

    The first sound track is read, its channels are averaged; integers of any width and floats become float32 with full
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
        See `iter_audio`.
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
                waves.append(np.zeros(missing, np.float32))
            waves.append(block.wave)
            end_s = start_s + sum(map(len, waves)) / stream.rate_hz
        warnings = stream.warnings
    if gaps:
        warnings = (*warnings, describe_gaps(gaps))
    return Audio(
        np.concatenate(waves),
        stream.rate_hz,
        start_s,
        stream.path,
        stream.format,
        stream.codec,
        stream.channels,
        warnings,
    )


def describe_gaps(lengths_s: Sequence[float]) -> str:
    """Return the warning about gaps of these lengths in seconds."""
    whole = f"{sum(lengths_s):.2f} s"
    if len(lengths_s) == 1:
        return f"the sound has a gap of {whole}; it is silence here"
    return f"the sound has {count_of(len(lengths_s), 'gap')}, {whole} in all; they are silence here"
