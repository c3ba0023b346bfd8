"""The first sound track of a file, decoded piece by piece with the times that the container gives."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien.errors import DecodeError, InputError, MediaNotFoundError, UnsupportedMediaError
from mien.media._levels import Levels, as_float
from mien.media.formats import HEAD_BYTES, identify
from mien.media.paths import shown

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

__all__ = ["Track", "label"]

Piece = tuple[float, int, NDArray[np.float32]]
"""Start in seconds, rate in Hz, mono samples."""

# Playlists and the like name other files, or addresses on the network: none of their readers may be chosen.
_READERS = "wav,flac,mp3,aac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,au,avi,flv,asf,mpeg,mpegts,mpegvideo,amr"

_EXPECTED = "a recording or a film with sound (WAV, FLAC, MP3, M4A, Ogg, Opus, WebM, MP4, ...)"

_JUMP_S = 0.05
"""Containers round times to a millisecond, and frames last up to 0.1 s; what is off by more is a gap."""

_COVER = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h)."""

_MISSING_S, _MISSING_SHARE = 0.3, 0.01
"""A file that ends this much before the length it declares is truncated."""


def label(path: str | None) -> str:
    """Return how messages call the source."""
    return "the recording" if path is None else shown(path)


class Track:
    """Decode the sound of a file.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        What holds it; a file object is read from where it stands, and not closed.
    """

    def __init__(self, source: Any) -> None:
        self.path, self._file, self._owned = _opened(source)
        self.notes: list[str] = []
        self.levels = Levels()
        self._end_s = self._declared_s = 0.0
        self._damaged = 0
        self._cut = self._backwards = False
        try:
            head = self._read_head()
            self._container = self._open()
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
        try:
            head = self._file.read(HEAD_BYTES)
        except OSError as error:
            raise DecodeError(f"cannot read {label(self.path)}: {error}", path=self.path) from error
        if not isinstance(head, bytes):
            raise InputError(f"a file object must be opened in binary mode, but its read() gave {describe(head)}")
        self._file = _Rewound(head, self._file)
        if not head:
            raise DecodeError(f"{label(self.path)} is empty: expected {_EXPECTED}", path=self.path)
        kind, name = identify(head)
        if kind in ("audio", "video"):
            self.format = name
            return head
        came = f"a picture ({name})" if kind == "image" else f"something else that begins with {head[:12]!r}"
        raise UnsupportedMediaError(f"{label(self.path)} must be {_EXPECTED}, but it is {came}", path=self.path)

    def _open(self) -> InputContainer:
        import av

        try:
            options = {"format_whitelist": _READERS}
            container: InputContainer = av.open(self._file, "r", options=options, metadata_errors="replace")
        except (av.FFmpegError, OSError, EOFError) as error:
            if self._file.interrupted:
                raise KeyboardInterrupt from None
            raise DecodeError(
                f"{label(self.path)} cannot be decoded: its header is damaged or not followed by anything "
                f"({_reason(error)})",
                path=self.path,
            ) from error
        return container

    def _describe(self, head: bytes) -> None:
        streams = self._container.streams.audio
        if not streams:
            raise UnsupportedMediaError(
                f"{label(self.path)} has no sound: it is a film ({self.format}) of pictures only", path=self.path
            )
        stream = self._stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise UnsupportedMediaError(f"{label(self.path)} has sound in an unknown format", path=self.path)
        if len(streams) > 1:
            self.notes.append(f"the file has {len(streams)} sound tracks; the first is taken")
        # One thread: users run many files at once, and sound is light.
        context.thread_count = 1
        self.codec = str(context.name)
        self.channels, self.rate_hz = int(context.channels), int(context.sample_rate)
        if self.channels < 1 or self.rate_hz < 1:
            raise DecodeError(
                f"{label(self.path)} cannot be decoded: its header tells no rate and channels", path=self.path
            )
        # A cover beside the sound is one still picture: it makes no film.
        self.is_film = any(not part.disposition & _COVER for part in self._container.streams.video)
        # Films from a broadcast begin at any time of day: zero is where the container's first stream begins.
        self._zero_s = max(0.0, (self._container.start_time or 0) / 1e6)
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
            except (av.FFmpegError, OSError, EOFError) as error:
                self.notes.append(f"reading ended early: {_reason(error)}")
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


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _declared_s(container: InputContainer, stream: AudioStream, name: str, head: bytes) -> float:
    """Return the length that the file's own header declares, or 0: what was guessed from its size says nothing."""
    if name == "wav":
        return _wav_s(head)
    if name == "aac" or (name == "mp3" and b"Xing" not in head and b"Info" not in head):
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # A film's pictures may go on after its sound.
    return (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0


def _wav_s(head: bytes) -> float:
    """Return the length by the chunks ``fmt`` and ``data``, or 0 where the writer did not know it."""
    form, data = head.find(b"fmt "), head.find(b"data")
    if form < 0 or data < form or len(head) < data + 8:
        return 0.0
    rate = int.from_bytes(head[form + 16 : form + 20], "little")
    size = int.from_bytes(head[data + 4 : data + 8], "little")
    return size / rate if rate and size < 0xFFFFFF00 else 0.0


def _opened(source: Any) -> tuple[str | None, Any, bool]:
    """Return (path, binary file, whether it is ours to close)."""
    if isinstance(source, bytes | bytearray | memoryview):
        return None, io.BytesIO(source), True
    if callable(getattr(source, "read", None)):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else None, source, False
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"a recording must be a path, bytes or a binary file, but got {describe(source)}")
    path = os.fsdecode(source)
    try:
        return path, open(path, "rb"), True  # noqa: PTH123  (Path would normalise the name that errors report)
    except FileNotFoundError:
        raise MediaNotFoundError(f"no such file: {shown(path)}", path=path) from None
    except IsADirectoryError:
        raise MediaNotFoundError(f"expected a recording, but {shown(path)} is a folder", path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaNotFoundError(f"cannot open {shown(path)}: {reason}", path=path) from error


class _Rewound:
    """A binary file whose first bytes were read already; it begins where it stood."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._file = file
        self._head: bytes = head
        self.interrupted = False
        seekable = getattr(file, "seekable", None)
        self._seeks = bool(seekable()) if callable(seekable) else False
        if self._seeks:
            self._base = file.tell() - len(head)
            file.seek(self._base)
            self._head = b""

    def read(self, size: int = -1) -> bytes:
        """Read on; Ctrl-C meanwhile ends the file and is kept, because PyAV would print and forget it."""
        if not self._head:
            try:
                return self._file.read(size)
            except KeyboardInterrupt:
                self.interrupted = True
                return b""
        size = len(self._head) if size < 0 else size
        piece, self._head = self._head[:size], self._head[size:]
        return piece

    def seekable(self) -> bool:
        """Tell whether `seek` works."""
        return self._seeks

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, counted from where the file stood at first."""
        return self._file.seek(offset + (self._base if whence == 0 else 0), whence) - self._base

    def tell(self) -> int:
        """Return the place, counted likewise."""
        return self._file.tell() - self._base

    def close(self) -> None:
        """Close the file itself."""
        self._file.close()
