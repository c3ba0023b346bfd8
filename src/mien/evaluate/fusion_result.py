"""What the examination of fusions returns, ready to become plain data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mien.fusion import ExpertWeights
from mien.metrics import Interval

__all__ = ["Contradiction", "Difference", "FusionEvaluation", "FusionFigures", "SideFigures"]


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What comes of one side alone, or of one fusion.

    Parameters
    ----------
    name : str
        ``"face"``, ``"voice"``, or one of `mien.fusion.METHODS`.
    accuracy : float
        From 0 to 1.
    interval : Interval
        95 % interval of the accuracy, drawn over speakers.
    uar : float
        Mean recall.
    ece, ece_floor, ece_above_floor, brier, nll : float
        Calibration (see `mien.metrics.ece` and `mien.metrics.ece_floor`) and proper scores.
    """

    name: str
    accuracy: float
    interval: Interval
    uar: float
    ece: float
    ece_floor: float
    ece_above_floor: float
    brier: float
    nll: float


@dataclass(frozen=True, slots=True)
class FusionFigures:
    """What comes of all sides and fusions under one condition.

    Parameters
    ----------
    condition : str
        See `mien.evaluate.fusion.CONDITIONS`.
    length : int
        Images of a pair.
    n : int
        Pairs.
    sides : tuple of SideFigures
        Sides that are missing are left out.
    """

    condition: str
    length: int
    n: int
    sides: tuple[SideFigures, ...]

    def side(self, name: str) -> SideFigures | None:
        """Return the figures of one side or fusion, None where it is missing."""
        return next((side for side in self.sides if side.name == name), None)


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more accurate the experts are than something else, on the same pairs.

    Parameters
    ----------
    condition, length
        See `FusionFigures`.
    than : str
        The better single side, or a rule.
    value : float
        Difference of the accuracies.
    interval : Interval
        Its 95 % interval, drawn over speakers.
    """

    condition: str
    length: int
    than: str
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Whom an answer follows where face and voice show different emotions: nobody is right then.

    Parameters
    ----------
    name : str
        ``"face"``, ``"voice"``, or one of `mien.fusion.METHODS`.
    length, n : int
        Images of a pair; pairs.
    follows_face, follows_voice : float
        Share of pairs with the emotion of either side.
    confidence : float
        Mean probability of the answer.
    unsure : float
        Share of answers that call themselves unsure.
    """

    name: str
    length: int
    n: int
    follows_face: float
    follows_voice: float
    confidence: float
    unsure: float


@dataclass(frozen=True, slots=True)
class FusionEvaluation:
    """The examination of all fusions on simulated pairs.

    Parameters
    ----------
    figures : tuple of FusionFigures
        By length and condition; the last of each length is all conditions together.
    differences : tuple of Difference
        The experts against the others.
    contradictions : tuple of tuple of Contradiction
        By length.
    folds, speakers, images, clips, seed : int
        What it was measured on.
    weights : ExpertWeights
        Fitted on all folds: for use, not what the figures are of.
    fold_weights : tuple of ExpertWeights
        Fitted without each fold: what the figures are of.
    """

    figures: tuple[FusionFigures, ...]
    differences: tuple[Difference, ...]
    contradictions: tuple[tuple[Contradiction, ...], ...]
    folds: int
    speakers: int
    images: int
    clips: int
    seed: int
    weights: ExpertWeights
    fold_weights: tuple[ExpertWeights, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Images of the pairs."""
        return tuple(dict.fromkeys(figures.length for figures in self.figures))

    def of(self, condition: str, length: int) -> FusionFigures:
        """Return the figures of a condition (a KeyError where there are none)."""
        for figures in self.figures:
            if (figures.condition, figures.length) == (condition, length):
                return figures
        raise KeyError((condition, length))

    def difference(self, condition: str, length: int, than: str | None = None) -> Difference | None:
        """Return how the experts compare with a rule, or by default with the better single side; None for none."""
        for found in self.differences:
            same = (found.condition, found.length) == (condition, length)
            if same and (found.than == than or (than is None and found.than in ("face", "voice"))):
                return found
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "simulation": True,
            **{name: getattr(self, name) for name in ("folds", "speakers", "images", "clips", "seed")},
            "figures": [dataclasses.asdict(part) for part in self.figures],
            "differences": [dataclasses.asdict(part) for part in self.differences],
            "contradictions": [dataclasses.asdict(part) for group in self.contradictions for part in group],
            "weights": self.weights.to_dict(),
            "fold_weights": [weights.to_dict() for weights in self.fold_weights],
        }
