"""Taking the measure of a speech model: every figure with its doubt, by sex, intensity and speaker."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien import __version__
from mien.data.samples import Samples
from mien.evaluate.figures import (
    accuracy_interval,
    calibration_figures,
    cross_fitted_figures,
    tables,
    uar_interval,
)
from mien.evaluate.speech_answers import SpeechAnswers, SpeechClassifier, answer_clips, as_answers, together
from mien.evaluate.speech_result import GroupFigures, NoiseFigures, SpeechEvaluation
from mien.metrics import accuracy, auc, uar

__all__ = ["evaluate_speech", "measure_clips", "measured"]

FOLDS = 5
"""Folds of the cross-fitted temperature: what it is fitted on then is nearly what a shipped one is fitted on."""


def evaluate_speech(
    model: SpeechClassifier,
    clips: Samples,
    *,
    labels_as: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SpeechEvaluation:
    """Measure a speech model on a corpus: `answer_clips`, then `measure_clips`.

    Parameters
    ----------
    model, clips, labels_as, progress
        See `mien.evaluate.speech_answers.answer_clips`.
    resamples, seed
        See `measure_clips`.
    """
    answers = answer_clips(model, clips, labels_as=labels_as, progress=progress)
    return measure_clips(answers, resamples=resamples, seed=seed)


def measured(
    clips: Samples, probabilities: ArrayLike, *, resamples: int = 2000, seed: int = 0, **words: Any
) -> SpeechEvaluation:
    """Measure probabilities that somebody else computed, such as the out-of-fold ones of cross-validation.

    Parameters
    ----------
    clips : Samples
        The clips.
    probabilities : array_like of float
        Shape (n, k) in the labels of the corpus, at temperature 1.
    resamples, seed
        See `measure_clips`.
    **words : object
        What `mien.evaluate.speech_answers.as_answers` takes: model, version, output, split, protocol, heard.

    Returns
    -------
    SpeechEvaluation
        ``temperature_fitted`` is the temperature to ship; the figures ``..._cross_fitted`` say honestly what comes of
        scaling by one.
    """
    return measure_clips(as_answers(clips, probabilities, **words), resamples=resamples, seed=seed)


def measure_clips(
    answers: SpeechAnswers, *, noise: Sequence[NoiseFigures] = (), resamples: int = 2000, seed: int = 0
) -> SpeechEvaluation:
    """Return the figures of a model's answers.

    Parameters
    ----------
    answers : SpeechAnswers
        Of `answer_clips` or `as_answers`.
    noise : sequence of NoiseFigures
        Of `mien.evaluate.noise.noise_curve`, to be kept with them.
    resamples, seed : int
        Bootstrap resamples; seed of the bootstrap, of the ECE floor and of the cross-fitting folds.
    """
    clips, truth, said = answers.clips, answers.truth, answers.answered
    groups, by = together(clips)
    n_groups = int(groups.max()) + 1
    drawn = {"resamples": resamples, "seed": seed}
    area = auc(answers.probabilities, truth)
    folds = max(2, min(FOLDS, n_groups))
    crossed, fitted = cross_fitted_figures(answers.logits, truth, groups, seed, folds=folds)
    unseen, unseen_intervals = _unseen(answers, groups, drawn)
    return SpeechEvaluation(
        model=answers.model,
        model_version=answers.version,
        dataset=clips.name,
        split=answers.split,
        output=answers.output,
        labels_mapping=answers.labels_mapping,
        n=len(truth),
        speakers=_speakers(clips),
        n_unlabeled=answers.n_unlabeled,
        n_no_common_label=answers.n_no_common_label,
        n_unreadable=len(answers.unreadable),
        accuracy=accuracy(truth, said),
        uar=uar(truth, said),
        auc=None if math.isnan(area) else area,
        **unseen,
        **calibration_figures(answers.probabilities, truth, seed),
        ece_cross_fitted=crossed["ece"],
        ece_cross_fitted_floor=crossed["ece_floor"],
        ece_cross_fitted_above_floor=crossed["ece_above_floor"],
        brier_cross_fitted=crossed["brier"],
        nll_cross_fitted=crossed["nll"],
        cross_fitting_folds=folds,
        temperature=answers.temperature,
        temperature_fitted=fitted,
        intervals=_intervals(truth, said, groups, drawn) | unseen_intervals,
        intervals_by=by,
        n_groups=n_groups,
        by_sex=_parts(answers, clips.column("sex"), groups, drawn),
        by_intensity=_parts(answers, clips.column("intensity"), groups, drawn),
        by_speaker=tuple(sorted(_parts(answers, clips.subjects, groups, drawn), key=lambda part: part.uar)),
        **tables(truth, said, answers.label_set),
        labels=answers.label_set.emotions,
        problems=(*answers.unreadable, *clips.problems),
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        mien_version=__version__,
        noise=tuple(noise),
    )


def _speakers(clips: Samples) -> int:
    return len(np.unique(clips.subjects[clips.subjects != ""]))


def _intervals(
    truth: NDArray[np.int64], said: NDArray[np.int64], groups: NDArray[np.int64], drawn: dict[str, int]
) -> dict[str, Any]:
    if (groups == groups[0]).all():
        return {}
    return {
        "accuracy": accuracy_interval(truth, said, groups, **drawn),
        "uar": uar_interval(truth, said, groups, **drawn),
    }


def _unseen(
    answers: SpeechAnswers, groups: NDArray[np.int64], drawn: dict[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is known of speakers heard in training and of the others, as fields, and the intervals."""
    names, heard = answers.clips.subjects, answers.heard
    protocol = answers.protocol or "it is not known which of these speakers the model learned from"
    fields: dict[str, Any] = dict.fromkeys(("seen_speakers", "n_unseen", "accuracy_unseen", "uar_unseen"))
    if heard is None:
        return fields | {"protocol": protocol}, {}
    seen = tuple(sorted(set(names.tolist()) & heard))
    # Who is not named may be anybody: where some of the corpus were heard, those clips are not called unseen.
    other = ~np.isin(names, sorted(heard)) & (names != "") if heard else np.ones(len(names), dtype=bool)
    fields |= {
        "seen_speakers": seen,
        "n_unseen": int(other.sum()),
        "protocol": answers.protocol or _protocol(len(seen), _speakers(answers.clips)),
    }
    if not other.any():
        return fields, {}
    truth, said = answers.truth[other], answers.answered[other]
    fields |= {"accuracy_unseen": accuracy(truth, said), "uar_unseen": uar(truth, said)}
    found = _intervals(truth, said, groups[other], drawn)
    return fields, {f"{name}_unseen": interval for name, interval in found.items()}


def _protocol(seen: int, speakers: int) -> str:
    if not seen:
        return "no speaker was heard in training"
    return f"{seen} of {speakers} speakers were heard in training"


def _parts(
    answers: SpeechAnswers, names: NDArray[np.str_], groups: NDArray[np.int64], drawn: dict[str, int]
) -> tuple[GroupFigures, ...]:
    """Return what comes of the clips of each name; those without one are passed over."""
    found = []
    for name in np.unique(names[names != ""]).tolist():
        rows = names == name
        truth, said = answers.truth[rows], answers.answered[rows]
        found.append(
            GroupFigures(
                name=name,
                n=int(rows.sum()),
                speakers=_speakers(answers.clips.take(rows)),
                accuracy=accuracy(truth, said),
                uar=uar(truth, said),
                intervals=_intervals(truth, said, groups[rows], drawn),
            )
        )
    return tuple(found)
