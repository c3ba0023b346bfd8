"""The files of a trained model: graph, weights, and its record: what it is, learned from, and was measured to do."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.calibration import fit_temperature, softmax
from mien.labels import FER7, FERPLUS8, LABEL_SETS, LabelSet
from mien.metrics import accuracy, bootstrap_interval, recall_sums, uar, uar_of_sums
from mien.models import store
from mien.models.spec import ModelSpec
from mien.train.corpus import Corpus
from mien.train.export import Deployed, deploy, heads_file
from mien.train.folder import write_file, write_weights_file
from mien.train.kinds import Logits, kind_of
from mien.train.nets import EmotionNetwork, FaceNetwork
from mien.train.nets.base import count_multiply_adds, count_parameters
from mien.train.recipe import BOTH, FER2013, Recipe

__all__ = ["describe_data", "export_run", "make_record", "output_table", "subjects_table", "write_model"]

HEADS_FILE = "model.heads.npz"
"""Name of the heads' weights in a run folder; its role in the record is ``heads``."""

_BINDING = "MIT for the numbers; the data's terms below may bind their use"
_TERMS: dict[str, tuple[str, str]] = {
    BOTH: (
        "FER2013: Kaggle ICML 2013 challenge, for research; FER+ labels: MIT (Microsoft)",
        "Goodfellow et al. 2013, arXiv:1307.0414; Barsoum et al. 2016, arXiv:1608.01041",
    ),
    "fer2013": ("FER2013: Kaggle ICML 2013 challenge, for research", "Goodfellow et al. 2013, arXiv:1307.0414"),
}
_TERMS["ferplus"] = _TERMS[BOTH]
_TERMS["photographs"] = ("photographs: Apache-2.0", "github.com/muxspace/facial_expressions")
_TERMS["ravdess"] = ("RAVDESS: CC BY-NC-SA 4.0", "Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391")

_TERMS["nemo"] = ("nEMO: CC BY-NC-SA 4.0", "Christop 2024, arXiv:2404.06292")


def describe_data(recipe: Recipe, training: Corpus, validation: Corpus | None = None) -> list[str]:
    """Return what a network learned from, one line each, for its record; beside validation rows or not."""
    where = f"{recipe.dataset} {', '.join(filter(None, training.samples.split_names()))}".strip()
    noun = kind_of(recipe).noun
    copies = f", without copies of the validation {noun}" if recipe.drop_overlap and recipe.kind == "image" else ""
    lines = [f"{where}: {len(training)} {noun}{copies}"]
    if recipe.domain.dataset:
        lines.append(f"second dataset: {recipe.domain.dataset}, repeat {recipe.domain.repeat}")
    return [*lines, _describe_subjects(training, validation, noun)]


def _describe_subjects(training: Corpus, validation: Corpus | None, noun: str) -> str:
    """Return how many subjects are known, and whether one may stand on both sides."""
    known, sides = training.subjects, [part for part in (training, validation) if part is not None]
    nameless = sum(int((part.samples.subjects == "").sum()) for part in sides)
    line = f"{len(known)} subjects" if known else "subjects unknown"
    if known and nameless:
        line += f", and {nameless} {noun} of unknown subjects"
    if validation is None:
        return line
    shared = set(known) & set(validation.subjects)
    if shared:
        return f"{line}, {len(shared)} of them among the validation {noun}, too"
    if nameless:
        return f"{line}: one person may be among both training and validation {noun}, so expect less of new people"
    return f"{line}, none of them among the validation {noun}"


def export_run(
    folder: Path,
    recipe: Recipe,
    net: EmotionNetwork | Deployed,
    training: Corpus,
    validation: Corpus,
    *,
    training_data: Sequence[str] = (),
    logits: Logits | None = None,
    selected_on: str = "",
    write_weights: bool = True,
    report: Callable[[str], object] = str,
) -> ModelSpec:
    """Write ``model.onnx``, ``model.safetensors``, ``validation.npz`` and ``model.toml`` of a run.

    And ``model.heads.npz`` where the heads of a face network are linear in the last feature map (see
    `mien.train.export.heads_file`).

    Temperatures are fitted on the validation rows, and the record's results are measured there through the graph, so
    they are what users get.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    recipe : Recipe
        What was trained.
    net : EmotionNetwork or Deployed
        The trained network.
    training, validation : Corpus
        What it learned from, and the rows that chose the epoch.
    training_data : sequence of str
        What the network learned from, for the record.
    logits : dict of str to numpy.ndarray, optional
        For the validation rows; by default those of the graph.
    selected_on : str
        The validation rows in words; by default by the recipe.
    write_weights : bool
        Whether ``model.safetensors`` is written.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    ModelSpec
        The record as it was written.

    Raises
    ------
    ModelError
        If network and graph differ by more than `mien.train.export.PARITY`.
    DatasetError
        If a file cannot be written.
    """
    kind = kind_of(recipe)
    deployed = net if isinstance(net, Deployed) else deploy(net)
    graph, session = kind.export_graph(deployed, validation)
    if logits is None:
        logits = kind.predict_by_graph(deployed, session, validation)
    record = make_record(recipe, deployed, graph, training_data)
    where = selected_on or (
        "FER2013 PublicTest" if recipe.dataset in FER2013 else f"the validation {kind.noun} of {recipe.dataset}"
    )
    record["training"] |= {"selected_on": where, "temperature_fitted_on": where}
    record["training"] |= subjects_table(recipe, training, validation)
    record["outputs"], record["results"] = _measure(logits, validation, recipe)
    if isinstance(deployed.net, FaceNetwork):
        feed = next(iter(kind.graph_inputs(deployed, validation)))
        heads = heads_file(deployed.net, session, feed["crops"][:64])
        if heads is not None:
            record["files"].append(_file_entry("heads", HEADS_FILE, heads))
            write_file(folder / HEADS_FILE, heads)
    write_file(folder / "validation.npz", _validation_file(logits, record["outputs"], validation))
    if write_weights:
        write_weights_file(folder, deployed.net)
    return write_model(folder, graph, record, report)


def subjects_table(recipe: Recipe, *corpora: Corpus) -> dict[str, Any]:
    """Return dataset, its fingerprint and the subjects that a network knows, for the record's table ``training``."""
    subjects = sorted({name for corpus in corpora for name in corpus.subjects})
    return {"dataset": recipe.dataset, "fingerprint": corpora[0].fingerprint, "subjects": subjects}


def make_record(recipe: Recipe, deployed: Deployed, graph: bytes, training_data: Sequence[str]) -> dict[str, Any]:
    """Return the record of a run without outputs and results.

    Parameters
    ----------
    recipe : Recipe
        What was trained.
    deployed : Deployed
        The trained network.
    graph : bytes
        Its ONNX graph.
    training_data : sequence of str
        What it learned from, in words.
    """
    terms = [_TERMS.get(n, (f"the terms of the dataset {n}", "")) for n in (recipe.dataset, recipe.domain.dataset) if n]
    data, attribution = ("; ".join(filter(None, words)) for words in zip(*terms, strict=True))
    nets = deployed.networks()
    kind = kind_of(recipe).record(recipe, deployed)
    return {
        "name": recipe.name,
        "task": kind.pop("task"),
        "description": recipe.description or f"A {recipe.net} trained by mien",
        "version": "1",
        "date": dt.datetime.now(dt.UTC).date(),
        "license": {"weights": _BINDING, "data": data, "attribution": attribution},
        "files": [_file_entry("graph", "model.onnx", graph)],
        "training": {
            "recipe": recipe.name,
            "net": recipe.net,
            "parameters": sum(map(count_parameters, nets)),
            "multiply_adds": sum(map(count_multiply_adds, nets)),
            **({"started_from": recipe.init} if recipe.init else {}),
            "data": list(training_data),
        },
        **kind,
    }


def _file_entry(role: str, name: str, content: bytes) -> dict[str, Any]:
    return {"role": role, "file": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def write_model(folder: Path, graph: bytes, record: Mapping[str, Any], report: Callable[[str], object]) -> ModelSpec:
    """Write ``model.onnx`` and ``model.toml``, and report the results.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    write_file(folder / "model.onnx", graph)
    spec = store.write_record(record, folder / "model.toml")
    for result in spec.results:
        ends = "" if result.low is None else f" [{result.low:.4f}, {result.high:.4f}]"
        report(f"{result.output} {result.metric} {result.value:.4f}{ends}")
    return spec


def _validation_file(logits: Logits, outputs: Sequence[Mapping[str, Any]], validation: Corpus) -> bytes:
    """Return ``validation.npz``: labels and probabilities, for plots and reports."""
    arrays: dict[str, Any] = {}
    for output in outputs:
        head = output["name"]
        probabilities = softmax(logits[head], temperature=output["temperature"])
        arrays |= {f"truth_{head}": validation.truth[head], f"probabilities_{head}": probabilities.astype(np.float32)}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _measure(logits: Logits, validation: Corpus, recipe: Recipe) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the ``outputs`` and ``results`` tables of a record."""
    outputs, results = [], []
    default = next((name for name in (FERPLUS8.name, FER7.name) if name in logits), next(iter(logits)))
    for head, values in logits.items():
        truth = validation.truth[head]
        known = truth >= 0
        temperature = fit_temperature(values[known], truth[known]) if known.any() else 1.0
        outputs.append(output_table(validation.label_sets[head], temperature, is_default=head == default))
        if known.any():
            group = validation.group[known]
            results += _results(truth[known], values[known].argmax(axis=1), group, _source(recipe, head, validation))
    return outputs, results


def output_table(labels: LabelSet, temperature: float, *, is_default: bool = True) -> dict[str, Any]:
    """Return the table of an output, by its label set and the temperature that was fitted."""
    return {
        "name": labels.name,
        "tensor": f"logits_{labels.name}",
        "labels": labels.name,
        **({} if labels.name in LABEL_SETS else {"emotions": list(labels.emotions)}),
        "temperature": round(temperature, 4),
        "default": is_default,
    }


def _source(recipe: Recipe, head: str, validation: Corpus) -> dict[str, Any]:
    """Return the fields of a result that tell where it comes from."""
    named = [name for name in validation.samples.split_names() if name]
    dataset, split = recipe.dataset, named[0] if len(named) == 1 else "held out"
    if dataset == BOTH:
        dataset = "ferplus" if head == FERPLUS8.name else "fer2013"
    protocol = "majority" if dataset == "ferplus" else ""
    command = f"mien evaluate {recipe.name} {dataset} --data DATA --split {split}"
    if split == "held out":
        command = f"mien train --recipe {recipe.name} --data DATA"
    return {
        "dataset": dataset,
        "split": split,
        "protocol": protocol or "published labels",
        "output": head,
        "command": command + (f" --protocol {protocol}" if protocol else ""),
    }


def _results(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], group: NDArray[np.int64], source: Mapping[str, Any]
) -> list[dict[str, Any]]:
    right = np.stack([truth == predicted, np.ones(len(truth))], axis=1)
    accuracy_ends = bootstrap_interval(right, lambda sums: sums[:, 0] / sums[:, 1], groups=group)
    uar_ends = bootstrap_interval(recall_sums(truth, predicted), uar_of_sums, groups=group)
    found = (("accuracy", accuracy(truth, predicted), accuracy_ends), ("uar", uar(truth, predicted), uar_ends))
    return [
        {
            **source,
            "metric": metric,
            "value": round(value, 6),
            "low": round(ends.low, 6),
            "high": round(ends.high, 6),
            "n": len(truth),
            "date": dt.datetime.now(dt.UTC).date(),
        }
        for metric, value, ends in found
    ]
