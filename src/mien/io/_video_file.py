"""A video's file: what its header tells, its packets, and winding to a place in it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from math import floor
from typing import TYPE_CHECKING, Any

from mien.errors import DecodeError, UnsupportedMediaError
from mien.io._video_plan import is_clean_start
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
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["VideoFile"]

_NOUN = "video"
_EXPECTED = "a video (MP4, MOV, MKV, WebM, AVI, ...)"

_GUESSED = ("mpeg-ts", "mpeg")
"""Formats that declare no length: FFmpeg guesses one from the last packets."""

_INDEXED = ("mp4", "mov", "3gp")
"""Formats that cannot be read without their index."""

_WINDABLE = ("mp4", "mov", "3gp", "mkv", "webm")
"""Formats whose index names the key frames."""

_BACK_S = (0, 1, 5, 30)
"""How far before the place a clean start is looked for, before the video is read from its begin."""

_MOST_ERRORS = 100
"""Places in a row that cannot be read, after which no more is expected of a file."""


class VideoFile:
    """Open a video and read its packets.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        What holds it; a file object is read from where it stands, and not closed.
    threads : int
        Threads of the decoder.
    max_pixels : int
        Largest width x height to decode.
    """

    def __init__(self, source: Any, *, threads: int = 1, max_pixels: int | None = None) -> None:
        self._threads, self._limit = threads, max_pixels
        self.path, self._file, self._owned = open_file(source, _NOUN)
        self.label = format_source(self.path, _NOUN)
        self.notes: list[str] = []
        try:
            self.format = self._told()
            self._start()
            self._describe()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close what was opened here; a file object that was handed in stays open."""
        container = getattr(self, "container", None)
        if container is not None:
            container.close()
        if self._owned:
            self._file.close()

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came while PyAV read."""
        return bool(self._file.interrupted)

    def check_size(self, width: int, height: int) -> None:
        """Raise where an image is larger than allowed."""
        if self._limit is not None and width * height > self._limit:
            raise UnsupportedMediaError(
                f"{self.label} has {width} x {height} pixels, more than the limit of {self._limit:,} pixels",
                path=self.path,
            )

    # --- the header --------------------------------------------------------------------------------------------------

    def _told(self) -> str:
        """Return the name of the format by the first bytes, or raise what says why it is no video."""
        head, self._file = read_head(self._file, self.path, noun=_NOUN, expected=_EXPECTED)
        kind, name = detect_format(head)
        if kind == "video":
            return name
        came = f"something else that begins with {head[:12]!r}"
        if kind != "unknown":
            came = f"an image ({name})" if kind == "image" else f"an audio file ({name})"
        raise UnsupportedMediaError(f"{self.label} must be {_EXPECTED}, but it is {came}", path=self.path)

    def _start(self) -> None:
        try:
            self.container = open_container(self._file, self.path, _NOUN)
        except DecodeError as error:
            if self.format in _INDEXED and self._file.seekable() and not self._has_index():
                raise DecodeError(
                    f"{self.label} cannot be decoded: its index (moov) is missing; the video was cut off, or its "
                    "recording never finished",
                    path=self.path,
                ) from error
            raise
        self.stream = self._images()
        context = self.stream.codec_context
        if context is None:
            raise UnsupportedMediaError(f"{self.label} has images in an unknown format", path=self.path)
        self.check_size(context.width, context.height)
        context.thread_type = "AUTO"  # frames or slices, whichever the codec knows
        context.thread_count = self._threads
        if self._limit is not None:
            # Frames that claim a huge size later are refused before memory is taken; what is coded may be a little
            # larger than what is shown.
            context.options = {"max_pixels": str(2 * self._limit + 1_000_000)}
        self.context = context

    def _has_index(self) -> bool:
        """Whether a file of ISO base media boxes has a whole ``moov`` (ISO/IEC 14496-12, 4.2 and 8.2.1)."""
        size = self._file.seek(0, 2)
        at = 0
        while at + 8 <= size:
            self._file.seek(at)
            head = self._file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if head[4:8] == b"moov":
                return bool(at + length <= size)
            if length < 8:  # 0: to the end of the file; else damaged
                return False
            at += length
        return False

    def _images(self) -> VideoStream:
        """Return the first stream of moving images, or raise what says why there is none."""
        streams = moving_image_streams(self.container)
        if streams:
            return streams[0]
        if self.container.streams.audio:
            cover = " and a cover" if self.container.streams.video else ""
            codec = self.container.streams.audio[0].codec_context
            sound = f"{self.format}, {codec.name}" if codec is not None else self.format
            raise UnsupportedMediaError(
                f"{self.label} has no moving images: it is sound{cover} only ({sound})", path=self.path
            )
        raise DecodeError(
            f"{self.label} cannot be decoded: its header ({self.format}) tells of no images", path=self.path
        )

    def _describe(self) -> None:
        stream, container = self.stream, self.container
        if not stream.time_base:
            raise DecodeError(f"{self.label} cannot be decoded: its header tells no unit of time", path=self.path)
        self.time_base = stream.time_base
        self.codec = str(self.context.codec.canonical_name)
        self.has_sound = bool(container.streams.audio)
        self.rate: Fraction | None = stream.average_rate or stream.guessed_rate or None
        if len(moving_image_streams(container)) > 1:
            self.notes.append(f"the file has {len(moving_image_streams(container))} image tracks; the first is taken")
        self.zero, note = find_time_zero(container)
        if note is not None:
            self.notes.append(note)
        self.declared, self.sure = self._declared()

    def _declared(self) -> tuple[Fraction, bool]:
        """Return the length that the header declares, or 0, and whether it is that of the images themselves."""
        own = self.format not in _GUESSED
        if self.stream.duration:
            return self.stream.duration * self.time_base, own
        clock = str(self.stream.metadata.get("DURATION", "")).split(":")  # Matroska, by mkvmerge and FFmpeg
        if len(clock) == 3 and all(part.replace(".", "", 1).isdecimal() for part in clock):
            hours, minutes, seconds = map(Fraction, clock)
            return 3600 * hours + 60 * minutes + seconds, True
        return Fraction(self.container.duration or 0, 1_000_000), own and len(self.container.streams) == 1

    # --- packets -----------------------------------------------------------------------------------------------------

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the images from here on; places that cannot be read are stepped over."""
        import av

        errors = 0
        while errors < _MOST_ERRORS:
            try:
                for packet in self.container.demux(self.stream):
                    if self.interrupted:
                        raise KeyboardInterrupt
                    if packet.size:  # PyAV ends with an empty one, and AVI repeats an image by one
                        errors = 0
                        yield packet
            except av.InvalidDataError:
                errors += 1
                continue
            except IndexError:  # PyAV's, at the end of a file in which damage showed as a further stream
                return
            except (av.FFmpegError, OSError, EOFError) as error:
                self.notes.append(f"reading ended early: {error_reason(error)}")
            return

    @property
    def needs_winding(self) -> bool:
        """Whether the images lie before their index, in a stream that cannot be wound back."""
        return self.format in _INDEXED and not self._file.seekable()

    @property
    def can_wind(self) -> bool:
        """Whether the file can be wound, and knows where to."""
        return self.format in _WINDABLE and bool(self._file.seekable())

    def wound(self, time: Fraction) -> Iterator[Packet[VideoStream]]:
        """Wind to the last place at or before a time where decoding can begin, and return the packets from there on."""
        import av

        depth = self.context.reorder_depth
        for back in _BACK_S:
            try:
                self.container.seek(floor((time - back + self.zero) / self.time_base), stream=self.stream)
            except (av.FFmpegError, OSError):
                break
            # The flush that goes with it makes the decoder forget how far images are reordered.
            self.context.reorder_depth = depth
            packets = self.packets()
            first = next(packets, None)
            if first is not None and self._begins(first, time):
                return chain((first,), packets)
        self.container.close()
        self._file.seek(0)
        self._start()
        return self.packets()

    def _begins(self, packet: Packet[VideoStream], time: Fraction) -> bool:
        if packet.pts is None or packet.pts * self.time_base - self.zero > time:
            return False
        return is_clean_start(packet, self.codec)

    def key_frame_before(self, time: Fraction) -> Fraction | None:
        """Return the time of the last key frame at or before a time, by the index; None where it tells none."""
        entries = self.stream.index_entries
        place = entries.search_timestamp(floor((time + self.zero) / self.time_base), backward=True)
        return entries[place].timestamp * self.time_base - self.zero if place >= 0 else None
