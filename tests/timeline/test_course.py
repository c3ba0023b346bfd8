"""Episodes and strongest moments of planted courses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import InputError
from mien.timeline import episodes, strongest


def planted(*parts: tuple[int, int], top: float = 0.8, k: int = 4, step_s: float = 0.1) -> tuple[np.ndarray, ...]:
    """Return times, durations, distributions of (leader, frames) one after the other."""
    leaders = np.repeat([leader for leader, _ in parts], [count for _, count in parts])
    shares = np.full((len(leaders), k), (1 - top) / (k - 1))
    shares[np.arange(len(leaders)), leaders] = top
    times = np.arange(len(leaders)) * step_s
    return times, np.full(len(leaders), step_s), shares


def test_planted_episodes_are_found() -> None:
    pieces = episodes(*planted((0, 10), (2, 20), (1, 8)))
    assert [p.leader for p in pieces] == [0, 2, 1]
    np.testing.assert_allclose([(p.start_s, p.end_s) for p in pieces], [(0, 1), (1, 3), (3, 3.8)], atol=1e-9)
    np.testing.assert_allclose(pieces[1].mean, [0.2 / 3, 0.2 / 3, 0.8, 0.2 / 3])


def test_short_ones_go_to_their_neighbor() -> None:
    pieces = episodes(*planted((0, 10), (2, 3), (0, 10)), shortest_s=0.4)
    assert [(p.leader, round(p.start_s, 6), round(p.end_s, 6)) for p in pieces] == [(0, 0.0, 2.3)]
    assert [p.leader for p in episodes(*planted((2, 3), (0, 10)), shortest_s=0.4)] == [0]
    assert [p.leader for p in episodes(*planted((0, 10), (2, 4), (0, 10)), shortest_s=0.4)] == [0, 2, 0]


def test_a_short_video_is_still_an_episode() -> None:
    (piece,) = episodes(*planted((3, 1)), shortest_s=5.0)
    assert (piece.leader, piece.start_s, piece.end_s) == (3, 0.0, 0.1)


def test_wavering_does_not_flicker() -> None:
    n = 40
    lead = 0.5 + 0.04 * (-1.0) ** np.arange(n)
    shares = np.column_stack([lead, 1 - lead])
    times, lengths = np.arange(n) * 1.0, np.ones(n)
    assert len(episodes(times, lengths, shares, margin=0.1)) == 1
    assert len(episodes(times, lengths, shares, margin=0.05)) == n


def test_gaps_part_episodes() -> None:
    times, lengths, shares = planted((1, 10))
    times[5:] += 3.0
    pieces = episodes(times, lengths, shares)
    np.testing.assert_allclose([(p.start_s, p.end_s) for p in pieces], [(0, 0.5), (3.5, 4.0)])
    assert episodes(times[:0], lengths[:0], shares[:0]) == []
    assert episodes(times, np.zeros(10), shares) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5), st.floats(0, 1))
def test_they_cover_the_time_in_view_and_differ(seed: int, margin: float, shortest_s: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    lengths = rng.uniform(0.02, 0.3, n)
    times = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) + np.cumsum(rng.random(n) < 0.1) * 1.0
    shares = rng.dirichlet(np.full(4, 0.5), n)
    pieces = episodes(times, lengths, shares, margin=margin, shortest_s=shortest_s)
    assert sum(p.end_s - p.start_s for p in pieces) == pytest.approx(lengths.sum())
    total = sum((p.end_s - p.start_s) * p.mean for p in pieces)
    np.testing.assert_allclose(total, (lengths[:, None] * shares).sum(axis=0))
    for a, b in pairwise(pieces):
        assert a.end_s <= b.start_s + 1e-9
        if b.start_s - a.end_s < 1e-6:
            assert a.leader != b.leader


def test_the_strongest_moments_are_peaks_of_each_emotion_first() -> None:
    times, _, shares = planted((0, 20), (1, 20), (2, 20), k=3, top=0.6)
    for at, label, height in ((25, 1, 0.9), (55, 2, 0.8), (38, 1, 0.85)):
        shares[at] = (1 - height) / 2
        shares[at, label] = height
    assert strongest(times, shares, count=3, apart_s=1.0, quiet=[0]) == [(25, 1), (38, 1), (55, 2)]
    assert strongest(times, shares, count=2, apart_s=1.0, quiet=[0]) == [(25, 1), (55, 2)]
    assert strongest(times, shares, count=1, apart_s=1.0) == [(25, 1)]
    assert strongest(times, shares, count=0) == []


def test_second_moments_are_apart() -> None:
    times, _, shares = planted((1, 50))
    picks = strongest(times, shares, count=9, apart_s=1.5)
    found = np.sort(times[[at for at, _ in picks]])
    assert len(picks) == 4
    assert np.diff(found).min() >= 1.5 - 1e-9


def test_a_quiet_person_has_quiet_moments() -> None:
    times, _, shares = planted((0, 5))
    assert strongest(times, shares, quiet=[0], apart_s=9) == [(0, 0)]
    assert strongest(times[:0], shares[:0]) == []


def test_wrong_arguments_are_named() -> None:
    times, lengths, shares = planted((0, 5))
    with pytest.raises(InputError, match="must fit"):
        episodes(times, lengths[:-1], shares)
    with pytest.raises(InputError, match="margin must be a number of at least 0"):
        episodes(times, lengths, shares, margin=-1)
    with pytest.raises(InputError, match="count must be an integer of at least 0"):
        strongest(times, shares, count=-1)
