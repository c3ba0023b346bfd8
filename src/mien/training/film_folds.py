"""What cross-validation tells of nets for clips: the report of the out-of-fold answers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.files import make_folder, write_bytes, write_words
from mien.evaluation.machine import machine
from mien.evaluation.markdown import escaped, section, table
from mien.labels import mapping
from mien.metrics import bootstrap_interval, class_scores, confusion_matrix
from mien.metrics.bootstrap import recall_sums, uar_of_sums
from mien.models import registry
from mien.output import plots
from mien.training.film_corpus import FilmCorpus
from mien.training.recipe import Recipe

__all__ = ["SUMMARY", "FilmFigures", "figures", "frames_averaged", "write_film_folds"]

SUMMARY = "out-of-fold.json"
"""The figures of all folds together, within the folder of a way."""


@dataclass(frozen=True, slots=True)
class FilmFigures:
    """Figures of the answers of one net to clips; each with the ends of a 95 % bootstrap interval over groups.

    Parameters
    ----------
    net : str
        Whose answers.
    n, groups : int
        Clips, and subjects (or clips, where the data names none).
    accuracy, uar, macro_f1 : tuple of float
        Value, low end, high end.
    """

    net: str
    n: int
    groups: int
    accuracy: tuple[float, float, float]
    uar: tuple[float, float, float]
    macro_f1: tuple[float, float, float]


def figures(net: str, truth: NDArray[np.int64], said: NDArray[np.int64], group: NDArray[np.int64]) -> FilmFigures:
    """Measure answers.

    Parameters
    ----------
    net : str
        Whose they are.
    truth, said : numpy.ndarray
        int64 (n,): labels and answers.
    group : numpy.ndarray
        int64 (n,): clips that are drawn together.
    """
    right = np.stack([truth == said, np.ones(len(truth))], axis=1)
    classes = np.union1d(truth, said)
    hits = (truth[:, None] == classes) & (said[:, None] == classes)
    f1_sums = np.concatenate([2 * hits, (truth[:, None] == classes) * 1 + (said[:, None] == classes)], axis=1)
    return FilmFigures(
        net,
        len(truth),
        len(np.unique(group)),
        _measured(right, lambda sums: sums[:, 0] / sums[:, 1], group),
        _measured(recall_sums(truth, said), uar_of_sums, group),
        # An F1 is a share of sums as a recall is, so the mean over classes is made alike.
        _measured(f1_sums.astype(np.float64), uar_of_sums, group),
    )


def _measured(
    sums: NDArray[np.float64], figure: Callable[[NDArray[np.float64]], NDArray[np.float64]], group: NDArray[np.int64]
) -> tuple[float, float, float]:
    value = float(figure(sums.sum(axis=0, keepdims=True))[0])
    return (value, *bootstrap_interval(sums, figure, groups=group))


def frames_averaged(corpus: FilmCorpus, model: str) -> NDArray[np.float64] | None:
    """Return the mean over the frames of what a face model says, in the corpus's labels, without any training.

    Parameters
    ----------
    corpus : FilmCorpus
        Clips with features.
    model : str
        The face model that they are from.

    Returns
    -------
    numpy.ndarray or None
        float64 (n, classes), of the model's default output, plain frames; None where the corpus has no features.
    """
    if not corpus.features.shape[3]:
        return None
    spec = registry.get(model)
    at = 0
    for output in spec.outputs:
        if output.default:
            shares = corpus.features[:, 0, :, at : at + len(output.labels)].astype(np.float64)
            inside = corpus.mask[:, :, None]
            mean = (shares * inside).sum(axis=1) / inside.sum(axis=1)
            return np.asarray(mapping(output.labels, corpus.label_set).apply(mean), dtype=np.float64)
        at += len(output.labels)
    return None


def write_film_folds(
    folder: Path,
    recipe: Recipe,
    corpus: FilmCorpus,
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
    corpus : FilmCorpus
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
    averaged = frames_averaged(corpus, recipe.film.model)
    if averaged is not None:
        told[f"{recipe.film.model}, averaged over frames, not trained"] = averaged
    found = [figures(name, truth, values.argmax(axis=1), corpus.group) for name, values in told.items()]
    write_words(folder / SUMMARY, json.dumps([asdict(f) for f in found], indent=2) + "\n")
    where = make_folder(folder / "report")
    said = answers[head].argmax(axis=1)
    matrix = confusion_matrix(truth, said, n_classes=len(corpus.label_set))
    chart = plots.confusion_pair(matrix, corpus.label_set.emotions, unit="clips")
    write_bytes(where / "confusion.png", chart)
    write_words(where / "predictions.csv", _predictions(corpus, fold, answers[head]))
    command = f"mien train --recipe {recipe.name} --data DATA --folds {int(fold.max()) + 1} --split {way}"
    parts = [
        f"# {escaped(recipe.name)}: {escaped(corpus.name)}, folds by {way}",
        f"Measured by `{command}`, each clip once, by nets that did not learn from its fold."
        + (" Settings and epochs were chosen on inner folds of the other folds." if choices else ""),
        _note(way),
        section("Result", _figures(found), f"Largest class: {100 * np.bincount(truth).max() / len(truth):.1f} %."),
        section("Classes", _classes(truth, said, corpus.label_set.emotions)),
        section("Confusion", "![Confusion matrices: rows are the truth](confusion.png)"),
        section("Folds", "\n".join(_lines(corpus, fold, truth == said, choices))),
        section("Files", "`predictions.csv`: every answer. `../out-of-fold.json`: the figures."),
        section("Machine", table(("what", "value"), list(machine().items()))),
    ]
    write_words(where / "report.md", "\n\n".join(part for part in parts if part) + "\n")
    report(f"{way}: see {where}")


def _note(way: str) -> str:
    if way == "subject":
        return "No subject is on two sides. Intervals: 95 %, bootstrap over subjects."
    return (
        "This split leaks: the figures say how much a leak adds, not how well the net does. Intervals as if it did not."
    )


def _figures(found: Sequence[FilmFigures]) -> str:
    rows = [(f.net, f.n, f.groups, *(_percent(*value) for value in (f.accuracy, f.uar, f.macro_f1))) for f in found]
    return table(("net", "clips", "groups", "accuracy", "UAR", "macro F1"), rows, right=(1, 2))


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _classes(truth: NDArray[np.int64], said: NDArray[np.int64], labels: Sequence[str]) -> str:
    scores = class_scores(truth, said, n_classes=len(labels))
    rows = [
        (
            label,
            *("-" if np.isnan(c[i]) else f"{100 * c[i]:.1f}" for c in (scores.precision, scores.recall, scores.f1)),
            scores.support[i],
            scores.answered[i],
        )
        for i, label in enumerate(labels)
    ]
    return table(("class", "precision %", "recall %", "F1 %", "true", "answered"), rows, right=range(1, 6))


def _lines(corpus: FilmCorpus, fold: NDArray[np.int64], right: NDArray[np.bool_], choices: Sequence[str]) -> list[str]:
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


def _predictions(corpus: FilmCorpus, fold: NDArray[np.int64], answers: NDArray[np.float32]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = corpus.label_set.emotions
    writer.writerow(["clip", "subject", "fold", "true", "answered", "right", *(f"p_{name}" for name in names)])
    (truth,) = corpus.truth.values()
    for row, p in enumerate(answers):
        subject = "" if corpus.subjects is None else str(corpus.subjects[row])
        said = int(p.argmax())
        values = [names[truth[row]], names[said], int(said == truth[row]), *(f"{value:.4f}" for value in p)]
        writer.writerow([str(corpus.names[row]), subject, int(fold[row]) + 1, *values])
    return stream.getvalue()
