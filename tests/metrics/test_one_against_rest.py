from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle
from torchmetrics.functional.classification import multilabel_accuracy, multilabel_precision, multilabel_recall

from mien.errors import InputError
from mien.metrics import binary_accuracy, precision, recall


def answers(n: int = 400, k: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.full(k, 0.3), n), generator.integers(0, k, n)


@pytest.mark.parametrize("k", [2, 7, 8])
def test_agree_with_scikit_learn_and_torchmetrics(k: int) -> None:
    p, truth = answers(k=k, seed=k)
    hot, yes = np.eye(k, dtype=int)[truth], (p > 0.5).astype(int)
    assert binary_accuracy(p, truth) == pytest.approx(oracle.accuracy_score(hot.ravel(), yes.ravel()))
    assert precision(p, truth) == pytest.approx(oracle.precision_score(hot, yes, average="micro"))
    assert recall(p, truth) == pytest.approx(oracle.recall_score(hot, yes, average="micro"))
    # torchmetrics takes a probability above the threshold as yes, as Keras does.
    tensors = torch.from_numpy(p), torch.from_numpy(hot)
    options = {"num_labels": k, "average": "micro"}
    assert binary_accuracy(p, truth) == pytest.approx(float(multilabel_accuracy(*tensors, **options)), abs=1e-6)
    assert precision(p, truth) == pytest.approx(float(multilabel_precision(*tensors, **options)), abs=1e-6)
    assert recall(p, truth) == pytest.approx(float(multilabel_recall(*tensors, **options)), abs=1e-6)


def test_one_half_is_a_no_and_no_yes_at_all_is_a_precision_of_0() -> None:
    p, truth = np.array([[0.5, 0.5], [0.5, 0.5]]), [0, 1]
    assert (binary_accuracy(p, truth), precision(p, truth), recall(p, truth)) == (0.5, 0, 0)


def test_by_hand() -> None:
    p = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3]])
    assert binary_accuracy(p, [0, 2, 0]) == pytest.approx((3 + 1 + 2) / 9)
    assert precision(p, [0, 2, 0]) == 0.5
    assert recall(p, [0, 2, 0]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("figure", [binary_accuracy, precision, recall])
@pytest.mark.parametrize(
    ("p", "truth", "message"),
    [
        (np.zeros((0, 7)), [], "probabilities must be floats"),
        (np.eye(2), [0], "must be as many, but got 2 and 1"),
        (np.eye(2), [0, 2], "targets must be class numbers from 0 up and under 2, but got 2"),
        (np.array([[np.nan, 1.0]]), [0], "probabilities must be finite"),
        (np.array([[3.0, 1.0]]), [0], "are they logits"),
    ],
)
def test_refuse_nonsense(figure: object, p: np.ndarray, truth: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        figure(p, truth)  # type: ignore[operator]
