"""Fitting the few weights of the product of experts to pairs whose emotion is known.

The mean negative log likelihood is minimized with a small pull towards weights that say nothing special, by a
quasi-Newton method (BFGS; Nocedal and Wright, Numerical Optimization, chapter 6) with differences for slopes: there
are twelve weights, and nothing is drawn, so that the same pairs give the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.fusion.experts import FACE_MEASURES, LEAST, VOICE_MEASURES, Expert, ExpertWeights, Measure, Quality

__all__ = ["MOST", "SEEN_SLOPE", "Evidence", "fit_experts", "minimize"]

Floats = NDArray[np.float64]

MOST = 2.0
"""No reliability of one look exceeds this: a modality twice as certain as it says would need another calibration."""

SEEN_SLOPE = 0.11
"""Slope of ``seen_s``, which pairs of stills cannot tell. On the 137 labeled clips of BAUM-2, seven emotions, the
reliability under which the mean of the frames' predictions fits best grows from 0.74 for one frame to 0.93 for all 16
of a clip, a few seconds: by 0.44 in the exponent over four doublings (``scripts/fit_fusion.py``)."""

_PULL = 1e-3
_FIXED = {"seen_s": SEEN_SLOPE}
_STEP = 1e-4
_ROUNDS, _ENOUGH, _GAIN = 200, 1e-6, 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What both modalities say about samples whose emotion is known.

    Parameters
    ----------
    face, voice : numpy.ndarray
        float64 (n, 7): distributions, NaN where a modality is missing.
    face_quality, voice_quality : mapping of str to array_like
        By measure: float (n,).
    truth : numpy.ndarray
        int64 (n,).
    looks : numpy.ndarray
        float64 (n,): how many images each face is the mean of.
    """

    face: Floats
    voice: Floats
    face_quality: Quality
    voice_quality: Quality
    truth: NDArray[np.int64]
    looks: Floats


def fit_experts(
    evidence: Evidence,
    *,
    priors: tuple[Floats, Floats],
    typical: tuple[dict[str, float], dict[str, float]],
    share: float | None = None,
) -> ExpertWeights:
    """Return the weights under which the true emotions are most likely.

    Parameters
    ----------
    evidence : Evidence
        With and without each modality, good and bad.
    priors : tuple of numpy.ndarray
        float64 (7,) each: how frequent the emotions are in what the face's and the voice's model learned from.
    typical : tuple of dict
        Of face and voice, by measure: what is assumed where it is not measured.
    share : float, optional
        How far the prior that is taken out is the face's, the rest being the voice's (of the logarithms); by default
        it is fitted, too.

    Returns
    -------
    ExpertWeights
        The weights.

    Raises
    ------
    InputError
        If there is nothing to fit to.
    """
    if not len(evidence.truth):
        raise InputError("weights need at least one pair to be fitted to")
    prepared = _Prepared(evidence, priors, typical, share)
    start = prepared.start()

    def loss(point: Floats) -> float:
        return prepared.nll(point) + _PULL * float(((point - start) ** 2).sum())

    return prepared.weights(minimize(loss, start))


class _Prepared:
    """The evidence in the form in which the likelihood is quick to compute."""

    def __init__(
        self,
        evidence: Evidence,
        priors: tuple[Floats, Floats],
        typical: tuple[dict[str, float], dict[str, float]],
        share: float | None,
    ) -> None:
        self._logs, self._there, self._scaled, self._fixed = [], [], [], []
        self._typical, self._share = typical, share
        self._priors = tuple(np.log(np.asarray(prior, np.float64)) for prior in priors)
        for rows, quality, measures, usual in (
            (evidence.face, evidence.face_quality, FACE_MEASURES, typical[0]),
            (evidence.voice, evidence.voice_quality, VOICE_MEASURES, typical[1]),
        ):
            there = ~np.isnan(rows[:, 0])
            self._there.append(there)
            self._logs.append(np.log(np.maximum(np.where(there[:, None], rows, 1.0), LEAST)))
            scaled = _columns(quality, measures, usual, len(rows))
            free = [name not in _FIXED for name in measures]
            self._scaled.append(scaled[:, free])
            self._fixed.append(scaled @ np.array([_FIXED.get(name, 0.0) for name in measures]))
        self._rows = np.arange(len(evidence.truth))
        self._truth = evidence.truth
        self._looks = np.log(evidence.looks), np.zeros(len(evidence.truth))

    def start(self) -> Floats:
        """Return where the search begins: reliabilities near one, slopes of a half."""
        parts = [[0.0, 2.0, *[np.log(0.5)] * scaled.shape[1]] for scaled in self._scaled]
        return np.array([*parts[0], *parts[1], 0.0, np.log(0.1), 0.0])

    def split(self, point: Floats) -> tuple[Floats, Floats, float, float, Floats]:
        """Return both modalities' weights, the growth with looks, the temperature, and the logarithm of the prior."""
        cut = 2 + self._scaled[0].shape[1]
        share = 1 / (1 + np.exp(-point[-1])) if self._share is None else self._share
        prior = share * self._priors[0] + (1 - share) * self._priors[1]
        prior = prior - np.log(np.exp(prior).sum())
        growth = float(1 / (1 + np.exp(-point[-3])))
        return point[:cut], point[cut:-3], growth, 1.0 + float(np.exp(point[-2])), prior

    def nll(self, point: Floats) -> float:
        """Return the mean negative log likelihood."""
        *sides, growth, temperature, prior = self.split(point)
        trusted = []
        parts = zip(sides, self._scaled, self._fixed, self._there, self._looks, strict=True)
        for numbers, scaled, fixed, there, looks in parts:
            exponent = numbers[1] + fixed + scaled @ np.exp(numbers[2:])
            most = _most(numbers[0]) * np.exp(growth * looks)
            trusted.append(np.where(there, most / (1 + np.exp(-np.clip(exponent, -500, 500))), 0.0))
        both = np.minimum(*trusted)
        total = trusted[0][:, None] * self._logs[0] + trusted[1][:, None] * self._logs[1] - both[:, None] * prior
        total = total / temperature ** np.minimum(both, 1.0)[:, None]
        total = total - total.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(total).sum(axis=1)) - total[self._rows, self._truth]))

    def weights(self, point: Floats) -> ExpertWeights:
        """Return what a point stands for."""
        *sides, growth, temperature, prior = self.split(point)
        experts = [
            Expert(
                most=round(float(_most(numbers[0])), 4),
                bias=round(float(numbers[1]), 4),
                slopes=_slopes(measures, np.exp(numbers[2:])),
                typical={name: round(float(value), 4) for name, value in usual.items()},
                growth=round(grown, 4),
            )
            for numbers, measures, usual, grown in zip(
                sides, (FACE_MEASURES, VOICE_MEASURES), self._typical, (growth, 0.0), strict=True
            )
        ]
        shares = tuple(round(float(p), 5) for p in np.exp(prior))
        fitted = {"face": experts[0], "voice": experts[1]}
        return ExpertWeights(shares, fitted, round(temperature, 4))


def _most(value: float) -> float:
    return float(MOST / (1 + np.exp(-value)))


def _slopes(measures: dict[str, Measure], fitted: Floats) -> dict[str, float]:
    rest = iter(fitted.tolist())
    return {name: _FIXED[name] if name in _FIXED else round(next(rest), 4) for name in measures}


def _columns(quality: Quality, measures: dict[str, Measure], typical: dict[str, float], n: int) -> Floats:
    columns = []
    for name, measure in measures.items():
        values = np.broadcast_to(np.asarray(quality.get(name, np.nan), np.float64), (n,))
        # The likelihood needs numbers; twenty halvings are as bad as it gets.
        columns.append(np.maximum(measure.scaled(np.where(np.isnan(values), typical[name], values)), -20.0))
    return np.column_stack(columns)


def minimize(loss: Callable[[Floats], float], start: Floats) -> Floats:
    """Return a point near `start` at which a smooth function has a minimum.

    Parameters
    ----------
    loss : callable
        Takes float64 (k,), returns a float.
    start : numpy.ndarray
        float64 (k,).

    Returns
    -------
    numpy.ndarray
        float64 (k,): where the slope is below 1e-6, or a step no longer lowers the function by 1e-9.
    """
    point, value = start.astype(np.float64), loss(start)
    slope, inverse = _slope(loss, point), np.eye(len(start))
    for _ in range(_ROUNDS):
        if np.abs(slope).max() < _ENOUGH:
            break
        way = -inverse @ slope
        if way @ slope >= 0:
            inverse, way = np.eye(len(start)), -slope
        size = min(1.0, 2.0 / np.abs(way).max())  # no weight leaps where the likelihood is flat
        while loss(point + size * way) > value + 1e-4 * size * (way @ slope):
            size /= 2
            if size < 1e-10:
                return point
        step = size * way
        before, point, value = value, point + step, loss(point + step)
        if before - value < _GAIN:
            break
        fresh = _slope(loss, point)
        change, slope = fresh - slope, fresh
        inverse = _updated(inverse, step, change)
    return point


def _slope(loss: Callable[[Floats], float], point: Floats) -> Floats:
    steps = _STEP * np.eye(len(point))
    return np.array([(loss(point + step) - loss(point - step)) / (2 * _STEP) for step in steps])


def _updated(inverse: Floats, step: Floats, change: Floats) -> Floats:
    """Return the inverse of the curvature after a step (Nocedal and Wright, equation 6.17)."""
    along = float(step @ change)
    if along <= 1e-12:
        return inverse
    left = np.eye(len(step)) - np.outer(step, change) / along
    found: Floats = left @ inverse @ left.T + np.outer(step, step) / along
    return found
