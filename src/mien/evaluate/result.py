"""What an evaluation returns: every figure with its doubt, ready to become plain data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mien.metrics import Interval

__all__ = ["ClassResult", "EvaluationResult", "SubjectResult"]


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Scores of one class; ``None`` where a score is not defined (see `mien.metrics.ClassScores`).

    Parameters
    ----------
    label : str
        The emotion.
    precision, recall, f1 : float or None
        From 0 to 1.
    support, answered : int
        True rows, and answers given.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    answered: int


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """What comes of one subject.

    Parameters
    ----------
    subject : str
        Its name in the data set.
    n : int
        Its rows.
    accuracy : float
        From 0 to 1.
    """

    subject: str
    n: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What a model does on one split of a data set.

    All shares are from 0 to 1.  Intervals are 95 % percentile bootstrap intervals, drawn over subjects where the data
    names them, else over clips, else over distinct images, so that images of one person and copies of one image
    do not count as independent evidence.

    Parameters
    ----------
    model, model_version : str
        Which model.
    dataset, split, protocol : str
        Which rows, and how their labels were made.
    output : str
        The model's output that answered.
    labels_mapping : str
        How the output's labels became those of the data: ``"one to one"``, or what was merged or dropped.
    views : int
        1, or 2 where the logits of the image and its mirror image were averaged.
    n, n_unlabeled : int
        Rows measured, and rows left out because the protocol gives them no label.
    accuracy, uar, macro_f1 : float
        UAR and macro F1 are over the classes present (see `mien.metrics.uar`).
    n_overlap : int or None
        Measured rows whose exact pixels also occur in Training; ``None`` where Training is not at hand.
    accuracy_overlap_free : float or None
        Accuracy without those rows; ``None`` where that cannot be known, or where no row is left.
    ece, ece_floor, ece_above_floor : float
        Calibration error with the temperature of the model's record, what a perfectly calibrated model would have by
        chance at these rows, and the difference (below zero when luck was good).
    ece_cross_fitted, ece_cross_fitted_floor, ece_cross_fitted_above_floor : float or None
        The same with each half of the rows scaled by a temperature fitted on the other half: honest even where the
        recorded temperature was fitted on these very rows.  ``None`` under two distinct images.
    brier, nll : float
        Proper scores with the recorded temperature.
    temperature : float
        The recorded one.
    temperature_fitted : float or None
        The one that fits all these rows best; ``None`` where there is no cross-fitting either.
    intervals : dict of str to Interval
        Of ``accuracy``, ``uar`` and, where it is known, ``accuracy_overlap_free``.
    per_class : tuple of ClassResult
        In the order of `labels`.
    confusion_matrix : tuple of tuple of int
        Rows are the truth, columns the answers, in the order of `labels`.
    labels : tuple of str
        The emotions of the data set.
    date : str
        Day of the measurement, ISO 8601.
    mien_version : str
        Version that measured.
    auc : float or None
        Area under the ROC curve, one class against the rest, over the classes present; ``None`` with one class alone.
    intervals_by : str
        What the intervals (and the halves of the cross-fitting) are drawn over: ``"subject"``, ``"clip"`` or
        ``"image"``.
    n_groups : int
        How many of those there are.
    per_subject : tuple of SubjectResult
        The worst first; empty where the data names no subjects.
    """

    model: str
    model_version: str
    dataset: str
    split: str
    protocol: str
    output: str
    labels_mapping: str
    views: int
    n: int
    n_unlabeled: int
    accuracy: float
    uar: float
    macro_f1: float
    n_overlap: int | None
    accuracy_overlap_free: float | None
    ece: float
    ece_floor: float
    ece_above_floor: float
    ece_cross_fitted: float | None
    ece_cross_fitted_floor: float | None
    ece_cross_fitted_above_floor: float | None
    brier: float
    nll: float
    temperature: float
    temperature_fitted: float | None
    intervals: dict[str, Interval]
    per_class: tuple[ClassResult, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    date: str
    mien_version: str
    auc: float | None = None
    intervals_by: str = "image"
    n_groups: int = 0
    per_subject: tuple[SubjectResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write, with the names of the fields as keys."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["intervals"] = {name: list(interval) for name, interval in self.intervals.items()}
        plain["per_class"] = [dataclasses.asdict(entry) for entry in self.per_class]
        plain["per_subject"] = [dataclasses.asdict(entry) for entry in self.per_subject]
        plain["confusion_matrix"] = [list(row) for row in self.confusion_matrix]
        plain["labels"] = list(self.labels)
        return plain
