"""The report of answers to clips: figures with intervals, classes, confusion, every answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.files import make_folder, write_bytes, write_words
from mien.evaluate.machine import machine
from mien.evaluate.markdown import section, table
from mien.metrics import bootstrap_interval, class_scores, confusion_matrix, recall_sums, uar_of_sums
from mien.output import plots
from mien.train.video_corpus import VideoCorpus

__all__ = ["VideoFigures", "figures", "figures_rows", "figures_text", "write_video_report"]

HEAD = ("net", "clips", "groups", "accuracy", "UAR", "macro F1")
"""Titles of `figures_rows`."""


@dataclass(frozen=True, slots=True)
class VideoFigures:
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


def figures(net: str, truth: NDArray[np.int64], said: NDArray[np.int64], group: NDArray[np.int64]) -> VideoFigures:
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
    return VideoFigures(
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


def figures_text(found: Sequence[VideoFigures]) -> str:
    """Return figures as JSON."""
    return json.dumps([asdict(f) for f in found], indent=2, ensure_ascii=False)


def figures_rows(found: Sequence[VideoFigures]) -> list[tuple[str, ...]]:
    """Return figures as the rows of a table."""
    return [
        (f.net, str(f.n), str(f.groups), *(_percent(*value) for value in (f.accuracy, f.uar, f.macro_f1)))
        for f in found
    ]


def write_video_report(
    folder: Path,
    corpus: VideoCorpus,
    found: Sequence[VideoFigures],
    answers: NDArray[np.floating],
    *,
    title: str,
    lines: Sequence[str],
    fold: NDArray[np.int64] | None = None,
    folds: str = "",
) -> None:
    """Write ``report.md``, ``confusion.png`` and ``predictions.csv``.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; it is made if need be.
    corpus : VideoCorpus
        The clips.
    found : sequence of VideoFigures
        Figures to show; those of ``answers`` first.
    answers : numpy.ndarray
        float (n, classes): probabilities.
    title : str
        Of the report, as Markdown.
    lines : sequence of str
        What stands under it, as Markdown.
    fold : numpy.ndarray, optional
        int64 (n,): in which fold each clip was tested.
    folds : str
        What is to be said of the folds, as Markdown.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    (truth,) = corpus.truth.values()
    said = answers.argmax(axis=1)
    labels = corpus.label_set.emotions
    chart = plots.confusion_pair(confusion_matrix(truth, said, n_classes=len(labels)), labels, unit="clips")
    where = make_folder(folder)
    write_bytes(where / "confusion.png", chart)
    write_words(where / "predictions.csv", _predictions(corpus, fold, answers))
    largest = f"Largest class: {100 * np.bincount(truth).max() / len(truth):.1f} %."
    parts = [
        f"# {title}",
        *lines,
        section("Result", table(HEAD, figures_rows(found), right=(1, 2)), largest),
        section("Classes", _classes(truth, said, labels)),
        section("Confusion", "![Confusion matrices: rows are the truth](confusion.png)"),
        section("Folds", folds) if folds else "",
        section("Files", "`predictions.csv`: every answer."),
        section("Machine", table(("what", "value"), list(machine().items()))),
    ]
    write_words(where / "report.md", "\n\n".join(part for part in parts if part) + "\n")


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _classes(truth: NDArray[np.int64], said: NDArray[np.int64], labels: Sequence[str]) -> str:
    scores = class_scores(truth, said, n_classes=len(labels))
    rows = [
        (
            label,
            *("-" if np.isnan(c[i]) else f"{100 * c[i]:.1f}" for c in (scores.precision, scores.recall, scores.f1)),
            scores.support[i],
            scores.predicted[i],
        )
        for i, label in enumerate(labels)
    ]
    return table(("class", "precision %", "recall %", "F1 %", "true", "answered"), rows, right=range(1, 6))


def _predictions(corpus: VideoCorpus, fold: NDArray[np.int64] | None, answers: NDArray[np.floating]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = corpus.label_set.emotions
    writer.writerow(["clip", "subject", "fold", "true", "answered", "right", *(f"p_{name}" for name in names)])
    (truth,) = corpus.truth.values()
    for row, p in enumerate(answers):
        subject = "" if corpus.subjects is None else str(corpus.subjects[row])
        said = int(p.argmax())
        values = [names[truth[row]], names[said], int(said == truth[row]), *(f"{value:.4f}" for value in p)]
        number = "" if fold is None else int(fold[row]) + 1
        writer.writerow([str(corpus.names[row]), subject, number, *values])
    return stream.getvalue()
