"""Taking the measure of a model on a data set: every figure with its doubt."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import __version__
from mien.datasets.base import FaceData, content_hashes
from mien.errors import InputError
from mien.evaluation.answers import Answers, Classifier, answer, choose_output
from mien.evaluation.calibration import cross_fitted, fit_temperature
from mien.evaluation.result import ClassResult, EvaluationResult, SubjectResult
from mien.labels import LabelSet, Mapping
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
    macro_f1,
    nll,
    uar,
)
from mien.metrics.bootstrap import recall_sums, uar_of_sums

__all__ = ["Classifier", "choose_output", "evaluate", "measure"]

PUBLISHED = "published labels"
"""The protocol of data whose labels are taken as they were published."""


def evaluate(
    model: Classifier,
    data: FaceData,
    *,
    labels_as: str | None = None,
    training: FaceData | None = None,
    flip: bool = False,
    batch_size: int = 256,
    resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> EvaluationResult:
    """Measure a model on the labelled rows of one split.

    Parameters
    ----------
    model : Classifier
        Usually a `mien.analyzers.face.FaceAnalyzer`.
    data : FaceData
        Rows of one split; those without a label are left out and counted.
    labels_as : str, optional
        The model's output that answers; by default the one whose labels are those of the data, else the one that maps
        to them with the least loss (see `mien.evaluation.answers.choose_output`).
    training : FaceData, optional
        The Training split, for finding copies of its pictures among the rows.  Without it the overlap is not known.
    flip : bool
        Average the logits of each picture and its mirror image.
    batch_size : int
        Pictures given to the model at once.
    resamples, seed : int
        Bootstrap resamples; seed of the bootstrap, of the ECE floor and of the cross-fitting halves.  Drawn are
        subjects where the data names them, else clips, else distinct pictures.
    progress : callable, optional
        Called with the number of pictures done since the last call.

    Returns
    -------
    EvaluationResult
        The figures.

    Raises
    ------
    DatasetError
        If the rows are of several splits, or none has a label.
    InputError
        If the labels of the output cannot be mapped to those of the data.
    ModelError
        If the model has no such output, or answers with another shape or with values that are not finite.
    """
    answers = answer(model, data, labels_as=labels_as, flip=flip, batch_size=batch_size, progress=progress)
    return measure(answers, training=training, resamples=resamples, seed=seed)


def measure(
    answers: Answers, *, training: FaceData | None = None, resamples: int = 2000, seed: int = 0
) -> EvaluationResult:
    """Return the figures of a model's answers.

    Parameters
    ----------
    answers : Answers
        Of `mien.evaluation.answers.answer`.
    training, resamples, seed
        See `evaluate`.
    """
    truth, said = answers.truth, answers.answered
    known = None if training is None else np.isin(answers.pictures, np.array(content_hashes(training.images)))
    area = auc(answers.probabilities, truth)
    return EvaluationResult(
        model=answers.spec.name,
        model_version=answers.spec.version,
        dataset=answers.rows.name,
        split=answers.split,
        protocol=answers.rows.protocol or PUBLISHED,
        output=answers.output.name,
        labels_mapping=answers.mapped.note,
        views=answers.views,
        n=len(truth),
        n_unlabelled=answers.n_unlabelled,
        **_shares(answers, known, resamples=resamples, seed=seed),
        **_calibration(answers.probabilities, truth, seed),
        **_cross_fitted(_mapped_logits(answers.logits, answers.mapped), truth, answers.groups, seed),
        temperature=answers.output.temperature,
        **_tables(truth, said, answers.label_set),
        labels=answers.label_set.emotions,
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        mien_version=__version__,
        auc=None if math.isnan(area) else area,
        intervals_by=answers.groups_by,
        n_groups=int(answers.groups.max()) + 1,
        per_subject=_by_subject(answers),
    )


def _mapped_logits(z: NDArray[np.float64], mapped: Mapping) -> NDArray[np.float64]:
    """Return logits in the labels of the data: merged labels add up as probabilities, missing ones are impossible."""
    result = np.full((len(z), len(mapped.target)), -np.inf)
    for column in range(len(mapped.target)):
        sources = mapped.weights[:, column] > 0
        if sources.any():
            result[:, column] = np.logaddexp.reduce(z[:, sources], axis=1)
    return result


def _shares(answers: Answers, copies: NDArray[np.bool_] | None, *, resamples: int, seed: int) -> dict[str, Any]:
    truth, said = answers.truth, answers.answered
    right = np.stack([truth == said, np.ones(truth.shape, dtype=bool)], axis=1)

    def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums[:, 0] / sums[:, 1])

    def interval(rows: NDArray[Any], figure: Any, together: NDArray[Any]) -> Interval:
        return bootstrap_interval(rows, figure, groups=together, resamples=resamples, seed=seed)

    intervals = {
        "accuracy": interval(right, share, answers.groups),
        "uar": interval(recall_sums(truth, said), uar_of_sums, answers.groups),
    }
    overlap_free = None
    if copies is not None and not copies.all():
        overlap_free = accuracy(truth[~copies], said[~copies])
        intervals["accuracy_overlap_free"] = interval(right[~copies], share, answers.groups[~copies])
    return {
        "accuracy": accuracy(truth, said),
        "uar": uar(truth, said),
        "n_overlap": None if copies is None else int(copies.sum()),
        "accuracy_overlap_free": overlap_free,
        "intervals": intervals,
    }


def _by_subject(answers: Answers) -> tuple[SubjectResult, ...]:
    """Return what comes of each subject, the worst first."""
    names = answers.rows.subjects
    if names is None or not (names != "").any():
        return ()
    right = answers.truth == answers.answered
    found = [
        SubjectResult(str(name), int((names == name).sum()), float(right[names == name].mean()))
        for name in np.unique(names[names != ""])
    ]
    return tuple(sorted(found, key=lambda entry: (entry.accuracy, entry.subject)))


def _calibration(p: NDArray[np.float64], truth: NDArray[np.int64], seed: int) -> dict[str, Any]:
    error, floor = ece(p, truth), ece_floor(p, seed=seed)
    return {
        "ece": error,
        "ece_floor": floor,
        "ece_above_floor": error - floor,
        "brier": brier(p, truth),
        "nll": nll(p, truth),
    }


def _cross_fitted(
    z: NDArray[np.float64], truth: NDArray[np.int64], together: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    names = ("ece_cross_fitted", "ece_cross_fitted_floor", "ece_cross_fitted_above_floor", "temperature_fitted")
    try:
        fitted = fit_temperature(z, truth)
        p = cross_fitted(z, truth, seed=seed, groups=together)
    except InputError:
        # Too few groups for two halves, or only rows of a class that the output does not have.
        return dict.fromkeys(names)
    error, floor = ece(p, truth), ece_floor(p, seed=seed)
    return dict(zip(names, (error, floor, error - floor, fitted), strict=True))


def _tables(truth: NDArray[np.int64], answers: NDArray[np.int64], label_set: LabelSet) -> dict[str, Any]:
    size = len(label_set)
    scores = class_scores(truth, answers, n_classes=size)
    columns = (label_set.emotions, scores.precision, scores.recall, scores.f1, scores.support, scores.answered)
    return {
        "macro_f1": macro_f1(truth, answers, n_classes=size),
        "per_class": tuple(
            ClassResult(label, _defined(precision), _defined(recall), _defined(f1), int(support), int(answered))
            for label, precision, recall, f1, support, answered in zip(*columns, strict=True)
        ),
        "confusion_matrix": tuple(
            tuple(int(count) for count in row) for row in confusion_matrix(truth, answers, n_classes=size)
        ),
    }


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
