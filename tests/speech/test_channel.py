"""Telephone and room: what of a tone comes through, and how fast a click dies away."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import InputError
from mien.speech.channel import reverberate, telephone

RATE = 16000


def tone(hertz: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.mark.parametrize(("hertz", "kept"), [(100, 0.0), (1000, 1.0), (3000, 1.0), (5000, 0.0)])
def test_a_line_carries_300_to_3400_hz(hertz: float, kept: float) -> None:
    found = telephone(tone(hertz), rate_hz=RATE)
    assert found.shape == (RATE,)
    assert found.dtype == np.float32
    amplitude = 2 * abs(np.mean(found * np.exp(-2j * np.pi * hertz * np.arange(RATE) / RATE)))
    assert amplitude == pytest.approx(0.5 * kept, abs=0.02)


@pytest.mark.parametrize("level", [0.5, 0.05, 0.005])
def test_the_mu_law_is_as_fine_for_quiet_sound(level: float) -> None:
    wave = tone(1000, level)
    error = telephone(wave, rate_hz=RATE)[1000:-1000] - wave[1000:-1000]
    # Eight bits by the mu-law give some 38 dB over 40 dB of levels (G.712); eight even steps would give 3 dB here.
    assert 10 * np.log10(np.mean(wave**2) / np.mean(error**2)) > 25


def test_a_room_falls_by_60_db_in_its_time() -> None:
    click = np.zeros(RATE, np.float32)
    click[0] = 1.0
    found = reverberate(click, rate_hz=RATE, decay_s=0.5, generator=np.random.default_rng(0)).astype(np.float64)

    def level_db(at_s: float) -> float:
        at = round(at_s * RATE)
        return float(10 * np.log10(np.mean(found[at - 400 : at + 400] ** 2)))

    assert level_db(0.4) - level_db(0.1) == pytest.approx(-36, abs=2)
    assert np.sum(found[1:] ** 2) == pytest.approx(found[0] ** 2, rel=1e-3)  # as strong as the direct sound
    assert np.mean(found**2) == pytest.approx(np.mean(click**2), rel=1e-3)


def test_silence_and_nothing_stay_so() -> None:
    generator = np.random.default_rng(0)
    for n in (0, 100):
        silence = np.zeros(n, np.float32)
        assert np.abs(telephone(silence, rate_hz=RATE)).max(initial=0) < 1e-3
        np.testing.assert_array_equal(reverberate(silence, rate_hz=RATE, generator=generator), silence)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="high_hz"):
        telephone(tone(440), rate_hz=RATE, high_hz=5000)
    with pytest.raises(InputError, match="decay_s"):
        reverberate(tone(440), rate_hz=RATE, decay_s=0, generator=np.random.default_rng(0))
