"""Adaptation of a face model to unlabeled faces, such as those of one camera, and to a face at rest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_number
from mien.errors import InputError
from mien.labels import LabelSet
from mien.models.emotion import softmax
from mien.models.spec import ModelSpec
from mien.models.store import write_record

__all__ = [
    "BASELINE_STRENGTH",
    "NEUTRAL_FACE",
    "PRIOR_FACES",
    "STRENGTH",
    "adapt",
    "baseline_bias",
    "subtract_bias",
    "write_adapted",
]

STRENGTH = 0.25
"""Share of the mean log probabilities that is subtracted; chosen by ``scripts/compare_domains.py --adaptation``."""

BASELINE_STRENGTH = 0.1
"""Share of a baseline that is subtracted; chosen by ``scripts/compare_domains.py --baseline``."""

PRIOR_FACES = 30
"""Faces that a model without adaptation counts as: so many of the target's own have half of the full effect."""

NEUTRAL_FACE = {
    "neutral": 0.677,
    "happiness": 0.042,
    "surprise": 0.027,
    "sadness": 0.147,
    "anger": 0.061,
    "disgust": 0.014,
    "fear": 0.024,
    "contempt": 0.009,
}
"""What `face-base` answers to a neutral face: geometric mean over those of FER+ (PublicTest, majority) and photographs
(validation), each counting the same; printed by ``scripts/compare_domains.py --baseline``."""

_LEAST = 1e-6


def adapt(
    spec: ModelSpec,
    probabilities: Mapping[str, ArrayLike],
    *,
    strength: float = STRENGTH,
    prior_faces: float = PRIOR_FACES,
) -> ModelSpec:
    """Return a face model's record with biases for faces like those given.

    From the logits of every output, ``strength * n / (n + prior_faces)`` times the mean log probabilities of the n
    faces are subtracted. Emotions that the model finds often in these faces become rarer, and the others more frequent:
    right where the faces show many emotions and the model prefers some, wrong where they really show one emotion most
    of the time.

    Parameters
    ----------
    spec : ModelSpec
        The model that gave the probabilities. Biases that it already has are kept, and these are added to them.
    probabilities : mapping of str to array_like
        Float of shape (n, labels) for each output, by its name; the faces need no labels.
    strength : float
        Between 0 and 1.
    prior_faces : float
        How many faces count as much as the prior, which is no change at all.

    Raises
    ------
    InputError
        If there is no face, an output is missing, or a shape or a number is wrong.
    """
    strength = check_number(strength, "strength", low=0, high=1)
    prior_faces = check_number(prior_faces, "prior_faces", low=0)
    outputs, count = [], 0
    for output in spec.outputs:
        p = np.asarray(probabilities.get(output.name, ()), np.float64)
        if p.ndim != 2 or not len(p) or p.shape[1] != len(output.labels) or not (np.isfinite(p) & (p >= 0)).all():
            expected = f"(n, {len(output.labels)}) of at least one face"
            raise InputError(f"probabilities of {output.name!r} must be of shape {expected}, but are of {p.shape}")
        count = len(p)
        means = _logs(p).mean(axis=0)
        weight = strength * count / (count + prior_faces) * output.temperature
        bias = weight * (means - means.mean()) + np.array(output.bias or 0.0)
        outputs.append(replace(output, bias=tuple(bias.tolist())))
    note = {"faces": count, "strength": strength, "prior_faces": prior_faces, "from": f"{spec.name} {spec.version}"}
    return replace(spec, outputs=tuple(outputs), results=(), training={**spec.training, "adapted": note})


def baseline_bias(
    probabilities: ArrayLike, labels: LabelSet, *, strength: float = BASELINE_STRENGTH
) -> NDArray[np.float64]:
    """Return what makes the face of one person at rest read as neutral, see `subtract_bias`.

    Parameters
    ----------
    probabilities : array_like
        Float of shape (n, k): predictions for the person at rest.
    labels : LabelSet
        The k emotions.
    strength : float
        Between 0 and 1: at 1, a face like the baseline gets the typical answer to a neutral face, `NEUTRAL_FACE`.

    Returns
    -------
    numpy.ndarray
        float64 (k,): ``strength`` times the mean log probabilities less those of `NEUTRAL_FACE`.

    Raises
    ------
    InputError
        If no emotion is neutral, or the strength is out of range.
    """
    strength = check_number(strength, "baseline_strength", low=0, high=1)
    if "neutral" not in labels.emotions:
        raise InputError(f"a baseline needs the emotion neutral, which {labels.name} does not have")
    typical = np.array([NEUTRAL_FACE.get(emotion, min(NEUTRAL_FACE.values())) for emotion in labels.emotions])
    return np.asarray(strength * (_logs(probabilities).mean(axis=0) - np.log(typical)))


def subtract_bias(probabilities: ArrayLike, bias: ArrayLike) -> NDArray[np.float64]:
    """Return distributions, float64 (..., k), with a bias (k,) subtracted from their logarithms."""
    return softmax(_logs(probabilities) - np.asarray(bias, np.float64))


def _logs(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, np.float64), _LEAST)))


def write_adapted(spec: ModelSpec, path: Path) -> ModelSpec:
    """Write a record with the files of its model beside it, and return it as it is there.

    Parameters
    ----------
    spec : ModelSpec
        What `adapt` returned.
    path : pathlib.Path
        The new record, ``NAME.toml``. The model is called NAME.

    Raises
    ------
    InputError
        If the path does not end in ``.toml``, or is that of the model's own record.
    ModelError
        If NAME is no name of a model.
    OSError
        If a file cannot be written.
    """
    if path.suffix != ".toml" or path.resolve() == spec.path.resolve():
        raise InputError(f"an adapted model needs a new file NAME.toml, but got {path.name!r}")
    record = spec.to_dict() | {
        "name": path.stem,
        "description": f"{spec.name}, adapted to {spec.training['adapted']['faces']} faces",
    }
    written = write_record(record, path)
    for entry in spec.files:
        source, target = spec.path.with_name(entry.file), path.with_name(entry.file)
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target)
    return written
