"""What faces and voices say under each condition of the examination of fusions: answers with measures of quality.

Every image and every recording is answered once under every condition; pairs are made of the answers afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien.data.samples import Samples
from mien.errors import InputError
from mien.evaluate.noise import KINDS, _Noises, mixed
from mien.face.quality import sharpness
from mien.labels import FER7
from mien.speech.activity import speech_bounds
from mien.speech.quality import snr_db

__all__ = ["BLUR_PX", "FACE_CASES", "NOISE_DB", "SHORT_S", "SMALL_PX", "VOICE_CASES", "SideAnswers", "faces", "voices"]

FACE_CASES = ("clean", "blurred", "small", "mixed")
"""How images are shown; ``mixed`` draws for each whether and how much, and is what weights are fitted on."""

VOICE_CASES = ("clean", "white", "babble", "short", "only white", "only babble", "mixed")
"""How recordings are played."""

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

Wave = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class SideAnswers:
    """Answers of one side to all its items under one condition.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float64 (n, 7): calibrated as the model's record says, in `mien.labels.FER7`.
    quality : dict of str to numpy.ndarray
        By measure (see `mien.fusion.experts`): float64 (n,).
    """

    probabilities: NDArray[np.float64]
    quality: dict[str, NDArray[np.float64]]


def faces(
    answer: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    data: Samples,
    case: str,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SideAnswers:
    """Let a model answer to images of faces, shown in one way.

    Parameters
    ----------
    answer : callable
        Takes crops, uint8 (m, H, W), returns distributions (m, 7), in `mien.labels.FER7`.
    data : Samples
        The images.
    case : str
        One of `FACE_CASES`.
    seed : int
        Of what is drawn.
    progress : callable, optional
        Called with the number of images answered since the last call.

    Returns
    -------
    SideAnswers
        With the measures ``width_px`` and ``sharpness``.

    Raises
    ------
    InputError
        If there is no such case, or an answer is no distribution.
    """
    if case not in FACE_CASES:
        raise InputError(f"case must be one of {', '.join(FACE_CASES)}, but got {case!r}")
    shown, widths = np.empty_like(data.images), np.empty(len(data))
    for index, image in enumerate(data.images):
        shown[index], widths[index] = _shown(image, case, np.random.default_rng([seed, index]))
    parts: list[NDArray[np.floating]] = []
    for begin in range(0, len(shown), 256):
        batch = shown[begin : begin + 256]
        parts += list(answer(batch))
        if progress is not None:
            progress(len(batch))
    sharp = np.array([sharpness(image) for image in shown])
    return SideAnswers(_distributions(parts), {"width_px": widths, "sharpness": sharp})


def _distributions(rows: list[NDArray[np.floating]]) -> NDArray[np.float64]:
    found = np.asarray(rows, np.float64)
    if found.ndim != 2 or found.shape[1] != len(FER7) or not (np.abs(found.sum(axis=1) - 1) < 1e-3).all():
        raise InputError(f"answers must be distributions over {len(FER7)} emotions, but got {describe(found)}")
    return found


def _shown(image: Image, case: str, generator: np.random.Generator) -> tuple[Image, float]:
    """Return an image as the case shows it, and how wide the face is then."""
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


def voices(
    answer: Callable[[Wave, int], NDArray[np.floating]],
    clips: Samples,
    read: Callable[[int], Wave],
    case: str,
    *,
    rate_hz: int,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SideAnswers:
    """Let models answer to recordings, played in one way.

    Parameters
    ----------
    answer : callable
        Takes a recording, float32 (n,), and the place of its clip, returns a distribution (7,), in
        `mien.labels.FER7`: which net answers which clip is its choice.
    clips : Samples
        The recordings.
    read : callable
        Returns one by its place, float32 (n,).
    case : str
        One of `VOICE_CASES`.
    rate_hz : int
        Samples per second.
    seed : int
        Of what is drawn.
    progress : callable, optional
        Called with 1 after each recording.

    Returns
    -------
    SideAnswers
        With the measures ``speech_s`` and ``snr_db``.

    Raises
    ------
    InputError
        If there is no such case, or an answer is no distribution.
    """
    if case not in VOICE_CASES:
        raise InputError(f"case must be one of {', '.join(VOICE_CASES)}, but got {case!r}")
    noises = _Noises(clips, read, rate_hz, seed)
    rows, lengths, ratios = [], np.empty(len(clips)), np.empty(len(clips))
    for index in range(len(clips)):
        wave = _played(noises, read(index), index, case, rate_hz, seed)
        rows.append(answer(wave, index))
        begin, end = speech_bounds(wave, rate_hz=rate_hz, pad_s=0.0)
        ratio = snr_db(wave, rate_hz=rate_hz, begin_s=begin / rate_hz, end_s=end / rate_hz)
        lengths[index], ratios[index] = (end - begin) / rate_hz, np.nan if ratio is None else ratio
        if progress is not None:
            progress(1)
    return SideAnswers(_distributions(rows), {"speech_s": lengths, "snr_db": ratios})


def _played(noises: _Noises, wave: Wave, index: int, case: str, rate_hz: int, seed: int) -> Wave:
    """Return a recording as the case plays it."""
    begin, end = noises.bounds(index)
    part = slice(begin, end)
    if case in KINDS:
        return mixed(wave, noises.make(case, index, len(wave)), ratio_db=NOISE_DB, part=part)
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
        return mixed(wave, noises.make(kind, index, len(wave)), ratio_db=ratio_db, part=part)
    if what == 2:
        return _cut(wave, part, round(length_s * rate_hz))
    return _alone(noises.make(kind, index, len(wave))) if what == 3 else wave


def _cut(wave: Wave, part: slice, length: int) -> Wave:
    """Return a recording without all but the middle of its speech; what is around the speech stays."""
    spare = max(part.stop - part.start - length, 0)
    first = part.start + spare // 2
    return np.concatenate([wave[: part.start], wave[first : first + length], wave[part.stop :]])


def _alone(noise: Wave) -> Wave:
    level: Any = np.sqrt(np.mean(noise.astype(np.float64) ** 2))
    return np.clip(noise * np.float32(_NOISE_LEVEL / level), -1, 1) if level > 0 else noise
