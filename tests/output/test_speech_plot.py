"""Images of recordings: what is gathered against plain NumPy, what is drawn by the colors in the image."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.errors import InputError, MediaNotFoundError
from mien.io.audio import AudioBlock, iter_audio
from mien.labels import RAVDESS8
from mien.output import COLORS, write_speech_plot
from mien.output._sketch import COLUMNS, Sketch, sketch
from mien.output.speech_plot import _Bands, speech_plot
from mien.output.wav import save_wav
from mien.results import Emotion, SpeechResult, SpeechSegment
from mien.speech.features import log_mel

RATE = 16000


def noise(seconds: float, *, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return np.clip(0.2 * random.normal(size=round(seconds * rate)), -1, 1).astype(np.float32)


def emotion(top: str, share: float = 0.8) -> Emotion:
    rest = (1 - share) / (len(RAVDESS8) - 1)
    return Emotion(RAVDESS8, tuple(share if name == top else rest for name in RAVDESS8.emotions))


def blocks(wave: NDArray[np.float32], rate: int, *sizes: int) -> Iterator[AudioBlock]:
    begin = number = 0
    while begin < len(wave):
        part = wave[begin : begin + sizes[number % len(sizes)]]
        yield AudioBlock(part, begin / rate, rate)
        begin, number = begin + len(part), number + 1


def drawn(result: SpeechResult, sound: Sketch) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(speech_plot(result, sound))) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def share_of(image: NDArray[np.uint8], color: tuple[int, int, int]) -> float:
    return float((image == np.array(color, np.uint8)).all(axis=2).mean())


# --- the sketch -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "rate"), [(0.01, 16000), (0.2, 16000), (3.3, 8000), (40.0, 16000), (2.0, 44100)])
def test_the_outline_is_the_smallest_and_largest_sample_of_each_column(seconds: float, rate: int) -> None:
    wave = noise(seconds, rate=rate)
    edges, low, high = sketch(blocks(wave, rate, 701, 4000)).outline()
    size = 1
    while -(-len(wave) // size) > COLUMNS:
        size *= 2
    starts = np.arange(0, len(wave), size)
    np.testing.assert_allclose(edges, [*(starts / rate), len(wave) / rate])
    np.testing.assert_array_equal(low, np.minimum.reduceat(wave, starts))
    np.testing.assert_array_equal(high, np.maximum.reduceat(wave, starts))


@pytest.mark.parametrize("seconds", [0.005, 0.5, 9.0, 100.0])
def test_the_spectrogram_is_the_mean_power_of_each_column(seconds: float) -> None:
    wave = noise(seconds)
    gathered = sketch(blocks(wave, RATE, 16000, 333, 5))
    column_s, energies = gathered.spectrogram()
    power = 10 ** (log_mel(wave, gathered.settings).astype(np.float64) / 10)
    size = round(column_s * RATE / gathered.settings.hop)
    assert power.shape[1] / size <= COLUMNS
    expected = [10 * np.log10(power[:, k : k + size].mean(axis=1)) for k in range(0, power.shape[1], size)]
    np.testing.assert_allclose(energies.T, expected, atol=1e-3)


@pytest.mark.parametrize("sizes", [(1,), (7, 1600), (479,), (16001,), (40000,)])
def test_the_size_of_the_blocks_changes_nothing(sizes: tuple[int, ...]) -> None:
    wave = noise(0.5 if sizes == (1,) else 30)
    whole, parts = sketch(blocks(wave, RATE, len(wave))), sketch(blocks(wave, RATE, *sizes))
    for one, other in zip(
        (*whole.outline(), whole.spectrogram()[1]), (*parts.outline(), parts.spectrogram()[1]), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("gap_s", [0.01, 1.5, 700.0])
def test_a_gap_is_silence_of_its_length(gap_s: float) -> None:
    wave = noise(2)
    gap = sketch([AudioBlock(wave, 0.5, RATE), AudioBlock(wave, 2.5 + gap_s, RATE)])
    filled = np.concatenate([np.zeros(RATE // 2, np.float32), wave, np.zeros(round(gap_s * RATE), np.float32), wave])
    plain = sketch(blocks(filled, RATE, RATE))
    assert gap.duration_s == pytest.approx(4.5 + gap_s)
    np.testing.assert_allclose(gap.outline()[1], plain.outline()[1])
    np.testing.assert_allclose(gap.spectrogram()[1], plain.spectrogram()[1], atol=1e-3)


def test_hours_are_gathered_in_constant_memory_and_a_damaged_time_in_no_time() -> None:
    second = noise(1)

    def hour() -> Iterator[AudioBlock]:
        for start in range(1800):
            yield AudioBlock(second, float(start), RATE)
        yield AudioBlock(second, 1e7, RATE)

    tracemalloc.start()
    gathered = sketch(hour())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    assert gathered.duration_s == 1e7 + 1
    assert max(len(gathered.outline()[1]), gathered.spectrogram()[1].shape[1]) <= COLUMNS


def test_a_sketch_needs_sound() -> None:
    with pytest.raises(InputError, match="an image of a recording needs sound, but got none"):
        sketch([])
    with pytest.raises(InputError, match="rate_hz must be an integer from 4000 to 384000, but got 100"):
        Sketch(100)


# --- bands ----------------------------------------------------------------------------------------


def segments(*parts: tuple[str | None, float]) -> SpeechResult:
    made, at = [], 0.0
    for name, seconds in parts:
        told = None if name is None else emotion(name)
        made.append(SpeechSegment(at, at + seconds, name is not None, told))
        at += seconds
    return SpeechResult(at, tuple(made), path="call.wav", model="planted")


@pytest.mark.parametrize("count", [3, 1000])
def test_bands_hold_all_of_the_time_of_each_emotion(count: int) -> None:
    random = np.random.default_rng(1)
    names = (None, *RAVDESS8.emotions)
    result = segments(*((names[random.integers(9)], float(random.uniform(0.2, 5))) for _ in range(count)))
    bands = _Bands(result, result.duration_s)
    column_s = result.duration_s / bands.columns
    for number, name in enumerate(RAVDESS8.emotions):
        seconds = sum(s.duration_s * s.emotion[name] for s in result.segments if s.emotion is not None)
        assert bands.shares[:, number].sum() * column_s == pytest.approx(seconds)
    assert bands.shares.sum() * column_s == pytest.approx(result.speech_s)
    assert bands.broad == (count == 1000)


# --- the image ----------------------------------------------------------------------------------


def test_each_emotion_has_its_time_in_its_color() -> None:
    result = segments((None, 1), ("anger", 4), ("sadness", 2), (None, 3))
    image = drawn(result, sketch(blocks(noise(10), RATE, RATE)))
    assert image.shape[0] < image.shape[1] < 1500
    anger, sadness = (share_of(image, COLORS[name]) for name in ("anger", "sadness"))
    # Twice as long with the same probabilities; a little is text and the other's probability.
    assert 1.7 < anger / sadness < 2.1
    assert share_of(image, COLORS["happiness"]) < sadness / 5


def test_the_same_input_gives_the_same_bytes() -> None:
    result, sound = segments(("calm", 2)), sketch(blocks(noise(2), RATE, RATE))
    assert speech_plot(result, sound) == speech_plot(result, sound)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.0, 500.0, 8000.0])
@pytest.mark.parametrize(
    "name", ["a.wav", "$x^2$ and a long name with \n and \udcff that never comes to its end.wav", None]
)
def test_any_length_silence_and_names_can_be_drawn(seconds: float, name: str | None) -> None:
    sound = Sketch(RATE)
    sound.skip(seconds)
    result = SpeechResult(sound.duration_s, (SpeechSegment(0.0, sound.duration_s, False),), path=name)
    image = drawn(result, sound)
    assert image.shape[1] > 1000
    # No sound is dark, and nobody speaks.
    assert (image.max(axis=2) < 8).mean() > 0.2
    assert all(share_of(image, color) < 0.001 for color in COLORS.values())


def test_a_image_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    result, sound = segments(("calm", 1)), sketch(blocks(noise(1), RATE, RATE))
    write_speech_plot(tmp_path / "x.PNG", result, sound)
    assert (tmp_path / "x.PNG").read_bytes() == speech_plot(result, sound)
    with pytest.raises(InputError, match=r"expected a name that ends in \.png, but got 'x\.jpg'"):
        write_speech_plot(tmp_path / "x.jpg", result, sound)
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        write_speech_plot(tmp_path / "no" / "x.png", result, sound)
    assert [path.name for path in tmp_path.iterdir()] == ["x.PNG"]


# --- WAV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "error"), [("int16", 2**-16 * 1.01), ("float32", 0.0)])
@pytest.mark.parametrize("long", [False, True])
def test_sound_comes_back_as_it_was(
    tmp_path: Path, samples: str, error: float, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr("mien.output.wav._MOST_BYTES", 1000)
    wave, path = noise(3, rate=44100), tmp_path / "x.wav"
    seconds = save_wav(path, blocks(wave, 44100, 44100, 7), samples=samples)  # type: ignore[arg-type]
    assert seconds == pytest.approx(3)
    assert path.read_bytes()[:4] == (b"RF64" if long else b"RIFF")
    with iter_audio(path, rate_hz=None) as stream:
        read = np.concatenate([block.wave for block in stream])
        assert (stream.rate_hz, stream.warnings) == (44100, ())
    np.testing.assert_allclose(read, wave, atol=error)


def test_saved_sound_keeps_its_times(tmp_path: Path) -> None:
    wave, path = noise(1), tmp_path / "x.wav"
    assert save_wav(path, [AudioBlock(wave, 0.5, RATE), AudioBlock(wave, 2.0, RATE)], samples="float32") == 3.0
    with iter_audio(path) as stream:
        read = np.concatenate([block.wave for block in stream])
    gap = np.zeros(RATE // 2, np.float32)
    np.testing.assert_array_equal(read, np.concatenate([gap, wave, gap, wave]))


def test_no_half_a_file_stays_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[AudioBlock]:
        yield AudioBlock(noise(1), 0.0, RATE)
        raise MediaNotFoundError("gone")

    with pytest.raises(MediaNotFoundError, match="gone"):
        save_wav(tmp_path / "x.wav", broken())
    with pytest.raises(InputError, match="a WAV file needs sound, but got none"):
        save_wav(tmp_path / "x.wav", [])
    with pytest.raises(InputError, match=r"a recording is written as .wav, but the name is 'x.mp3'"):
        save_wav(tmp_path / "x.mp3", [])
    with pytest.raises(InputError, match="samples must be 'int16' or 'float32', but got 'int8'"):
        save_wav(tmp_path / "x.wav", [], samples="int8")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
