"""The report of an examination as a folder: figures, tables, charts, the worst mistakes, and every single answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.answers import Answers
from mien.evaluate.files import make_folder, write_bytes, write_images, write_words
from mien.evaluate.machine import machine
from mien.evaluate.markdown import escaped, section, table
from mien.evaluate.paired import PairedResult
from mien.evaluate.parts import class_table, lowest_bars, mistakes_sheet, reliability, worst_first
from mien.evaluate.report import (
    Measured,
    figure,
    headline,
    interval,
    paired_lines,
    percent,
    subject_line,
    to_json,
)
from mien.evaluate.result import EvaluationResult
from mien.output import plots

__all__ = ["worst_rows", "write_folder", "write_overview"]

_ACROSS = 8


def write_folder(
    folder: str | Path,
    result: EvaluationResult,
    answers: Answers,
    *,
    heated: Sequence[NDArray[np.uint8]] | None = None,
    command: str = "",
) -> None:
    """Write the report of one model on one split.

    ``report.json``, ``report.md``, ``confusion.png`` (normalized and absolute), ``reliability.png``, ``worst.png`` (the
    most confident mistakes), ``subjects.png`` (where there are subjects) and ``predictions.csv``.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where to; it is made if need be, and files of an older report are replaced.
    result : EvaluationResult
        The figures.
    answers : Answers
        What they were measured on.
    heated : sequence of numpy.ndarray, optional
        uint8 (H, W, 3), RGB: the images of `worst_rows` with what the model looked at laid over them.
    command : str
        What was run, for the report.

    Raises
    ------
    DatasetError
        If the folder cannot be written to.
    MissingExtraError
        If matplotlib is not installed.
    """
    where = make_folder(folder)
    write_words(where / "report.json", to_json(result) + "\n")
    write_words(where / "predictions.csv", _predictions(answers))
    write_bytes(where / "confusion.png", plots.confusion_pair(result.confusion_matrix, result.labels))
    write_bytes(where / "reliability.png", reliability(result, answers.probabilities, answers.truth))
    subjects = [(subject.subject, subject.accuracy) for subject in result.per_subject]
    images = {
        "worst.png": _worst(answers, None),
        "attention.png": _worst(answers, heated) if heated else None,
        "subjects.png": lowest_bars(subjects, what="accuracy by subject"),
    }
    write_images(where, images)
    write_words(where / "report.md", _markdown(result, {n for n, c in images.items() if c is not None}, command))


def worst_rows(answers: Answers) -> NDArray[np.int64]:
    """Return the rows of the mistakes, the most confident first, `mien.evaluate.parts.WORST` at most."""
    return worst_first(answers.probabilities, answers.truth)


def _worst(answers: Answers, heated: Sequence[NDArray[np.uint8]] | None) -> bytes | None:
    rows = worst_rows(answers)
    if not len(rows):
        return None
    images = [answers.rows.read(int(row)) for row in rows] if heated is None else list(heated)
    return mistakes_sheet(answers, rows, images, across=_ACROSS, cell=112)


def _predictions(answers: Answers) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = answers.label_set.emotions
    writer.writerow(["row", "file", "subject", "true", "answered", "right", "confidence", *(f"p_{n}" for n in names)])
    rows, said = answers.rows, answers.answered
    for i, p in enumerate(answers.probabilities):
        file = str(rows.files[i])
        subject = str(rows.subjects[i])
        truth, answer = int(answers.truth[i]), int(said[i])
        values = [f"{value:.6f}" for value in (p[answer], *p)]
        writer.writerow([int(rows.rows[i]), file, subject, names[truth], names[answer], int(truth == answer), *values])
    return stream.getvalue()


def _markdown(result: EvaluationResult, images: set[str], command: str) -> str:
    rows = headline(result)
    mistakes = "There is no mistake."
    if "worst.png" in images:
        mistakes = "![The most confident mistakes](worst.png)"
    looked = "![What the model looked at in them](attention.png)" if "attention.png" in images else ""
    parts = [
        f"# {escaped(result.model)} on {escaped(result.dataset)} {escaped(result.split)}",
        "\n".join(escaped(line) for line in subject_line(result).splitlines()),
        f"Measured by `{command}`." if command and "`" not in command else "",
        section("Result", table(("", "value", "95 % interval", ""), rows, right=(1,)), _interval_note(result)),
        section("Classes", class_table(result)),
        section("Confusion", "![Confusion matrices: rows are the truth](confusion.png)"),
        section("Calibration", _calibration(result), "![Reliability](reliability.png)"),
        section("Worst mistakes", mistakes, looked),
        section("Subjects", *_subjects(result)) if result.per_subject else "",
        section("Files", "`report.json`: all figures. `predictions.csv`: every row's answer."),
        section("Machine", table(("what", "value"), list(machine().items()))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _interval_note(result: EvaluationResult) -> str:
    drawn = {"subject": "subjects", "clip": "clips", "image": "distinct images"}[result.intervals_by]
    return f"Intervals: bootstrap over {result.n_groups} {drawn}."


def _calibration(result: EvaluationResult) -> str:
    rows = [
        ("ECE", figure(result.ece)),
        ("ECE to expect by chance at perfect calibration", figure(result.ece_floor)),
        ("ECE above that", figure(result.ece_above_floor)),
        ("ECE above that, temperature cross-fitted", figure(result.ece_cross_fitted_above_floor)),
        ("Brier", figure(result.brier)),
        ("NLL", figure(result.nll)),
        ("recorded temperature", figure(result.temperature)),
        ("temperature that fits best", figure(result.temperature_fitted)),
    ]
    return table(("what", "value"), rows, right=(1,))


def _subjects(result: EvaluationResult) -> list[str]:
    shares = [entry.accuracy for entry in result.per_subject]
    spread = (
        f"{len(shares)} subjects: the lowest {percent(min(shares))}, the median {percent(float(np.median(shares)))}, "
        f"the highest {percent(max(shares))}."
    )
    rows = [(entry.subject, entry.n, percent(entry.accuracy)) for entry in result.per_subject]
    return [
        spread,
        "![Accuracy by subject](subjects.png)",
        table(("subject", "images", "accuracy"), rows, right=(1, 2)),
    ]


def write_overview(
    folder: str | Path,
    results: Sequence[tuple[str, str, Measured]],
    comparisons: Sequence[PairedResult],
    *,
    unit: str = "images",
) -> None:
    """Write ``report.json`` and ``report.md`` over several models or data sets.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder that holds theirs.
    results : sequence of (str, str, EvaluationResult or SpeechEvaluation)
        What to call the model, the folder of its report, and the figures.
    comparisons : sequence of PairedResult
        Of the models, two by two.
    unit : str
        What was measured on.

    Raises
    ------
    DatasetError
        If the folder cannot be written to.
    """
    where = make_folder(folder)
    plain: dict[str, Any] = {
        "results": [{"called": called, "folder": place, **result.to_dict()} for called, place, result in results],
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }
    write_words(where / "report.json", json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    bars = [
        (f"{called}, {r.dataset} {r.split}", r.accuracy, *r.intervals.get("accuracy", (None, None)))
        for called, _, r in results
    ]
    write_bytes(where / "accuracy.png", plots.bars(bars, title="accuracy with 95 % intervals"))
    rows = [
        (
            called,
            r.dataset,
            r.split,
            r.output,
            r.n,
            percent(r.accuracy),
            interval(r, "accuracy"),
            percent(r.uar),
            interval(r, "uar"),
            place,
        )
        for called, place, r in results
    ]
    head = ("model", "data set", "split", "output", "n", "accuracy", "95 %", "UAR", "95 %", "report")
    compared = [escaped(" ".join(paired_lines(c, unit=unit))) for c in comparisons]
    parts = [
        "# Examination",
        table(head, rows, right=(4, 5, 7)),
        "![Accuracy](accuracy.png)",
        section("Comparisons", *compared) if compared else "",
    ]
    write_words(where / "report.md", "\n\n".join(part for part in parts if part) + "\n")
