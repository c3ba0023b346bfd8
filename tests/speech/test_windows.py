"""Windows and segments against a plain computation sample by sample."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import InputError
from mien.speech.windows import WindowAverager, WindowSegment, merge_neighbors, place_windows

LENGTHS = st.integers(1, 60)


def answer_of(start: int, classes: int = 3) -> np.ndarray:
    """Return a distribution that is a fixed function of where a window begins."""
    return np.random.default_rng(start).dirichlet(np.ones(classes))


def by_sample(start: int, end: int, window: int, hop: int) -> np.ndarray:
    """Return the mean answer of the windows over each moment, (n, k)."""
    found = []
    for at in range(start, end):
        covering = [answer_of(a) for a, b in place_windows(start, end, window=window, hop=hop) if a <= at < b]
        found.append(np.mean(covering, axis=0))
    return np.array(found)


def streamed(start: int, end: int, window: int, hop: int, steps: list[int]) -> list[WindowSegment]:
    """Answer a stretch that reaches its end by steps, as a stream does."""
    stretch = WindowAverager(start, window=window, hop=hop)
    pieces: list[WindowSegment] = []
    reached = start
    for step in steps:
        reached = min(reached + step, end)
        while stretch.next_window[1] < reached:
            begin, stop = stretch.next_window
            stretch.add(begin, stop, answer_of(begin))
        pieces += stretch.pop_settled(reached)
    whole = place_windows(start, end, window=window, hop=hop)
    left = stretch.remaining(end)
    assert left == [part for part in whole if stretch.last is None or part[0] > stretch.last]
    for begin, stop in left:
        stretch.add(begin, stop, answer_of(begin))
    return pieces + stretch.close(end)


@given(st.integers(-50, 50), st.integers(0, 200), LENGTHS, LENGTHS)
def test_windows_cover_a_stretch(start: int, length: int, window: int, hop: int) -> None:
    hop = min(hop, window)
    end = start + length
    found = place_windows(start, end, window=window, hop=hop)
    if not length:
        assert found == []
        return
    assert found[0][0] == start
    assert found[-1][1] == end
    begins = [begin for begin, _ in found]
    assert begins == sorted(set(begins))
    assert {stop - begin for begin, stop in found} == {min(window, length)}
    assert all(later - earlier <= hop for earlier, later in pairwise(begins))
    # All but the last lie on the raster.
    assert all((begin - start) % hop == 0 for begin in begins[:-1])


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (29, [(0, 29)]),
        (30, [(0, 30)]),
        (31, [(0, 30), (1, 31)]),
        (45, [(0, 30), (15, 45)]),
        (50, [(0, 30), (15, 45), (20, 50)]),
        (60, [(0, 30), (15, 45), (30, 60)]),
    ],
)
def test_the_last_window_ends_with_the_stretch(end: int, expected: list[tuple[int, int]]) -> None:
    assert place_windows(0, end, window=30, hop=15) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(1, 150),
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.integers(0, 70), max_size=20),
)
def test_segments_are_the_mean_over_each_moment(
    start: int, length: int, window: int, hop: int, steps: list[int]
) -> None:
    hop, end = min(hop, window), start + length
    pieces = streamed(start, end, window, hop, steps)
    assert pieces[0].start == start
    assert pieces[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(pieces))
    found = np.concatenate([np.tile(piece.probabilities, (piece.length, 1)) for piece in pieces])
    np.testing.assert_allclose(found, by_sample(start, end, window, hop), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 150), st.integers(1, 40), st.integers(1, 40), st.lists(st.integers(0, 70), max_size=20))
def test_segments_are_the_same_to_the_last_bit_however_they_are_asked_for(
    length: int, window: int, hop: int, steps: list[int]
) -> None:
    hop = min(hop, window)
    once, often = (streamed(0, length, window, hop, asked) for asked in ([], steps))
    assert [(p.start, p.end, p.probabilities.tolist()) for p in once] == [
        (p.start, p.end, p.probabilities.tolist()) for p in often
    ]


def test_an_endless_stretch_is_given_out_as_it_goes_and_keeps_little() -> None:
    stretch = WindowAverager(0, window=30, hop=10)
    given_upto = 0
    for reached in range(1, 5000):
        while stretch.next_window[1] < reached:
            begin, stop = stretch.next_window
            stretch.add(begin, stop, answer_of(begin % 97))
        for piece in stretch.pop_settled(reached):
            assert piece.start == given_upto
            given_upto = piece.end
        assert len(stretch._windows) <= 6
        # A window and a hop late at most.
        assert given_upto >= reached - 2 * 30 - 10


def test_equal_neighbors_are_joined_by_their_lengths() -> None:
    a, b, c = np.array([0.9, 0.1]), np.array([0.6, 0.4]), np.array([0.2, 0.8])
    found = merge_neighbors(
        [
            WindowSegment(0, 10, a),
            WindowSegment(10, 40, b),
            WindowSegment(40, 50, c),
            WindowSegment(60, 70, c),
            WindowSegment(70, 71, a),
        ]
    )
    assert [(s.start, s.end, s.length) for s in found] == [(0, 40, 40), (40, 50, 10), (60, 70, 10), (70, 71, 1)]
    np.testing.assert_allclose(found[0].probabilities, [(10 * 0.9 + 30 * 0.6) / 40, (10 * 0.1 + 30 * 0.4) / 40])
    assert merge_neighbors([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0, "hop": 1}, "window must be an integer of at least 1, but got 0"),
        ({"window": 10, "hop": 0}, "hop must be an integer from 1 to 10, but got 0"),
        ({"window": 10, "hop": 11}, "hop must be an integer from 1 to 10, but got 11"),
        ({"window": 1.5, "hop": 1}, "window must be an integer, but got 1.5"),
    ],
)
def test_windows_and_hops_that_make_no_sense_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        place_windows(0, 100, **options)
    with pytest.raises(InputError, match=message):
        WindowAverager(0, **options)


def test_windows_come_in_order() -> None:
    stretch = WindowAverager(5, window=10, hop=5)
    stretch.add(5, 15, answer_of(5))
    with pytest.raises(InputError, match="windows must come in order, but 5 follows 5"):
        stretch.add(5, 15, answer_of(5))
