"""The images of a video, decoded one by one with the times that the container gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

from mien.errors import DecodeError
from mien.io._video_file import VideoFile
from mien.io._video_plan import is_progressive, may_skip, planned
from mien.io._video_times import Clock, Ledger, Queue, Sampling

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Video"]

_MISSING_S, _MISSING_SHARE = 0.3, 0.01
"""A video that ends this much before the length it declares is truncated."""

_OTHERS_MISSING_S, _OTHERS_MISSING_SHARE = 1.0, 0.05
"""The same where the length is that of the whole file: sound may go on after the images."""

_WORTH_S = 2
"""Winding on by less than this costs more than decoding."""

_DRAINING = 64
"""How often a decoder is asked for what it holds back at the end, where it answers with errors in between."""

_BLIND = 300
"""So many frames after a lost key frame are left out, unless another one comes; videos without more of them recover."""

_EVERY_PACKET_SHOWS = ("h264", "hevc", "mpeg4", "mpeg2video", "mjpeg")
"""Codecs whose packets each hold an image to show."""

_NEEDS_KEY = ("mpeg4", "mpeg2video", "mpeg1video", "h263", "msmpeg4v3", "wmv2", "wmv3", "vp8", "vp9")
"""Codecs that are decoded from wherever one begins, to gray; the other decoders wait for a key frame themselves."""


class Video:
    """Decode the images of a file.

    Parameters
    ----------
    source, threads, max_pixels
        As in `VideoFile`.

    Attributes
    ----------
    read, failed : int
        Frames decoded so far, and frames that could not be.
    reached : fractions.Fraction or None
        The time of the last frame decoded.
    first : av.VideoFrame
        The first frame.
    """

    def __init__(self, source: Any, *, threads: int, max_pixels: int) -> None:
        self.file = file = VideoFile(source, threads=threads, max_pixels=max_pixels)
        self.read = self.failed = 0
        self.reached: Fraction | None = None
        self._clock = Clock(file.time_base, file.zero, 1 / file.rate if file.rate else Fraction(1, 25))
        self._failed_after: Fraction | None = None
        self._corrupt: set[int | None] = set()
        self._cut = False
        self._blind = 0
        self._end_notes: list[str] = []
        # AVI stores no times: where images are reordered, those of frames are a guess of the reader.
        self._queue = Queue() if file.format == "avi" and file.context.has_b_frames else None
        single = file.codec in _EVERY_PACKET_SHOWS and file.format != "avi" and is_progressive(file.context)
        self._ledger = Ledger() if single else None
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
            while self.file.codec in _NEEDS_KEY and self._ready and not self._ready[0].key_frame:
                self._ready.popleft()
                self._fail()
            if self._ready:
                break
        if self.file.interrupted:
            raise KeyboardInterrupt
        if not self._ready:
            what = f"none of its {packets:,} packets of images can be decoded" if packets else "it holds no image"
            if not packets and self.file.needs_winding:
                what = "its index comes after its images, and a stream cannot be wound back to them"
            notes = "; ".join(self.file.notes)
            raise DecodeError(
                f"{self.file.label} cannot be decoded: {what}{notes and f' ({notes})'}", path=self.file.path
            )
        self.file.check_size(self._ready[0].width, self._ready[0].height)
        return self._ready[0]

    @property
    def aspect(self) -> float:
        """Width of a pixel over its height."""
        return float(self.file.stream.sample_aspect_ratio or 1)

    def frames(self, sampling: Sampling) -> Iterator[tuple[VideoFrame, Fraction]]:
        """Yield the frames that a sampling wants, with their times."""
        begin = sampling.begin - sampling.tolerance
        if begin > _WORTH_S and self.file.can_wind:
            self._wind(begin)
        going = True
        while going:
            going = False
            for frame in self._frames(sampling):
                time = self._clock.time_of(frame.pts)
                if sampling.over(time):
                    return
                self.read += 1
                self.reached = time
                if not sampling.takes(time):
                    continue
                yield frame, time
                if sampling.sparse and self._wind_on(time, sampling.moment_after(time)):
                    going = True
                    break
        self._end(begin)

    # --- decoding ----------------------------------------------------------------------------------------------------

    def _frames(self, sampling: Sampling) -> Iterator[VideoFrame]:
        """Yield the frames from here on to the end."""
        packets: Iterable[tuple[Packet[VideoStream], bool]] = ((packet, False) for packet in self._raw)
        if sampling.skips and self._queue is None and may_skip(self.file.codec, self.file.context):
            packets = planned(self._raw, sampling, self.file.time_base, self.file.zero)
        while self._ready:
            yield self._ready.popleft()
        for packet, unwanted in packets:
            self.file.context.skip_frame = "NONREF" if unwanted else "DEFAULT"
            yield from self._decode(packet, unwanted)
        yield from self._decode(None)
        if self._ledger is not None:
            self._fail(self._ledger.close())

    def _decode(self, packet: Packet[VideoStream] | None, unwanted: bool = False) -> Iterator[VideoFrame]:
        """Yield what the decoder gives for a packet, or at the end."""
        import av

        if packet is not None:
            self._note(packet, unwanted)
        for _ in range(1 if packet is not None else _DRAINING):
            try:
                frames = self.file.context.decode(packet)
            except EOFError:  # the decoder is empty
                return
            except av.FFmpegError:
                if self._ledger is None:
                    self._fail()
                continue
            for frame in frames:
                if self._keeps(frame):
                    yield frame

    def _note(self, packet: Packet[VideoStream], unwanted: bool) -> None:
        """Note what goes into the decoder."""
        self._cut = packet.is_corrupt
        if packet.is_corrupt:
            self._corrupt.add(packet.pts)
        if self._queue is not None:
            self._queue.push(packet.dts)
        if self._ledger is not None and packet.pts is not None and not unwanted and not packet.is_discard:
            self._ledger.sent(packet.pts, packet.dts, packet.is_keyframe)

    def _keeps(self, frame: VideoFrame) -> bool:
        """Whether a frame is sound; what failed until then is counted."""
        pts = frame.pts
        damaged = frame.is_corrupt or pts in self._corrupt
        self._corrupt.discard(pts)
        lost, lost_key = self._ledger.came(pts) if self._ledger is not None and pts is not None else (0, False)
        if frame.key_frame:
            self._blind = _BLIND if damaged else 0
        elif lost_key:
            self._blind = _BLIND
        else:
            self._blind = max(0, self._blind - 1)
        self._fail(lost + (damaged or self._blind > 0))
        if self._queue is not None:
            frame.pts = self._queue.pop()
        return not damaged and self._blind == 0

    def _fail(self, count: int = 1) -> None:
        self.failed += count
        if count > 0 and self._failed_after is None:
            self._failed_after = self.reached or Fraction(0)

    # --- winding -----------------------------------------------------------------------------------------------------

    def _wind(self, time: Fraction) -> None:
        self._raw = self.file.wound(time)
        self._ready.clear()
        self._clock.moved()
        if self._ledger is not None:
            self._ledger.moved()

    def _wind_on(self, time: Fraction, wanted: Fraction) -> bool:
        """Wind on where the index knows a key frame well ahead that is not later than the moment wanted."""
        if wanted - time < _WORTH_S or not self.file.can_wind:
            return False
        key = self.file.key_frame_before(wanted)
        if key is None or key - time < _WORTH_S / 2:
            return False
        self._wind(wanted)
        return True

    # --- what is said at the end -------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """Return what was seen so far."""
        notes = [*self.file.notes, *self._clock.notes()]
        if self.failed:
            notes.append(
                f"{self.failed:,} frames could not be decoded and were left out, the first after "
                f"{float(self._failed_after or 0):.2f} s; those that follow may be disturbed up to the next key frame"
            )
        return notes + self._end_notes

    def _end(self, begin: Fraction) -> None:
        """Note what the end of the file tells."""
        if self.reached is None or self._clock.jumps:
            return
        if self.reached < begin:
            self._end_notes.append(
                f"no frame is at or after {float(begin):g} s: the last is at {float(self.reached):.2f} s"
            )
        file, end, declared = self.file, float(self.reached + self._clock.length), float(self.file.declared)
        slack = max(_MISSING_S, _MISSING_SHARE * declared)
        if not file.sure:
            slack = max(_OTHERS_MISSING_S, _OTHERS_MISSING_SHARE * declared)
        if declared - end > slack:
            self._end_notes.append(
                f"the video is truncated: {end:.1f} s of images are there, its header tells of {declared:.1f} s"
                if file.sure
                else f"the images end at {end:.1f} s; the file's header tells of {declared:.1f} s"
            )
        elif 0 < declared < end - slack:
            self._end_notes.append(f"the video goes on to {end:.1f} s; its header tells of {declared:.1f} s")
        elif self._cut:
            self._end_notes.append(f"the video is truncated: it ends in the middle of a frame, at {end:.1f} s")
