from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from mien.errors import InputError
from mien.evaluate import Predictions, compare, mcnemar, predict
from mien.labels import FER7
from planted_predictions import Fake, data, make_images, output, spec


@given(st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None, max_examples=60)
def test_mcnemar_is_the_sign_test_of_scipy(a: int, b: int) -> None:
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)


def test_mcnemar_far_out() -> None:
    assert mcnemar(0, 5000) == 0
    assert mcnemar(0, 100) == 2 / 2**100
    assert mcnemar(10_000, 10_000) == 1
    with pytest.raises(InputError, match="only_first must be an integer of at least 0"):
        mcnemar(-1, 0)


def two(
    right_a: np.ndarray, right_b: np.ndarray, subjects: np.ndarray | None = None
) -> tuple[Predictions, Predictions]:
    n = len(right_a)
    truth = np.arange(n) % 7
    rows = data(make_images(n), truth)
    if subjects is not None:
        rows = rows.with_columns(subject=subjects)
    models = [
        Fake(
            rows.images, {"fer7": np.eye(7)[np.where(right, truth, (truth + 1) % 7)]}, spec(output(FER7, default=True))
        )
        for right in (right_a, right_b)
    ]
    first, second = (predict(model, rows) for model in models)
    return first, second


def test_the_difference_and_its_interval() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.random(700) < 0.8, generator.random(700) < 0.6
    found = compare(*two(a, b), names=("x", "y"))
    assert (found.first, found.second, found.n, found.intervals_by) == ("x", "y", 700, "image")
    assert found.accuracy_difference == pytest.approx(a.mean() - b.mean())
    assert (found.only_first_right, found.only_second_right) == ((a & ~b).sum(), (b & ~a).sum())
    assert found.p_mcnemar == pytest.approx(binomtest(int((a & ~b).sum()), int((a ^ b).sum())).pvalue)
    # Closed form of the standard error of a mean of paired differences.
    half = 1.96 * np.std(a.astype(float) - b) / np.sqrt(700)
    low, high = found.accuracy_interval
    assert (low, high) == pytest.approx((found.accuracy_difference - half, found.accuracy_difference + half), abs=0.01)
    by_class = [a[i::7].mean() - b[i::7].mean() for i in range(7)]
    assert found.uar_difference == pytest.approx(np.mean(by_class))
    assert found.uar_interval.low < found.uar_difference < found.uar_interval.high
    other = compare(*reversed(two(a, b)))
    assert other.accuracy_difference == -found.accuracy_difference
    assert other.accuracy_interval == pytest.approx((-high, -low))
    assert found.to_dict()["accuracy_interval"] == [low, high]


def test_pairing_sees_more_than_two_intervals() -> None:
    """Models that agree nearly everywhere: a small difference is sure, although both intervals overlap widely."""
    a = np.arange(700) % 4 > 0
    b = a & (np.arange(700) % 50 > 1)
    found = compare(*two(a, b))
    assert found.accuracy_interval.low > 0
    assert found.p_mcnemar < 0.001


def test_by_subject_the_interval_is_wider() -> None:
    subjects = np.array([f"s{i // 70}" for i in range(700)])
    a = np.ones(700, dtype=bool)
    b = np.isin(subjects, ["s0", "s1", "s2"])  # one model fails on most people, whole
    plain, by = compare(*two(a, b)), compare(*two(a, b, subjects))
    assert by.intervals_by == "subject"
    wide, narrow = (x.accuracy_interval.high - x.accuracy_interval.low for x in (by, plain))
    assert wide > 4 * narrow


def test_other_samples_cannot_be_compared() -> None:
    a, b = two(np.ones(70, dtype=bool), np.zeros(70, dtype=bool))
    elsewhere = replace(b, samples=replace(b.samples, source="elsewhere"))
    relabeled = replace(b, samples=replace(b.samples, labels=(b.truth + 1) % 7))
    for other in (elsewhere, relabeled):
        with pytest.raises(InputError, match="two models are compared on the same samples"):
            compare(a, other)
