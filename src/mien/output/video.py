"""Videos with the people drawn on them, written with their sound."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe, warn
from mien.errors import InputError
from mien.face.scenes import SceneCutDetector
from mien.io.video import iter_frames
from mien.output._encode import Quality, VideoCodec, VideoWriter, container_of
from mien.output._sound import SoundTrack, VideoSource, open_source
from mien.output.paint import Painter, Person
from mien.output.registry import Context, Result, Writer
from mien.results import FaceTrack, VideoResult
from mien.results.emotion import TIME_EPSILON_S

if TYPE_CHECKING:
    from mien.io.video import VideoReader

__all__ = ["AnnotatedVideoWriter", "TrackedPeople", "VideoWriter", "draw_video"]

_END_S = 0.1
"""A video analyzed up to so much before its end was analyzed to its end."""


def draw_video(
    source: str | os.PathLike[str] | bytes,
    video: VideoResult,
    target: str | os.PathLike[str],
    *,
    bars: bool = True,
    labels: bool = True,
    quality: Quality = "good",
    codec: VideoCodec | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Draw the people of a video on every frame of it, and write that with the video's own sound.

    The video is read again.  Between the frames that were analyzed, boxes and distributions are interpolated; a label
    has the person's number and the emotion of the timeline, whose color the box has.  Frames keep their times (those of
    a video with a variable rate, too), and are stored upright.  The first sound track is copied where such a file
    takes its codec; otherwise it is encoded again, as AAC or, in WebM, as Opus.  What was analyzed only in part is
    written as far as it was analyzed.  Ctrl-C ends the video early: what was drawn is kept.

    Parameters
    ----------
    source : str, os.PathLike or bytes
        The video.  No open file: images and sound are read side by side.
    video : VideoResult
        The result of its analysis.
    target : str or os.PathLike
        Where it goes; see `VideoWriter`.  Never over the source.
    bars, labels : bool
        Whether to draw the distributions and the words.
    quality : {"small", "good", "best"}
        How much of the image is kept.
    codec : {"h264", "vp9"}, optional
        By default H.264, and VP9 in WebM.
    on_progress : callable, optional
        Called with the time of each frame that was drawn, in seconds of the video.

    Raises
    ------
    InputError
        If the result is none or of a video of another size, the target is the source or ends otherwise, or an option is
        out of range.
    MediaNotFoundError, UnsupportedMediaError, DecodeError
        If the video cannot be read.
    MediaError
        If the new one cannot be written.
    """
    if not isinstance(video, VideoResult):
        raise InputError(f"video must be a VideoResult, but got {describe(video)}")
    if not isinstance(source, str | os.PathLike | bytes):
        raise InputError(f"the video to draw on must be a path or bytes, but got {describe(source)}")
    place = Path(os.fsdecode(target))
    container_of(place, codec)
    _check_apart(source, place)
    with ExitStack() as stack:
        frames = stack.enter_context(iter_frames(source, from_s=video.start_s, to_s=_end_of(video)))
        _check_size(video, frames)
        opened = open_source(source)
        stack.callback(opened.close)
        # Whole ticks, so that what was an integer of them stays one.
        begin = round(video.start_s / frames.time_base) * frames.time_base
        writer = VideoWriter(
            place,
            width=frames.width,
            height=frames.height,
            time_base=frames.time_base,
            frame_rate=frames.frame_rate,
            quality=quality,
            codec=codec,
            sound=_sound_of(opened, video, begin),
        )
        stack.enter_context(writer)
        painter = Painter(video.width, video.height, bars=bars, labels=labels)
        _draw(frames, video, writer, begin, painter, on_progress)
    for note in (*opened.notes, *writer.warnings):
        warn(f"{place.name}: {note}")


def _draw(
    frames: VideoReader,
    video: VideoResult,
    writer: VideoWriter,
    begin: Fraction,
    painter: Painter,
    on_progress: Callable[[float], None] | None,
) -> None:
    people = TrackedPeople(video)
    for frame in frames:
        at = Fraction(frame.time_s) - begin
        if not writer.accepts(at):  # by the clock of the file no later than the last
            continue
        painter.paint(frame.image, people.at(frame.image, frame.time_s), frame.time_s)
        writer.write(frame.image, at)
        if on_progress is not None:
            on_progress(frame.time_s)


def _sound_of(source: VideoSource, video: VideoResult, begin: Fraction) -> SoundTrack | None:
    if source.sound is None:
        return None
    end_s = _end_of(video)
    return SoundTrack(source, source.zero + begin, None if end_s is None else Fraction(end_s) - begin)


def _end_of(video: VideoResult) -> float | None:
    """Return where to stop, or None where the video was analyzed to its end: then its sound may go on after it."""
    return video.end_s if video.end_s < video.duration_s - _END_S else None


def _check_size(video: VideoResult, frames: VideoReader) -> None:
    if (frames.width, frames.height) != (video.width, video.height):
        raise InputError(
            f"the result belongs to a video of {video.width} x {video.height} pixels, "
            f"but this one has {frames.width} x {frames.height}"
        )


def _check_apart(source: str | os.PathLike[str] | bytes, target: Path) -> None:
    if isinstance(source, bytes) or not target.exists() or not Path(os.fsdecode(source)).exists():
        return
    if target.samefile(os.fsdecode(source)):
        raise InputError(f"will not write over the video that is read: {str(target)!a}")


class TrackedPeople:
    """The people to draw on each frame of a video, interpolated between the frames that were analyzed.

    The analysis noticed a new scene with its first analyzed frame; here every frame passes, so that nobody of the old
    scene is drawn from the cut itself on.
    """

    def __init__(self, video: VideoResult) -> None:
        self._tracks = video.tracks
        self._starts = [[segment.start_s for segment in track.timeline] for track in video.tracks]
        self._times, self._cuts = video.times_s, video.cuts
        self._before_end_s = video.end_s - 2 * TIME_EPSILON_S
        self._scene, self._watched, self._gone = SceneCutDetector(), -1, False

    def at(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
        """Return the people in a frame; frames come in order.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        time_s : float
            When it is shown.
        """
        if self._is_gone(image, time_s):
            return []
        # The last frame of a video may be shown at its very end; it is no other than the one before.
        time_s = min(time_s, self._before_end_s)
        people = (self._person(track, starts, time_s) for track, starts in zip(self._tracks, self._starts, strict=True))
        return [person for person in people if person is not None]

    def _is_gone(self, image: NDArray[np.uint8], time_s: float) -> bool:
        """Whether a frame is of a new scene whose analysis begins only later."""
        following = bisect_right(self._cuts, time_s)
        if following == len(self._cuts):
            return False
        # A cut that looks like a flash at first is reported one frame late.
        place = bisect_left(self._times, self._cuts[following]) - 2
        if time_s < self._times[max(place, 0)]:
            return False
        if following != self._watched:
            self._scene, self._watched, self._gone = SceneCutDetector(), following, False
        self._gone = self._scene.update(image, time_s) or self._gone
        return self._gone

    @staticmethod
    def _person(track: FaceTrack, starts: list[float], time_s: float) -> Person | None:
        """Return somebody at a time, named by the emotion of the timeline, which does not flicker; None out of view."""
        point = track.at(time_s)
        if point is None:
            return None
        shares = point.probabilities.astype(np.float64)
        place = bisect_right(starts, time_s) - 1
        top = track.timeline[place].emotion.top if place >= 0 else track.labels.emotions[int(shares.argmax())]
        x1, y1, x2, y2 = point.box.tolist()
        return Person(track.number, (x1, y1, x2, y2), track.labels, tuple(shares.tolist()), top)


class AnnotatedVideoWriter(Writer):
    """Writes a video with its people drawn on it; see `draw_video`."""

    def __init__(self, target: Path, context: Context) -> None:
        container_of(target, None)
        self._target, self._context = target, context

    def write(self, result: Result) -> None:
        """Read the video again and draw on it.

        Raises
        ------
        InputError
            If the result is not that of a video, or the video is not known.
        """
        if not isinstance(result, VideoResult):
            raise InputError(f"an annotated video needs a VideoResult, but got {describe(result)}")
        source = result.path if self._context.source is None else self._context.source
        if source is None:
            raise InputError("the result does not name its video: use mien.draw_video")
        draw_video(source, result, self._target, on_progress=self._context.on_progress)
