"""Opening files and containers of sound and images: one rule for errors, allowed formats, and where zero is."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mien._checks import describe
from mien._threads import defer_signals
from mien.errors import DecodeError, InputError, MediaError, MediaNotFoundError, UnsupportedMediaError
from mien.io.paths import describe_missing, expand_home, format_path, is_url
from mien.io.sniff import HEAD_BYTES, detect_format

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = [
    "ANIMATIONS",
    "BELIEVED_PIXELS",
    "PIXELS_PER_BYTE",
    "PeekedFile",
    "av_open",
    "check_size",
    "error_reason",
    "find_time_zero",
    "format_source",
    "has_moving_images",
    "is_animation",
    "moving_image_streams",
    "open_container",
    "open_file",
    "read_head",
]

# Playlists and the like name other files, or addresses on the network: none of their demuxers may be chosen.
_DEMUXERS = (
    "wav,w64,caf,wv,flac,mp3,aac,ac3,eac3,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,au,avi,flv,asf,mpeg,"
    "mpegts,mpegvideo,amr,g722,gif,apng"
)

_WAV_PACKET_BYTES = "16384"
"""Of packets of WAV, half a second of a voice at 16 kHz: those of 4096, which FFmpeg takes by itself, cost more to
handle than to decode.  Other formats have packets of their own."""

_COVER = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h)."""

ANIMATIONS = {
    "gif": ("GifImagePlugin", "GifImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
}
"""Formats of images that may be animated, with Pillow's classes for them."""

_LARGEST_ANIMATION = 24_000_000
"""Pixels of a WebP that is decoded as an animation."""

_FRAME_MS = 100
"""How long browsers show a frame that declares no length."""

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
    path = expand_home(os.fsdecode(source))
    try:
        return path, open(path, "rb"), True  # noqa: PTH123  (Path would normalize the name that errors report)
    except FileNotFoundError:
        raise MediaNotFoundError(describe_missing(path), path=path) from None
    except IsADirectoryError:
        message = f"expected {article} {noun}, but {format_path(path)} is a folder"
        raise MediaNotFoundError(message, path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        # A data URL is too long for a name.
        cannot = f"cannot open {format_path(path)}: {error_reason(error)}"
        message = describe_missing(path) if is_url(path) else cannot
        raise MediaNotFoundError(message, path=path) from error


BELIEVED_PIXELS = 24_000_000
"""A file may claim so many pixels whatever its length: at most some 27 bytes each while an animation is decoded."""

PIXELS_PER_BYTE = 1000
"""Larger images need a byte for so many pixels.  Even white pages have fewer as JPEG, PNG in colors and WebP; only
blank GIF and blank pages of one bit a pixel have more."""


def check_size(width: int, height: int, limit: int, *, path: str | None, label: str, stored: int | None = None) -> None:
    """Reject sizes over the limit, and those that a file of so many bytes (``stored``) cannot mean.

    Raises
    ------
    DecodeError, UnsupportedMediaError
        If there are no pixels, too many, or more than the file can mean.
    """
    if width <= 0 or height <= 0:
        raise DecodeError(f"{label} has a size of {width} x {height} pixels", path=path)
    if width * height > limit:
        raise UnsupportedMediaError(
            f"{label} has {width} x {height} pixels, more than the limit of {limit:,} pixels", path=path
        )
    # A row costs Pillow a pointer in each of its copies, as much as two pixels do.
    if stored is not None and (width + 2) * height > max(BELIEVED_PIXELS, stored * PIXELS_PER_BYTE):
        raise DecodeError(
            f"{label} claims {width} x {height} pixels, but has only {stored:,} bytes: at most "
            f"{PIXELS_PER_BYTE:,} pixels a byte are believed of so large an image",
            path=path,
        )


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
    peeked, name = PeekedFile(head, file), detect_format(head)[1]
    return head, _peek_animation(peeked, name, path) if noun == "video" and name in ANIMATIONS else peeked


def av_open(source: Any, **options: Any) -> InputContainer:
    """Open with `av.open` for reading; metadata that is no UTF-8 text does not matter."""
    import av

    if int(av.__version__.split(".")[0]) < 19:  # which replaces what it cannot decode by itself
        options["metadata_errors"] = "replace"
    container: InputContainer = av.open(source, "r", **options)
    return container


def open_container(file: PeekedFile, path: str | None, noun: str, *, demuxer: str | None = None) -> InputContainer:
    """Open a file with one of the demuxers that follow no names of other files, by its content or the one given."""
    import av

    file.bytes_left = file.header_bytes
    try:
        options = {"format_whitelist": _DEMUXERS, "max_size": _WAV_PACKET_BYTES}
        with file.guard():
            container = av_open(file, format=demuxer, options=options)
    except (av.FFmpegError, OSError, EOFError) as error:
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


def is_animation(source: Any, name: str) -> bool:
    """Tell whether an image of a format such as ``"gif"`` is animated; so is none that cannot be opened.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        The file; a file object must be seekable, and is left where it stood.
    name : str
        Its format.
    """
    if name not in ANIMATIONS:
        return False
    try:
        _, file, owned = open_file(source, "image")
    except MediaError:
        return False
    start = file.tell()
    try:
        if name == "webp":  # Pillow allocates its pixels before it can be asked; the container says it in a flag
            head = file.read(21)
            return bool(head[12:16] == b"VP8X" and head[20] & 2)
        module, plugin = ANIMATIONS[name]
        return bool(getattr(importlib.import_module(f"PIL.{module}"), plugin)(file).is_animated)
    except Exception:  # noqa: BLE001  (plugins have errors of their own; the reader of images says what is wrong)
        return False
    finally:
        file.close() if owned else file.seek(start)


def _peek_animation(file: PeekedFile, name: str, path: str | None) -> PeekedFile:
    """Return an image as what FFmpeg can read if it is animated: it decodes no animated WebP."""
    if not file.seekable():
        file = PeekedFile(b"", io.BytesIO(file.read()))
    if not is_animation(file, name):
        return file
    if name == "webp":
        try:
            file = PeekedFile(b"", _transcode_webp(file), behind=file)
        except Exception as error:
            message = f"{format_source(path, 'video')} cannot be decoded as WebP: {error_reason(error)}"
            raise DecodeError(message, path=path) from error
    file.is_animation = True
    return file


def _transcode_webp(file: PeekedFile) -> io.BytesIO:
    """Return an animated WebP as Matroska, without loss, frame by frame."""
    import av
    from PIL import Image, ImageSequence

    head = file.read(30)
    file.seek(0)
    size = [int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27)]
    if size[0] * size[1] > _LARGEST_ANIMATION:
        raise ValueError(f"{size[0]} x {size[1]} pixels are too many for an animation")
    target, begin_ms, base = io.BytesIO(), 0, Fraction(1, 1000)
    pictures: Any = Image.open(file, formats=["WEBP"])  # type: ignore[arg-type]  # it reads and seeks
    with pictures, av.open(target, "w", format="matroska") as output:
        add: Any = output.add_stream
        stream = add("ffv1", rate=1000 // _FRAME_MS, time_base=base, width=size[0], height=size[1], pix_fmt="bgra")
        for picture in ImageSequence.Iterator(pictures):
            picture.load()
            rgba = np.asarray(picture.convert("RGBA"))
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")
            length_ms = picture.info.get("duration") or _FRAME_MS
            frame.pts, frame.time_base = begin_ms, base
            begin_ms += length_ms
            for packet in stream.encode(frame):  # each frame by itself
                packet.duration = length_ms
                output.mux(packet)
    target.seek(0)
    return target


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
    bytes_left : int or None
        After so many, of which each call takes 4096 or more, the file seems to end; None sets no limit.
    is_animation : bool
        Whether it is an animated image.
    """

    def __init__(self, head: bytes, file: IO[bytes], *, behind: Any = None) -> None:
        self._file, self._behind = file, behind
        self._head: bytes = head
        self.name = getattr(file, "name", None)
        self.is_animation = self._waits = False
        self._deliver: Callable[[], None] | None = None
        self._stopped: BaseException | None = None
        self.bytes_left: int | None = None
        self.header_bytes = _PLAIN_HEADER_BYTES if detect_format(head)[1] in _PLAIN else _HEADER_BYTES
        seekable = getattr(file, "seekable", None)
        self._seeks = bool(seekable()) if callable(seekable) else False
        if self._seeks:
            self._base = file.tell() - len(head)
            file.seek(self._base)
            self._head = b""

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let PyAV call the methods of this file: Ctrl-C, which it would forget or take for damage, comes after it.

        A read that waits for a slow pipe is broken off, and the file seems to end there.
        """
        try:
            with defer_signals(lambda: self._waits) as self._deliver:
                yield
        finally:
            self._deliver, stopped, self._stopped = None, self._stopped, None
            if stopped is not None:
                raise stopped

    def demux(self, container: InputContainer, stream: Any) -> Iterator[Packet[Any]]:
        """Yield the packets of a stream of the container that was opened with this file."""
        packets = container.demux(stream)
        while True:
            with self.guard():
                packet = next(packets, None)
            if packet is None:
                return
            yield packet

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if self._stopped is not None or self._is_spent(size):
            return b""
        if self._head and size >= 0:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        head, self._head = self._head, b""
        try:
            try:
                self._waits = True
                if self._deliver is not None:  # what came before must not wait for the pipe
                    self._deliver()
                return head + self._file.read(size)
            finally:
                self._waits = False
        except (KeyboardInterrupt, SystemExit) as error:
            if self._deliver is None:
                raise
            self._stopped = error
            return head

    def seekable(self) -> bool:
        """Tell whether `seek` works."""
        return self._seeks

    @property
    def length(self) -> int | None:
        """Its bytes; None where that is not known."""
        if not self._seeks:
            return None
        here, end = self._file.tell(), self._file.seek(0, 2)
        self._file.seek(here)
        return end - self._base

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
        """Close the file itself, and the one that it was made of."""
        self._file.close()
        if self._behind is not None:
            self._behind.close()
