"""Taking the measure of a model on a data set: which output answers, on which rows, and every figure with its doubt."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien import __version__
from mien._checks import whole_number
from mien.datasets.base import FaceData, content_hashes
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluation.calibration import cross_fitted, fit_temperature, softmax
from mien.evaluation.result import ClassResult, EvaluationResult
from mien.labels import LabelSet, Mapping, mapping
from mien.metrics import (
    Interval,
    accuracy,
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
from mien.models.spec import ModelSpec, Output

__all__ = ["Classifier", "choose_output", "evaluate"]


PUBLISHED = "published labels"
"""The protocol of data whose labels are taken as they were published."""


class Classifier(Protocol):
    """What can be evaluated: `mien.analyzers.face.FaceAnalyzer`, or anything that answers as it does."""

    @property
    def spec(self) -> ModelSpec:
        """The model's record."""

    def logits(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return float32 (n, k) by output name for uint8 crops (n, H, W)."""


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
        The model's output that answers; by default the one whose labels are those of the data.  The probabilities of
        another output are mapped by `mien.labels.mapping`.
    training : FaceData, optional
        The Training split, for finding copies of its pictures among the rows.  Without it the overlap is not known.
    flip : bool
        Average the logits of each picture and its mirror image.
    batch_size : int
        Pictures given to the model at once.
    resamples, seed : int
        Bootstrap resamples; seed of the bootstrap, of the ECE floor and of the cross-fitting halves.
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
    split_names = data.split_names()
    if len(split_names) != 1:
        raise DatasetError(f"evaluate takes the rows of one split, but got {', '.join(split_names) or 'none'}")
    rows = data.labelled()
    if len(rows) == 0:
        raise DatasetError(f"{data.source}: no row of {split_names[0]} has a label")
    output = choose_output(model.spec, data.label_set, labels_as)
    mapped = mapping(output.labels, data.label_set)
    z = _run(model, rows.images, output, flip=flip, batch_size=batch_size, progress=progress)
    p = mapped.apply(softmax(z, temperature=output.temperature))
    pictures = np.array(content_hashes(rows.images))
    copies = None if training is None else np.isin(pictures, np.array(content_hashes(training.images)))
    return EvaluationResult(
        model=model.spec.name,
        model_version=model.spec.version,
        dataset=data.name,
        split=split_names[0],
        protocol=data.protocol or PUBLISHED,
        output=output.name,
        labels_mapping=mapped.note,
        views=2 if flip else 1,
        n=len(rows),
        n_unlabelled=len(data) - len(rows),
        **_shares(rows.labels, p.argmax(axis=1), pictures, copies, resamples=resamples, seed=seed),
        **_calibration(p, rows.labels, seed),
        **_cross_fitted(_mapped_logits(z, mapped), rows.labels, pictures, seed),
        temperature=output.temperature,
        **_tables(rows.labels, p.argmax(axis=1), data.label_set),
        labels=data.label_set.emotions,
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        mien_version=__version__,
    )


def choose_output(spec: ModelSpec, label_set: LabelSet, name: str | None = None) -> Output:
    """Return the output that answers about data with these labels.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    label_set : LabelSet
        Labels of the data.
    name : str, optional
        Name of the output; by default the one with the labels of the data, in whatever order.

    Returns
    -------
    Output
        One of ``spec.outputs``.

    Raises
    ------
    ModelError
        If there is no such output.
    """
    if name is not None:
        return spec.output(name)
    matching = [o for o in spec.outputs if set(o.labels.emotions) == set(label_set.emotions)]
    if not matching:
        have = ", ".join(o.name for o in spec.outputs) or "none"
        raise ModelError(
            f"model {spec.name!r} has no output with the labels {label_set.name}: choose one of {have} by labels_as"
        )
    return next((o for o in matching if o.default), matching[0])


def _run(
    model: Classifier,
    images: NDArray[np.uint8],
    output: Output,
    *,
    flip: bool,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> NDArray[np.float64]:
    size = whole_number(batch_size, "batch_size", low=1)
    parts = []
    for begin in range(0, len(images), size):
        batch = np.ascontiguousarray(images[begin : begin + size])
        z = _answer(model, batch, output)
        if flip:
            z = (z + _answer(model, np.ascontiguousarray(batch[:, :, ::-1]), output)) / 2
        parts.append(z)
        if progress is not None:
            progress(len(batch))
    return np.concatenate(parts)


def _answer(model: Classifier, batch: NDArray[np.uint8], output: Output) -> NDArray[np.float64]:
    z = np.asarray(model.logits(batch)[output.name], dtype=np.float64)
    expected = (len(batch), len(output.labels))
    if z.shape != expected:
        raise ModelError(f"output {output.name!r} must answer with shape {expected}, but got {z.shape}")
    if not np.isfinite(z).all():
        raise ModelError(f"output {output.name!r} answered with values that are not finite")
    return z


def _mapped_logits(z: NDArray[np.float64], mapped: Mapping) -> NDArray[np.float64]:
    """Return logits in the labels of the data: merged labels add up as probabilities, missing ones are impossible."""
    result = np.full((len(z), len(mapped.target)), -np.inf)
    for column in range(len(mapped.target)):
        sources = mapped.weights[:, column] > 0
        if sources.any():
            result[:, column] = np.logaddexp.reduce(z[:, sources], axis=1)
    return result


def _shares(
    truth: NDArray[np.int64],
    answers: NDArray[np.int64],
    pictures: NDArray[np.bytes_],
    copies: NDArray[np.bool_] | None,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    right = np.stack([truth == answers, np.ones(truth.shape, dtype=bool)], axis=1)

    def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums[:, 0] / sums[:, 1])

    def interval(rows: NDArray[Any], figure: Any, groups: NDArray[Any]) -> Interval:
        return bootstrap_interval(rows, figure, groups=groups, resamples=resamples, seed=seed)

    intervals = {
        "accuracy": interval(right, share, pictures),
        "uar": interval(recall_sums(truth, answers), uar_of_sums, pictures),
    }
    overlap_free = None
    if copies is not None and not copies.all():
        overlap_free = accuracy(truth[~copies], answers[~copies])
        intervals["accuracy_overlap_free"] = interval(right[~copies], share, pictures[~copies])
    return {
        "accuracy": accuracy(truth, answers),
        "uar": uar(truth, answers),
        "n_overlap": None if copies is None else int(copies.sum()),
        "accuracy_overlap_free": overlap_free,
        "intervals": intervals,
    }


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
    z: NDArray[np.float64], truth: NDArray[np.int64], pictures: NDArray[np.bytes_], seed: int
) -> dict[str, Any]:
    names = ("ece_cross_fitted", "ece_cross_fitted_floor", "ece_cross_fitted_above_floor", "temperature_fitted")
    try:
        fitted = fit_temperature(z, truth)
        p = cross_fitted(z, truth, seed=seed, groups=pictures)
    except InputError:
        # Too few pictures for two halves, or only rows of a class that the output does not have.
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
