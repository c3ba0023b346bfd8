"""Videos: from a path, bytes or a stream to RGB frames with the container's own times.

PyAV (FFmpeg) decodes; it is imported when something is read.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError
from mien.io._video import Video
from mien.io._video_ahead import Ahead
from mien.io._video_file import VideoFile
from mien.io._video_pixels import Pixels
from mien.io._video_times import Sampling
from mien.options import DEFAULT_MAX_PIXELS

__all__ = ["Frame", "FrameStream", "count_frames", "iter_frames"]

MOST_THREADS = 4
"""Threads of the decoder by default, at most: more of them hold more frames in memory and gain little."""

WAITING_BYTES = 32_000_000
"""Frames that wait to be taken hold this much, or there is one."""

MOST_WAITING = 4


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image of a video.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB, C-contiguous, upright; it is the caller's to change.
    time_s : float
        When it is shown; zero is where the file's first stream begins, sound included.
    """

    image: NDArray[np.uint8]
    time_s: float


class FrameStream:
    """The frames of a video, decoded ahead in a thread; also a context manager.

    All frames have one size: where a video changes it, what follows is scaled to that of the first.

    Attributes
    ----------
    path : str or None
        The file, as it was given; ``None`` for bytes and streams without a name.
    format, codec : str
        Such as ``"mp4"`` and ``"h264"``.
    width, height : int
        Of the frames, after rotation, with square pixels.
    duration_s : float or None
        The length that the file declares.
    frame_rate : fractions.Fraction or None
        The average rate that the file declares, in frames per second.
    time_base : fractions.Fraction
        Seconds in a tick of the stream's clock.
    rotation : int
        By how many degrees the stored frames were turned, counter-clockwise: 0, 90, 180 or 270.
    has_sound : bool
        Whether the file has sound, too.
    """

    def __init__(self, video: Video, sampling: Sampling, numbers: tuple[int, ...] | None) -> None:
        file = video.file
        self.path, self.format, self.codec = file.path, file.format, file.codec
        self._video = video
        self._pixels = Pixels(video.first, aspect=video.aspect)
        self.width, self.height = self._pixels.size
        self.duration_s = float(file.declared) or None
        self.frame_rate: Fraction | None = file.rate
        self.time_base: Fraction = file.time_base
        self.has_sound = file.has_sound
        self.rotation = 90 * self._pixels.quarter_turns
        limit = max(1, min(MOST_WAITING, WAITING_BYTES // (3 * self.width * self.height)))
        pixels = self._pixels
        self._ahead: Ahead[Frame] = Ahead(lambda: _made(video, pixels, sampling, numbers), limit=limit, done=file.close)
        # When nobody holds the stream any more, and at the end of the program.
        self._closing = weakref.finalize(self, self._ahead.stop)

    @property
    def read(self) -> int:
        """How many frames were decoded so far, whether given or not; a few more than were taken."""
        return self._video.read

    @property
    def failed(self) -> int:
        """How many frames could not be decoded so far."""
        return self._video.failed

    @property
    def reached_s(self) -> float:
        """The time of the last frame decoded so far; 0 before the first."""
        return float(self._video.reached or 0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not as it seems, as far as it was seen; complete after the last frame."""
        return (*self._video.notes(), *self._pixels.notes())

    def close(self) -> None:
        """End the decoding and close the file; a file object that was handed in stays open."""
        self._closing()

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return self._ahead.next()


def _made(video: Video, pixels: Pixels, sampling: Sampling, numbers: tuple[int, ...] | None) -> Iterator[Frame]:
    if numbers is None:
        for frame, time in video.frames(sampling):
            yield Frame(pixels.rgb(frame), float(time))
        return
    wanted = set(numbers)
    last = max(wanted, default=-1)
    if last < 0:
        return
    for place, (frame, time) in enumerate(video.frames(sampling)):
        if place in wanted:
            yield Frame(pixels.rgb(frame), float(time))
        if place == last:
            return


def iter_frames(
    source: Any,
    *,
    step_s: float | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
    numbers: Sequence[int] | None = None,
    threads: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> FrameStream:
    """Read the frames of a video one by one, in constant memory.

    Without ``step_s`` every frame from ``from_s`` on and before ``to_s`` is given; with it, the first frame at or after
    each ``from_s + k * step_s``, and none twice.  (A frame counts as at a moment when it is within half a tick of the
    container's clock of it, at most half a millisecond: clocks round.)  What is not given is decoded only where other
    frames need it.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        A path, the content of a file, or a stream (read from where it stands, in another thread, and not closed).
    step_s : float, optional
        Seconds between the frames; 1 / 30 and the like are understood as the fractions they were meant to be.
    from_s, to_s : float, float or None
        The stretch in seconds, ``to_s`` excluded.
    numbers : sequence of int, optional
        The frames wanted by their order of showing, from 0, among those that can be decoded; instead of the times.
    threads : int, optional
        Threads of the decoder; by default one a processor, `MOST_THREADS` at most.
    max_pixels : int
        Largest width x height to decode.

    Returns
    -------
    FrameStream
        An iterator of `Frame`; close it, or use it in a ``with`` statement.

    Raises
    ------
    MediaNotFoundError
        If there is no such file, it is a folder, or it may not be opened.
    UnsupportedMediaError
        If the content is an image, a recording, sound only, nothing known, or its frames are too large.
    DecodeError
        If the file is empty, damaged from the start, or holds no frame that can be decoded.
    InputError
        If the source is of another type, or an option out of range.
    """
    if step_s is not None:
        check_number(step_s, "step_s", low=1e-6, high=1e6)
    check_number(from_s, "from_s", low=0, high=1e9)
    if to_s is not None and check_number(to_s, "to_s", low=0, high=1e9) <= from_s:
        raise InputError(f"to_s must be later than from_s ({from_s:g} s), but got {to_s:g}")
    check_integer(max_pixels, "max_pixels", low=1)
    if threads is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = min(MOST_THREADS, cores)
    check_integer(threads, "threads", low=1, high=64)
    chosen = None if numbers is None else _checked(numbers, step_s is None and from_s == 0 and to_s is None)
    video = Video(source, threads=threads, max_pixels=max_pixels)
    return FrameStream(video, Sampling(step_s, from_s, to_s, video.file.time_base), chosen)


def _checked(numbers: Sequence[int], alone: bool) -> tuple[int, ...]:
    if not alone:
        raise InputError("numbers go without step_s, from_s and to_s")
    if isinstance(numbers, str | bytes) or not isinstance(numbers, Sequence | np.ndarray):
        raise InputError(f"numbers must be integers, but got {describe(numbers)}")
    return tuple(check_integer(value, "a frame number", low=0) for value in numbers)


def count_frames(source: Any) -> int:
    """Count the frames that a video holds, without decoding them.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        See `iter_frames`.

    Returns
    -------
    int
        Packets that show a frame; in a damaged video, not all of them can be decoded.

    Raises
    ------
    MediaNotFoundError, UnsupportedMediaError, DecodeError, InputError
        See `iter_frames`.
    """
    file = VideoFile(source)
    try:
        hidden = file.codec == "vp8"
        # RFC 6386, 9.1: bit 4 of a VP8 frame's first byte is show_frame.  An edit list discards what it cuts off.
        return sum(not packet.is_discard and not (hidden and not bytes(packet)[0] & 0x10) for packet in file.packets())
    finally:
        file.close()
