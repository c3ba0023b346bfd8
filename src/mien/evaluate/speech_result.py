"""What the examination of a speech model returns: every figure with its doubt, ready to become plain data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mien.evaluate.result import ClassResult
from mien.metrics import Interval

__all__ = ["GroupFigures", "NoiseFigures", "SpeechEvaluation"]


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What comes of a part of the clips: of one sex, one intensity, one speaker.

    Parameters
    ----------
    name : str
        Which part, in the words of the corpus.
    n, speakers : int
        Its clips, and their speakers (0 where none is known).
    accuracy, uar : float
        From 0 to 1; the UAR is over the classes present.
    intervals : dict of str to Interval
        Of ``accuracy`` and ``uar``, drawn as those of the whole; empty where there is one group alone to draw.
    """

    name: str
    n: int
    speakers: int
    accuracy: float
    uar: float
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, without the name."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[1:]}
        return plain | {"intervals": _lists(self.intervals)}


@dataclass(frozen=True, slots=True)
class NoiseFigures:
    """What is left of the figures in noise.

    Parameters
    ----------
    kind : str
        ``"clean"``, ``"white"`` or ``"babble"``.
    ratio_db : float or None
        Power of the speech to power of the noise; None for clean.
    n : int
        Clips.
    accuracy, uar : float
        From 0 to 1.
    intervals : dict of str to Interval
        Of ``accuracy`` and ``uar``.
    """

    kind: str
    ratio_db: float | None
    n: int
    accuracy: float
    uar: float
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return plain | {"intervals": _lists(self.intervals)}


@dataclass(frozen=True, slots=True)
class SpeechEvaluation:
    """What a speech model does on the clips of a corpus.

    All shares are from 0 to 1.  Intervals are 95 % percentile bootstrap intervals, drawn over speakers where the corpus
    names several, else over original recordings: clips of one voice are no independent evidence.

    Parameters
    ----------
    model, model_version : str
        Which model.
    dataset, split : str
        Which clips; ``"all"`` for all of a corpus.
    protocol : str
        How the model's training and these speakers are related, in words.
    output : str
        The model's output that answered.
    labels_mapping : str
        How the output's labels became those of the corpus: ``"one to one"``, or what was merged or dropped.
    n, speakers : int
        Clips measured, and their speakers (0 where none is known).
    n_unlabeled, n_no_common_label, n_unreadable : int
        Clips left out: without a label, with one that the model cannot answer, and those that could not be read.
    accuracy, uar, macro_f1 : float
        UAR and macro F1 are over the classes present.
    auc : float or None
        Area under the ROC curve, one class against the rest; None with one class alone.
    seen_speakers : tuple of str or None
        Speakers of these clips that the model learned from, by data set and name; None where its record does not say.
    n_unseen : int or None
        Clips of other speakers.
    accuracy_unseen, uar_unseen : float or None
        Over those clips; None where there is none, or it is not known.
    ece, ece_floor, ece_above_floor, brier, nll : float
        As in `mien.evaluate.EvaluationResult`, with the recorded temperature.
    ece_cross_fitted, ece_cross_fitted_floor, ece_cross_fitted_above_floor : float or None
        The same with the clips of each fold of speakers scaled by a temperature fitted on the other folds; None under
        two speakers (or recordings).
    brier_cross_fitted, nll_cross_fitted : float or None
        Likewise.
    cross_fitting_folds : int
        How many folds.
    temperature : float
        The recorded one.
    temperature_fitted : float or None
        The one that fits all these clips best, in the place of the recorded one.
    intervals : dict of str to Interval
        Of ``accuracy``, ``uar`` and, where they are known, ``accuracy_unseen`` and ``uar_unseen``.
    intervals_by : str
        What they are drawn over: ``"speaker"`` or ``"clip"``.
    n_groups : int
        How many of those there are.
    by_sex, by_intensity : tuple of GroupFigures
        In the order of the names; empty where the corpus does not say.
    by_speaker : tuple of GroupFigures
        The worst UAR first.
    per_class : tuple of ClassResult
        In the order of `labels`.
    confusion_matrix : tuple of tuple of int
        Rows are the truth, columns the answers.
    labels : tuple of str
        The emotions of the corpus.
    problems : tuple of str
        One line for every file that could not be read or answered, and for what the corpus leaves out.
    date, mien_version : str
        Day of the measurement (ISO 8601), version that measured.
    noise : tuple of NoiseFigures
        The noise curve, where it was asked for.
    """

    model: str
    model_version: str
    dataset: str
    split: str
    protocol: str
    output: str
    labels_mapping: str
    n: int
    speakers: int
    n_unlabeled: int
    n_no_common_label: int
    n_unreadable: int
    accuracy: float
    uar: float
    macro_f1: float
    auc: float | None
    seen_speakers: tuple[str, ...] | None
    n_unseen: int | None
    accuracy_unseen: float | None
    uar_unseen: float | None
    ece: float
    ece_floor: float
    ece_above_floor: float
    brier: float
    nll: float
    ece_cross_fitted: float | None
    ece_cross_fitted_floor: float | None
    ece_cross_fitted_above_floor: float | None
    brier_cross_fitted: float | None
    nll_cross_fitted: float | None
    cross_fitting_folds: int
    temperature: float
    temperature_fitted: float | None
    intervals: dict[str, Interval]
    intervals_by: str
    n_groups: int
    by_sex: tuple[GroupFigures, ...]
    by_intensity: tuple[GroupFigures, ...]
    by_speaker: tuple[GroupFigures, ...]
    per_class: tuple[ClassResult, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    problems: tuple[str, ...]
    date: str
    mien_version: str
    noise: tuple[NoiseFigures, ...] = ()

    @property
    def caveat(self) -> str:
        """What a reader must know before any figure: that speakers were heard in training; empty where none was."""
        if not self.seen_speakers:
            return ""
        seen = len(self.seen_speakers)
        who = f"all {seen}" if seen == self.speakers else f"{seen} of the {self.speakers}"
        text = (
            f"{self.model} was trained on {who} speakers of these clips: accuracy {100 * self.accuracy:.2f} % and UAR "
            f"{100 * self.uar:.2f} % over all clips are no measure of generalization to strangers"
        )
        if self.accuracy_unseen is None:
            return f"{text}, and there is no other speaker"
        return f"{text}; the figures over unseen speakers are ({self.n_unseen} clips)"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write, with the names of the fields as keys; parts are keyed by name."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["seen_speakers"] = None if self.seen_speakers is None else list(self.seen_speakers)
        plain["intervals"] = _lists(self.intervals)
        for name in ("by_sex", "by_intensity", "by_speaker"):
            plain[name] = {part.name: part.to_dict() for part in getattr(self, name)}
        plain["per_class"] = [dataclasses.asdict(entry) for entry in self.per_class]
        plain["confusion_matrix"] = [list(row) for row in self.confusion_matrix]
        plain["labels"] = list(self.labels)
        plain["problems"] = list(self.problems)
        plain["noise"] = [entry.to_dict() for entry in self.noise]
        return plain


def _lists(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    return {name: list(interval) for name, interval in intervals.items()}
