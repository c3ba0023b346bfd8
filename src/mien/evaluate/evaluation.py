"""How good a model is on a dataset: every figure with its interval, overall, by class and by group."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import __version__
from mien.data.samples import Samples, content_hashes
from mien.errors import InputError
from mien.evaluate.calibration import cross_fitted, fit_temperature
from mien.evaluate.predictions import UNITS, AudioModel, ImageModel, Predictions, predict, resampling_groups
from mien.metrics import (
    Interval,
    accuracy,
    auc,
    bootstrap_interval,
    brier,
    class_scores,
    confusion_matrix,
    ece,
    ece_floor,
    f1_sums,
    macro_f1,
    nll,
    recall_sums,
    uar,
    uar_of_sums,
)

__all__ = [
    "COLUMNS",
    "ClassFigures",
    "Evaluation",
    "Figures",
    "NoiseFigures",
    "accuracy_interval",
    "calibration_figures",
    "evaluate",
    "figures_of",
    "measure",
]

COLUMNS = ("sex", "intensity", "corpus", "subject")
"""By which columns figures are given, where the samples have them."""

FOLDS = {"image": 2, "audio": 5, "video": 5}
"""Folds of the cross-fitted temperature. With five, what it is fitted on is nearly what a shipped one is fitted on."""

PUBLISHED = "published labels"
"""The protocol of data whose labels are taken as they were published."""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Scores of one class; ``None`` where a score is not defined (see `mien.metrics.ClassScores`).

    Parameters
    ----------
    label : str
        The emotion.
    precision, recall, f1 : float or None
        From 0 to 1.
    support, predicted : int
        True samples, and predictions of the class.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of some of the samples, such as those of one sex or one subject.

    Parameters
    ----------
    n, n_subjects : int
        Samples, and their subjects (0 where none is known).
    accuracy, uar : float
        From 0 to 1; the UAR is over the classes present.
    intervals : dict of str to Interval
        Of ``accuracy`` and ``uar``, drawn as those of the whole; empty where there is one group alone to draw.
    """

    n: int
    n_subjects: int
    accuracy: float
    uar: float
    intervals: dict[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFigures(Figures):
    """Figures of all samples in noise.

    Parameters
    ----------
    kind : str
        ``"clean"``, ``"white"`` or ``"babble"``.
    ratio_db : float or None
        Power of the speech to power of the noise; None for clean.
    """

    kind: str
    ratio_db: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How good a model is on the samples of one split of a dataset.

    All shares are from 0 to 1. Intervals are 95 % percentile bootstrap intervals, drawn over subjects where the data
    names several, else over clips, else over distinct images, so that samples of one person and copies of one image do
    not count as independent evidence.

    Parameters
    ----------
    kind : {"image", "audio", "video"}
        What the samples are.
    model, model_version : str
        Which model.
    dataset, split, protocol : str
        Which samples, and how their labels were made.
    output : str
        The model's output that was used.
    labels_mapping : str
        How the output's labels became those of the data: ``"one to one"``, or what was merged or dropped.
    training_note : str
        How the model's training and these subjects are related, in words; empty for images of unknown subjects.
    views : int
        1, or 2 where the logits of the image and its mirror image were averaged.
    n, n_subjects : int
        Samples measured, and their subjects (0 where none is known).
    n_unlabeled, n_no_common_label, n_unreadable : int
        Samples left out: without a label, with one that the model does not have, and those that could not be read.
    accuracy, uar, macro_f1 : float
        UAR and macro F1 are over the classes present (see `mien.metrics.uar`).
    auc : float or None
        Area under the ROC curve, one class against the rest, over the classes present; None with one class alone.
    n_overlap : int or None
        Images whose exact pixels also occur in Training; None where Training is not at hand.
    accuracy_overlap_free : float or None
        Accuracy without those; None where that cannot be known, or where no image is left.
    seen_in_training : tuple of str or None
        Subjects of these samples that the model learned from, by dataset and name; None where its record does not say.
    n_unseen : int or None
        Samples of other subjects.
    accuracy_unseen, uar_unseen : float or None
        Over those; None where there is none, or it is not known.
    ece, ece_floor, ece_above_floor : float
        Calibration error with the temperature of the model's record, what a perfectly calibrated model would have by
        chance at these samples, and the difference (below zero when luck was good).
    brier, nll : float
        Proper scores with the recorded temperature.
    ece_cross_fitted, ece_cross_fitted_floor, ece_cross_fitted_above_floor : float or None
        The same with the samples of each fold of groups scaled by a temperature fitted on the other folds: honest even
        where the recorded temperature was fitted on these very samples. None under two groups.
    brier_cross_fitted, nll_cross_fitted : float or None
        Likewise.
    cross_fitting_folds : int
        How many folds.
    temperature : float
        The recorded one.
    temperature_fitted : float or None
        The one that fits all these samples best; None where there is no cross-fitting either.
    intervals : dict of str to Interval
        Of ``accuracy``, ``uar``, ``macro_f1`` and, where they are known, ``accuracy_overlap_free``,
        ``accuracy_unseen`` and ``uar_unseen``.
    intervals_by : str
        What the intervals (and the folds of the cross-fitting) are drawn over: ``"subject"``, ``"clip"`` or
        ``"image"``.
    n_groups : int
        How many of those there are.
    groups : dict of str to dict of str to Figures
        By column of the samples, then by its values: in the order of their names, subjects by UAR, the lowest first.
    per_class : tuple of ClassFigures
        In the order of `labels`.
    confusion_matrix : tuple of tuple of int
        Rows are the truth, columns the predictions, in the order of `labels`.
    labels : tuple of str
        The emotions of the dataset.
    problems : tuple of str
        One line for every file that could not be read, and for what the dataset leaves out.
    date, mien_version : str
        Day of the measurement (ISO 8601), version that measured.
    noise : tuple of NoiseFigures
        The noise curve, where it was measured.
    """

    kind: str
    model: str
    model_version: str
    dataset: str
    split: str
    protocol: str
    output: str
    labels_mapping: str
    training_note: str = ""
    views: int = 1
    n: int
    n_subjects: int = 0
    n_unlabeled: int = 0
    n_no_common_label: int = 0
    n_unreadable: int = 0
    accuracy: float
    uar: float
    macro_f1: float
    auc: float | None = None
    n_overlap: int | None = None
    accuracy_overlap_free: float | None = None
    seen_in_training: tuple[str, ...] | None = None
    n_unseen: int | None = None
    accuracy_unseen: float | None = None
    uar_unseen: float | None = None
    ece: float
    ece_floor: float
    ece_above_floor: float
    brier: float
    nll: float
    ece_cross_fitted: float | None = None
    ece_cross_fitted_floor: float | None = None
    ece_cross_fitted_above_floor: float | None = None
    brier_cross_fitted: float | None = None
    nll_cross_fitted: float | None = None
    cross_fitting_folds: int = 2
    temperature: float
    temperature_fitted: float | None = None
    intervals: dict[str, Interval]
    intervals_by: str
    n_groups: int
    groups: dict[str, dict[str, Figures]] = dataclasses.field(default_factory=dict)
    per_class: tuple[ClassFigures, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    problems: tuple[str, ...] = ()
    date: str
    mien_version: str
    noise: tuple[NoiseFigures, ...] = ()

    @property
    def caveat(self) -> str:
        """What a reader must know before any figure: that subjects were seen in training; empty where none was."""
        if not self.seen_in_training:
            return ""
        seen, unit = len(self.seen_in_training), UNITS[self.kind]
        who = f"all {seen}" if seen == self.n_subjects else f"{seen} of the {self.n_subjects}"
        text = (
            f"{self.model} was trained on {who} subjects of these {unit}: accuracy {100 * self.accuracy:.2f} % and "
            f"UAR {100 * self.uar:.2f} % over all {unit} are no measure of generalization to strangers"
        )
        if self.accuracy_unseen is None:
            return f"{text}, and there is no other subject"
        return f"{text}; the figures over unseen subjects are ({self.n_unseen} {unit})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write, with the names of the fields as keys."""
        return dataclasses.asdict(self)


def evaluate(
    model: ImageModel | AudioModel,
    samples: Samples,
    *,
    labels_as: str | None = None,
    training: Samples | None = None,
    flip: bool = False,
    batch_size: int = 256,
    resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Measure a model on the labeled samples of one split: `predict`, then `measure`.

    Parameters
    ----------
    model, samples, labels_as, flip, batch_size, progress
        See `mien.evaluate.predictions.predict`.
    training, resamples, seed
        See `measure`.
    """
    predictions = predict(model, samples, labels_as=labels_as, flip=flip, batch_size=batch_size, progress=progress)
    return measure(predictions, training=training, resamples=resamples, seed=seed)


def measure(
    predictions: Predictions,
    *,
    training: Samples | None = None,
    columns: Sequence[str] = COLUMNS,
    noise: Sequence[NoiseFigures] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Return the figures of a model's predictions.

    Parameters
    ----------
    predictions : Predictions
        Of `mien.evaluate.predictions.predict` or `Predictions.from_probabilities`.
    training : Samples, optional
        The Training split, for finding copies of its images. Without it the overlap is not known.
    columns : sequence of str
        Columns of the samples by whose values figures are given, too.
    noise : sequence of NoiseFigures
        Of `mien.evaluate.noise.noise_curve`, to be kept with them.
    resamples, seed : int
        Bootstrap resamples; seed of the bootstrap, of the ECE floor and of the cross-fitting folds.
    """
    samples, truth, predicted = predictions.samples, predictions.truth, predictions.classes
    groups, by = resampling_groups(samples)
    n_groups = int(groups.max()) + 1
    how = {"resamples": resamples, "seed": seed}
    area = auc(predictions.probabilities, truth)
    folds = max(2, min(FOLDS[samples.kind], n_groups))
    crossed, fitted = _cross_fitted_figures(predictions.logits, truth, groups, seed, folds)
    leaks, leak_intervals = _leaks(predictions, training, groups, how)
    intervals = _intervals(truth, predicted, groups, how)
    if intervals:
        intervals["macro_f1"] = bootstrap_interval(f1_sums(truth, predicted), uar_of_sums, groups=groups, **how)
    return Evaluation(
        kind=samples.kind,
        model=predictions.model,
        model_version=predictions.version,
        dataset=samples.name,
        split=predictions.split,
        protocol=samples.protocol or PUBLISHED,
        output=predictions.output,
        labels_mapping=predictions.labels_mapping,
        views=predictions.views,
        n=len(truth),
        n_subjects=_count_subjects(samples),
        n_unlabeled=predictions.n_unlabeled,
        n_no_common_label=predictions.n_no_common_label,
        n_unreadable=len(predictions.unreadable),
        accuracy=accuracy(truth, predicted),
        uar=uar(truth, predicted),
        macro_f1=macro_f1(truth, predicted, n_classes=len(predictions.label_set)),
        auc=None if math.isnan(area) else area,
        **leaks,
        **calibration_figures(predictions.probabilities, truth, seed),
        ece_cross_fitted=crossed["ece"],
        ece_cross_fitted_floor=crossed["ece_floor"],
        ece_cross_fitted_above_floor=crossed["ece_above_floor"],
        brier_cross_fitted=crossed["brier"],
        nll_cross_fitted=crossed["nll"],
        cross_fitting_folds=folds,
        temperature=predictions.temperature,
        temperature_fitted=fitted,
        intervals=intervals | leak_intervals,
        intervals_by=by,
        n_groups=n_groups,
        groups={name: _by_column(predictions, name, groups, how) for name in columns if samples.has(name)},
        per_class=_per_class(predictions),
        confusion_matrix=tuple(
            map(tuple, confusion_matrix(truth, predicted, n_classes=len(predictions.label_set)).tolist())
        ),
        labels=predictions.label_set.emotions,
        problems=(*predictions.unreadable, *samples.problems),
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        mien_version=__version__,
        noise=tuple(noise),
    )


def figures_of(
    samples: Samples,
    predicted: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Figures:
    """Return the figures of predicted classes.

    Parameters
    ----------
    samples : Samples
        The samples, all with a label.
    predicted, groups : numpy.ndarray
        int64 (n,): predicted classes, and what a bootstrap draws together.
    resamples, seed : int
        Of the bootstrap.
    """
    truth = samples.labels
    return Figures(
        n=len(truth),
        n_subjects=_count_subjects(samples),
        accuracy=accuracy(truth, predicted),
        uar=uar(truth, predicted),
        intervals=_intervals(truth, predicted, groups, {"resamples": resamples, "seed": seed}),
    )


def _count_subjects(samples: Samples) -> int:
    return len(np.unique(samples.subjects[samples.subjects != ""]))


def _intervals(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: NDArray[np.int64], how: dict[str, int]
) -> dict[str, Interval]:
    if (groups == groups[0]).all():
        return {}
    return {
        "accuracy": accuracy_interval(truth, predicted, groups, **how),
        "uar": bootstrap_interval(recall_sums(truth, predicted), uar_of_sums, groups=groups, **how),
    }


def accuracy_interval(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: NDArray[Any], *, resamples: int, seed: int
) -> Interval:
    """Return the 95 % interval of the accuracy, drawn over groups."""
    right = np.stack([truth == predicted, np.ones(truth.shape, dtype=bool)], axis=1)
    return bootstrap_interval(right, lambda s: s[:, 0] / s[:, 1], groups=groups, resamples=resamples, seed=seed)


def calibration_figures(p: NDArray[np.float64], truth: NDArray[np.int64], seed: int = 0) -> dict[str, Any]:
    """Return calibration error, its floor, the difference, and the proper scores."""
    error, floor = ece(p, truth), ece_floor(p, seed=seed)
    return {
        "ece": error,
        "ece_floor": floor,
        "ece_above_floor": error - floor,
        "brier": brier(p, truth),
        "nll": nll(p, truth),
    }


def _cross_fitted_figures(
    z: NDArray[np.float64], truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int, folds: int
) -> tuple[dict[str, Any], float | None]:
    """Return `calibration_figures` with temperatures fitted on the other folds, and the temperature that fits all.

    All are None where there are too few groups for the folds, or only samples of a class that the output does not have.
    """
    try:
        fitted = fit_temperature(z, truth)
        p = cross_fitted(z, truth, folds=folds, seed=seed, groups=groups)
    except InputError:
        return dict.fromkeys(("ece", "ece_floor", "ece_above_floor", "brier", "nll")), None
    return calibration_figures(p, truth, seed), fitted


def _leaks(
    predictions: Predictions, training: Samples | None, groups: NDArray[np.int64], how: dict[str, int]
) -> tuple[dict[str, Any], dict[str, Interval]]:
    """Return what is known of images and subjects that were seen in training, as fields, and the intervals."""
    samples, truth, predicted = predictions.samples, predictions.truth, predictions.classes
    fields: dict[str, Any] = {"training_note": predictions.training_note}
    intervals: dict[str, Interval] = {}
    if training is not None and samples.pixels is not None:
        copies = np.isin(np.array(content_hashes(samples.images)), np.array(content_hashes(training.images)))
        fields["n_overlap"] = int(copies.sum())
        if not copies.all():
            rest = ~copies
            fields["accuracy_overlap_free"] = accuracy(truth[rest], predicted[rest])
            intervals["accuracy_overlap_free"] = accuracy_interval(truth[rest], predicted[rest], groups[rest], **how)
    seen_subjects, names = predictions.training_subjects, samples.subjects
    if samples.kind == "image" and not samples.has("subject"):
        return fields, intervals
    if seen_subjects is None:
        unknown = "it is not known which of these subjects the model learned from"
        return fields | {"training_note": predictions.training_note or unknown}, intervals
    seen = tuple(sorted(set(names.tolist()) & seen_subjects))
    # Who is not named may be anybody: where some of the dataset were seen, those samples are not called unseen.
    unseen = ~np.isin(names, sorted(seen_subjects)) & (names != "") if seen_subjects else np.full(len(names), True)
    note = f"{len(seen)} of {_count_subjects(samples)} subjects were seen in training"
    fields |= {
        "seen_in_training": seen,
        "n_unseen": int(unseen.sum()),
        "training_note": predictions.training_note or (note if seen else "no subject was seen in training"),
    }
    if unseen.any():
        found = figures_of(samples.take(unseen), predicted[unseen], groups[unseen], **how)
        fields |= {"accuracy_unseen": found.accuracy, "uar_unseen": found.uar}
        intervals |= {f"{name}_unseen": interval for name, interval in found.intervals.items()}
    return fields, intervals


def _by_column(
    predictions: Predictions, column: str, groups: NDArray[np.int64], how: dict[str, int]
) -> dict[str, Figures]:
    """Return the figures of the samples of each value; those without one are passed over."""
    values = predictions.samples.column(column)
    found = {}
    for value in np.unique(values[values != ""]).tolist():
        rows = values == value
        found[value] = figures_of(predictions.samples.take(rows), predictions.classes[rows], groups[rows], **how)
    return dict(sorted(found.items(), key=lambda item: item[1].uar)) if column == "subject" else found


def _per_class(predictions: Predictions) -> tuple[ClassFigures, ...]:
    label_set = predictions.label_set
    scores = class_scores(predictions.truth, predictions.classes, n_classes=len(label_set))

    def defined(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    columns = (label_set.emotions, scores.precision, scores.recall, scores.f1, scores.support, scores.predicted)
    return tuple(
        ClassFigures(label, defined(precision), defined(recall), defined(f1), int(support), int(predicted))
        for label, precision, recall, f1, support, predicted in zip(*columns, strict=True)
    )
