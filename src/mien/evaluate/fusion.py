"""The examination of fusions on simulated pairs: fitted on some speakers and images, measured on the others.

What it can and cannot show: a pair is no video (see `mien.evaluate.fusion_pairs`).  Its two sides err independently of
each other, its emotions are posed and about equally frequent, and its images are stills.  So the figures tell how
fusions compare with each other, and what quality of image and sound does to them, rather than what to expect of a
video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DatasetError
from mien.evaluate.figures import accuracy_interval, calibration_figures
from mien.evaluate.fusion_answers import SideAnswers
from mien.evaluate.fusion_fit import Evidence, fit_experts
from mien.evaluate.fusion_pairs import Pairs, simulated_pairs
from mien.evaluate.fusion_result import Contradiction, Difference, FusionEvaluation, FusionFigures, SideFigures
from mien.fusion import ExpertWeights, average, experts, most_confident, rule_table
from mien.labels import FER7
from mien.metrics import accuracy, bootstrap_interval, uar
from mien.results import UNSURE_BELOW

__all__ = [
    "CONDITIONS",
    "DEGRADED",
    "ONE_SIDED",
    "PRIOR_SHARE",
    "STILL_S",
    "TYPICAL",
    "Material",
    "examine_fusion",
    "fit_all",
]

Floats = NDArray[np.float64]

CONDITIONS: dict[str, tuple[str | None, str | None]] = {
    "clean": ("clean", "clean"),
    "blurred face": ("blurred", "clean"),
    "small face": ("small", "clean"),
    "white noise at 0 dB": ("clean", "white"),
    "babble at 0 dB": ("clean", "babble"),
    "blurred face, babble at 0 dB": ("blurred", "babble"),
    "0.6 s of speech": ("clean", "short"),
    "white noise alone": ("clean", "only white"),
    "babble alone": ("clean", "only babble"),
    "no face": (None, "clean"),
    "silence": ("clean", None),
}
"""How the face is shown and the voice is played (see `mien.evaluate.fusion_answers`); None where it is missing."""

DEGRADED = tuple(name for name in CONDITIONS if name not in ("clean", "no face", "silence"))
"""Where both sides say something, and one or both are worse than they could be."""

ONE_SIDED = ("white noise alone", "babble alone", "no face", "silence")
"""Where only one side knows anything."""

STILL_S = 0.2
"""What a still image stands for: one frame of a video, at the step in which videos are looked at."""

PRIOR_SHARE = 0.5
"""How far the prior that is taken out is the face's (see `mien.evaluate.fusion_fit.fit_experts`).  It is not fitted,
because the pairs cannot tell it: they have about as much disgust as happiness, which the world has not.  Fitted, it
would be the face's nearly alone, and a hint of disgust in a video would count thirty times a hint of happiness."""

TYPICAL: tuple[dict[str, float], dict[str, float]] = (
    {"width_px": 48.0, "sharpness": 0.3, "seen_s": 1.0},
    {"speech_s": 2.0, "snr_db": 20.0},
)
"""What is assumed of face and voice where it was not measured: an ordinary video."""

_MIXTURE: tuple[tuple[str | None, str | None], ...] = (
    ("clean", "clean"),
    ("mixed", "mixed"),
    ("mixed", None),
    (None, "mixed"),
)
"""What weights are fitted on, in equal parts."""

_RULES = {"average": average, "most_confident": most_confident, "rule_table": rule_table}


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All answers that an examination needs, with what is known of images and recordings.

    Parameters
    ----------
    faces, voices : mapping of str to SideAnswers
        By case: all of `mien.evaluate.fusion_answers.FACE_CASES` and ``VOICE_CASES``.
    face_labels, voice_labels : numpy.ndarray
        int64 (n,), (m,): in `mien.labels.FER7`; -1 for none.
    face_fold, voice_fold : numpy.ndarray
        int64 (n,), (m,): no image and no speaker is in two folds.
    speakers : numpy.ndarray
        str or int (m,): who speaks.
    face_prior, voice_prior : numpy.ndarray
        float64 (7,): how frequent the emotions are in what the nets learned from.
    """

    faces: Mapping[str, SideAnswers]
    voices: Mapping[str, SideAnswers]
    face_labels: NDArray[np.int64]
    voice_labels: NDArray[np.int64]
    face_fold: NDArray[np.int64]
    voice_fold: NDArray[np.int64]
    speakers: NDArray[Any]
    face_prior: Floats
    voice_prior: Floats

    def pairs(self, length: int, *, contradict: bool = False, seed: int = 0) -> Pairs:
        """Return simulated pairs (see `mien.evaluate.fusion_pairs.simulated_pairs`)."""
        return simulated_pairs(
            self.face_labels,
            self.face_fold,
            self.voice_labels,
            self.voice_fold,
            length=length,
            contradict=contradict,
            seed=seed,
        )

    def evidence(self, pairs: Pairs, face_case: str | None, voice_case: str | None) -> Evidence:
        """Return what both sides say of pairs under some conditions; what is missing is NaN."""
        n = len(pairs)
        face, voice = np.full((2, n, len(FER7)), np.nan)
        face_quality: dict[str, Floats] = {}
        voice_quality: dict[str, Floats] = {}
        if face_case is not None:
            told = self.faces[face_case]
            face = told.probabilities[pairs.images].mean(axis=1)
            face_quality = {name: values[pairs.images].mean(axis=1) for name, values in told.quality.items()}
            face_quality["seen_s"] = np.full(n, STILL_S)
        if voice_case is not None:
            heard = self.voices[voice_case]
            voice = heard.probabilities[pairs.clips]
            voice_quality = {name: values[pairs.clips] for name, values in heard.quality.items()}
        return Evidence(face, voice, face_quality, voice_quality, pairs.voice, np.full(n, float(pairs.length)))


def fit_all(
    material: Material,
    *,
    lengths: Sequence[int],
    but: int | None = None,
    seed: int = 0,
    share: float | None = PRIOR_SHARE,
) -> ExpertWeights:
    """Fit the weights of the experts to pairs of all folds but one.

    Parameters
    ----------
    material : Material
        The answers.
    lengths : sequence of int
        Images of a pair; all lengths together are fitted to.
    but : int, optional
        The fold that is left out; by default none.
    seed : int
        Of the drawing of pairs.
    share : float, optional
        See `mien.evaluate.fusion_fit.fit_experts`.

    Returns
    -------
    ExpertWeights
        The weights.
    """
    parts = []
    for length in lengths:
        pairs = material.pairs(length, seed=seed)
        pairs = pairs if but is None else pairs.take(pairs.fold != but)
        parts += [material.evidence(pairs, *cases) for cases in _MIXTURE]
    priors = material.face_prior, material.voice_prior
    return fit_experts(_joined(parts), priors=priors, typical=TYPICAL, share=share)


def _joined(parts: Sequence[Evidence]) -> Evidence:
    def column(side: str, name: str) -> Floats:
        return np.concatenate([np.asarray(getattr(p, side).get(name, np.full(len(p.truth), np.nan))) for p in parts])

    measures = ({name for p in parts for name in getattr(p, side)} for side in ("face_quality", "voice_quality"))
    faces, voices = (
        {n: column(side, n) for n in sorted(names)} for side, names in zip(_QUALITY, measures, strict=True)
    )
    face, voice, truth, looks = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("face", "voice", "truth", "looks")
    )
    return Evidence(face, voice, faces, voices, truth, looks)


_QUALITY = ("face_quality", "voice_quality")


def examine_fusion(
    material: Material,
    *,
    lengths: Sequence[int] = (1, 3),
    seed: int = 0,
    resamples: int = 2000,
    share: float | None = PRIOR_SHARE,
    report: Callable[[str], object] = lambda _: None,
) -> FusionEvaluation:
    """Measure all fusions on simulated pairs, under every one of `CONDITIONS`.

    Every recording is in one pair of each length.  The weights of the experts are fitted once for each fold, on pairs
    of the other folds, and answer about the pairs of that fold.

    Parameters
    ----------
    material : Material
        The answers.
    lengths : sequence of int
        Images of a pair.
    seed : int
        Of the drawing of pairs and of the bootstrap.
    resamples : int
        Of the bootstrap, which draws speakers.
    share : float, optional
        See `mien.evaluate.fusion_fit.fit_experts`.
    report : callable
        Gets progress lines.

    Returns
    -------
    FusionEvaluation
        The figures, and the weights fitted on all folds, for use.

    Raises
    ------
    DatasetError
        If there are fewer than two folds, or too few images.
    """
    numbers = np.unique(material.voice_fold[material.voice_labels >= 0]).tolist()
    if len(numbers) < 2:
        raise DatasetError("the examination of fusions needs recordings in two folds at least")
    fitted = {}
    for number in numbers:
        report(f"fitting without fold {number + 1} of {len(numbers)}")
        fitted[number] = fit_all(material, lengths=lengths, but=number, seed=seed, share=share)
    figures, differences = [], []
    contradictions = []
    for length in lengths:
        pairs = material.pairs(length, seed=seed)
        told = {name: _answers(material, pairs, cases, fitted) for name, cases in CONDITIONS.items()}
        speakers = material.speakers[pairs.clips]
        for name, answers in {**told, "all of these": _stacked(list(told.values()))}.items():
            truth, drawn = (np.tile(rows, len(answers["average"]) // len(pairs)) for rows in (pairs.voice, speakers))
            sides = tuple(_side(side, p, truth, drawn, resamples, seed) for side, p in answers.items())
            figures.append(FusionFigures(name, length, len(truth), sides))
            differences += _differences(name, length, sides, answers, truth, drawn, resamples, seed)
        contradictions.append(_contradiction(material, length, fitted, seed))
        report(f"measured pairs of {length} image{'s' * (length != 1)}")
    return FusionEvaluation(
        figures=tuple(figures),
        differences=tuple(differences),
        contradictions=tuple(contradictions),
        folds=len(numbers),
        speakers=len(np.unique(material.speakers[material.voice_labels >= 0])),
        images=int((material.face_labels >= 0).sum()),
        clips=int((material.voice_labels >= 0).sum()),
        seed=seed,
        weights=fit_all(material, lengths=lengths, seed=seed, share=share),
        fold_weights=tuple(fitted.values()),
    )


def _answers(
    material: Material, pairs: Pairs, cases: tuple[str | None, str | None], fitted: Mapping[int, ExpertWeights]
) -> dict[str, Floats]:
    """Return the answers of both sides alone and of all fusions, float64 (n, 7) each."""
    evidence = material.evidence(pairs, *cases)
    found: dict[str, Floats] = {"face": evidence.face, "voice": evidence.voice}
    product = np.full(evidence.face.shape, np.nan)
    for number, weights in fitted.items():
        here = pairs.fold == number
        quality = {
            side: {n: np.asarray(v)[here] for n, v in getattr(evidence, f"{side}_quality").items()}
            for side in ("face", "voice")
        }
        shares = {"face": evidence.face[here], "voice": evidence.voice[here]}
        looks = evidence.looks[here]
        product[here] = experts(shares, weights=weights, quality=quality, looks=looks).probabilities
    found["experts"] = product
    shares = {"face": evidence.face, "voice": evidence.voice}
    found |= {name: rule(shares).probabilities for name, rule in _RULES.items()}
    return {name: rows for name, rows in found.items() if not np.isnan(rows).any()}


def _stacked(told: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    names = [name for name in told[0] if all(name in answers for answers in told)]
    return {name: np.concatenate([answers[name] for answers in told]) for name in names}


def _side(
    name: str, p: Floats, truth: NDArray[np.int64], drawn: NDArray[Any], resamples: int, seed: int
) -> SideFigures:
    said = p.argmax(axis=1)
    interval = accuracy_interval(truth, said, drawn, resamples=resamples, seed=seed)
    return SideFigures(name, accuracy(truth, said), interval, uar(truth, said), **calibration_figures(p, truth, seed))


def _differences(
    condition: str,
    length: int,
    sides: Sequence[SideFigures],
    answers: Mapping[str, Floats],
    truth: NDArray[np.int64],
    drawn: NDArray[Any],
    resamples: int,
    seed: int,
) -> list[Difference]:
    """Compare the experts with the better single side and with each rule, pair by pair."""
    alone = [side for side in sides if side.name in ("face", "voice")]
    others = [max(alone, key=lambda side: side.accuracy).name] if alone else []
    right = {name: (p.argmax(axis=1) == truth).astype(np.float64) for name, p in answers.items()}
    found = []
    for other in (*others, *_RULES):
        sums = np.stack([right["experts"] - right[other], np.ones(len(truth))], axis=1)
        interval = bootstrap_interval(sums, lambda s: s[:, 0] / s[:, 1], groups=drawn, resamples=resamples, seed=seed)
        found.append(Difference(condition, length, other, float(sums[:, 0].mean()), interval))
    return found


def _contradiction(
    material: Material, length: int, fitted: Mapping[int, ExpertWeights], seed: int
) -> tuple[Contradiction, ...]:
    """Tell whom each fusion follows where face and voice show different emotions."""
    pairs = material.pairs(length, contradict=True, seed=seed)
    answers = _answers(material, replace(pairs), CONDITIONS["clean"], fitted)
    found = []
    for name, p in answers.items():
        said, sure = p.argmax(axis=1), p.max(axis=1)
        found.append(
            Contradiction(
                name,
                length,
                len(pairs),
                float(np.mean(said == pairs.face)),
                float(np.mean(said == pairs.voice)),
                float(sure.mean()),
                float(np.mean(sure < UNSURE_BELOW)),
            )
        )
    return tuple(found)
