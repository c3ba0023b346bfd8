"""What is wrong with a recording, counted while it is read: clipping, silence, an offset, NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHORT_S", "Levels", "as_float"]

SHORT_S = 0.5
"""Shorter than this, no emotion can be heard."""

QUIET = 10 ** (-50 / 20)
"""A recording whose loudest sample is under -50 dB of full scale holds hardly more than the noise of its 16 bits."""

OFFSET = 0.02
"""A mean further from zero than 2 % of full scale is an offset of the recorder."""

FLAT, FLAT_SHARE = 0.98, 5e-4
"""Clipping: more than this share of samples at or over full scale, or in flat tops (three alike) this near to it."""


class Levels:
    """Count samples as they are decoded, before channels are mixed and the rate is changed."""

    def __init__(self) -> None:
        self.samples = self.values = self.flat = self.beyond = self.odd = 0
        self.peak = self.total = 0.0

    def see(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take float32 (channels, n); return it with what is no number replaced by 0."""
        self.samples += channels.shape[1]
        self.values += channels.size
        peak = _peak(channels)
        if not math.isfinite(peak):
            bad = ~np.isfinite(channels)
            self.odd += int(bad.sum())
            channels = np.where(bad, np.float32(0), channels)
            peak = _peak(channels)
        self.peak = max(self.peak, peak)
        self.total += float(channels.sum())  # of one frame: float32, added in pairs, is exact enough
        if peak >= FLAT:
            self._see_clipping(channels)
        return channels

    def _see_clipping(self, channels: NDArray[np.float32]) -> None:
        beyond = np.abs(channels) > 1
        self.beyond += int(beyond.sum())
        middle = channels[:, 1:-1]
        flat = (np.abs(middle) >= FLAT) & (middle == channels[:, :-2]) & (middle == channels[:, 2:])
        self.flat += int((flat & ~beyond[:, 1:-1]).sum())

    def warnings(self, duration_s: float) -> list[str]:
        """Return a sentence for everything that is not as it should be."""
        notes: list[str] = []
        if self.odd:
            notes.append(f"{self.odd:,} of {self.values:,} samples are NaN or infinite and were set to 0")
        if self.values and (self.flat + self.beyond) / self.values > FLAT_SHARE:
            share = 100 * (self.flat + self.beyond) / self.values
            notes.append(f"the sound is clipped: {share:.1f} % of the samples are at full scale or beyond")
        if self.values and self.peak == 0:
            notes.append("the sound is silent: all samples are 0")
        elif self.values and self.peak < QUIET:
            notes.append(f"the sound is nearly silent: its peak is {_db(self.peak):.0f} dB of full scale")
        mean = self.total / max(self.values, 1)
        if abs(mean) > OFFSET and duration_s >= SHORT_S:
            notes.append(f"the sound has an offset: its mean is {mean:+.3f} of full scale, not 0")
        if duration_s < SHORT_S:
            notes.append(f"the sound is very short: {1000 * duration_s:.0f} ms")
        return notes


def _peak(channels: NDArray[np.float32]) -> float:
    # Without an array of magnitudes; NaN comes through both.
    return max(float(channels.max(initial=0.0)), -float(channels.min(initial=0.0)))


def _db(value: float) -> float:
    return 20 * math.log10(value)


def as_float(values: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """Return decoded samples as float32 (channels, n), full scale at 1.

    Parameters
    ----------
    values : numpy.ndarray
        (channels, n), or interleaved (1, n * channels); integers of any width, or floats.
    channels : int
        How many.
    """
    if values.shape[0] != channels:
        values = values.reshape(-1, channels).T
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) * np.float32(1 / 128)
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32) * np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is counted as such
        return values.astype(np.float32, copy=False)
