"""Fusion by plain rules on two distributions.

`rule_table` and `most_confident` are those of an earlier system for FER2013 and RAVDESS, kept to be compared with;
`average` is what most people try first.  None of them looks at how good image and sound are; see
`mien.fusion.experts` for that.

All take arrays: ``face`` and ``voice`` are float (n, k), rows that sum to one, in the order of ``labels``.  A row of
NaN means that the side is missing; then the other one is the answer, and where both are missing it is NaN, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien.errors import InputError
from mien.labels import FER7, LabelSet

__all__ = ["OVERRULING", "Fused", "average", "checked_pair", "most_confident", "rule_table"]

Floats = NDArray[np.float64]

OVERRULING = ("anger", "fear", "surprise", "disgust", "sadness")
"""What a voice says against the face in `rule_table`; its happiness and neutral leave the answer to the face."""


class Fused(NamedTuple):
    """Answers of a fusion.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float64 (n, k); NaN where both sides are missing.
    face_weight, voice_weight : numpy.ndarray
        float64 (n,), 0 and up: how much each side had to say.
    """

    probabilities: Floats
    face_weight: Floats
    voice_weight: Floats


def average(face: Floats, voice: Floats, *, labels: LabelSet = FER7) -> Fused:
    """Return the mean of both distributions.

    Parameters
    ----------
    face, voice : numpy.ndarray
        float (n, k), see the module.
    labels : LabelSet
        Their emotions.

    Returns
    -------
    Fused
        Weights are 0.5 each, 1 for a side that is alone.

    Raises
    ------
    InputError
        If the arrays do not fit.
    """
    f, v = checked_pair(face, voice, labels)
    return _mixed(f, v, np.full(len(f), 0.5))


def most_confident(face: Floats, voice: Floats, *, labels: LabelSet = FER7) -> Fused:
    """Return the distribution with the higher top probability; the face's where both are equal.

    The face's is the average over the frames of the stretch.

    Parameters
    ----------
    face, voice, labels
        See `average`.

    Returns
    -------
    Fused
        The weight of the side that answers is 1, the other's 0.

    Raises
    ------
    InputError
        If the arrays do not fit.
    """
    f, v = checked_pair(face, voice, labels)
    return _mixed(f, v, np.where(v.max(axis=1) > f.max(axis=1), 0.0, 1.0))


def rule_table(face: Floats, voice: Floats, *, labels: LabelSet = FER7) -> Fused:
    """Return what both agree on; else the voice where it says one of `OVERRULING`; else the face.

    Where both agree the distribution is their mean, which has the same most probable emotion; otherwise that of the
    side that answers.

    Parameters
    ----------
    face, voice, labels
        See `average`.

    Returns
    -------
    Fused
        Weights are 0.5 each where both agree; otherwise the side that answers has 1.

    Raises
    ------
    InputError
        If the arrays do not fit.
    """
    f, v = checked_pair(face, voice, labels)
    overruling = np.array([emotion in OVERRULING for emotion in labels.emotions])
    said_f, said_v = f.argmax(axis=1), v.argmax(axis=1)
    share = np.where(overruling[said_v], 0.0, 1.0)
    return _mixed(f, v, np.where(said_f == said_v, 0.5, share))


def checked_pair(face: Floats, voice: Floats, labels: LabelSet) -> tuple[Floats, Floats]:
    """Return both sides as float64 (n, k), or raise `InputError` where they are no distributions over the labels."""
    pair = np.asarray(face, np.float64), np.asarray(voice, np.float64)
    for name, rows in zip(("face", "voice"), pair, strict=True):
        if rows.ndim != 2 or rows.shape[1] != len(labels) or len(rows) != len(pair[0]):
            raise InputError(
                f"face and voice must be of one shape (n, {len(labels)}), but got {describe(pair[0])} and "
                f"{describe(pair[1])}"
            )
        missing = np.isnan(rows)
        if (missing.any(axis=1) != missing.all(axis=1)).any():
            raise InputError(f"a row of the {name} must be a distribution, or all NaN where it is missing")
        there = rows[~missing[:, 0]]
        if (there < 0).any() or not (np.abs(there.sum(axis=1) - 1) < 1e-3).all():
            raise InputError(f"the rows of the {name} must be distributions: not negative, with a sum of 1")
    return pair


def _mixed(face: Floats, voice: Floats, share: Floats) -> Fused:
    """Return the mixture with a share of the face where both are there, and what is there elsewhere."""
    no_face, no_voice = np.isnan(face[:, 0]), np.isnan(voice[:, 0])
    of_face = np.where(no_face, 0.0, np.where(no_voice, 1.0, share))
    of_voice = np.where(no_voice, 0.0, np.where(no_face, 1.0, 1 - share))
    mixed = of_face[:, None] * np.nan_to_num(face) + of_voice[:, None] * np.nan_to_num(voice)
    mixed[no_face & no_voice] = np.nan
    return Fused(mixed, of_face, of_voice)
