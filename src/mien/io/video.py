"""Videos: from a path, bytes or a stream to RGB frames with the container's own times.

PyAV (FFmpeg) decodes; it is imported when something is read.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError
from mien.io._video_decoder import VideoDecoder, VideoDemuxer
from mien.io._video_pixels import FrameConverter
from mien.io._video_times import FrameSampling
from mien.options import MOST_FRAME_PIXELS

__all__ = ["Frame", "VideoReader", "count_frames", "iter_frames"]

T = TypeVar("T")

_MAX_THREADS = 4
"""Threads of the decoder by default, at most: more of them hold more frames in memory and gain little."""

_AHEAD_BYTES, _AHEAD_FRAMES = 32_000_000, 4
"""Frames decoded ahead hold so much, and are so many, at most; but there is one."""

_WAKE_S = 0.5
"""How often a waiting thread looks up: on Windows, Ctrl-C does not interrupt a wait without end."""

_JOIN_S = 5.0
"""How long `_Prefetcher.stop` waits for a thread that hangs in its source, such as a pipe that gives nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image of a video.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB, C-contiguous, upright; it is the caller's to change.
    time_s : float
        When it is displayed; zero is where the file's first stream begins, sound included.
    """

    image: NDArray[np.uint8]
    time_s: float


class VideoReader:
    """The frames of a video, decoded ahead in a thread; an iterator of `Frame` and a context manager.

    Made by `iter_frames`.  All frames have one size: where a video changes it, what follows is scaled to that of the
    first.

    Attributes
    ----------
    path : str or None
        The file, as it was given; ``None`` for bytes and streams without a name.
    format, codec : str
        Such as ``"mp4"`` and ``"h264"``.
    width, height : int
        Of the frames, after rotation, with square pixels.
    duration_s : float or None
        Where the images end by what the file declares.
    frame_rate : fractions.Fraction or None
        The average rate that the file declares, in frames per second.
    time_base : fractions.Fraction
        Seconds in a tick of the stream's clock.
    rotation : int
        By how many degrees the stored frames were turned, counter-clockwise: 0, 90, 180 or 270.
    has_audio : bool
        Whether the file has sound, too.
    """

    def __init__(self, decoder: VideoDecoder, sampling: FrameSampling, numbers: tuple[int, ...] | None) -> None:
        file = decoder.file
        self.path, self.format, self.codec = file.path, file.format, file.codec
        self._decoder = decoder
        self._converter = converter = FrameConverter(decoder.first, aspect=decoder.aspect)
        self.width, self.height = converter.size
        self.duration_s = float(file.declared) if file.declared > 0 else None
        self.frame_rate: Fraction | None = file.frame_rate
        self.time_base: Fraction = file.time_base
        self.has_audio = file.has_audio
        self.rotation = 90 * converter.quarter_turns
        limit = max(1, min(_AHEAD_FRAMES, _AHEAD_BYTES // (3 * self.width * self.height)))
        self._prefetcher = _Prefetcher(
            lambda: _convert_frames(decoder, converter, sampling, numbers), limit=limit, done=file.close
        )
        # When the reader is garbage-collected, and at the end of the program.
        self._close = weakref.finalize(self, self._prefetcher.stop)

    @property
    def frames_read(self) -> int:
        """How many frames were decoded so far, sampled or not; a few more than were given out."""
        return self._decoder.decoded

    @property
    def frames_failed(self) -> int:
        """How many frames could not be decoded so far."""
        return self._decoder.failed

    @property
    def reached_s(self) -> float:
        """Where the frames read so far end; 0 before the first."""
        return float(self._decoder.end) if self._decoder.decoded else 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not as it seems so far; complete after the last frame."""
        return (*self._decoder.warnings(), *self._converter.warnings())

    def close(self) -> None:
        """End the decoding and close the file; a file object that was handed in stays open."""
        self._close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return self._prefetcher.next()


def _convert_frames(
    decoder: VideoDecoder, converter: FrameConverter, sampling: FrameSampling, numbers: tuple[int, ...] | None
) -> Iterator[Frame]:
    if numbers is None:
        for frame, time in decoder.frames(sampling):
            yield Frame(converter.to_rgb(frame), float(time))
        return
    wanted = set(numbers)
    last = max(wanted, default=-1)
    if last < 0:
        return
    for place, (frame, time) in enumerate(decoder.frames(sampling)):
        if place in wanted:
            yield Frame(converter.to_rgb(frame), float(time))
        if place == last:
            return


class _Prefetcher(Generic[T]):
    """Run an iterator in a thread of its own, ahead by a few items.

    The thread starts with the first `next`.  It ends by itself with the iterator, or at `stop`; an error in it is
    raised in the consumer's thread, after the items before it.

    Parameters
    ----------
    make : callable
        Returns the iterator; it runs in the thread.
    limit : int
        How many items may wait to be taken.
    done : callable
        Called once at the end, in the thread: it closes what the iterator holds.
    """

    def __init__(self, make: Callable[[], Iterator[T]], *, limit: int, done: Callable[[], None]) -> None:
        self._make, self._limit, self._done = make, limit, done
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._stopped = self._ended = False
        self._thread: threading.Thread | None = None

    def next(self) -> T:
        """Return the next item; raise `StopIteration` after the last, and what the iterator raised."""
        if self._thread is None and not self._stopped:
            # A daemon: a program that ends must not wait for an abandoned video.
            self._thread = threading.Thread(target=self._work, name="mien-video", daemon=True)
            self._thread.start()
        with self._changed:
            while not (self._items or self._ended or self._stopped):
                self._changed.wait(_WAKE_S)
            if self._items and not self._stopped:
                self._changed.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        if error is not None and not self._stopped:
            raise error
        self.stop()
        raise StopIteration

    def stop(self) -> None:
        """End the thread and drop what it made; may be called again."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()
        thread = self._thread
        if thread is None:
            self._finish()
        elif thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._done()

    def _work(self) -> None:
        try:
            for item in self._make():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  (raised again in the consumer's thread)
            self._error = error
        finally:
            try:
                self._done()
            finally:
                with self._changed:
                    self._ended = True
                    self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Add an item when there is room; tell whether to go on."""
        with self._changed:
            while len(self._items) >= self._limit and not self._stopped:
                self._changed.wait(_WAKE_S)
            if self._stopped:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True


def iter_frames(
    source: Any,
    *,
    step_s: float | None = None,
    from_s: float = 0.0,
    to_s: float | None = None,
    numbers: Sequence[int] | None = None,
    threads: int | None = None,
    max_pixels: int = MOST_FRAME_PIXELS,
) -> VideoReader:
    """Read the frames of a video one by one, in constant memory.

    Without ``step_s`` every frame from ``from_s`` on and before ``to_s`` is given; with it, the first frame at or after
    each ``from_s + k * step_s``, and none twice.  (A frame counts as at such a time when it is within half a tick of
    the container's clock of it, at most half a millisecond: clocks round.)  Other frames are decoded only where these
    need them.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        A path, the content of a file, or a stream (read from its current position, in another thread, and not closed).
    step_s : float, optional
        Seconds between the frames; 1 / 30 and the like are understood as the fractions they were meant to be.  Zero
        gives every frame.
    from_s, to_s : float, float or None
        The stretch in seconds, ``to_s`` excluded.
    numbers : sequence of int, optional
        The frames by their order of display, from 0, among those that can be decoded; instead of the times.
    threads : int, optional
        Threads of the decoder; by default one a processor, four at most.
    max_pixels : int
        Largest width x height to decode.  Sizes over 24 million pixels must be plausible, too: the file has a byte for
        each thousand of them, as for images.

    Returns
    -------
    VideoReader
        An iterator of `Frame`; close it, or use it in a ``with`` statement.

    Raises
    ------
    MediaNotFoundError
        If there is no such file, it is a folder, or it may not be opened.
    UnsupportedMediaError
        If the content is an image, audio, nothing known, or its frames are too large.
    DecodeError
        If the file is empty, damaged from the start, or holds no frame that can be decoded.
    InputError
        If the source is of another type, or an option out of range.
    """
    if step_s is not None and check_number(step_s, "step_s", low=0, high=1e6) == 0:
        step_s = None
    check_number(from_s, "from_s", low=0, high=1e9)
    if to_s is not None and check_number(to_s, "to_s", low=0, high=1e9) <= from_s:
        raise InputError(f"to_s must be later than from_s ({from_s:g} s), but got {to_s:g}")
    check_integer(max_pixels, "max_pixels", low=1)
    if threads is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = min(_MAX_THREADS, cores)
    check_integer(threads, "threads", low=1, high=64)
    chosen = None if numbers is None else _check_numbers(numbers, step_s is None and from_s == 0 and to_s is None)
    decoder = VideoDecoder(source, threads=threads, max_pixels=max_pixels)
    return VideoReader(decoder, FrameSampling(step_s, from_s, to_s, decoder.file.time_base), chosen)


def _check_numbers(numbers: Sequence[int], alone: bool) -> tuple[int, ...]:
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
    file = VideoDemuxer(source)
    try:
        hidden = file.codec == "vp8"
        # RFC 6386, 9.1: bit 4 of a VP8 frame's first byte is show_frame.  An edit list discards what it cuts off.
        return sum(not packet.is_discard and not (hidden and not bytes(packet)[0] & 0x10) for packet in file.packets())
    finally:
        file.close()
