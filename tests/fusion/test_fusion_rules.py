"""Rules of fusion from their definitions, on every combination of what face and voice can say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mien.errors import InputError
from mien.fusion import Fused, average, most_confident, rule_table
from mien.labels import FER7

COMBINATIONS = list(product(FER7.emotions, FER7.emotions))
OVERRULES = {"anger", "fear", "surprise", "disgust", "sadness"}


def said(emotion: str, share: float) -> np.ndarray:
    return np.where(np.array(FER7.emotions) == emotion, share, (1 - share) / 6)


def pair(face: np.ndarray, voice: np.ndarray) -> dict[str, np.ndarray]:
    return {"face": face, "voice": voice}


def one(fused: Fused) -> tuple[np.ndarray, float, float]:
    return fused.probabilities[0], float(fused.weights["face"][0]), float(fused.weights["voice"][0])


@pytest.mark.parametrize(("face", "voice"), COMBINATIONS)
def test_the_rule_table_word_by_word(face: str, voice: str) -> None:
    f, v = said(face, 0.6), said(voice, 0.4)
    p, of_face, of_voice = one(rule_table(pair(f[None], v[None])))
    if face == voice:
        expected, weights, top = (f + v) / 2, (0.5, 0.5), face
    elif voice in OVERRULES:
        expected, weights, top = v, (0.0, 1.0), voice
    else:
        expected, weights, top = f, (1.0, 0.0), face
    np.testing.assert_allclose(p, expected)
    assert (of_face, of_voice) == weights
    assert FER7.emotions[p.argmax()] == top


@pytest.mark.parametrize(("face", "voice"), COMBINATIONS)
@pytest.mark.parametrize(("sure_face", "sure_voice"), [(0.6, 0.4), (0.4, 0.6), (0.5, 0.5)])
def test_the_more_confident_wins(face: str, voice: str, sure_face: float, sure_voice: float) -> None:
    f, v = said(face, sure_face), said(voice, sure_voice)
    p, of_face, of_voice = one(most_confident(pair(f[None], v[None])))
    face_wins = sure_face >= sure_voice
    np.testing.assert_allclose(p, f if face_wins else v)
    assert (of_face, of_voice) == ((1.0, 0.0) if face_wins else (0.0, 1.0))


def test_the_average_is_the_mean() -> None:
    random = np.random.default_rng(0)
    f, v = random.dirichlet(np.ones(7), (2, 50))
    fused = average(pair(f, v))
    np.testing.assert_allclose(fused.probabilities, (f + v) / 2)
    assert (fused.weights["face"] == 0.5).all()
    assert (fused.weights["voice"] == 0.5).all()


@pytest.mark.parametrize("rule", [average, most_confident, rule_table])
def test_what_is_missing_leaves_the_other(rule) -> None:  # type: ignore[no-untyped-def]
    f, v, none = said("happiness", 0.5), said("anger", 0.9), np.full(7, np.nan)
    fused = rule(pair(np.stack([f, none, none]), np.stack([none, v, none])))
    np.testing.assert_allclose(fused.probabilities[:2], [f, v])
    assert np.isnan(fused.probabilities[2]).all()
    assert fused.weights["face"].tolist() == [1, 0, 0]
    assert fused.weights["voice"].tolist() == [0, 1, 0]


def test_a_third_modality_counts_like_the_others() -> None:
    random = np.random.default_rng(1)
    face, voice, text = random.dirichlet(np.ones(7), (3, 20))
    text[:5] = np.nan
    shares = {"face": face, "voice": voice, "text": text}
    mean = average(shares)
    np.testing.assert_allclose(mean.probabilities, np.nanmean([face, voice, text], axis=0))
    assert mean.weights["text"].tolist() == [0.0] * 5 + [1 / 3] * 15
    surest = most_confident(shares)
    best = np.nanargmax([rows.max(axis=1) for rows in (face, voice, text)], axis=0)
    np.testing.assert_array_equal(np.argmax([surest.weights[name] for name in shares], axis=0), best)
    with pytest.raises(InputError, match="the rule table is for face and voice, but got face, voice, text"):
        rule_table(shares)


@pytest.mark.parametrize("rule", [average, most_confident, rule_table])
def test_nothing_in_nothing_out(rule) -> None:  # type: ignore[no-untyped-def]
    assert rule(pair(np.zeros((0, 7)), np.zeros((0, 7)))).probabilities.shape == (0, 7)


def test_what_is_no_distribution_is_refused() -> None:
    f = said("fear", 0.5)[None]
    with pytest.raises(InputError, match=r"face and voice must be of one shape \(n, 7\), but got face: float64 of"):
        average(pair(f, f[:, :6]))
    with pytest.raises(InputError, match="the rows of the voice must be distributions: not negative, with a sum of 1"):
        average(pair(f, 2 * f))
    with pytest.raises(InputError, match="the rows of the face must be distributions"):
        rule_table(pair(np.array([[1.5, -0.5, 0, 0, 0, 0, 0]]), f))
    half = f.copy()
    half[0, 2] = np.nan
    with pytest.raises(InputError, match="a row of the voice must be a distribution, or all NaN where it is missing"):
        most_confident(pair(f, half))
