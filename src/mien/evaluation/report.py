"""An evaluation as text for people, and as JSON for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

from mien.evaluation.result import EvaluationResult

__all__ = ["to_json", "to_text"]

_WIDTH = 120


def to_json(result: EvaluationResult) -> str:
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
        Lines of at most 120 characters, without colours, without a line break at the end.
    """
    parts = [_subject(result), _headline(result), _classes(result), _confusion(result), _calibration(result)]
    return "\n\n".join(parts)


def _subject(result: EvaluationResult) -> str:
    answer = f"output {result.output}"
    if result.labels_mapping != "one to one":
        answer += f" ({result.labels_mapping})"
    left_out = f", {result.n_unlabelled} left out for want of a label" if result.n_unlabelled else ""
    views = " Two views: picture and mirror image." if result.views == 2 else ""
    return (
        f"{result.model} {result.model_version} on {result.dataset} {result.split}, "
        f"{result.protocol}, {answer}\n"
        f"{result.n} pictures{left_out}.{views} Measured {result.date} with mien {result.mien_version}."
    )


def _headline(result: EvaluationResult) -> str:
    if result.n_overlap is None:
        note = "unknown: the Training rows are not in this data"
    else:
        note = f"without {result.n_overlap} pictures that are also in Training"
    rows = [
        ("accuracy", _percent(result.accuracy), _interval(result, "accuracy"), ""),
        ("UAR", _percent(result.uar), _interval(result, "uar"), _absent(result)),
        (
            "accuracy, overlap-free",
            _percent(result.accuracy_overlap_free),
            _interval(result, "accuracy_overlap_free"),
            note,
        ),
        ("macro F1", _percent(result.macro_f1), "", ""),
    ]
    return _table(("", "value", "95 % interval", ""), rows, right=(1,))


def _absent(result: EvaluationResult) -> str:
    absent = [entry.label for entry in result.per_class if entry.support == 0]
    return f"over the classes present: no row is {' or '.join(absent)}" if absent else ""


def _classes(result: EvaluationResult) -> str:
    rows = [
        (c.label, _percent(c.precision), _percent(c.recall), _percent(c.f1), str(c.support), str(c.answered))
        for c in result.per_class
    ]
    return _table(("class", "precision", "recall", "F1", "true", "answered"), rows, right=(1, 2, 3, 4, 5))


def _confusion(result: EvaluationResult) -> str:
    rows = [
        (label, *(str(count) for count in counts))
        for label, counts in zip(result.labels, result.confusion_matrix, strict=True)
    ]
    return _table(("true \\ answered", *result.labels), rows, right=range(1, len(result.labels) + 1))


def _calibration(result: EvaluationResult) -> str:
    fitted = "" if result.temperature_fitted is None else f" (best on these rows {result.temperature_fitted:.3f})"
    rows = [
        (
            f"recorded temperature {result.temperature:.3f}{fitted}",
            _figure(result.ece),
            _figure(result.ece_floor),
            _figure(result.ece_above_floor),
        ),
        (
            "temperature cross-fitted on halves",
            _figure(result.ece_cross_fitted),
            _figure(result.ece_cross_fitted_floor),
            _figure(result.ece_cross_fitted_above_floor),
        ),
    ]
    table = _table(("calibration", "ECE", "floor", "above floor"), rows, right=(1, 2, 3))
    return f"{table}\nBrier {result.brier:.4f}, NLL {result.nll:.4f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(result: EvaluationResult, name: str) -> str:
    interval = result.intervals.get(name)
    return "" if interval is None else f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
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
