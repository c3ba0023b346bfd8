"""Evaluation of fusions: on simulated pairs of faces and voices, and on labeled videos.

Pairs: weights are fitted on some subjects and images, and measured on the others. What it can and cannot show: a pair
is no video (see `mien.evaluate.fusion_pairs`). Its two modalities err independently of each other, its emotions are
acted and about equally frequent, and its images are stills. So the figures tell how fusions compare with each other,
and what quality of image and sound does to them, rather than what to expect of a video.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.api.analysis import SpeechAnalysis, VideoAnalysis
from mien.data.samples import Samples
from mien.errors import DatasetError, MienError
from mien.evaluate.documents import (
    describe_machine,
    escape,
    format_percent,
    join_parts,
    make_folder,
    section,
    table,
    text_table,
    write_text,
)
from mien.evaluate.evaluation import accuracy_interval, calibration_figures
from mien.evaluate.fusion_fit import Evidence, fit_experts
from mien.evaluate.fusion_pairs import Material, Pairs, common_labels
from mien.fusion import METHODS, ExpertWeights, average, experts, fuse, most_confident, rule_table
from mien.io.paths import format_path
from mien.labels import FER7
from mien.metrics import Interval, bootstrap_interval, uar
from mien.options import VideoOptions
from mien.results import UNSURE_BELOW, SpeechResult, VideoResult
from mien.speech.analyzer import SpeechAnalyzer
from mien.video.analyzer import VideoAnalyzer

__all__ = [
    "CONDITIONS",
    "DEGRADED",
    "ONE_SIDED",
    "PRIOR_SHARE",
    "TYPICAL",
    "ConditionFigures",
    "Contradiction",
    "Difference",
    "FusionEvaluation",
    "MethodFigures",
    "VideoFusionEvaluation",
    "analyze_with_sound",
    "evaluate_fusion",
    "evaluate_fusion_on_videos",
    "fit_all",
    "write_fusion_report",
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
"""How face and voice are changed (see `mien.evaluate.fusion_pairs`); None where one is missing."""

DEGRADED = tuple(name for name in CONDITIONS if name not in ("clean", "no face", "silence"))
"""Where both modalities say something, and one or both are worse than they could be."""

ONE_SIDED = ("white noise alone", "babble alone", "no face", "silence")
"""Where only one modality knows anything."""

PRIOR_SHARE = 0.5
"""How far the prior that is taken out is the face's (see `mien.evaluate.fusion_fit.fit_experts`). It is not fitted,
because the pairs cannot tell it: they have about as much disgust as happiness, which the world has not. Fitted, it
would be the face's nearly alone, and a hint of disgust in a video would count thirty times a hint of happiness."""

TYPICAL: tuple[dict[str, float], dict[str, float]] = (
    {"width_px": 48.0, "sharpness": 0.3, "seen_s": 1.0},
    {"speech_s": 2.0, "snr_db": 20.0},
)
"""What is assumed of face and voice where it was not measured: an ordinary video."""

STEP_S = 0.2
"""Seconds from one analyzed frame of a video to the next, as ``mien analyze`` takes them."""

SIMULATION = (
    "A simulation: images and speech of one emotion by different people are put together. Given the emotion, their "
    "errors are independent of each other, which those of a video are not; emotions are acted, and about equally "
    "frequent. The figures compare fusions and conditions; they do not tell what to expect of videos."
)

_MIXTURE: tuple[tuple[str | None, str | None], ...] = (
    ("clean", "clean"),
    ("mixed", "mixed"),
    ("mixed", None),
    (None, "mixed"),
)
"""What weights are fitted on, in equal parts."""

_RULES = {"average": average, "most_confident": most_confident, "rule_table": rule_table}
_QUALITY = ("face_quality", "voice_quality")
_METHODS = ("face", "voice", *METHODS)
_NUMBERS = tuple(range(1, 1 + len(_METHODS)))


# --- figures ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """Figures of one modality alone, or of one fusion.

    Parameters
    ----------
    name : str
        ``"face"``, ``"voice"``, or one of `mien.fusion.METHODS`.
    n_predicted : int
        Samples that it says something of; the others count as wrong.
    accuracy, uar : float
        Over all samples, from 0 to 1.
    interval : Interval or None
        95 % interval of the accuracy, drawn over subjects; None for one sample.
    ece, ece_floor, ece_above_floor, brier, nll : float or None
        Calibration (see `mien.metrics.ece` and `mien.metrics.ece_floor`) and proper scores over the samples that it
        says something of.
    """

    name: str
    n_predicted: int
    accuracy: float
    uar: float
    interval: Interval | None
    ece: float | None = None
    ece_floor: float | None = None
    ece_above_floor: float | None = None
    brier: float | None = None
    nll: float | None = None


def _method_figures(
    name: str, p: Floats, truth: NDArray[np.int64], groups: NDArray[Any], resamples: int, seed: int
) -> MethodFigures:
    """Return the figures of probabilities (n, 7), NaN where there is no prediction."""
    there = ~np.isnan(p[:, 0])
    predicted = np.where(there, np.nan_to_num(p).argmax(axis=1), p.shape[1])
    interval = None
    if len(np.unique(groups)) > 1:
        interval = accuracy_interval(truth, predicted, groups, resamples=resamples, seed=seed)
    calibration = calibration_figures(p[there], truth[there], seed) if there.any() else {}
    share = float(np.mean(predicted == truth))
    return MethodFigures(name, int(there.sum()), share, uar(truth, predicted), interval, **calibration)


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """Figures of all modalities and fusions under one condition.

    Parameters
    ----------
    condition : str
        See `CONDITIONS`.
    length : int
        Images of a pair.
    n : int
        Pairs.
    methods : tuple of MethodFigures
        Modalities that are missing are left out.
    """

    condition: str
    length: int
    n: int
    methods: tuple[MethodFigures, ...]

    def method(self, name: str) -> MethodFigures | None:
        """Return the figures of one modality or fusion, None where it is missing."""
        return next((method for method in self.methods if method.name == name), None)


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more accurate the experts are than something else, on the same pairs.

    Parameters
    ----------
    condition, length
        See `ConditionFigures`.
    than : str
        The better single modality, or a rule.
    value : float
        Difference of the accuracies.
    interval : Interval
        Its 95 % interval, drawn over subjects.
    """

    condition: str
    length: int
    than: str
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Which modality a prediction follows where face and voice show different emotions: nobody is right then.

    Parameters
    ----------
    name : str
        ``"face"``, ``"voice"``, or one of `mien.fusion.METHODS`.
    length, n : int
        Images of a pair; pairs.
    follows_face, follows_voice : float
        Share of pairs with the emotion of either modality.
    confidence : float
        Mean probability of the predicted class.
    unsure : float
        Share of predictions that are unsure.
    """

    name: str
    length: int
    n: int
    follows_face: float
    follows_voice: float
    confidence: float
    unsure: float


@dataclass(frozen=True, slots=True)
class FusionEvaluation:
    """The evaluation of all fusions on simulated pairs.

    Parameters
    ----------
    figures : tuple of ConditionFigures
        By length and condition; the last of each length is all conditions together.
    differences : tuple of Difference
        The experts against the others.
    contradictions : tuple of tuple of Contradiction
        By length.
    folds, subjects, images, clips, seed : int
        What it was measured on.
    weights : ExpertWeights
        Fitted on all folds: for use, not what the figures are of.
    fold_weights : tuple of ExpertWeights
        Fitted without each fold: what the figures are of.
    """

    figures: tuple[ConditionFigures, ...]
    differences: tuple[Difference, ...]
    contradictions: tuple[tuple[Contradiction, ...], ...]
    folds: int
    subjects: int
    images: int
    clips: int
    seed: int
    weights: ExpertWeights
    fold_weights: tuple[ExpertWeights, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Images of the pairs."""
        return tuple(dict.fromkeys(figures.length for figures in self.figures))

    def of(self, condition: str, length: int) -> ConditionFigures:
        """Return the figures of a condition (a KeyError where there are none)."""
        for figures in self.figures:
            if (figures.condition, figures.length) == (condition, length):
                return figures
        raise KeyError((condition, length))

    def difference(self, condition: str, length: int, than: str | None = None) -> Difference | None:
        """Return how the experts compare with a rule, or by default with the better modality; None for none."""
        for found in self.differences:
            same = (found.condition, found.length) == (condition, length)
            if same and (found.than == than or (than is None and found.than in ("face", "voice"))):
                return found
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "note": SIMULATION,
            "simulation": True,
            **{name: getattr(self, name) for name in ("folds", "subjects", "images", "clips", "seed")},
            "figures": [dataclasses.asdict(part) for part in self.figures],
            "differences": [dataclasses.asdict(part) for part in self.differences],
            "contradictions": [dataclasses.asdict(part) for group in self.contradictions for part in group],
            "weights": self.weights.to_dict(),
            "fold_weights": [weights.to_dict() for weights in self.fold_weights],
        }

    def to_text(self, method: str = "experts") -> str:
        """Return text: accuracies by condition, intervals and calibration of one method, contradictions."""
        parts = [self._about(), SIMULATION]
        for length in self.lengths:
            head = _method_head(method)
            parts += [
                text_table((_pair_title(length), *_METHODS), self._rows(length, _accuracy_cell), right=_NUMBERS),
                text_table(head, self._method_rows(length, method), right=(1, 3, 4)),
                text_table(_FOLLOWS, self._contradiction_rows(length), right=(1, 2, 3, 4)),
            ]
        return join_parts(*parts)

    def to_markdown(self, command: str = "") -> str:
        """Return the report as Markdown."""
        parts = ["# Faces and voices together", SIMULATION, f"{self._about()}."]
        for length in self.lengths:
            title, head = _pair_title(length), ("", *_METHODS)
            experts_table = table(_method_head("experts"), self._method_rows(length, "experts"), right=(1, 3, 4))
            parts += [
                section(f"Accuracy, {title}", table(head, self._rows(length, _accuracy_cell), right=_NUMBERS)),
                section(f"ECE above its floor, {title}", table(head, self._rows(length, _ece_cell), right=_NUMBERS)),
                section(f"The experts, {title}", experts_table),
                section(
                    f"Contradicting modalities, {title}",
                    table(_FOLLOWS, self._contradiction_rows(length), right=(1, 2, 3, 4)),
                ),
            ]
        weights = "```json\n" + json.dumps(self.weights.to_dict(), indent=2) + "\n```"
        return join_parts(
            *parts,
            section("Weights of the experts, for use", weights),
            section("Made by", command and f"`{command}`", table(("", ""), list(describe_machine().items()))),
        )

    def _about(self) -> str:
        return (
            f"{self.clips} clips of {self.subjects} subjects with {self.images} images, in {self.folds} folds: weights "
            "fitted on the other folds' subjects and images; 95 % intervals over subjects"
        )

    def _rows(self, length: int, cell: Callable[[MethodFigures | None], str]) -> list[tuple[str, ...]]:
        some = [figures for figures in self.figures if figures.length == length]
        return [(f.condition, *(cell(f.method(name)) for name in _METHODS)) for f in some]

    def _method_rows(self, length: int, method: str) -> list[tuple[str, ...]]:
        rows = []
        for figures in self.figures:
            found = figures.method(method)
            if figures.length != length or found is None:
                continue
            over = [self.difference(figures.condition, length, than) for than in (None, "average")]
            cells = (f"{found.ece:.3f}", f"{found.ece_above_floor:.3f}")
            better = map(_points, over if method == "experts" else (None, None))
            rows.append((figures.condition, format_percent(found.accuracy), _ends(found.interval), *cells, *better))
        return rows

    def _contradiction_rows(self, length: int) -> list[tuple[str, ...]]:
        group = next(g for g in self.contradictions if g and g[0].length == length)
        return [
            (
                c.name,
                format_percent(c.follows_face),
                format_percent(c.follows_voice),
                f"{c.confidence:.2f}",
                format_percent(c.unsure),
            )
            for c in group
        ]


_FOLLOWS = ("face and voice differ", "predicts the face's", "predicts the voice's", "confidence", "unsure")


def _method_head(method: str) -> tuple[str, ...]:
    return method, "accuracy", "95 % interval", "ECE", "above", "over the better modality", "over average"


def _pair_title(length: int) -> str:
    return f"{length} image{'s' * (length != 1)} a pair"


def _accuracy_cell(figures: MethodFigures | None) -> str:
    return "" if figures is None else format_percent(figures.accuracy)


def _ece_cell(figures: MethodFigures | None) -> str:
    return "" if figures is None or figures.ece_above_floor is None else f"{figures.ece_above_floor:.3f}"


def _ends(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _points(found: Difference | None) -> str:
    if found is None:
        return ""
    low, high = found.interval
    than = f" {found.than}" if found.than in ("face", "voice") else ""
    return f"{100 * found.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]{than}"


# --- simulated pairs ----------------------------------------------------------------------------------


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
        The predictions.
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
    return fit_experts(_join_evidence(parts), priors=priors, typical=TYPICAL, share=share)


def _join_evidence(parts: Sequence[Evidence]) -> Evidence:
    def column(modality: str, name: str) -> Floats:
        missing = (np.full(len(p.truth), np.nan) for p in parts)
        return np.concatenate(
            [np.asarray(getattr(p, modality).get(name, none)) for p, none in zip(parts, missing, strict=True)]
        )

    faces, voices = (
        {name: column(modality, name) for name in sorted({name for p in parts for name in getattr(p, modality)})}
        for modality in _QUALITY
    )
    face, voice, truth, looks = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("face", "voice", "truth", "looks")
    )
    return Evidence(face, voice, faces, voices, truth, looks)


def evaluate_fusion(
    material: Material,
    *,
    lengths: Sequence[int] = (1, 3),
    seed: int = 0,
    resamples: int = 2000,
    share: float | None = PRIOR_SHARE,
    report: Callable[[str], object] = lambda _: None,
) -> FusionEvaluation:
    """Measure all fusions on simulated pairs, under every one of `CONDITIONS`.

    Every clip is in one pair of each length. The weights of the experts are fitted once for each fold, on pairs of the
    other folds, and used for the pairs of that fold.

    Parameters
    ----------
    material : Material
        The predictions.
    lengths : sequence of int
        Images of a pair.
    seed : int
        Of the drawing of pairs and of the bootstrap.
    resamples : int
        Of the bootstrap, which draws subjects.
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
        raise DatasetError("the evaluation of fusions needs clips in two folds at least")
    fitted = {}
    for number in numbers:
        report(f"fitting without fold {number + 1} of {len(numbers)}")
        fitted[number] = fit_all(material, lengths=lengths, but=number, seed=seed, share=share)
    figures, differences, contradictions = [], [], []
    for length in lengths:
        pairs = material.pairs(length, seed=seed)
        by_condition = {name: _predict_pairs(material, pairs, cases, fitted) for name, cases in CONDITIONS.items()}
        by_condition["all of these"] = _stack(list(by_condition.values()))
        for name, by_method in by_condition.items():
            times = len(by_method["average"]) // len(pairs)
            truth, groups = np.tile(pairs.voice, times), np.tile(material.speakers[pairs.clips], times)
            methods = tuple(_method_figures(m, p, truth, groups, resamples, seed) for m, p in by_method.items())
            figures.append(ConditionFigures(name, length, len(truth), methods))
            differences += _differences(figures[-1], by_method, truth, groups, resamples, seed)
        contradictions.append(_contradictions(material, length, fitted, seed))
        report(f"measured pairs of {length} image{'s' * (length != 1)}")
    return FusionEvaluation(
        figures=tuple(figures),
        differences=tuple(differences),
        contradictions=tuple(contradictions),
        folds=len(numbers),
        subjects=len(np.unique(material.speakers[material.voice_labels >= 0])),
        images=int((material.face_labels >= 0).sum()),
        clips=int((material.voice_labels >= 0).sum()),
        seed=seed,
        weights=fit_all(material, lengths=lengths, seed=seed, share=share),
        fold_weights=tuple(fitted.values()),
    )


def _predict_pairs(
    material: Material, pairs: Pairs, cases: tuple[str | None, str | None], fitted: Mapping[int, ExpertWeights]
) -> dict[str, Floats]:
    """Return the probabilities of both modalities alone and of all fusions, float64 (n, 7) each."""
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


def _stack(conditions: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    names = [name for name in conditions[0] if all(name in found for found in conditions)]
    return {name: np.concatenate([found[name] for found in conditions]) for name in names}


def _differences(
    figures: ConditionFigures,
    by_method: Mapping[str, Floats],
    truth: NDArray[np.int64],
    groups: NDArray[Any],
    resamples: int,
    seed: int,
) -> list[Difference]:
    """Compare the experts with the better single modality and with each rule, pair by pair."""
    alone = [method for method in figures.methods if method.name in ("face", "voice")]
    others = [max(alone, key=lambda method: method.accuracy).name] if alone else []
    right = {name: (p.argmax(axis=1) == truth).astype(np.float64) for name, p in by_method.items()}
    found = []
    for other in (*others, *_RULES):
        sums = np.stack([right["experts"] - right[other], np.ones(len(truth))], axis=1)
        interval = bootstrap_interval(sums, lambda s: s[:, 0] / s[:, 1], groups=groups, resamples=resamples, seed=seed)
        found.append(Difference(figures.condition, figures.length, other, float(sums[:, 0].mean()), interval))
    return found


def _contradictions(
    material: Material, length: int, fitted: Mapping[int, ExpertWeights], seed: int
) -> tuple[Contradiction, ...]:
    """Return which modality each fusion follows where face and voice show different emotions."""
    pairs = material.pairs(length, contradict=True, seed=seed)
    found = []
    for name, p in _predict_pairs(material, pairs, CONDITIONS["clean"], fitted).items():
        predicted, confidence = p.argmax(axis=1), p.max(axis=1)
        found.append(
            Contradiction(
                name,
                length,
                len(pairs),
                float(np.mean(predicted == pairs.face)),
                float(np.mean(predicted == pairs.voice)),
                float(confidence.mean()),
                float(np.mean(confidence < UNSURE_BELOW)),
            )
        )
    return tuple(found)


# --- labeled videos -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VideoFusionEvaluation:
    """The evaluation of fusions on videos.

    Parameters
    ----------
    dataset, source : str
        The dataset.
    n : int
        Videos that could be analyzed.
    methods : tuple of MethodFigures
        Of each modality and each fusion.
    problems : tuple of str
        A line for every video that could not.
    """

    dataset: str
    source: str
    n: int
    methods: tuple[MethodFigures, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return dataclasses.asdict(self)

    def to_text(self, method: str = "experts") -> str:
        """Return text, the chosen method marked."""
        rows = [(f"{cells[0]} *" if cells[0] == method else cells[0], *cells[1:]) for cells in self._rows()]
        return join_parts(self._about(), text_table(_VIDEO_HEAD, rows, right=(1, 2, 4)))

    def to_markdown(self, command: str = "") -> str:
        """Return the report as Markdown."""
        problems = "\n".join(f"- {escape(line)}" for line in self.problems)
        return join_parts(
            "# Faces and voices of videos together",
            f"{self._about()}.",
            table(_VIDEO_HEAD, self._rows(), right=(1, 2, 4)),
            problems and f"Videos that could not be analyzed:\n\n{problems}",
            command and f"Made by `{command}`.",
        )

    def _about(self) -> str:
        return f"{self.n} videos of {self.dataset}, seven emotions; a video without a prediction counts as wrong"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f.name,
                str(f.n_predicted),
                format_percent(f.accuracy),
                "" if f.interval is None else f"{format_percent(f.interval[0])} to {format_percent(f.interval[1])}",
                _ece_cell(f),
            )
            for f in self.methods
        ]


_VIDEO_HEAD = ("", "predicted", "accuracy", "95 % interval", "ECE above floor")


def analyze_with_sound(
    path: str, faces: VideoAnalyzer, voices: SpeechAnalyzer
) -> tuple[VideoResult, SpeechResult | None]:
    """Return the results for the faces and for the sound of a video; None for a video without sound."""
    has_sound: list[bool] = []
    video = VideoAnalysis(
        faces, path, VideoOptions(step_s=STEP_S), on_open=lambda stream: has_sound.append(stream.has_audio)
    )
    for _ in video.frames():
        pass
    if not all(has_sound):
        return video.result(), None
    sound = SpeechAnalysis(voices, path)
    for _ in sound.segments():
        pass
    return video.result(), sound.result()


def evaluate_fusion_on_videos(
    samples: Samples,
    faces: VideoAnalyzer,
    voices: SpeechAnalyzer,
    *,
    seed: int = 0,
    resamples: int = 2000,
    progress: Callable[[int], None] | None = None,
) -> VideoFusionEvaluation:
    """Analyze labeled videos and compare face, voice and all fusions with their labels.

    The prediction for a video is the mean of its segments by time.

    Parameters
    ----------
    samples : Samples
        Videos; those without a label in `mien.labels.FER7`, and sequences of images, are left out.
    faces, voices : VideoAnalyzer, SpeechAnalyzer
        The models.
    seed, resamples : int
        Of the bootstrap, which draws subjects, or videos where those are not known.
    progress : callable, optional
        Called with 1 after each video.

    Returns
    -------
    VideoFusionEvaluation
        The figures.

    Raises
    ------
    DatasetError
        If no video with a label could be analyzed.
    """
    labels = common_labels(samples.labels, samples.label_set)
    predictions: list[dict[str, Floats]] = []
    rows: list[int] = []
    problems: list[str] = []
    for index in range(len(samples)):
        if labels[index] >= 0 and not samples.frames[index]:
            try:
                predictions.append(_predict_video(*analyze_with_sound(samples.where(index), faces, voices)))
                rows.append(index)
            except MienError as error:
                problems.append(f"{format_path(samples.where(index))}: {error}")
        if progress is not None:
            progress(1)
    if not rows:
        raise DatasetError(f"{format_path(samples.source)}: no video with a label of {FER7.name} could be analyzed")
    truth = labels[rows]
    subjects = samples.subjects[rows]
    groups = subjects if len(set(subjects.tolist())) > 1 else np.arange(len(truth))
    methods = tuple(
        _method_figures(name, np.stack([p[name] for p in predictions]), truth, groups, resamples, seed)
        for name in _METHODS
    )
    return VideoFusionEvaluation(samples.name, samples.source, len(truth), methods, tuple(problems))


def _predict_video(video: VideoResult, speech: SpeechResult | None) -> dict[str, Floats]:
    """Return the probabilities of both modalities and of all fusions, float64 (7,) each, NaN for no prediction."""
    none = np.full(len(FER7), np.nan)
    found = {}
    for method in METHODS:
        result = fuse(video, speech, method=method)
        found[method] = none if result.emotion is None else result.emotion.to_array()
        for modality in ("face", "voice"):
            alone = result.mean(modality)
            found[modality] = none if alone is None else alone.to_array()
    return found


def write_fusion_report(
    folder: str | Path, evaluation: FusionEvaluation | VideoFusionEvaluation, *, command: str = ""
) -> None:
    """Write ``report.json`` and ``report.md``.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where to; it is made if need be, and files of an older report are replaced.
    evaluation : FusionEvaluation or VideoFusionEvaluation
        The figures.
    command : str
        What was run.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    where = make_folder(folder)
    plain = json.dumps(evaluation.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)
    write_text(where / "report.json", plain + "\n")
    write_text(where / "report.md", evaluation.to_markdown(command) + "\n")
