from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import (
    multiclass_auroc,
    multilabel_accuracy,
    multilabel_precision,
    multilabel_recall,
)

from mien.errors import InputError
from mien.metrics import (
    SCORES,
    accuracy,
    auc,
    binary_accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    precision,
    recall,
    scores,
    uar,
)

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


def test_rows_are_the_truth() -> None:
    matrix = confusion_matrix([0, 0, 1], [0, 2, 1], n_classes=4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_confusion_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
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


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_per_class_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, answers = np.array(rows).T
    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        truth, answers, labels=range(5), zero_division=np.nan
    )
    scores = class_scores(truth, answers, n_classes=5)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)
    assert scores.predicted.sum() == len(rows)
    seen = sorted(set(truth.tolist()) | set(answers.tolist()))
    expected = oracle.f1_score(truth, answers, labels=seen, average="macro", zero_division=0)
    assert macro_f1(truth, answers, n_classes=5) == pytest.approx(expected)


def test_what_is_not_defined_is_nan() -> None:
    scores = class_scores([0, 0, 1], [0, 2, 0], n_classes=4)
    np.testing.assert_allclose(scores.precision, [0.5, np.nan, 0, np.nan])
    np.testing.assert_allclose(scores.recall, [0.5, 0, np.nan, np.nan])
    np.testing.assert_allclose(scores.f1, [0.5, 0, 0, np.nan])
    assert scores.support.tolist() == [2, 1, 0, 0]
    assert scores.predicted.tolist() == [2, 0, 1, 0]
    assert macro_f1([0, 0, 1], [0, 2, 0], n_classes=4) == pytest.approx(0.5 / 3)


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
