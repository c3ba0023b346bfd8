from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import multiclass_auroc

from mien.errors import InputError
from mien.metrics import auc


@pytest.mark.parametrize("k", [2, 7])
def test_agrees_with_scikit_learn_and_torchmetrics(k: int) -> None:
    generator = np.random.default_rng(k)
    p, truth = generator.dirichlet(np.ones(k), 500), generator.integers(0, k, 500)
    expected = roc_auc_score(np.eye(k, dtype=int)[truth], p, average="macro")
    assert auc(p, truth) == pytest.approx(expected, abs=1e-12)
    tensors = torch.from_numpy(p), torch.from_numpy(truth)
    assert auc(p, truth) == pytest.approx(float(multiclass_auroc(*tensors, num_classes=k)), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(3, 60))
@settings(deadline=None, max_examples=30)
def test_ties_and_absent_classes_agree_with_scikit_learn_class_by_class(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    weights = generator.integers(1, 4, (n, 5)).astype(float)  # few values: many ties
    p, truth = weights / weights.sum(axis=1, keepdims=True), generator.choice([0, 1, 4], n)
    truth[:2] = 0, 4
    expected = [roc_auc_score(truth == c, p[:, c]) for c in np.unique(truth)]
    assert auc(p, truth) == pytest.approx(np.mean(expected), abs=1e-12)


def test_ends_of_the_range() -> None:
    truth = np.arange(6) % 3
    assert auc(np.eye(3)[truth], truth) == 1
    assert auc(np.full((6, 3), 1 / 3), truth) == 0.5
    assert auc((1 - np.eye(3)[truth]) / 2, truth) == 0


def test_one_class_alone_has_no_curve() -> None:
    assert np.isnan(auc(np.eye(3)[[0, 1]], [1, 1]))


def test_refuses_logits() -> None:
    with pytest.raises(InputError, match="are they logits"):
        auc(np.array([[3.0, 1.0], [0.0, 0.0]]), [0, 1])
