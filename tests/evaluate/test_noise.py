from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data import Samples, load_dataset
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluate import NoiseFigures, Predictions, model_noise_curve, noise_curve, predict
from mien.evaluate.noise import Waves, can_babble, mix_noise, noise_chart
from mien.metrics import Interval
from mien.speech.activity import speech_bounds
from mien.speech.channel import telephone
from planted_clips import Planted, record, write_ravdess
from run_folders import image_size
from speech_corpora import ravdess_names, tone, touch

RATE_HZ = 16000
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Two clips of each of eight speakers."""
    names = ravdess_names(range(1, 9))
    listed = load_dataset("ravdess", touch(tmp_path_factory.mktemp("names"), names))
    first = [int(np.flatnonzero(listed.subjects == f"{actor:02}")[place]) for actor in range(1, 9) for place in (0, 20)]
    return listed.take(np.array(first))


def voices(clips: Samples) -> list[NDArray[np.float32]]:
    """One note for each speaker."""
    return [tone(hz=300.0 + 100 * int(subject), seconds=0.5, level=0.02) for subject in clips.subjects]


@pytest.mark.parametrize("ratio_db", [20.0, 0.0, -10.0])
def test_the_ratio_is_met_over_the_part(ratio_db: float) -> None:
    wave = np.concatenate([np.zeros(4000), 0.01 * RNG.standard_normal(8000), np.zeros(4000)]).astype(np.float32)
    noise = RNG.standard_normal(16000).astype(np.float32)
    part = slice(4000, 12000)
    added = mix_noise(wave, noise, ratio_db=ratio_db, part=part).astype(np.float64) - wave
    ratio = np.mean(wave[part].astype(np.float64) ** 2) / np.mean(added[part] ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(ratio_db, abs=0.01)
    assert np.abs(added[:4000]).max() > 0  # it lies over the pauses too


def test_a_sum_beyond_full_scale_is_turned_down_as_a_whole() -> None:
    wave, noise = tone(level=0.9), RNG.standard_normal(8000).astype(np.float32)
    loud = mix_noise(wave, noise, ratio_db=0.0)
    quiet = mix_noise(wave / 100, noise, ratio_db=0.0)
    assert np.abs(loud).max() == pytest.approx(1)
    assert loud.dtype == np.float32
    np.testing.assert_allclose(loud, quiet * (loud[100] / quiet[100]), atol=1e-5)


def test_silence_has_no_ratio() -> None:
    silence, noise = np.zeros(100, np.float32), np.ones(100, np.float32)
    assert not mix_noise(silence, noise, ratio_db=0).any()
    assert not mix_noise(silence, silence, ratio_db=0).any()
    assert mix_noise(noise / 2, silence, ratio_db=0)[0] == 0.5


def test_the_curve_gives_each_clip_its_noise(clips: Samples) -> None:
    waves = voices(clips)
    heard: dict[int, list[NDArray[np.float64]]] = {index: [] for index in range(len(clips))}

    def answer(wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:
        added = wave.astype(np.float64) - waves[index]
        heard[index].append(added)
        power = np.mean(added**2)
        ratio = np.inf if power == 0 else 10 * np.log10(np.mean(waves[index].astype(np.float64) ** 2) / power)
        return np.eye(8)[clips.labels[index] if ratio > 7 else (clips.labels[index] + 1) % 8]

    seen: list[int] = []
    curve = noise_curve(answer, clips, waves, rate_hz=RATE_HZ, progress=seen.append)
    assert [(e.kind, e.ratio_db) for e in curve] == [
        ("clean", None),
        *(("white", r) for r in (20, 10, 5, 0)),
        *(("babble", r) for r in (20, 10, 5, 0)),
    ]
    assert [e.accuracy for e in curve] == [1, 1, 1, 0, 0, 1, 1, 0, 0]  # right above 7 dB
    assert all(e.n == 16 and set(e.intervals) == {"accuracy", "uar"} for e in curve)
    assert sum(seen) == 16
    for index, added in heard.items():
        # The same noise at every ratio, louder by what the ratio says.
        np.testing.assert_allclose(added[2], added[1] * 10**0.5, atol=1e-5)
        np.testing.assert_allclose(added[8], added[5] * 10, atol=1e-4)
        assert abs(np.corrcoef(added[1][:-1], added[1][1:])[0, 1]) < 0.05  # white
        spectrum = np.abs(np.fft.rfft(added[8] * np.hanning(len(added[8]))))
        by_speaker = [
            spectrum[round((300 + 100 * s) * 0.5) - 2 : round((300 + 100 * s) * 0.5) + 3].max() for s in range(1, 9)
        ]
        own = int(clips.subjects[index]) - 1
        others = np.delete(by_speaker, own)
        assert by_speaker[own] < 0.05 * others.max()  # nothing of the same speaker
        assert (others > 0.3 * others.max()).sum() >= 3  # several voices


def test_noise_is_by_the_seed_and_the_place_alone(clips: Samples) -> None:
    waves = voices(clips)

    def heard_with(seed: int, **options: Any) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = []

        def answer(wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:
            if index == 3:
                found.append(wave)
            return np.eye(8)[0]

        noise_curve(answer, clips, waves, rate_hz=RATE_HZ, seed=seed, ratios_db=(5.0,), **options)
        return found

    first, again, other = heard_with(1), heard_with(1), heard_with(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])
    assert np.array_equal(heard_with(1, kinds=("babble",))[1], first[2])


def test_one_speaker_cannot_babble(clips: Samples) -> None:
    alone = clips.take(clips.subjects == "01")
    assert can_babble(clips)
    assert not can_babble(alone)
    with pytest.raises(InputError, match="babble needs clips of two speakers, but ravdess has one"):
        noise_curve(lambda _w, _i: np.eye(8)[0], alone, voices(alone), rate_hz=RATE_HZ)
    curve = noise_curve(lambda _w, _i: np.eye(8)[0], alone, voices(alone), rate_hz=RATE_HZ, kinds=("white",))
    assert len(curve) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("pink",)}, "a kind of noise must be one of white, babble, telephone, reverberation, but got pink"),
        ({"kinds": ()}, "but got none"),
        ({"ratios_db": (np.nan,)}, "ratios_db"),
        ({"ratios_db": (1000.0,)}, "ratios_db"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"seed": -1}, "seed"),
        ({"waves": []}, "waves must be one for each of 16 clips, but got 0"),
        ({"waves": lambda _i: np.zeros(0, np.float32)}, r"wave 0 must be float32 of shape \(n,\) with n > 0"),
        ({"waves": lambda _i: np.zeros(9)}, "wave 0 must be float32"),
        ({"answer": lambda _w, _i: np.zeros(3)}, "a prediction must be 8 numbers"),
        ({"answer": lambda _w, _i: np.full(8, np.nan)}, "a prediction must be 8 numbers"),
    ],
)
def test_arguments_that_make_no_sense(clips: Samples, options: dict[str, Any], message: str) -> None:
    words = {"answer": lambda _w, _i: np.eye(8)[0], "waves": voices(clips), "rate_hz": RATE_HZ} | options
    answer, waves = words.pop("answer"), words.pop("waves")
    with pytest.raises(InputError, match=message):
        noise_curve(answer, clips, waves, **words)


def test_clips_must_have_labels(clips: Samples) -> None:
    none = replace(clips, labels=np.full(len(clips), -1))
    with pytest.raises(InputError, match="clips that all have a label"):
        noise_curve(lambda _w, _i: np.eye(8)[0], none, voices(none), rate_hz=RATE_HZ)


def test_a_model_hears_less_in_more_noise(tmp_path: Path) -> None:
    write_ravdess(tmp_path, lambda _actor, truth, _intensity: truth, actors=(1, 2))
    listed = load_dataset("ravdess", tmp_path)
    answers = predict(Planted(), listed.take(np.arange(0, 120, 5)))
    curve = model_noise_curve(Planted(), answers, kinds=("white",), ratios_db=(20.0, -40.0))
    assert [entry.accuracy for entry in curve[:2]] == [1, 1]
    assert curve[2].accuracy < 0.5


def test_a_model_of_faces_hears_nothing(clips: Samples) -> None:
    answers = Predictions.from_probabilities(clips, np.eye(8)[clips.labels], model="m", output="ravdess8")
    deaf = Planted(replace(record(), sound=None, task="face-emotion"))
    with pytest.raises(ModelError, match="model 'planted-speech' is for face-emotion, not for speech-emotion"):
        model_noise_curve(deaf, answers)


def test_recordings_stay_in_memory_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ravdess(tmp_path, lambda _a, truth, _i: truth, actors=(1,))
    listed = load_dataset("ravdess", tmp_path)
    monkeypatch.setattr("mien.evaluate.noise._HELD_SAMPLES", 3200 * 2)
    waves = Waves(listed, rate_hz=RATE_HZ)
    first = waves(0)
    assert waves(0) is first
    waves(1)
    waves(2)
    assert waves(0) is not first
    assert len(waves._held) == 2
    Path(listed.where(5)).unlink()
    with pytest.raises(DatasetError, match="03-01-"):
        waves(5)


def noise_figures(kind: str, ratio_db: float | None, share: float, intervals: dict[str, Interval]) -> NoiseFigures:
    common = {"n": 9, "n_subjects": 3, "accuracy": share, "uar": share}
    return NoiseFigures(kind=kind, ratio_db=ratio_db, intervals=intervals, **common)  # type: ignore[arg-type]


def test_the_chart(tmp_path: Path) -> None:
    ends = {"uar": Interval(0.4, 0.6), "accuracy": Interval(0.4, 0.6)}
    figures = [noise_figures("clean", None, 0.7, ends)]
    figures += [noise_figures("white", r, 0.5, {} if r == 5 else ends) for r in (20.0, 5.0)]
    (tmp_path / "a.png").write_bytes(noise_chart(figures))
    assert min(image_size(tmp_path / "a.png")) > 300
    assert noise_chart(figures) == noise_chart(figures)
    with pytest.raises(InputError, match="at least one figure"):
        noise_chart([])


@pytest.mark.data
def test_the_ratio_holds_over_real_speech(data_dir: Path) -> None:
    listed = load_dataset("ravdess", data_dir / "ravdess_speech_16k")
    some = listed.take(np.arange(0, len(listed), 61))
    waves = Waves(some, rate_hz=RATE_HZ)
    ratios: list[float] = []
    is_cut: list[bool] = []

    def answer(wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:
        clean = waves(index).astype(np.float64)
        begin, end = speech_bounds(waves(index), rate_hz=RATE_HZ, pad_s=0.0)
        added = wave - clean
        if added.any() and np.abs(wave).max() < 1:  # not the clean one, nor one that was turned down
            ratios.append(10 * np.log10((clean[begin:end] ** 2).mean() / (added[begin:end] ** 2).mean()))
            is_cut.append(end - begin < len(wave))
        return np.eye(8)[some.labels[index]]

    noise_curve(answer, some, waves, rate_hz=RATE_HZ, ratios_db=(10.0,))
    assert len(ratios) > 30
    assert max(abs(ratio - 10) for ratio in ratios) < 0.05
    # The silence around does not count; of a faint recording, the room may be taken for speech.
    assert np.mean(is_cut) > 0.9


def test_lines_and_rooms_are_measured_without_a_ratio(clips: Samples) -> None:
    waves = voices(clips)
    heard: dict[int, list[NDArray[np.float32]]] = {index: [] for index in range(len(clips))}

    def answer(wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:
        heard[index].append(wave)
        return np.eye(8)[clips.labels[index]]

    curve = noise_curve(answer, clips, waves, rate_hz=RATE_HZ, kinds=("telephone", "white", "reverberation"))
    assert [(e.kind, e.ratio_db) for e in curve] == [
        ("clean", None),
        ("telephone", None),
        *(("white", r) for r in (20, 10, 5, 0)),
        ("reverberation", None),
    ]
    np.testing.assert_array_equal(heard[0][1], telephone(waves[0], rate_hz=RATE_HZ))
    assert heard[0][6].shape == waves[0].shape
    assert np.abs(heard[0][6] - waves[0]).max() > 0.01
    assert noise_chart(curve).startswith(b"\x89PNG")
