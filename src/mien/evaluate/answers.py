"""What a model answers to the rows of a data set: which output speaks, in which labels, and every row's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.data.samples import Samples, content_hashes
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluate.calibration import softmax
from mien.labels import LabelSet, Mapping, mapping
from mien.models.spec import ModelSpec, Output

__all__ = ["ALL", "Answers", "Classifier", "answer", "choose_output", "mapping_to"]

ALL = "all"
"""The split of data that has none, or is taken whole."""


class Classifier(Protocol):
    """What can be evaluated: `mien.face.analyzer.FaceAnalyzer`, or anything that answers as it does."""

    @property
    def spec(self) -> ModelSpec:
        """The model's record."""

    def logits(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return float32 (n, k) by output name for uint8 crops (n, H, W)."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A model's answers to the labeled rows of one split.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    output : Output
        Which of its outputs answered.
    mapped : Mapping
        How its labels became those of the data.
    rows : Samples
        The labeled rows of the split.
    split : str
        Its name; `ALL` for data without splits.
    n_unlabeled : int
        Rows that were left out for want of a label.
    views : int
        1, or 2 where the logits of each image and its mirror image were averaged.
    logits : numpy.ndarray
        float64 of shape (n, labels of the output).
    probabilities : numpy.ndarray
        float64 of shape (n, labels of the data), with the recorded temperature.
    images : numpy.ndarray
        Bytes of shape (n,): digests of the pixels.
    groups : numpy.ndarray
        int64 of shape (n,): rows that are drawn together by a bootstrap, because they share subject, clip or pixels.
    groups_by : str
        ``"subject"``, ``"clip"`` or ``"image"``: what the groups are made of, as far as the data set says it.
    """

    spec: ModelSpec
    output: Output
    mapped: Mapping
    rows: Samples
    split: str
    n_unlabeled: int
    views: int
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    images: NDArray[np.bytes_]
    groups: NDArray[np.int64]
    groups_by: str

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true class of each row, int64 (n,)."""
        return self.rows.labels

    @property
    def answered(self) -> NDArray[np.int64]:
        """The most likely class of each row, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def label_set(self) -> LabelSet:
        """The labels of the data."""
        return self.rows.label_set


def answer(
    model: Classifier,
    data: Samples,
    *,
    labels_as: str | None = None,
    flip: bool = False,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Answers:
    """Let a model answer to the labeled rows of one split.

    Parameters
    ----------
    model, data, labels_as, flip, batch_size, progress
        See `mien.evaluate.evaluate`.

    Returns
    -------
    Answers
        Every row's answer.

    Raises
    ------
    DatasetError
        If the rows are of several splits, or none has a label.
    InputError
        If the labels of the output cannot be mapped to those of the data.
    ModelError
        If the model has no such output, or answers with another shape or with values that are not finite.
    """
    names = data.split_names()
    if len(names) != 1:
        raise DatasetError(f"evaluate takes the rows of one split, but got {', '.join(names) or 'none'}")
    split = names[0] or ALL
    rows = data.labeled()
    if len(rows) == 0:
        raise DatasetError(f"{data.source}: no row of {split} has a label")
    output = choose_output(model.spec, data.label_set, labels_as)
    mapped = mapping_to(output.labels, data.label_set)
    z = _run(model, rows.images, output, flip=flip, batch_size=batch_size, progress=progress)
    images = np.array(content_hashes(rows.images))
    together, by = _together(rows, images)
    return Answers(
        spec=model.spec,
        output=output,
        mapped=mapped,
        rows=rows,
        split=split,
        n_unlabeled=len(data) - len(rows),
        views=2 if flip else 1,
        logits=z,
        probabilities=mapped.apply(softmax(z, temperature=output.temperature)),
        images=images,
        groups=together,
        groups_by=by,
    )


def _together(rows: Samples, images: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], str]:
    """Return what a bootstrap draws together, and what that is called."""
    for by in ("subject", "clip"):
        if rows.has(by):
            found = rows.groups()
            # An interval over a single subject would have no width, and seem certain.
            if found.max() > 0:
                return found, by
    return np.unique(images, return_inverse=True)[1].astype(np.int64), "image"


def choose_output(spec: ModelSpec, label_set: LabelSet, name: str | None = None) -> Output:
    """Return the output that answers about data with these labels.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    label_set : LabelSet
        Labels of the data.
    name : str, optional
        Name of the output; by default the one with the labels of the data, in whatever order, else the one that maps
        to them with the least loss: first counted are labels of the data that it does not have, then labels of its own
        that the data does not have.

    Returns
    -------
    Output
        One of ``spec.outputs``.

    Raises
    ------
    ModelError
        If there is no such output, or none that has a label of the data.
    """
    if name is not None:
        return spec.output(name)
    wanted = set(label_set.emotions)

    def loss(output: Output) -> tuple[int, int, bool]:
        have = set(output.labels.emotions)
        return len(wanted - have), len(have - wanted), not output.default

    fitting = [output for output in spec.outputs if wanted & set(output.labels.emotions)]
    if not fitting:
        have = ", ".join(o.name for o in spec.outputs) or "none"
        raise ModelError(
            f"model {spec.name!r} has no output that knows one of {', '.join(label_set.emotions)}: it has {have}"
        )
    return min(fitting, key=loss)


def mapping_to(source: LabelSet, target: LabelSet) -> Mapping:
    """Return how answers in one label set become answers about data with another.

    As `mien.labels.mapping`; where that has no place for a label, it is dropped and the rest renormalised: asked about
    data in which nobody is neutral, a model is asked which of the others it is.  A label of the data that the output
    does not have is never answered.  The note says all of it.

    Parameters
    ----------
    source, target : LabelSet
        Labels of the output, and of the data.

    Raises
    ------
    InputError
        If the two have no label in common.
    """
    kept = tuple(e for e in source.emotions if e in target.emotions or _has_rule(e, target))
    lost = [e for e in source.emotions if e not in kept]
    if not set(kept) & set(target.emotions):
        raise InputError(f"no mapping from {source.name} to {target.name}: they have no label in common")
    own = mapping(replace(source, emotions=kept), target)
    weights = np.zeros((len(source), len(target)))
    weights[[source.emotions.index(e) for e in kept]] = own.weights
    notes = [own.note] if own.note != "one to one" else []
    if lost:
        notes.append(f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} dropped and the rest renormalised")
    never = [target.emotions[column] for column in np.flatnonzero(~weights.any(axis=0))]
    if never:
        notes.append(f"{' and '.join(never)} {'is' if len(never) == 1 else 'are'} never answered")
    return Mapping(source, target, weights, "; ".join(notes) or "one to one")


def _has_rule(emotion: str, target: LabelSet) -> bool:
    """Tell whether `mien.labels.mapping` knows what becomes of a label that the target does not have."""
    return emotion == "contempt" or (emotion == "calm" and "neutral" in target.emotions)


def _run(
    model: Classifier,
    images: NDArray[np.uint8],
    output: Output,
    *,
    flip: bool,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> NDArray[np.float64]:
    size = check_integer(batch_size, "batch_size", low=1)
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
