"""Films with the people drawn on them, written with the sound that they had."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe, image_array, number, warn, whole_number
from mien.errors import InputError, MediaError
from mien.media.video import iter_frames
from mien.output._film_encode import Encoder
from mien.output._film_formats import QUALITIES, Quality, VideoCodec, add_pictures, container_of
from mien.output._film_paint import FilmPainter, Person
from mien.output._film_sound import Original, Sound, open_original
from mien.output.write import made_beside
from mien.results.track import FaceTrack
from mien.results.video import VideoResult

if TYPE_CHECKING:
    from mien.media.video import FrameStream

__all__ = ["FilmWriter", "draw_film"]

_TICKS = Fraction(1, 90_000)
"""The clock of broadcasts: whole numbers of it for 24, 25, 30, 50, 60 and 29.97 frames a second (ISO/IEC 13818-1)."""

_LARGEST_SIDE = 16_384

_USUAL_RATE = Fraction(30)

_END_S = 0.1
"""A film analyzed up to so much before its end was analyzed to its end."""


class FilmWriter:
    """Write a film picture by picture, each with its time.

    It is written beside its place under another name and moved there by `close`, so that nobody sees half a film and
    an older one survives a failure.  As a context manager, it also keeps what was written when Ctrl-C ends the block;
    any other error throws it away.  Encoding happens in a thread of its own.

    Parameters
    ----------
    target : str or os.PathLike
        Ends in ``.mp4``, ``.mov``, ``.mkv`` or ``.webm``.
    width, height : int
        Size of the pictures in pixels.  A film has even sizes: where they are odd, the last row or column is doubled.
    time_base : fractions.Fraction
        The clock in seconds: times are rounded to it.  Matroska and WebM round to a millisecond.
    frame_rate : fractions.Fraction, optional
        About how many pictures a second there will be; players show it, and the last picture lasts that long.
    quality : {"small", "good", "best"}
        How much of the picture is kept.
    codec : {"h264", "vp9"}, optional
        By default H.264, and VP9 in WebM.
    sound : Sound, optional
        From the film that the pictures are taken from; it is closed with the writer.

    Raises
    ------
    InputError
        If the suffix is another, the codec does not fit it, or an option is out of range.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there, or the encoder is missing; later calls may raise it, too.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        time_base: Fraction = _TICKS,
        frame_rate: Fraction | None = None,
        quality: Quality = "good",
        codec: VideoCodec | None = None,
        sound: Sound | None = None,
    ) -> None:
        self.target = Path(os.fsdecode(target))
        self.frames, self.end_s = 0, 0.0
        self._closed = False
        self._size = (
            whole_number(width, "width", low=1, high=_LARGEST_SIDE),
            whole_number(height, "height", low=1, high=_LARGEST_SIDE),
        )
        if quality not in QUALITIES["h264"]:
            raise InputError(f"quality must be one of {', '.join(QUALITIES['h264'])}, but got {quality!r}")
        kind, chosen = container_of(self.target, codec)
        self._base, self._sound = time_base, sound
        rate = frame_rate or _USUAL_RATE
        self._step = max(1, round(1 / (rate * time_base)))
        self._last: int | None = None
        even = (self._size[0] + self._size[0] % 2, self._size[1] + self._size[1] % 2)
        # Padded pictures are put together here.
        self._padded = None if even == self._size else np.empty((even[1], even[0], 3), np.uint8)
        self._place = ExitStack()
        try:
            beside = self._place.enter_context(made_beside(self.target))
            beside.open("xb").close()  # tells now, not after the first picture, whether there is room for a name
            self._encoder = self._started(beside, kind, chosen, even, rate, quality)
        except BaseException as error:
            self._discard(error)
            raise

    def _started(
        self,
        beside: Path,
        kind: Any,
        codec: VideoCodec,
        size: tuple[int, int],
        rate: Fraction,
        quality: str,
    ) -> Encoder:
        import av

        # The clock of edit lists, too: by default it is a millisecond, to which late beginnings would be rounded.
        clock = {"movie_timescale": str(self._base.denominator)} if 1000 <= self._base.denominator <= 10**6 else {}
        options = {**dict(kind.options), **(clock if kind.negative else {})}
        output = av.open(os.fspath(beside), "w", format=kind.format, container_options=options)
        stream = add_pictures(
            output,
            codec,
            width=size[0],
            height=size[1],
            time_base=self._base,
            frame_rate=rate,
            quality=quality,
        )
        if self._sound is not None:
            self._sound.attach(output, kind)
        return Encoder(output, stream, self._sound, size[0] * size[1] * 3)

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or (isinstance(error, KeyboardInterrupt) and self.frames):
            self._close(whole=error is None)
        else:
            self._discard(error)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the sound was lost; complete when the film is closed."""
        return () if self._sound is None else tuple(self._sound.warnings)

    def write(self, image: NDArray[Any], time_s: float | Fraction) -> None:
        """Add a picture.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB, of the size of the film; it is copied.
        time_s : float or fractions.Fraction
            When it is shown, in seconds, after the one before; at least 0.

        Raises
        ------
        InputError
            If the picture is none or has another size, or the time is not later than the last by the clock.
        MediaError
            If the film cannot be written.
        """
        if self._closed:
            raise InputError("the film is closed")
        pixels = image_array(image)
        if (pixels.shape[1], pixels.shape[0]) != self._size:
            raise InputError(
                f"the pictures of this film have {self._size[0]} x {self._size[1]} pixels, but got {describe(image)}"
            )
        exact = time_s if isinstance(time_s, Fraction) else number(time_s, "time_s", low=0)
        pts = round(exact / self._base)
        if pts < 0 or (self._last is not None and pts <= self._last):
            raise InputError(f"times must rise from 0 by at least {float(self._base):g} s, but got {float(time_s)!r}")
        self._put(pixels, pts)
        self.frames += 1
        self.end_s = float((pts + self._step) * self._base)

    def takes(self, time_s: float | Fraction) -> bool:
        """Tell whether a time comes after the last picture by the film's clock."""
        return self._last is None or round(time_s / self._base) > self._last

    def close(self) -> None:
        """Finish the film and move it to its place; once is enough.

        Raises
        ------
        InputError
            If no picture was written.
        MediaError
            If the film cannot be written.
        """
        self._close(whole=True)

    def _put(self, pixels: NDArray[np.uint8], pts: int) -> None:
        from av import VideoFrame

        if self._padded is not None:
            width, height = self._size
            self._padded[:height, :width] = pixels
            self._padded[height:, :width] = pixels[-1:]
            self._padded[:, width:] = self._padded[:, width - 1 : width]
            pixels = self._padded
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        if self._last is not None:
            self._step = pts - self._last
        frame.pts, frame.duration, frame.time_base = pts, self._step, self._base
        if self._last is None:
            self._encoder.start()
        self._last = pts
        with self._careful(keeps=True):
            self._encoder.put(frame)

    def _close(self, *, whole: bool) -> None:
        if self._closed:
            return
        if not self.frames:
            error = InputError("a film needs pictures, but got none")
            self._discard(error)
            raise error
        with self._careful(keeps=False):
            self._encoder.finish(None if whole else ((self._last or 0) + self._step) * self._base)
        self._closed = True
        self._place.close()

    @contextmanager
    def _careful(self, *, keeps: bool) -> Iterator[None]:
        """Throw the film away when something goes wrong; but where it `keeps`, Ctrl-C leaves it to be finished."""
        import av

        try:
            yield
        except BaseException as error:
            if keeps and isinstance(error, KeyboardInterrupt):
                raise
            self._discard(error)
            if isinstance(error, av.FFmpegError):
                raise MediaError(f"cannot write {str(self.target)!a}: {error.strerror}", path=self.target) from error
            raise

    def _discard(self, error: BaseException) -> None:
        self._closed = True
        encoder = getattr(self, "_encoder", None)
        if encoder is not None:
            encoder.abandon()
        elif self._sound is not None:
            self._sound.close()
        # Gives the error on, or what it becomes as one of writing.
        self._place.__exit__(type(error), error, error.__traceback__)


def draw_film(
    source: str | os.PathLike[str] | bytes,
    film: VideoResult,
    target: str | os.PathLike[str],
    *,
    bars: bool = True,
    labels: bool = True,
    quality: Quality = "good",
    codec: VideoCodec | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Draw the people of a film on every frame of it, and write that with the film's own sound.

    The film is read again.  Between the frames that were analyzed, boxes and distributions are interpolated; a label
    tells the person's number and the emotion of the timeline, whose colour the box has.  Frames keep their times (those
    of a film with a variable rate, too), and are stored upright.  The first sound track is copied as it is where such a
    file takes its codec; otherwise it is encoded anew, as AAC or, in WebM, as Opus.  What was analyzed only in part is
    written as far as it was analyzed.  Ctrl-C ends the film early: what was drawn is kept.

    Parameters
    ----------
    source : str, os.PathLike or bytes
        The film.  An open file is refused, because pictures and sound are read side by side.
    film : VideoResult
        What was found in it.
    target : str or os.PathLike
        Where it goes; see `FilmWriter`.  Never over the source.
    bars, labels : bool
        Whether to draw the distributions and the words.
    quality : {"small", "good", "best"}
        How much of the picture is kept.
    codec : {"h264", "vp9"}, optional
        By default H.264, and VP9 in WebM.
    progress : callable, optional
        Called with the time of each frame that was drawn, in seconds of the film.

    Raises
    ------
    InputError
        If the result is none or of a film of another size, the target is the source or ends otherwise, or an option is
        out of range.
    MediaNotFoundError, UnsupportedMediaError, DecodeError
        If the film cannot be read.
    MediaError
        If the new one cannot be written.
    """
    if not isinstance(film, VideoResult):
        raise InputError(f"film must be a VideoResult, but got {describe(film)}")
    if not isinstance(source, str | os.PathLike | bytes):
        raise InputError(f"the film to draw on must be a path or bytes, but got {describe(source)}")
    place = Path(os.fsdecode(target))
    container_of(place, codec)
    _check_apart(source, place)
    with ExitStack() as stack:
        frames = stack.enter_context(iter_frames(source, from_s=film.start_s, to_s=_end_of(film)))
        _check_size(film, frames)
        original = open_original(source)
        stack.callback(original.close)
        # Whole ticks, so that what was a whole number of them stays one.
        begin = round(film.start_s / frames.time_base) * frames.time_base
        writer = FilmWriter(
            place,
            width=frames.width,
            height=frames.height,
            time_base=frames.time_base,
            frame_rate=frames.frame_rate,
            quality=quality,
            codec=codec,
            sound=_sound_of(original, film, begin),
        )
        stack.enter_context(writer)
        _draw(frames, film, writer, begin, FilmPainter(film.width, film.height, bars=bars, labels=labels), progress)
    for note in writer.warnings:
        warn(f"{place.name}: {note}")


def _draw(
    frames: FrameStream,
    film: VideoResult,
    writer: FilmWriter,
    begin: Fraction,
    painter: FilmPainter,
    progress: Callable[[float], None] | None,
) -> None:
    people = [_Timeline(track) for track in film.tracks]
    for frame in frames:
        at = Fraction(frame.time_s) - begin
        # Times of damaged films may stand still or run backwards.
        if at < 0 or not writer.takes(at):
            continue
        shown = [person for track in people if (person := track.at(frame.time_s)) is not None]
        painter.paint(frame.image, shown, frame.time_s)
        writer.write(frame.image, at)
        if progress is not None:
            progress(frame.time_s)


class _Timeline:
    """A person whose emotion at a time is that of the timeline, which does not flicker."""

    def __init__(self, track: FaceTrack) -> None:
        self._track = track
        self._starts = [segment.start_s for segment in track.timeline]

    def at(self, time_s: float) -> Person | None:
        """Return what to draw, or None where the person is out of view."""
        track = self._track
        if not track.start_s <= time_s <= track.end_s:
            return None
        point = track.at(time_s)
        if point is None:
            return None
        shares = point.probabilities.astype(np.float64)
        place = bisect_right(self._starts, time_s) - 1
        told = track.timeline[place].emotion.top if place >= 0 else track.labels.emotions[int(shares.argmax())]
        x1, y1, x2, y2 = point.box.tolist()
        return Person(track.number, (x1, y1, x2, y2), track.labels, tuple(shares.tolist()), told)


def _sound_of(original: Original, film: VideoResult, begin: Fraction) -> Sound | None:
    if original.sound is None:
        return None
    end_s = _end_of(film)
    return Sound(original, original.zero + begin, None if end_s is None else Fraction(end_s) - begin)


def _end_of(film: VideoResult) -> float | None:
    """Return where to stop, or None where the film was analyzed to its end: then its sound may go on after it."""
    return film.end_s if film.end_s < film.duration_s - _END_S else None


def _check_size(film: VideoResult, frames: FrameStream) -> None:
    if (frames.width, frames.height) != (film.width, film.height):
        raise InputError(
            f"the result belongs to a film of {film.width} x {film.height} pixels, "
            f"but this one has {frames.width} x {frames.height}"
        )


def _check_apart(source: str | os.PathLike[str] | bytes, target: Path) -> None:
    if isinstance(source, bytes) or not target.exists() or not Path(os.fsdecode(source)).exists():
        return
    if target.samefile(os.fsdecode(source)):
        raise InputError(f"will not write over the film that is read: {str(target)!a}")
