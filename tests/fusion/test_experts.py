"""The product of experts against Bayes' rule, in its limits, and its record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mien.errors import InputError
from mien.fusion import ExpertWeights, Fused, experts, shipped_weights
from mien.fusion.experts import FACE_MEASURES, LEAST, VOICE_MEASURES, Expert, reliability
from mien.labels import FER7, FERPLUS8
from mien.models import registry

SURE = 60.0  # a bias at which a reliability is 1 to the last digit
FLAT = tuple([1 / 7] * 7)


def weights(
    *, prior: tuple[float, ...] = FLAT, bias: float = SURE, slope: float = 0.0, t: float = 1.0
) -> ExpertWeights:
    def side(measures: dict[str, object], usual: float) -> Expert:
        return Expert(1.0, bias, dict.fromkeys(measures, slope), dict.fromkeys(measures, usual))

    sides = {"face": side(FACE_MEASURES, 1.0), "voice": side(VOICE_MEASURES, 1.0)}
    return ExpertWeights(prior, sides, t)


def fuse_pair(face: Any, voice: Any, **options: Any) -> Fused:
    quality = {name: options.pop(f"{name}_quality", {}) for name in ("face", "voice")}
    return experts({"face": face, "voice": voice}, quality=quality, **options)


def test_two_independent_witnesses_follow_bayes_rule() -> None:
    """Likelihoods are planted; each side sees its own posterior, and the product must be the posterior of both."""
    random = np.random.default_rng(1)
    prior = random.dirichlet(np.full(7, 5.0))
    seen, heard = random.dirichlet(np.full(7, 2.0), (2, 200))
    face, voice, both = (p / p.sum(axis=1, keepdims=True) for p in (prior * seen, prior * heard, prior * seen * heard))
    found = fuse_pair(face, voice, weights=weights(prior=tuple(prior)))
    kept = (np.minimum(face, voice) > LEAST).all(axis=1)
    np.testing.assert_allclose(found.probabilities[kept], both[kept], rtol=1e-9)
    assert kept.sum() > 100
    np.testing.assert_allclose(found.weights["face"], 1)


def test_one_side_alone_is_left_as_it_is() -> None:
    random = np.random.default_rng(2)
    p = random.dirichlet(np.full(7, 3.0), 20)
    none = np.full_like(p, np.nan)
    known = weights(prior=tuple(random.dirichlet(np.full(7, 5.0))), t=2.0)
    np.testing.assert_allclose(fuse_pair(p, none, weights=known).probabilities, np.maximum(p, LEAST), atol=1e-3)
    np.testing.assert_allclose(fuse_pair(none, p, weights=known).probabilities, np.maximum(p, LEAST), atol=1e-3)
    assert np.isnan(fuse_pair(none, none, weights=known).probabilities).all()
    assert not fuse_pair(none, none, weights=known).weights["face"].any()


def test_a_poor_side_fades_out_and_the_other_is_left() -> None:
    random = np.random.default_rng(3)
    face, voice = random.dirichlet(np.full(7, 3.0), (2, 30))
    known = weights(bias=4.0, slope=2.0)
    worst = fuse_pair(
        face, voice, weights=known, voice_quality={"snr_db": np.full(30, -1e9), "speech_s": np.full(30, 3.0)}
    )
    alone = fuse_pair(face, np.full_like(face, np.nan), weights=known)
    np.testing.assert_allclose(worst.weights["voice"], 0, atol=1e-12)
    np.testing.assert_allclose(worst.probabilities, alone.probabilities, atol=1e-9)
    no_width = fuse_pair(face, voice, weights=known, face_quality={"width_px": np.zeros(30)})
    assert (no_width.weights["face"] == 0).all()


def test_two_poor_sides_say_nothing() -> None:
    face = voice = np.array([[0.94, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]])
    worst = fuse_pair(
        face, voice, weights=weights(bias=4, slope=2), face_quality={"sharpness": 0.0}, voice_quality={"speech_s": 0.0}
    )
    np.testing.assert_allclose(worst.probabilities, 1 / 7)


@pytest.mark.parametrize(
    ("side", "name", "values"),
    [
        ("face", "width_px", [0, 6, 12, 24, 48, 300]),
        ("face", "sharpness", [0, 0.01, 0.1, 0.3, 5]),
        ("face", "seen_s", [0, 0.2, 1, 3, 100]),
        ("voice", "speech_s", [0, 0.3, 1, 3, 60]),
        ("voice", "snr_db", [-20, 0, 10, 40, 60]),
    ],
)
def test_reliability_grows_with_quality_within_its_bounds(side: str, name: str, values: list[float]) -> None:
    measures = FACE_MEASURES if side == "face" else VOICE_MEASURES
    expert = replace(weights(bias=1.0, slope=0.7).experts[side], most=1.3)
    found = reliability(expert, measures, {name: np.array(values, float)}, len(values))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= 1.3
    assert found[-1] == found[-2] or values[-2] < measures[name].best  # nothing beyond the best is better


def test_transfer_is_what_is_left_of_a_reliability() -> None:
    whole = Expert(1.2, 0.5, dict.fromkeys(VOICE_MEASURES, 0.8), {"speech_s": 2.0, "snr_db": 15.0})
    values = {"speech_s": [0.5, 3.0]}
    known = reliability(whole, VOICE_MEASURES, values, 2)
    np.testing.assert_allclose(reliability(replace(whole, transfer=0.3), VOICE_MEASURES, values, 2), 0.3 * known)
    with pytest.raises(InputError, match="transfer must be a number"):
        replace(whole, transfer=1.5)


def test_what_was_not_measured_is_typical() -> None:
    expert = Expert(1.0, 0.5, dict.fromkeys(VOICE_MEASURES, 0.8), {"speech_s": 2.0, "snr_db": 15.0})
    measured = reliability(expert, VOICE_MEASURES, {"speech_s": np.array([2.0]), "snr_db": np.array([15.0])}, 1)
    for quality in ({}, {"snr_db": np.array([np.nan])}, {"snr_db": np.nan, "speech_s": 2.0}):
        np.testing.assert_array_equal(reliability(expert, VOICE_MEASURES, quality, 1), measured)


def test_a_temperature_makes_only_answers_of_both_less_sure() -> None:
    face = np.array([[0.7, *[0.05] * 6]])
    cold, warm = (fuse_pair(face, face, weights=weights(t=t)).probabilities for t in (1.0, 1.5))
    assert warm.max() < cold.max()
    assert warm.argmax() == cold.argmax()


def test_a_third_witness_follows_bayes_rule_with_an_expert_of_its_own() -> None:
    random = np.random.default_rng(4)
    prior = random.dirichlet(np.full(7, 5.0))
    likelihoods = random.dirichlet(np.full(7, 2.0), (3, 200))
    posteriors = [own / own.sum(axis=1, keepdims=True) for own in prior * likelihoods]
    shares = dict(zip(("face", "voice", "text"), posteriors, strict=True))
    known = weights(prior=tuple(prior))
    with pytest.raises(InputError, match="there is no expert for 'text': the weights have face, voice"):
        experts(shares, weights=known)
    whole = ExpertWeights(known.prior, {**known.experts, "text": Expert(1.0, SURE, {}, {})})
    assert ExpertWeights.from_dict(whole.to_dict()).experts == whole.experts
    found = experts(shares, weights=whole, quality={"text": {"speech_s": np.ones(200)}})
    expected = prior * likelihoods.prod(axis=0)
    expected /= expected.sum(axis=1, keepdims=True)
    kept = np.min(posteriors, axis=(0, 2)) > LEAST
    np.testing.assert_allclose(found.probabilities[kept], expected[kept], rtol=1e-9)
    assert kept.sum() > 100


def test_the_shipped_weights_are_whole_and_fitted() -> None:
    spec = registry.get("fusion-experts")
    assert spec.task == "emotion-fusion"
    assert set(spec.fusion) == {"fer7", "ferplus8"}
    for name in spec.fusion:
        known = shipped_weights(name)
        assert ExpertWeights.from_dict(known.to_dict()) == known
        assert sum(known.prior) == pytest.approx(1)
    assert shipped_weights("baum8") == shipped_weights("ferplus8")
    assert shipped_weights("ravdess8") == shipped_weights("fer7")


def test_wrong_weights_are_refused() -> None:
    table = weights().to_dict()
    with pytest.raises(InputError, match="weights of a fusion must have 'voice', but have"):
        ExpertWeights.from_dict({k: v for k, v in table.items() if k != "voice"})
    with pytest.raises(InputError, match=r"weights of a fusion are malformed: .*unexpected keyword argument 'color'"):
        ExpertWeights.from_dict({**table, "face": {**table["face"], "color": 1}})
    with pytest.raises(InputError, match="slope of snr_db must be a number of at least 0, but got -1"):
        ExpertWeights.from_dict({**table, "voice": {**table["voice"], "slopes": {"speech_s": 1.0, "snr_db": -1.0}}})
    with pytest.raises(InputError, match="a prior must be 7 shares that sum to 1, but got"):
        ExpertWeights.from_dict({**table, "prior": [0.5] * 7})
    with pytest.raises(InputError, match="the face needs the measures width_px, sharpness, seen_s, but got speech_s"):
        ExpertWeights.from_dict({**table, "face": table["voice"]})
    with pytest.raises(InputError, match="must have the same measures"):
        Expert(1.0, 0.0, {"snr_db": 1.0}, {})
    with pytest.raises(InputError, match="most must be a number"):
        replace(weights().experts["face"], most=0)


def test_wrong_arguments_are_refused() -> None:
    p = np.full((2, 7), 1 / 7)
    with pytest.raises(InputError, match="unknown measure 'blur': expected width_px, sharpness, seen_s"):
        fuse_pair(p, p, weights=weights(), face_quality={"blur": 1.0})
    with pytest.raises(InputError, match="snr_db must have 2 values, but got float64 of shape"):
        fuse_pair(p, p, weights=weights(), voice_quality={"snr_db": np.zeros(3)})
    with pytest.raises(InputError, match="experts work in fer7, but got ferplus8"):
        fuse_pair(p, p, weights=weights(), labels=FERPLUS8)
    assert len(FER7) == 7
