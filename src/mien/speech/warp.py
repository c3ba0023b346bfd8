"""Changed copies of a recording: another speed, another pitch, noise.

For augmentation of clips of seconds: the whole clip is worked on at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError

__all__ = ["add_noise", "pitch_shift", "time_stretch"]

Wave = NDArray[np.float32]

_WINDOW_S = 0.032
"""Length of the pieces: two periods of a voice of 63 Hz."""

_SEARCH_S = 0.008
"""How far a piece may be moved to fit its neighbor: half a period of that voice."""

_MARGIN = 4096
"""Samples of silence around what is resampled as a whole, so that its ends do not ring into each other."""


def time_stretch(wave: Wave, factor: float, *, rate_hz: int = 16000) -> Wave:
    """Return a recording played faster or slower at the same pitch.

    Pieces of the recording overlap by half; each is taken from where it should be, moved by up to 8 ms to where it best
    continues the piece before it.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono.
    factor : float
        Speed, 0.25 to 4: 0.81 is slower and longer, 1.07 faster and shorter, as in librosa and in the reference on
        augmentation.
    rate_hz : int
        Sampling rate.

    Returns
    -------
    numpy.ndarray
        float32 of shape (round(n / factor),).

    Raises
    ------
    InputError
        If the waveform is none, or a number out of range.

    References
    ----------
    Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA)", ICASSP 1993.
    Salamon and Bello, "Deep convolutional neural networks and data augmentation for environmental sound
    classification", IEEE Signal Processing Letters 24 (2017), arXiv:1608.04363: speeds of 0.81 and 1.07.
    """
    checked = _wave(wave)
    speed = check_number(factor, "factor", low=0.25, high=4)
    rate = check_integer(rate_hz, "rate_hz", low=1000, high=384_000)
    if speed == 1:
        return checked.copy()
    half = max(round(_WINDOW_S * rate / 2), 8)
    return _overlapped(checked, speed, half, max(round(_SEARCH_S * rate), 4))


def _overlapped(wave: Wave, speed: float, half: int, search: int) -> Wave:
    """Return the recording put together of pieces of ``2 * half`` samples, each moved by up to ``search``."""
    length = max(round(len(wave) / speed), 1)
    pieces = -(-length // half) + 1
    # Piece i is centered on sample i * half of the result, and on that times the speed of the recording.
    before = half + search
    padded = np.pad(wave, (before, before + 3 * half + round(half * speed)))
    taper = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * half) / half)).astype(np.float32)
    result = np.zeros((pieces + 1) * half, dtype=np.float32)
    last = len(padded) - 2 * half - search
    begin = search
    for i in range(pieces):
        if i:
            wanted = min(search + round(i * half * speed), last)
            template = padded[begin + half : begin + 3 * half]
            begin = wanted + _best_move(padded[wanted - search : wanted + search + 2 * half], template)
        result[i * half : (i + 2) * half] += taper * padded[begin : begin + 2 * half]
    # Centers lie half a piece behind beginnings.
    return result[half : half + length]


def _best_move(region: Wave, template: Wave) -> int:
    """Return by how much the middle of the region is moved to where it is most alike the template."""
    search = (len(region) - len(template)) // 2
    likeness = np.correlate(region, template, mode="valid")
    sums = np.concatenate([[0.0], np.cumsum(np.square(region, dtype=np.float64))])
    energy = sums[len(template) :] - sums[: -len(template)]
    # The floor keeps pieces of silence from being told apart by rounding.
    score = likeness / np.sqrt(np.maximum(energy, 1e-6))
    return int(score.argmax()) - search if score.max() > 1e-6 else 0


def pitch_shift(wave: Wave, semitones: float, *, rate_hz: int = 16000) -> Wave:
    """Return a recording of the same length at another pitch; formants move with it.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono.
    semitones : float
        -24 to 24: 12 to the octave, upwards positive.
    rate_hz : int
        Sampling rate.

    Returns
    -------
    numpy.ndarray
        float32 of shape (n,): the recording stretched by `time_stretch`, then resampled (a Fourier transform cut or
        extended), so what would lie above half the rate is gone.

    Raises
    ------
    InputError
        If the waveform is none, or a number out of range.
    """
    checked = _wave(wave)
    ratio = 2 ** (check_number(semitones, "semitones", low=-24, high=24) / 12)
    if ratio == 1:
        return checked.copy()
    stretched = time_stretch(checked, 1 / ratio, rate_hz=rate_hz)
    margin = round(_MARGIN * ratio)
    long = np.pad(stretched, margin)
    length = len(checked) + 2 * _MARGIN
    spectrum = np.fft.rfft(long)[: length // 2 + 1]
    resampled = np.fft.irfft(spectrum, length) * (length / len(long))
    return resampled[_MARGIN : _MARGIN + len(checked)].astype(np.float32)


def add_noise(wave: Wave, amount: float, rng: np.random.Generator) -> Wave:
    """Return a recording with white noise.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,), mono.
    amount : float
        Standard deviation of the noise, 0 to 1, as a part of the recording's largest magnitude: the same as noise of
        that amplitude on the recording scaled to full scale.
    rng : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    numpy.ndarray
        float32 of shape (n,).

    Raises
    ------
    InputError
        If the waveform is none, or the amount out of range.
    """
    checked = _wave(wave)
    scale = np.float32(check_number(amount, "amount", low=0, high=1) * float(np.abs(checked).max()))
    return checked + scale * rng.standard_normal(len(checked), dtype=np.float32)


def _wave(wave: Wave) -> Wave:
    array = np.asarray(wave)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"wave must be float32 of shape (n,), not empty, but got {describe(array)}")
    if not np.isfinite(array).all():
        raise InputError("wave must be finite, but holds NaN or infinity")
    return array.astype(np.float32, copy=False)
