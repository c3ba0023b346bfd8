"""What a course of distributions says: its episodes, and its strongest moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError

__all__ = ["MARGIN", "SHORTEST_S", "Piece", "episodes", "strongest"]

Floats = NDArray[np.float64]

MARGIN = 0.1
"""By how much another emotion must lead before it takes over: a course that wavers between two does not flicker."""

SHORTEST_S = 0.4
"""Expressions that are meant to be seen last from half a second to four (Ekman 2003, Darwin, Deception, and Facial
Expression, Annals of the New York Academy of Sciences 1000); what is much shorter is noise at the usual sampling."""

_TOUCH_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of time with one leading class.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds.
    mean : numpy.ndarray
        float64 (k,): the distributions, averaged by time.
    """

    start_s: float
    end_s: float
    mean: Floats

    @property
    def leader(self) -> int:
        """Index of the class that leads."""
        return int(self.mean.argmax())


def episodes(
    times_s: NDArray[np.floating],
    durations_s: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    margin: float = MARGIN,
    shortest_s: float = SHORTEST_S,
) -> list[Piece]:
    """Part a course into episodes of one emotion each, with hysteresis.

    Parameters
    ----------
    times_s, durations_s : numpy.ndarray
        float (n,): when each answer holds, and for how long; where the next begins later, there is a gap.
    probabilities : numpy.ndarray
        float (n, k): smoothed distributions.
    margin : float
        Another emotion takes over where its probability exceeds the leader's by more than this.
    shortest_s : float
        Episodes shorter than this, between others, are given to the neighbor before (the first to the one after).

    Returns
    -------
    list of Piece
        In order; touching but for the gaps; no two that touch have the same leader.

    Raises
    ------
    InputError
        If shapes do not fit.
    """
    times, lengths = np.asarray(times_s, np.float64), np.asarray(durations_s, np.float64)
    shares = np.asarray(probabilities, np.float64)
    if times.ndim != 1 or times.shape != lengths.shape or shares.ndim != 2 or len(shares) != len(times):
        raise InputError(
            f"times (n,), durations (n,) and probabilities (n, k) must fit, but got {describe(times)}, "
            f"{describe(lengths)}, {describe(shares)}"
        )
    check_number(margin, "margin", low=0)
    check_number(shortest_s, "shortest_s", low=0)
    pieces: list[Piece] = []
    gaps = np.flatnonzero(times[1:] - (times + lengths)[:-1] > _TOUCH_S) + 1
    for start, end in pairwise([0, *gaps.tolist(), len(times)]):
        runs = _absorbed(_runs(shares[start:end], margin), lengths[start:end], shortest_s)
        for a, b, _ in runs:
            rows = slice(start + a, start + b)
            if lengths[rows].sum() > 0:
                _append(pieces, _piece(times[rows], lengths[rows], shares[rows]))
    return pieces


def _runs(shares: Floats, margin: float) -> list[tuple[int, int, int]]:
    """Return (start, end, leader) of each run of one leader."""
    if not len(shares):
        return []
    leader = int(shares[0].argmax())
    leaders = []
    for row in shares:
        top = int(row.argmax())
        if row[top] - row[leader] > margin:
            leader = top
        leaders.append(leader)
    edges = [0, *(np.flatnonzero(np.diff(leaders)) + 1).tolist(), len(leaders)]
    return [(a, b, leaders[a]) for a, b in pairwise(edges)]


def _absorbed(runs: list[tuple[int, int, int]], lengths: Floats, shortest_s: float) -> list[tuple[int, int, int]]:
    """Give runs that are too short to their neighbors, the shortest first."""

    def length(run: tuple[int, int, int]) -> float:
        return float(lengths[run[0] : run[1]].sum())

    runs = list(runs)
    while len(runs) > 1:
        at = min(range(len(runs)), key=lambda i: length(runs[i]))
        if length(runs[at]) >= shortest_s - _TOUCH_S:
            break
        host = at - 1 if at else 1
        first, last = min(at, host), max(at, host)
        runs[first : last + 1] = [(runs[first][0], runs[last][1], runs[host][2])]
        # Neighbors on both sides may now be of one leader.
        merged: list[tuple[int, int, int]] = []
        for run in runs:
            if merged and merged[-1][2] == run[2]:
                merged[-1] = (merged[-1][0], run[1], run[2])
            else:
                merged.append(run)
        runs = merged
    return runs


def _piece(times: Floats, lengths: Floats, shares: Floats) -> Piece:
    mean = np.average(shares, axis=0, weights=lengths)
    return Piece(float(times[0]), float(times[-1] + lengths[-1]), mean / mean.sum())


def _append(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece, joined to the last one where both touch and have the same leader: by hysteresis that happens."""
    last = pieces[-1] if pieces else None
    if last is None or piece.start_s - last.end_s > _TOUCH_S or last.leader != piece.leader:
        pieces.append(piece)
        return
    share = (last.end_s - last.start_s) / (piece.end_s - last.start_s)
    pieces[-1] = Piece(last.start_s, piece.end_s, share * last.mean + (1 - share) * piece.mean)


def strongest(
    times_s: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    count: int = 5,
    apart_s: float = 2.0,
    quiet: Sequence[int] = (),
) -> list[tuple[int, int]]:
    """Find the moments at which emotions are strongest.

    Each emotion that ever leads gives its strongest moment first; then come second ones.

    Parameters
    ----------
    times_s : numpy.ndarray
        float (n,): rising, in seconds.
    probabilities : numpy.ndarray
        float (n, k): smoothed distributions.
    count : int
        How many moments at most.
    apart_s : float
        Moments of one emotion are at least so far apart.
    quiet : sequence of int
        Classes that are no event, such as neutral: taken only where nothing else ever leads.

    Returns
    -------
    list of (int, int)
        Index of the time and of the class, strongest first.

    Raises
    ------
    InputError
        If ``count`` or ``apart_s`` make no sense.
    """
    check_integer(count, "count", low=0)
    check_number(apart_s, "apart_s", low=0)
    times, shares = np.asarray(times_s, np.float64), np.asarray(probabilities, np.float64)
    leaders = shares.argmax(axis=1) if len(shares) else np.zeros(0, np.int64)
    loud = [k for k in np.unique(leaders).tolist() if k not in quiet] or np.unique(leaders).tolist()
    ranks = []
    for label in loud:
        for rank, at in enumerate(_peaks(times, shares[:, label], leaders == label, count, apart_s)):
            ranks.append((rank, -shares[at, label], at, label))
    chosen = [(at, label) for _, _, at, label in sorted(ranks)[:count]]
    return sorted(chosen, key=lambda pick: -shares[pick])


def _peaks(times: Floats, shares: Floats, leads: NDArray[np.bool_], count: int, apart_s: float) -> list[int]:
    """Return the places of one class's highest values where it leads, highest first, apart in time."""
    left = leads.copy()
    found: list[int] = []
    while len(found) < count and left.any():
        at = int(np.where(left, shares, -1.0).argmax())
        found.append(at)
        left &= np.abs(times - times[at]) >= max(apart_s, _TOUCH_S)
    return found
