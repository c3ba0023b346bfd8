"""What holds for every method of fusion in the registry, also for those that other packages add."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import InputError
from mien.fusion import METHODS
from mien.labels import FER7

K = len(FER7)


def drawn(seed: int, n: int = 12) -> dict[str, np.ndarray]:
    """Return distributions of face and voice, some missing on one side and the last on both."""
    random = np.random.default_rng(seed)
    shares = {name: random.dirichlet(np.full(K, 0.5), n) for name in ("face", "voice")}
    shares["face"][[1, -1]] = np.nan
    shares["voice"][[2, -1]] = np.nan
    return shares


@pytest.mark.parametrize("name", METHODS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_predictions_are_distributions_and_weights_are_not_negative(name: str, seed: int) -> None:
    shares = drawn(seed)
    before = {side: rows.copy() for side, rows in shares.items()}
    found = METHODS[name](shares)
    assert found.probabilities.shape == (12, K)
    assert np.isnan(found.probabilities[-1]).all()
    assert (found.probabilities[:-1] >= 0).all()
    np.testing.assert_allclose(found.probabilities[:-1].sum(axis=1), 1, atol=1e-9)
    assert list(found.weights) == ["face", "voice"]
    for side, weights in found.weights.items():
        assert weights.shape == (12,)
        assert (weights >= 0).all()
        assert not weights[np.isnan(before[side][:, 0])].any()
        np.testing.assert_array_equal(shares[side], before[side])


@pytest.mark.parametrize("name", METHODS)
def test_each_stretch_is_fused_by_itself(name: str) -> None:
    shares = drawn(1)
    whole = METHODS[name](shares)
    for row in range(12):
        alone = METHODS[name]({side: rows[row : row + 1] for side, rows in shares.items()})
        np.testing.assert_allclose(alone.probabilities[0], whole.probabilities[row], rtol=1e-12)
        assert {side: float(weights[row]) for side, weights in whole.weights.items()} == pytest.approx(
            {side: float(weights[0]) for side, weights in alone.weights.items()}
        )


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("side", ["face", "voice"])
def test_one_modality_alone_keeps_the_order_of_its_emotions(name: str, side: str) -> None:
    shares = drawn(2)
    for other in shares.keys() - {side}:
        shares[other][:] = np.nan
    found = METHODS[name](shares).probabilities
    present = ~np.isnan(shares[side][:, 0])
    np.testing.assert_array_equal(found[present].argsort(axis=1), shares[side][present].argsort(axis=1))


@pytest.mark.parametrize("name", METHODS)
def test_modalities_that_agree_are_confirmed(name: str) -> None:
    sure = np.full((1, K), 0.02)
    sure[0, 3] = 1 - 0.02 * (K - 1)
    assert METHODS[name]({"face": sure, "voice": sure}).probabilities.argmax() == 3


@pytest.mark.parametrize("name", METHODS)
def test_wrong_arrays_are_refused(name: str) -> None:
    shares = drawn(3)
    for wrong in (
        {**shares, "voice": shares["voice"][:5]},
        {**shares, "voice": shares["voice"][:, :4]},
        {**shares, "voice": 2 * shares["voice"]},
        {},
    ):
        with pytest.raises(InputError):
            METHODS[name](wrong)
