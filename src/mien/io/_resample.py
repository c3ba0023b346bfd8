"""Change of the sampling rate, block by block, by a bank of windowed sines and matrix products.

libswresample's default filter lets the band next to half the rate alias; this one is as clean as soxr's "HQ", has no
delay, and gives the same whatever the block sizes.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["PASS_BAND", "Resampler"]

Wave = NDArray[np.float32]

PASS_BAND = 0.91
"""Flat up to this part of half the lower rate, and nothing from there on folds back: soxr's HQ has 0.913."""

_ATTENUATION_DB = 100.0

_TOGETHER = 32
"""Outputs of one row of a matrix product: they share one stretch of input, a little longer than a single one needs."""

_MAX_ROWS = 512
"""Rows of one product: bounds the working memory."""


@lru_cache(maxsize=4)
def _bank(source_hz: int, target_hz: int) -> tuple[int, tuple[tuple[int, int, NDArray[np.float32]], ...], int]:
    """Return (input samples of one period, groups of outputs in it, input samples that an output looks back).

    A group is (its first output, its first input sample, float32 matrix (input samples, outputs)).

    References
    ----------
    Kaiser's window and its length for an attenuation: Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3.
    """
    shared = math.gcd(source_hz, target_hz)
    up, down = target_hz // shared, source_hz // shared
    repeat = max(1, _TOGETHER // up)
    up, down = up * repeat, down * repeat
    # In samples of the input; the filter's edge lies in the middle of the transition.
    scale = min(1.0, up / down)
    width = (1 - PASS_BAND) * math.pi * scale
    half = math.ceil((_ATTENUATION_DB - 7.95) / (2.285 * width) / 2)
    edge = (1 + PASS_BAND) / 2 * scale
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)
    groups = []
    for first in range(0, up, _TOGETHER):
        numbers = np.arange(first, min(first + _TOGETHER, up))
        begin, end = first * down // up - half, int(numbers[-1]) * down // up + half + 2
        distance = np.arange(begin, end)[:, None] - numbers * (down / up)
        inside = np.clip(1 - (distance / (half + 1)) ** 2, 0, None)
        taps = edge * np.sinc(edge * distance) * np.i0(beta * np.sqrt(inside)) / np.i0(beta)
        taps[inside <= 0] = 0
        groups.append((first, begin, (taps / taps.sum(axis=0)).astype(np.float32)))
    return down, tuple(groups), half


class Resampler:
    """Bring a waveform that comes in blocks to another sampling rate.

    Sample k of all that comes out lies at k / ``target_hz`` seconds after the first that went in.

    Parameters
    ----------
    source_hz, target_hz : int
        The rates.
    """

    def __init__(self, source_hz: int, target_hz: int) -> None:
        self._same = source_hz == target_hz
        self._ratio = target_hz, source_hz
        self._came = self._gave = 0
        if self._same:
            return
        self._period, self._groups, half = _bank(source_hz, target_hz)
        self._outputs = sum(matrix.shape[1] for _, _, matrix in self._groups)
        # What an output looks back to lies before the waveform: silence.
        self._before = half
        self._after = max(begin + len(matrix) for _, begin, matrix in self._groups)
        self._kept: Wave = np.zeros(half, np.float32)

    def push(self, wave: Wave) -> Wave:
        """Take a block of float32 samples, return those that are settled by it."""
        if self._same:
            return wave
        self._came += len(wave)
        self._kept = np.concatenate([self._kept, wave])
        return self._settled()

    def flush(self) -> Wave:
        """Return what is left: in all, as many samples as the duration holds (rounded up)."""
        if self._same:
            return np.zeros(0, np.float32)
        target, source = self._ratio
        missing = -(-self._came * target // source) - self._gave
        self._kept = np.concatenate([self._kept, np.zeros(self._after + self._period, np.float32)])
        wave = self._settled()
        while len(wave) < missing:
            self._kept = np.concatenate([self._kept, np.zeros(self._after + self._period, np.float32)])
            wave = np.concatenate([wave, self._settled()])
        return wave[:missing]

    def _settled(self) -> Wave:
        periods = max(0, (len(self._kept) - self._before - self._after) // self._period + 1)
        made = np.empty((periods, self._outputs), np.float32)
        for top in range(0, periods, _MAX_ROWS):
            rows = min(_MAX_ROWS, periods - top)
            for first, begin, matrix in self._groups:
                at = top * self._period + begin + self._before
                stretch = self._kept[at : at + (rows - 1) * self._period + len(matrix)]
                windows = np.lib.stride_tricks.sliding_window_view(stretch, len(matrix))[:: self._period]
                made[top : top + rows, first : first + matrix.shape[1]] = windows @ matrix
        self._kept = self._kept[periods * self._period :]
        self._gave += made.size
        return made.reshape(-1)
