"""Distributions smoothed over time, at any times: frames of videos do not come evenly.

Each answer is the mean of its neighbors' logarithms, weighted by an exponential kernel in seconds and by how certain
each neighbor is.  The mean of logarithms is what a product of experts does (Hinton 2002, Training products of experts
by minimizing contrastive divergence; Genest and Zidek 1986 on logarithmic opinion pools): an answer that rules an
emotion out counts, and one that knows nothing changes nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number, describe
from mien.errors import InputError

__all__ = ["LEAST", "Smoother", "certainty", "smooth"]

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
            float (k,): the answer at that time.
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
