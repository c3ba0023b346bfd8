"""Taking the measure of a model on a data set: every figure with its doubt."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import __version__
from mien.data.samples import Samples, content_hashes
from mien.evaluate.answers import Answers, Classifier, answer, choose_output
from mien.evaluate.figures import (
    accuracy_interval,
    calibration_figures,
    cross_fitted_figures,
    mapped_logits,
    tables,
    uar_interval,
)
from mien.evaluate.result import EvaluationResult, SubjectResult
from mien.metrics import accuracy, auc, uar

__all__ = ["Classifier", "choose_output", "evaluate", "measure"]

PUBLISHED = "published labels"
"""The protocol of data whose labels are taken as they were published."""


def evaluate(
    model: Classifier,
    data: Samples,
    *,
    labels_as: str | None = None,
    training: Samples | None = None,
    flip: bool = False,
    batch_size: int = 256,
    resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> EvaluationResult:
    """Measure a model on the labeled rows of one split.

    Parameters
    ----------
    model : Classifier
        Usually a `mien.face.analyzer.FaceAnalyzer`.
    data : Samples
        Rows of one split; those without a label are left out and counted.
    labels_as : str, optional
        The model's output that answers; by default the one whose labels are those of the data, else the one that maps
        to them with the least loss (see `mien.evaluate.answers.choose_output`).
    training : Samples, optional
        The Training split, for finding copies of its images among the rows.  Without it the overlap is not known.
    flip : bool
        Average the logits of each image and its mirror image.
    batch_size : int
        Images given to the model at once.
    resamples, seed : int
        Bootstrap resamples; seed of the bootstrap, of the ECE floor and of the cross-fitting halves.  Drawn are
        subjects where the data names them, else clips, else distinct images.
    progress : callable, optional
        Called with the number of images done since the last call.

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
    answers: Answers, *, training: Samples | None = None, resamples: int = 2000, seed: int = 0
) -> EvaluationResult:
    """Return the figures of a model's answers.

    Parameters
    ----------
    answers : Answers
        Of `mien.evaluate.answers.answer`.
    training, resamples, seed
        See `evaluate`.
    """
    truth, said = answers.truth, answers.answered
    known = None if training is None else np.isin(answers.images, np.array(content_hashes(training.images)))
    area = auc(answers.probabilities, truth)
    crossed, fitted = cross_fitted_figures(mapped_logits(answers.logits, answers.mapped), truth, answers.groups, seed)
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
        n_unlabeled=answers.n_unlabeled,
        **_shares(answers, known, resamples=resamples, seed=seed),
        **calibration_figures(answers.probabilities, truth, seed),
        ece_cross_fitted=crossed["ece"],
        ece_cross_fitted_floor=crossed["ece_floor"],
        ece_cross_fitted_above_floor=crossed["ece_above_floor"],
        temperature_fitted=fitted,
        temperature=answers.output.temperature,
        **tables(truth, said, answers.label_set),
        labels=answers.label_set.emotions,
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        mien_version=__version__,
        auc=None if math.isnan(area) else area,
        intervals_by=answers.groups_by,
        n_groups=int(answers.groups.max()) + 1,
        per_subject=_by_subject(answers),
    )


def _shares(answers: Answers, copies: NDArray[np.bool_] | None, *, resamples: int, seed: int) -> dict[str, Any]:
    truth, said = answers.truth, answers.answered
    drawn = {"resamples": resamples, "seed": seed}
    intervals = {
        "accuracy": accuracy_interval(truth, said, answers.groups, **drawn),
        "uar": uar_interval(truth, said, answers.groups, **drawn),
    }
    overlap_free = None
    if copies is not None and not copies.all():
        overlap_free = accuracy(truth[~copies], said[~copies])
        intervals["accuracy_overlap_free"] = accuracy_interval(
            truth[~copies], said[~copies], answers.groups[~copies], **drawn
        )
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
