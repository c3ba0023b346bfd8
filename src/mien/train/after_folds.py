"""What follows on finished folds over speakers: a final speech model, and predictions for speakers not learned from."""

from __future__ import annotations

import datetime as dt
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluate.calibration import softmax
from mien.evaluate.run_report import write_run_report
from mien.labels import FER7, label_set, mapping
from mien.models import runtime
from mien.train.export import deploy, export_graph, round_weights
from mien.train.fold_reports import SUMMARY
from mien.train.folder import (
    DATA,
    best_epoch,
    claim_data,
    claim_folder,
    load_checkpoint,
    read_config,
    write_weights_file,
)
from mien.train.kinds import kind_of, list_training
from mien.train.nets import SpeechNetwork
from mien.train.recipe import Recipe
from mien.train.record import describe_data, make_record, output_table, subjects_table, write_model
from mien.train.run import RunOptions, fit
from mien.train.speech import cut_recording

__all__ = ["FoldVoices", "train_final"]

_METRICS = ("accuracy", "uar", "macro_f1", "ece_cross_fitted_above_floor", "brier_cross_fitted", "nll_cross_fitted")
"""Figures of the folds that go into the record."""


def _read_folds(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what ``folds.json`` says, with the result of the folds over speakers alone, and its figures.

    Raises
    ------
    ModelError
        If the folder holds no finished folds over speakers.
    """
    try:
        content = json.loads((folder / "folds.json").read_text("utf-8"))
        (content["result"],) = (found for found in content["results"] if found["way"] == "subject")
        figures = json.loads((folder / f"subject-{content['k']}" / SUMMARY).read_text("utf-8"))
        figures["temperature_fitted"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} holds no finished folds over speakers of a recipe for speech: {error}") from error
    return content, figures


def train_final(
    recipe: Recipe,
    *,
    data: str | Path,
    after: str | Path,
    out: str | Path,
    options: RunOptions | None = None,
    report: Callable[[str], object] = str,
) -> Path:
    """Train a speech network on every recording of a dataset, as its folds have shown.

    It stops after the median of the epochs that the validation speakers of the folds chose, the temperature is the one
    that fits the out-of-fold predictions, and the record's results are the out-of-fold figures: nobody is left to
    measure the network itself on.

    Parameters
    ----------
    recipe : Recipe
        What was cross-validated.
    data : str or pathlib.Path
        Folder of the dataset.
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
    if recipe.kind != "audio":
        raise InputError(f"recipe {recipe.name!r} is for {kind_of(recipe).noun}: training after folds is for speech")
    content, figures = _read_folds(Path(after))
    if Recipe.from_dict(content["recipe"] | {"description": recipe.description}) != recipe:
        raise InputError(f"{after} holds the folds of another recipe than {recipe.name!r}")
    result = content["result"]
    # With a second dataset the folds' networks are those of the last epoch, as they are in `mien.train.run.fit`.
    epochs = recipe.epochs if recipe.domain.dataset else round(statistics.median(result["epochs"]))
    folder = Path(out)
    claim_folder(folder, recipe)
    chosen = "" if recipe.domain.dataset else f", the median of {', '.join(map(str, result['epochs']))}"
    report(f"{epochs} epochs{chosen}; reading {data}")
    parts = list_training(recipe, data, report=report)
    if (Path(after) / DATA).is_file():
        claim_data(Path(after), parts)
    claim_data(folder, parts)
    if (folder / "model.toml").is_file():
        report(f"{folder} holds the finished run already")
        return folder
    corpus = kind_of(recipe).make_corpus(recipe, parts)
    if best_epoch(folder / "history.csv") < epochs:
        # The schedule is that of the folds, so that the network of an epoch is what it was there.
        learned = kind_of(recipe).extend(recipe, corpus, folder, report=report) if recipe.domain.dataset else corpus
        fit(recipe, learned, None, folder, options=replace(options or RunOptions(), stop_after=epochs), report=report)
    deployed = deploy(load_checkpoint(folder, recipe, epoch="last"))
    graph, _ = kind_of(recipe).export_graph(deployed, corpus)
    record = make_record(recipe, deployed, graph, describe_data(recipe, corpus))
    k, head = content["k"], result["head"]
    record["training"] |= subjects_table(recipe, corpus) | {
        "epochs": epochs,
        "selected_on": f"validation speakers within each of {k} folds: the median of their best epochs"
        if chosen
        else "nothing: the epochs are the recipe's",
        "temperature_fitted_on": f"the out-of-fold predictions of {k} folds over speakers",
    }
    record["outputs"] = [output_table(corpus.label_sets[head], figures["temperature_fitted"] or 1.0)]
    source = {
        "dataset": recipe.dataset,
        "split": f"{k} folds over speakers",
        "protocol": "out of fold, by networks of the same recipe",
        "output": head,
        "n": figures["n"],
        "date": dt.date.fromisoformat(figures["date"]),
        "command": f"mien train --recipe {recipe.name} --data DATA --folds {k}",
    }
    record["results"] = [
        {**source, "metric": metric, "value": round(figures[metric], 6), **_ends(figures, metric)}
        for metric in _METRICS
        if figures.get(metric) is not None
    ]
    write_weights_file(folder, deployed.net)
    write_model(folder, graph, record, report)
    write_run_report(folder)
    return folder


def _ends(figures: dict[str, Any], metric: str) -> dict[str, float]:
    ends = figures["intervals"].get(metric)
    return {} if ends is None else {"low": round(ends[0], 6), "high": round(ends[1], 6)}


class FoldVoices:
    """The networks of a cross-validation over speakers as one model that has never heard who speaks.

    Each recording is for the network of the fold in which its speaker was tested.

    Parameters
    ----------
    folder : pathlib.Path
        What ``mien train --folds K`` wrote for a recipe of speech.
    samples : Samples
        The recordings.
    report : callable
        Gets progress lines.

    Raises
    ------
    DatasetError
        If a speaker was in no fold.
    ModelError
        If the folder holds no folds over speakers, or a checkpoint is missing or damaged.
    """

    def __init__(self, folder: Path, samples: Samples, *, report: Callable[[str], object] = str) -> None:
        recipe = read_config(folder)
        content, figures = _read_folds(folder)
        subjects = content["result"]["subjects"]
        self.fold = _fold_of(samples, subjects, folder)
        self._temperature = float(figures["temperature_fitted"])
        self._nets: dict[int, tuple[SpeechNetwork, runtime.Session]] = {}
        for number in np.unique(self.fold).tolist():
            report(f"loading the network of fold {number + 1}")
            net = load_checkpoint(folder / f"subject-{content['k']}" / f"fold-{number}", recipe)
            if not isinstance(net, SpeechNetwork):
                raise ModelError(f"{folder} holds networks for {net.kind}, not for speech")
            # The graph is several times as fast as the network, and is what users would get.
            graph = export_graph(round_weights(net))
            self._nets[number] = net, runtime.Session(graph, name=f"fold {number + 1}", threads=1, device="cpu")
        self.name = f"{recipe.name}, {len(subjects)} folds"

    @property
    def rate_hz(self) -> int:
        """Samples per second that the networks take."""
        return next(iter(self._nets.values()))[0].settings.rate_hz

    def __call__(self, wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:
        """Return the distribution, float64 (7,) in `mien.labels.FER7`, for a recording in place of the sample's own."""
        net, session = self._nets[int(self.fold[index])]
        (head,) = net.heads
        logits = session.run({"wave": cut_recording(wave, net)[None]})[f"logits_{head}"].astype(np.float64)
        shares = mapping(label_set(head), FER7).apply(softmax(logits, temperature=self._temperature))
        return np.asarray(shares[0], np.float64)


def _fold_of(samples: Samples, subjects: list[list[str]], folder: Path) -> NDArray[np.int64]:
    places = {str(subject): number for number, group in enumerate(subjects) for subject in group}
    unknown = sorted(set(samples.subjects.tolist()) - set(places))
    if unknown:
        raise DatasetError(f"{folder} was trained without {', '.join(unknown[:5])}: no network is free of them")
    return np.array([places[str(subject)] for subject in samples.subjects], np.int64)
