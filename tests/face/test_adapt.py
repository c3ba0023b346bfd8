"""Adaptation to unlabeled faces: the bias in closed form, a planted preference that it removes, and the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien import FaceAnalyzer
from mien.errors import InputError, ModelError
from mien.face.adapt import NEUTRAL_FACE, adapt, baseline_bias, subtract_bias, write_adapted
from mien.labels import FER7, FERPLUS8, LabelSet
from mien.models import ModelSpec, registry, store
from mien.models.emotion import softmax


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return registry.get("face-base")


def planted(spec: ModelSpec, n: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {o.name: softmax(generator.normal(0, 2, (n, len(o.labels)))) for o in spec.outputs}


def test_the_bias_is_the_share_of_the_mean_log_probabilities(spec: ModelSpec) -> None:
    p = planted(spec, 60)
    for output in adapt(spec, p, strength=0.5, prior_faces=30).outputs:
        logs = np.log(p[output.name]).mean(axis=0)
        expected = 0.5 * 60 / 90 * output.temperature * (logs - logs.mean())
        assert output.bias == pytest.approx(expected, abs=1e-9)


def test_a_planted_preference_for_one_emotion_is_removed(spec: ModelSpec) -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 7, 4000)
    logits = generator.normal(0, 1, (4000, 7)) + 2 * np.eye(7)[truth]
    logits[:, 6] += 2
    output = spec.output("fer7")
    p = planted(spec, len(truth)) | {"fer7": softmax(logits)}
    bias = np.array(adapt(spec, p, strength=1, prior_faces=0).output("fer7").bias) / output.temperature
    assert bias[6] - bias[:6].mean() == pytest.approx(2, abs=0.1)
    right, was = ((logits - bias).argmax(axis=1) == truth).mean(), (logits.argmax(axis=1) == truth).mean()
    assert right > was + 0.1


def test_strength_zero_changes_no_prediction(spec: ModelSpec) -> None:
    assert all(not any(output.bias) for output in adapt(spec, planted(spec), strength=0).outputs)


def test_an_adapted_model_can_be_adapted_again(spec: ModelSpec) -> None:
    once = adapt(spec, planted(spec))
    twice = adapt(once, planted(spec))
    assert np.array(twice.outputs[0].bias) == pytest.approx(2 * np.array(once.outputs[0].bias))


@pytest.mark.parametrize(
    ("change", "more", "match"),
    [
        ({"fer7": np.zeros((0, 7))}, {}, "'fer7' must be of shape .* at least one face"),
        ({"fer7": np.full((2, 8), 1 / 8)}, {}, r"are of \(2, 8\)"),
        ({"fer7": np.full((2, 7), np.nan)}, {}, "probabilities of 'fer7'"),
        ({}, {"strength": 1.5}, "strength"),
        ({}, {"prior_faces": -1}, "prior_faces"),
    ],
)
def test_what_is_no_prediction_is_refused(
    spec: ModelSpec, change: dict[str, Any], more: dict[str, float], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        adapt(spec, planted(spec) | change, **more)


def test_the_written_model_subtracts_the_bias(spec: ModelSpec, tmp_path: Path) -> None:
    adapted = adapt(spec, planted(spec))
    written = write_adapted(adapted, tmp_path / "my-camera.toml")
    store.verify(written)
    assert (written.name, written.results) == ("my-camera", ())
    assert written.training["adapted"]["faces"] == 60
    crops = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    before, after = FaceAnalyzer(spec, threads=1), FaceAnalyzer(tmp_path / "my-camera.toml", threads=1)
    for name, logits in before.logits(crops).items():
        bias = np.array(adapted.output(name).bias)
        assert after.logits(crops)[name] == pytest.approx(logits - bias, abs=1e-4)


@pytest.mark.parametrize("name", ["camera", "camera.json"])
def test_a_record_needs_its_suffix(spec: ModelSpec, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"NAME\.toml"):
        write_adapted(adapt(spec, planted(spec)), tmp_path / name)


def test_the_name_must_be_one(spec: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="name"):
        write_adapted(adapt(spec, planted(spec)), tmp_path / "my camera.toml")
    assert not list(tmp_path.iterdir())


def test_a_face_like_the_baseline_reads_like_a_neutral_face() -> None:
    sad = softmax(np.random.default_rng(0).normal(0, 1, (5, 8)) + 3 * np.eye(8)[FERPLUS8.index("sadness")])
    resting = np.exp(np.log(sad).mean(axis=0))
    found = subtract_bias(resting / resting.sum(), baseline_bias(sad, FERPLUS8, strength=1))
    typical = np.array([NEUTRAL_FACE[emotion] for emotion in FERPLUS8])
    assert found == pytest.approx(typical / typical.sum(), abs=1e-9)
    assert found.argmax() == FERPLUS8.index("neutral")
    assert subtract_bias(sad, baseline_bias(sad, FERPLUS8, strength=0)) == pytest.approx(sad, abs=1e-9)


def test_a_planted_shift_of_a_person_is_taken_away() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 7, 3000)
    typical = np.log([NEUTRAL_FACE[emotion] for emotion in FER7])
    logits = generator.normal(0, 1, (3000, 7)) + 2 * np.eye(7)[truth]
    shift = np.array([2.0, 0, 0, -1, 1.5, 0, 0])
    resting = softmax(typical + shift + generator.normal(0, 0.3, (200, 7)))
    bias = baseline_bias(resting, FER7, strength=1)
    assert bias - bias.mean() == pytest.approx(shift - shift.mean(), abs=0.1)
    shifted = softmax(logits + shift)
    plain = (logits.argmax(axis=1) == truth).mean()
    assert (shifted.argmax(axis=1) == truth).mean() < plain - 0.1
    assert (subtract_bias(shifted, bias).argmax(axis=1) == truth).mean() == pytest.approx(plain, abs=0.01)


def test_a_baseline_needs_neutral_and_a_strength_from_0_to_1() -> None:
    with pytest.raises(InputError, match="needs the emotion neutral, which x does not have"):
        baseline_bias([[0.5, 0.5]], LabelSet("x", ("anger", "fear")))
    with pytest.raises(InputError, match="baseline_strength"):
        baseline_bias([[1 / 7] * 7], FER7, strength=1.5)
