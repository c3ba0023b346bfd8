"""Changed copies of recordings of speech, as lines, rooms, other voices and cuts change them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mien.data.samples import Samples
from mien.evaluate.noise import mix_noise
from mien.io.resample import resample
from mien.speech.activity import speech_bounds
from mien.speech.channel import reverberate, telephone

__all__ = ["VIEWS_VERSION", "speech_views"]

Wave = NDArray[np.float32]

VIEWS_VERSION = 1
"""To be raised when the same recordings would give other copies."""

_SPEED = 0.12
_EDGES_S = 0.15
_LEAST_S = 1.0
"""Of shorter speech no end is cut away."""

_RATIOS_DB = (5.0, 30.0)
_ROOMS_S = (0.2, 1.0)
_VOICES = (3, 8)
_HELD = 64
"""Recordings of a speaker that babble is made of."""


def speech_views(samples: Samples, views: int, *, rate_hz: int, seed: int) -> Iterator[tuple[int, list[Wave]]]:
    """Yield the row of each recording, the recording, and changed copies of it.

    A copy is played at another speed, by up to 12 %, which also moves its pitch, and loses up to 0.15 s of each end.
    Half of them then have other voices of the same speaker behind them (so that no speaker is heard in the copies of
    another), or white or brown noise, at 5 to 30 dB; half go through a room of 0.2 to 1 s or a telephone line.

    Parameters
    ----------
    samples : Samples
        The recordings.
    views : int
        Copies of each.
    rate_hz : int
        Samples per second of what comes out.
    seed : int
        Of all that is drawn; each copy also depends on its row and number.
    """
    speaker = samples.groups()
    held: dict[int, list[Wave]] = {}
    # In any order: what is held of a speaker must not all be of the emotion that files are sorted by.
    for row in np.random.default_rng(seed).permutation(len(samples)).tolist():
        wave = samples.read_audio(row, rate_hz)
        others = held.setdefault(int(speaker[row]), [])
        generators = [np.random.default_rng([seed, row, number]) for number in range(views)]
        yield row, [wave, *(_changed(wave, others, rate_hz, generator) for generator in generators)]
        if len(others) < _HELD:
            others.append(wave)


def _changed(wave: Wave, others: list[Wave], rate_hz: int, generator: np.random.Generator) -> Wave:
    speed = float(np.exp(generator.uniform(-_SPEED, _SPEED)))
    made = resample(wave, round(rate_hz * speed), rate_hz)
    begin, end = speech_bounds(made, rate_hz=rate_hz)
    before, after = (int(generator.uniform(0, _EDGES_S) * rate_hz) for _ in range(2))
    if end - begin > _LEAST_S * rate_hz:
        begin, end = begin + before, end - after
    made = made[begin:end]
    if generator.random() < 0.5:
        noise = _noise(len(made), others, generator)
        made = mix_noise(made, noise, ratio_db=float(generator.uniform(*_RATIOS_DB)))
    line = generator.random()
    if line < 0.25:
        made = reverberate(made, rate_hz=rate_hz, decay_s=float(generator.uniform(*_ROOMS_S)), generator=generator)
    elif line < 0.5:
        low_hz, high_hz = float(generator.uniform(200, 400)), float(generator.uniform(3000, 3800))
        made = telephone(made, rate_hz=rate_hz, low_hz=low_hz, high_hz=high_hz)
    return made


def _noise(length: int, others: list[Wave], generator: np.random.Generator) -> Wave:
    kind = generator.random()
    if kind < 0.5 and others:
        total = np.zeros(length, np.float32)
        for _ in range(int(generator.integers(*_VOICES))):
            voice = others[int(generator.integers(len(others)))]
            start = int(generator.integers(len(voice)))
            total += np.take(voice, np.arange(start, start + length), mode="wrap")
        return total
    white = generator.standard_normal(length).astype(np.float32)
    if kind < 0.75:
        return white
    spectrum = np.fft.rfft(white) / np.sqrt(np.arange(1, length // 2 + 2))
    return np.fft.irfft(spectrum, length).astype(np.float32)
