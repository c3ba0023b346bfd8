"""What a telephone line and a room do to a recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, check_wave
from mien.io.resample import resample

__all__ = ["ROOM_S", "reverberate", "telephone"]

Wave = NDArray[np.float32]

ROOM_S = 0.8
"""Reverberation time of a large living room or a small hall, in which models are measured."""

_LINE_HZ = 8000
_MU = 255
_EDGE_HZ = 50.0


def telephone(wave: Wave, *, rate_hz: int, low_hz: float = 300.0, high_hz: float = 3400.0) -> Wave:
    """Return a recording as a telephone line carries it: a narrow band, sampled at 8 kHz in eight bits by the mu-law.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, in [-1, 1].
    rate_hz : int
        Samples per second.
    low_hz, high_hz : float
        The band, by default that of ITU-T G.712.

    Returns
    -------
    numpy.ndarray
        float32 (n,).

    Raises
    ------
    InputError
        If the waveform is none, or a number out of range.

    References
    ----------
    ITU-T Recommendation G.711 (mu = 255), in its continuous form.
    """
    checked = check_wave(wave)
    check_integer(rate_hz, "rate_hz", low=1000, high=384_000)
    check_number(low_hz, "low_hz", low=0, high=high_hz)
    check_number(high_hz, "high_hz", low=low_hz, high=_LINE_HZ / 2)
    if not len(checked):
        return checked.copy()
    line = resample(checked, rate_hz, _LINE_HZ)
    spectrum = np.fft.rfft(line)
    hertz = np.fft.rfftfreq(len(line), 1 / _LINE_HZ)
    # Edges of 50 Hz, so that they do not ring.
    spectrum *= np.clip((hertz - low_hz) / _EDGE_HZ + 1, 0, 1) * np.clip((high_hz - hertz) / _EDGE_HZ + 1, 0, 1)
    band = np.clip(np.fft.irfft(spectrum, len(line)), -1, 1)
    level = np.sign(band) * np.log1p(_MU * np.abs(band)) / np.log1p(_MU)
    coded = (np.floor(level * 128).clip(-128, 127) + 0.5) / 128
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(_MU)) / _MU
    return _fit(resample(decoded.astype(np.float32), _LINE_HZ, rate_hz), len(checked))


def reverberate(wave: Wave, *, rate_hz: int, decay_s: float = ROOM_S, generator: np.random.Generator) -> Wave:
    """Return a recording as it sounds in a room, from where direct and reflected sound are equally strong.

    The room is exponentially decaying noise behind the direct sound (Polack's model; see Jot, Cerveau and Warusfel
    1997, "Analysis and synthesis of room reverberation based on a statistical time-frequency model", AES 103).

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono.
    rate_hz : int
        Samples per second.
    decay_s : float
        Time in which the reverberation falls by 60 dB, 0.05 to 5 s.
    generator : numpy.random.Generator
        Source of the reflections.

    Returns
    -------
    numpy.ndarray
        float32 (n,), as loud as before: what would ring on behind the end is left out.

    Raises
    ------
    InputError
        If the waveform is none, or a number out of range.
    """
    checked = check_wave(wave)
    check_integer(rate_hz, "rate_hz", low=1000, high=384_000)
    check_number(decay_s, "decay_s", low=0.05, high=5)
    if not len(checked):
        return checked.copy()
    length = round(decay_s * rate_hz)
    room = generator.standard_normal(length) * np.power(10.0, -3 * np.arange(length) / length)
    room[0] = 0.0
    room /= np.sqrt(np.square(room).sum())
    room[0] = 1.0
    size = 1 << (len(checked) + length - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(checked, size) * np.fft.rfft(room, size), size)[: len(checked)]
    power = float(np.square(wet).mean())
    gain = np.sqrt(float(np.square(checked, dtype=np.float64).mean()) / power) if power > 0 else 0.0
    return np.clip(wet * gain, -1, 1).astype(np.float32)


def _fit(wave: Wave, length: int) -> Wave:
    return np.pad(wave, (0, max(length - len(wave), 0)))[:length]
