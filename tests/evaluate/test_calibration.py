from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax as oracle_softmax

from mien.errors import InputError
from mien.evaluate import cross_fitted, fit_temperature, softmax
from mien.evaluate.calibration import fit_shared_temperature
from mien.metrics import ece, ece_floor, nll


def planted(n: int, temperature: float, seed: int, k: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (n, k))
    p = oracle_softmax(logits / temperature, axis=1)
    truth = (p.cumsum(axis=1)[:, :-1] < generator.random((n, 1))).sum(axis=1)
    return logits, truth


def test_softmax_agrees_with_scipy() -> None:
    logits = np.random.default_rng(0).normal(0, 200, (20, 5)).astype(np.float32)
    np.testing.assert_allclose(softmax(logits), oracle_softmax(logits.astype(float), axis=1), atol=1e-12)
    np.testing.assert_allclose(
        softmax(logits, temperature=50), oracle_softmax(logits.astype(float) / 50, axis=1), atol=1e-12
    )


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 1.8, 5.0])
def test_recovers_a_planted_temperature(temperature: float) -> None:
    logits, truth = planted(20_000, temperature, seed=1)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 4))
@settings(deadline=None, max_examples=15)
def test_is_the_minimum_that_scipy_finds(seed: int, temperature: float) -> None:
    logits, truth = planted(200, temperature, seed)
    found = fit_temperature(logits, truth)
    best = minimize_scalar(
        lambda u: nll(softmax(logits, temperature=np.exp(u)), truth),
        bounds=(np.log(0.01), np.log(100)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert nll(softmax(logits, temperature=found), truth) <= best.fun + 1e-9
    assert found == pytest.approx(np.exp(best.x), rel=1e-3)


def test_a_shared_temperature_counts_every_set_the_same() -> None:
    first, second = planted(20_000, 1.0, 0), planted(2_000, 3.0, 1, k=5)
    both = fit_shared_temperature([first, second])
    assert 1.2 < both < 2.8
    assert fit_shared_temperature([second, first]) == pytest.approx(both)

    def mean_nll(temperature: float) -> float:
        return sum(nll(softmax(z, temperature=temperature), y) for z, y in (first, second))

    assert mean_nll(both) < min(mean_nll(0.98 * both), mean_nll(1.02 * both))
    with pytest.raises(InputError, match="at least one set"):
        fit_shared_temperature([])


def test_scaling_the_logits_scales_the_temperature_and_shifting_does_nothing() -> None:
    logits, truth = planted(500, 1.5, seed=2)
    found = fit_temperature(logits, truth)
    assert fit_temperature(3 * logits, truth) == pytest.approx(3 * found)
    assert fit_temperature(logits + 1000 * np.arange(500)[:, None], truth) == pytest.approx(found)


def test_ends_of_the_range() -> None:
    right, truth = 5 * np.eye(4), np.arange(4)
    assert fit_temperature(right, truth) == 0.01
    assert fit_temperature(-right, truth) == 100
    assert fit_temperature(np.ones((4, 4)), truth) == 1
    assert fit_temperature(1e6 * right, truth) == 0.01


def test_impossible_classes_do_not_disturb() -> None:
    logits, truth = planted(800, 2.0, seed=3)
    wide = np.concatenate([logits, np.full((800, 1), -np.inf)], axis=1)
    assert fit_temperature(wide, truth) == pytest.approx(fit_temperature(logits, truth))
    extra = np.concatenate([wide, wide[:5]]), np.concatenate([truth, np.full(5, 7)])
    assert fit_temperature(*extra) == pytest.approx(fit_temperature(logits, truth))
    p = softmax(wide, temperature=2)
    assert (p[:, 7] == 0).all()
    with pytest.raises(InputError, match="no row is left to fit a temperature"):
        fit_temperature(wide[:3], [7, 7, 7])


def test_cross_fitting_makes_an_overconfident_model_honest() -> None:
    logits, truth = planted(4000, 3.0, seed=4)
    before = ece(softmax(logits), truth) - ece_floor(softmax(logits))
    after = cross_fitted(logits, truth)
    assert before > 0.1
    assert abs(ece(after, truth) - ece_floor(after)) < 0.015
    np.testing.assert_array_equal(after.argmax(axis=1), logits.argmax(axis=1))


def test_each_fold_is_scaled_by_the_other() -> None:
    """Two halves with different planted temperatures: each must get the other's."""
    a, b = planted(3000, 0.5, seed=5), planted(3000, 4.0, seed=6)
    logits, truth = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])
    half = np.repeat(["a", "b"], 3000)
    p = cross_fitted(logits, truth, groups=half)
    np.testing.assert_allclose(p[:3000], softmax(a[0], temperature=fit_temperature(*b)))
    np.testing.assert_allclose(p[3000:], softmax(b[0], temperature=fit_temperature(*a)))


def test_seed_and_folds() -> None:
    logits, truth = planted(100, 2.0, seed=7)
    np.testing.assert_array_equal(cross_fitted(logits, truth), cross_fitted(logits, truth, seed=0))
    assert not np.array_equal(cross_fitted(logits, truth), cross_fitted(logits, truth, seed=1))
    scale = np.log(cross_fitted(logits, truth, folds=5)) - np.log(cross_fitted(logits, truth, folds=5))[:, :1]
    factors = (scale[:, 1] / (logits[:, 1] - logits[:, 0])).round(9)
    assert sorted(np.unique(factors, return_counts=True)[1]) == [20] * 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: softmax(np.ones(3)), r"logits must be floats of shape \(n, k\), not empty, but got float64 of shape"),
        (lambda: softmax(np.ones((2, 2), dtype=int)), "logits must be floats.*int64"),
        (lambda: softmax(np.ones((2, 2)), temperature=0), "temperature must be a number of at least"),
        (lambda: softmax(np.array([[np.nan, 1]])), "logits must be finite"),
        (lambda: softmax(np.array([[np.inf, 1]])), "logits must be finite"),
        (lambda: softmax(np.array([[-np.inf, -np.inf]])), "logits must be finite"),
        (lambda: fit_temperature(np.ones((2, 2)), [0]), r"targets must be integers of shape \(2,\)"),
        (lambda: fit_temperature(np.ones((2, 2)), [0, 2]), r"targets must be class numbers under 2, but got 0\.\.2"),
        (lambda: fit_temperature(np.ones((2, 2)), [0, -1]), r"targets must be class numbers under 2, but got -1\.\.0"),
        (lambda: cross_fitted(np.ones((2, 2)), [0, 1], folds=3), "3 folds need at least 3 rows, but there are 2"),
        (lambda: cross_fitted(np.ones((2, 2)), [0, 1], groups=[1, 1]), "2 folds need at least 2 groups, but there are"),
        (lambda: cross_fitted(np.ones((2, 2)), [0, 1], groups=[1]), r"groups must be of shape \(2,\)"),
        (lambda: cross_fitted(np.ones((2, 2)), [0, 1], folds=1), "folds must be an integer of at least 2"),
    ],
)
def test_refuse_nonsense(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
