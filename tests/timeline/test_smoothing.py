"""Smoothing over time against the plain sum over all pairs of times."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from mien.errors import InputError
from mien.timeline import Smoother, certainty, smooth
from mien.timeline.smoothing import LEAST, LEAST_CERTAINTY


def course(n: int = 40, k: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.uniform(0.01, 0.6, n)), rng.dirichlet(np.full(k, 0.4), n), rng.uniform(0.1, 2, n)


def by_pairs(times: np.ndarray, shares: np.ndarray, weights: np.ndarray, tau_s: float, past_only: bool) -> np.ndarray:
    logs = np.log(np.maximum(shares, LEAST))
    rows = []
    for i in range(len(times)):
        kernel = weights * np.exp(-np.abs(times - times[i]) / tau_s)
        if past_only:
            kernel[i + 1 :] = 0
        rows.append(softmax((kernel[:, None] * logs).sum(axis=0) / kernel.sum()))
    return np.array(rows)


@pytest.mark.parametrize("tau_s", [0.05, 0.5, 20.0])
def test_it_is_the_weighted_mean_of_logarithms(tau_s: float) -> None:
    times, shares, weights = course()
    expected = by_pairs(times, shares, weights, tau_s, past_only=False)
    np.testing.assert_allclose(smooth(times, shares, tau_s=tau_s, weights=weights), expected, atol=1e-12)


def test_as_they_come_the_past_alone_counts() -> None:
    times, shares, weights = course(seed=1)
    smoother = Smoother(0.7)
    found = [smoother.push(t, p, weight=w) for t, p, w in zip(times, shares, weights, strict=True)]
    np.testing.assert_allclose(found, by_pairs(times, shares, weights, 0.7, past_only=True), atol=1e-12)


def test_zero_changes_nothing() -> None:
    times, shares, _ = course()
    np.testing.assert_array_equal(smooth(times, shares, tau_s=0), shares)
    np.testing.assert_array_equal(Smoother(0).push(0.0, shares[0]), shares[0])


def test_what_is_constant_stays() -> None:
    times, shares, weights = course()
    constant = np.tile(shares[3] + 0.01, (len(times), 1))
    constant /= constant.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smooth(times, constant, tau_s=1.0, weights=weights), constant, atol=1e-12)


def test_gaps_keep_stretches_apart() -> None:
    _, shares, _ = course(20)
    times = np.concatenate([np.arange(10) * 0.1, 5 + np.arange(10) * 0.1])
    apart = smooth(times, shares, tau_s=30.0, gap_s=1.0)
    np.testing.assert_allclose(apart[:10], smooth(times[:10], shares[:10], tau_s=30.0), atol=1e-12)
    np.testing.assert_allclose(apart[10:], smooth(times[10:], shares[10:], tau_s=30.0), atol=1e-12)


def test_one_impossible_answer_does_not_forbid() -> None:
    times = np.arange(11) * 0.1
    shares = np.tile([0.9, 0.1], (11, 1))
    shares[5] = [0.0, 1.0]
    assert smooth(times, shares, tau_s=0.5)[:, 0].min() > 0.5


def test_weights_of_zero_everywhere_change_nothing() -> None:
    times, shares, _ = course()
    np.testing.assert_allclose(smooth(times, shares, tau_s=1, weights=np.zeros(len(times))), shares)


def test_far_apart_times_do_not_overflow() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8]])
    np.testing.assert_allclose(smooth(np.array([0.0, 1e9]), shares, tau_s=1e-3), shares, atol=1e-12)


def test_certainty_is_one_less_the_entropy() -> None:
    shares = np.random.default_rng(2).dirichlet(np.full(8, 0.2), 30)
    expected = np.clip(1 - entropy(shares, axis=1) / math.log(8), LEAST_CERTAINTY, 1)
    np.testing.assert_allclose(certainty(shares), expected, atol=1e-12)
    assert certainty(np.full((1, 8), 1 / 8))[0] == LEAST_CERTAINTY
    assert certainty(np.eye(8)[:1])[0] == 1


def test_wrong_arguments_are_named() -> None:
    times, shares, _ = course()
    with pytest.raises(InputError, match="must fit"):
        smooth(times[:-1], shares, tau_s=1)
    with pytest.raises(InputError, match="tau_s must be a number of at least 0"):
        smooth(times, shares, tau_s=-1)
    with pytest.raises(InputError, match="tau_s"):
        Smoother(float("nan"))
