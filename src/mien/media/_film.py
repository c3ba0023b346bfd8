"""The pictures of a film, decoded one by one with the times that the container gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mien.errors import DecodeError
from mien.media._film_file import FilmFile
from mien.media._film_plan import may_skip, planned
from mien.media._film_times import Clock, Queue, Sampling

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Film"]

Packets = Iterator[tuple["Packet[VideoStream]", bool]]
"""Each with whether its picture is sure not to be wanted."""

_MISSING_S, _MISSING_SHARE = 0.3, 0.01
"""A film that ends this much before the length it declares is truncated."""

_OTHERS_MISSING_S, _OTHERS_MISSING_SHARE = 1.0, 0.05
"""The same where the length is that of the whole file: sound may go on after the pictures."""

_WORTH_S = 2
"""Winding on by less than this costs more than decoding."""

_EVERY_PACKET_SHOWS = ("h264", "hevc")
"""Codecs whose packets each hold a picture to show."""


class Film:
    """Decode the pictures of a file.

    Parameters
    ----------
    source, threads, max_pixels
        As in `FilmFile`.

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
        self.file = FilmFile(source, threads=threads, max_pixels=max_pixels)
        self.read = self.failed = 0
        self.reached: Fraction | None = None
        self._length = 1 / self.file.rate if self.file.rate else Fraction(1, 25)
        self._clock = Clock(self.file.time_base, self.file.zero, self._length)
        self._corrupt: set[int | None] = set()
        self._failed_after: Fraction | None = None
        self._sent = self._made = 0
        self._cut = False
        self._end_notes: list[str] = []
        try:
            # AVI stores no times: where pictures are reordered, those of frames are a guess of the reader.
            reorders = self.file.format == "avi" and self.file.context.has_b_frames
            self._queue = Queue() if reorders else None
            self._raw = self.file.packets()
            self._ready: deque[VideoFrame] = deque()
            self.first = self._first()
        except BaseException:
            self.file.close()
            raise

    def _first(self) -> VideoFrame:
        for packet in self._raw:
            self._ready.extend(self._decode(packet))
            if self._ready:
                break
        else:
            self._ready.extend(self._decode(None))
        if self.file.interrupted:
            raise KeyboardInterrupt
        if not self._ready:
            what = "no picture follows its header"
            if self.failed:
                what = f"none of its {self._sent} packets of pictures can be decoded"
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
        wound = begin > _WORTH_S and self.file.can_wind and self._wind(begin)
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
                    going = wound = True
                    break
        self._end(wound or sampling.skips, begin)

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
            yield from self._decode(packet)
        yield from self._decode(None)

    def _decode(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        """Yield what the decoder gives for a packet, or at the end; what it refuses is counted."""
        import av

        if packet is not None:
            self._sent += 1
            if packet.is_corrupt:
                self._cut = True
                self._corrupt.add(packet.pts)
            if self._queue is not None:
                self._queue.push(packet.dts)
        try:
            frames = self.file.context.decode(packet)
        except EOFError:  # the decoder was emptied before
            return
        except av.FFmpegError:
            self._fail()
            if packet is None:
                yield from self._decode(None)
            return
        for frame in frames:
            pts = frame.pts
            if self._queue is not None:
                frame.pts = self._queue.pop()
            if frame.is_corrupt or pts in self._corrupt:
                self._fail()
                continue
            self._made += 1
            yield frame

    def _fail(self) -> None:
        self.failed += 1
        if self._failed_after is None:
            self._failed_after = self.reached or Fraction(0)

    # --- winding -----------------------------------------------------------------------------------------------------

    def _wind(self, time: Fraction) -> bool:
        self._raw = self.file.wound(time)
        self._ready.clear()
        self._clock.moved()
        return True

    def _wind_on(self, time: Fraction, wanted: Fraction) -> bool:
        """Wind on where the index knows a key frame well ahead that is not later than the moment wanted."""
        if wanted - time < _WORTH_S or not self.file.can_wind:
            return False
        key = self.file.key_frame_before(wanted)
        return key is not None and key - time >= _WORTH_S / 2 and self._wind(wanted)

    # --- what is said at the end -------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """Return what was seen so far."""
        notes = [*self.file.notes, *self._clock.notes()]
        if self.failed:
            at = float(self._failed_after or 0)
            notes.append(
                f"{self.failed:,} frames could not be decoded and were left out, the first after {at:.2f} s; "
                "those that follow a damaged one may be disturbed up to the next key frame"
            )
        return notes + self._end_notes

    def _end(self, incomplete: bool, begin: Fraction) -> None:
        """Note what the end of the file tells."""
        if self.failed and not incomplete and self.file.codec in _EVERY_PACKET_SHOWS:
            self.failed = max(self.failed, self._sent - self._made)  # decoders also drop without a word
        if self.reached is None:
            return
        if self.reached < begin:
            self._end_notes.append(
                f"no frame is at or after {float(begin):g} s: the last is at {float(self.reached):.2f} s"
            )
        end, declared = float(self.reached + self._length), float(self.file.declared)
        least, share = (_MISSING_S, _MISSING_SHARE) if self.file.sure else (_OTHERS_MISSING_S, _OTHERS_MISSING_SHARE)
        slack = max(least, share * declared)
        if declared - end > slack and self.file.sure:
            self._end_notes.append(
                f"the film is truncated: {end:.1f} s of pictures are there, its header tells of {declared:.1f} s"
            )
        elif declared - end > slack:
            self._end_notes.append(f"the pictures end at {end:.1f} s; the file's header tells of {declared:.1f} s")
        elif 0 < declared < end - slack:
            self._end_notes.append(f"the film goes on to {end:.1f} s; its header tells of {declared:.1f} s")
        elif self._cut:
            self._end_notes.append(f"the film is truncated: it ends in the middle of a frame, at {end:.1f} s")
