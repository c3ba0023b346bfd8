"""An evaluation as text for people, and as JSON for programs: of faces, and the parts that speech shares."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

from mien.evaluate.paired import PairedResult
from mien.evaluate.result import EvaluationResult
from mien.evaluate.speech_result import SpeechEvaluation

__all__ = [
    "Measured",
    "absent",
    "class_text",
    "confusion_text",
    "drawn",
    "figure",
    "headline",
    "interval",
    "paired_lines",
    "percent",
    "subject_line",
    "summary",
    "text_table",
    "to_json",
    "to_text",
]

Measured = EvaluationResult | SpeechEvaluation
"""What an examination of either kind returns."""

_WIDTH = 120

_MOST_SUBJECTS = 10
"""Subjects that the text names, the lowest first; the report folder names them all."""


def to_json(result: Measured) -> str:
    """Return an evaluation as one JSON document, with the names of its fields as keys."""
    return json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def to_text(result: EvaluationResult) -> str:
    """Return an evaluation as text: what was measured, the headline, the classes, the confusion matrix, calibration.

    Parameters
    ----------
    result : EvaluationResult
        The figures.

    Returns
    -------
    str
        Lines of at most 120 characters, without colors, without a line break at the end.
    """
    top = text_table(("", "value", "95 % interval", ""), headline(result), right=(1,))
    parts = [
        subject_line(result),
        top,
        class_text(result),
        confusion_text(result),
        _calibration(result),
        _subjects(result),
    ]
    return "\n\n".join(part for part in parts if part)


def summary(results: Sequence[tuple[str, Measured]]) -> str:
    """Return several evaluations as one table.

    Parameters
    ----------
    results : sequence of (str, EvaluationResult or SpeechEvaluation)
        What to call the model, and its figures.
    """
    rows = [
        (
            called,
            f"{r.dataset} {r.split}",
            r.output,
            str(r.n),
            percent(r.accuracy),
            interval(r, "accuracy"),
            percent(r.uar),
            figure(r.ece_above_floor),
        )
        for called, r in results
    ]
    head = ("model", "data", "output", "n", "accuracy", "95 % interval", "UAR", "ECE above floor")
    return text_table(head, rows, right=(3, 4, 6, 7))


def paired_lines(result: PairedResult, *, unit: str = "images") -> list[str]:
    """Return the comparison of two models on rows of some unit as sentences."""
    accuracy, uar = result.accuracy_interval, result.uar_interval
    better = result.first if accuracy.low > 0 else result.second if accuracy.high < 0 else None
    verdict = f"{better} is better" if better else "which is better stays open"
    return [
        f"{result.first} against {result.second} on {result.dataset} {result.split}: {verdict}.",
        f"Accuracy {100 * result.accuracy_difference:+.2f} points ({100 * accuracy.low:+.2f} to "
        f"{100 * accuracy.high:+.2f}), UAR {100 * result.uar_difference:+.2f} ({100 * uar.low:+.2f} to "
        f"{100 * uar.high:+.2f}), paired bootstrap by {result.intervals_by}.",
        f"Right where the other is wrong: {result.only_first_right} against {result.only_second_right} of {result.n} "
        f"{unit}; McNemar's exact p {result.p_mcnemar:.3g}.",
    ]


def subject_line(result: EvaluationResult) -> str:
    """Return what was measured on what, in two lines."""
    answer = f"output {result.output}"
    if result.labels_mapping != "one to one":
        answer += f" ({result.labels_mapping})"
    left_out = f", {result.n_unlabeled} left out for want of a label" if result.n_unlabeled else ""
    views = " Two views: image and mirror image." if result.views == 2 else ""
    return (
        f"{result.model} {result.model_version} on {result.dataset} {result.split}, "
        f"{result.protocol}, {answer}\n"
        f"{result.n} images{left_out}.{views} Measured {result.date} with mien {result.mien_version}."
    )


def headline(result: EvaluationResult) -> list[tuple[str, str, str, str]]:
    """Return the rows of the headline: name, value, interval, note."""
    if result.n_overlap is None:
        note = "unknown: the Training rows are not in this data"
    else:
        note = f"without {result.n_overlap} images that are also in Training"
    return [
        ("accuracy", percent(result.accuracy), interval(result, "accuracy"), drawn(result)),
        ("UAR", percent(result.uar), interval(result, "uar"), absent(result)),
        (
            "accuracy, overlap-free",
            percent(result.accuracy_overlap_free),
            interval(result, "accuracy_overlap_free"),
            note,
        ),
        ("macro F1", percent(result.macro_f1), "", ""),
        ("AUC", figure(result.auc), "", ""),
    ]


def drawn(result: Measured) -> str:
    """Return what the intervals are drawn over, in words; nothing for images."""
    if result.intervals_by == "image":
        return ""
    return f"intervals by {result.intervals_by}, of which there are {result.n_groups}"


def absent(result: Measured) -> str:
    """Return a note on the classes that no row is of, or nothing."""
    missing = [entry.label for entry in result.per_class if entry.support == 0]
    return f"over the classes present: no row is {' or '.join(missing)}" if missing else ""


def class_text(result: Measured) -> str:
    """Return the scores by class as a table."""
    rows = [
        (c.label, percent(c.precision), percent(c.recall), percent(c.f1), str(c.support), str(c.answered))
        for c in result.per_class
    ]
    return text_table(("class", "precision", "recall", "F1", "true", "answered"), rows, right=(1, 2, 3, 4, 5))


def confusion_text(result: Measured) -> str:
    """Return the confusion matrix as a table of counts."""
    rows = [
        (label, *(str(count) for count in counts))
        for label, counts in zip(result.labels, result.confusion_matrix, strict=True)
    ]
    return text_table(("true \\ answered", *result.labels), rows, right=range(1, len(result.labels) + 1))


def _calibration(result: EvaluationResult) -> str:
    fitted = "" if result.temperature_fitted is None else f" (best on these rows {result.temperature_fitted:.3f})"
    rows = [
        (
            f"recorded temperature {result.temperature:.3f}{fitted}",
            figure(result.ece),
            figure(result.ece_floor),
            figure(result.ece_above_floor),
        ),
        (
            "temperature cross-fitted on halves",
            figure(result.ece_cross_fitted),
            figure(result.ece_cross_fitted_floor),
            figure(result.ece_cross_fitted_above_floor),
        ),
    ]
    table = text_table(("calibration", "ECE", "floor", "above floor"), rows, right=(1, 2, 3))
    return f"{table}\nBrier {result.brier:.4f}, NLL {result.nll:.4f}"


def _subjects(result: EvaluationResult) -> str:
    if not result.per_subject:
        return ""
    rows = [(entry.subject, str(entry.n), percent(entry.accuracy)) for entry in result.per_subject]
    table = text_table(("subject", "images", "accuracy"), rows[:_MOST_SUBJECTS], right=(1, 2))
    more = len(rows) - _MOST_SUBJECTS
    return table if more <= 0 else f"{table}\nand {more} subjects with a higher accuracy"


def percent(share: float | None) -> str:
    """Return a share as text, a dash where it is not defined."""
    return "-" if share is None else f"{100 * share:.2f} %"


def figure(value: float | None) -> str:
    """Return a figure as text, a dash where it is not defined."""
    return "-" if value is None else f"{value:.4f}"


def interval(result: Measured, name: str) -> str:
    """Return the ends of an interval in percent, or nothing."""
    ends = result.intervals.get(name)
    return "" if ends is None else f"{100 * ends.low:.2f} to {100 * ends.high:.2f}"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    """Return aligned columns without frames, those of numbers to the right."""
    # rich takes a tenth of a second to import: who asks for JSON does not pay for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, title in enumerate(head):
        table.add_column(Text(title), justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    stream = io.StringIO()
    Console(file=stream, width=_WIDTH, color_system=None, force_terminal=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n"))
