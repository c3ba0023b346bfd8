"""Run folders, read without the packages that made them: what was trained, how it went, what came out; models by name.

An unfinished run is a run: what it lacks, or what of it cannot be read, is said in its notes.
"""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mien.errors import InputError, ModelError
from mien.metrics import SCORES
from mien.models import registry
from mien.models.registry import RECORD
from mien.models.spec import ModelSpec
from mien.models.store import read_record

__all__ = ["CONFIG", "HISTORY", "Figure", "Run", "best_metric", "chart_series", "find_model", "read_run", "split_names"]

CONFIG, HISTORY, FOLDS = "config.toml", "history.csv", "folds.json"
"""Names within a run folder."""


class Figure(NamedTuple):
    """A measured share with the ends of its 95 % interval, where that is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder.

    Parameters
    ----------
    folder : pathlib.Path
        Where it lies.
    config : dict
        Its recipe, as plain data; empty where it cannot be read.
    history : tuple of dict
        The rows of its ``history.csv``, as text.
    spec : ModelSpec or None
        Its record; None while it is unfinished.
    notes : tuple of str
        What is missing or cannot be read.
    members : tuple of Run
        The runs of its networks, where settings were chosen on inner folds: of a recipe with members, of each.
    """

    folder: Path
    config: dict[str, Any]
    history: tuple[dict[str, str], ...]
    spec: ModelSpec | None
    notes: tuple[str, ...]
    members: tuple[Run, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def net(self) -> str:
        """The network's name; empty where it is not known."""
        return str(self.config.get("net", ""))

    @property
    def parameters(self) -> int | None:
        """Number of the network's parameters, by the record."""
        value = None if self.spec is None else self.spec.training.get("parameters")
        return value if isinstance(value, int) else None

    @property
    def size_mb(self) -> float | None:
        """Size of the ONNX graph in megabytes (10^6 bytes), by the record."""
        if self.spec is None:
            return None
        return next((f.bytes / 1e6 for f in self.spec.files if f.role == "graph"), None)

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads, in the order of the record, else of the history."""
        if self.spec is not None and self.spec.outputs:
            return tuple(output.name for output in self.spec.outputs)
        parsed = (_head_of(column) for column in (self.history[0] if self.history else ()))
        return tuple(dict.fromkeys(head for head in parsed if head))

    @property
    def epochs(self) -> str:
        """Epochs done and planned, such as ``12/20``; of several networks as they were chosen, ``9 + 14``."""
        if self.members:
            return " + ".join(str(len(run.history)) for run in self.members)
        return f"{len(self.history)}/{self.epochs_planned}" if self.epochs_planned else str(len(self.history))

    @property
    def epochs_planned(self) -> int | None:
        """Epochs of the recipe."""
        value = self.config.get("epochs")
        return value if isinstance(value, int) else None

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the highest ``val_score``: the one whose weights are kept."""
        known = [(value, -epoch) for epoch, value in self.series("val_score")]
        return -max(known)[1] if known else None

    @property
    def minutes(self) -> float | None:
        """Training time: the sum over the epochs."""
        seconds = [value for run in (self, *self.members) for _, value in run.series("seconds")]
        return sum(seconds) / 60 if seconds else None

    def series(self, metric: str) -> list[tuple[int, float]]:
        """Return epochs and values of a column of the history, where there is one."""
        points = ((int(row["epoch"]), row.get(metric) or "") for row in self.history)
        return [(epoch, float(text)) for epoch, text in points if text and math.isfinite(float(text))]

    def at_best(self, column: str) -> float | None:
        """Return a column's value at the best epoch."""
        return dict(self.series(column)).get(self.best_epoch or -1)

    def figure(self, head: str, metric: str) -> Figure | None:
        """Return a head's validation figure: the record's, with its interval, else that of the best epoch so far.

        Parameters
        ----------
        head, metric : str
            Such as ``"fer7"`` and ``"uar"``.
        """
        for result in () if self.spec is None else self.spec.results:
            if (result.output, result.metric) == (head, metric):
                return Figure(result.value, result.low, result.high)
        value = self.at_best(f"val_{head}_{metric}")
        return None if value is None else Figure(value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        figures = {head: {m: self.figure(head, m) for m in ("accuracy", "uar")} for head in self.heads}
        return {
            "folder": str(self.folder),
            "name": self.name,
            "net": self.net,
            "parameters": self.parameters,
            "size_mb": self.size_mb,
            "epochs": sum(len(run.history) for run in self.members or (self,)),
            "epochs_planned": self.epochs_planned,
            "best_epoch": self.best_epoch,
            "minutes": self.minutes,
            "heads": {
                head: {metric: None if f is None else f._asdict() for metric, f in by_metric.items()}
                for head, by_metric in figures.items()
            },
            "at_best_epoch": {
                column: value
                for column in (self.history[0] if self.history else ())
                if column not in ("epoch", "seconds") and (value := self.at_best(column)) is not None
            },
            "notes": list(self.notes),
        }


def read_run(folder: str | Path) -> Run:
    """Read a run folder, finished or not.

    Parameters
    ----------
    folder : str or pathlib.Path
        A folder with ``config.toml``.

    Returns
    -------
    Run
        What is there; damaged or missing files are named in its notes.

    Raises
    ------
    ModelError
        If it is no run folder at all.
    """
    where = Path(folder)
    if not (where / CONFIG).is_file():
        what = f"it has no {CONFIG}" if where.is_dir() else "it is no folder" if where.exists() else "it does not exist"
        raise ModelError(f"{where} is no run folder: {what}")
    notes: list[str] = []
    config = _config(where / CONFIG, notes)
    history = _history(where / HISTORY, notes)
    spec = None
    if (where / RECORD).is_file():
        try:
            spec = read_record(where / RECORD)
        except ModelError as error:
            notes.append(str(error))
    elif (where / FOLDS).is_file():
        notes.append("cross-validation: see folds.md")
    elif config.get("inner_folds"):
        notes.append(f"unfinished: settings are chosen on inner folds, no {RECORD} yet")
    else:
        planned = config.get("epochs", "?")
        notes.append(f"unfinished: {len(history)} of {planned} epochs, no {RECORD} yet")
    inner = sorted(where.glob(f"*/net/{CONFIG}")) if config.get("inner_folds") else []
    members = tuple(read_run(path.parent) for path in inner)
    return Run(folder=where, config=config, history=tuple(history), spec=spec, notes=tuple(notes), members=members)


def _config(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        notes.append(f"{path.name} cannot be read: {error}")
        return {}


def _history(path: Path, notes: list[str]) -> list[dict[str, str]]:
    """Return the rows up to the first that is not whole: a row may be cut where the writer was killed."""
    if not path.is_file():
        return []
    rows: list[dict[str, str]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                if not _whole(row):
                    notes.append(f"{path.name} is damaged from line {number} on")
                    break
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        notes.append(f"{path.name} cannot be read: {error}")
    return rows


def _whole(row: dict[str, Any]) -> bool:
    """Return whether a row has a number, or nothing, in every column, and an epoch."""
    if None in row or None in row.values() or not str(row.get("epoch", "")).isdecimal():
        return False
    try:
        _ = [float(text) for text in row.values() if text]
    except ValueError:
        return False
    return True


def _head_of(column: str) -> str:
    """Return the head of a column such as ``val_fer7_binary_accuracy``, or nothing."""
    if not column.startswith("val_"):
        return ""
    # The longest name first: "accuracy" is the end of "binary_accuracy" too.
    for metric in sorted(SCORES, key=len, reverse=True):
        if column.endswith(f"_{metric}"):
            return column[len("val_") : -len(metric) - 1]
    return ""


def best_metric(runs: Sequence[Run], metric: str | None) -> str:
    """Return the column of the histories to show: the one asked for, else ``val_score``.

    Raises
    ------
    InputError
        If no run has such a column; the message names those that there are.
    """
    columns = dict.fromkeys(column for run in runs for column in (run.history[0] if run.history else ()))
    wanted = metric or "val_score"
    if wanted not in columns or wanted == "epoch":
        known = ", ".join(c for c in columns if c != "epoch") or "none yet"
        raise InputError(f"no run has the metric {wanted!r}: the histories have {known}")
    return wanted


def chart_series(runs: Sequence[Run], metric: str) -> dict[str, list[tuple[int, float]]]:
    """Return a metric of each run over its epochs; runs of one name are told apart by their folders."""
    names = [run.name for run in runs]
    return {run.name if names.count(run.name) == 1 else str(run.folder): run.series(metric) for run in runs}


def find_model(name: str) -> ModelSpec:
    """Return the record of a model.

    Parameters
    ----------
    name : str
        The name of a shipped model, the path of a record, a run folder, or an ``.onnx`` file with its record beside it
        (of the same name, or ``model.toml``).

    Returns
    -------
    ModelSpec
        Its record; the weights are not looked at.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    ModelError
        If the record is wrong or of another graph, or the run is not finished.
    """
    path = Path(name)
    if path.suffix.lower() == ".onnx":
        return _graph_record(path)
    if name not in registry.MODELS and (path / CONFIG).is_file() and not (path / RECORD).is_file():
        raise ModelError(f"{path} has no model yet: {'; '.join(read_run(path).notes)}")
    return registry.get(name)


def _graph_record(path: Path) -> ModelSpec:
    if not path.is_file():
        raise ModelError(f"no file {path}")
    beside = (path.with_suffix(".toml"), path.with_name(RECORD))
    record = next((p for p in beside if p.is_file()), None)
    if record is None:
        raise ModelError(f"{path} has no record beside it: expected {beside[0].name} or {RECORD}")
    spec = registry.get(record)
    if path.name not in (file.file for file in spec.files):
        raise ModelError(f"{record} is the record of {', '.join(f.file for f in spec.files)}, not of {path.name}")
    return spec


def split_names(words: str) -> list[str]:
    """Return the models that are named in one word, separated by commas; a path that exists is one, commas or not."""
    if Path(words).exists():
        return [words]
    return [word for word in words.split(",") if word]
