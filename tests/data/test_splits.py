from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.splits import fold_ids, holdout_mask
from mien.errors import DatasetError, InputError


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_folds_keep_groups_together_and_leave_no_row_out(draw: st.DataObject) -> None:
    n = draw.draw(st.integers(4, 60))
    group = np.array(draw.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)))
    labels = np.array(draw.draw(st.lists(st.integers(-1, 6), min_size=n, max_size=n)))
    k = draw.draw(st.integers(2, 5))
    if len(np.unique(group)) < k:
        with pytest.raises(DatasetError, match=rf"{k} folds need at least {k} subjects"):
            fold_ids(labels, group, k)
        return
    fold = fold_ids(labels, group, k, seed=draw.draw(st.integers(0, 3)))
    assert set(fold) == set(range(k))
    for name in np.unique(group):
        assert len(set(fold[group == name])) == 1


def test_folds_are_alike_in_size_and_classes() -> None:
    generator = np.random.default_rng(0)
    subject = generator.integers(0, 50, 2000)
    labels = generator.choice(7, 2000, p=[0.4, 0.02, 0.1, 0.2, 0.1, 0.1, 0.08])
    fold = fold_ids(labels, subject, 5)
    table = np.array([[np.sum((fold == f) & (labels == c)) for c in range(7)] for f in range(5)])
    np.testing.assert_allclose(table.sum(axis=1), 400, atol=30)
    np.testing.assert_allclose(table[:, 0], (labels == 0).sum() / 5, rtol=0.15)
    assert table[:, 1].min() >= 4  # the rare class is in every fold: 8 on average


def test_random_folds_ignore_groups_and_the_seed_decides() -> None:
    labels, group = np.arange(60) % 3, np.zeros(60, np.int64)
    fold = fold_ids(labels, group, 5, by="random", seed=1)
    assert np.bincount(fold).tolist() == [12] * 5
    assert all(np.bincount(fold[labels == c], minlength=5).tolist() == [4] * 5 for c in range(3))
    np.testing.assert_array_equal(fold, fold_ids(labels, group, 5, by="random", seed=1))
    assert not np.array_equal(fold, fold_ids(labels, group, 5, by="random", seed=2))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_a_share_is_held_out_in_whole_groups(share: float) -> None:
    generator = np.random.default_rng(0)
    group, labels = generator.integers(0, 100, 1000), generator.integers(0, 7, 1000)
    held = holdout_mask(labels, group, share)
    assert held.mean() == pytest.approx(share, abs=0.03)
    assert not set(group[held]) & set(group[~held])


def test_wrong_requests_are_named() -> None:
    labels = np.zeros(4, np.int64)
    with pytest.raises(InputError, match="by must be subject or random, but got 'actor'"):
        fold_ids(labels, np.arange(4), 2, by="actor")
    with pytest.raises(InputError, match="k must be"):
        fold_ids(labels, np.arange(4), 1)
    with pytest.raises(DatasetError, match="5 folds need at least 5 samples, but there are 4"):
        fold_ids(labels, np.arange(4), 5, by="random")
    with pytest.raises(InputError, match="share must be"):
        holdout_mask(labels, np.arange(4), 0.9)
