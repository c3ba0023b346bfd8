"""Videos that the tests make themselves: images with known times go in, a file comes out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# SVT-AV1 writes what it does to stderr.
os.environ.setdefault("SVT_LOG", "0")

SPEEDS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "threads": "1"},
    # Without B frames: with them, x265 now and then gives a video of a single frame a time that cannot be written.
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:bframes=0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
    "libsvtav1": {"preset": "7", "crf": "15", "svtav1-params": "lp=1"},
}
"""Options that make the encoders quick; what the caller gives goes before them."""

# The matrix by name: swscale's number for the conversion, and the number that the stream carries (ITU-T H.273).
MATRICES = {"bt601": (Colorspace.ITU601, 6), "bt709": (Colorspace.ITU709, 1), "bt2020": (Colorspace.BT2020, 9)}


def write_video(
    path: str | os.PathLike[str] | IO[bytes],
    frames: Iterable[tuple[Image, Fraction]],
    *,
    codec: str = "libx264",
    rate: int | Fraction = 30,
    time_base: Fraction | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    sound: tuple[NDArray[np.float32], int] | None = None,
    sound_start_s: float = 0.0,
    audio_codec: str = "aac",
    options: dict[str, str] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    matrix: str | None = None,
    full_range: bool = False,
    interlaced: bool = False,
) -> None:
    """Write a video.

    ``frames`` are (uint8 (H, W, 3) RGB, time in seconds); a time must be an integer of ``time_base`` (by default
    one frame of ``rate``).  ``rotation`` turns the image counter-clockwise by that many degrees when it is shown, as
    phones do it: the stored images stay as they were given; ``mirrored`` flips what is shown after that.
    ``sound`` is (float32 (n,), rate in Hz).  ``container`` names the format where the path's suffix does not.
    ``matrix`` is one of `MATRICES`; by default the stream says nothing, and BT.601 is used.
    """
    base = time_base or 1 / Fraction(rate)
    images = iter(frames)
    first = next(images, None)
    file: Any = path if hasattr(path, "write") else os.fspath(path)  # type: ignore[arg-type]
    with _same_priority(), av.open(file, "w", format=container, options=container_options or {}) as target:
        size = (64, 48) if first is None else (first[0].shape[1], first[0].shape[0])
        video: Any = target.add_stream(
            codec, rate=Fraction(rate), width=size[0], height=size[1], pix_fmt=pix_fmt, time_base=base,
            options=SPEEDS.get(codec, {}) | (options or {}),
        )  # fmt: skip
        if matrix is not None:
            video.codec_context.colorspace = MATRICES[matrix][1]
        if full_range:
            video.codec_context.color_range = ColorRange.JPEG
        if interlaced:
            video.codec_context.flags |= 0x40000 | 0x20000000  # AV_CODEC_FLAG_INTERLACED_DCT and _ME
        if rotation or mirrored:
            video.set_display_rotation(rotation, hflip=mirrored)
        waves = _Sound(target, sound, sound_start_s, audio_codec) if sound else None
        target.start_encoding()  # writes the header, of a video without images too
        for image, time in () if first is None else _chained(first, images):
            ticks = time / base
            if ticks.denominator != 1:
                raise ValueError(f"a frame's time of {time} s is no whole number of the time base, {base} s")
            if waves is not None:
                waves.until(float(time))
            frame = _converted(image, pix_fmt, matrix, full_range)
            frame.pts, frame.time_base = ticks.numerator, base
            target.mux(video.encode(frame))
        if first is not None:
            target.mux(video.encode(None))
        if waves is not None:
            waves.until(None)


@contextmanager
def _same_priority() -> Iterator[None]:
    """SVT-AV1 gives root's threads that open it the highest real-time priority, for good (EbThreads.c of SVT-AV1)."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _chained(first: tuple[Image, Fraction], rest: Iterator[Any]) -> Iterator[tuple[Image, Fraction]]:
    yield first
    yield from rest


def _converted(image: Image, pix_fmt: str, matrix: str | None, full_range: bool) -> Any:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    if pix_fmt.startswith(("rgb", "bgr", "gbr", "pal")):
        return frame.reformat(format=pix_fmt)
    return frame.reformat(
        format=pix_fmt,
        dst_colorspace=MATRICES[matrix or "bt601"][0],
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        # Twice the precision of the default: the conversion must not be what a test of colors measures.
        interpolation=0x2 | 0x40000 | 0x2000,  # SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT
    )


class _Sound:
    """The sound of a video, written in step with its images."""

    def __init__(self, target: Any, sound: tuple[NDArray[np.float32], int], start_s: float, codec: str) -> None:
        self._target = target
        self._wave, self._rate = sound
        self._stream = target.add_stream(codec, rate=self._rate, layout="mono")
        self._start = round(start_s * self._rate)
        self._at = 0
        self._resampler: Any = None

    def until(self, time_s: float | None) -> None:
        """Write what sounds before a time; with None, all that is left."""
        context = self._stream.codec_context
        if self._resampler is None:
            self._resampler = av.AudioResampler(format=context.format, layout="mono", rate=self._rate)
        size = context.frame_size or 1024
        while self._at < len(self._wave) and (time_s is None or (self._start + self._at) / self._rate < time_s):
            part = np.ascontiguousarray(self._wave[None, self._at : self._at + size], np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate = self._rate
            for made in self._resampler.resample(frame):
                made.pts, made.time_base = self._start + self._at, Fraction(1, self._rate)
                self._target.mux(self._stream.encode(made))
            self._at += size
        if time_s is None:
            self._target.mux(self._stream.encode(None))


# --- images that tell their number ----------------------------------------------------------------------------------


def numbered(number: int, width: int = 160, height: int = 120) -> Image:
    """Return an image that holds a number (0 to 65535) as 16 gray squares, so that it survives any codec.

    The squares stand in four rows from the top left, the highest bit first; `number_of` reads them.
    """
    bits = (number >> np.arange(15, -1, -1)) & 1
    cells = np.where(bits.reshape(4, 4) == 1, 208, 48)
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 4 // width
    return np.repeat(cells[rows][:, columns, None], 3, axis=2).astype(np.uint8)


def number_of(image: Image) -> int:
    """Return the number that an image of `numbered` holds."""
    height, width = image.shape[:2]
    rows, columns = (2 * np.arange(4) + 1) * height // 8, (2 * np.arange(4) + 1) * width // 8
    bits = image[rows][:, columns].mean(axis=2).ravel() > 128
    return int(sum(1 << (15 - k) for k in np.flatnonzero(bits)))


def corners(width: int = 160, height: int = 120) -> Image:
    """Return an image with red, green, blue and white quarters (clockwise from the top left)."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 220, 30)
    image[height // 2 :, width // 2 :] = (30, 30, 220)
    image[height // 2 :, : width // 2] = (230, 230, 230)
    return image


def numbered_video(
    path: Path | IO[bytes],
    count: int,
    *,
    rate: int | Fraction = 30,
    width: int = 160,
    height: int = 120,
    **options: Any,
) -> list[Fraction]:
    """Write a video of numbered images at a constant rate and return their times."""
    times = [k / Fraction(rate) for k in range(count)]
    images = ((numbered(k, width, height), time) for k, time in enumerate(times))
    write_video(path, images, rate=rate, **options)
    return times
