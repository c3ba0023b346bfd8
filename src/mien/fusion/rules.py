"""Fusion by plain rules on distributions.

`rule_table` and `most_confident` are those of a student project on FER2013 and RAVDESS, kept to be compared with;
`average` is what most people try first.  None of them looks at how good image and sound are; see
`mien.fusion.experts` for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien.errors import InputError
from mien.labels import FER7, LabelSet

__all__ = ["OVERRULING", "Fused", "Shares", "average", "check_shares", "most_confident", "rule_table"]

Floats = NDArray[np.float64]

Shares = Mapping[str, Floats]
"""By modality, such as ``"face"`` and ``"voice"``: float (n, k), rows that sum to one, in the order of the labels.  A
row of NaN means that the modality says nothing; then the others decide, and without any it is NaN, too."""

OVERRULING = ("anger", "fear", "surprise", "disgust", "sadness")
"""What a voice says against the face in `rule_table`; its happiness and neutral leave the decision to the face."""


class Fused(NamedTuple):
    """Predictions of a fusion.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float64 (n, k); NaN where no modality says anything.
    weights : dict of str to numpy.ndarray
        By modality: float64 (n,), 0 and up, how much it counts.
    """

    probabilities: Floats
    weights: dict[str, Floats]


def average(shares: Shares, *, quality: Any = None, labels: LabelSet = FER7) -> Fused:  # noqa: ARG001
    """Return the mean of all distributions.

    Parameters
    ----------
    shares : mapping of str to numpy.ndarray
        See `Shares`.
    quality : mapping, optional
        Not used: rules do not look at it.
    labels : LabelSet
        The emotions.

    Returns
    -------
    Fused
        All that say something count the same.

    Raises
    ------
    InputError
        If the arrays do not fit.
    """
    rows = check_shares(shares, labels)
    return _mix(rows, {name: np.ones(len(own)) for name, own in rows.items()})


def most_confident(shares: Shares, *, quality: Any = None, labels: LabelSet = FER7) -> Fused:  # noqa: ARG001
    """Return the distribution with the highest top probability; the first modality's where several are equal.

    The face's is the average over the frames of the stretch.

    Parameters
    ----------
    shares, quality, labels
        See `average`.

    Returns
    -------
    Fused
        The weight of the modality that decides is 1, the others' 0.

    Raises
    ------
    InputError
        If the arrays do not fit.
    """
    rows = check_shares(shares, labels)
    best = np.argmax([np.nan_to_num(own.max(axis=1), nan=-1.0) for own in rows.values()], axis=0)
    return _mix(rows, {name: (best == index).astype(np.float64) for index, name in enumerate(rows)})


def rule_table(shares: Shares, *, quality: Any = None, labels: LabelSet = FER7) -> Fused:  # noqa: ARG001
    """Return what face and voice agree on; else the voice where it says one of `OVERRULING`; else the face.

    Where both agree the distribution is their mean, which has the same most probable emotion; otherwise that of the
    side that decides.

    Parameters
    ----------
    shares, quality, labels
        See `average`; for ``"face"`` and ``"voice"``.

    Returns
    -------
    Fused
        Weights are 0.5 each where both agree; otherwise the side that decides has 1.

    Raises
    ------
    InputError
        If the arrays do not fit, or there are other modalities.
    """
    if set(shares) != {"face", "voice"}:
        raise InputError(f"the rule table is for face and voice, but got {', '.join(shares) or 'nothing'}")
    rows = check_shares(shares, labels)
    overruling = np.array([emotion in OVERRULING for emotion in labels.emotions])
    top = {name: own.argmax(axis=1) for name, own in rows.items()}
    agreed, overruled = top["face"] == top["voice"], overruling[top["voice"]]
    face = np.where(agreed, 0.5, np.where(overruled, 0.0, 1.0))
    return _mix(rows, {"face": face, "voice": 1 - face})


def check_shares(shares: Shares, labels: LabelSet) -> dict[str, Floats]:
    """Return distributions by modality as float64 (n, k), or raise `InputError` where they are none over the labels."""
    rows = {name: np.asarray(own, np.float64) for name, own in shares.items()}
    if not rows:
        raise InputError("a fusion needs at least one modality")
    first = next(iter(rows.values()))
    for name, own in rows.items():
        if own.ndim != 2 or own.shape[1] != len(labels) or len(own) != len(first):
            got = ", ".join(f"{key}: {describe(value)}" for key, value in rows.items())
            raise InputError(f"{' and '.join(rows)} must be of one shape (n, {len(labels)}), but got {got}")
        missing = np.isnan(own)
        if (missing.any(axis=1) != missing.all(axis=1)).any():
            raise InputError(f"a row of the {name} must be a distribution, or all NaN where it is missing")
        there = own[~missing[:, 0]]
        if (there < 0).any() or not (np.abs(there.sum(axis=1) - 1) < 1e-3).all():
            raise InputError(f"the rows of the {name} must be distributions: not negative, with a sum of 1")
    return rows


def _mix(rows: Mapping[str, Floats], weights: Mapping[str, Floats]) -> Fused:
    """Return the mixture by weights of those that say something; of one alone, what it says."""
    there = {name: ~np.isnan(own[:, 0]) for name, own in rows.items()}
    count = np.sum(list(there.values()), axis=0)
    used = {name: np.where(present, np.where(count == 1, 1.0, weights[name]), 0.0) for name, present in there.items()}
    total = np.sum(list(used.values()), axis=0)
    shares = {name: own / np.where(total > 0, total, 1.0) for name, own in used.items()}
    mixed = np.sum([share[:, None] * np.nan_to_num(rows[name]) for name, share in shares.items()], axis=0)
    return Fused(np.where((count == 0)[:, None], np.nan, mixed), shares)
