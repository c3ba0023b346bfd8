"""Opening what holds sound or images, with one rule for errors, for the readers allowed, and for where zero is."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

from mien._checks import describe
from mien.errors import DecodeError, InputError, MediaNotFoundError
from mien.io.formats import HEAD_BYTES
from mien.io.paths import format_path

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["Rewound", "images_of", "label", "open_container", "opened", "read_head", "reason", "zero_of"]

# Playlists and the like name other files, or addresses on the network: none of their readers may be chosen.
_READERS = "wav,flac,mp3,aac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,au,avi,flv,asf,mpeg,mpegts,mpegvideo,amr"

_COVER = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h)."""

_MICROSECOND = Fraction(1, 1_000_000)


def label(path: str | None, noun: str) -> str:
    """Return how messages call the source, a ``"recording"`` or a ``"video"``."""
    return f"the {noun}" if path is None else format_path(path)


def reason(error: BaseException) -> str:
    """Return what an error of a reader says, in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def opened(source: Any, noun: str) -> tuple[str | None, Any, bool]:
    """Return (path, binary file, whether it is ours to close)."""
    if isinstance(source, bytes | bytearray | memoryview):
        return None, io.BytesIO(source), True
    if callable(getattr(source, "read", None)):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else None, source, False
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"a {noun} must be a path, bytes or a binary file, but got {describe(source)}")
    path = os.fsdecode(source)
    try:
        return path, open(path, "rb"), True  # noqa: PTH123  (Path would normalize the name that errors report)
    except FileNotFoundError:
        raise MediaNotFoundError(f"no such file: {format_path(path)}", path=path) from None
    except IsADirectoryError:
        raise MediaNotFoundError(f"expected a {noun}, but {format_path(path)} is a folder", path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = getattr(error, "strerror", None) or str(error)
        raise MediaNotFoundError(f"cannot open {format_path(path)}: {why}", path=path) from error


def read_head(file: Any, path: str | None, *, noun: str, expected: str) -> tuple[bytes, Rewound]:
    """Return the first bytes and the file as if they had not been read; raise where there are none."""
    try:
        head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DecodeError(f"cannot read {label(path, noun)}: {error}", path=path) from error
    if not isinstance(head, bytes):
        raise InputError(f"a file object must be opened in binary mode, but its read() gave {describe(head)}")
    if not head:
        raise DecodeError(f"{label(path, noun)} is empty: expected {expected}", path=path)
    return head, Rewound(head, file)


def open_container(file: Rewound, path: str | None, noun: str) -> InputContainer:
    """Open a file with one of the readers that name no other files."""
    import av

    try:
        options = {"format_whitelist": _READERS}
        container: InputContainer = av.open(file, "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError, EOFError) as error:
        if file.interrupted:
            raise KeyboardInterrupt from None
        raise DecodeError(
            f"{label(path, noun)} cannot be decoded: its header is damaged or not followed by anything "
            f"({reason(error)})",
            path=path,
        ) from error
    return container


def images_of(container: InputContainer) -> list[VideoStream]:
    """Return the streams of moving images: a cover beside the sound is one still image, and makes no video."""
    return [stream for stream in container.streams.video if not stream.disposition & _COVER]


def zero_of(container: InputContainer) -> tuple[Fraction, str | None]:
    """Return where a file's time zero lies on the clock of its streams, exactly, and a note where that is odd.

    Videos from a broadcast begin at any time of day: zero is where the container's first stream begins.  Sound that
    begins before zero is a coder's delay, and is left there; images that do so are real, and zero moves to them.
    """
    images = images_of(container)
    if images and images[0].start_time is not None and images[0].time_base is not None:
        begin = images[0].start_time * images[0].time_base
        if begin < 0:
            return begin, f"the images begin at {float(begin):.3f} s, before zero: times are counted from there"
    # FFmpeg rounds the container's begin to a microsecond; the stream that it was taken from tells it exactly.
    about = Fraction(container.start_time or 0) * _MICROSECOND
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None
    ]
    nearest = min(starts, key=lambda start: abs(start - about), default=about)
    return max(Fraction(0), nearest if abs(nearest - about) <= 2 * _MICROSECOND else about), None


class Rewound:
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
