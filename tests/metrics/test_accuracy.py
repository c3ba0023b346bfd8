from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from mien.errors import InputError
from mien.metrics import accuracy, uar

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def test_known_values() -> None:
    truth, answers = [0, 0, 0, 1], [0, 0, 1, 1]
    assert accuracy(truth, answers) == 0.75
    assert uar(truth, answers) == pytest.approx((2 / 3 + 1) / 2)


@given(pairs)
@settings(deadline=None, max_examples=50)
def test_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, answers = np.array(rows).T
    assert accuracy(truth, answers) == pytest.approx(oracle.accuracy_score(truth, answers))
    present = np.unique(truth)
    expected = oracle.recall_score(truth, answers, labels=present, average="macro", zero_division=0)
    assert uar(truth, answers) == pytest.approx(expected)


@given(pairs, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_order_of_rows_and_names_of_classes_do_not_matter(rows: list[tuple[int, int]], random: object) -> None:
    truth, answers = np.array(rows).T
    seed = random.randrange(2**32)  # type: ignore[attr-defined]
    generator = np.random.default_rng(seed)
    order, names = generator.permutation(len(rows)), generator.permutation(7)
    for figure in (accuracy, uar):
        value = figure(truth, answers)
        assert 0 <= value <= 1
        assert figure(truth[order], answers[order]) == pytest.approx(value)
        assert figure(names[truth], names[answers]) == pytest.approx(value)


def test_uar_leaves_out_classes_that_the_truth_lacks() -> None:
    assert uar([0, 0, 2], [0, 1, 2]) == 0.75
    assert uar([3], [3]) == 1


@pytest.mark.parametrize("constant", range(4))
def test_a_constant_answer_has_the_uar_of_chance(constant: int) -> None:
    truth = np.repeat(np.arange(4), [70, 20, 9, 1])
    assert uar(truth, np.full(100, constant)) == 0.25


@pytest.mark.parametrize("figure", [accuracy, uar])
@pytest.mark.parametrize(
    ("truth", "answers", "message"),
    [
        ([], [], r"targets must be integers of shape \(n,\) with n > 0"),
        ([0, 1], [0], "targets and predictions must be as many, but got 2 and 1"),
        ([0.0], [0], "targets must be integers.*float64"),
        ([[0]], [0], r"targets must be integers.*\(1, 1\)"),
        ([-1], [0], "targets must be class numbers from 0 up, but got -1"),
        ([0], [-2], "predictions must be class numbers from 0 up, but got -2"),
    ],
)
def test_refuses_what_is_no_pair(figure: object, truth: list[int], answers: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        figure(truth, answers)  # type: ignore[operator]
