"""Recordings that the tests make themselves, with PyAV and by hand."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def sine(rate: int, seconds: float, *, hz: float = 440.0, level: float = 0.5) -> NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def wav(samples: NDArray[Any], rate: int, *, bits: int | None = None, declared: int | None = None) -> bytes:
    """Write a WAV by hand: (n,) or (n, channels); floats as IEEE, bytes as they are, ``bits`` 24 packs int32."""
    data = samples.astype("<" + samples.dtype.str[1:])
    width = bits or 8 * samples.dtype.itemsize
    raw = data.tobytes()
    if bits == 24:
        raw = np.ascontiguousarray(data).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    block = channels * width // 8
    kind = 3 if np.issubdtype(samples.dtype, np.floating) else 1
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, width)
    size = len(raw) if declared is None else declared
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(len(body) + size, 0xFFFFFFFF)) + body + raw


def encoded(
    wave: NDArray[np.float32],
    rate: int,
    container: str,
    codec: str,
    *,
    images: bool = False,
    start_s: float = 0.0,
    gap: tuple[float, float] | None = None,
    gaps: tuple[tuple[float, float], ...] = (),
    tracks: int = 1,
    bit_rate: int | None = None,
) -> bytes:
    """Encode a waveform; ``gap`` (at, length) and ``gaps`` leave holes in its times, ``start_s`` begins it late."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as target:
        video = None
        if images:
            video = target.add_stream("mpeg4", rate=10)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        options = {} if bit_rate is None else {"bit_rate": bit_rate}
        sounds = [target.add_stream(codec, rate=rate, layout="mono", **options) for _ in range(tracks)]
        if video is not None:
            for number in range(round(10 * (start_s + len(wave) / rate))):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 255, np.uint8), format="rgb24")
                frame.pts = number
                target.mux(video.encode(frame))
            target.mux(video.encode(None))
        for sound in sounds:
            frames = _frames(wave, rate, sound.codec_context, start_s, [*gaps, *([gap] if gap else [])])
            for frame in frames:
                target.mux(sound.encode(frame))
            target.mux(sound.encode(None))
    return stream.getvalue()


def silent_video() -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as target:
        video = target.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        for _ in range(10):
            target.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        target.mux(video.encode(None))
    return stream.getvalue()


def _frames(wave: NDArray[np.float32], rate: int, context: Any, start_s: float, gaps: Any) -> Any:
    size = context.frame_size or 1024
    convert = av.AudioResampler(format=context.format, layout="mono", rate=rate)
    for begin in range(0, len(wave), size):
        frame = av.AudioFrame.from_ndarray(wave[None, begin : begin + size], format="fltp", layout="mono")
        frame.sample_rate = rate
        shift = start_s + sum(length for at_s, length in gaps if begin >= at_s * rate)
        for made in convert.resample(frame):
            made.pts, made.time_base = begin + round(shift * rate), Fraction(1, rate)
            yield made
