"""The record of a trained model: what it is, what it learned from, and what it was measured to do."""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.calibration import fit_temperature
from mien.labels import FER7, FERPLUS8, LABEL_SETS
from mien.metrics import accuracy, bootstrap_interval, recall_sums, uar, uar_of_sums
from mien.train.corpus import Rows
from mien.train.nets.base import EmotionNet, FaceNet, multiply_adds, parameters
from mien.train.recipe import BOTH, Recipe

__all__ = ["begun_record", "measured_outputs", "run_record", "terms_of"]

_BASE = 48
"""Side of the crop whose points ``fer2013_crop.toml`` holds."""

_BINDING = "MIT for the numbers; the data's terms below may bind their use"
_TERMS: dict[str, tuple[str, str]] = {
    BOTH: (
        "FER2013: Kaggle ICML 2013 challenge, for research; FER+ labels: MIT (Microsoft)",
        "Goodfellow et al. 2013, arXiv:1307.0414; Barsoum et al. 2016, arXiv:1608.01041",
    ),
    "fer2013": ("FER2013: Kaggle ICML 2013 challenge, for research", "Goodfellow et al. 2013, arXiv:1307.0414"),
}
_TERMS["ferplus"] = _TERMS[BOTH]
_TERMS["ravdess"] = ("RAVDESS: CC BY-NC-SA 4.0", "Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391")


def terms_of(recipe: Recipe) -> tuple[str, str, str]:
    """Return the terms of the weights and of the data that they learn from, and whom to name."""
    data, attribution = _TERMS.get(recipe.dataset, (f"the terms of the data set {recipe.dataset}", ""))
    return _BINDING, data, attribution


def run_record(recipe: Recipe, net: FaceNet, graph: bytes, training_data: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record of a run without outputs and results.

    Parameters
    ----------
    recipe : Recipe
        What was trained.
    net : FaceNet
        The trained net.
    graph : bytes
        Its ONNX graph.
    training_data : sequence of str
        What it learned from.
    """
    record = begun_record(recipe, net, graph, training_data, task="face-emotion")
    record["input"] = {"size": net.size, "layout": "NHWC", "dtype": "uint8", "color": "RGB"}
    record["crop"] = _crop(recipe, net.size)
    where = _validation_name(recipe)
    record["training"] |= {"selected_on": where, "temperature_fitted_on": where}
    return record


def begun_record(
    recipe: Recipe, net: EmotionNet, graph: bytes, training_data: Sequence[str], *, task: str
) -> dict[str, Any]:
    """Return what the records of all trained models have in common.

    Parameters
    ----------
    recipe, net, graph, training_data
        See `run_record`.
    task : str
        One of `mien.models.spec.TASKS`.
    """
    weights, data, attribution = terms_of(recipe)
    digest = hashlib.sha256(graph).hexdigest()
    return {
        "name": recipe.name,
        "task": task,
        "description": recipe.description or f"A {recipe.net} trained by mien",
        "version": "1",
        "date": dt.datetime.now(dt.UTC).date(),
        "license": {"weights": weights, "data": data, "attribution": attribution},
        "files": [{"role": "graph", "file": "model.onnx", "sha256": digest, "bytes": len(graph)}],
        "training": {
            "recipe": recipe.name,
            "net": recipe.net,
            "parameters": parameters(net),
            "multiply_adds": multiply_adds(net),
            **({"started_from": recipe.init} if recipe.init else {}),
            "data": list(training_data),
        },
    }


def _validation_name(recipe: Recipe) -> str:
    named = recipe.dataset in (BOTH, "fer2013", "ferplus")
    return "FER2013 PublicTest" if named else f"the validation rows of {recipe.dataset}"


def _crop(recipe: Recipe, size: int) -> dict[str, Any]:
    text = (resources.files("mien.train") / "fer2013_crop.toml").read_text("utf-8")
    crop: dict[str, Any] = tomllib.loads(text)["crop"]
    crop["points"] = [[round(value * size / _BASE, 4) for value in point] for point in crop["points"]]
    crop["size"] = size
    if recipe.crop == "eye-distance":
        # The factors of `mien data prepare`; the points still tell a face from what is none.
        crop["eyes"] = {"x_factor": 2.1, "y_factor": 3.2, "smooth": True}
    return crop


def measured_outputs(
    logits: dict[str, NDArray[np.float32]], validation: Rows, recipe: Recipe
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the ``outputs`` and ``results`` tables of a record.

    Parameters
    ----------
    logits : dict of str to numpy.ndarray
        By head: float32 (n, classes) for the validation rows.
    validation : Rows
        Those rows.
    recipe : Recipe
        What was trained.
    """
    outputs, results = [], []
    default = next((name for name in (FERPLUS8.name, FER7.name) if name in logits), next(iter(logits)))
    for head, values in logits.items():
        truth = validation.truth[head]
        known = truth >= 0
        temperature = fit_temperature(values[known], truth[known]) if known.any() else 1.0
        outputs.append(
            {
                "name": head,
                "tensor": f"logits_{head}",
                "labels": LABEL_SETS[head].name,
                "temperature": round(temperature, 4),
                "default": head == default,
            }
        )
        if known.any():
            group = validation.group[known]
            results += _measured(truth[known], values[known].argmax(axis=1), group, _source(recipe, head, validation))
    return outputs, results


def _source(recipe: Recipe, head: str, validation: Rows) -> dict[str, Any]:
    """Return the fields of a result that tell where it comes from."""
    named = [name for name in dict.fromkeys(validation.splits.tolist()) if name]
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


def _measured(
    truth: NDArray[np.int64], answers: NDArray[np.int64], group: NDArray[np.int64], source: dict[str, Any]
) -> list[dict[str, Any]]:
    right = np.stack([truth == answers, np.ones(len(truth))], axis=1)
    segments = {
        "accuracy": (
            accuracy(truth, answers),
            bootstrap_interval(right, lambda sums: sums[:, 0] / sums[:, 1], groups=group),
        ),
        "uar": (uar(truth, answers), bootstrap_interval(recall_sums(truth, answers), uar_of_sums, groups=group)),
    }
    return [
        {
            **source,
            "metric": metric,
            "value": round(value, 6),
            "low": round(segment.low, 6),
            "high": round(segment.high, 6),
            "n": len(truth),
            "date": dt.datetime.now(dt.UTC).date(),
        }
        for metric, (value, segment) in segments.items()
    ]
