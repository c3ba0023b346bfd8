"""The first sound track of a file, decoded piece by piece with the times that the container gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DecodeError, UnsupportedMediaError
from mien.io._levels import Levels, as_float
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

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

__all__ = ["Track"]

Piece = tuple[float, int, NDArray[np.float32]]
"""Start in seconds, rate in Hz, mono samples."""

_NOUN = "audio file"
_EXPECTED = "an audio file or a video with sound (WAV, FLAC, MP3, M4A, Ogg, Opus, WebM, MP4, ...)"

_JUMP_S = 0.05
"""Containers round times to a millisecond, and frames last up to 0.1 s; what is off by more is a gap."""

_MISSING_S, _MISSING_SHARE = 0.3, 0.01
"""A file that ends this much before the length it declares is truncated."""


class Track:
    """Decode the sound of a file.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        What holds it; a file object is read from where it stands, and not closed.
    """

    def __init__(self, source: Any) -> None:
        self.path, self._file, self._owned = open_file(source, _NOUN)
        self._label = format_source(self.path, _NOUN)
        self.notes: list[str] = []
        self.levels = Levels()
        self._end_s = self._declared_s = 0.0
        self._damaged = 0
        self._cut = self._backwards = False
        try:
            head = self._read_head()
            self._container = open_container(self._file, self.path, _NOUN)
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
        """Return the first bytes, or raise what says why they cannot begin a recording."""
        head, self._file = read_head(self._file, self.path, noun=_NOUN, expected=_EXPECTED)
        kind, name = detect_format(head)
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
            self.notes.append(f"the file has {len(streams)} sound tracks; the first is taken")
        # One thread: users run many files at once, and sound is light.
        context.thread_count = 1
        self.codec = str(context.name)
        self.channels, self.rate_hz = int(context.channels), int(context.sample_rate)
        if self.channels < 1 or self.rate_hz < 1:
            raise DecodeError(f"{self._label} cannot be decoded: its header tells no rate and channels", path=self.path)
        self.is_video = bool(moving_image_streams(self._container))
        zero, note = find_time_zero(self._container)
        self._zero_s = float(zero)
        if note is not None:
            self.notes.append(note)
        self._declared_s = _declared_s(self._container, self._stream, self.format, head)

    def pieces(self) -> Iterator[Piece]:
        """Yield the sound as it is decoded, frame by frame."""
        for frame in self._frames():
            wave = self._mono(frame)
            start_s = self._start_of(frame)
            self._end_s = start_s + len(wave) / frame.sample_rate
            yield start_s, frame.sample_rate, wave
        if self._damaged:
            self.notes.append(f"damaged parts of the sound were left out ({self._damaged} of them)")
        if self._backwards:
            self.notes.append("the file's times run backwards; the sound is taken in its order")
        self._check_end()

    def _frames(self) -> Iterator[AudioFrame]:
        """Yield what the decoder gives; parts that it refuses are counted."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if self._file.interrupted:
                    raise KeyboardInterrupt
                if packet is None:
                    return
                self._cut |= packet.is_corrupt
                frames = packet.decode()
            except av.InvalidDataError:
                self._damaged += 1
                continue
            except IndexError:  # PyAV's, at the end of a file in which damage showed as a further stream
                return
            except (av.FFmpegError, OSError, EOFError) as error:
                self.notes.append(f"reading ended early: {error_reason(error)}")
                return
            yield from frames

    def _start_of(self, frame: AudioFrame) -> float:
        if frame.time is None:
            return self._end_s
        start_s = frame.time - self._zero_s
        late_s = start_s - self._end_s
        if self._end_s == 0:
            return max(0.0, start_s)
        if late_s < -_JUMP_S:
            self._backwards = True
        return start_s if late_s > _JUMP_S else self._end_s

    def _mono(self, frame: AudioFrame) -> NDArray[np.float32]:
        channels = self.levels.see(as_float(frame.to_ndarray(), len(frame.layout.channels)))
        mono: NDArray[np.float32] = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
        return mono

    def _check_end(self) -> None:
        declared_s = self._declared_s
        if declared_s - self._end_s > max(_MISSING_S, _MISSING_SHARE * declared_s):
            self.notes.append(
                f"the file is truncated: {self._end_s:.1f} s of sound are there, its header tells of {declared_s:.1f} s"
            )
        elif self._cut and self.format != "wav":  # a WAV of unknown length always ends like this
            self.notes.append(f"the file is truncated: it ends in the middle of a part, at {self._end_s:.1f} s")


def _declared_s(container: InputContainer, stream: AudioStream, name: str, head: bytes) -> float:
    """Return the length that the file's own header declares, or 0: what was guessed from its size says nothing."""
    if name == "wav":
        return _wav_s(head)
    if name == "aac" or (name == "mp3" and b"Xing" not in head and b"Info" not in head):
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # A video's images may go on after its sound.
    return (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0


def _wav_s(head: bytes) -> float:
    """Return the length by the chunks ``fmt`` and ``data``, or 0 where the writer did not know it."""
    form, data = head.find(b"fmt "), head.find(b"data")
    if form < 0 or data < form or len(head) < data + 8:
        return 0.0
    rate = int.from_bytes(head[form + 16 : form + 20], "little")
    size = int.from_bytes(head[data + 4 : data + 8], "little")
    return size / rate if rate and size < 0xFFFFFF00 else 0.0
