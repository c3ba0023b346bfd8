"""Evaluations as text for people, as JSON for programs, and as a folder of tables, charts and every prediction."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DatasetError
from mien.evaluate.documents import (
    describe_machine,
    escape,
    format_figure,
    format_interval,
    format_percent,
    join_parts,
    make_folder,
    section,
    table,
    text_table,
    write_bytes,
    write_charts,
    write_text,
)
from mien.evaluate.evaluation import COLUMNS, Evaluation, Figures
from mien.evaluate.noise import VOICES, noise_chart
from mien.evaluate.paired import PairedResult
from mien.evaluate.predictions import UNITS, Predictions
from mien.metrics import reliability_bins
from mien.output import encode_png, plots
from mien.output.sheet import sheet

if TYPE_CHECKING:
    from mien.face.analyzer import FaceAnalyzer

__all__ = [
    "attention_maps",
    "class_rows",
    "folder_names",
    "paired_lines",
    "summary",
    "summary_table",
    "to_json",
    "to_text",
    "write_overview",
    "write_predictions",
    "write_report",
]

_MOST_LINES = 10
"""Groups and problems that the text names; the report folder names them all."""

_MOST_BARS = 40

_CELL, _ACROSS = {"image": 112, "audio": 168}, {"image": 8, "audio": 5}
"""Side of a square of the sheet of mistakes in pixels, and how many are in a line."""

_SHEET_S, _SHEET_DB = 3.0, 75.0
"""What the sheet shows of a clip's speech: all of them to one scale of time and one range."""

_CLASS_HEAD = ("class", "precision", "recall", "F1", "true", "predicted")
_NOISE_HEAD = ("noise", "speech to noise", "accuracy", "95 %", "UAR", "95 %")


def to_json(evaluation: Evaluation) -> str:
    """Return an evaluation as one JSON document, with the names of its fields as keys."""
    return json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def to_text(evaluation: Evaluation) -> str:
    """Return an evaluation as text: what was measured, the headline, groups, classes, calibration, noise, problems.

    Parameters
    ----------
    evaluation : Evaluation
        The figures.

    Returns
    -------
    str
        Lines without colors, without a line break at the end.
    """
    labels = evaluation.labels
    confusion = [(label, *row) for label, row in zip(labels, evaluation.confusion_matrix, strict=True)]
    caution = evaluation.caveat and f"CAUTION: {evaluation.caveat}."
    groups = {name: _groups_text(evaluation, name) for name in sorted(evaluation.groups, key=_column_order)}
    return join_parts(
        "\n".join(line for line in (_title_lines(evaluation), caution) if line),
        text_table(("", "value", "95 % interval", ""), _headline(evaluation), right=(1,)),
        *(text for name, text in groups.items() if name != "subject"),
        text_table(_CLASS_HEAD, class_rows(evaluation), right=range(1, 6)),
        text_table(("true \\ predicted", *labels), confusion, right=range(1, len(labels) + 1)),
        text_table(("calibration", "value", "cross-fitted"), _calibration_rows(evaluation), right=(1, 2)),
        groups.get("subject", ""),
        text_table(_NOISE_HEAD, _noise_rows(evaluation), right=(1, 2, 4)) if evaluation.noise else "",
        _limited(["problems", *evaluation.problems], "more") if evaluation.problems else "",
    )


def _column_order(name: str) -> int:
    return COLUMNS.index(name) if name in COLUMNS else -1


def _limited(lines: Sequence[str], rest: str) -> str:
    """Return a head with the first lines below it, and how many more there are."""
    more = len(lines) - 1 - _MOST_LINES
    return "\n".join([*lines[: _MOST_LINES + 1], *([f"and {more} {rest}"] if more > 0 else [])])


def summary(evaluations: Sequence[tuple[str, Evaluation]]) -> str:
    """Return several evaluations as one table.

    Parameters
    ----------
    evaluations : sequence of (str, Evaluation)
        What to call the model, and its figures.
    """
    rows = [
        (
            name,
            f"{e.dataset} {e.split}",
            e.output,
            e.n,
            format_percent(e.accuracy),
            format_interval(e.intervals.get("accuracy")),
            format_percent(e.uar),
            format_figure(e.ece_above_floor),
        )
        for name, e in evaluations
    ]
    head = ("model", "data", "output", "n", "accuracy", "95 % interval", "UAR", "ECE above floor")
    return text_table(head, rows, right=(3, 4, 6, 7))


def paired_lines(result: PairedResult, *, unit: str = "images") -> list[str]:
    """Return the comparison of two models on samples of some unit as sentences."""
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


# --- parts that text and Markdown share ---------------------------------------------------------------


def _title_lines(e: Evaluation) -> str:
    """Return what was measured on what, in two lines."""
    output = f"output {e.output}"
    if e.labels_mapping != "one to one":
        output += f" ({e.labels_mapping})"
    reasons = [
        (e.n_unlabeled, "for want of a label"),
        (e.n_no_common_label, "with a label that the model does not have"),
        (e.n_unreadable, "that could not be read"),
    ]
    left_out = "".join(f", {count} left out {why}" for count, why in reasons if count)
    of = f" of {e.n_subjects} subject{'s' * (e.n_subjects != 1)}" if e.n_subjects else ""
    views = " Two views: image and mirror image." if e.views == 2 else ""
    note = f"; {e.training_note}" if e.training_note else ""
    return (
        f"{f'{e.model} {e.model_version}'.strip()} on {e.dataset} {e.split}, {e.protocol}, {output}{note}\n"
        f"{e.n} {UNITS[e.kind]}{of}{left_out}.{views} Measured {e.date} with mien {e.mien_version}."
    )


def _headline(e: Evaluation) -> list[tuple[str, str, str, str]]:
    """Return the rows of the headline: name, value, interval, note."""

    def row(title: str, name: str, note: str = "") -> tuple[str, str, str, str]:
        return title, format_percent(getattr(e, name)), format_interval(e.intervals.get(name)), note

    drawn = "" if e.intervals_by == "image" else f"intervals by {e.intervals_by}, of which there are {e.n_groups}"
    missing = [entry.label for entry in e.per_class if entry.support == 0]
    absent = f"over the classes present: no sample is {' or '.join(missing)}" if missing else ""
    rows = [row("accuracy", "accuracy", drawn), row("UAR", "uar", absent)]
    if e.kind == "image":
        note = f"without {e.n_overlap} images that are also in Training"
        unknown = "unknown: the Training rows are not in this data"
        rows.append(row("accuracy, overlap-free", "accuracy_overlap_free", unknown if e.n_overlap is None else note))
    if e.seen_in_training:
        note = f"{e.n_unseen} {UNITS[e.kind]} of subjects not seen in training"
        rows += [
            row("accuracy, unseen subjects", "accuracy_unseen", note),
            row("UAR, unseen subjects", "uar_unseen", note),
        ]
    return [*rows, row("macro F1", "macro_f1"), ("AUC", format_figure(e.auc), "", "")]


def class_rows(e: Evaluation) -> list[tuple[Any, ...]]:
    """Return the scores by class as the rows of a table."""
    return [
        (c.label, format_percent(c.precision), format_percent(c.recall), format_percent(c.f1), c.support, c.predicted)
        for c in e.per_class
    ]


def _calibration_rows(e: Evaluation) -> list[tuple[str, str, str]]:
    """Return the rows of the calibration: what, with the recorded temperature, with cross-fitted ones."""
    return [
        ("ECE", format_figure(e.ece), format_figure(e.ece_cross_fitted)),
        ("floor: ECE by chance", format_figure(e.ece_floor), format_figure(e.ece_cross_fitted_floor)),
        ("ECE above floor", format_figure(e.ece_above_floor), format_figure(e.ece_cross_fitted_above_floor)),
        ("Brier", format_figure(e.brier), format_figure(e.brier_cross_fitted)),
        ("NLL", format_figure(e.nll), format_figure(e.nll_cross_fitted)),
        ("temperature (recorded; best here)", format_figure(e.temperature), format_figure(e.temperature_fitted)),
    ]


def _figures_cells(f: Figures) -> tuple[str, str, str, str]:
    intervals = f.intervals
    return (
        format_percent(f.accuracy),
        format_interval(intervals.get("accuracy")),
        format_percent(f.uar),
        format_interval(intervals.get("uar")),
    )


def _noise_rows(e: Evaluation) -> list[tuple[str, ...]]:
    return [
        (entry.kind, "" if entry.ratio_db is None else f"{entry.ratio_db:g} dB", *_figures_cells(entry))
        for entry in e.noise
    ]


def _group_table(e: Evaluation, column: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Return head, rows and columns of numbers of the figures by one column, without columns that say nothing."""
    head = [column, UNITS[e.kind], "subjects", "accuracy", "95 %", "UAR", "95 %"]
    rows = [
        [name, str(f.n), "" if column == "subject" else str(f.n_subjects or ""), *_figures_cells(f)]
        for name, f in e.groups[column].items()
    ]
    used = [place for place in range(len(head)) if any(row[place] for row in rows)]
    right = [new for new, place in enumerate(used) if place in (1, 2, 3, 5)]
    return [head[place] for place in used], [[row[place] for place in used] for row in rows], right


def _groups_text(e: Evaluation, column: str) -> str:
    head, rows, right = _group_table(e, column)
    lines = text_table(head, rows, right=right).split("\n")
    return _limited(lines, "more with a higher UAR" if column == "subject" else "more")


# --- the folder ---------------------------------------------------------------------------------------


def write_report(
    folder: str | Path,
    evaluation: Evaluation,
    predictions: Predictions,
    *,
    attention: Sequence[NDArray[np.uint8]] = (),
    fold: NDArray[np.int64] | None = None,
    notes: Sequence[str] = (),
    command: str = "",
) -> None:
    """Write the report of one model on one split.

    ``report.json``, ``report.md``, ``confusion.png`` (normalized and absolute), ``reliability.png``, ``worst.png`` (the
    most confident mistakes: images, or spectrograms), ``attention.png``, ``subjects.png`` (where there are subjects),
    ``noise.png`` (where there is a noise curve) and ``predictions.csv``.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where to; it is made if need be, and files of an older report are replaced.
    evaluation : Evaluation
        The figures.
    predictions : Predictions
        What they were measured on.
    attention : sequence of numpy.ndarray
        uint8 (H, W, 3), RGB: the most confident mistakes with what the model looked at laid over them.
    fold : numpy.ndarray, optional
        int64 (n,): in which fold each sample was tested, for ``predictions.csv``.
    notes : sequence of str
        Markdown below the title.
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
    worst = predictions.most_confident_mistakes()
    subjects = evaluation.groups.get("subject", {})
    write_text(where / "report.json", to_json(evaluation) + "\n")
    write_predictions(where / "predictions.csv", predictions, fold=fold)
    confusion = plots.confusion_pair(evaluation.confusion_matrix, evaluation.labels, unit=predictions.unit)
    charts: dict[str, bytes | None] = {
        "confusion.png": confusion,
        "reliability.png": _reliability(evaluation, predictions),
        "worst.png": _worst_sheet(predictions, worst),
        "attention.png": _sheet(predictions, worst, attention) if attention else None,
        "subjects.png": _subject_bars(subjects) if subjects else None,
        "noise.png": noise_chart(evaluation.noise) if evaluation.noise else None,
    }
    write_charts(where, charts)
    drawn = {name for name, content in charts.items() if content is not None}
    write_text(where / "report.md", _markdown(evaluation, predictions, worst, drawn, notes, command) + "\n")


def _reliability(evaluation: Evaluation, predictions: Predictions) -> bytes:
    bins = reliability_bins(predictions.probabilities, predictions.truth)
    return plots.reliability(
        edges=bins.edges,
        count=bins.count,
        confidence=bins.confidence,
        accuracy=bins.accuracy,
        ece=evaluation.ece,
        floor=evaluation.ece_floor,
    )


def _subject_bars(subjects: Mapping[str, Figures]) -> bytes:
    bars = [(name, figures.uar, None, None) for name, figures in subjects.items()][:_MOST_BARS]
    some = "" if len(bars) == len(subjects) else f", the lowest {len(bars)} of {len(subjects)}"
    return plots.bars(bars, title=f"UAR by subject{some}")


def _worst_sheet(predictions: Predictions, rows: NDArray[np.int64]) -> bytes | None:
    kind = predictions.samples.kind
    if not len(rows) or kind == "video":
        return None
    draw = predictions.samples.read if kind == "image" else lambda row: _spectrogram(predictions, row)
    return _sheet(predictions, rows, [draw(row) for row in rows.tolist()])


def _sheet(predictions: Predictions, rows: NDArray[np.int64], images: Sequence[NDArray[np.uint8] | None]) -> bytes:
    """Draw images of samples with their labels and predictions as PNG."""
    names, kind = predictions.label_set.emotions, predictions.samples.kind
    captions = []
    for row in rows:
        predicted = predictions.classes[row]
        share = 100 * predictions.probabilities[row, predicted]
        captions.append(f"{names[predictions.truth[row]]}?\n{names[predicted]} {share:.0f} %")
    title = f"The {len(rows)} most confident mistakes: the label with a question mark, below it the prediction"
    columns = min(_ACROSS[kind], len(rows))
    return encode_png(sheet(images, captions, columns=columns, cell=_CELL[kind], title=title))


def _spectrogram(predictions: Predictions, row: int) -> NDArray[np.uint8] | None:
    """Draw a clip's speech as a spectrogram of mel bands, low notes at the bottom."""
    from mien.speech.activity import speech_bounds
    from mien.speech.features import Settings, log_mel

    settings = Settings(mels=64, top_db=_SHEET_DB)
    try:
        wave = predictions.samples.read_audio(row, settings.rate_hz)
    except DatasetError:
        # It was there when it was predicted: the square stays empty, and the table still names the file.
        return None
    length = round(_SHEET_S * settings.rate_hz)
    begin, end = speech_bounds(wave, rate_hz=settings.rate_hz)
    bands = log_mel(wave[begin : min(end, begin + length)], settings)[::-1]
    gray = np.clip((bands - bands.max()) / _SHEET_DB + 1, 0, 1) * 255
    whole = np.zeros((len(gray), round(length / settings.hop) + 1), dtype=np.uint8)
    whole[:, : gray.shape[1]] = gray[:, : whole.shape[1]]
    small = cv2.resize(whole, (_CELL["audio"], _CELL["audio"]), interpolation=cv2.INTER_AREA)
    colored = cv2.applyColorMap(small, cv2.COLORMAP_INFERNO)
    return np.asarray(colored[..., ::-1], dtype=np.uint8)


def attention_maps(analyzer: FaceAnalyzer, predictions: Predictions) -> list[NDArray[np.uint8]]:
    """Return the most confident mistakes with the class activation map of the predicted class laid over them.

    Parameters
    ----------
    analyzer : FaceAnalyzer
        The model.
    predictions : Predictions
        Its predictions for images in memory.

    Returns
    -------
    list of numpy.ndarray
        uint8 (H, W, 3), RGB; none for models without such maps, which could be explained by hiding parts only, at some
        hundred predictions an image.
    """
    from mien.face.explain import choose_method, explain
    from mien.output.draw import heat

    rows = predictions.most_confident_mistakes()
    if not len(rows) or choose_method(analyzer.spec) != "cam":
        return []
    maps = explain(analyzer, predictions.samples.images[rows], output=predictions.output, method="cam")
    return [heat(predictions.samples.read(int(row)), one) for row, one in zip(rows, maps, strict=True)]


def write_predictions(path: Path, predictions: Predictions, *, fold: NDArray[np.int64] | None = None) -> None:
    """Write every prediction as CSV: where the sample is, what is known of it, truth, prediction, probabilities.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    predictions : Predictions
        The predictions.
    fold : numpy.ndarray, optional
        int64 (n,): in which fold each sample was tested, written from 1.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    samples, names = predictions.samples, predictions.label_set.emotions
    columns = ["subject", *(name for name in COLUMNS if name != "subject" and samples.has(name))]
    if samples.kind == "video":
        columns.insert(0, "clip")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ["row", "file", *columns, *([] if fold is None else ["fold"]), "true", "predicted", "right", "confidence"]
    writer.writerow([*head, *(f"p_{name}" for name in names)])
    for i, (truth, predicted, p) in enumerate(
        zip(predictions.truth.tolist(), predictions.classes.tolist(), predictions.probabilities, strict=True)
    ):
        known = [str(samples.column(name)[i]) for name in columns]
        number = [] if fold is None else [int(fold[i]) + 1]
        values = [f"{value:.6f}" for value in (p[predicted], *p)]
        outcome = [names[truth], names[predicted], int(truth == predicted)]
        writer.writerow([int(samples.rows[i]), samples.files[i], *known, *number, *outcome, *values])
    write_text(path, stream.getvalue())


def _markdown(
    e: Evaluation,
    predictions: Predictions,
    worst: NDArray[np.int64],
    charts: set[str],
    notes: Sequence[str],
    command: str,
) -> str:
    unit = predictions.unit
    drawn = {"subject": "subjects", "clip": "clips", "image": "distinct images"}[e.intervals_by]
    groups = [name for name in sorted(e.groups, key=_column_order) if name != "subject"]
    fitted = (
        f"Cross-fitted: the {unit} of each of {e.cross_fitting_folds} folds of {drawn} are scaled by a temperature "
        "fitted on the others."
    )
    babble = (
        f"Babble: up to {VOICES} other clips at once, none of the same subject. The ratio is that of the powers over "
        "the part of the clip in which somebody speaks."
    )
    return join_parts(
        f"# {escape(e.model)} on {escape(e.dataset)} {escape(e.split)}",
        "\n".join(escape(line) for line in _title_lines(e).splitlines()),
        f"**Caution**: {escape(e.caveat)}." if e.caveat else "",
        *notes,
        f"Measured by `{command}`." if command and "`" not in command else "",
        section(
            "Result",
            table(("", "value", "95 % interval", ""), _headline(e), right=(1,)),
            f"Intervals: bootstrap over {e.n_groups} {drawn}.",
            f"Largest class: {format_percent(max(c.support for c in e.per_class) / e.n)}.",
        ),
        *(section(name.capitalize(), _markdown_groups(e, name)) for name in groups),
        section("Classes", table(_CLASS_HEAD, class_rows(e), right=range(1, 6))),
        section("Confusion", "![Confusion matrices: rows are the truth](confusion.png)"),
        section(
            "Calibration",
            table(("what", "recorded temperature", "cross-fitted"), _calibration_rows(e), right=(1, 2)),
            fitted,
            "![Reliability](reliability.png)",
        ),
        section("Noise", table(_NOISE_HEAD, _noise_rows(e), right=(1, 2, 4)), babble, "![Noise](noise.png)")
        if e.noise
        else "",
        section("Worst mistakes", *_worst_parts(predictions, worst, charts)),
        section("Subjects", *_subject_parts(e)) if "subject" in e.groups else "",
        section("Problems", "\n".join(f"- {escape(line)}" for line in e.problems)) if e.problems else "",
        section("Files", f"`report.json`: all figures. `predictions.csv`: the prediction for each of the {unit}."),
        section("Machine", table(("what", "value"), list(describe_machine().items()))),
    )


def _markdown_groups(e: Evaluation, column: str) -> str:
    head, rows, right = _group_table(e, column)
    return table(head, rows, right=right)


def _worst_parts(predictions: Predictions, rows: NDArray[np.int64], charts: set[str]) -> list[str]:
    if not len(rows):
        return ["There is no mistake."]
    names, samples = predictions.label_set.emotions, predictions.samples
    listed = [
        (
            samples.files[row],
            samples.subjects[row],
            names[predictions.truth[row]],
            names[predictions.classes[row]],
            format_percent(float(predictions.probabilities[row].max())),
        )
        for row in rows.tolist()
    ]
    head = ("file", "subject", "true", "predicted", "confidence")
    return [
        table(head, listed, right=(4,)) if samples.kind != "image" else "",
        "![The most confident mistakes](worst.png)" if "worst.png" in charts else "",
        "![What the model looked at in them](attention.png)" if "attention.png" in charts else "",
    ]


def _subject_parts(e: Evaluation) -> list[str]:
    shares = [figures.uar for figures in e.groups["subject"].values()]
    spread = (
        f"{len(shares)} subjects: UAR of the lowest {format_percent(min(shares))}, the median "
        f"{format_percent(float(np.median(shares)))}, the highest {format_percent(max(shares))}."
    )
    seen = frozenset(e.seen_in_training or ())
    rows = [
        (name, f.n, format_percent(f.accuracy), format_percent(f.uar), "yes" if name in seen else "")
        for name, f in e.groups["subject"].items()
    ]
    head = ("subject", UNITS[e.kind], "accuracy", "UAR", "seen in training")
    return [spread, "![UAR by subject](subjects.png)", table(head, rows, right=(1, 2, 3))]


# --- several models or datasets -----------------------------------------------------------------------


def folder_names(words: Sequence[str]) -> list[str]:
    """Return names that can be folders, each another: letters, digits and ``-_.`` of the words, numbered if equal."""
    found: list[str] = []
    for word in words:
        name = re.sub(r"[^\w.-]+", "-", word).strip("-.") or "report"
        same = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in found)
        found.append(name if not same else f"{name}-{same + 1}")
    return found


def summary_table(evaluations: Sequence[Evaluation]) -> str:
    """Return the headline of several evaluations as a Markdown table."""
    rows = []
    for e in evaluations:
        cells = [e.model, str(e.n), str(e.n_groups)]
        for name in ("accuracy", "uar", "macro_f1"):
            cells += [format_percent(getattr(e, name)), format_interval(e.intervals.get(name))]
        rows.append(cells)
    head = ("model", "samples", "groups", "accuracy", "95 %", "UAR", "95 %", "macro F1", "95 %")
    return table(head, rows, right=(1, 2, 3, 5, 7))


def write_overview(
    folder: str | Path,
    evaluations: Sequence[tuple[str, str, Evaluation]],
    comparisons: Sequence[PairedResult],
    *,
    unit: str = "images",
) -> None:
    """Write ``report.json`` and ``report.md`` over several models or datasets.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder that holds theirs.
    evaluations : sequence of (str, str, Evaluation)
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
        "results": [{"name": name, "folder": place, **e.to_dict()} for name, place, e in evaluations],
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }
    write_text(where / "report.json", json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    bars = [
        (f"{name}, {e.dataset} {e.split}", e.accuracy, *e.intervals.get("accuracy", (None, None)))
        for name, _, e in evaluations
    ]
    write_bytes(where / "accuracy.png", plots.bars(bars, title="accuracy with 95 % intervals"))
    rows = [
        (
            name,
            e.dataset,
            e.split,
            e.output,
            e.n,
            format_percent(e.accuracy),
            format_interval(e.intervals.get("accuracy")),
            format_percent(e.uar),
            format_interval(e.intervals.get("uar")),
            place,
        )
        for name, place, e in evaluations
    ]
    head = ("model", "dataset", "split", "output", "n", "accuracy", "95 %", "UAR", "95 %", "report")
    compared = [escape(" ".join(paired_lines(c, unit=unit))) for c in comparisons]
    parts = [
        "# Evaluation",
        table(head, rows, right=(4, 5, 7)),
        "![Accuracy](accuracy.png)",
        section("Comparisons", *compared) if compared else "",
    ]
    write_text(where / "report.md", join_parts(*parts) + "\n")
