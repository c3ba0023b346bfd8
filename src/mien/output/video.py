"""Videos with the people drawn on them, written with the sound that they had."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mien._checks import describe, warn
from mien.errors import InputError
from mien.io.video import iter_frames
from mien.output._video_formats import Quality, VideoCodec, container_of
from mien.output._video_paint import VideoPainter
from mien.output._video_people import People
from mien.output._video_sound import Original, Sound, open_original
from mien.output._video_writer import VideoWriter
from mien.results import VideoResult

if TYPE_CHECKING:
    from mien.io.video import VideoReader

__all__ = ["VideoWriter", "draw_video"]

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
    progress: Callable[[float], None] | None = None,
) -> None:
    """Draw the people of a video on every frame of it, and write that with the video's own sound.

    The video is read again.  Between the frames that were analyzed, boxes and distributions are interpolated; a label
    tells the person's number and the emotion of the timeline, whose color the box has.  Frames keep their times (those
    of a video with a variable rate, too), and are stored upright.  The first sound track is copied as it is where
    such a
    file takes its codec; otherwise it is encoded anew, as AAC or, in WebM, as Opus.  What was analyzed only in part is
    written as far as it was analyzed.  Ctrl-C ends the video early: what was drawn is kept.

    Parameters
    ----------
    source : str, os.PathLike or bytes
        The video.  An open file is refused, because images and sound are read side by side.
    video : VideoResult
        What was found in it.
    target : str or os.PathLike
        Where it goes; see `VideoWriter`.  Never over the source.
    bars, labels : bool
        Whether to draw the distributions and the words.
    quality : {"small", "good", "best"}
        How much of the image is kept.
    codec : {"h264", "vp9"}, optional
        By default H.264, and VP9 in WebM.
    progress : callable, optional
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
        original = open_original(source)
        stack.callback(original.close)
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
            sound=_sound_of(original, video, begin),
        )
        stack.enter_context(writer)
        _draw(frames, video, writer, begin, VideoPainter(video.width, video.height, bars=bars, labels=labels), progress)
    for note in (*original.notes, *writer.warnings):
        warn(f"{place.name}: {note}")


def _draw(
    frames: VideoReader,
    video: VideoResult,
    writer: VideoWriter,
    begin: Fraction,
    painter: VideoPainter,
    progress: Callable[[float], None] | None,
) -> None:
    people = People(video)
    for frame in frames:
        at = Fraction(frame.time_s) - begin
        if not writer.takes(at):  # by the clock of the file no later than the last
            continue
        painter.paint(frame.image, people.at(frame.image, frame.time_s), frame.time_s)
        writer.write(frame.image, at)
        if progress is not None:
            progress(frame.time_s)


def _sound_of(original: Original, video: VideoResult, begin: Fraction) -> Sound | None:
    if original.sound is None:
        return None
    end_s = _end_of(video)
    return Sound(original, original.zero + begin, None if end_s is None else Fraction(end_s) - begin)


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
