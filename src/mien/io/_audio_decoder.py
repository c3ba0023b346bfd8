"""The first audio track of a file, decoded piece by piece with the container's times, and what is odd about it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import count_of
from mien.errors import DecodeError, InputError, UnsupportedMediaError
from mien.io.container import (
    error_reason,
    find_time_zero,
    format_source,
    moving_image_streams,
    open_container,
    open_file,
    read_head,
)
from mien.io.sniff import detect_format
from mien.options import CHANNELS, check_channel

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

__all__ = ["AudioDecoder"]

Piece = tuple[float, int, NDArray[np.float32]]
"""Start in seconds, rate in Hz, samples (k, n): one row mixed, or one a channel that is read."""

_NOUN = "audio file"
_EXPECTED = "an audio file or a video with sound (WAV, FLAC, MP3, M4A, Ogg, Opus, WebM, MP4, ...)"

_RAW = {"g722": "g722"}
"""Formats without a mark of their own, known by their names' suffixes, and FFmpeg's demuxers for them."""

_GAP_S = 0.05
"""Containers round times to a millisecond, and frames last up to 0.1 s; what is off by more is a gap."""

_LOWEST_HZ, _HIGHEST_HZ = 1000, 1_000_000
"""Rates of sound.  At a lower one, a small file lasts for hours; with a higher one, the resampler's filter grows."""

_MOST_GAPS_S = 3600.0
"""Gaps that are longer in all than this and the sound itself are damaged times: a small file must not last for days."""

_LARGEST = 2.0**31
"""Full scale of integers of 32 bits that were written as floats without scaling; larger samples are cut off."""

_MISSING_S, _MISSING_SHARE = 0.3, 0.01
"""A file that ends this much before the length it declares is truncated."""

_OPPOSITE = 0.7
"""Channels whose correlation is under minus this are in antiphase, and would cancel each other: one is wired the wrong
way round.  Stereo of rooms and music correlates by 0 and more."""

_MEMORY = 0.9999
"""How much of the correlation a sample keeps: 0.2 s at 48 kHz, 1 s at 8 kHz."""

_MOST_CHANNELS = 32
"""So many channels are read each by itself: the largest layout for speakers that is in use has 24 (22.2)."""

_SHORT_S = 0.5
"""Shorter than this, no emotion can be recognized."""

_QUIET = 10 ** (-50 / 20)
"""Audio whose loudest sample is under -50 dB of full scale holds hardly more than the noise of its 16 bits."""

_FAINT = 10 ** (-30 / 20)
"""Speech whose loudest sample is under -30 dB of full scale was recorded too far away or at the wrong gain."""

_OFFSET = 0.02
"""A mean further from zero than 2 % of full scale is an offset of the recorder."""

_FLAT, _FLAT_SHARE = 0.98, 5e-4
"""Clipping: more than this share of samples at or over full scale, or in flat tops (three alike) this near to it."""


class AudioDecoder:
    """Decode the sound of a file.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        The file; a file object is read from its current position, and not closed.
    channel : {"mix", "each", "left", "right"} or int
        See `mien.io.audio.iter_audio`.
    """

    def __init__(self, source: Any, channel: str | int = "mix") -> None:
        self._channel = check_channel(channel)
        self.path, self._file, self._owned = open_file(source, _NOUN)
        self._label = format_source(self.path, _NOUN)
        self.warnings: list[str] = []
        self.signal = SignalCheck()
        self._end_s = self._declared_s = 0.0
        self._damaged = 0
        self._cut = self._backwards = False
        try:
            head = self._read_head()
            self._container = open_container(self._file, self.path, _NOUN, demuxer=_RAW.get(self.format))
            self._describe(head)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close what was opened here; a file object that was handed in stays open."""
        container = getattr(self, "_container", None)
        if container is not None:
            container.close()
        if self._owned:
            self._file.close()

    def _read_head(self) -> bytes:
        """Return the first bytes, or raise what says why they cannot begin an audio file."""
        head, self._file = read_head(self._file, self.path, noun=_NOUN, expected=_EXPECTED)
        kind, name = detect_format(head)
        suffix = os.path.splitext(self.path or "")[1].lower()[1:]  # noqa: PTH122  (Path would change odd names)
        if kind == "unknown" and suffix in _RAW:
            kind, name = "audio", suffix
        if kind in ("audio", "video"):
            self.format = name
            return head
        came = f"an image ({name})" if kind == "image" else f"something else that begins with {head[:12]!r}"
        raise UnsupportedMediaError(f"{self._label} must be {_EXPECTED}, but it is {came}", path=self.path)

    def _describe(self, head: bytes) -> None:
        streams = self._container.streams.audio
        if not streams:
            raise UnsupportedMediaError(
                f"{self._label} has no sound: it is a video ({self.format}) of images only", path=self.path
            )
        stream = self._stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise UnsupportedMediaError(f"{self._label} has sound in an unknown format", path=self.path)
        if len(streams) > 1:
            self.warnings.append(f"the file has {len(streams)} sound tracks; the first is used")
        # One thread: users run many files at once, and sound is light.
        context.thread_count = 1
        self.codec = str(context.name)
        self.channels, self.rate_hz = int(context.channels), int(context.sample_rate)
        if self.channels < 1 or not _LOWEST_HZ <= self.rate_hz <= _HIGHEST_HZ:
            raise DecodeError(
                f"{self._label} cannot be decoded: its header declares {count_of(self.channels, 'channel')} at "
                f"{self.rate_hz} Hz, but expected {'' if self.channels > 0 else 'at least one, at '}"
                f"{_LOWEST_HZ} to {_HIGHEST_HZ} Hz",
                path=self.path,
            )
        self.selected = self._select()
        self._mixer = Mixer(self.selected)
        self.is_video = bool(moving_image_streams(self._container))
        zero, warning = find_time_zero(self._container)
        self._zero_s = float(zero)
        if warning is not None:
            self.warnings.append(warning)
        self._declared_s = _read_duration_s(self._container, self._stream, self.format, head)

    def _select(self) -> tuple[int | None, ...]:
        """Return the numbers of the channels that are read, from 1; None for all of them, mixed."""
        channel, count = self._channel, self.channels
        if channel == "mix":
            return (None,)
        has = f"{self._label} has {'one channel' if count == 1 else f'{count} channels'}"
        if channel == "each":
            if count > _MOST_CHANNELS:
                raise InputError(f"{has}, but at most {_MOST_CHANNELS} are read each: choose one by its number")
            return tuple(range(1, count + 1))
        number = CHANNELS.get(str(channel)) or int(channel)
        if number > count:
            raise InputError(f"{has}, but channel={channel!r} was to be read")
        return (number,)

    def pieces(self) -> Iterator[Piece]:
        """Yield the sound as it is decoded, frame by frame."""
        gaps_s = sound_s = 0.0
        for frame in self._frames():
            if not _LOWEST_HZ <= frame.sample_rate <= _HIGHEST_HZ:
                self._damaged += 1
                continue
            wave = self._mixer.mix(self.signal.push(_to_float(frame.to_ndarray(), len(frame.layout.channels))))
            start_s = self._start_of(frame)
            gaps_s += start_s - self._end_s
            sound_s += wave.shape[1] / frame.sample_rate
            if gaps_s > _MOST_GAPS_S + sound_s:
                raise DecodeError(f"{self._label} has damaged times: they jump by {gaps_s:.0f} s", path=self.path)
            self._end_s = start_s + wave.shape[1] / frame.sample_rate
            yield start_s, frame.sample_rate, wave
        if self._damaged:
            self.warnings.append(f"damaged parts of the sound were left out ({self._damaged} of them)")
        if self._mixer.has_inverted:
            self.warnings.append("channels are in antiphase: they are inverted before they are mixed")
        if self._backwards:
            self.warnings.append("the file's times run backwards; the sound is read in its order")
        self._check_end()

    def _frames(self) -> Iterator[AudioFrame]:
        """Yield what the decoder gives; parts that it refuses are counted."""
        import av

        packets = self._file.demux(self._container, self._stream)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                self._cut |= packet.is_corrupt
                frames = packet.decode()
            except av.InvalidDataError:
                if packet is None or not _find_mp3_tag(bytes(packet)):
                    self._damaged += 1
                elif packet.duration and packet.time_base:
                    self._zero_s += float(packet.duration * packet.time_base)  # it counts as sound, but has none
                continue
            except IndexError:  # PyAV's, at the end of a file in which damage showed as a further stream
                return
            except (av.FFmpegError, OSError, EOFError) as error:
                self.warnings.append(f"reading ended early: {error_reason(error)}")
                return
            yield from frames

    def _start_of(self, frame: AudioFrame) -> float:
        if frame.time is None:
            return self._end_s
        start_s = frame.time - self._zero_s
        late_s = start_s - self._end_s
        if self._end_s == 0:
            return max(0.0, start_s)
        if late_s < -_GAP_S:
            self._backwards = True
        return start_s if late_s > _GAP_S else self._end_s

    def _check_end(self) -> None:
        declared_s = self._declared_s
        if declared_s - self._end_s > max(_MISSING_S, _MISSING_SHARE * declared_s):
            self.warnings.append(
                f"the file is truncated: {self._end_s:.1f} s of sound are there, its header declares {declared_s:.1f} s"
            )
        elif self._cut and self.format != "wav":  # a WAV of unknown length always ends like this
            self.warnings.append(f"the file is truncated: it ends in the middle of a part, at {self._end_s:.1f} s")


_GUESSED = ("aac", "ac3", "amr", "g722")
"""Formats of frames without a header of the whole: FFmpeg guesses their length from the size and the first frames."""


def _find_mp3_tag(frame: bytes) -> bytes:
    """Return the Xing tag of a frame, or nothing: such frames have no sound, and a joined MP3 has several of them."""
    while frame[:3] == b"ID3":  # its size has seven bits a byte, without its own header: id3.org/id3v2.4.0-structure
        size = sum(byte << 7 * power for power, byte in enumerate(reversed(frame[6:10])))
        frame = frame[10 + size :]
    # After the header and the side information of MPEG-1 and -2, mono and stereo.
    return next((frame[place:] for place in (13, 21, 36) if frame[place : place + 4] in (b"Xing", b"Info")), b"")


def _read_mp3_duration_s(head: bytes, rate_hz: int) -> float:
    """Return the length by the frames that the Xing tag counts, or 0: of a joined MP3, FFmpeg guesses by its size."""
    tag = _find_mp3_tag(head)
    has_count = len(tag) >= 12 and tag[7] & 1
    samples = 1152 if rate_hz >= 32000 else 576  # of a frame: ISO/IEC 11172-3 and 13818-3, layer III
    return int.from_bytes(tag[8:12], "big") * samples / rate_hz if has_count else 0.0


def _read_duration_s(container: InputContainer, stream: AudioStream, name: str, head: bytes) -> float:
    """Return the length that the file's own header declares, or 0: what was guessed from its size says nothing."""
    if name == "wav":
        return _read_wav_duration_s(head)
    if name == "mp3":
        return _read_mp3_duration_s(head, stream.codec_context.sample_rate)
    if name in _GUESSED:
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # A video's images may go on after its sound.
    return (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0


def _read_wav_duration_s(head: bytes) -> float:
    """Return the length by the chunks ``fmt`` and ``data``, or 0 where the writer did not know it."""
    at, rate = 12, 0
    while at + 8 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"data":
            return size / rate if rate and size < 0xFFFFFF00 else 0.0
        if name == b"fmt ":
            rate = int.from_bytes(head[at + 16 : at + 20], "little")
        at += 8 + size + size % 2
    return 0.0


class Mixer:
    """Make one channel of several, or choose some.

    Parameters
    ----------
    selected : tuple of int or None
        Numbers of channels from 1, or only None to mix all.
    """

    def __init__(self, selected: tuple[int | None, ...]) -> None:
        self._numbers = [number for number in selected if number is not None]
        self.has_inverted = False
        self._products: NDArray[np.float64] = np.zeros(0)
        self._powers = self._products

    def mix(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (k, n) of float32 (channels, n); a channel that ends before the others is silent."""
        if self._numbers:
            missing = max(self._numbers) - len(channels)
            if missing > 0:
                channels = np.pad(channels, ((0, missing), (0, 0)))
            return channels[[number - 1 for number in self._numbers]]
        if len(channels) == 1:
            return channels
        kept = _MEMORY ** channels.shape[1]
        if len(self._products) != len(channels):
            self._products = self._powers = np.zeros(len(channels))
        self._products = kept * self._products + channels @ channels[0]
        self._powers = kept * self._powers + np.einsum("cn,cn->c", channels, channels, dtype=np.float64)
        opposite = self._products < -_OPPOSITE * np.sqrt(self._powers * self._powers[0])
        if not opposite.any():
            mono: NDArray[np.float32] = channels.mean(axis=0, dtype=np.float32, keepdims=True)
            return mono
        self.has_inverted = True
        signs = np.where(opposite, -1, 1).astype(np.float32) / np.float32(len(channels))
        return np.asarray(signs[None] @ channels, np.float32)


class SignalCheck:
    """Clipping, silence, an offset, NaN: counted as samples are decoded, before channels are mixed and resampled."""

    def __init__(self) -> None:
        self.samples = self.values = self.flat = self.beyond = self.non_finite = 0
        self.peak = self.total = 0.0

    def push(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take float32 (channels, n); return it with NaN and infinity replaced by 0."""
        self.samples += channels.shape[1]
        self.values += channels.size
        peak = _peak(channels)
        if not math.isfinite(peak):
            bad = ~np.isfinite(channels)
            self.non_finite += int(bad.sum())
            channels = np.where(bad, np.float32(0), channels)
            peak = _peak(channels)
        if peak > _LARGEST:
            channels = np.clip(channels, -_LARGEST, _LARGEST)
        self.peak = max(self.peak, peak)
        self.total += float(channels.sum())  # of one frame: float32, added in pairs, is exact enough
        if peak >= _FLAT:
            self._count_clipping(channels)
        return channels

    def _count_clipping(self, channels: NDArray[np.float32]) -> None:
        beyond = np.abs(channels) > 1
        self.beyond += int(beyond.sum())
        middle = channels[:, 1:-1]
        flat = (np.abs(middle) >= _FLAT) & (middle == channels[:, :-2]) & (middle == channels[:, 2:])
        self.flat += int((flat & ~beyond[:, 1:-1]).sum())

    def warnings(self, duration_s: float) -> list[str]:
        """Return a sentence for everything that is odd."""
        found: list[str] = []
        if self.non_finite:
            found.append(f"{self.non_finite:,} of {self.values:,} samples are NaN or infinite and were set to 0")
        if self.values and (self.flat + self.beyond) / self.values > _FLAT_SHARE:
            share = 100 * (self.flat + self.beyond) / self.values
            found.append(f"the sound is clipped: {share:.1f} % of the samples are at full scale or beyond")
        if self.values and self.peak == 0:
            found.append("the sound is silent: all samples are 0")
        elif self.values and self.peak < _QUIET:
            found.append(f"the sound is nearly silent: its peak is {_db(self.peak):.0f} dB of full scale")
        elif self.values and self.peak < _FAINT:
            found.append(f"the sound is faint: its peak is {_db(self.peak):.0f} dB of full scale")
        mean = self.total / max(self.values, 1)
        if abs(mean) > _OFFSET and duration_s >= _SHORT_S:
            found.append(f"the sound has an offset: its mean is {mean:+.3f} of full scale, not 0")
        if duration_s < _SHORT_S:
            found.append(f"the sound is very short: {1000 * duration_s:.0f} ms")
        return found


def _peak(channels: NDArray[np.float32]) -> float:
    # Without an array of magnitudes; NaN comes through both.
    return max(float(channels.max(initial=0.0)), -float(channels.min(initial=0.0)))


def _db(value: float) -> float:
    return 20 * math.log10(value)


def _to_float(values: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """Return decoded samples as float32 (channels, n), full scale at 1.

    Parameters
    ----------
    values : numpy.ndarray
        (channels, n), or interleaved (1, n * channels); integers of any width, or floats.
    channels : int
        How many.
    """
    if values.shape[0] != channels:
        values = values.reshape(-1, channels).T
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) * np.float32(1 / 128)
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32) * np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is counted as such
        return values.astype(np.float32, copy=False)
