from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import InputError
from mien.speech.warp import add_noise, pitch_shift, time_stretch
from speech_corpora import tone

RATE = 16000


def pitch_hz(wave: NDArray[np.float32], rate_hz: int = RATE) -> float:
    """Return the strongest frequency, between bins by a parabola through the logarithms."""
    middle = wave[len(wave) // 8 : -len(wave) // 8]
    power = np.log(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 17)) + 1e-12)
    k = int(power.argmax())
    a, b, c = power[k - 1 : k + 2]
    return float((k + 0.5 * (a - c) / (a - 2 * b + c)) * rate_hz / (1 << 17))


def rms(wave: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def vowel(hz: float = 120.0, seconds: float = 1.0) -> NDArray[np.float32]:
    """Return pulses through two resonances with a slow swell: like a voice."""
    t = np.arange(round(seconds * RATE)) / RATE
    parts = [np.cos(2 * np.pi * hz * k * t) / (1 + ((hz * k - 600) / 200) ** 2) for k in range(1, int(7000 / hz))]
    return (0.2 * np.sum(parts, axis=0) * (1 + 0.3 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


@pytest.mark.parametrize("factor", [0.5, 0.81, 0.93, 1.07, 1.23, 2.0])
@pytest.mark.parametrize("n", [1, 7, 511, 16001, 48000])
def test_the_duration_is_exact(factor: float, n: int) -> None:
    wave = tone(seconds=n / RATE)
    stretched = time_stretch(wave, factor)
    assert stretched.dtype == np.float32
    assert len(stretched) == max(round(n / factor), 1)


@pytest.mark.parametrize("factor", [0.81, 1.07, 1.5])
@pytest.mark.parametrize("hz", [90.0, 220.0, 440.0, 3000.0])
def test_stretching_keeps_pitch_and_energy(factor: float, hz: float) -> None:
    wave = tone(hz=hz, seconds=1.0)
    stretched = time_stretch(wave, factor)
    assert pitch_hz(stretched) == pytest.approx(hz, rel=0.005)
    assert rms(stretched[800:-800]) == pytest.approx(rms(wave), rel=0.05)


@pytest.mark.parametrize("semitones", [-12, -1, 0.5, 2, 7])
@pytest.mark.parametrize("hz", [220.0, 440.0, 1500.0])
def test_shifting_changes_pitch_and_keeps_length_and_energy(semitones: float, hz: float) -> None:
    wave = tone(hz=hz, seconds=1.0)
    shifted = pitch_shift(wave, semitones)
    assert shifted.dtype == np.float32
    assert len(shifted) == len(wave)
    assert pitch_hz(shifted) == pytest.approx(hz * 2 ** (semitones / 12), rel=0.005)
    assert rms(shifted[800:-800]) == pytest.approx(rms(wave), rel=0.06)


def test_a_voice_keeps_its_period_and_its_course() -> None:
    wave = vowel()
    stretched = time_stretch(wave, 0.81)
    assert pitch_hz(stretched) == pytest.approx(pitch_hz(wave), rel=0.01)
    # A click in the middle comes at the middle of the result.
    wave = 0.01 * wave
    wave[8000] = 1.0
    assert abs(int(np.abs(time_stretch(wave, 0.81)).argmax()) - 8000 / 0.81) < 0.02 * RATE


def test_other_rates() -> None:
    wave = tone(hz=440, seconds=1.0, rate_hz=22050)
    assert pitch_hz(time_stretch(wave, 0.81, rate_hz=22050), 22050) == pytest.approx(440, rel=0.005)
    assert pitch_hz(pitch_shift(wave, 2, rate_hz=22050), 22050) == pytest.approx(440 * 2 ** (1 / 6), rel=0.005)


def test_nothing_folds_back_when_the_pitch_goes_up() -> None:
    wave = tone(hz=7500.0, seconds=1.0)
    assert rms(pitch_shift(wave, 12)[1600:-1600]) < 0.01 * rms(wave)


def test_shifting_there_and_back_gives_the_tone_again() -> None:
    wave = tone(hz=300, seconds=1.0)
    back = pitch_shift(pitch_shift(wave, 3), -3)
    assert pitch_hz(back) == pytest.approx(300, rel=0.005)


@pytest.mark.parametrize("change", [lambda w: time_stretch(w, 1.0), lambda w: pitch_shift(w, 0.0)])
def test_no_change_is_a_copy(change: object) -> None:
    wave = tone()
    same = change(wave)  # type: ignore[operator]
    assert (same == wave).all()
    assert same is not wave


def test_silence_stays_silence() -> None:
    silence = np.zeros(8000, dtype=np.float32)
    assert not time_stretch(silence, 0.81).any()
    assert np.abs(pitch_shift(silence, 2)).max() == 0
    assert not add_noise(silence, 0.008, np.random.default_rng(0)).any()


def test_noise_is_as_loud_as_it_says() -> None:
    wave = tone(level=0.25, seconds=4.0)
    noise = add_noise(wave, 0.008, np.random.default_rng(1)) - wave
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(0.008 * 0.25, rel=0.02)
    assert (add_noise(wave, 0.008, np.random.default_rng(1)) - wave == noise).all()


def test_the_input_is_not_changed() -> None:
    wave = tone()
    before = wave.copy()
    wave.flags.writeable = False
    time_stretch(wave, 0.9)
    pitch_shift(wave, 1)
    add_noise(wave, 0.1, np.random.default_rng(0))
    assert (wave == before).all()


@pytest.mark.parametrize(
    "wave", [np.zeros(0, np.float32), np.zeros((2, 5), np.float32), np.zeros(5, np.int16), np.array([np.nan, 1.0])]
)
def test_what_is_no_waveform(wave: NDArray[np.float32]) -> None:
    for change in (
        lambda: time_stretch(wave, 0.9),
        lambda: pitch_shift(wave, 1),
        lambda: add_noise(wave, 0.1, np.random.default_rng(0)),
    ):
        with pytest.raises(InputError, match="wave must be"):
            change()


def test_numbers_out_of_range() -> None:
    with pytest.raises(InputError, match=r"factor must be a number from 0\.25 to 4, but got 0"):
        time_stretch(tone(), 0)
    with pytest.raises(InputError, match="semitones must be a number from -24 to 24"):
        pitch_shift(tone(), 30)
    with pytest.raises(InputError, match="amount must be a number from 0 to 1"):
        add_noise(tone(), -0.1, np.random.default_rng(0))
