"""The evaluation of fusions: pairs without leaks, weights against planted truth, figures that add up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from face_tables import table_samples
from mien.data import Samples
from mien.data.samples import Row
from mien.errors import DatasetError, InputError
from mien.evaluate.fusion import CONDITIONS, SIMULATION, TYPICAL, evaluate_fusion, fit_all, write_fusion_report
from mien.evaluate.fusion_fit import Evidence, fit_experts, minimize
from mien.evaluate.fusion_pairs import (
    FACE_CASES,
    SMALL_PX,
    VOICE_CASES,
    Material,
    ModalityPredictions,
    common_labels,
    image_folds,
    predict_faces,
    predict_voices,
    simulate_pairs,
)
from mien.fusion import experts
from mien.labels import BAUM8, FER7, FERPLUS8, RAVDESS8
from speech_mixtures import voiced

FLAT = np.full(7, 1 / 7)


def test_labels_become_the_common_seven() -> None:
    for labels in (RAVDESS8, FERPLUS8, BAUM8, FER7):
        found = common_labels(np.array([*range(len(labels)), -1]), labels)
        for emotion, place in zip(labels.emotions, found.tolist(), strict=False):
            word = {"calm": "neutral"}.get(emotion, emotion)
            assert place == (FER7.emotions.index(word) if word in FER7.emotions else -1)
        assert found[-1] == -1


def face_data(n: int = 140, *, copies: int = 20) -> tuple[Samples, np.ndarray]:
    """Return images of noise, the last ones copies of the first: identical, or a little brighter."""
    random = np.random.default_rng(0)
    images = random.integers(30, 200, (n, 48, 48)).astype(np.uint8)
    images[-copies::2] = images[: copies // 2]
    images[-copies + 1 :: 2] = images[: copies // 2] + 3
    labels = np.arange(n) % 7
    return table_samples(images, labels), labels


def test_copies_and_near_copies_of_an_image_are_in_one_fold() -> None:
    data, labels = face_data()
    fold = image_folds(data, labels, 4)
    assert sorted(set(fold.tolist())) == [0, 1, 2, 3]
    np.testing.assert_array_equal(fold[-20::2], fold[:10])
    np.testing.assert_array_equal(fold[-19::2], fold[:10])


@pytest.mark.parametrize("contradict", [False, True])
@pytest.mark.parametrize("length", [1, 3])
def test_pairs_stay_within_their_fold_and_their_emotion(length: int, contradict: bool) -> None:
    random = np.random.default_rng(1)
    face_labels, face_fold = random.integers(-1, 7, 900), random.integers(0, 3, 900)
    voice_labels, voice_fold = random.integers(-1, 7, 200), random.integers(0, 3, 200)
    pairs = simulate_pairs(face_labels, face_fold, voice_labels, voice_fold, length=length, contradict=contradict)
    assert len(pairs) == (voice_labels >= 0).sum()
    assert pairs.length == length
    np.testing.assert_array_equal(face_labels[pairs.images], np.tile(pairs.face[:, None], length))
    np.testing.assert_array_equal(voice_labels[pairs.clips], pairs.voice)
    np.testing.assert_array_equal(face_fold[pairs.images], np.tile(pairs.fold[:, None], length))
    np.testing.assert_array_equal(voice_fold[pairs.clips], pairs.fold)
    assert ((pairs.face == pairs.voice).all(), (pairs.face != pairs.voice).all()) == (not contradict, contradict)
    assert all(len(set(row)) == length for row in pairs.images.tolist())
    again = simulate_pairs(face_labels, face_fold, voice_labels, voice_fold, length=length, contradict=contradict)
    np.testing.assert_array_equal(again.images, pairs.images)


def test_too_few_images_are_named() -> None:
    with pytest.raises(DatasetError, match="fold 1 has 2 images of happiness: pairs of 3 need as many"):
        simulate_pairs(np.array([3, 3]), np.zeros(2, int), np.array([3]), np.zeros(1, int), length=3)


def test_the_search_finds_the_minimum_that_scipy_finds() -> None:
    def banana(x: np.ndarray) -> float:
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    np.testing.assert_allclose(minimize(banana, np.array([-1.2, 1.0])), [1, 1], atol=1e-4)
    random = np.random.default_rng(2)
    a, y = random.normal(size=(60, 4)), random.integers(0, 2, 60)

    def logistic(x: np.ndarray) -> float:
        return float(np.logaddexp(0, (1 - 2 * y) * (a @ x)).mean() + 0.01 * (x**2).sum())

    expected = optimize.minimize(logistic, np.zeros(4)).x
    np.testing.assert_allclose(minimize(logistic, np.zeros(4)), expected, atol=1e-4)


def witnesses(n: int, *, seed: int, sure: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return what a calibrated witness says of `n` items, and their truth: posteriors of planted normal marks."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 7, n)
    marks = random.normal(size=(n, 7)) + sure * np.eye(7)[truth]
    raised = np.exp(sure * marks - (sure * marks).max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True), truth


def probabilities_of(truth: np.ndarray, *, seed: int, sure: float = 1.5) -> np.ndarray:
    random = np.random.default_rng(seed)
    marks = random.normal(size=(len(truth), 7)) + sure * np.eye(7)[truth]
    raised = np.exp(sure * marks - (sure * marks).max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def test_calibrated_independent_witnesses_are_trusted_as_they_are() -> None:
    face, truth = witnesses(2500, seed=3)
    voice = probabilities_of(truth, seed=4)
    best = {"width_px": np.full(2500, 48.0), "sharpness": np.full(2500, 1.0), "seen_s": np.full(2500, 3.0)}
    received = {"speech_s": np.full(2500, 3.0), "snr_db": np.full(2500, 50.0)}
    evidence = Evidence(face, voice, best, received, truth, np.ones(2500))
    weights = fit_experts(evidence, priors=(FLAT, FLAT), typical=TYPICAL)
    found = experts({"face": face, "voice": voice}, weights=weights, quality={"face": best, "voice": received})
    assert found.weights["face"].mean() == pytest.approx(1, abs=0.15)
    assert found.weights["voice"].mean() == pytest.approx(1, abs=0.15)
    ideal = face * voice / (face * voice).sum(axis=1, keepdims=True)
    assert np.abs(found.probabilities - ideal).mean() < 0.01


def test_a_side_whose_quality_tells_that_it_knows_nothing_loses_its_say() -> None:
    """Half of the voices are of other items, and their ratio is low: the fit must find that the ratio tells."""
    n = 2500
    face, truth = witnesses(n, seed=5)
    voice, poor = probabilities_of(truth, seed=6), np.arange(n) % 2 == 0
    voice[poor] = np.roll(voice[poor], 7, axis=0)
    random = np.random.default_rng(7)
    ratio = np.where(poor, random.uniform(-15, 0, n), random.uniform(25, 45, n))
    evidence = Evidence(face, voice, {}, {"snr_db": ratio}, truth, np.ones(n))
    weights = fit_experts(evidence, priors=(FLAT, FLAT), typical=TYPICAL)
    trusted = experts({"face": face, "voice": voice}, weights=weights, quality={"voice": {"snr_db": ratio}}).weights[
        "voice"
    ]
    assert trusted[poor].mean() < 0.12
    assert trusted[~poor].mean() > 0.8
    assert weights == fit_experts(evidence, priors=(FLAT, FLAT), typical=TYPICAL)


def test_nothing_to_fit_to_is_rejected() -> None:
    none = np.zeros((0, 7))
    with pytest.raises(InputError, match="weights need at least one pair to be fitted to"):
        fit_experts(Evidence(none, none, {}, {}, np.zeros(0, int), np.zeros(0)), priors=(FLAT, FLAT), typical=TYPICAL)


def planted_material(*, folds: int = 2) -> Material:
    """Return answers of calibrated witnesses: degraded cases know less, noise alone knows nothing."""
    random = np.random.default_rng(8)
    face_labels, voice_labels = random.integers(0, 7, 560), random.integers(0, 7, 240)
    face_fold, speakers = np.arange(560) % folds, np.arange(240) % 12
    sure = {"clean": 1.6, "blurred": 0.8, "small": 0.7, "white": 0.8, "babble": 0.5, "short": 0.8}
    width = {"small": 12.0}
    seen, found = {}, {}
    for number, case in enumerate(FACE_CASES):
        mixed = random.uniform(0.2, 1.6, 560)
        rows = np.array(
            [
                probabilities_of(face_labels[[i]], seed=1000 * number + i, sure=sure.get(case, mixed[i]))[0]
                for i in range(560)
            ]
        )
        sharp = np.full(560, {"clean": 0.6, "blurred": 0.02}.get(case, 0.1)) if case != "mixed" else 0.3 * mixed / 1.6
        seen[case] = ModalityPredictions(rows, {"width_px": np.full(560, width.get(case, 48.0)), "sharpness": sharp})
    for number, case in enumerate(VOICE_CASES):
        mixed = random.uniform(0.0, 1.6, 240)
        sures = [0.0 if case.startswith("only") else sure.get(case, mixed[i]) for i in range(240)]
        rows = np.array(
            [
                probabilities_of(voice_labels[[i]], seed=99999 + 1000 * number + i, sure=s)[0]
                for i, s in enumerate(sures)
            ]
        )
        ratio = np.array([40 * s / 1.6 - 10 for s in sures])
        knows = np.arange(240) % 3 > 0 if case == "mixed" else np.full(240, not case.startswith("only"))
        rows[~knows] = probabilities_of(random.integers(0, 7, int((~knows).sum())), seed=5 + number)
        ratio[~knows] = -10.0
        found[case] = ModalityPredictions(rows, {"speech_s": np.full(240, 2.0), "snr_db": ratio})
    return Material(
        seen, found, face_labels, voice_labels, face_fold, speakers % folds, speakers, FLAT.copy(), FLAT.copy()
    )


@pytest.fixture(scope="module")
def material() -> Material:
    return planted_material()


@pytest.fixture(scope="module")
def result(material: Material):  # type: ignore[no-untyped-def]
    return evaluate_fusion(material, lengths=(1, 2), resamples=100)


def test_the_figures_are_those_of_the_pairs(material: Material, result) -> None:  # type: ignore[no-untyped-def]
    pairs = material.pairs(1)
    face = material.faces["clean"].probabilities[pairs.images[:, 0]]
    voice = material.voices["babble"].probabilities[pairs.clips]
    found = result.of("babble at 0 dB", 1)
    assert found.n == 240
    assert found.method("face").accuracy == pytest.approx(np.mean(face.argmax(axis=1) == pairs.voice))
    assert found.method("voice").accuracy == pytest.approx(np.mean(voice.argmax(axis=1) == pairs.voice))
    assert found.method("average").accuracy == pytest.approx(np.mean((face + voice).argmax(axis=1) == pairs.voice))
    assert result.of("no face", 1).method("face") is None
    assert result.of("silence", 2).method("voice") is None
    assert result.of("all of these", 1).n == 240 * len(CONDITIONS)
    found = result.difference("clean", 1, "average")
    sides = result.of("clean", 1)
    assert found.value == pytest.approx(sides.method("experts").accuracy - sides.method("average").accuracy)
    assert found.interval.low <= found.value <= found.interval.high


def test_on_planted_witnesses_the_experts_do_what_they_are_for(result) -> None:  # type: ignore[no-untyped-def]
    assert result.difference("clean", 1).value > 0.05
    for condition in ("no face", "silence"):
        assert result.difference(condition, 1).value == pytest.approx(0, abs=1e-9)
    for condition in ("white noise alone", "babble alone"):
        assert result.difference(condition, 1).value > -0.03
    for rule in ("average", "most_confident", "rule_table"):
        assert result.difference("all of these", 1, rule).value > 0
    assert result.of("all of these", 1).method("experts").ece_above_floor < 0.05


def test_weights_of_a_fold_know_nothing_of_it(material: Material, result) -> None:  # type: ignore[no-untyped-def]
    """Whatever images and speakers of a fold say, the weights that answer about them stay the same."""
    random = np.random.default_rng(9)
    changed = {}
    for side, fold in (("faces", material.face_fold), ("voices", material.voice_fold)):
        cases = {}
        for case, found in getattr(material, side).items():
            rows = found.probabilities.copy()
            rows[fold == 1] = random.dirichlet(np.ones(7), int((fold == 1).sum()))
            cases[case] = ModalityPredictions(rows, found.quality)
        changed[side] = cases
    other = replace(material, **changed)
    assert fit_all(other, lengths=(1, 2), but=1) == result.fold_weights[1]
    assert fit_all(other, lengths=(1, 2), but=0) != result.fold_weights[0]


def test_contradictions_tell_whom_each_follows(result) -> None:  # type: ignore[no-untyped-def]
    by_name = {c.name: c for c in result.contradictions[0]}
    assert by_name["face"].follows_face > by_name["face"].follows_voice
    assert by_name["voice"].follows_voice > by_name["voice"].follows_face
    for c in by_name.values():
        assert 0 <= c.follows_face + c.follows_voice <= 1 + 1e-12


def test_reports_say_that_it_is_a_simulation(result, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = result.to_text()
    assert SIMULATION in text
    for condition in CONDITIONS:
        assert condition in text
    data = json.loads(json.dumps(result.to_dict()))
    assert data["simulation"] is True
    assert data["note"] == SIMULATION
    assert len(data["figures"]) == 2 * (len(CONDITIONS) + 1)
    write_fusion_report(tmp_path / "report", result, command="mien evaluate --fusion experts")
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert SIMULATION in page
    assert "mien evaluate --fusion experts" in page
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8")) == data


def test_one_fold_is_no_examination(material: Material) -> None:
    alone = replace(material, voice_fold=np.zeros(240, int), face_fold=np.zeros(560, int))
    with pytest.raises(DatasetError, match="needs clips in two folds at least"):
        evaluate_fusion(alone, lengths=(1,))


@pytest.mark.parametrize("case", FACE_CASES)
def test_images_are_shown_as_the_case_says(case: str) -> None:
    data, _ = face_data()
    seen = []

    def predict(crops: np.ndarray) -> np.ndarray:
        seen.append(crops)
        return np.tile(FLAT, (len(crops), 1))

    found = predict_faces(predict, data, case)
    crops = np.concatenate(seen)
    assert crops.shape == data.images.shape
    changed = (crops != data.images).any(axis=(1, 2))
    assert found.probabilities.shape == (140, 7)
    if case == "clean":
        assert not changed.any()
    if case == "small":
        assert (found.quality["width_px"] == SMALL_PX).all()
        assert changed.all()
    if case == "blurred":
        assert (found.quality["sharpness"] < 0.3).all()  # noise has 20
    if case == "mixed":
        assert 0.4 < changed.mean() < 0.9


def clip_list(n: int) -> Samples:
    rows = [Row(f"{i}.wav", FER7.emotions[i % 7], f"{i % 4:02d}", f"{i}.wav") for i in range(n)]
    return Samples.from_rows(rows, name="made", kind="audio", source="nowhere", label_set=FER7)


@pytest.mark.parametrize("case", VOICE_CASES)
def test_recordings_are_played_as_the_case_says(case: str) -> None:
    clips = clip_list(8)
    waves = []
    for i in range(8):
        wave = np.zeros(3 * 16000, np.float32)
        wave[16000:40000] = voiced(24000, np.random.default_rng(i))
        waves.append(wave)
    received: dict[int, np.ndarray] = {}

    def predict(wave: np.ndarray, index: int) -> np.ndarray:
        received[index] = wave
        return FLAT

    found = predict_voices(predict, clips, lambda i: waves[i], case, rate_hz=16000)
    same = [len(received[i]) == len(waves[i]) and bool((received[i] == waves[i]).all()) for i in range(8)]
    ratio = found.quality["snr_db"]
    if case == "clean":
        assert all(same)
        assert (ratio > 40).all()
    elif case == "short":
        assert all(len(received[i]) < len(waves[i]) for i in range(8))
    elif case == "mixed":
        assert not all(same)
    else:
        assert not any(same)
        assert np.nanmax(ratio) < 20
    again = predict_voices(predict, clips, lambda i: waves[i], case, rate_hz=16000)
    np.testing.assert_array_equal(again.quality["snr_db"], ratio)


def test_answers_that_are_none_are_rejected() -> None:
    data, _ = face_data(14, copies=2)
    with pytest.raises(InputError, match="predictions must be distributions over 7 emotions, but got"):
        predict_faces(lambda crops: np.zeros((len(crops), 7)), data, "clean")
    with pytest.raises(InputError, match="case must be one of clean, blurred, small, mixed, but got 'dark'"):
        predict_faces(lambda crops: crops, data, "dark")
    with pytest.raises(InputError, match="case must be one of clean, white"):
        predict_voices(lambda w, _: w, clip_list(4), lambda _: np.zeros(9, np.float32), "loud", rate_hz=16000)
