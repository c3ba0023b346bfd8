"""Fusion by a product of experts, each trusted as far as its measured quality allows.

For one stretch of time the face's net says p_f(c), the voice's p_v(c).  Each is raised to its reliability r, and both
are multiplied; how frequent the emotions are, q, is in both, and taken out once, as far as both have a say:

    log p(c) = (r_f log p_f(c) + r_v log p_v(c) - m log q(c)) / T**min(m, 1) + constant,  m = min(r_f, r_v)

(of more than two, m is the sum of all but the largest r).  With r_f = r_v = T = 1 this is Bayes' rule for two witnesses
who err independently of each other; T above 1 says that they do not quite.  A reliability is

    r = most * looks**growth / (1 + exp(-(bias + sum of slope * measure)))

of measures of quality that are 0 at their best and go to minus infinity at their worst, with slopes that are not
negative: a face of no width, an image without detail, a voice far under the noise lose their say altogether, and what
is left is the other side.  Looks are images of different people who show the same; the frames of one person in a video
are one look, however many, because their errors are alike.  All this holds of recordings like those that the nets
learned from; r is multiplied by what was measured to be left of it on others (``transfer``).  A side that is missing
has r = 0.  One that is alone keeps the order of its emotions: only how sure it is depends on its quality.

The few weights are fitted on simulated pairs (see `mien.evaluate.fusion`) and kept in the record of
``fusion-experts``.

References
----------
Hinton, Training Products of Experts by Minimizing Contrastive Divergence, Neural Computation 14 (2002).
Bailer-Jones and Smith, Combining probabilities, Gaia technical note GAIA-C8-TN-MPIA-CBJ-053 (2011): the division by
the prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_number, describe
from mien.errors import InputError
from mien.fusion.rules import Fused, Shares, check_shares
from mien.labels import FER7, LabelSet
from mien.models import registry

__all__ = [
    "FACE_MEASURES",
    "LEAST",
    "MEASURES",
    "VOICE_MEASURES",
    "Expert",
    "ExpertWeights",
    "Quality",
    "experts",
    "reliability",
    "shipped_weights",
]

Floats = NDArray[np.float64]


class Measure(NamedTuple):
    """A measure of quality: ``log2(min(value, best) / best)``, or ``(min(value, best) - best) / 10`` for decibels."""

    best: float
    decibels: bool = False

    def scaled(self, values: Floats) -> Floats:
        """Return the measure, 0 at the best, minus infinity at the worst; NaN stays NaN."""
        capped = np.minimum(values, self.best)
        if self.decibels:
            return np.asarray((capped - self.best) / 10)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log2(np.maximum(capped, 0) / self.best))


FACE_MEASURES: dict[str, Measure] = {
    "width_px": Measure(48.0),  # what the nets see of a face is 48 px wide
    "sharpness": Measure(0.3),  # see `mien.face.quality`; 95 of 100 images of FER2013 are sharper
    "seen_s": Measure(3.0),  # expressions last half a second to four (Ekman 2003, see `mien.video.timeline`)
}
"""What is measured of a face over a stretch: its width in pixels of the video, its sharpness, and for how long it is
seen."""

VOICE_MEASURES: dict[str, Measure] = {
    "speech_s": Measure(3.0),  # the window of the speech nets
    "snr_db": Measure(40.0, decibels=True),  # studio recordings
}
"""What is measured of a voice: how long is spoken without a pause, and how far the speech is above the noise."""

LEAST = 1e-4
"""No expert says that an emotion is less probable than this: none can rule out what it has not seen."""

MEASURES: dict[str, dict[str, Measure]] = {"face": FACE_MEASURES, "voice": VOICE_MEASURES}
"""What is measured by modality; of others nothing."""

Quality = Mapping[str, ArrayLike]
"""By measure: float (n,) in its unit; NaN, or left out, where it was not measured."""


@dataclass(frozen=True, slots=True)
class Expert:
    """How one side is trusted.

    Parameters
    ----------
    most : float
        Upper bound of its reliability for one look, above 0.
    bias : float
        See the module.
    slopes : dict of str to float
        By measure, not negative.
    typical : dict of str to float
        By measure, in its unit: what is assumed where it was not measured.
    growth : float
        Power of the number of looks, from 0 to 1.
    transfer : float
        What is left of its reliability on recordings unlike those that its net learned from, above 0 and up to 1.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    most: float
    bias: float
    slopes: dict[str, float]
    typical: dict[str, float]
    growth: float = 0.0
    transfer: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.transfer, "transfer", low=math.ulp(0.0), high=1)
        check_number(self.most, "most", low=math.ulp(0.0))
        check_number(self.bias, "bias")
        check_number(self.growth, "growth", low=0, high=1)
        for name, slope in self.slopes.items():
            check_number(slope, f"slope of {name}", low=0)
        if set(self.slopes) != set(self.typical):
            raise InputError(f"slopes and typical must have the same measures, got {self.slopes} and {self.typical}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a record."""
        return {
            "most": self.most,
            "bias": self.bias,
            "slopes": dict(self.slopes),
            "typical": dict(self.typical),
            "growth": self.growth,
            "transfer": self.transfer,
        }


@dataclass(frozen=True, slots=True)
class ExpertWeights:
    """All weights of the fusion of one kind of face net with a speech net.

    Parameters
    ----------
    prior : tuple of float
        How frequent the emotions are, q, in the order of `FER7`.
    experts : dict of str to Expert
        How each modality is trusted: those of `MEASURES`, and maybe others.
    temperature : float
        T: above 1 makes predictions of several together less sure.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    prior: tuple[float, ...]
    experts: dict[str, Expert]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", _prior(self.prior))
        check_number(self.temperature, "temperature", low=math.ulp(0.0))
        for name, expert in self.experts.items():
            measures = MEASURES.get(name, {})
            if set(expert.slopes) != set(measures):
                raise InputError(
                    f"the {name} needs the measures {', '.join(measures)}, but got {', '.join(expert.slopes)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a record."""
        sides = {name: expert.to_dict() for name, expert in self.experts.items()}
        return {"prior": list(self.prior), "temperature": self.temperature, **sides}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> ExpertWeights:
        """Build from what `to_dict` returned, such as a table of a record.

        Raises
        ------
        InputError
            If a key is missing or unknown, or a value is wrong.
        """
        names = [*MEASURES, *(key for key in table if key not in ("prior", "temperature", *MEASURES))]
        try:
            return cls(table["prior"], {name: Expert(**table[name]) for name in names}, table["temperature"])
        except KeyError as error:
            raise InputError(f"weights of a fusion must have {error.args[0]!r}, but have {sorted(table)}") from error
        except (TypeError, AttributeError) as error:
            raise InputError(f"weights of a fusion are malformed: {error}") from error


@lru_cache(maxsize=8)
def shipped_weights(labels: str = "fer7") -> ExpertWeights:
    """Return the weights that ship with mien.

    Parameters
    ----------
    labels : str
        Label set of the face's predictions before they are mapped; those of a set that was not fitted are taken as
        ``"ferplus8"`` where they have contempt, else as ``"fer7"``.

    Raises
    ------
    ModelError
        If the record is missing or wrong.
    """
    tables = registry.get("fusion-experts").fusion
    known = labels if labels in tables else "ferplus8" if labels == "baum8" else "fer7"
    return ExpertWeights.from_dict(tables[known])


def reliability(
    expert: Expert, measures: Mapping[str, Measure], quality: Quality, n: int, *, looks: ArrayLike = 1.0
) -> Floats:
    """Return how far a side is trusted, float64 (n,) from 0 to ``expert.most`` (for one look).

    Parameters
    ----------
    expert : Expert
        The weights.
    measures : mapping of str to Measure
        `FACE_MEASURES` or `VOICE_MEASURES`.
    quality : mapping of str to array_like
        See `Quality`.
    n : int
        How many stretches.
    looks : array_like
        Float (n,) or one number, 1 and up: how many images of different people they are the mean of.

    Raises
    ------
    InputError
        If there is no such measure, or its length is another.
    """
    if unknown := set(quality) - set(measures):
        raise InputError(f"unknown measure {sorted(unknown)[0]!r}: expected {', '.join(measures)}")
    exponent = np.full(n, expert.bias)
    for name, measure in measures.items():
        values = np.asarray(quality.get(name, np.nan), np.float64)
        if values.shape not in ((), (n,)):
            raise InputError(f"{name} must have {n} values, but got {describe(values)}")
        values = np.where(np.isnan(values), expert.typical[name], values)
        # A slope of 0 means that the measure does not count, not even at its worst.
        if expert.slopes[name] > 0:
            exponent = exponent + expert.slopes[name] * measure.scaled(values)
    with np.errstate(over="ignore"):
        most = expert.most * expert.transfer * np.asarray(looks) ** expert.growth
        return np.asarray(most / (1 + np.exp(-exponent)))


def experts(
    shares: Shares,
    *,
    weights: ExpertWeights | None = None,
    quality: Mapping[str, Quality] | None = None,
    looks: ArrayLike = 1.0,
    labels: LabelSet = FER7,
) -> Fused:
    """Return the product of the experts (see the module).

    Parameters
    ----------
    shares : mapping of str to numpy.ndarray
        By modality: float (n, 7), rows that sum to one, or of NaN where it is missing (see `mien.fusion.rules`).
    weights : ExpertWeights, optional
        By default those that ship with mien, for face and voice.
    quality : mapping of str to Quality, optional
        By modality: what was measured of it (see `MEASURES`).
    looks : array_like
        Float (n,) or one number: how many images of different people the face is the mean of; 1 in a video.
    labels : LabelSet
        Must be `FER7`, in which the weights are.

    Returns
    -------
    Fused
        Weights are the reliabilities, 0 where a modality is missing.

    Raises
    ------
    InputError
        If the arrays do not fit, or a modality has no expert.
    """
    if labels != FER7:
        raise InputError(f"experts work in fer7, but got {labels.name}")
    rows = check_shares(shares, labels)
    known = shipped_weights() if weights is None else weights
    if missing := [name for name in rows if name not in known.experts]:
        raise InputError(f"there is no expert for {missing[0]!r}: the weights have {', '.join(known.experts)}")
    first = next(iter(rows.values()))
    total, trusted = np.zeros(first.shape), {}
    for name, own in rows.items():
        measures = MEASURES.get(name, {})
        measured = {key: value for key, value in (quality or {}).get(name, {}).items() if measures}
        count = looks if name == "face" else 1.0
        trust = reliability(known.experts[name], measures, measured, len(own), looks=count)
        trusted[name] = np.where(~np.isnan(own[:, 0]), trust, 0.0)
        total += trusted[name][:, None] * np.log(np.maximum(np.nan_to_num(own, nan=1.0), LEAST))
    # The prior is in each and taken out for all but one; of two that is as far as both have a say.
    shared = np.sort(list(trusted.values()), axis=0)[:-1].sum(axis=0)
    total -= shared[:, None] * np.log(known.prior)
    total /= known.temperature ** np.minimum(shared, 1.0)[:, None]
    raised = np.exp(total - total.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    raised[np.all([np.isnan(own[:, 0]) for own in rows.values()], axis=0)] = np.nan
    return Fused(raised, trusted)


def _prior(values: Any) -> tuple[float, ...]:
    prior = tuple(float(check_number(value, "prior", low=LEAST, high=1)) for value in values)
    if len(prior) != len(FER7) or abs(sum(prior) - 1) > 1e-3:
        raise InputError(f"a prior must be {len(FER7)} shares that sum to 1, but got {prior}")
    return tuple(value / sum(prior) for value in prior)
