from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from mien.errors import InputError
from mien.metrics import brier, ece, ece_floor, nll, reliability_bins


def answers(n: int, seed: int, k: int = 7, sharpness: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, sharpness), n)


def draw(p: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Labels drawn from the full distributions, not only from right and wrong as the floor itself does."""
    return (p.cumsum(axis=1)[:, :-1] < generator.random((len(p), 1))).sum(axis=1)


def slow_ece(p: np.ndarray, truth: np.ndarray, bins: int) -> float:
    """The formula of Guo et al. 2017, written out bin by bin."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(deadline=None, max_examples=40)
def test_is_the_formula_of_guo(seed: int, bins: int) -> None:
    p = answers(50, seed)
    truth = np.random.default_rng(seed + 1).integers(0, 7, 50)
    value = ece(p, truth, bins=bins)
    assert value == pytest.approx(slow_ece(p, truth, bins), abs=1e-12)
    assert 0 <= value <= 1
    order = np.random.default_rng(seed + 2).permutation(50)
    assert ece(p[order], truth[order], bins=bins) == pytest.approx(value)


def test_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.functional.classification")
    p = answers(2000, 3)
    truth = np.random.default_rng(4).integers(0, 7, 2000)
    expected = classification.multiclass_calibration_error(
        torch.from_numpy(p), torch.from_numpy(truth), num_classes=7, n_bins=15, norm="l1"
    )
    assert ece(p, truth) == pytest.approx(float(expected), abs=1e-6)


def test_perfect_uniform_and_adversarial() -> None:
    truth = np.repeat(np.arange(4), 25)
    perfect = np.eye(4)[truth]
    assert ece(perfect, truth) == 0
    assert ece(np.roll(perfect, 1, axis=1), truth) == 1
    assert ece(np.full((100, 4), 0.25), truth) == pytest.approx(0, abs=1e-12)


def test_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    p = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    counts = reliability_bins(p, [0, 0], bins=4).count
    assert counts.tolist() == [0, 1, 0, 1]


def test_float32_that_ends_above_one_is_fine() -> None:
    p = np.array([[1.0000001, 0.0]], dtype=np.float32)
    assert ece(p, [0]) == 0
    assert ece_floor(p) == 0


def test_reliability_bins_make_up_the_ece() -> None:
    p = answers(300, 5)
    truth = np.random.default_rng(6).integers(0, 7, 300)
    bins = reliability_bins(p, truth)
    assert bins.count.sum() == 300
    assert bins.edges.shape == (16,)
    full = bins.count > 0
    assert np.isnan(bins.accuracy[~full]).all()
    gaps = np.abs(bins.accuracy[full] - bins.confidence[full])
    assert (bins.count[full] * gaps).sum() / 300 == pytest.approx(ece(p, truth))


def test_floor_is_the_mean_ece_of_a_perfectly_calibrated_model() -> None:
    p = answers(400, 7)
    generator = np.random.default_rng(8)
    simulated = [ece(p, draw(p, generator)) for _ in range(600)]
    error = np.std(simulated) / np.sqrt(600) + np.std(simulated) / np.sqrt(1000)
    assert ece_floor(p) == pytest.approx(np.mean(simulated), abs=4 * error)


def test_floor_in_closed_form() -> None:
    """One bin of n coins: E|H - n/2| / n = C(n, n/2) / 2^(n+1) for even n."""
    from math import comb

    n = 20
    p = np.full((n, 2), 0.5)
    assert ece_floor(p, draws=40_000) == pytest.approx(comb(n, n // 2) / 2 ** (n + 1), rel=0.02)


def test_floor_falls_with_the_root_of_n_and_is_reproducible() -> None:
    p = answers(500, 9)
    small, large = ece_floor(p), ece_floor(np.tile(p, (16, 1)), draws=300)
    assert large == pytest.approx(small / 4, rel=0.1)
    assert ece_floor(p) == small
    assert ece_floor(p, seed=1) != small
    assert ece_floor(np.eye(3)) == 0


def test_floor_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.metrics import calibration

    p = answers(50, 10)
    whole = ece_floor(p, draws=101)
    monkeypatch.setattr(calibration, "_CHUNK_VALUES", 300)
    assert ece_floor(p, draws=101) == pytest.approx(whole, rel=1e-12)


def test_refuses_nonsense() -> None:
    with pytest.raises(InputError, match="bins must be an integer of at least 1, but got 0"):
        ece(np.eye(2), [0, 1], bins=0)
    with pytest.raises(InputError, match="draws must be an integer of at least 1, but got 0"):
        ece_floor(np.eye(2), draws=0)
    with pytest.raises(InputError, match="must sum to one"):
        ece_floor(np.array([[3.0, 1.0]]))


seeds = st.integers(0, 2**32 - 1)


def some(seed: int, n: int = 40, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.full(k, 0.7), n), generator.integers(0, k, n)


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_agree_with_oracles_and_keep_their_bounds(seed: int) -> None:
    p, truth = some(seed)
    assert nll(p, truth) == pytest.approx(log_loss(truth, p, labels=range(5)))
    assert brier(p, truth) == pytest.approx(np.mean(((p - np.eye(5)[truth]) ** 2).sum(axis=1)))
    assert nll(p, truth) >= 0
    assert 0 <= brier(p, truth) <= 2
    order, names = np.random.default_rng(seed + 1).permutation(40), np.random.default_rng(seed + 2).permutation(5)
    renamed = p[:, np.argsort(names)]
    for score in (nll, brier):
        assert score(p[order], truth[order]) == pytest.approx(score(p, truth))
        assert score(renamed, names[truth]) == pytest.approx(score(p, truth))


@pytest.mark.parametrize("k", [2, 7, 8])
def test_closed_forms(k: int) -> None:
    truth = np.arange(k)
    uniform, right = np.full((k, k), 1 / k), np.eye(k)
    wrong = np.roll(right, 1, axis=1)
    assert nll(uniform, truth) == pytest.approx(np.log(k))
    assert brier(uniform, truth) == pytest.approx(1 - 1 / k)
    assert nll(right, truth) == 0
    assert brier(right, truth) == 0
    assert nll(wrong, truth) == pytest.approx(-np.log(np.finfo(float).eps))
    assert brier(wrong, truth) == 2


def test_both_are_proper() -> None:
    """The true distribution scores best in expectation: the exact expectation over a grid of answers."""
    true = np.array([0.6, 0.3, 0.1])
    truth = np.repeat(np.arange(3), [6, 3, 1])
    best = {score: score(np.tile(true, (10, 1)), truth) for score in (nll, brier)}
    for answer in np.random.default_rng(0).dirichlet(np.ones(3), 200):
        for score, value in best.items():
            assert score(np.tile(answer, (10, 1)), truth) >= value - 1e-12


@pytest.mark.parametrize(
    ("p", "truth", "message"),
    [
        (np.zeros((0, 3)), [], r"probabilities must be floats of shape \(n, k\), not empty"),
        (np.ones(3), [0], r"probabilities must be floats.*shape \(3,\)"),
        (np.array([[1, 0]]), [0], "probabilities must be floats.*int64"),
        (np.array([[np.nan, 1]]), [0], "probabilities must be finite and not negative"),
        (np.array([[1.5, -0.5]]), [0], "probabilities must be finite and not negative"),
        (np.array([[2.0, 1.0]]), [0], "each row of probabilities must sum to one, but a row is off by 2: are they"),
        (np.array([[0.5, 0.5]]), [2], "targets must be class numbers from 0 up and under 2, but got 2"),
        (np.array([[0.5, 0.5]]), [0, 1], "probabilities and targets must be as many, but got 1 and 2"),
    ],
)
def test_refuse_what_does_not_fit(p: np.ndarray, truth: list[int], message: str) -> None:
    for score in (nll, brier):
        with pytest.raises(InputError, match=message):
            score(p, truth)
