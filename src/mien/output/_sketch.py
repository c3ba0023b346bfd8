"""A recording of any length, small enough to draw: gathered block by block in constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError
from mien.speech.features import Settings, decibels, log_mel

if TYPE_CHECKING:
    from mien.io.audio import AudioBlock

__all__ = ["COLUMNS", "Sketch", "sketch"]

Wave = NDArray[np.float32]

COLUMNS = 4096
"""Where there would be more columns than this, neighbors are merged: always more than a chart has pixels."""

_WINDOW_S, _STEP_S = 0.032, 0.01
"""Frames of the spectrogram, as speech nets see them."""

_TOP_HZ = 8000.0
"""Speech has little above; a higher top would leave a good part of the image dark."""

_LEAST_RATE_HZ = 4000
"""Below, mel bands would be narrower than the bins of the transform."""


class Sketch:
    """The outline and the spectrogram of a recording, each with at most `COLUMNS` columns.

    Where a column has to stand for more sound, two neighbors become one: of the outline the smallest and the largest
    sample stay, so that no peak is lost, and of the spectrogram the mean power.  What comes out does not depend on the
    size of the blocks.

    Parameters
    ----------
    rate_hz : int
        Samples per second of what will be pushed, 4,000 to 384,000.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = check_integer(rate_hz, "rate_hz", low=_LEAST_RATE_HZ, high=384_000)
        hop = round(_STEP_S * rate_hz)
        self.settings = Settings(
            rate_hz=rate_hz,
            n_fft=2 * round(_WINDOW_S * rate_hz / 2),
            hop=hop,
            mels=64 if rate_hz >= 16_000 else 40,
            high_hz=min(_TOP_HZ, rate_hz / 2),
        )
        self._low, self._high = _Columns(np.minimum, 1), _Columns(np.maximum, 1)
        self._power = _Columns(np.add, self.settings.mels)
        # A frame reaches this many hops to both sides: those at a block's end wait for the next block.
        self._reach = -(-self.settings.n_fft // (2 * hop))
        self._kept: Wave = np.zeros(0, np.float32)
        self._inside = False  # whether frames before `_kept` are done

    @property
    def duration_s(self) -> float:
        """Length of what was taken, gaps included."""
        return self._low.units / self.rate_hz

    def take(self, block: AudioBlock) -> None:
        """Take a block where its time says, at the sketch's rate; a gap before it is silence."""
        self.skip(block.start_s - self.duration_s)
        self.push(block.wave)

    def push(self, wave: Wave) -> None:
        """Take the next samples, float32 (n,) in [-1, 1]."""
        if len(wave) == 0:
            return
        self._low.add(wave[:, None])
        self._high.add(wave[:, None])
        joined = np.concatenate([self._kept, wave])
        whole = len(joined) // self.settings.hop - self._reach + 1  # frames whose samples are all there
        if whole <= self._reach:
            self._kept = joined
            return
        self._power.add(_power(joined, self.settings)[self._reach if self._inside else 0 : whole])
        self._kept = joined[(whole - self._reach) * self.settings.hop :]
        self._inside = True

    def skip(self, seconds: float) -> None:
        """Take a gap, which is silence here, in a time that does not grow with its length."""
        hop = self.settings.hop
        missing = round(seconds * self.rate_hz)
        near = min(missing, 4 * self.settings.n_fft)
        self.push(np.zeros(max(near, 0), np.float32))
        # Frames far from all sound hold nothing: they are counted, not computed.
        hops = max(missing - near, 0) // hop
        for columns, count in ((self._low, hops * hop), (self._high, hops * hop), (self._power, hops)):
            columns.add_zeros(count)
        self.push(np.zeros(max(missing - near - hops * hop, 0), np.float32))

    def outline(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return (edges in seconds (k + 1,), smallest sample (k,), largest sample (k,))."""
        low, sizes = self._low.made()
        high, _ = self._high.made()
        return np.concatenate([[0.0], np.cumsum(sizes)]) / self.rate_hz, low[:, 0].copy(), high[:, 0].copy()

    def spectrogram(self) -> tuple[float, NDArray[np.float32]]:
        """Return (seconds a column, mel energies in dB, float32 (mels, k)); the last column may be a part of one."""
        power = self._power.copy()
        if len(self._kept):
            power.add(_power(self._kept, self.settings)[self._reach if self._inside else 0 :])
        sums, sizes = power.made()
        return power.size * self.settings.hop / self.rate_hz, decibels((sums / sizes[:, None]).T.astype(np.float32))


def _power(wave: Wave, settings: Settings) -> NDArray[np.float64]:
    """Return mel energies of shape (frames, mels)."""
    energies: NDArray[np.float64] = 10 ** (log_mel(wave, settings).T.astype(np.float64) / 10)
    return energies


class _Columns:
    """Rows of numbers, combined by an operation into at most `COLUMNS` columns of equal numbers of rows."""

    def __init__(self, combine: np.ufunc, width: int) -> None:
        self.size, self.units = 1, 0
        self._combine = combine
        self._values = np.zeros((COLUMNS, width))

    def copy(self) -> _Columns:
        made = _Columns(self._combine, self._values.shape[1])
        made.size, made.units, made._values = self.size, self.units, self._values.copy()
        return made

    def add(self, rows: NDArray[np.floating]) -> None:
        if len(rows) == 0:
            return
        self._make_room(len(rows))
        begun = self.units % self.size
        starts = np.maximum(np.arange(-begun, len(rows), self.size), 0)
        self._put(self._combine.reduceat(rows, starts, axis=0), len(rows))

    def add_zeros(self, count: int) -> None:
        if count <= 0:
            return
        self._make_room(count)
        begun = self.units % self.size
        self._put(np.zeros((-(-(begun + count) // self.size), self._values.shape[1])), count)

    def made(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return (values (k, width), how many rows are in each (k,))."""
        sizes = np.full(self._count, self.size, np.int64)
        sizes[-1:] -= self._count * self.size - self.units
        return self._values[: self._count], sizes

    @property
    def _count(self) -> int:
        return -(-self.units // self.size)

    def _put(self, columns: NDArray[np.floating], rows: int) -> None:
        first = self.units // self.size
        if self.units % self.size:
            self._values[first] = self._combine(self._values[first], columns[0])
            self._values[first + 1 : first + len(columns)] = columns[1:]
        else:
            self._values[first : first + len(columns)] = columns
        self.units += rows

    def _make_room(self, rows: int) -> None:
        while self.units + rows > COLUMNS * self.size:
            count, half = self._count, self._count // 2
            self._values[:half] = self._combine(self._values[0 : 2 * half : 2], self._values[1 : 2 * half : 2])
            if count % 2:
                self._values[half] = self._values[count - 1]
            self.size *= 2


def sketch(blocks: Iterable[AudioBlock]) -> Sketch:
    """Gather the blocks of a recording (see `mien.io.audio.iter_audio`); gaps between them are silence.

    Raises
    ------
    InputError
        If there is no block.
    """
    gathered: Sketch | None = None
    for block in blocks:
        gathered = gathered or Sketch(block.rate_hz)
        gathered.take(block)
    if gathered is None:
        raise InputError("an image of a recording needs sound, but got none")
    return gathered
