"""The images of a video: its packets, which of them need decoding, and the frames with the container's own times."""

from __future__ import annotations

import bisect
import re
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from math import floor
from typing import TYPE_CHECKING, Any

from mien._checks import count_of
from mien.errors import DecodeError, UnsupportedMediaError
from mien.io._video_times import Clock, FrameSampling, LostFrameCounter, ReorderQueue
from mien.io.container import (
    BELIEVED_PIXELS,
    PIXELS_PER_BYTE,
    check_size,
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
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["VideoDecoder", "VideoDemuxer"]

_NOUN = "video"
_EXPECTED = "a video (MP4, MOV, MKV, WebM, AVI, animated GIF, ...)"

_UNDECLARED = ("mpeg-ts", "mpeg")
"""Formats that declare no length: FFmpeg guesses one from the last packets."""

_NEEDS_INDEX = ("mp4", "mov", "3gp")
"""Formats that cannot be read without their index."""

_SEEKABLE = ("mp4", "mov", "3gp", "mkv", "webm")
"""Formats whose index names the key frames."""

_SEEK_BACK_S = (0, 1, 5, 30)
"""How far before the target a clean start is searched for, before the video is read from its beginning."""

_MAX_ERRORS = 100
"""Read errors in a row, after which no more is expected of a file."""


_CLOCK = re.compile(r"([0-9]{1,4}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,12})?)")
"""A duration in the tags of Matroska, as mkvmerge and FFmpeg write it; other tags tell nothing."""


class VideoDemuxer:
    """Open a video and read its packets.

    Parameters
    ----------
    source : str, os.PathLike, bytes or binary file object
        The file; a file object is read from its current position, and not closed.
    threads : int
        Threads of the decoder.
    max_pixels : int
        Largest width x height to decode.
    """

    def __init__(self, source: Any, *, threads: int = 1, max_pixels: int | None = None) -> None:
        self._threads, self._limit = threads, max_pixels
        self.path, self._file, self._owned = open_file(source, _NOUN)
        self.label = format_source(self.path, _NOUN)
        self.warnings: list[str] = []
        try:
            self.format = self._read_format()
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

    def check_size(self, width: int, height: int) -> None:
        """Raise where an image is larger than allowed, or than a file of so many bytes can mean."""
        if self._limit is not None and width * height:  # unknown before the first frame, where they are zero
            check_size(width, height, self._limit, path=self.path, label=self.label, stored=self._file.length)

    # --- the header --------------------------------------------------------------------------------------------------

    def _read_format(self) -> str:
        """Return the name of the format, or raise what says why it is no video."""
        head, self._file = read_head(self._file, self.path, noun=_NOUN, expected=_EXPECTED)
        kind, name = detect_format(head)
        if kind == "video" or self._file.is_animation:
            return name
        came = f"something else that begins with {head[:12]!r}"
        if kind != "unknown":
            came = f"an image ({name})" if kind == "image" else f"an audio file ({name})"
        raise UnsupportedMediaError(f"{self.label} must be {_EXPECTED}, but it is {came}", path=self.path)

    def _start(self) -> None:
        try:
            self.container = open_container(self._file, self.path, _NOUN)
        except DecodeError as error:
            if self.format in _NEEDS_INDEX and self._file.seekable() and not self._has_index():
                raise DecodeError(
                    f"{self.label} cannot be decoded: its index (moov) is missing; the video was cut off, or its "
                    "recording never finished",
                    path=self.path,
                ) from error
            raise
        self.stream = self._find_stream()
        context = self.stream.codec_context
        if context is None:
            raise UnsupportedMediaError(f"{self.label} has images in an unknown format", path=self.path)
        self.check_size(context.width, context.height)
        # Frames or slices, whichever the codec knows; each thread holds frames of its own.
        context.thread_type = "AUTO"
        context.thread_count = self._threads if context.width * context.height <= BELIEVED_PIXELS else 1
        if self._limit is not None:
            # Frames that claim a huge size later are rejected before memory is allocated; what is coded may be a little
            # larger than what is displayed.
            length = self._file.length
            most = self._limit if length is None else min(self._limit, max(BELIEVED_PIXELS, PIXELS_PER_BYTE * length))
            context.options = {"max_pixels": str(2 * most + 1_000_000)}
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

    def _find_stream(self) -> VideoStream:
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
            f"{self.label} cannot be decoded: its header ({self.format}) declares no images", path=self.path
        )

    def _describe(self) -> None:
        stream, container = self.stream, self.container
        if not stream.time_base:
            raise DecodeError(f"{self.label} cannot be decoded: its header declares no time base", path=self.path)
        self.time_base = stream.time_base
        self.codec = str(self.context.codec.canonical_name)
        self.has_audio = bool(container.streams.audio)
        self.frame_rate: Fraction | None = stream.average_rate or stream.guessed_rate or None
        if len(moving_image_streams(container)) > 1:
            self.warnings.append(f"the file has {len(moving_image_streams(container))} image tracks; the first is used")
        self.zero, warning = find_time_zero(container)
        if warning is not None:
            self.warnings.append(warning)
        self.declared, self.is_declared_for_images = self._declared()

    def _declared(self) -> tuple[Fraction, bool]:
        """Return where the images end by the header, or 0, and whether it says so of the images themselves.

        Streams declare their length, which counts from their own beginning; Matroska declares the time of the end.
        """
        own = self.format not in _UNDECLARED
        if self.stream.duration:
            return (self.stream.duration + (self.stream.start_time or 0)) * self.time_base - self.zero, own
        before_zero = self.zero if self.format in ("mkv", "webm") else 0
        clock = _CLOCK.fullmatch(str(self.stream.metadata.get("DURATION", "")))
        if clock is not None:
            hours, minutes, seconds = map(Fraction, clock.groups())
            return 3600 * hours + 60 * minutes + seconds - before_zero, True
        if not self.container.duration:
            return Fraction(0), False
        return Fraction(self.container.duration, 1_000_000) - before_zero, own and len(self.container.streams) == 1

    # --- packets -----------------------------------------------------------------------------------------------------

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the images from here on; places that cannot be read are stepped over."""
        import av

        errors = 0
        while errors < _MAX_ERRORS:
            try:
                for packet in self._file.demux(self.container, self.stream):
                    if packet.size:  # PyAV ends with an empty one, and AVI repeats an image by one
                        errors = 0
                        yield packet
            except av.InvalidDataError:
                errors += 1
                continue
            except IndexError:  # PyAV's, at the end of a file in which damage showed as a further stream
                return
            except (av.FFmpegError, OSError, EOFError) as error:
                self.warnings.append(f"reading ended early: {error_reason(error)}")
            return

    @property
    def lacks_index(self) -> bool:
        """Whether the index may come after the images, in a stream that is not seekable."""
        return self.format in _NEEDS_INDEX and not self._file.seekable()

    @property
    def can_seek(self) -> bool:
        """Whether the file is seekable and has an index of key frames."""
        return self.format in _SEEKABLE and bool(self._file.seekable())

    def seek(self, time: Fraction) -> Iterator[Packet[VideoStream]]:
        """Seek to the last place at or before a time where decoding can begin; return the packets from there on."""
        import av

        depth = self.context.reorder_depth
        for back in _SEEK_BACK_S:
            try:
                with self._file.guard():
                    self.container.seek(floor((time - back + self.zero) / self.time_base), stream=self.stream)
            except (av.FFmpegError, OSError):
                break
            # The flush that goes with it makes the decoder forget how far images are reordered.
            self.context.reorder_depth = depth
            packets = self.packets()
            first = next(packets, None)
            if first is not None and self._can_begin_at(first, time):
                return chain((first,), packets)
        self.container.close()
        self._file.seek(0)
        self._start()
        return self.packets()

    def _can_begin_at(self, packet: Packet[VideoStream], time: Fraction) -> bool:
        if packet.pts is None or packet.pts * self.time_base - self.zero > time:
            return False
        return _is_clean_start(packet, self.codec)

    def key_frame_before(self, time: Fraction) -> Fraction | None:
        """Return the time of the last key frame at or before a time, by the index, or None."""
        entries = self.stream.index_entries
        place = entries.search_timestamp(floor((time + self.zero) / self.time_base), backward=True)
        return entries[place].timestamp * self.time_base - self.zero if place >= 0 else None


# --- which packets need decoding --------------------------------------------------------------------------------------

_MAX_HELD = 64
"""Packets held back at most; encoders reorder by 16 frames or fewer."""

_IDR_H264, _RANDOM_ACCESS_HEVC = (5,), range(16, 22)
"""ITU-T H.264 table 7-1 and H.265 table 7-1: no frame that is displayed later refers to an earlier one."""

_PROGRESSIVE = 1
"""AV_FIELD_PROGRESSIVE of libavcodec/defs.h; 0 is unknown."""


def _can_skip_unreferenced(codec: str, context: VideoCodecContext) -> bool:
    """Whether a decoder that leaves out frames that nothing refers to gives all others unchanged.

    True of H.264 by nal_ref_idc, and of the B-images of MPEG-2 and MPEG-4 part 2.  Not of HEVC, where "non-reference"
    holds only within a temporal layer; and not of interlaced videos, where it may hold of one of two fields.
    """
    return codec in ("h264", "mpeg4", "mpeg2video") and _is_progressive(context)


def _is_progressive(context: VideoCodecContext) -> bool:
    """Whether a packet is a whole image, not maybe one of two fields."""
    return context.field_order in (0, _PROGRESSIVE)


def _mark_skippable(
    packets: Iterator[Packet[VideoStream]], sampling: FrameSampling, time_base: Fraction, zero: Fraction
) -> Iterator[tuple[Packet[VideoStream], bool]]:
    """Yield packets in their order, each with whether its frame is certainly not sampled.

    A frame is sampled when a sample time lies between its predecessor in time and itself.  Its predecessor is known
    once the packets read have reached its time by their decoding times: none that follows is displayed earlier.
    """
    held: deque[Packet[VideoStream]] = deque()
    times: list[int] = []

    def is_unsampled(pts: int) -> bool:
        place = bisect.bisect_left(times, pts)
        if place == 0:
            return False
        return not sampling.needs(pts * time_base - zero, times[place - 1] * time_base - zero)

    for packet in packets:
        if packet.pts is None or packet.dts is None:
            yield from ((one, False) for one in held)
            held.clear()
            times.clear()
            yield packet, False
            continue
        bisect.insort(times, packet.pts)
        held.append(packet)
        while held:
            pts, settled = held[0].pts, False
            assert pts is not None
            settled = pts <= packet.dts
            if not settled and len(held) <= _MAX_HELD:
                break
            yield held.popleft(), settled and is_unsampled(pts)
        del times[: -4 * _MAX_HELD]
    yield from ((one, False) for one in held)


def _is_clean_start(packet: Packet[VideoStream], codec: str) -> bool:
    """Whether decoding that begins with a packet gives the same images as decoding from the video's start."""
    if not packet.is_keyframe:
        return False
    if codec == "h264":
        return any(byte & 0x1F in _IDR_H264 for byte in _unit_types(packet))
    if codec == "hevc":
        return any(byte >> 1 & 0x3F in _RANDOM_ACCESS_HEVC for byte in _unit_types(packet))
    return True


def _unit_types(packet: Packet[VideoStream]) -> Iterator[int]:
    """Yield the first byte of each unit of a packet of H.264 or HEVC, with lengths of four bytes or start codes."""
    data = bytes(packet)
    if data[:3] == b"\0\0\1" or data[:4] == b"\0\0\0\1":
        at = data.find(b"\0\0\1")
        while 0 <= at < len(data) - 3:
            yield data[at + 3]
            at = data.find(b"\0\0\1", at + 3)
        return
    at = 0
    while at + 4 < len(data):
        yield data[at + 4]
        at += 4 + int.from_bytes(data[at : at + 4], "big")


# --- decoding ---------------------------------------------------------------------------------------------------------

_MISSING_S, _MISSING_SHARE = 0.3, 0.01
"""A video that ends this much before the length it declares is truncated."""

_ANY_MISSING_S, _ANY_MISSING_SHARE = 1.0, 0.05
"""The same where the duration is that of the whole file: sound may go on after the images."""

_SEEK_FROM_S = 2
"""Seeking ahead by less than this costs more than decoding."""

_MAX_FLUSHES = 64
"""How often a decoder is flushed at the end, where it raises errors in between."""

_RECOVERY_FRAMES = 300
"""So many frames after a lost key frame are left out, unless another one comes; videos without more of them recover."""

_FRAME_PER_PACKET = ("h264", "hevc", "mpeg4", "mpeg2video", "mjpeg")
"""Codecs whose packets each hold one displayed frame."""

_NEEDS_KEY_FRAME = ("mpeg4", "mpeg2video", "mpeg1video", "h263", "msmpeg4v3", "wmv2", "wmv3", "vp8", "vp9")
"""Codecs that are decoded from wherever one begins, to gray; the other decoders wait for a key frame themselves."""


class VideoDecoder:
    """Decode the images of a file.

    Parameters
    ----------
    source, threads, max_pixels
        As in `VideoDemuxer`.

    Attributes
    ----------
    decoded, failed : int
        Frames decoded so far, and frames that could not be.
    position : fractions.Fraction or None
        The time of the last frame decoded.
    first : av.VideoFrame
        The first frame.
    """

    def __init__(self, source: Any, *, threads: int, max_pixels: int) -> None:
        self.file = file = VideoDemuxer(source, threads=threads, max_pixels=max_pixels)
        self.decoded = self.failed = 0
        self.position: Fraction | None = None
        self._clock = Clock(file.time_base, file.zero, 1 / file.frame_rate if file.frame_rate else Fraction(1, 25))
        self._packets_end = Fraction(0)
        self._failed_after: Fraction | None = None
        self._corrupt: set[int | None] = set()
        self._cut = False
        self._frames_to_drop = 0
        self._end_warnings: list[str] = []
        # AVI stores no times: where images are reordered, those of frames are a guess of the reader.
        self._queue = ReorderQueue() if file.format == "avi" and file.context.has_b_frames else None
        single = file.codec in _FRAME_PER_PACKET and file.format != "avi" and _is_progressive(file.context)
        self._lost = LostFrameCounter() if single else None
        try:
            self._raw = file.packets()
            self._ready: deque[VideoFrame] = deque()
            self.first = self._first()
        except BaseException:
            file.close()
            raise

    def _first(self) -> VideoFrame:
        packets = 0
        for packet in chain(self._raw, (None,)):
            packets += packet is not None
            self._ready.extend(self._decode(packet))
            while self.file.codec in _NEEDS_KEY_FRAME and self._ready and not self._ready[0].key_frame:
                self._ready.popleft()
                self._fail()
            if self._ready:
                break
        if not self._ready:
            what = f"none of its {packets:,} packets of images can be decoded" if packets else "it holds no image"
            if not packets and self.file.lacks_index:
                what = "its index comes after its images, and the stream is not seekable"
            found = "; ".join(self.file.warnings)
            raise DecodeError(
                f"{self.file.label} cannot be decoded: {what}{found and f' ({found})'}", path=self.file.path
            )
        self.file.check_size(self._ready[0].width, self._ready[0].height)
        return self._ready[0]

    @property
    def aspect(self) -> float:
        """Width of a pixel over its height."""
        return float(self.file.stream.sample_aspect_ratio or 1)

    @property
    def end(self) -> Fraction:
        """Where the frames decoded so far end: by the packets, whichever of them were decoded, if their times hold."""
        last = (self.position or Fraction(0)) + self._clock.length
        is_plausible = self._packets_end <= max(last + 1, self.file.declared)
        return max(last - self._clock.length, self._packets_end) if is_plausible and not self._clock.jumps else last

    def frames(self, sampling: FrameSampling) -> Iterator[tuple[VideoFrame, Fraction]]:
        """Yield the sampled frames with their times."""
        begin = sampling.begin - sampling.tolerance
        if begin > _SEEK_FROM_S and self.file.can_seek:
            self._seek(begin)
        seeks = True
        while seeks:
            seeks = False
            for frame in self._frames(sampling):
                time = self._clock.time_of(frame.pts)
                if sampling.is_over(time):
                    return
                self.decoded += 1
                self.position = time
                if not sampling.takes(time):
                    continue
                yield frame, time
                if sampling.is_sparse and self._skip_ahead(time, sampling.next_after(time)):
                    seeks = True
                    break
        self._check_end(begin)

    # --- decoding ----------------------------------------------------------------------------------------------------

    def _frames(self, sampling: FrameSampling) -> Iterator[VideoFrame]:
        """Yield the frames from here on to the end."""
        packets: Iterable[tuple[Packet[VideoStream], bool]] = ((packet, False) for packet in self._raw)
        if sampling.skips_frames and self._queue is None and _can_skip_unreferenced(self.file.codec, self.file.context):
            packets = _mark_skippable(self._raw, sampling, self.file.time_base, self.file.zero)
        while self._ready:
            yield self._ready.popleft()
        for packet, skippable in packets:
            self.file.context.skip_frame = "NONREF" if skippable else "DEFAULT"
            yield from self._decode(packet, skippable)
        yield from self._decode(None)
        if self._lost is not None:
            self._fail(self._lost.close())

    def _decode(self, packet: Packet[VideoStream] | None, skippable: bool = False) -> Iterator[VideoFrame]:
        """Yield what the decoder gives for a packet, or at the end."""
        import av

        if packet is not None:
            self._register(packet, skippable)
        for _ in range(1 if packet is not None else _MAX_FLUSHES):
            try:
                frames = self.file.context.decode(packet)
            except EOFError:  # the decoder is empty
                return
            except (av.FFmpegError, ValueError):  # ValueError: PyAV 19 has no decoder for it
                if self._lost is None:
                    self._fail()
                continue
            for frame in frames:
                if self._check(frame):
                    yield frame

    def _register(self, packet: Packet[VideoStream], skippable: bool) -> None:
        """Keep account of what goes into the decoder."""
        begin = packet.dts if packet.pts is None else packet.pts
        if begin is not None:
            end = (begin + (packet.duration or 0)) * self.file.time_base - self.file.zero
            self._packets_end = max(self._packets_end, end)
        self._cut = packet.is_corrupt
        if packet.is_corrupt:
            self._corrupt.add(packet.pts)
        if self._queue is not None:
            self._queue.push(packet.dts)
        if self._lost is not None and packet.pts is not None and not skippable and not packet.is_discard:
            self._lost.push(packet.pts, packet.dts, packet.is_keyframe)

    def _check(self, frame: VideoFrame) -> bool:
        """Whether a frame is undamaged; what failed until then is counted."""
        pts = frame.pts
        damaged = frame.is_corrupt or pts in self._corrupt
        self._corrupt.discard(pts)
        lost, lost_key = self._lost.pop(pts) if self._lost is not None and pts is not None else (0, False)
        if frame.key_frame:
            self._frames_to_drop = _RECOVERY_FRAMES if damaged else 0
        elif lost_key:
            self._frames_to_drop = _RECOVERY_FRAMES
        else:
            self._frames_to_drop = max(0, self._frames_to_drop - 1)
        self._fail(lost + (damaged or self._frames_to_drop > 0))
        if self._queue is not None:
            frame.pts = self._queue.pop()
        return not damaged and self._frames_to_drop == 0

    def _fail(self, count: int = 1) -> None:
        self.failed += count
        if count > 0 and self._failed_after is None:
            self._failed_after = self.position or Fraction(0)

    # --- seeking -----------------------------------------------------------------------------------------------------

    def _seek(self, time: Fraction) -> None:
        self._raw = self.file.seek(time)
        self._ready.clear()
        self._clock.reset()
        if self._lost is not None:
            self._lost.reset()

    def _skip_ahead(self, time: Fraction, target: Fraction) -> bool:
        """Seek on where the index has a key frame well ahead that is not later than the next sample time."""
        if target - time < _SEEK_FROM_S or not self.file.can_seek:
            return False
        key = self.file.key_frame_before(target)
        if key is None or key - time < _SEEK_FROM_S / 2:
            return False
        self._seek(target)
        return True

    # --- warnings -----------------------------------------------------------------------------------------------------

    def warnings(self) -> list[str]:
        """Return what was odd so far."""
        found = [*self.file.warnings, *self._clock.warnings()]
        if self.failed:
            found.append(
                f"{count_of(self.failed, 'frame')} could not be decoded, the first after "
                f"{float(self._failed_after or 0):.2f} s; those that follow may be disturbed up to the next key frame"
            )
        return found + self._end_warnings

    def _check_end(self, begin: Fraction) -> None:
        """Compare the end of the file with what its header declares."""
        if self.position is None or self._clock.jumps:
            return
        if self.position < begin:
            self._end_warnings.append(
                f"no frame is at or after {float(begin):g} s: the last is at {float(self.position):.2f} s"
            )
        file, end, declared = self.file, float(self.end), float(self.file.declared)
        slack = max(_MISSING_S, _MISSING_SHARE * declared)
        if not file.is_declared_for_images:
            slack = max(_ANY_MISSING_S, _ANY_MISSING_SHARE * declared)
        if declared - end > slack:
            self._end_warnings.append(
                f"the video is truncated: {end:.1f} s of images are there, its header declares {declared:.1f} s"
                if file.is_declared_for_images
                else f"the images end at {end:.1f} s; the file's header declares {declared:.1f} s"
            )
        elif 0 < declared < end - slack:
            self._end_warnings.append(f"the video goes on to {end:.1f} s; its header declares {declared:.1f} s")
        elif self._cut:
            self._end_warnings.append(f"the video is truncated: it ends in the middle of a frame, at {end:.1f} s")
