"""One video from its file to frames with faces: sampled, analyzed, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number, describe
from mien.errors import DecodeError, InputError
from mien.io.paths import format_path
from mien.io.video import VideoReader, count_frames, iter_frames
from mien.results import VIDEO_METHODS, VideoFrame, VideoResult
from mien.video.analyzer import FaceStream, VideoAnalyzer

__all__ = ["STEP_S", "Watching", "step_of"]

STEP_S = 0.2
"""Seconds from one analyzed frame to the next: expressions that are meant to be seen last half a second and more."""

_FIRST, _NTH = 21, 7
"""Every 7th frame after the first 21: how the student project on FER2013 and RAVDESS sampled videos."""

_NEAR_S = 0.5
"""By how much the length that a header declares may differ from what is there."""

Seen = Callable[[NDArray[np.uint8], VideoFrame], None]


def step_of(step_s: float | None, fps: float | None) -> float:
    """Return seconds from frame to frame from what a user says.

    Raises
    ------
    InputError
        If both are given, or one makes no sense.
    """
    if step_s is not None and fps is not None:
        raise InputError("give step_s or fps, not both")
    if fps is not None:
        return 1 / check_number(fps, "fps", low=1e-3, high=1e6)
    return STEP_S if step_s is None else check_number(step_s, "step_s", low=0)


class Watching:
    """One video on its way through an analyzer, in constant memory: no image is kept.

    Parameters
    ----------
    analyzer : VideoAnalyzer
        What answers.
    source : str, os.PathLike, bytes, or binary file object
        What is watched, once.
    step_s : float
        Seconds from one analyzed frame to the next; 0 takes every frame.
    from_s, to_s : float
        What is watched of it; by default all.
    method : str
        See `mien.VideoResult`; but for the timeline, the method says which frames are taken.
    keep : bool
        Whether there will be a `result`.
    seen : callable, optional
        Gets images with their frames, see `VideoAnalyzer.stream`.
    max_pixels : int
        Larger frames are refused.
    called : str, optional
        How messages call the video; by default by its path.

    Raises
    ------
    InputError
        If an argument makes no sense.
    """

    def __init__(
        self,
        analyzer: VideoAnalyzer,
        source: Any,
        *,
        step_s: float = STEP_S,
        from_s: float = 0.0,
        to_s: float | None = None,
        method: str = "timeline",
        keep: bool = True,
        seen: Seen | None = None,
        max_pixels: int = 200_000_000,
        called: str | None = None,
    ) -> None:
        if method not in VIDEO_METHODS:
            raise InputError(f"method must be one of {', '.join(VIDEO_METHODS)}, but got {describe(method)}")
        self._from_s = check_number(from_s, "from_s", low=0)
        self._to_s = None if to_s is None else check_number(to_s, "to_s", low=0)
        if self._to_s is not None and self._to_s <= self._from_s:
            raise InputError(f"to_s must be after from_s, but got {self._from_s:g} to {self._to_s:g} s")
        if method != "timeline" and (self._from_s or self._to_s is not None):
            raise InputError(f"the method {method} takes its frames from the whole video: leave out from_s and to_s")
        self._source, self._step_s, self._method, self._called = source, step_s, method, called
        self._max_pixels = max_pixels
        self._stream: FaceStream = analyzer.stream(alone=method != "timeline", keep=keep, on_frame=seen)
        self._video: VideoReader | None = None
        self._notes: list[str] = []
        self._ended = False

    def frames(self, *, opened: Callable[[VideoReader], None] | None = None) -> Iterator[VideoFrame]:
        """Yield each analyzed frame as soon as it is settled.

        Parameters
        ----------
        opened : callable, optional
            Gets the video before its first frame.

        Raises
        ------
        MienError
            If the source cannot be read.
        """
        numbers = self._numbers()
        step_s = self._step_s if numbers is None and self._step_s > 0 else None
        with iter_frames(
            self._source,
            step_s=step_s,
            from_s=self._from_s,
            to_s=self._to_s,
            numbers=numbers,
            max_pixels=self._max_pixels,
        ) as video:
            self._video = video
            if opened is not None:
                opened(video)
            for frame in video:
                yield from self._stream.push(frame.image, frame.time_s)
        self._ended = True
        if self._stream.size is None:
            raise DecodeError(self._nothing(), path=video.path)
        yield from self.close()

    def close(self) -> tuple[VideoFrame, ...]:
        """Return the frames that are left of what was watched so far; nothing is watched after, as at Ctrl-C."""
        return self._stream.close()

    @property
    def path(self) -> str | None:
        """The file, once it is open; None for bytes and streams without a name."""
        return None if self._video is None else self._video.path

    @property
    def has_sound(self) -> bool:
        """Whether the video, once it is open, has sound, too."""
        return self._video is not None and self._video.has_audio

    @property
    def reached_s(self) -> float:
        """Time of the last frame that was analyzed."""
        return self._stream.reached_s

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd so far."""
        return (*(() if self._video is None else self._video.warnings), *self._notes)

    def result(self, frames: Iterable[VideoFrame] = (), *more: str) -> VideoResult:
        """Return what was watched.

        Parameters
        ----------
        frames : iterable of VideoFrame
            What is still to be drawn from `frames`, first.
        *more : str
            Further warnings.

        Raises
        ------
        InputError
            If not a single frame was watched.
        """
        for _ in frames:
            pass
        video = self._video
        if video is None:
            raise InputError("no frame was watched yet")
        end_s = self._end_s(video)
        return self._stream.result(
            duration_s=end_s if self._ended and self._to_s is None else video.duration_s,
            start_s=self._from_s,
            end_s=end_s if self._to_s is None else min(end_s, self._to_s),
            method=self._method,
            warnings=(*self.warnings, *more),
            path=video.path,
            frames_read=video.frames_read,
            frames_failed=video.frames_failed,
            frame_rate=None if video.frame_rate is None else float(video.frame_rate),
        )

    def _end_s(self, video: VideoReader) -> float:
        """Return when what was watched ends: with its last frame, which lasts as long as frames do."""
        rate = video.frame_rate
        reached_s = video.position_s if self._ended else self._stream.reached_s
        end_s = max(reached_s, self._stream.reached_s) + (1 / float(rate) if rate else 0.0)
        declared_s = video.duration_s
        if self._method != "timeline":
            # Reading ends with the last frame that the method takes.
            return max(end_s, declared_s or 0.0)
        if not self._ended:
            return end_s
        near = declared_s is not None and abs(declared_s - end_s) < max(_NEAR_S, 2 * self._step_s)
        return max(declared_s, self._stream.reached_s) if near and declared_s is not None else end_s

    def _numbers(self) -> Sequence[int] | None:
        """Return which frames the method takes, or None where the time says."""
        if self._method == "timeline":
            return None
        begin = self._source.tell() if hasattr(self._source, "seek") and self._source.seekable() else None
        count = count_frames(self._source)
        if begin is not None:
            self._source.seek(begin)
        if self._method != "middle-frame" and count > _FIRST:
            return range(_FIRST, count, _NTH)
        if self._method != "middle-frame":
            self._notes.append(f"the video has only {count} frames: its middle one is taken")
        return [count // 2]

    def _nothing(self) -> str:
        name = self._called or format_path(self.path or "the video")
        if self._from_s:
            return f"{name} has no frame from {self._from_s:g} s on"
        return f"{name} has no frame that can be decoded"
