"""The report of a training run: what was trained on what, with which result, epoch by epoch, where and how long."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, MissingExtraError, ModelError
from mien.evaluate.documents import describe_machine, escape, join_parts, section, table, write_bytes, write_text
from mien.evaluate.runs import Run, read_run
from mien.labels import LABEL_SETS
from mien.metrics import class_scores, confusion_matrix
from mien.output import plots

__all__ = ["write_run_report"]

PREDICTIONS = "validation.npz"
"""Truth and predictions of the validation rows, within a run folder."""

_Predictions = dict[str, tuple[NDArray[np.int64], NDArray[np.int64], int]]
"""By head: truth and predictions, int64 (n,), of the labeled rows, and the number of classes."""


def write_run_report(folder: Path) -> None:
    """Write ``report.md``, ``curves.png`` and ``confusion.png`` into a run folder.

    An unfinished run has a report too: it says what is not there yet. Charts that cannot be drawn (nothing to draw,
    or matplotlib is not installed) are left out, and the report says why.

    Parameters
    ----------
    folder : pathlib.Path
        A run folder; ``config.toml`` must be there, and of ``history.csv``, ``model.toml`` and ``validation.npz``
        (arrays ``truth_H`` int64 (n,), -1 for no label, and ``probabilities_H`` float (n, k) for each head H) what
        there is.

    Raises
    ------
    ModelError
        If it is no run folder, or its ``validation.npz`` is damaged.
    DatasetError
        If the files cannot be written.
    """
    run = read_run(folder)
    predictions = _predictions(run)
    images = _images(run, predictions)
    parts = [
        f"# {escape(run.config.get('name') or run.name)}",
        escape(run.config.get("description", "")),
        _state(run),
        section("Result", _results(run), images.get("curves.png", "")),
        section("Trained on", _data(run)),
        section("Network", _net(run)),
        section("Classes", images.get("confusion.png", ""), *_classes(run, predictions)),
        section("Epochs", _epochs(run), "All columns: `history.csv`." if run.history else ""),
        section("Recipe", table(("option", "value"), list(_flat(run.config)))),
        section("Machine", table(("what", "value"), list(describe_machine().items()))),
    ]
    write_text(run.folder / "report.md", join_parts(*parts) + "\n")


def _state(run: Run) -> str:
    done, planned = len(run.history), run.epochs_planned
    words = [f"{done} of {planned} epochs" if planned else f"{done} epochs"]
    if run.minutes is not None:
        words.append(f"{run.minutes:.1f} minutes of training ({60 * run.minutes / done:.1f} s an epoch)")
    if run.best_epoch is not None:
        words.append(f"best epoch {run.best_epoch}")
    if run.spec is not None:
        words.append(f"finished {run.spec.date.isoformat()}")
    return "\n\n".join([f"{', '.join(words)}.", *(f"Note: {escape(note)}." for note in run.notes)])


def _results(run: Run) -> str:
    if run.spec is not None and run.spec.results:
        chosen = run.spec.training.get("selected_on")
        note = f"The epoch was chosen on {escape(chosen)}: expect a little less on new {_unit(run)}." if chosen else ""
        rows = [
            (r.output, r.dataset, r.split, r.protocol, r.metric, f"{r.value:.4f}", _ends(r.low, r.high), r.n)
            for r in run.spec.results
        ]
        head = ("output", "dataset", "split", "protocol", "metric", "value", "95 % interval", "rows")
        return "\n\n".join(filter(None, [table(head, rows, right=(5, 7)), note]))
    known = [
        (head, metric, f"{figure.value:.4f}")
        for head in run.heads
        for metric in ("accuracy", "uar")
        if (figure := run.figure(head, metric)) is not None
    ]
    if not known:
        return "None yet."
    return f"Not finished; at epoch {run.best_epoch}, the best so far, on the validation rows:\n\n" + table(
        ("output", "metric", "value"), known, right=(2,)
    )


def _unit(run: Run) -> str:
    """Return what the rows are; without a record that is not known."""
    if run.spec is None:
        return "rows"
    return "clips" if run.spec.task == "speech-emotion" else "images"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _data(run: Run) -> str:
    if run.spec is None:
        named = run.config.get("dataset")
        return f"Dataset {escape(named)}." if named else "See the recipe."
    learned = run.spec.training.get("data", [])
    lines = [f"- {escape(line)}" for line in (learned if isinstance(learned, list) else [learned])]
    if fingerprint := run.spec.training.get("fingerprint"):
        lines.append(f"- Fingerprint of the data: `{fingerprint}`")
    return "\n".join([*lines, f"- Terms of the data: {escape(run.spec.license.data)}"])


def _net(run: Run) -> str:
    rows: list[tuple[str, str]] = [("network", run.net or "?"), ("heads", ", ".join(run.heads) or "?")]
    if run.spec is not None:
        training = run.spec.training
        counts = [(name.replace("_", "-"), training.get(name)) for name in ("parameters", "multiply_adds")]
        rows += [(name, f"{count:,}") for name, count in counts if isinstance(count, int)]
        rows += [(f.file, f"{f.bytes / 1e6:.1f} MB, sha256 {f.sha256}") for f in run.spec.files]
        rows += [(f"temperature of {o.name}", f"{o.temperature:g}") for o in run.spec.outputs]
    return table(("what", "value"), rows)


def _images(run: Run, predictions: _Predictions) -> dict[str, str]:
    """Draw the charts, and return what the report shows in the place of each: a link to it, or why there is none."""
    shown = {}
    try:
        if run.history:
            write_bytes(run.folder / "curves.png", plots.curves(run.history, run.heads))
            shown["curves.png"] = "![Training against validation](curves.png)"
        if predictions:
            matrices = [
                (head, confusion_matrix(truth, predicted, n_classes=k), _labels(run, head, k))
                for head, (truth, predicted, k) in predictions.items()
            ]
            write_bytes(run.folder / "confusion.png", plots.confusion_pairs(matrices, unit=_unit(run)))
            shown["confusion.png"] = "![Confusion matrices of the validation rows](confusion.png)"
        else:
            shown["confusion.png"] = f"Not yet: there is no `{PREDICTIONS}`."
    except (MissingExtraError, InputError) as error:
        return dict.fromkeys(("curves.png", "confusion.png"), f"No chart: {escape(error)}.") | shown
    return shown


def _classes(run: Run, predictions: _Predictions) -> list[str]:
    found = []
    for head, (truth, predicted, k) in predictions.items():
        scores = class_scores(truth, predicted, n_classes=k)
        columns = (scores.precision, scores.recall, scores.f1)
        rows = [
            (label, *(_percent(column[i]) for column in columns), scores.support[i], scores.predicted[i])
            for i, label in enumerate(_labels(run, head, k))
        ]
        titles = (head, "precision %", "recall %", "F1 %", "true", "predicted")
        found.append(table(titles, rows, right=range(1, 6)))
    return found


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"


def _labels(run: Run, head: str, k: int) -> tuple[str, ...]:
    for output in () if run.spec is None else run.spec.outputs:
        if output.name == head and len(output.labels) == k:
            return output.labels.emotions
    if head in LABEL_SETS and len(LABEL_SETS[head]) == k:
        return LABEL_SETS[head].emotions
    return tuple(str(number) for number in range(k))


def _epochs(run: Run) -> str:
    if not run.history:
        return "None yet."
    wanted = ["seconds", "rate", "train_loss", "val_loss"]
    wanted += [f"{side}_{head}_{m}" for head in run.heads for m in ("accuracy", "uar") for side in ("train", "val")]
    columns = [column for column in (*wanted, "val_score") if any(row.get(column) for row in run.history)]
    rows = []
    for row in run.history:
        marked = " (best)" if int(row["epoch"]) == run.best_epoch else ""
        rows.append([f"{row['epoch']}{marked}", *(_short(row.get(column)) for column in columns)])
    return table(["epoch", *(c.replace("_", " ") for c in columns)], rows, right=range(len(columns) + 1))


def _short(text: str | None) -> str:
    return f"{float(text):.4g}" if text else ""


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return nested options as dotted names with their values."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{before}{name}.")
        else:
            rows.append((f"{before}{name}", str(value)))
    return rows


def _predictions(run: Run) -> _Predictions:
    path = run.folder / PREDICTIONS
    if not path.is_file():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    # What numpy and zipfile raise on bytes that are no archive of plain arrays; a lone .npy has no context.
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    heads = [name.removeprefix("truth_") for name in arrays if name.startswith("truth_")]
    found = {}
    for head in sorted(heads, key=lambda h: run.heads.index(h) if h in run.heads else len(run.heads)):
        truth, p = arrays[f"truth_{head}"], arrays.get(f"probabilities_{head}")
        if p is None or p.ndim != 2 or truth.shape != p.shape[:1] or not np.issubdtype(truth.dtype, np.integer):
            raise ModelError(f"{path}: truth_{head} and probabilities_{head} must be of shape (n,) and (n, k)")
        known = truth >= 0
        if known.any() and truth.max() >= p.shape[1]:
            raise ModelError(f"{path}: truth_{head} must be class numbers under {p.shape[1]}, but holds {truth.max()}")
        if known.any():
            found[head] = (truth[known].astype(np.int64), p[known].argmax(axis=1), p.shape[1])
    return found
