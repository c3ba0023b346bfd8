"""The figures that every examination has, whatever was shown to the model: truth and answers in, plain values out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.evaluate.calibration import cross_fitted, fit_temperature
from mien.evaluate.result import ClassResult
from mien.labels import LabelSet, Mapping
from mien.metrics import (
    Interval,
    bootstrap_interval,
    brier,
    class_scores,
    confusion_matrix,
    ece,
    ece_floor,
    macro_f1,
    nll,
    recall_sums,
    uar_of_sums,
)

__all__ = [
    "accuracy_interval",
    "calibration_figures",
    "cross_fitted_figures",
    "mapped_logits",
    "tables",
    "uar_interval",
]


def mapped_logits(z: NDArray[np.float64], mapped: Mapping) -> NDArray[np.float64]:
    """Return logits in the labels of the data: merged labels add up as probabilities, missing ones are impossible."""
    result = np.full((len(z), len(mapped.target)), -np.inf)
    for column in range(len(mapped.target)):
        sources = mapped.weights[:, column] > 0
        if sources.any():
            result[:, column] = np.logaddexp.reduce(z[:, sources], axis=1)
    return result


def accuracy_interval(
    truth: NDArray[np.int64], said: NDArray[np.int64], groups: NDArray[Any], *, resamples: int, seed: int
) -> Interval:
    """Return the 95 % interval of the accuracy, drawn over groups."""
    right = np.stack([truth == said, np.ones(truth.shape, dtype=bool)], axis=1)

    def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums[:, 0] / sums[:, 1])

    return bootstrap_interval(right, share, groups=groups, resamples=resamples, seed=seed)


def uar_interval(
    truth: NDArray[np.int64], said: NDArray[np.int64], groups: NDArray[Any], *, resamples: int, seed: int
) -> Interval:
    """Return the 95 % interval of the UAR, drawn over groups."""
    return bootstrap_interval(recall_sums(truth, said), uar_of_sums, groups=groups, resamples=resamples, seed=seed)


def calibration_figures(p: NDArray[np.float64], truth: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Return calibration error, its floor, the difference, and the proper scores."""
    error, floor = ece(p, truth), ece_floor(p, seed=seed)
    return {
        "ece": error,
        "ece_floor": floor,
        "ece_above_floor": error - floor,
        "brier": brier(p, truth),
        "nll": nll(p, truth),
    }


def cross_fitted_figures(
    z: NDArray[np.float64], truth: NDArray[np.int64], together: NDArray[np.int64], seed: int, *, folds: int = 2
) -> tuple[dict[str, Any], float | None]:
    """Return `calibration_figures` with temperatures fitted on the other folds, and the temperature that fits all.

    All are None where there are too few groups for the folds, or only rows of a class that the output does not have.
    """
    try:
        fitted = fit_temperature(z, truth)
        p = cross_fitted(z, truth, folds=folds, seed=seed, groups=together)
    except InputError:
        return dict.fromkeys(("ece", "ece_floor", "ece_above_floor", "brier", "nll")), None
    return calibration_figures(p, truth, seed), fitted


def tables(truth: NDArray[np.int64], answers: NDArray[np.int64], label_set: LabelSet) -> dict[str, Any]:
    """Return macro F1, the scores by class and the confusion matrix, by the names of the results' fields."""
    size = len(label_set)
    scores = class_scores(truth, answers, n_classes=size)
    columns = (label_set.emotions, scores.precision, scores.recall, scores.f1, scores.support, scores.predicted)
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
