"""Simulated pairs for evaluating fusions: images of one emotion with speech of the same emotion, good and degraded.

No dataset here has faces and voices of the same moment. A pair puts together what was never together: the people are
others, and given the emotion, the errors of both modalities are independent of each other, as they are not in a video.
Every image and every clip is predicted once under every condition; pairs are made of the predictions afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, describe
from mien.data.near_copies import FLAT, near_pairs, spreads
from mien.data.samples import Samples
from mien.data.splits import fold_ids
from mien.errors import DatasetError, InputError
from mien.evaluate.fusion_fit import Evidence
from mien.evaluate.noise import KINDS, NoiseMaker, mix_noise
from mien.face.quality import sharpness
from mien.labels import FER7, LabelSet
from mien.speech.activity import speech_bounds
from mien.speech.quality import snr_db

__all__ = [
    "BLUR_PX",
    "FACE_CASES",
    "NOISE_DB",
    "SHORT_S",
    "SMALL_PX",
    "STILL_S",
    "VOICE_CASES",
    "Material",
    "ModalityPredictions",
    "Pairs",
    "common_labels",
    "image_folds",
    "predict_faces",
    "predict_voices",
    "simulate_pairs",
]

FACE_CASES = ("clean", "blurred", "small", "mixed")
"""How images are changed; ``mixed`` draws for each whether and how much, and is what weights are fitted on."""

VOICE_CASES = ("clean", "white", "babble", "short", "only white", "only babble", "mixed")
"""How clips are changed."""

BLUR_PX = 2.0
"""Standard deviation of the Gaussian of ``blurred``, in pixels of an image 48 px wide."""

SMALL_PX = 12
"""Width of the faces of ``small``: half of what `mien.face.analyzer.SMALL_FACE_PX` warns of."""

NOISE_DB = 0.0
"""Speech to noise in ``white`` and ``babble``."""

SHORT_S = 0.6
"""What is left of the speech in ``short``, from its middle."""

_DRAWN_BLUR, _DRAWN_PX, _DRAWN_DB, _DRAWN_S = (0.0, 3.0), (8, 48), (-10.0, 30.0), (0.4, 1.5)
"""From where to where ``mixed`` draws."""

_NOISE_LEVEL = 0.05
"""Root mean square of noise alone, that of ordinary speech: -26 dB of full scale."""

STILL_S = 0.2
"""What a still image stands for: one frame of a video, at the step in which videos are looked at."""

Floats = NDArray[np.float64]
Wave = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ModalityPredictions:
    """Predictions of one modality for all its samples under one condition.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float64 (n, 7): calibrated as the model's record says, in `mien.labels.FER7`.
    quality : dict of str to numpy.ndarray
        By measure (see `mien.fusion.experts`): float64 (n,).
    """

    probabilities: NDArray[np.float64]
    quality: dict[str, NDArray[np.float64]]


def predict_faces(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    data: Samples,
    case: str,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ModalityPredictions:
    """Predict images of faces, changed in one way.

    Parameters
    ----------
    predict : callable
        Takes crops, uint8 (m, H, W), returns distributions (m, 7), in `mien.labels.FER7`.
    data : Samples
        The images.
    case : str
        One of `FACE_CASES`.
    seed : int
        Of what is drawn.
    progress : callable, optional
        Called with the number of images done since the last call.

    Returns
    -------
    ModalityPredictions
        With the measures ``width_px`` and ``sharpness``.

    Raises
    ------
    InputError
        If there is no such case, or a prediction is no distribution.
    """
    if case not in FACE_CASES:
        raise InputError(f"case must be one of {', '.join(FACE_CASES)}, but got {case!r}")
    changed, widths = np.empty_like(data.images), np.empty(len(data))
    for index, image in enumerate(data.images):
        changed[index], widths[index] = _change_image(image, case, np.random.default_rng([seed, index]))
    parts: list[NDArray[np.floating]] = []
    for begin in range(0, len(changed), 256):
        batch = changed[begin : begin + 256]
        parts += list(predict(batch))
        if progress is not None:
            progress(len(batch))
    sharp = np.array([sharpness(image) for image in changed])
    return ModalityPredictions(_distributions(parts), {"width_px": widths, "sharpness": sharp})


def _distributions(rows: list[NDArray[np.floating]]) -> NDArray[np.float64]:
    found = np.asarray(rows, np.float64)
    if found.ndim != 2 or found.shape[1] != len(FER7) or not (np.abs(found.sum(axis=1) - 1) < 1e-3).all():
        raise InputError(f"predictions must be distributions over {len(FER7)} emotions, but got {describe(found)}")
    return found


def _change_image(image: Image, case: str, generator: np.random.Generator) -> tuple[Image, float]:
    """Return an image as the case has it, and how wide the face is then."""
    side = image.shape[1]
    blur, width = 0.0, float(side)
    if case == "blurred":
        blur = BLUR_PX
    elif case == "small":
        width = SMALL_PX
    elif case == "mixed":
        kind = int(generator.integers(3))
        blur = generator.uniform(*_DRAWN_BLUR) if kind == 1 else 0.0
        width = float(generator.integers(_DRAWN_PX[0], _DRAWN_PX[1] + 1)) if kind == 2 else width
    if blur > 0:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur * side / 48), np.uint8)
    if width < side:
        small = cv2.resize(image, (round(width), round(width)), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    return image, width


def predict_voices(
    predict: Callable[[Wave, int], NDArray[np.floating]],
    clips: Samples,
    read: Callable[[int], Wave],
    case: str,
    *,
    rate_hz: int,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ModalityPredictions:
    """Predict clips of speech, changed in one way.

    Parameters
    ----------
    predict : callable
        Takes a wave, float32 (n,), and the row of its clip, returns a distribution (7,), in `mien.labels.FER7`: which
        model predicts which clip is its choice.
    clips : Samples
        The clips.
    read : callable
        Returns the wave of one by its row, float32 (n,).
    case : str
        One of `VOICE_CASES`.
    rate_hz : int
        Samples per second.
    seed : int
        Of what is drawn.
    progress : callable, optional
        Called with 1 after each clip.

    Returns
    -------
    ModalityPredictions
        With the measures ``speech_s`` and ``snr_db``.

    Raises
    ------
    InputError
        If there is no such case, or a prediction is no distribution.
    """
    if case not in VOICE_CASES:
        raise InputError(f"case must be one of {', '.join(VOICE_CASES)}, but got {case!r}")
    noises = NoiseMaker(clips, read, rate_hz=rate_hz, seed=seed)
    rows, lengths, ratios = [], np.empty(len(clips)), np.empty(len(clips))
    for index in range(len(clips)):
        wave = _change_wave(noises, read(index), index, case, rate_hz, seed)
        rows.append(predict(wave, index))
        begin, end = speech_bounds(wave, rate_hz=rate_hz, pad_s=0.0)
        ratio = snr_db(wave, rate_hz=rate_hz, begin_s=begin / rate_hz, end_s=end / rate_hz)
        lengths[index], ratios[index] = (end - begin) / rate_hz, np.nan if ratio is None else ratio
        if progress is not None:
            progress(1)
    return ModalityPredictions(_distributions(rows), {"speech_s": lengths, "snr_db": ratios})


def _change_wave(noises: NoiseMaker, wave: Wave, index: int, case: str, rate_hz: int, seed: int) -> Wave:
    """Return a wave as the case has it."""
    begin, end = noises.bounds(index)
    part = slice(begin, end)
    if case in KINDS:
        return mix_noise(wave, noises.make(case, index, len(wave)), ratio_db=NOISE_DB, part=part)
    if case == "short":
        return _cut(wave, part, round(SHORT_S * rate_hz))
    if case.startswith("only "):
        return _alone(noises.make(case.removeprefix("only "), index, len(wave)))
    if case == "clean":
        return wave
    generator = np.random.default_rng([seed, len(KINDS), index])
    what, kind = int(generator.integers(4)), KINDS[int(generator.integers(len(KINDS)))]
    ratio_db, length_s = generator.uniform(*_DRAWN_DB), generator.uniform(*_DRAWN_S)
    if what == 1:
        return mix_noise(wave, noises.make(kind, index, len(wave)), ratio_db=ratio_db, part=part)
    if what == 2:
        return _cut(wave, part, round(length_s * rate_hz))
    return _alone(noises.make(kind, index, len(wave))) if what == 3 else wave


def _cut(wave: Wave, part: slice, length: int) -> Wave:
    """Return a wave without all but the middle of its speech; what is around the speech stays."""
    spare = max(part.stop - part.start - length, 0)
    first = part.start + spare // 2
    return np.concatenate([wave[: part.start], wave[first : first + length], wave[part.stop :]])


def _alone(noise: Wave) -> Wave:
    level: Any = np.sqrt(np.mean(noise.astype(np.float64) ** 2))
    return np.clip(noise * np.float32(_NOISE_LEVEL / level), -1, 1) if level > 0 else noise


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Images and clips put together.

    Parameters
    ----------
    images : numpy.ndarray
        int64 (n, length): rows of the faces.
    clips : numpy.ndarray
        int64 (n,): rows of the speech.
    face, voice : numpy.ndarray
        int64 (n,): the emotion of each modality, in `mien.labels.FER7`; the same where they do not contradict.
    fold : numpy.ndarray
        int64 (n,): images and subjects of different folds have nothing in common.
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
    words = ["neutral" if emotion == "calm" else emotion for emotion in label_set.emotions]
    places = [FER7.emotions.index(word) if word in FER7.emotions else -1 for word in words]
    return np.where(labels < 0, -1, np.array([*places, -1], np.int64)[labels])


def image_folds(data: Samples, labels: NDArray[np.int64], k: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Divide images into folds, int64 (n,); copies and near copies of an image, and one subject's, stay together.

    Raises
    ------
    DatasetError
        If there are fewer groups than folds.
    """
    group = data.groups()
    if data.images.shape[1:] == (48, 48):
        shows = np.flatnonzero(spreads(data.images) >= FLAT)
        first = np.unique(group[shows], return_index=True)[1]
        kept = shows[first]
        pairs = near_pairs(data.images[kept])
        for a, b in zip(kept[pairs.first].tolist(), kept[pairs.second].tolist(), strict=True):
            group[group == group[b]] = group[a]
    return fold_ids(labels, group, k, seed=seed)


def simulate_pairs(
    face_labels: NDArray[np.int64],
    face_fold: NDArray[np.int64],
    voice_labels: NDArray[np.int64],
    voice_fold: NDArray[np.int64],
    *,
    length: int = 1,
    contradict: bool = False,
    seed: int = 0,
) -> Pairs:
    """Give every clip images of the same emotion, drawn from the images of its fold.

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
        One for each clip with a label, in order.

    Raises
    ------
    DatasetError
        If a fold has too few images of an emotion.
    """
    count = check_integer(length, "length", low=1)
    clips = np.flatnonzero(voice_labels >= 0)
    face = voice_labels[clips].copy()
    images = np.empty((len(clips), count), np.int64)
    for row, clip in enumerate(clips.tolist()):
        generator = np.random.default_rng([seed, int(contradict), clip])
        if contradict:
            others = [c for c in range(len(FER7)) if c != face[row]]
            face[row] = others[int(generator.integers(len(others)))]
        there = np.flatnonzero((face_labels == face[row]) & (face_fold == voice_fold[clip]))
        if len(there) < count:
            raise DatasetError(
                f"fold {int(voice_fold[clip]) + 1} has {len(there)} images of {FER7.emotions[face[row]]}: "
                f"pairs of {count} need as many; take fewer folds or shorter sequences"
            )
        images[row] = generator.choice(there, count, replace=False)
    return Pairs(images, clips, face, voice_labels[clips], voice_fold[clips])


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All predictions that an evaluation of fusions needs, with what is known of images and clips.

    Parameters
    ----------
    faces, voices : mapping of str to ModalityPredictions
        By case: all of `FACE_CASES` and `VOICE_CASES`.
    face_labels, voice_labels : numpy.ndarray
        int64 (n,), (m,): in `mien.labels.FER7`; -1 for none.
    face_fold, voice_fold : numpy.ndarray
        int64 (n,), (m,): no image and no subject is in two folds.
    speakers : numpy.ndarray
        str or int (m,): who speaks.
    face_prior, voice_prior : numpy.ndarray
        float64 (7,): how frequent the emotions are in what the models learned from.
    """

    faces: Mapping[str, ModalityPredictions]
    voices: Mapping[str, ModalityPredictions]
    face_labels: NDArray[np.int64]
    voice_labels: NDArray[np.int64]
    face_fold: NDArray[np.int64]
    voice_fold: NDArray[np.int64]
    speakers: NDArray[Any]
    face_prior: Floats
    voice_prior: Floats

    def pairs(self, length: int, *, contradict: bool = False, seed: int = 0) -> Pairs:
        """Return simulated pairs (see `mien.evaluate.fusion_pairs.simulate_pairs`)."""
        return simulate_pairs(
            self.face_labels,
            self.face_fold,
            self.voice_labels,
            self.voice_fold,
            length=length,
            contradict=contradict,
            seed=seed,
        )

    def evidence(self, pairs: Pairs, face_case: str | None, voice_case: str | None) -> Evidence:
        """Return what both modalities say of pairs under some conditions; what is missing is NaN."""
        n = len(pairs)
        face, voice = np.full((2, n, len(FER7)), np.nan)
        face_quality: dict[str, Floats] = {}
        voice_quality: dict[str, Floats] = {}
        if face_case is not None:
            predictions = self.faces[face_case]
            face = predictions.probabilities[pairs.images].mean(axis=1)
            face_quality = {name: values[pairs.images].mean(axis=1) for name, values in predictions.quality.items()}
            face_quality["seen_s"] = np.full(n, STILL_S)
        if voice_case is not None:
            predictions = self.voices[voice_case]
            voice = predictions.probabilities[pairs.clips]
            voice_quality = {name: values[pairs.clips] for name, values in predictions.quality.items()}
        return Evidence(face, voice, face_quality, voice_quality, pairs.voice, np.full(n, float(pairs.length)))
