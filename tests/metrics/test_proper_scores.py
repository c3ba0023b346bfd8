from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from mien.errors import InputError
from mien.metrics import brier, nll

seeds = st.integers(0, 2**32 - 1)


def some(seed: int, n: int = 40, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.full(k, 0.7), n), generator.integers(0, k, n)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_agree_with_oracles_and_keep_their_bounds(seed: int) -> None:
    p, truth = some(seed)
    assert nll(p, truth) == pytest.approx(log_loss(truth, p, labels=range(5)))
    assert brier(p, truth) == pytest.approx(np.mean(((p - np.eye(5)[truth]) ** 2).sum(axis=1)))
    assert nll(p, truth) >= 0
    assert 0 <= brier(p, truth) <= 2
    order, names = np.random.default_rng(seed + 1).permutation(40), np.random.default_rng(seed + 2).permutation(5)
    renamed = p[:, np.argsort(names)]
    for score in (nll, brier):
        assert score(p[order], truth[order]) == pytest.approx(score(p, truth))
        assert score(renamed, names[truth]) == pytest.approx(score(p, truth))


@pytest.mark.parametrize("k", [2, 7, 8])
def test_closed_forms(k: int) -> None:
    truth = np.arange(k)
    uniform, right = np.full((k, k), 1 / k), np.eye(k)
    wrong = np.roll(right, 1, axis=1)
    assert nll(uniform, truth) == pytest.approx(np.log(k))
    assert brier(uniform, truth) == pytest.approx(1 - 1 / k)
    assert nll(right, truth) == 0
    assert brier(right, truth) == 0
    assert nll(wrong, truth) == pytest.approx(-np.log(np.finfo(float).eps))
    assert brier(wrong, truth) == 2


def test_both_are_proper() -> None:
    """The true distribution scores best in expectation: the exact expectation over a grid of answers."""
    true = np.array([0.6, 0.3, 0.1])
    truth = np.repeat(np.arange(3), [6, 3, 1])
    best = {score: score(np.tile(true, (10, 1)), truth) for score in (nll, brier)}
    for answer in np.random.default_rng(0).dirichlet(np.ones(3), 200):
        for score, value in best.items():
            assert score(np.tile(answer, (10, 1)), truth) >= value - 1e-12


@pytest.mark.parametrize(
    ("p", "truth", "message"),
    [
        (np.zeros((0, 3)), [], r"probabilities must be floats of shape \(n, k\), not empty"),
        (np.ones(3), [0], r"probabilities must be floats.*shape \(3,\)"),
        (np.array([[1, 0]]), [0], "probabilities must be floats.*int64"),
        (np.array([[np.nan, 1]]), [0], "probabilities must be finite and not negative"),
        (np.array([[1.5, -0.5]]), [0], "probabilities must be finite and not negative"),
        (np.array([[2.0, 1.0]]), [0], "each row of probabilities must sum to one, but a row is off by 2: are they"),
        (np.array([[0.5, 0.5]]), [2], "targets must be class numbers from 0 up and under 2, but got 2"),
        (np.array([[0.5, 0.5]]), [0, 1], "probabilities and targets must be as many, but got 1 and 2"),
    ],
)
def test_refuse_what_does_not_fit(p: np.ndarray, truth: list[int], message: str) -> None:
    for score in (nll, brier):
        with pytest.raises(InputError, match=message):
            score(p, truth)
