from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mien.errors import InputError
from mien.metrics import bootstrap, bootstrap_interval, f1_sums, recall_sums, uar, uar_of_sums


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def with_ones(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones(len(values))], axis=1)


def test_interval_of_a_share_is_the_binomial_one() -> None:
    right = np.repeat([1.0, 0.0], [700, 300])
    low, high = bootstrap_interval(with_ones(right), mean, resamples=4000)
    width = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert low == pytest.approx(0.7 - width, abs=0.003)
    assert high == pytest.approx(0.7 + width, abs=0.003)


def test_macro_f1_of_sums_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 5, 80), rng.integers(0, 6, 80)
    sums = f1_sums(truth, predicted)
    value = float(uar_of_sums(sums.sum(axis=0, keepdims=True))[0])
    assert value == pytest.approx(f1_score(truth, predicted, average="macro"))
    low, high = bootstrap_interval(sums, uar_of_sums, groups=np.arange(80) // 4)
    assert low <= value <= high


def test_level_and_seed() -> None:
    right = with_ones(np.random.default_rng(0).random(300))
    wide, narrow = bootstrap_interval(right, mean, level=0.99), bootstrap_interval(right, mean, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert bootstrap_interval(right, mean) == bootstrap_interval(right, mean)
    assert bootstrap_interval(right, mean) != bootstrap_interval(right, mean, seed=1)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        low, high = bootstrap_interval(with_ones(generator.random(200) < 0.6), mean, resamples=400, seed=seed)
        inside += low <= 0.6 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_uar_agrees_with_resampling_rows_one_by_one() -> None:
    generator = np.random.default_rng(2)
    truth = generator.choice(4, 300, p=[0.6, 0.3, 0.08, 0.02])
    answers = np.where(generator.random(300) < 0.7, truth, generator.integers(0, 5, 300))
    slow = []
    for _ in range(2000):
        rows = generator.integers(0, 300, 300)
        slow.append(uar(truth[rows], answers[rows]))
    interval = bootstrap_interval(recall_sums(truth, answers), uar_of_sums)
    np.testing.assert_allclose(interval, np.quantile(slow, [0.025, 0.975]), atol=0.015)


def test_uar_of_all_rows_is_the_uar() -> None:
    truth, answers = np.array([0, 0, 3, 3, 5]), np.array([0, 1, 3, 3, 6])
    assert uar_of_sums(recall_sums(truth, answers).sum(axis=0, keepdims=True))[0] == uar(truth, answers)
    assert np.isnan(uar_of_sums(np.zeros((1, 6)))).all()


def test_groups_are_drawn_whole() -> None:
    """Ten copies of 100 rows say no more than the 100 rows."""
    values = np.random.default_rng(3).random(100)
    copies, names = np.repeat(values, 10), np.repeat([f"g{i}" for i in range(100)], 10)
    once = bootstrap_interval(with_ones(values), mean)
    grouped = bootstrap_interval(with_ones(copies), mean, groups=names)
    naive = bootstrap_interval(with_ones(copies), mean)
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)
    assert naive.high - naive.low == pytest.approx((once.high - once.low) / np.sqrt(10), rel=0.1)


def test_chunks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = with_ones(np.random.default_rng(4).random(50))
    whole = bootstrap_interval(rows, mean, resamples=333)
    monkeypatch.setattr(bootstrap, "_CHUNK_VALUES", 400)
    np.testing.assert_allclose(bootstrap_interval(rows, mean, resamples=333), whole)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_interval(np.zeros((0, 2)), mean),
            r"finite numbers of shape \(n, s\), not empty",
        ),
        (lambda: bootstrap_interval([1.0, 2.0], mean), r"sums must be finite.*shape \(2,\)"),
        (lambda: bootstrap_interval([[np.inf, 1.0]], mean), "sums must be finite"),
        (lambda: bootstrap_interval(np.ones((3, 2)), mean, groups=[1, 2]), r"groups must be of shape \(3,\), but got"),
        (lambda: bootstrap_interval(np.ones((3, 2)), mean, level=2), "level must be a number from 0 to 1, but got 2"),
        (
            lambda: bootstrap_interval(np.ones((3, 2)), mean, resamples=0),
            "resamples must be an integer of",
        ),
        (lambda: bootstrap_interval(np.ones((3, 2)), lambda s: s[:, 0] * np.nan), "not defined on any resample"),
    ],
)
def test_refuses_nonsense(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
