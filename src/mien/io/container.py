"""Opening files and containers of sound and images: one rule for errors, allowed formats, and where zero is."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

from mien._checks import describe
from mien.errors import DecodeError, InputError, MediaError, MediaNotFoundError
from mien.io.paths import format_path
from mien.io.sniff import HEAD_BYTES, detect_format

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = [
    "PeekedFile",
    "av_open",
    "error_reason",
    "find_time_zero",
    "format_source",
    "has_moving_images",
    "moving_image_streams",
    "open_container",
    "open_file",
    "read_head",
]

# Playlists and the like name other files, or addresses on the network: none of their demuxers may be chosen.
_DEMUXERS = "wav,flac,mp3,aac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,au,avi,flv,asf,mpeg,mpegts,mpegvideo,amr"

_COVER = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h)."""

_HEADER_BYTES, _PLAIN_HEADER_BYTES = 1 << 28, 1 << 24
"""What is read at most to open a file, since demuxers look for a header without end: of one with an index, which takes
100 MB for a day of video, and of a plain one, where covers are the largest."""

_PLAIN = ("wav", "mp3", "aac", "flac", "au", "aiff", "amr")
"""Formats without an index."""

_MICROSECOND = Fraction(1, 1_000_000)


def format_source(path: str | None, noun: str) -> str:
    """Return how messages call a source: its path, or such as "the video"."""
    return f"the {noun}" if path is None else format_path(path)


def error_reason(error: BaseException) -> str:
    """Return what an error of the system or of FFmpeg says, in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def open_file(source: Any, noun: str) -> tuple[str | None, Any, bool]:
    """Open what holds a media file.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        A path, the content, or a file object, which is returned as it is.
    noun : str
        What to call it in messages: ``"image"``, ``"video"`` or ``"audio file"``.

    Returns
    -------
    (str or None, binary file object, bool)
        The path, the file, and whether it is the caller's to close.

    Raises
    ------
    MediaNotFoundError
        If there is no such file, it is a folder, or it may not be opened.
    InputError
        If the source is of another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return None, io.BytesIO(source), True
    if callable(getattr(source, "read", None)):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else None, source, False
    article = "an" if noun[0] in "aeiou" else "a"
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"{article} {noun} must be a path, bytes or a binary file, but got {describe(source)}")
    path = os.fsdecode(source)
    try:
        return path, open(path, "rb"), True  # noqa: PTH123  (Path would normalize the name that errors report)
    except FileNotFoundError:
        raise MediaNotFoundError(f"no such file: {format_path(path)}", path=path) from None
    except IsADirectoryError:
        message = f"expected {article} {noun}, but {format_path(path)} is a folder"
        raise MediaNotFoundError(message, path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise MediaNotFoundError(f"cannot open {format_path(path)}: {error_reason(error)}", path=path) from error


def read_head(file: Any, path: str | None, *, noun: str, expected: str) -> tuple[bytes, PeekedFile]:
    """Return the first bytes and the file as if they had not been read; raise where there are none."""
    try:
        head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DecodeError(f"cannot read {format_source(path, noun)}: {error}", path=path) from error
    if not isinstance(head, bytes):
        raise InputError(f"a file object must be opened in binary mode, but its read() gave {describe(head)}")
    if not head:
        raise DecodeError(f"{format_source(path, noun)} is empty: expected {expected}", path=path)
    return head, PeekedFile(head, file)


def av_open(source: Any, **options: Any) -> InputContainer:
    """Open with `av.open` for reading; metadata that is no UTF-8 text does not matter."""
    import av

    if int(av.__version__.split(".")[0]) < 19:  # which replaces what it cannot decode by itself
        options["metadata_errors"] = "replace"
    container: InputContainer = av.open(source, "r", **options)
    return container


def open_container(file: PeekedFile, path: str | None, noun: str) -> InputContainer:
    """Open a file with one of the demuxers that follow no names of other files."""
    import av

    file.defers_interrupt, file.bytes_left = True, file.header_bytes
    try:
        container = av_open(file, options={"format_whitelist": _DEMUXERS})
    except (av.FFmpegError, OSError, EOFError) as error:
        if file.interrupted:
            raise KeyboardInterrupt from None
        raise DecodeError(
            f"{format_source(path, noun)} cannot be decoded: its header is damaged or not followed by anything "
            f"({error_reason(error)})",
            path=path,
        ) from error
    finally:
        file.bytes_left = None
    return container


def moving_image_streams(container: InputContainer) -> list[VideoStream]:
    """Return the streams of moving images: a cover beside the sound is one still image, and makes no video."""
    return [stream for stream in container.streams.video if not stream.disposition.value & _COVER]


def has_moving_images(source: Any) -> bool:
    """Tell whether a video container holds a video: such containers also hold sound alone, maybe with a cover.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        The file; nothing is raised where it cannot be opened.  A file object is read on, and not closed.

    Returns
    -------
    bool
        True also where the header is damaged, so that the reader of videos says what is wrong with it.
    """
    file, owned = None, False
    try:
        path, file, owned = open_file(source, "video")
        _, peeked = read_head(file, path, noun="video", expected="a video")
        with open_container(peeked, path, "video") as container:
            return bool(moving_image_streams(container)) or not container.streams.audio
    except MediaError:
        return True
    finally:
        if file is not None and owned:
            file.close()


def find_time_zero(container: InputContainer) -> tuple[Fraction, str | None]:
    """Return a file's time zero on the clock of its streams, exactly, and a warning where that is odd.

    Videos from a broadcast begin at any time of day: zero is where the container's first stream begins.  Sound that
    begins before zero is an encoder's delay, and is left there; images that do so are real, and zero moves to them.
    """
    images = moving_image_streams(container)
    if images and images[0].start_time is not None and images[0].time_base is not None:
        begin = images[0].start_time * images[0].time_base
        if begin < 0:
            return begin, f"the images begin at {float(begin):.3f} s, before zero: times are counted from there"
    # FFmpeg rounds the container's start to a microsecond; that of the stream behind it is exact.
    about = Fraction(container.start_time or 0) * _MICROSECOND
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None
    ]
    nearest = min(starts, key=lambda start: abs(start - about), default=about)
    return max(Fraction(0), nearest if abs(nearest - about) <= 2 * _MICROSECOND else about), None


class PeekedFile:
    """A binary file whose first bytes were read already; it begins where it stood.

    Attributes
    ----------
    defers_interrupt : bool
        Whether Ctrl-C while reading ends the file and sets `interrupted`, because PyAV would print and forget it.
    interrupted : bool
        Whether that has happened.
    bytes_left : int or None
        After so many, of which each call takes 4096 or more, the file seems to end; None sets no limit.
    """

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._file = file
        self._head: bytes = head
        self.name = getattr(file, "name", None)
        self.defers_interrupt = self.interrupted = False
        self.bytes_left: int | None = None
        self.header_bytes = _PLAIN_HEADER_BYTES if detect_format(head)[1] in _PLAIN else _HEADER_BYTES
        seekable = getattr(file, "seekable", None)
        self._seeks = bool(seekable()) if callable(seekable) else False
        if self._seeks:
            self._base = file.tell() - len(head)
            file.seek(self._base)
            self._head = b""

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if self._is_spent(size):
            return b""
        if self._head and size >= 0:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        head, self._head = self._head, b""
        try:
            return head + self._file.read(size)
        except KeyboardInterrupt:
            if not self.defers_interrupt:
                raise
            self.interrupted = True
            return head

    def seekable(self) -> bool:
        """Tell whether `seek` works."""
        return self._seeks

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, counted from where the file stood at first."""
        if self._is_spent(0):
            return -1  # to FFmpeg an error; an exception would be printed
        return self._file.seek(offset + (self._base if whence == 0 else 0), whence) - self._base

    def _is_spent(self, size: int) -> bool:
        if self.bytes_left is not None:
            self.bytes_left -= max(size, 4096)
        return self.bytes_left is not None and self.bytes_left < 0

    def tell(self) -> int:
        """Return the place, counted likewise."""
        return self._file.tell() - self._base

    def close(self) -> None:
        """Close the file itself."""
        self._file.close()
