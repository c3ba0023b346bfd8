"""What a person shows over time: predictions smoothed, parted into episodes, with their strongest moments.

Smoothing works on any times: frames of videos do not come evenly.  Each distribution is the mean of its neighbors'
logarithms, weighted by an exponential kernel in seconds and by how certain each neighbor is.  The mean of logarithms is
what a product of experts does (Hinton 2002, Training products of experts by minimizing contrastive divergence; Genest
and Zidek 1986 on logarithmic opinion pools): a prediction that rules an emotion out counts, and one that knows nothing
changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number, describe
from mien.errors import InputError
from mien.results.emotion import TIME_EPSILON_S

__all__ = [
    "LEAST",
    "LEAST_CERTAINTY",
    "MARGIN",
    "SHORTEST_S",
    "Episode",
    "Smoother",
    "certainty",
    "find_episodes",
    "find_moments",
    "smooth",
]

Floats = NDArray[np.float64]

LEAST = 1e-3
"""Probabilities below this count as this: one frame's "impossible" must not forbid an emotion for seconds."""

LEAST_CERTAINTY = 0.05
"""What a flat distribution weighs: where nothing is certain, the mean is still defined."""


def certainty(probabilities: NDArray[np.floating]) -> Floats:
    """Return how certain distributions are: 1 less their entropy over its maximum.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float (n, k).

    Returns
    -------
    numpy.ndarray
        float64 (n,), from `LEAST_CERTAINTY` for a flat distribution to 1 for one that knows.
    """
    shares = np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny)
    entropy = -(shares * np.log(shares)).sum(axis=1) / math.log(max(shares.shape[1], 2))
    return np.asarray(np.clip(1 - entropy, LEAST_CERTAINTY, 1.0))


def smooth(
    times_s: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    tau_s: float,
    weights: NDArray[np.floating] | None = None,
    gap_s: float = math.inf,
) -> Floats:
    """Smooth distributions over time, looking both ways.

    Parameters
    ----------
    times_s : numpy.ndarray
        float (n,): rising, in seconds.
    probabilities : numpy.ndarray
        float (n, k): a distribution for each time.
    tau_s : float
        Time constant: a neighbor so many seconds away counts 1/e.  Zero changes nothing.
    weights : numpy.ndarray, optional
        float (n,): how much each counts, at least 0; by default one.
    gap_s : float
        Times further apart than this do not know each other.

    Returns
    -------
    numpy.ndarray
        float64 (n, k): distributions.

    Raises
    ------
    InputError
        If shapes do not fit, or ``tau_s`` is negative.
    """
    times, shares = np.asarray(times_s, np.float64), np.asarray(probabilities, np.float64)
    if times.ndim != 1 or shares.ndim != 2 or len(times) != len(shares):
        raise InputError(f"times (n,) and probabilities (n, k) must fit, but got {describe(times)}, {describe(shares)}")
    if check_number(tau_s, "tau_s", low=0) == 0 or len(times) < 2:
        return shares.copy()
    weight = np.ones(len(times)) if weights is None else np.asarray(weights, np.float64)
    own = np.column_stack([weight[:, None] * _logs(shares), weight])
    steps = np.diff(times)
    decay = np.where(steps > gap_s, 0.0, np.exp(-np.minimum(steps / tau_s, 700.0)))
    before, after = own.copy(), own.copy()
    for i in range(1, len(own)):
        before[i] += decay[i - 1] * before[i - 1]
    for i in range(len(own) - 2, -1, -1):
        after[i] += decay[i] * after[i + 1]
    sums = before + after - own
    return np.where(sums[:, -1:] > 0, _distributions(sums), shares)


class Smoother:
    """Smooth the distributions of one person as they come: the past alone counts.

    Parameters
    ----------
    tau_s : float
        See `smooth`.
    """

    def __init__(self, tau_s: float) -> None:
        self._tau_s = check_number(tau_s, "tau_s", low=0)
        self._sums: Floats | None = None
        self._time_s = 0.0

    def push(self, time_s: float, probabilities: NDArray[np.floating], *, weight: float = 1.0) -> Floats:
        """Return the smoothed distribution, float64 (k,), at a time not before the last one.

        Parameters
        ----------
        time_s : float
            In seconds.
        probabilities : numpy.ndarray
            float (k,): the prediction at that time.
        weight : float
            How much it counts, more than 0.
        """
        shares = np.asarray(probabilities, np.float64)
        if self._tau_s == 0:
            return shares.copy()
        own = np.append(weight * _logs(shares[None])[0], weight)
        if self._sums is None:
            self._sums = own
        else:
            self._sums = own + self._sums * math.exp(-max(time_s - self._time_s, 0.0) / self._tau_s)
        self._time_s = time_s
        smoothed: Floats = _distributions(self._sums[None])[0]
        return smoothed


def _logs(shares: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(shares, LEAST)))


def _distributions(sums: Floats) -> Floats:
    """Return the distributions of weighted sums of logarithms (n, k + 1) whose last column is the sum of weights."""
    means = sums[:, :-1] / np.maximum(sums[:, -1:], np.finfo(np.float64).tiny)
    raised = np.exp(means - means.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


MARGIN = 0.1
"""By how much another emotion must lead before it takes over: one that wavers between two does not flicker."""

SHORTEST_S = 0.4
"""Expressions that are meant to be seen last from half a second to four (Ekman 2003, Darwin, Deception, and Facial
Expression, Annals of the New York Academy of Sciences 1000); what is much shorter is noise at the usual sampling."""


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
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


def find_episodes(
    times_s: NDArray[np.floating],
    durations_s: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    margin: float = MARGIN,
    shortest_s: float = SHORTEST_S,
) -> list[Episode]:
    """Part a track into episodes of one emotion each, with hysteresis.

    Parameters
    ----------
    times_s, durations_s : numpy.ndarray
        float (n,): when each prediction holds, and for how long; where the next begins later, there is a gap.
    probabilities : numpy.ndarray
        float (n, k): smoothed distributions.
    margin : float
        Another emotion takes over where its probability exceeds the leader's by more than this.
    shortest_s : float
        Episodes shorter than this, between others, are given to the neighbor before (the first to the one after).

    Returns
    -------
    list of Episode
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
    episodes: list[Episode] = []
    gaps = np.flatnonzero(times[1:] - (times + lengths)[:-1] > TIME_EPSILON_S) + 1
    for start, end in pairwise([0, *gaps.tolist(), len(times)]):
        runs = _merge_short(_runs(shares[start:end], margin), lengths[start:end], shortest_s)
        for a, b, _ in runs:
            rows = slice(start + a, start + b)
            if lengths[rows].sum() > 0:
                _append(episodes, _episode(times[rows], lengths[rows], shares[rows]))
    return episodes


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


def _merge_short(runs: list[tuple[int, int, int]], lengths: Floats, shortest_s: float) -> list[tuple[int, int, int]]:
    """Give runs that are too short to their neighbors, the shortest first."""

    def length(run: tuple[int, int, int]) -> float:
        return float(lengths[run[0] : run[1]].sum())

    runs = list(runs)
    while len(runs) > 1:
        at = min(range(len(runs)), key=lambda i: length(runs[i]))
        if length(runs[at]) >= shortest_s - TIME_EPSILON_S:
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


def _episode(times: Floats, lengths: Floats, shares: Floats) -> Episode:
    mean = np.average(shares, axis=0, weights=lengths)
    return Episode(float(times[0]), float(times[-1] + lengths[-1]), mean / mean.sum())


def _append(episodes: list[Episode], episode: Episode) -> None:
    """Add a episode, joined to the last one where both touch and have the same leader: by hysteresis that happens."""
    last = episodes[-1] if episodes else None
    if last is None or episode.start_s - last.end_s > TIME_EPSILON_S or last.leader != episode.leader:
        episodes.append(episode)
        return
    share = (last.end_s - last.start_s) / (episode.end_s - last.start_s)
    episodes[-1] = Episode(last.start_s, episode.end_s, share * last.mean + (1 - share) * episode.mean)


def find_moments(
    times_s: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    count: int = 5,
    apart_s: float = 2.0,
    ignored: Sequence[int] = (),
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
    ignored : sequence of int
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
    classes = [k for k in np.unique(leaders).tolist() if k not in ignored] or np.unique(leaders).tolist()
    ranks = []
    for label in classes:
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
        left &= np.abs(times - times[at]) >= max(apart_s, TIME_EPSILON_S)
    return found
