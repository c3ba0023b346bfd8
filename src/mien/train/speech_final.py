"""The net that is shipped after cross-validation: it learns from every speaker, and its figures are the folds'."""

from __future__ import annotations

import datetime as dt
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.errors import InputError, ModelError
from mien.evaluate.run_report import write_run_report
from mien.models.spec import ModelSpec
from mien.train.export import write_model
from mien.train.folder import best_net, claim
from mien.train.history import best_epoch
from mien.train.kinds import Voices
from mien.train.nets import SpeechNet
from mien.train.recipe import Recipe
from mien.train.run import RunOptions, described, fit
from mien.train.speech_corpus import SpeechCorpus
from mien.train.speech_export import checked_graph, speech_record
from mien.train.speech_folds import SUMMARY

__all__ = ["train_final"]

_METRICS = ("accuracy", "uar", "macro_f1", "ece_cross_fitted_above_floor", "brier_cross_fitted", "nll_cross_fitted")
"""Figures of the folds that go into the record."""


def train_final(
    recipe: Recipe,
    *,
    data: str | Path,
    after: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Path:
    """Train a speech net on every recording of a corpus, as its folds have shown.

    It stops after the median of the epochs that the validation speakers of the folds chose, the temperature is the one
    that fits the out-of-fold answers, and the record's results are the out-of-fold figures: nobody is left to measure
    the net itself on.

    Parameters
    ----------
    recipe : Recipe
        What was cross-validated.
    data : str or pathlib.Path
        Folder of the corpus.
    after : str or pathlib.Path
        The folder of the folds (see `mien.train.folds.train_folds`).
    out : str or pathlib.Path
        The run folder.
    options : RunOptions, optional
        Machine options.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    pathlib.Path
        The run folder.

    Raises
    ------
    InputError
        If the recipe is not for speech, or the folds are of another one.
    ModelError
        If the folds are not finished.
    DatasetError
        If the data cannot be read, or the folder cannot be written to.
    """
    if not recipe.is_speech:
        raise InputError(f"recipe {recipe.name!r} is for faces: training after folds is for speech")
    folds, figures = _read(Path(after), recipe)
    epochs = _epochs(folds)
    folder = Path(out)
    claim(folder, recipe)
    if (folder / "model.toml").is_file():
        report(f"{folder} holds the finished run already")
        return folder
    report(f"{epochs} epochs, the median of {', '.join(map(str, folds['epochs']))}; reading {data}")
    corpus = Voices().load(recipe, data)
    if best_epoch(folder / "history.csv") < epochs:
        # The schedule is that of the folds, so that the net of an epoch is what it was there.
        fit(recipe, corpus, None, folder, options=replace(options or RunOptions(), stop_after=epochs), report=report)
    net = best_net(folder, recipe, epoch="last")
    assert isinstance(net, SpeechNet)
    _export(folder, recipe, net, corpus, folds, figures, report)
    write_run_report(folder)
    return folder


def _epochs(folds: dict[str, Any]) -> int:
    chosen: list[int] = folds["epochs"]
    return round(statistics.median(chosen))


def _read(folder: Path, recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the honest result of the folds, and the figures of their answers."""
    try:
        content = json.loads((folder / "folds.json").read_text("utf-8"))
        found = [result for result in content["results"] if result["way"] == "subject"]
        figures = json.loads((folder / f"subject-{content['k']}" / SUMMARY).read_text("utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} holds no finished folds over speakers: {error}") from error
    if not found:
        raise ModelError(f"{folder} holds no folds over speakers: only they tell how well strangers are heard")
    if Recipe.from_dict(content["recipe"]) != Recipe.from_dict(recipe.to_dict()):
        raise InputError(f"{folder} holds the folds of another recipe than {recipe.name!r}")
    return found[0] | {"k": content["k"]}, figures


def _export(
    folder: Path,
    recipe: Recipe,
    net: SpeechNet,
    corpus: SpeechCorpus,
    folds: dict[str, Any],
    figures: dict[str, Any],
    report: Callable[[str], object],
) -> ModelSpec:
    graph, _ = checked_graph(net, corpus)
    subjects = [] if corpus.subjects is None else corpus.subjects.tolist()
    learned = described(recipe, corpus, validation=False)
    record = speech_record(recipe, net, graph, learned, subjects)
    head = folds["head"]
    record["training"] |= {
        "epochs": _epochs(folds),
        "selected_on": f"validation speakers within each of {folds['k']} folds: the median of their best epochs",
        "temperature_fitted_on": f"the out-of-fold answers of {folds['k']} folds over speakers",
    }
    record["outputs"] = [
        {
            "name": head,
            "tensor": f"logits_{head}",
            "labels": head,
            "temperature": round(figures["temperature_fitted"] or 1.0, 4),
            "default": True,
        }
    ]
    source = {
        "dataset": recipe.dataset,
        "split": f"{folds['k']} folds over speakers",
        "protocol": "out of fold, by nets of the same recipe",
        "output": head,
        "n": figures["n"],
        "date": dt.date.fromisoformat(figures["date"]),
        "command": f"mien train --recipe {recipe.name} --data DATA --folds {folds['k']}",
    }
    record["results"] = [
        {**source, "metric": metric, "value": round(figures[metric], 6), **_ends(figures, metric)}
        for metric in _METRICS
        if figures.get(metric) is not None
    ]
    return write_model(folder, net, graph, record, report)


def _ends(figures: dict[str, Any], metric: str) -> dict[str, float]:
    ends = figures["intervals"].get(metric)
    return {} if ends is None else {"low": round(ends[0], 6), "high": round(ends[1], 6)}
