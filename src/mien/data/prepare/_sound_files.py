"""Recordings become files: mono, 16 bit."""

from __future__ import annotations

import io
import wave as wave_files

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORMATS", "encode"]

FORMATS = ("flac", "wav")

_BLOCK = 4096
"""Samples in a block of FLAC."""


def encode(wave: NDArray[np.float32], rate_hz: int, file_format: str) -> bytes:
    """Return a recording as a file.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, finite.  Louder than full scale, it is made quieter as a whole, not clipped.
    rate_hz : int
        Sampling rate.
    file_format : {"flac", "wav"}
        Without loss, but for the rounding to 16 bits.

    Returns
    -------
    bytes
        The file.
    """
    peak = float(np.abs(wave).max(initial=0))
    # A full scale of 32768 gives 16-bit recordings back bit by bit; only +1 itself has to give way by one step.
    scaled = np.rint(wave * np.float32(32768 / max(peak, 1.0)))
    samples = np.clip(scaled, -32768, 32767).astype("<i2")
    return _flac(samples, rate_hz) if file_format == "flac" else _wav(samples, rate_hz)


def _wav(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    stream = io.BytesIO()
    with wave_files.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return stream.getvalue()


def _flac(samples: NDArray[np.int16], rate_hz: int) -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="flac") as container:
        track = container.add_stream("flac", rate=rate_hz, layout="mono", format="s16")
        for begin in range(0, len(samples), _BLOCK):
            block = np.ascontiguousarray(samples[None, begin : begin + _BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, begin
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return stream.getvalue()
