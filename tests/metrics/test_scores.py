from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from mien.errors import InputError
from mien.metrics import SCORES, scores


def test_all_figures_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    p, truth = generator.dirichlet(np.full(7, 0.2), 300).astype(np.float32), generator.integers(0, 7, 300)
    found = scores(truth, p)
    hot, yes, answers = np.eye(7, dtype=int)[truth], (p > 0.5).astype(int), p.argmax(axis=1)
    assert tuple(found) == SCORES
    assert found == pytest.approx(
        {
            "accuracy": oracle.accuracy_score(truth, answers),
            "uar": oracle.balanced_accuracy_score(truth, answers),
            "macro_f1": oracle.f1_score(truth, answers, average="macro"),
            "binary_accuracy": np.mean(hot == yes),
            "precision": oracle.precision_score(hot, yes, average="micro"),
            "recall": oracle.recall_score(hot, yes, average="micro"),
            "auc": oracle.roc_auc_score(hot, p, average="macro"),
        }
    )
    assert all(type(value) is float for value in found.values())


def test_rows_without_a_label_are_left_out() -> None:
    generator = np.random.default_rng(4)
    p, truth = generator.dirichlet(np.ones(4), 50), generator.integers(0, 4, 50)
    some = truth.copy()
    some[::3] = -1
    assert scores(some, p) == scores(truth[some >= 0], p[some >= 0])


def test_absent_classes_leave_every_figure_defined() -> None:
    found = scores([0, 0, 2], np.array([[0.6, 0.4, 0], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]]))
    assert found["uar"] == 0.75
    assert found["auc"] == pytest.approx(1)
    assert np.isfinite(list(found.values())).all()
    alone = scores([1, 1], np.array([[0.4, 0.6], [0.7, 0.3]]))
    assert np.isnan(alone.pop("auc"))
    assert np.isfinite(list(alone.values())).all()


@pytest.mark.parametrize(
    ("truth", "p", "message"),
    [
        ([-1, -1], np.eye(2), "no row has a label: all 2 are -1"),
        ([0], np.eye(2), r"must be of shape \(n,\) and \(n, k\), but got"),
        ([0, -2], np.eye(2), "targets must be class numbers from 0 up, but got -2"),
        ([0, 5], np.eye(2), "targets must be class numbers.*but got 5"),
        ([0.0, 1.0], np.eye(2), "must be integers"),
        ([0, 1], np.full((2, 2), np.nan), "probabilities must be finite"),
    ],
)
def test_refuses_nonsense(truth: list[int], p: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scores(truth, p)
