"""Videos become files, image by image: containers, codecs and the thread that encodes."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number, describe
from mien.errors import InputError, MediaError
from mien.io.paths import format_path
from mien.output.write import replace_atomically, write_in_place

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame

    from mien.output._sound import SoundTrack

__all__ = ["CONTAINERS", "Container", "Quality", "VideoCodec", "VideoWriter", "container_of"]

VideoCodec = Literal["h264", "vp9"]
"""Codecs of written videos."""

Quality = Literal["small", "good", "best"]
"""How much of the image is kept."""

_QUALITIES: dict[str, dict[str, int]] = {
    "h264": {"small": 28, "good": 22, "best": 17},
    "vp9": {"small": 42, "good": 34, "best": 26},
}
"""The constant rate factors: x264's own scale (0 to 51) and libvpx's (0 to 63)."""

_ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9"}

_BT709 = 1
"""The number of ITU-R BT.709 as primaries, transfer and matrix (ITU-T H.273)."""

_MPEG_RANGE = 1


@dataclass(frozen=True, slots=True)
class Container:
    """A file format of videos.

    Parameters
    ----------
    format : str
        FFmpeg's name of the muxer.
    codecs : tuple of str
        Codecs of the images, the default first.
    sounds : frozenset of str or None
        Audio codecs that players of such files know; None for all that the muxer takes.
    fallback : str
        The audio encoder for any other sound.
    negative : bool
        Whether packets may begin before zero (an edit list hides what is too early).
    options : tuple of (str, str)
        Options of the muxer.
    """

    format: str
    codecs: tuple[VideoCodec, ...]
    sounds: frozenset[str] | None
    fallback: str
    negative: bool = False
    options: tuple[tuple[str, str], ...] = ()


_FASTSTART = (("movflags", "+faststart"),)

CONTAINERS: dict[str, Container] = {
    ".mp4": Container(
        "mp4",
        ("h264", "vp9"),
        frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}),
        "aac",
        negative=True,
        options=_FASTSTART,
    ),
    ".mov": Container(
        "mov",
        ("h264",),
        frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}),
        "aac",
        negative=True,
        options=_FASTSTART,
    ),
    ".mkv": Container("matroska", ("h264", "vp9"), None, "aac"),
    ".webm": Container("webm", ("vp9",), frozenset({"opus", "vorbis"}), "libopus"),
}
"""By the suffix of the file."""

_IN_PARTS = {
    # Fragments, of which each can be played by itself, become one usual file at the end.
    "mp4": {"movflags": "+hybrid_fragmented+delay_moov", "frag_duration": "1000000"},
    "matroska": {"cluster_time_limit": "1000"},
}
"""Options of muxers with which a file can be played however its writing ends; in microseconds and milliseconds."""


def container_of(target: Path, codec: str | None) -> tuple[Container, VideoCodec]:
    """Return the container and the codec for a file name, or raise `InputError`."""
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise InputError(f"a video is written as {', '.join(CONTAINERS)}, but the name is {target.name!a}")
    if codec is None:
        return container, container.codecs[0]
    for known in container.codecs:
        if codec == known:
            return container, known
    if codec not in _ENCODERS:
        raise InputError(f"codec must be one of {', '.join(_ENCODERS)}, but got {codec!r}")
    raise InputError(f"{target.suffix.lower()} takes {' or '.join(container.codecs)}, but the codec is {codec!r}")


_TICKS = Fraction(1, 90_000)
"""The clock of broadcasts: integers of it for 24, 25, 30, 50, 60 and 29.97 frames a second (ISO/IEC 13818-1)."""

_LARGEST_SIDE = 16_384

_USUAL_RATE = Fraction(30)

_QUEUE_BYTES = 64 << 20
"""So much may wait for the encoder: a few frames, whatever their size."""


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
    sound : SoundTrack, optional
        Sound of the video that the images are taken from; it is closed with the writer.
    in_place : bool
        Write to the place itself, in parts that can be played whatever ends the writing: for what cannot be made again.

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
        sound: SoundTrack | None = None,
        in_place: bool = False,
    ) -> None:
        self.target = Path(os.fsdecode(target))
        self._in_place = in_place
        self.frames, self.end_s = 0, 0.0
        self._closed = False
        self._size = (
            check_integer(width, "width", low=1, high=_LARGEST_SIDE),
            check_integer(height, "height", low=1, high=_LARGEST_SIDE),
        )
        if quality not in _QUALITIES["h264"]:
            raise InputError(f"quality must be one of {', '.join(_QUALITIES['h264'])}, but got {quality!r}")
        container, chosen = container_of(self.target, codec)
        self._base, self._sound = time_base, sound
        rate = frame_rate or _USUAL_RATE
        self._step = max(1, round(1 / (rate * time_base)))
        self._last: int | None = None
        even = (self._size[0] + self._size[0] % 2, self._size[1] + self._size[1] % 2)
        self._padded = None if even == self._size else np.empty((even[1], even[0], 3), np.uint8)
        self._stack = ExitStack()
        try:
            way = write_in_place if in_place else replace_atomically
            temporary = self._stack.enter_context(way(self.target))
            temporary.open("wb").close()  # fails now, not after the first image, where nothing can be written
            self._encoder = self._open_encoder(temporary, container, chosen, even, rate, quality)
        except BaseException as error:
            self._discard(error)
            raise

    def _open_encoder(
        self,
        path: Path,
        container: Container,
        codec: VideoCodec,
        size: tuple[int, int],
        rate: Fraction,
        quality: str,
    ) -> _Encoder:
        import av

        # The clock of edit lists, too: by default it is a millisecond, to which late beginnings would be rounded.
        clock = {"movie_timescale": str(self._base.denominator)} if 1000 <= self._base.denominator <= 10**6 else {}
        options = {**dict(container.options), **(clock if container.negative else {})}
        if self._in_place:
            parts = _IN_PARTS["mp4" if container.negative else "matroska"]
            options = {**options, **parts, "flush_packets": "1"}
        # As an address with its scheme: FFmpeg takes what stands before a colon in a name for one.
        address = f"file:{os.path.abspath(path)}"  # noqa: PTH100  (links stay as they are)
        output = av.open(address, "w", format=container.format, container_options=options)
        stream = _add_video_stream(output, codec, size=size, time_base=self._base, frame_rate=rate, quality=quality)
        if self._sound is not None:
            self._sound.attach(output, container)
        return _Encoder(output, stream, self._sound, size[0] * size[1] * 3)

    def __enter__(self) -> Self:
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
        """What was lost of the sound; complete when the video is closed."""
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
        self._encode(pixels, pts)
        self.frames += 1
        self.end_s = float((pts + self._step) * self._base)

    def accepts(self, time_s: float | Fraction) -> bool:
        """Whether a time is after the last image by the video's clock, and not before zero."""
        pts = round(time_s / self._base)
        return pts >= 0 if self._last is None else pts > self._last

    def close(self, *, cut_sound: bool = False) -> None:
        """Finish the video and move it to its place; once is enough.

        Parameters
        ----------
        cut_sound : bool
            End the sound with the last image, too; otherwise all that is left of it is written.

        Raises
        ------
        InputError
            If no image was written.
        MediaError
            If the video cannot be written.
        """
        self._close(whole=not cut_sound)

    def _encode(self, pixels: NDArray[np.uint8], pts: int) -> None:
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
        with self._discarding(unless_interrupted=True):
            self._encoder.put(frame)

    def _close(self, *, whole: bool) -> None:
        if self._closed:
            return
        if not self.frames:
            error = InputError("a video needs images, but got none")
            self._discard(error)
            raise error
        with self._discarding(unless_interrupted=False):
            self._encoder.finish(None if whole else ((self._last or 0) + self._step) * self._base)
        self._closed = True
        self._stack.close()

    @contextmanager
    def _discarding(self, *, unless_interrupted: bool) -> Iterator[None]:
        """Discard the video after an error; Ctrl-C may leave it to be finished."""
        import av

        try:
            yield
        except BaseException as error:
            if unless_interrupted and isinstance(error, KeyboardInterrupt):
                raise
            self._discard(error)
            if isinstance(error, av.FFmpegError):
                message = f"cannot write {format_path(self.target)}: {error.strerror}"
                raise MediaError(message, path=self.target) from error
            raise

    def _discard(self, error: BaseException) -> None:
        self._closed = True
        encoder = getattr(self, "_encoder", None)
        if encoder is not None:
            encoder.cancel()
        elif self._sound is not None:
            self._sound.close()
        self._stack.__exit__(type(error), error, error.__traceback__)


class _Encoder(threading.Thread):
    """Encodes frames in a thread of its own and writes them, with the sound in step.

    Parameters
    ----------
    output : OutputContainer
        The file, with its streams; it belongs to the thread from here on.
    stream : VideoStream
        Encodes the frames.
    sound : SoundTrack or None
        Interleaved with them.
    frame_bytes : int
        Size of a frame before it is encoded.
    """

    def __init__(self, output: OutputContainer, stream: Any, sound: SoundTrack | None, frame_bytes: int) -> None:
        super().__init__(name="mien-video-writer", daemon=True)
        self.error: BaseException | None = None
        self._output, self._stream, self._sound = output, stream, sound
        self._queue: queue.Queue[VideoFrame | None] = queue.Queue(max(2, min(8, _QUEUE_BYTES // frame_bytes)))
        self._sound_until: Fraction | None = None
        self._cancelled = False

    def put(self, frame: VideoFrame | None) -> None:
        """Queue a frame, or None after the last; raises what went wrong meanwhile."""
        while True:
            if self.error is not None:
                raise self.error
            try:
                self._queue.put(frame, timeout=0.2)
            except queue.Full:
                continue
            return

    def finish(self, sound_until: Fraction | None) -> None:
        """Write what is left, the sound up to a time or to its end, and wait for it."""
        self._sound_until = sound_until
        if self.ident is None:
            return
        if self.error is None:
            self.put(None)
        self.join()
        if self.error is not None:
            raise self.error

    def cancel(self) -> None:
        """Stop without finishing the file."""
        self._cancelled = True
        if self.ident is None:
            self._release()
            return
        while self.is_alive():
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                self._queue.get_nowait()
            self.join(timeout=0.05)

    def run(self) -> None:
        """Encode until the last frame."""
        try:
            while (frame := self._queue.get()) is not None and not self._cancelled:
                self._encode(frame)
            if not self._cancelled:
                self._flush()
        except BaseException as error:  # noqa: BLE001  (raised in the thread that writes frames)
            self.error = error
        finally:
            self._release()

    def _encode(self, frame: VideoFrame | None) -> None:
        from av.video.reformatter import ColorRange, Colorspace

        if frame is not None:
            pts, duration = frame.pts, frame.duration
            base = frame.time_base
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.duration, frame.time_base = pts, duration, base
        for packet in self._stream.encode(frame):
            if self._sound is not None and packet.dts is not None:
                self._sound.write_until(packet.dts * Fraction(packet.time_base))
            self._output.mux(packet)

    def _flush(self) -> None:
        self._encode(None)
        if self._sound is not None:
            self._sound.write_until(self._sound_until)
        self._output.close()

    def _release(self) -> None:
        """Close the files; errors do not matter, since an unfinished file is discarded."""
        from av import FFmpegError

        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(FFmpegError, OSError):
            self._output.close()


def _add_video_stream(
    output: OutputContainer,
    codec: VideoCodec,
    *,
    size: tuple[int, int],
    time_base: Fraction,
    frame_rate: Fraction,
    quality: str,
) -> Any:
    """Add a video stream (8 bits, 4:2:0, BT.709) and return it.

    Raises
    ------
    MediaError
        If this build of FFmpeg lacks the encoder.
    """
    import av

    encoder = _ENCODERS[codec]
    if encoder not in av.codecs_available:
        raise MediaError(f"cannot write {codec}: the FFmpeg that PyAV brings has no encoder {encoder}")
    # Typed loosely: PyAV's type depends on the literal name of the encoder.
    add: Any = output.add_stream
    stream = add(encoder, rate=frame_rate, width=size[0], height=size[1], pix_fmt="yuv420p", time_base=time_base)
    stream.options = {"crf": str(_QUALITIES[codec][quality]), **_speed(codec, size[0] * size[1])}
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _MPEG_RANGE
    return stream


def _speed(codec: VideoCodec, pixels: int) -> dict[str, str]:
    """Return options with which two cores keep up with 720p at more than twice its rate."""
    if codec == "h264":
        return {"preset": "veryfast"}
    # Constant quality needs a bit rate of 0; tiles of 256 columns at least let threads share a frame.
    columns = 2 if pixels > 1500 * 1000 else 1
    return {"b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1", "tile-columns": str(columns)}
