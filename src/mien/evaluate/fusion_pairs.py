"""Simulated pairs for examining fusions: images of one emotion with a recording of the same emotion.

No data set here has faces and voices of the same moment.  A pair puts together what was never together: the people
are others, and given the emotion, the errors of both sides are independent of each other, as they are not in a video.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.data.near_copies import FLAT, near_pairs, spreads
from mien.data.samples import Samples
from mien.data.splits import fold_ids
from mien.errors import DatasetError
from mien.labels import FER7, LabelSet

__all__ = ["Pairs", "common_labels", "image_folds", "simulated_pairs"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Images and recordings put together.

    Parameters
    ----------
    images : numpy.ndarray
        int64 (n, length): rows of the faces.
    clips : numpy.ndarray
        int64 (n,): rows of the speech.
    face, voice : numpy.ndarray
        int64 (n,): the emotion of each side, in `mien.labels.FER7`; the same where they do not contradict.
    fold : numpy.ndarray
        int64 (n,): images and speakers of different folds have nothing in common.
    """

    images: NDArray[np.int64]
    clips: NDArray[np.int64]
    face: NDArray[np.int64]
    voice: NDArray[np.int64]
    fold: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def length(self) -> int:
        """Images of a pair."""
        return int(self.images.shape[1])

    def take(self, rows: NDArray[np.bool_]) -> Pairs:
        """Return the pairs that a mask selects."""
        return Pairs(self.images[rows], self.clips[rows], self.face[rows], self.voice[rows], self.fold[rows])


def common_labels(labels: NDArray[np.int64], label_set: LabelSet) -> NDArray[np.int64]:
    """Return class numbers in `mien.labels.FER7`: calm is neutral; -1 for contempt, and where there was no label."""
    places = [_place(emotion) for emotion in label_set.emotions]
    return np.where(labels < 0, -1, np.array([*places, -1], np.int64)[labels])


def _place(emotion: str) -> int:
    word = "neutral" if emotion == "calm" else emotion
    return FER7.emotions.index(word) if word in FER7.emotions else -1


def image_folds(data: Samples, labels: NDArray[np.int64], k: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Deal images into folds, int64 (n,); copies and near copies of an image, and one subject's, stay together.

    Raises
    ------
    DatasetError
        If there are fewer groups than folds.
    """
    together = data.groups()
    if data.images.shape[1:] == (48, 48):
        shows = np.flatnonzero(spreads(data.images) >= FLAT)
        first = np.unique(together[shows], return_index=True)[1]
        kept = shows[first]
        pairs = near_pairs(data.images[kept])
        for a, b in zip(kept[pairs.first].tolist(), kept[pairs.second].tolist(), strict=True):
            together[together == together[b]] = together[a]
    return fold_ids(labels, together, k, seed=seed)


def simulated_pairs(
    face_labels: NDArray[np.int64],
    face_fold: NDArray[np.int64],
    voice_labels: NDArray[np.int64],
    voice_fold: NDArray[np.int64],
    *,
    length: int = 1,
    contradict: bool = False,
    seed: int = 0,
) -> Pairs:
    """Give every recording images of the same emotion, drawn from the images of its fold.

    Parameters
    ----------
    face_labels, voice_labels : numpy.ndarray
        int64 (n,), (m,): in `mien.labels.FER7`; rows with -1 are left out.
    face_fold, voice_fold : numpy.ndarray
        int64 (n,), (m,): numbers of folds.
    length : int
        Images of a pair: different ones, of any people.
    contradict : bool
        Draw images of another emotion instead, each of the others equally often.
    seed : int
        Of the drawing.

    Returns
    -------
    Pairs
        One for each recording with a label, in order.

    Raises
    ------
    DatasetError
        If a fold has too few images of an emotion.
    """
    count = check_integer(length, "length", low=1)
    clips = np.flatnonzero(voice_labels >= 0)
    shown = voice_labels[clips].copy()
    images = np.empty((len(clips), count), np.int64)
    for row, clip in enumerate(clips.tolist()):
        generator = np.random.default_rng([seed, int(contradict), clip])
        if contradict:
            others = [c for c in range(len(FER7)) if c != shown[row]]
            shown[row] = others[int(generator.integers(len(others)))]
        there = np.flatnonzero((face_labels == shown[row]) & (face_fold == voice_fold[clip]))
        if len(there) < count:
            raise DatasetError(
                f"fold {int(voice_fold[clip]) + 1} has {len(there)} images of {FER7.emotions[shown[row]]}: "
                f"pairs of {count} need as many; take fewer folds or shorter sequences"
            )
        images[row] = generator.choice(there, count, replace=False)
    return Pairs(images, clips, shown, voice_labels[clips], voice_fold[clips])
