"""Spectrograms of a waveform: short-time Fourier transform, log-mel energies, cepstral coefficients.

This is the numpy reference; the front ends inside the speech nets share its constants (`Settings`, `mel_matrix`,
`window`) and must agree with it to 1e-4.  Conventions are librosa's: periodic Hann window, frames centered on multiples
of the hop with zeros beyond the ends, Slaney's mel scale with filters of equal area unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError

__all__ = [
    "MEL_CNN",
    "Settings",
    "centered",
    "decibels",
    "log_mel",
    "mel_matrix",
    "mfcc",
    "peak_normalized",
    "stft_db",
    "window",
]

Wave = NDArray[np.float32]

AMIN = 1e-10
"""Smallest power that differs from silence, -100 dB (librosa's ``power_to_db``)."""

_MOST_ENERGY = 1e30
"""Sum of squares up to which no power spectrum overflows float32."""

_BLOCK_SAMPLES = 1 << 18
"""Samples transformed at once: what is worked on stays in the processor's cache, however long the waveform."""

_BANDS_TOGETHER = 8
"""Mel bands of one matrix product: neighbors share most of their bins, and all other bins are left out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a waveform becomes a spectrogram.

    Parameters
    ----------
    rate_hz : int
        Sampling rate of the waveform.
    n_fft : int
        Length of the transform in samples; also of the window.
    hop : int
        Samples from frame to frame.
    mels : int
        Number of mel bands.
    low_hz, high_hz : float
        Range of the mel bands; ``high_hz`` of 0 stands for half the rate.
    scale : {"slaney", "htk"}
        Mel scale: linear below 1 kHz and logarithmic above (Slaney 1998, Auditory Toolbox), or logarithmic throughout
        (Young et al., The HTK Book).
    top_db : float or None
        Values lie at most this far under the largest; None leaves them.
    """

    rate_hz: int = 16000
    n_fft: int = 512
    hop: int = 160
    mels: int = 80
    low_hz: float = 0.0
    high_hz: float = 0.0
    scale: str = "slaney"
    top_db: float | None = None

    def __post_init__(self) -> None:
        check_integer(self.rate_hz, "rate_hz", low=1000, high=384_000)
        check_integer(self.n_fft, "n_fft", low=16, high=1 << 16)
        check_integer(self.hop, "hop", low=1, high=self.n_fft)
        check_integer(self.mels, "mels", low=1, high=1024)
        if self.n_fft % 2:
            raise InputError(f"n_fft must be even, but got {self.n_fft}")
        if self.scale not in ("slaney", "htk"):
            raise InputError(f"scale must be slaney or htk, but got {self.scale!r}")
        if not 0 <= self.low_hz < self.top_hz <= self.rate_hz / 2:
            raise InputError(
                f"bands must lie within 0..{self.rate_hz / 2:g} Hz, but got {self.low_hz:g}..{self.top_hz:g}"
            )

    @property
    def top_hz(self) -> float:
        """Upper end of the mel bands."""
        return self.high_hz or self.rate_hz / 2


MEL_CNN = Settings(rate_hz=22050, n_fft=2048, hop=512, mels=40, top_db=80.0)
"""The settings of the network `mel_cnn` (librosa's defaults with 40 bands); see `centered` for its 272 frames."""

MEL_CNN_FRAMES = 272
"""Frames to which every clip of `mel_cnn` is padded: 6.3 s."""


@lru_cache(maxsize=8)
def window(n_fft: int) -> NDArray[np.float32]:
    """Return the periodic Hann window, float32 of shape (n_fft,)."""
    made = _taper(n_fft).astype(np.float32)
    made.flags.writeable = False
    return made


@lru_cache(maxsize=8)
def _taper(n_fft: int) -> NDArray[np.float64]:
    # In double precision: the rounding of a loud vowel must not reach the weak bands 60 dB below it.
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


@lru_cache(maxsize=8)
def mel_matrix(settings: Settings) -> NDArray[np.float32]:
    """Return triangular mel filters of equal area.

    Parameters
    ----------
    settings : Settings
        Rate, transform and bands.

    Returns
    -------
    numpy.ndarray
        float32 of shape (mels, n_fft / 2 + 1).

    References
    ----------
    Slaney, "Auditory Toolbox", Interval Research 1998-010; as in librosa's ``filters.mel`` (ISC license).
    """
    low, high = _mels(np.array([settings.low_hz, settings.top_hz]), settings.scale).tolist()
    edges = _hertz(np.linspace(low, high, settings.mels + 2), settings.scale)
    bins = np.linspace(0, settings.rate_hz / 2, settings.n_fft // 2 + 1)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    made = filters.astype(np.float32)
    made.flags.writeable = False
    return made


# Slaney's scale: 200/3 Hz a mel up to 1 kHz (15 mels), then 27 mels for each factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27


def _mels(hertz: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hertz / 700))
    knee = _KNEE_HZ / _LINEAR_HZ
    above = knee + np.log(np.maximum(hertz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hertz < _KNEE_HZ, hertz / _LINEAR_HZ, above)


def _hertz(mels: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mels / 2595) - 1))
    knee = _KNEE_HZ / _LINEAR_HZ
    return np.where(mels < knee, mels * _LINEAR_HZ, _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mels, knee) - knee)))


@lru_cache(maxsize=8)
def _packed_filters(settings: Settings) -> tuple[tuple[slice, slice, NDArray[np.float32]], ...]:
    """Return the mel filters for spectra as OpenCV packs them: (bands, packed bins, matrix (packed bins, bands)).

    A packed spectrum is Re 0, Re 1, Im 1, ..., Re n/2: each filter value stands twice, so that the product also adds
    the squares of the two parts.
    """
    packed = np.repeat(mel_matrix(settings), 2, axis=1)[:, 1:-1]
    groups = []
    for first in range(0, settings.mels, _BANDS_TOGETHER):
        bands = slice(first, min(first + _BANDS_TOGETHER, settings.mels))
        used = np.flatnonzero(packed[bands].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        groups.append((bands, bins, np.ascontiguousarray(packed[bands, bins].T)))
    return tuple(groups)


def _tapered(wave: Wave, settings: Settings) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield (which frames, those frames times the window), block by block; the array is used again for the next."""
    n, hop = settings.n_fft, settings.hop
    total = 1 + len(wave) // hop
    block = max(1, min(_BLOCK_SAMPLES // n, total))
    taper = _taper(n)
    stretch = np.empty((block - 1) * hop + n, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(stretch, n)[::hop]
    tapered = np.empty((block, n))
    for first in range(0, total, block):
        begin = first * hop - n // 2
        inside = wave[max(begin, 0) : max(begin + len(stretch), 0)]
        before = max(-begin, 0)
        stretch[:before] = 0
        stretch[before : before + len(inside)] = inside
        stretch[before + len(inside) :] = 0
        count = min(block, total - first)
        part = tapered[:count]
        part[:] = frames[:count]
        part *= taper
        yield slice(first, first + count), part


def _power(wave: Wave, settings: Settings) -> NDArray[np.float32]:
    """Return the power spectrum, float32 (frames, n_fft / 2 + 1)."""
    power = np.empty((1 + len(wave) // settings.hop, settings.n_fft // 2 + 1), np.float32)
    for frames, tapered in _tapered(wave, settings):
        spectra = np.fft.rfft(tapered)
        power[frames] = spectra.real**2 + spectra.imag**2
    return power


def _squares(wave: Wave, settings: Settings) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (which frames, their squared spectra as OpenCV packs them); the array is used again for the next."""
    squares: NDArray[np.float32] | None = None
    for frames, tapered in _tapered(wave, settings):
        if squares is None:
            squares = np.empty(tapered.shape, np.float32)
        cv2.dft(tapered, tapered, flags=cv2.DFT_ROWS)
        part = squares[: len(tapered)]
        part[:] = tapered
        yield frames, np.multiply(part, part, out=part)


def decibels(power: NDArray[np.float32], *, reference: float = 1.0, top_db: float | None = None) -> NDArray[np.float32]:
    """Return 10 log10(power / reference), no lower than `AMIN`, and within ``top_db`` of the largest.

    Parameters
    ----------
    power : numpy.ndarray
        float32 of any shape, not negative.
    reference : float
        Power of 0 dB.
    top_db : float or None
        See `Settings`.
    """
    return _in_place(np.array(power, np.float32), reference, top_db)


def _in_place(result: NDArray[np.float32], reference: float, top_db: float | None) -> NDArray[np.float32]:
    """Turn power into dB without another array, whose fresh pages would cost as much as the logarithms."""
    np.maximum(result, np.float32(AMIN), out=result)
    np.log(result, out=result)  # in float32 half the time of log10
    result *= np.float32(10 / np.log(10))
    if reference != 1:
        result -= np.float32(10 * np.log10(max(reference, AMIN)))
    if top_db is not None and result.size:
        np.maximum(result, result.max() - np.float32(top_db), out=result)
    return result


def stft_db(wave: Wave, settings: Settings) -> NDArray[np.float32]:
    """Return the power spectrum in dB.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,) at ``settings.rate_hz``.
    settings : Settings
        Transform.

    Returns
    -------
    numpy.ndarray
        float32 of shape (n_fft / 2 + 1, 1 + n // hop), in dB of full scale.

    Raises
    ------
    InputError
        If the waveform is none.
    """
    return _in_place(_power(_wave(wave), settings), 1.0, settings.top_db).T


def log_mel(wave: Wave, settings: Settings) -> NDArray[np.float32]:
    """Return mel energies in dB.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,) at ``settings.rate_hz``.
    settings : Settings
        Transform and bands.

    Returns
    -------
    numpy.ndarray
        float32 of shape (mels, 1 + n // hop).

    Raises
    ------
    InputError
        If the waveform is none.
    """
    checked = _wave(wave)
    energies = np.empty((1 + len(checked) // settings.hop, settings.mels), np.float32)
    for frames, squares in _squares(checked, settings):
        for bands, bins, filters in _packed_filters(settings):
            np.matmul(squares[:, bins], filters, out=energies[frames, bands])
    return _in_place(energies, 1.0, settings.top_db).T


def mfcc(wave: Wave, settings: Settings, *, n: int = 20) -> NDArray[np.float32]:
    """Return mel-frequency cepstral coefficients: the orthonormal cosine transform (type II) of `log_mel`.

    Parameters
    ----------
    wave : numpy.ndarray
        float32 (n,) at ``settings.rate_hz``.
    settings : Settings
        Transform and bands.
    n : int
        Number of coefficients, at most ``settings.mels``.

    Returns
    -------
    numpy.ndarray
        float32 of shape (n, frames).

    Raises
    ------
    InputError
        If the waveform is none, or ``n`` too large.

    References
    ----------
    Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", IEEE ASSP 28
    (1980).
    """
    count = check_integer(n, "n", low=1, high=settings.mels)
    coefficients: NDArray[np.float32] = _cosines(count, settings.mels) @ log_mel(wave, settings)
    return coefficients


@lru_cache(maxsize=8)
def _cosines(n: int, mels: int) -> NDArray[np.float32]:
    k, m = np.arange(n)[:, None], np.arange(mels)[None]
    basis = np.cos(np.pi * k * (2 * m + 1) / (2 * mels)) * np.sqrt(2 / mels)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


def peak_normalized(wave: Wave) -> Wave:
    """Return a waveform scaled to a largest magnitude of 1; silence stays silence."""
    checked = _wave(wave)
    peak = float(np.abs(checked).max(initial=0))
    return checked / np.float32(peak) if peak > 0 else checked


def centered(spectrogram: NDArray[np.float32], frames: int, *, fill: float | None = None) -> NDArray[np.float32]:
    """Return a spectrogram of a fixed number of frames: padded on both sides, or cut in the middle.

    Parameters
    ----------
    spectrogram : numpy.ndarray
        float32 of shape (bands, m).
    frames : int
        Frames of the result.
    fill : float, optional
        Value of the padding; by default the smallest of the spectrogram.

    Returns
    -------
    numpy.ndarray
        float32 of shape (bands, frames); of an odd number of missing frames, one more is added behind.
    """
    count = check_integer(frames, "frames", low=1)
    have = spectrogram.shape[1]
    if have >= count:
        begin = (have - count) // 2
        return spectrogram[:, begin : begin + count]
    level = check_number(fill, "fill") if fill is not None else float(spectrogram.min()) if spectrogram.size else 0.0
    before = (count - have) // 2
    return np.pad(spectrogram, ((0, 0), (before, count - have - before)), constant_values=level)


def _wave(wave: Wave) -> Wave:
    array = np.asarray(wave)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"wave must be float32 of shape (n,), not empty, but got {describe(array)}")
    with np.errstate(over="ignore", invalid="ignore"):
        energy = float(np.dot(array, array))  # one pass tells both faults
    if not energy < _MOST_ENERGY:
        peak = float(np.abs(array).max())
        if not np.isfinite(peak):
            raise InputError("wave must be finite, but holds NaN or infinity")
        raise InputError(f"wave must lie within [-1, 1], but its largest magnitude is {peak:.3g}")
    return array.astype(np.float32, copy=False)
