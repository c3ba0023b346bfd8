"""Videos become files, image by image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number, describe
from mien.errors import InputError, MediaError
from mien.output._video_encode import Encoder
from mien.output._video_formats import QUALITIES, Container, Quality, VideoCodec, add_images, container_of
from mien.output._video_sound import Sound
from mien.output.write import made_beside

__all__ = ["VideoWriter"]

_TICKS = Fraction(1, 90_000)
"""The clock of broadcasts: integers of it for 24, 25, 30, 50, 60 and 29.97 frames a second (ISO/IEC 13818-1)."""

_LARGEST_SIDE = 16_384

_USUAL_RATE = Fraction(30)


class VideoWriter:
    """Write a video image by image, each with its time.

    It is written beside its place under another name and moved there by `close`, so that nobody sees half a video and
    an older one survives a failure.  As a context manager, it also keeps what was written when Ctrl-C ends the block;
    any other error throws it away.  Encoding happens in a thread of its own.

    Parameters
    ----------
    target : str or os.PathLike
        Ends in ``.mp4``, ``.mov``, ``.mkv`` or ``.webm``.
    width, height : int
        Size of the images in pixels.  A video has even sizes: where they are odd, the last row or column is doubled.
    time_base : fractions.Fraction
        The clock in seconds: times are rounded to it.  Matroska and WebM round to a millisecond.
    frame_rate : fractions.Fraction, optional
        About how many images a second there will be; players show it, and the last image lasts that long.
    quality : {"small", "good", "best"}
        How much of the image is kept.
    codec : {"h264", "vp9"}, optional
        By default H.264, and VP9 in WebM.
    sound : Sound, optional
        From the video that the images are taken from; it is closed with the writer.

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
            check_integer(width, "width", low=1, high=_LARGEST_SIDE),
            check_integer(height, "height", low=1, high=_LARGEST_SIDE),
        )
        if quality not in QUALITIES["h264"]:
            raise InputError(f"quality must be one of {', '.join(QUALITIES['h264'])}, but got {quality!r}")
        kind, chosen = container_of(self.target, codec)
        self._base, self._sound = time_base, sound
        rate = frame_rate or _USUAL_RATE
        self._step = max(1, round(1 / (rate * time_base)))
        self._last: int | None = None
        even = (self._size[0] + self._size[0] % 2, self._size[1] + self._size[1] % 2)
        # Padded images are put together here.
        self._padded = None if even == self._size else np.empty((even[1], even[0], 3), np.uint8)
        self._place = ExitStack()
        try:
            beside = self._place.enter_context(made_beside(self.target))
            beside.open("xb").close()  # tells now, not after the first image, whether there is room for a name
            self._encoder = self._started(beside, kind, chosen, even, rate, quality)
        except BaseException as error:
            self._discard(error)
            raise

    def _started(
        self,
        beside: Path,
        kind: Container,
        codec: VideoCodec,
        size: tuple[int, int],
        rate: Fraction,
        quality: str,
    ) -> Encoder:
        import av

        # The clock of edit lists, too: by default it is a millisecond, to which late beginnings would be rounded.
        clock = {"movie_timescale": str(self._base.denominator)} if 1000 <= self._base.denominator <= 10**6 else {}
        options = {**dict(kind.options), **(clock if kind.negative else {})}
        # As an address with its scheme: FFmpeg takes what stands before a colon in a name for one.
        address = f"file:{os.path.abspath(beside)}"  # noqa: PTH100  (links stay as they are)
        output = av.open(address, "w", format=kind.format, container_options=options)
        stream = add_images(
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

    def __enter__(self) -> VideoWriter:
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
        """What of the sound was lost; complete when the video is closed."""
        return () if self._sound is None else tuple(self._sound.warnings)

    def write(self, image: NDArray[Any], time_s: float | Fraction) -> None:
        """Add an image; this waits while the encoder is some images behind.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB, of the size of the video; it is copied.
        time_s : float or fractions.Fraction
            When it is shown, in seconds, after the one before; at least 0.

        Raises
        ------
        InputError
            If the image is none or has another size, or the time is not later than the last by the clock.
        MediaError
            If the video cannot be written.
        """
        if self._closed:
            raise InputError("the video is closed")
        pixels = check_image(image)
        if (pixels.shape[1], pixels.shape[0]) != self._size:
            raise InputError(
                f"the images of this video have {self._size[0]} x {self._size[1]} pixels, but got {describe(image)}"
            )
        exact = time_s if isinstance(time_s, Fraction) else check_number(time_s, "time_s", low=0)
        pts = round(exact / self._base)
        if pts < 0 or (self._last is not None and pts <= self._last):
            raise InputError(f"times must rise from 0 by at least {float(self._base):g} s, but got {float(time_s)!r}")
        self._put(pixels, pts)
        self.frames += 1
        self.end_s = float((pts + self._step) * self._base)

    def takes(self, time_s: float | Fraction) -> bool:
        """Tell whether a time comes after the last image by the video's clock, and not before zero."""
        pts = round(time_s / self._base)
        return pts >= 0 if self._last is None else pts > self._last

    def close(self) -> None:
        """Finish the video and move it to its place; once is enough.

        Raises
        ------
        InputError
            If no image was written.
        MediaError
            If the video cannot be written.
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
            error = InputError("a video needs images, but got none")
            self._discard(error)
            raise error
        with self._careful(keeps=False):
            self._encoder.finish(None if whole else ((self._last or 0) + self._step) * self._base)
        self._closed = True
        self._place.close()

    @contextmanager
    def _careful(self, *, keeps: bool) -> Iterator[None]:
        """Throw the video away when something goes wrong; but where it `keeps`, Ctrl-C leaves it to be finished."""
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
