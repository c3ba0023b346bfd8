"""From a trained net to files that inference uses: ONNX graph, safetensors, and the model's record."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import tomllib
import warnings
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_safetensors

from mien._extras import need
from mien.errors import ModelError
from mien.evaluation.calibration import fit_temperature, softmax
from mien.labels import FER7, FERPLUS8, LABEL_SETS
from mien.metrics import accuracy, bootstrap_interval, uar
from mien.metrics.bootstrap import recall_sums, uar_of_sums
from mien.models import runtime, store
from mien.models.spec import ModelSpec
from mien.training.data import Corpus
from mien.training.nets.base import Deployed, FaceNet, multiply_adds, parameters
from mien.training.recipe import Recipe

__all__ = ["PARITY", "export_graph", "export_run", "parity"]

OPSET = 18
"""The lowest opset that PyTorch's exporter gives without a conversion."""

PARITY = 1e-4
"""Largest difference of logits between net and graph; float32 sums in another order stay far below."""

_TRUTH = {FERPLUS8.name: ("majority", "ferplus", "majority"), FER7.name: ("fer7", "fer2013", "")}


def export_graph(net: FaceNet) -> bytes:
    """Return the ONNX graph of a net, with its preprocessing inside.

    Parameters
    ----------
    net : FaceNet
        The trained net, on the CPU.

    Returns
    -------
    bytes
        A graph from ``crops``, uint8 (N, S, S, 3) RGB with only N dynamic, to ``logits_<head>`` for every head,
        ``embedding`` and ``features``.  Its initialisers have the names of the net's parameters behind ``net.``.
    """
    onnx = need("onnx", extra="train", purpose="exporting a model")
    optimizer = need("onnxscript.optimizer", extra="train", purpose="exporting a model")
    deployed = Deployed(net.eval().float()).eval()
    example = torch.zeros(2, net.size, net.size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns about its own use of deprecated parts of torch and Python.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            deployed,
            (example,),
            input_names=["crops"],
            output_names=[*(f"logits_{head}" for head in net.heads), "embedding", "features"],
            dynamic_shapes={"crops": {0: torch.export.Dim("N", min=1, max=1 << 20)}},
            dynamo=True,
            opset_version=OPSET,
            # The full optimiser folds norms into convolutions, and then the net's parameters are gone from the file.
            # The runtime does the same when it loads the graph, so nothing is lost by leaving them.
            optimize=False,
            verbose=False,
        )
    assert program is not None
    optimizer.fold_constants_ir(program.model)
    optimizer.remove_unused_nodes(program.model)
    proto = program.model_proto
    _strip(proto)
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString()
    assert isinstance(content, bytes)
    return content


def _strip(proto: Any) -> None:
    """Drop the exporter's notes (source paths of this machine among them); they are no part of the model."""
    del proto.metadata_props[:]
    proto.doc_string = ""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def parity(net: FaceNet, session: runtime.Session, crops: NDArray[np.uint8]) -> float:
    """Return the largest difference of logits between a net and its graph.

    Parameters
    ----------
    net : FaceNet
        The trained net.
    session : mien.models.runtime.Session
        Its graph.
    crops : numpy.ndarray
        uint8 (N, S, S, 3).
    """
    with torch.no_grad():
        answers = Deployed(net).eval()(torch.from_numpy(crops))
    found = session.run({"crops": crops})
    return max(
        float(np.abs(found[f"logits_{head}"] - answer.numpy()).max())
        for head, answer in zip(net.heads, answers, strict=False)
    )


def export_run(
    folder: Path,
    recipe: Recipe,
    net: FaceNet,
    validation: Corpus,
    *,
    report: Callable[[str], object] = str,
) -> ModelSpec:
    """Write ``model.onnx``, ``model.safetensors`` and ``model.toml`` of a run.

    Temperatures are fitted on the validation split, and the record's results are measured there through the graph, so
    they are what users get.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    recipe : Recipe
        What was trained.
    net : FaceNet
        The trained net.
    validation : Corpus
        PublicTest.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Returns
    -------
    ModelSpec
        The record as it was written.

    Raises
    ------
    ModelError
        If net and graph differ by more than `PARITY`.
    """
    graph = export_graph(net)
    _write(folder / "model.onnx", graph)
    _write(folder / "model.safetensors", save_safetensors({k: v.contiguous() for k, v in net.state_dict().items()}))
    session = runtime.Session(graph, name=recipe.name, threads=runtime.default_threads(), device="cpu")
    crops = np.repeat(validation.images[..., None], 3, axis=3)
    difference = parity(net, session, crops[:64])
    if difference > PARITY:
        raise ModelError(f"net and graph differ by {difference:.2g}, more than {PARITY:g}: the export is wrong")
    logits = _logits(session, crops)
    record = _record(recipe, net, graph)
    record["outputs"], record["results"] = _outputs(logits, validation, recipe.name)
    spec = store.write_record(record, folder / "model.toml")
    for result in spec.results:
        report(f"{result.output} {result.metric} {result.value:.4f} [{result.low:.4f}, {result.high:.4f}]")
    return spec


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)


def _logits(session: runtime.Session, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    names = [name for name in session.output_names if name.startswith("logits_")]
    parts = [session.run({"crops": crops[i : i + 256]}, names) for i in range(0, len(crops), 256)]
    return {name.removeprefix("logits_"): np.concatenate([part[name] for part in parts]) for name in names}


def _record(recipe: Recipe, net: FaceNet, graph: bytes) -> dict[str, Any]:
    crop = tomllib.loads((resources.files("mien.training") / "fer2013_crop.toml").read_text("utf-8"))["crop"]
    return {
        "name": recipe.name,
        "task": "face-emotion",
        "description": recipe.description or f"A {recipe.net} trained by mien",
        "version": "1",
        "date": dt.datetime.now(dt.UTC).date(),
        "licence": {
            "weights": "MIT for the numbers; the data's terms below may bind their use",
            "data": "FER2013: Kaggle ICML 2013 challenge, for research; FER+ labels: MIT (Microsoft)",
            "attribution": "Goodfellow et al. 2013, arXiv:1307.0414; Barsoum et al. 2016, arXiv:1608.01041",
        },
        "input": {"size": net.size, "layout": "NHWC", "dtype": "uint8", "colour": "RGB"},
        "crop": crop,
        "files": [
            {
                "role": "graph",
                "file": "model.onnx",
                "sha256": hashlib.sha256(graph).hexdigest(),
                "bytes": len(graph),
            }
        ],
        "training": {
            "recipe": recipe.name,
            "net": recipe.net,
            "parameters": parameters(net),
            "multiply_adds": multiply_adds(net),
            "data": ["FER2013 Training, without copies of PublicTest", "FER+ votes of the same pictures"],
            "selected_on": "FER2013 PublicTest",
            "temperature_fitted_on": "FER2013 PublicTest",
        },
    }


def _outputs(
    logits: dict[str, NDArray[np.float32]], validation: Corpus, name: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    outputs, results = [], []
    for head, values in logits.items():
        field, dataset, protocol = _TRUTH[head]
        truth = getattr(validation, field)
        known = truth >= 0
        temperature = fit_temperature(values[known], truth[known])
        outputs.append(
            {
                "name": head,
                "tensor": f"logits_{head}",
                "labels": LABEL_SETS[head].name,
                "temperature": round(temperature, 4),
                "default": head == FERPLUS8.name,
            }
        )
        answers = softmax(values[known]).argmax(axis=1)
        results += _measured(truth[known], answers, head, dataset, protocol, name)
    return outputs, results


def _measured(
    truth: NDArray[np.int64], answers: NDArray[np.int64], head: str, dataset: str, protocol: str, name: str
) -> list[dict[str, Any]]:
    right = np.stack([truth == answers, np.ones(len(truth))], axis=1)
    spans = {
        "accuracy": (accuracy(truth, answers), bootstrap_interval(right, lambda sums: sums[:, 0] / sums[:, 1])),
        "uar": (uar(truth, answers), bootstrap_interval(recall_sums(truth, answers), uar_of_sums)),
    }
    extra = f" --protocol {protocol}" if protocol else ""
    return [
        {
            "dataset": dataset,
            "split": "PublicTest",
            "protocol": protocol or "published labels",
            "output": head,
            "metric": metric,
            "value": round(value, 6),
            "low": round(span.low, 6),
            "high": round(span.high, 6),
            "n": len(truth),
            "date": dt.datetime.now(dt.UTC).date(),
            "command": f"mien evaluate {name} {dataset} --data DATA --split PublicTest{extra}",
        }
        for metric, (value, span) in spans.items()
    ]
