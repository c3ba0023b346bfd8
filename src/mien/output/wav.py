"""A recording becomes a WAV file block by block, however long it is."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, MediaError
from mien.io.audio import LONGEST_GAP_S
from mien.output.write import made_beside

if TYPE_CHECKING:
    from mien.io.audio import AudioBlock

__all__ = ["Samples", "save_wav"]

Samples = Literal["int16", "float32"]
"""How samples are stored."""

_CHUNK_SAMPLES = 1 << 20
_MOST_BYTES = 0xFFFFFFFF
"""Lengths in a RIFF header have 32 bits; longer files become RF64."""


def save_wav(path: str | os.PathLike[str], blocks: Iterable[AudioBlock], *, samples: Samples = "int16") -> float:
    """Write a recording, or the sound of a video, as WAV: mono, at the rate of its blocks, whole or not at all.

    Gaps between blocks become silence, so that times stay true.  Files beyond 4 GB are RF64, which players of long
    recordings read.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.wav``.
    blocks : iterable of AudioBlock
        From `mien.io.audio.iter_audio`; read one by one.
    samples : {"int16", "float32"}
        16-bit integers, which hold what recorders give, or floats, which hold everything.

    Returns
    -------
    float
        Seconds that were written.

    Raises
    ------
    InputError
        If the name ends otherwise, or there is no block.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there, or the times jump by more than an hour; and what reading raises.

    References
    ----------
    EBU Tech 3306, "RF64: an extended file format for audio" (2009): a JUNK chunk of 28 bytes keeps the place of ds64.
    """
    target = Path(os.fsdecode(path))
    if target.suffix.lower() != ".wav":
        raise InputError(f"a recording is written as .wav, but the name is {target.name!a}")
    if samples not in ("int16", "float32"):
        raise InputError(f"samples must be 'int16' or 'float32', but got {samples!r}")
    count = rate_hz = 0
    with made_beside(target) as beside, beside.open("xb") as file:
        file.write(_header(0, 1, samples))
        for block in blocks:
            rate_hz = block.rate_hz
            gap_s = block.start_s - count / rate_hz
            if gap_s > LONGEST_GAP_S:
                raise MediaError(f"the audio file has damaged times: they jump by {gap_s:.0f} s")
            count += _write_zeros(file, round(gap_s * rate_hz), samples)
            file.write(_encoded(block.wave, samples))
            count += len(block.wave)
        if not rate_hz:
            raise InputError("a WAV file needs sound, but got none")
        file.seek(0)
        file.write(_header(count, rate_hz, samples))
    return count / rate_hz


def _encoded(wave: NDArray[np.float32], samples: Samples) -> bytes:
    if samples == "float32":
        return wave.astype("<f4").tobytes()
    # Full scale is 32768, as the decoders take it: what was read is written back bit by bit.
    return bytes(np.clip(np.rint(wave * np.float32(32768)), -32768, 32767).astype("<i2").tobytes())


def _write_zeros(file: IO[bytes], count: int, samples: Samples) -> int:
    for begin in range(0, count, _CHUNK_SAMPLES):
        file.write(bytes(min(_CHUNK_SAMPLES, count - begin) * np.dtype(samples).itemsize))
    return max(count, 0)


def _header(count: int, rate_hz: int, samples: Samples) -> bytes:
    width = np.dtype(samples).itemsize
    size = count * width
    kind = 3 if samples == "float32" else 1
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, 1, rate_hz, rate_hz * width, width, 8 * width)
    around = 4 + 36 + len(form) + 8
    if around + size <= _MOST_BYTES:
        head = struct.pack("<4sI4s4sI28x", b"RIFF", around + size, b"WAVE", b"JUNK", 28)
        return head + form + struct.pack("<4sI", b"data", size)
    head = struct.pack("<4sI4s4sIQQQI", b"RF64", _MOST_BYTES, b"WAVE", b"ds64", 28, around + size, size, count, 0)
    return head + form + struct.pack("<4sI", b"data", _MOST_BYTES)
