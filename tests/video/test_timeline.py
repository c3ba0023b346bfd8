"""Smoothing against the plain sum over all pairs of times; episodes and strongest moments of planted tracks."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from mien.errors import InputError
from mien.video.timeline import LEAST, LEAST_CERTAINTY, Smoother, certainty, find_episodes, find_moments, smooth


def random_track(n: int = 40, k: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.uniform(0.01, 0.6, n)), rng.dirichlet(np.full(k, 0.4), n), rng.uniform(0.1, 2, n)


def by_pairs(times: np.ndarray, shares: np.ndarray, weights: np.ndarray, tau_s: float, past_only: bool) -> np.ndarray:
    logs = np.log(np.maximum(shares, LEAST))
    rows = []
    for i in range(len(times)):
        kernel = weights * np.exp(-np.abs(times - times[i]) / tau_s)
        if past_only:
            kernel[i + 1 :] = 0
        rows.append(softmax((kernel[:, None] * logs).sum(axis=0) / kernel.sum()))
    return np.array(rows)


@pytest.mark.parametrize("tau_s", [0.05, 0.5, 20.0])
def test_it_is_the_weighted_mean_of_logarithms(tau_s: float) -> None:
    times, shares, weights = random_track()
    expected = by_pairs(times, shares, weights, tau_s, past_only=False)
    np.testing.assert_allclose(smooth(times, shares, tau_s=tau_s, weights=weights), expected, atol=1e-12)


def test_as_they_come_the_past_alone_counts() -> None:
    times, shares, weights = random_track(seed=1)
    smoother = Smoother(0.7)
    found = [smoother.push(t, p, weight=w) for t, p, w in zip(times, shares, weights, strict=True)]
    np.testing.assert_allclose(found, by_pairs(times, shares, weights, 0.7, past_only=True), atol=1e-12)


def test_zero_changes_nothing() -> None:
    times, shares, _ = random_track()
    np.testing.assert_array_equal(smooth(times, shares, tau_s=0), shares)
    np.testing.assert_array_equal(Smoother(0).push(0.0, shares[0]), shares[0])


def test_what_is_constant_stays() -> None:
    times, shares, weights = random_track()
    constant = np.tile(shares[3] + 0.01, (len(times), 1))
    constant /= constant.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smooth(times, constant, tau_s=1.0, weights=weights), constant, atol=1e-12)


def test_gaps_keep_stretches_apart() -> None:
    _, shares, _ = random_track(20)
    times = np.concatenate([np.arange(10) * 0.1, 5 + np.arange(10) * 0.1])
    apart = smooth(times, shares, tau_s=30.0, gap_s=1.0)
    np.testing.assert_allclose(apart[:10], smooth(times[:10], shares[:10], tau_s=30.0), atol=1e-12)
    np.testing.assert_allclose(apart[10:], smooth(times[10:], shares[10:], tau_s=30.0), atol=1e-12)


def test_one_impossible_answer_does_not_forbid() -> None:
    times = np.arange(11) * 0.1
    shares = np.tile([0.9, 0.1], (11, 1))
    shares[5] = [0.0, 1.0]
    assert smooth(times, shares, tau_s=0.5)[:, 0].min() > 0.5


def test_weights_of_zero_everywhere_change_nothing() -> None:
    times, shares, _ = random_track()
    np.testing.assert_allclose(smooth(times, shares, tau_s=1, weights=np.zeros(len(times))), shares)


def test_far_apart_times_do_not_overflow() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8]])
    np.testing.assert_allclose(smooth(np.array([0.0, 1e9]), shares, tau_s=1e-3), shares, atol=1e-12)


def test_certainty_is_one_less_the_entropy() -> None:
    shares = np.random.default_rng(2).dirichlet(np.full(8, 0.2), 30)
    expected = np.clip(1 - entropy(shares, axis=1) / math.log(8), LEAST_CERTAINTY, 1)
    np.testing.assert_allclose(certainty(shares), expected, atol=1e-12)
    assert certainty(np.full((1, 8), 1 / 8))[0] == LEAST_CERTAINTY
    assert certainty(np.eye(8)[:1])[0] == 1


def test_wrong_arguments_are_named() -> None:
    times, shares, _ = random_track()
    with pytest.raises(InputError, match="must fit"):
        smooth(times[:-1], shares, tau_s=1)
    with pytest.raises(InputError, match="tau_s must be a number of at least 0"):
        smooth(times, shares, tau_s=-1)
    with pytest.raises(InputError, match="tau_s"):
        Smoother(float("nan"))


# --- episodes and moments ------------------------------------------------------------


def planted(*parts: tuple[int, int], top: float = 0.8, k: int = 4, step_s: float = 0.1) -> tuple[np.ndarray, ...]:
    """Return times, durations, distributions of (leader, frames) one after the other."""
    leaders = np.repeat([leader for leader, _ in parts], [count for _, count in parts])
    shares = np.full((len(leaders), k), (1 - top) / (k - 1))
    shares[np.arange(len(leaders)), leaders] = top
    times = np.arange(len(leaders)) * step_s
    return times, np.full(len(leaders), step_s), shares


def test_planted_episodes_are_found() -> None:
    episodes = find_episodes(*planted((0, 10), (2, 20), (1, 8)))
    assert [p.leader for p in episodes] == [0, 2, 1]
    np.testing.assert_allclose([(p.start_s, p.end_s) for p in episodes], [(0, 1), (1, 3), (3, 3.8)], atol=1e-9)
    np.testing.assert_allclose(episodes[1].mean, [0.2 / 3, 0.2 / 3, 0.8, 0.2 / 3])


def test_short_ones_go_to_their_neighbor() -> None:
    episodes = find_episodes(*planted((0, 10), (2, 3), (0, 10)), shortest_s=0.4)
    assert [(p.leader, round(p.start_s, 6), round(p.end_s, 6)) for p in episodes] == [(0, 0.0, 2.3)]
    assert [p.leader for p in find_episodes(*planted((2, 3), (0, 10)), shortest_s=0.4)] == [0]
    assert [p.leader for p in find_episodes(*planted((0, 10), (2, 4), (0, 10)), shortest_s=0.4)] == [0, 2, 0]


def test_a_short_video_is_still_an_episode() -> None:
    (episode,) = find_episodes(*planted((3, 1)), shortest_s=5.0)
    assert (episode.leader, episode.start_s, episode.end_s) == (3, 0.0, 0.1)


def test_wavering_does_not_flicker() -> None:
    n = 40
    lead = 0.5 + 0.04 * (-1.0) ** np.arange(n)
    shares = np.column_stack([lead, 1 - lead])
    times, lengths = np.arange(n) * 1.0, np.ones(n)
    assert len(find_episodes(times, lengths, shares, margin=0.1)) == 1
    assert len(find_episodes(times, lengths, shares, margin=0.05)) == n


def test_gaps_part_episodes() -> None:
    times, lengths, shares = planted((1, 10))
    times[5:] += 3.0
    episodes = find_episodes(times, lengths, shares)
    np.testing.assert_allclose([(p.start_s, p.end_s) for p in episodes], [(0, 0.5), (3.5, 4.0)])
    assert find_episodes(times[:0], lengths[:0], shares[:0]) == []
    assert find_episodes(times, np.zeros(10), shares) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5), st.floats(0, 1))
def test_they_cover_the_time_in_view_and_differ(seed: int, margin: float, shortest_s: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    lengths = rng.uniform(0.02, 0.3, n)
    times = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) + np.cumsum(rng.random(n) < 0.1) * 1.0
    shares = rng.dirichlet(np.full(4, 0.5), n)
    episodes = find_episodes(times, lengths, shares, margin=margin, shortest_s=shortest_s)
    assert sum(p.end_s - p.start_s for p in episodes) == pytest.approx(lengths.sum())
    total = sum((p.end_s - p.start_s) * p.mean for p in episodes)
    np.testing.assert_allclose(total, (lengths[:, None] * shares).sum(axis=0))
    for a, b in pairwise(episodes):
        assert a.end_s <= b.start_s + 1e-9
        if b.start_s - a.end_s < 1e-6:
            assert a.leader != b.leader


def test_the_strongest_moments_are_peaks_of_each_emotion_first() -> None:
    times, _, shares = planted((0, 20), (1, 20), (2, 20), k=3, top=0.6)
    for at, label, height in ((25, 1, 0.9), (55, 2, 0.8), (38, 1, 0.85)):
        shares[at] = (1 - height) / 2
        shares[at, label] = height
    assert find_moments(times, shares, count=3, apart_s=1.0, ignored=[0]) == [(25, 1), (38, 1), (55, 2)]
    assert find_moments(times, shares, count=2, apart_s=1.0, ignored=[0]) == [(25, 1), (55, 2)]
    assert find_moments(times, shares, count=1, apart_s=1.0) == [(25, 1)]
    assert find_moments(times, shares, count=0) == []


def test_second_moments_are_apart() -> None:
    times, _, shares = planted((1, 50))
    picks = find_moments(times, shares, count=9, apart_s=1.5)
    found = np.sort(times[[at for at, _ in picks]])
    assert len(picks) == 4
    assert np.diff(found).min() >= 1.5 - 1e-9


def test_a_quiet_person_has_quiet_moments() -> None:
    times, _, shares = planted((0, 5))
    assert find_moments(times, shares, ignored=[0], apart_s=9) == [(0, 0)]
    assert find_moments(times[:0], shares[:0]) == []


def test_wrong_arguments_of_episodes_are_named() -> None:
    times, lengths, shares = planted((0, 5))
    with pytest.raises(InputError, match="must fit"):
        find_episodes(times, lengths[:-1], shares)
    with pytest.raises(InputError, match="margin must be a number of at least 0"):
        find_episodes(times, lengths, shares, margin=-1)
    with pytest.raises(InputError, match="count must be an integer of at least 0"):
        find_moments(times, shares, count=-1)
