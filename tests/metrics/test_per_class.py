from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from mien.metrics import class_scores, macro_f1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, answers = np.array(rows).T
    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        truth, answers, labels=range(5), zero_division=np.nan
    )
    scores = class_scores(truth, answers, n_classes=5)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)
    assert scores.answered.sum() == len(rows)
    seen = sorted(set(truth.tolist()) | set(answers.tolist()))
    expected = oracle.f1_score(truth, answers, labels=seen, average="macro", zero_division=0)
    assert macro_f1(truth, answers, n_classes=5) == pytest.approx(expected)


def test_what_is_not_defined_is_nan() -> None:
    scores = class_scores([0, 0, 1], [0, 2, 0], n_classes=4)
    np.testing.assert_allclose(scores.precision, [0.5, np.nan, 0, np.nan])
    np.testing.assert_allclose(scores.recall, [0.5, 0, np.nan, np.nan])
    np.testing.assert_allclose(scores.f1, [0.5, 0, 0, np.nan])
    assert scores.support.tolist() == [2, 1, 0, 0]
    assert scores.answered.tolist() == [2, 0, 1, 0]
    assert macro_f1([0, 0, 1], [0, 2, 0], n_classes=4) == pytest.approx(0.5 / 3)
