from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from mien.errors import InputError
from mien.metrics import confusion_matrix


def test_rows_are_the_truth() -> None:
    matrix = confusion_matrix([0, 0, 1], [0, 2, 1], n_classes=4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, answers = np.array(rows).T
    expected = oracle.confusion_matrix(truth, answers, labels=range(5))
    matrix = confusion_matrix(truth, answers, n_classes=5)
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.sum() == len(rows)


def test_refuses_classes_beyond_the_last() -> None:
    with pytest.raises(InputError, match="predictions must be class numbers from 0 up and under 2, but got 2"):
        confusion_matrix([0, 1], [0, 2], n_classes=2)
    with pytest.raises(InputError, match="n_classes must be an integer of at least 1, but got 0"):
        confusion_matrix([0], [0], n_classes=0)
