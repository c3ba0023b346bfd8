"""The sound of a video, copied into another file, or encoded again where that file does not take its codec."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.io.container import PeekedFile, error_reason, find_time_zero, open_container, open_file, read_head
from mien.output._encode import Container

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

Timed: TypeAlias = "tuple[Fraction, Packet[AudioStream]]"
"""When a packet begins, by the clock of the new video, and the packet."""

__all__ = ["SoundTrack", "VideoSource", "open_source"]

_PREROLL = Fraction(1, 10)
"""Decoders need what comes before the first sample: one frame of AAC or MP3, 80 ms of Opus (RFC 7845,
section 4.6)."""

_JUMP_S = 0.05
"""As in `mien.io`: containers round times, and what is off by more is a gap."""

_LONGEST_GAP_S = 3600.0
"""Longer gaps are damaged times; they must not fill the file with silence."""

_BLOCK = 1 << 16

_MOST_ERRORS = 1000
"""As many places in a row that cannot be read end the sound."""

_MARGIN_S = 10
"""Seeking lands before the time, but not in every file exactly."""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A video, opened for its sound.

    Parameters
    ----------
    zero : Fraction
        Timestamp of the streams at which the video begins, in seconds.
    sound : AudioStream or None
        Its first sound track.
    container : InputContainer
        The open video; `close` closes it.
    reader : PeekedFile
        What it reads by.
    file : binary file object or None
        The file behind it, where it was opened here.
    notes : tuple of str
        Why there is no sound, though the video has a track.
    """

    zero: Fraction
    sound: Any
    container: InputContainer
    reader: PeekedFile
    file: Any
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        """Close the video."""
        self.container.close()
        if self.file is not None:
            self.file.close()


def open_source(source: str | os.PathLike[str] | bytes) -> VideoSource:
    """Open a video for its sound.

    Raises
    ------
    MediaNotFoundError, DecodeError
        If there is no such file, or it cannot be read.
    """
    path, file, owned = open_file(source, "video")
    try:
        rewound = read_head(file, path, noun="video", expected="a video")[1]
        container = open_container(rewound, path, "video")
    except BaseException:
        if owned:
            file.close()
        raise
    sound = next(iter(container.streams.audio), None)
    notes: tuple[str, ...] = ()
    if sound is not None and not _is_decodable(sound):
        sound, notes = None, ("the sound is in an unknown format; it was left out",)
    return VideoSource(find_time_zero(container)[0], sound, container, rewound, file if owned else None, notes)


def _is_decodable(sound: AudioStream) -> bool:
    context = sound.codec_context
    # None where no decoder is known, whatever PyAV's types say.
    known = context is not None and context.sample_rate > 0 and context.channels > 0
    return bool(known and sound.time_base)


class SoundTrack:
    """The first sound track of a video, packet by packet, in the time of the video that is written.

    Parameters
    ----------
    source : VideoSource
        The video, with sound; it is closed with this.
    zero : Fraction
        Timestamp of the source's streams at which the written video begins, in seconds.
    length : Fraction or None
        Where the written video ends, in seconds from there; None for all of the sound.
    """

    def __init__(self, source: VideoSource, zero: Fraction, length: Fraction | None) -> None:
        self.warnings: list[str] = []
        self._source, self._zero, self._length = source, zero, length
        self._stream = source.sound
        self._packets: Iterator[Timed] = iter(())
        self._next: Timed | None = None
        self._output: OutputContainer | None = None
        self.copied = False

    def attach(self, output: OutputContainer, container: Container) -> None:
        """Add a stream to the file that is written."""
        self._output = output
        self.copied = self._is_copyable(container)
        if self.copied:
            target = output.add_stream_from_template(self._stream, opaque=True)
            self._packets = self._copy_packets(target, container)
        else:
            self._packets = self._encode_packets(_encoder(output, container.fallback, self._stream.codec_context))
        self._next = next(self._packets, None)

    def write_until(self, time: Fraction | None) -> None:
        """Write what begins before a time; all that is left with None."""
        if self._length is not None:
            time = self._length if time is None else min(time, self._length)
        while self._next is not None and self._output is not None and (time is None or self._next[0] < time):
            self._output.mux(self._next[1])
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _is_copyable(self, container: Container) -> bool:
        """Whether the codec fits such a file: by the list of what players know, and by the muxer itself."""
        import av

        name = self._stream.codec_context.codec.canonical_name
        if container.sounds is not None and name not in container.sounds:
            return False
        if name == "aac" and not self._stream.codec_context.extradata:
            return False  # with headers of its own in each frame, as broadcasts have it
        try:
            with av.open(io.BytesIO(), "w", format=container.format) as trial:
                trial.add_stream_from_template(self._stream, opaque=True)
                trial.start_encoding()
        except (av.FFmpegError, ValueError):
            return False
        return True

    def _demux(self) -> Iterator[Packet[AudioStream]]:
        """Yield the track's packets as far as the file can be read."""
        import av

        errors = 0
        while errors < _MOST_ERRORS:
            try:
                for packet in self._source.reader.demux(self._source.container, self._stream):
                    errors = 0
                    yield packet
            except av.InvalidDataError:  # what cannot be read is stepped over
                errors += 1
                continue
            except IndexError:  # PyAV's, at the end of a file in which damage showed as a further stream
                return
            except (av.FFmpegError, OSError, EOFError) as error:
                self.warnings.append(f"reading the sound ended early: {error_reason(error)}")
            return

    def _seek(self) -> None:
        """Seek to near the beginning, where that saves reading much."""
        import av

        begin = Fraction(self._stream.start_time or 0) * self._stream.time_base
        if self._zero - begin > 3 * _MARGIN_S:
            with contextlib.suppress(av.FFmpegError), self._source.reader.guard():  # then it is read from the beginning
                self._source.container.seek(int((self._zero - _MARGIN_S) / self._stream.time_base), stream=self._stream)

    def _copy_packets(self, target: Any, container: Container) -> Iterator[Timed]:
        """Yield packets in order, their times moved to the new zero."""
        import av

        base = Fraction(self._stream.time_base)
        shift = round(self._zero / base)
        # Where packets cannot begin before zero, the first that does would move all of the video; but Matroska keeps a
        # coder's delay: from one such file to another it is the same, and since libavformat 63 it is that of any codec.
        keeps_delay = "matroska" in self._source.container.format.name or av.library_versions["libavformat"][0] >= 63
        delayed = keeps_delay and self._zero == self._source.zero
        earliest = -round(_PREROLL / base) if container.negative or delayed else 0
        last: int | None = None
        length, lost = 1, 0
        self._seek()
        for packet in self._demux():
            dts = packet.pts if packet.dts is None else packet.dts
            if dts is None or not packet.size:
                continue
            begin = dts - shift
            if begin < earliest:
                continue
            if packet.is_corrupt:
                lost += 1
                continue
            if last is not None and begin <= last:  # damaged times: sound follows sound, as in its analysis
                begin = last + length
            last, length = begin, packet.duration or length
            packet.pts = packet.dts = begin
            packet.stream = target
            yield begin * base, packet
        if lost:
            self.warnings.append(f"damaged parts of the sound were left out ({lost} of them)")

    def _encode_packets(self, target: Any) -> Iterator[Timed]:
        """Yield packets, encoded again; gaps become silence."""
        import av

        context = target.codec_context
        rate, layout = int(context.sample_rate), context.layout
        at: int | None = None
        for wave, start_s in self._decode(layout, rate):
            begin = round(start_s * rate)
            if at is None:
                wave = wave[:, max(0, -begin) :]
                at = max(0, begin)
            gap = begin - at
            if _JUMP_S * rate < gap <= _LONGEST_GAP_S * rate:
                wave = np.concatenate([np.zeros((len(wave), gap), np.float32), wave], axis=1)
            for first in range(0, wave.shape[1], _BLOCK):
                part = np.ascontiguousarray(wave[:, first : first + _BLOCK])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout.name)
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                at += part.shape[1]
                yield from self._with_times(target.encode(frame), rate)
        if at is not None:
            yield from self._with_times(target.encode(None), rate)

    @staticmethod
    def _with_times(packets: list[Packet[AudioStream]], rate: int) -> Iterator[Timed]:
        for packet in packets:
            base = packet.time_base or Fraction(1, rate)
            yield (packet.dts or 0) * Fraction(base), packet

    def _decode(self, layout: Any, rate: int) -> Iterator[tuple[NDArray[np.float32], float]]:
        """Yield float32 (channels, n) from zero on, with the time at which each begins."""
        import av

        self._seek()
        resampler, made_for = None, ("", 0, "")
        end_s, damaged = float(-self._zero), 0
        for packet in self._demux():
            try:
                frames = packet.decode()
            except av.FFmpegError:  # decoders have errors of their own for it
                damaged += 1
                continue
            for frame in frames:
                start_s = end_s if frame.time is None else frame.time - float(self._zero)
                end_s = start_s + frame.samples / frame.sample_rate
                if end_s <= 0:
                    continue
                # A damaged frame may pretend to be of another kind; a resampler takes only what it was made for.
                kind = (frame.format.name, frame.sample_rate, frame.layout.name)
                if resampler is None or kind != made_for:
                    resampler, made_for = av.AudioResampler(format="fltp", layout=layout, rate=rate), kind
                for part in resampler.resample(frame):
                    yield np.asarray(part.to_ndarray(), np.float32), start_s
                    start_s += part.samples / rate
        if damaged:
            self.warnings.append(f"damaged parts of the sound were left out ({damaged} of them)")


def _encoder(output: OutputContainer, name: str, source: Any) -> Any:
    """Add an encoder for sound like the source's: one channel or two, at its rate where the codec has it."""
    import av

    rates = av.Codec(name, "w").audio_rates or [48000]
    rate = source.sample_rate if source.sample_rate in rates else 48000
    mono = source.channels == 1
    add: Any = output.add_stream
    stream = add(name, rate=rate, layout="mono" if mono else "stereo")
    stream.bit_rate = 96_000 if mono else 160_000
    return stream
