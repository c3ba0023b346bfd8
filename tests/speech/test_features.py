"""Spectrograms against librosa, and where there is one, against a closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import InputError
from mien.speech import features
from mien.speech.features import MEL_CNN, Settings, log_mel, mel_matrix, mfcc, stft_db, window

Wave = NDArray[np.float32]

SETTINGS = [
    Settings(),
    MEL_CNN,
    Settings(rate_hz=16000, n_fft=400, hop=160, mels=40, low_hz=60, high_hz=7600, scale="htk", top_db=80.0),
    Settings(rate_hz=8000, n_fft=256, hop=256, mels=23, top_db=60.0),
    Settings(rate_hz=44100, n_fft=1024, hop=333, mels=128, low_hz=20),
]


@pytest.fixture(scope="session")
def librosa() -> Any:
    return pytest.importorskip("librosa")


def voice(rate: int, seconds: float = 1.7) -> Wave:
    """Return something with the range of speech: a falling tone with harmonics, pauses, and noise 60 dB below."""
    random = np.random.default_rng(0)
    times = np.arange(round(rate * seconds)) / rate
    pitch = 2 * np.pi * np.cumsum(180 - 40 * times) / rate
    tone = sum(np.sin(k * pitch) / k**1.5 for k in range(1, 12))
    gate = (np.sin(2 * np.pi * 2.5 * times) > -0.3).astype(float)
    return (0.3 * tone * gate + 0.0003 * random.normal(size=len(times))).astype(np.float32)


def theirs(librosa: Any, wave: Wave, s: Settings) -> tuple[Any, Any]:
    """Return librosa's (power spectrum in dB, log-mel)."""
    spectrum = librosa.stft(wave, n_fft=s.n_fft, hop_length=s.hop, pad_mode="constant")
    power = np.abs(spectrum) ** 2
    filters = librosa.filters.mel(
        sr=s.rate_hz, n_fft=s.n_fft, n_mels=s.mels, fmin=s.low_hz, fmax=s.top_hz, htk=s.scale == "htk"
    )
    return (
        librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=s.top_db),
        librosa.power_to_db(filters @ power, ref=1.0, amin=1e-10, top_db=s.top_db),
    )


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s.rate_hz}-{s.n_fft}-{s.hop}-{s.mels}")
def test_librosa(librosa: Any, settings: Settings) -> None:
    wave = voice(settings.rate_hz)
    spectrum, mels = theirs(librosa, wave, settings)
    ours = stft_db(wave, settings)
    assert ours.dtype == np.float32
    assert ours.shape == (settings.n_fft // 2 + 1, 1 + len(wave) // settings.hop)
    np.testing.assert_allclose(ours, spectrum, atol=1e-4)
    np.testing.assert_allclose(log_mel(wave, settings), mels, atol=1e-4)
    count = min(20, settings.mels)
    cepstra = librosa.feature.mfcc(S=mels, n_mfcc=count)
    np.testing.assert_allclose(mfcc(wave, settings, n=count), cepstra, atol=1e-4 * np.abs(cepstra).max())


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s.rate_hz}-{s.n_fft}-{s.hop}-{s.mels}")
@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_filters_are_librosas(librosa: Any, settings: Settings) -> None:
    expected = librosa.filters.mel(
        sr=settings.rate_hz,
        n_fft=settings.n_fft,
        n_mels=settings.mels,
        fmin=settings.low_hz,
        fmax=settings.top_hz,
        htk=settings.scale == "htk",
    )
    np.testing.assert_allclose(mel_matrix(settings), expected, atol=1e-8)
    np.testing.assert_allclose(window(settings.n_fft), librosa.filters.get_window("hann", settings.n_fft), atol=1e-7)


@pytest.mark.data
def test_librosa_on_speech(librosa: Any, data_dir: Any) -> None:
    from mien.io.audio import read_audio

    clips = sorted((data_dir / "ravdess_speech_16k" / "Actor_03").glob("*.flac"))[::20]
    for clip in clips:
        wave = read_audio(clip, rate_hz=16000).wave
        spectrum, mels = theirs(librosa, wave, Settings())
        np.testing.assert_allclose(stft_db(wave, Settings()), spectrum, atol=1e-4)
        np.testing.assert_allclose(log_mel(wave, Settings()), mels, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 255, 256, 257, 1023, 1024, 1025, 1700])
def test_blocks_do_not_show(frames: int) -> None:
    # A frame depends on nothing but its own samples, wherever the blocks that are computed at once begin.
    settings = Settings()
    wave = np.random.default_rng(frames).normal(0, 0.1, (frames - 1) * settings.hop + 80).astype(np.float32)
    mels = log_mel(wave, settings)
    assert mels.shape == (80, frames)
    padded = np.pad(wave, settings.n_fft // 2)
    for number in {0, frames // 2, frames - 1}:
        frame = padded[number * settings.hop :][: settings.n_fft]
        frame = np.pad(frame, (0, settings.n_fft - len(frame)))
        power = np.abs(np.fft.rfft(frame * window(settings.n_fft).astype(np.float64))) ** 2
        expected = 10 * np.log10(np.maximum(mel_matrix(settings) @ power, features.AMIN))
        np.testing.assert_allclose(mels[:, number], expected, atol=1e-4)


def test_a_sine_is_where_and_as_loud_as_it_should() -> None:
    settings = Settings()
    number, level = 40, 0.25
    times = np.arange(16000) / 16000
    hertz = number * 16000 / 512
    wave = (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    spectrum = stft_db(wave, settings)[:, 20]
    assert spectrum.argmax() == number
    # A bin-centered sine under Hann's window: level / 2 times the sum of the window, n / 2.
    assert spectrum[number] == pytest.approx(20 * np.log10(level * 512 / 4), abs=1e-3)
    assert spectrum[number + 1] == pytest.approx(spectrum[number] - 20 * np.log10(2), abs=1e-3)


def test_silence_is_the_floor() -> None:
    silence = np.zeros(4000, np.float32)
    np.testing.assert_allclose(log_mel(silence, Settings()), -100, atol=1e-4)
    np.testing.assert_allclose(stft_db(silence, MEL_CNN), -100, atol=1e-4)
    np.testing.assert_allclose(mfcc(silence, Settings())[1:], 0, atol=1e-3)
    assert float(features.decibels(np.array([4.0], np.float32), reference=4.0)[0]) == pytest.approx(0, abs=1e-6)


def test_top_db_limits_the_range() -> None:
    wave = voice(22050)
    mels = log_mel(wave, MEL_CNN)
    assert mels.max() - mels.min() == pytest.approx(80, abs=1e-3)


def test_a_power_is_not_changed_in_place() -> None:
    power = np.array([[1.0, 1e-12]], np.float32)
    assert features.decibels(power, top_db=80).tolist() == [[0.0, -80.0]]
    assert power.tolist() == [[1.0, pytest.approx(1e-12)]]


def test_very_short_and_odd_waves() -> None:
    settings = Settings()
    assert log_mel(np.ones(1, np.float32), settings).shape == (80, 1)
    wave = voice(16000)
    every_second = np.repeat(wave, 2)[::2]
    np.testing.assert_array_equal(log_mel(every_second, settings), log_mel(wave, settings))
    wave.flags.writeable = False
    np.testing.assert_array_equal(log_mel(wave.astype(np.float64), settings), log_mel(wave, settings))
    loud = np.full(600, 3e4, np.float32)  # 16-bit values that nobody divided
    assert np.isfinite(log_mel(loud, settings)).all()
    with pytest.raises(InputError, match=r"wave must lie within \[-1, 1\], but its largest magnitude is 1e\+25"):
        log_mel(np.full(600, 1e25, np.float32), settings)


def test_peak_normalized_and_centered() -> None:
    wave = np.array([0.1, -0.5, 0.2], np.float32)
    np.testing.assert_allclose(features.peak_normalized(wave), [0.2, -1, 0.4], rtol=1e-6)
    assert not features.peak_normalized(np.zeros(3, np.float32)).any()
    spectrogram = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert features.centered(spectrogram, 6).tolist() == [[0, 0, 1, 2, 0, 0], [0, 3, 4, 5, 0, 0]]
    assert features.centered(spectrogram, 4, fill=-9).tolist() == [[0, 1, 2, -9], [3, 4, 5, -9]]
    assert features.centered(spectrogram, 1).tolist() == [[1], [4]]
    a = log_mel(voice(22050, 3.0), MEL_CNN)
    assert features.centered(a, features.MEL_CNN_FRAMES).shape == (40, 272)


@pytest.mark.parametrize(
    "wave",
    [np.zeros(0, np.float32), np.zeros((2, 3), np.float32), np.zeros(5, np.int16), [0.5], None, "wave"],
    ids=["empty", "stereo", "integers", "list", "none", "text"],
)
def test_what_is_no_wave(wave: Any) -> None:
    if isinstance(wave, list):
        assert log_mel(wave, Settings()).shape == (80, 1)  # type: ignore[arg-type]
        return
    for function in (log_mel, stft_db, mfcc):
        with pytest.raises(InputError, match=r"wave must be float32 of shape \(n,\), not empty, but got"):
            function(wave, Settings())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value: float) -> None:
    wave = np.zeros(1000, np.float32)
    wave[500] = value
    with pytest.raises(InputError, match="wave must be finite, but holds NaN or infinity"):
        log_mel(wave, Settings())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_fft": 401}, "n_fft must be even, but got 401"),
        ({"hop": 513}, "hop must be an integer from 1 to 512"),
        ({"mels": 0}, "mels must be an integer from 1"),
        ({"rate_hz": 999}, "rate_hz must be an integer from 1000"),
        ({"scale": "bark"}, "scale must be slaney or htk, but got 'bark'"),
        ({"low_hz": 8000}, r"bands must lie within 0..8000 Hz, but got 8000..8000"),
        ({"high_hz": 9000}, r"bands must lie within 0..8000 Hz, but got 0..9000"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**options)


def test_too_many_coefficients() -> None:
    with pytest.raises(InputError, match="n must be an integer from 1 to 80"):
        mfcc(np.zeros(100, np.float32), Settings(), n=81)
