"""What cross-validation tells of nets for clips: the report of the out-of-fold answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.files import write_words
from mien.evaluate.markdown import escaped
from mien.train.recipe import Recipe
from mien.train.video_corpus import VideoCorpus
from mien.train.video_features import frames_averaged
from mien.train.video_report import figures, figures_text, write_video_report

__all__ = ["SUMMARY", "write_video_folds"]

SUMMARY = "out-of-fold.json"
"""The figures of all folds together, within the folder of a way."""


def write_video_folds(
    folder: Path,
    recipe: Recipe,
    corpus: VideoCorpus,
    fold: NDArray[np.int64],
    answers: dict[str, NDArray[np.float32]],
    *,
    way: str,
    choices: Sequence[str],
    report: Callable[[str], object],
) -> None:
    """Write ``out-of-fold.json`` and a folder ``report`` with figures, confusion matrix and every answer.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the folders of the folds.
    recipe : Recipe
        What was trained.
    corpus : VideoCorpus
        All clips.
    fold : numpy.ndarray
        int64 (n,): in which fold each was tested.
    answers : dict of str to numpy.ndarray
        Probabilities, float32 (n, classes), by head, and of members by head, ``@`` and name.
    way : str
        How the folds were dealt.
    choices : sequence of str
        What the inner folds of each fold chose, in words.
    report : callable
        Gets progress lines.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    (head,) = corpus.heads
    truth = corpus.truth[head]
    told: dict[str, NDArray[Any]] = {key.partition("@")[2] or recipe.name: values for key, values in answers.items()}
    if corpus.features.shape[3]:
        averaged = frames_averaged(corpus.features, corpus.mask, recipe.video.model, corpus.label_set)
        told[f"{recipe.video.model}, averaged over frames, not trained"] = averaged
    found = [figures(name, truth, values.argmax(axis=1), corpus.group) for name, values in told.items()]
    write_words(folder / SUMMARY, figures_text(found) + "\n")
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1} --split {way}"
    nested = " Settings and epochs were chosen on inner folds of the other folds." if choices else ""
    write_video_report(
        folder / "report",
        corpus,
        found,
        answers[head],
        title=f"{escaped(recipe.name)}: {escaped(corpus.name)}, folds by {way}",
        lines=[f"Measured by `{command}`, each clip once, by a net of its fold.{nested}", _note(way)],
        fold=fold,
        folds="\n".join(_lines(corpus, fold, truth == answers[head].argmax(axis=1), choices)),
    )
    report(f"{way}: see {folder / 'report'}")


def _note(way: str) -> str:
    if way == "subject":
        return "No subject is on two sides. Intervals: 95 %, bootstrap over subjects."
    return (
        "This split leaks: the figures say how much a leak adds, not how well the net does. Intervals as if it did not."
    )


def _lines(corpus: VideoCorpus, fold: NDArray[np.int64], right: NDArray[np.bool_], choices: Sequence[str]) -> list[str]:
    lines = []
    for number in np.unique(fold).tolist():
        some = fold == number
        who = sorted(set(corpus.subjects[some].tolist())) if corpus.subjects is not None else []
        tested = f" of {', '.join(who)}" if who else ""
        chosen = f"; chosen: {choices[number]}" if choices else ""
        lines.append(
            f"- fold {number + 1}: {int(right[some].sum())} of {int(some.sum())} clips{escaped(tested + chosen)}"
        )
    return lines
