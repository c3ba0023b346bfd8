"""Signal-to-noise ratios against mixtures in which they are known."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mien.errors import InputError
from mien.io.audio import read_audio
from mien.speech.quality import BAND_HZ, HIGHEST_DB, LOWEST_DB, SnrMeter, snr_db
from speech_mixtures import RATE, babble, clips_of, truth_of, voiced, white

BEGIN, END = 1.0, 4.0


def planted(random: np.random.Generator) -> np.ndarray:
    """Return a second of silence, three of a synthetic voice, and one of silence."""
    wave = np.zeros(5 * RATE, np.float32)
    wave[RATE : 4 * RATE] = voiced(3 * RATE, random)
    return wave


def power(wave: np.ndarray, rate_hz: int) -> float:
    """Return the power within the band, from the spectrum of the whole."""
    spectrum = np.fft.rfft(wave.astype(np.float64))
    hertz = np.fft.rfftfreq(len(wave), 1 / rate_hz)
    return float((np.abs(spectrum[(hertz >= BAND_HZ[0]) & (hertz <= BAND_HZ[1])]) ** 2).sum())


def added(wave: np.ndarray, noise: np.ndarray, ratio_db: float, part: slice, *, rate_hz: int = RATE) -> np.ndarray:
    """Return a recording in noise, at a ratio of the powers within the band."""
    gain = np.sqrt(power(wave[part], rate_hz) / power(noise[part], rate_hz)) * 10 ** (-ratio_db / 20)
    total = wave + noise * np.float32(gain)
    return (total / max(1.0, float(np.abs(total).max()))).astype(np.float32)


PART = slice(int(BEGIN * RATE), int(END * RATE))


@pytest.mark.parametrize(("ratio_db", "off_db"), [(30, 1), (20, 1), (10, 1), (5, 1), (0, 2), (-5, 4)])
def test_white_noise_is_measured_to_a_decibel(ratio_db: float, off_db: float) -> None:
    """Below 0 dB the speech is a small difference of large powers."""
    random = np.random.default_rng(4)
    noisy = added(planted(random), white(5 * RATE, random), ratio_db, PART)
    assert snr_db(noisy, rate_hz=RATE, begin_s=BEGIN, end_s=END) == pytest.approx(ratio_db, abs=off_db)


@pytest.mark.parametrize("ratio_db", [20.0, 10.0, 0.0])
def test_a_motor_is_measured_too(ratio_db: float) -> None:
    times = np.arange(5 * RATE) / RATE
    motor = sum(np.sin(2 * np.pi * hertz * times + hertz) for hertz in (230.0, 460.0, 690.0)).astype(np.float32)
    noisy = added(planted(np.random.default_rng(5)), motor, ratio_db, PART)
    assert snr_db(noisy, rate_hz=RATE, begin_s=BEGIN, end_s=END) == pytest.approx(ratio_db, abs=1.5)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_the_level_and_an_offset_do_not_matter(rate_hz: int) -> None:
    random = np.random.default_rng(6)
    wave = np.repeat(planted(random), 3)[:: RATE * 3 // rate_hz or 1][: 5 * rate_hz]
    noisy = added(
        wave, random.normal(size=len(wave)).astype(np.float32), 10, slice(rate_hz, 4 * rate_hz), rate_hz=rate_hz
    )
    found = snr_db(noisy, rate_hz=rate_hz)
    assert found is not None
    assert snr_db(noisy * np.float32(0.01), rate_hz=rate_hz) == pytest.approx(found, abs=0.01)
    assert snr_db(noisy * np.float32(0.5) + np.float32(0.4), rate_hz=rate_hz) == pytest.approx(found, abs=0.05)


def test_noise_alone_is_far_below_and_a_studio_far_above() -> None:
    random = np.random.default_rng(7)
    alone = snr_db(0.1 * white(3 * RATE, random), rate_hz=RATE)
    assert alone is not None
    assert LOWEST_DB <= alone < -8
    assert snr_db(planted(random), rate_hz=RATE, begin_s=BEGIN, end_s=END) == HIGHEST_DB


@pytest.mark.parametrize("seed", range(3))
def test_blocks_make_no_difference(seed: int) -> None:
    random = np.random.default_rng(seed)
    noisy = added(planted(random), white(5 * RATE, random), 7, PART)
    meter = SnrMeter(RATE)
    at = 0
    while at < len(noisy):
        size = int(random.integers(1, 5000))
        meter.push(noisy[at : at + size])
        at += size
    assert meter.snr_db(BEGIN, END) == snr_db(noisy, rate_hz=RATE, begin_s=BEGIN, end_s=END)


def test_noise_that_begins_later_counts_where_it_is() -> None:
    random = np.random.default_rng(8)
    later = np.concatenate([np.zeros(8 * RATE, np.float32), planted(random)])
    noisy = added(later, white(13 * RATE, random), 3, slice(9 * RATE, 12 * RATE))
    meter = SnrMeter(RATE)
    for wave in (planted(random), np.zeros(5 * RATE, np.float32), noisy):
        meter.push(wave)
    assert meter.snr_db(1, 4) == HIGHEST_DB
    assert meter.snr_db(19, 22) == pytest.approx(3, abs=1.2)


def test_memory_is_constant() -> None:
    meter, block = SnrMeter(RATE), np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    for _ in range(130):
        meter.push(block)
    tracemalloc.start()
    for _ in range(300):
        meter.push(block)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 400_000
    assert meter.snr_db(0, 5) is None  # forgotten by now
    assert meter.snr_db(425, 429) is not None


def test_where_there_is_nothing_there_is_no_ratio() -> None:
    assert snr_db(np.zeros(RATE, np.float32), rate_hz=RATE) is None
    assert snr_db(np.zeros(0, np.float32), rate_hz=RATE) is None
    assert snr_db(np.ones(RATE // 10, np.float32), rate_hz=RATE) is None


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="rate_hz"):
        SnrMeter(3)
    with pytest.raises(InputError, match="wave must"):
        SnrMeter(RATE).push(np.zeros((4, 2), np.float32))
    with pytest.raises(InputError, match="a stretch must have begin_s < end_s, but got 2 to 1"):
        SnrMeter(RATE).snr_db(2, 1)


@pytest.mark.data
@pytest.mark.parametrize(("kind", "worst_db"), [("white", 1.5), ("babble", 6.0)])
def test_real_speech_in_known_noise(data_dir: Path, kind: str, worst_db: float) -> None:
    clips = clips_of(data_dir / "ravdess_speech_16k", range(1, 5))
    random = np.random.default_rng(9)
    for ratio_db in (20.0, 10.0, 0.0):
        errors = []
        for index in random.choice(len(clips), 6, replace=False):
            clip = read_audio(clips[index], rate_hz=RATE).wave
            speaks = np.flatnonzero(truth_of(clip))
            part = slice(int(speaks[0]) * 160, (int(speaks[-1]) + 1) * 160)
            noise = white(len(clip), random) if kind == "white" else babble(len(clip), clips, random)
            found = snr_db(
                added(clip, noise, ratio_db, part), rate_hz=RATE, begin_s=part.start / RATE, end_s=part.stop / RATE
            )
            assert found is not None
            errors.append(found - ratio_db)
        assert abs(float(np.median(errors))) < worst_db
