"""How far speech is above the noise around it, in the band in which voices have their power.

The level of a recording changes from frame to frame; where nobody speaks, and in the gaps between words, noise alone is
left.  So the level below which a fifth of the frames around a stretch of speech stay is that of the noise, and what the
mean power of the stretch has above that is the speech.  This needs neither the clean speech nor a model of it.

Powers are those of `BAND_HZ`: hiss above the voice hides less of it than its power says, and rumble below it nothing.
Noise that is steady (white, hum, traffic) is measured to about 1 dB down to 0 dB; voices in the background have gaps of
their own and are taken for 1 to 3 dB weaker than they are.

References
----------
Martin, Noise power spectral density estimation based on optimal smoothing and minimum statistics, IEEE Transactions on
Speech and Audio Processing 9 (2001): the floor of smoothed powers over a second or more is the noise.
Byrne et al., An international comparison of long-term average speech spectra, JASA 96 (1994): the band.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, check_wave
from mien.errors import InputError

__all__ = ["BAND_HZ", "HIGHEST_DB", "LOWEST_DB", "SnrMeter", "snr_db"]

Wave = NDArray[np.float32]

BAND_HZ = (100.0, 1500.0)
"""Where speech of both sexes has nearly all of its power (Byrne et al. 1994)."""

FRAME_S = 0.02
"""Powers are taken over so long: no longer than a soft consonant, no shorter than a period of the deepest voice."""

SMOOTH_FRAMES = 3
"""Powers are averaged over so many frames: 60 ms, within the gaps between words."""

FLOOR_SHARE = 0.2
"""So many of the frames are noise alone: people who speak pause for a fifth of the time and more.  Speech that is cut
out without any pause is taken for much noisier than it is."""

FLOOR_OF_WHITE = 0.87
"""The floor of white noise in units of its mean, by these constants: the share is no mean (20,000 frames drawn)."""

AROUND_S = 5.0
"""So much before and after the speech is looked at, too, as far as it is there: noise changes."""

KEPT_S = 120.0
"""So much is kept of what came in: bounds the memory to 6000 numbers."""

_TOGETHER = 4096
"""Frames of one transform: bounds the memory."""

LOWEST_DB, HIGHEST_DB = -20.0, 60.0
"""Bounds: below the first nothing is left to hear; above the second a studio or a digital silence is measured."""


class SnrMeter:
    """Measure the signal-to-noise ratio of speech while sound comes in.

    Parameters
    ----------
    rate_hz : int
        Samples per second.

    Raises
    ------
    InputError
        If the rate makes no sense.
    """

    def __init__(self, rate_hz: int) -> None:
        self._frame = max(1, round(FRAME_S * check_integer(rate_hz, "rate_hz", low=1000, high=384_000)))
        self._frame_s = self._frame / rate_hz
        hertz = np.fft.rfftfreq(self._frame, 1 / rate_hz)
        self._band = (hertz >= BAND_HZ[0]) & (hertz <= BAND_HZ[1])
        self._window = np.hanning(self._frame)
        self._rest = np.zeros(0, np.float32)
        self._powers: deque[float] = deque(maxlen=round(KEPT_S / FRAME_S))
        self._count = 0

    def push(self, wave: Wave) -> None:
        """Take a block of any length.

        Parameters
        ----------
        wave : numpy.ndarray
            float32 (n,), follows what came before without a gap.

        Raises
        ------
        InputError
            If the block is no waveform.
        """
        joined = np.concatenate([self._rest, check_wave(wave)])
        count = len(joined) // self._frame
        frames = joined[: count * self._frame].reshape(count, self._frame).astype(np.float64)
        for top in range(0, count, _TOGETHER):
            some = frames[top : top + _TOGETHER]
            # Around its mean: a constant offset is no sound, but would leak into the band.
            bins = np.fft.rfft((some - some.mean(axis=1, keepdims=True)) * self._window, axis=1)[:, self._band]
            self._powers.extend((bins.real**2 + bins.imag**2).sum(axis=1).tolist())
        self._count += count
        self._rest = joined[count * self._frame :].copy()

    def snr_db(self, begin_s: float, end_s: float) -> float | None:
        """Return the ratio for a stretch of speech.

        Parameters
        ----------
        begin_s, end_s : float
            The stretch, in seconds from the beginning of what came in.  Only its last `KEPT_S` are looked at.

        Returns
        -------
        float or None
            In decibels, from `LOWEST_DB` to `HIGHEST_DB`; None where less than two tenths of a second of the stretch
            are there, or it is digital silence.

        Raises
        ------
        InputError
            If the stretch has no length.
        """
        begin, end = (check_number(value, name, low=0) for value, name in ((begin_s, "begin_s"), (end_s, "end_s")))
        if not end > begin:
            raise InputError(f"a stretch must have begin_s < end_s, but got {begin:g} to {end:g}")
        powers = np.array(self._powers)
        first = self._count - len(powers)

        def place(time_s: float) -> int:
            return min(max(round(time_s / self._frame_s) - first, 0), len(powers))

        speech = powers[place(begin) : place(end)]
        around = powers[place(max(begin - AROUND_S, 0)) : place(end + AROUND_S)]
        if len(speech) * self._frame_s < 0.2 - 1e-9 or not speech.any():
            return None
        smoothed = np.convolve(around, np.full(SMOOTH_FRAMES, 1 / SMOOTH_FRAMES), mode="valid")
        noise = float(np.quantile(smoothed, FLOOR_SHARE)) / FLOOR_OF_WHITE
        total = float(speech.mean())
        if noise <= 0:
            return HIGHEST_DB
        ratio = max(total - noise, 0.0) / noise
        return min(max(10 * math.log10(ratio), LOWEST_DB), HIGHEST_DB) if ratio > 0 else LOWEST_DB


def snr_db(wave: Wave, *, rate_hz: int, begin_s: float = 0.0, end_s: float | None = None) -> float | None:
    """Return how far the speech of a recording is above its noise.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono, in [-1, 1].
    rate_hz : int
        Samples per second.
    begin_s, end_s : float
        Where the speech is, such as `mien.speech.activity.speech_bounds` finds; by default everywhere.  What is around
        it helps to know the noise.

    Returns
    -------
    float or None
        See `SnrMeter.snr_db`.

    Raises
    ------
    InputError
        If an argument makes no sense.
    """
    meter = SnrMeter(rate_hz)
    meter.push(wave)
    length_s = len(wave) / rate_hz
    end = length_s if end_s is None else end_s
    return meter.snr_db(begin_s, end) if end > begin_s or end_s is not None else None
