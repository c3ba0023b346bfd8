"""From a trained net to files that inference uses: ONNX graph, safetensors, and the model's record."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_safetensors
from torch import Tensor

from mien._extras import import_extra
from mien.errors import DatasetError, ModelError
from mien.evaluate.calibration import softmax
from mien.models import runtime, store
from mien.models.spec import ModelSpec
from mien.train.corpus import Corpus, Rows, fitted
from mien.train.heads import FILE as HEADS_FILE
from mien.train.heads import heads_file
from mien.train.nets.base import Deployed, EmotionNet, FaceNet
from mien.train.recipe import Recipe
from mien.train.run_record import measured_outputs, run_record

__all__ = [
    "PARITY",
    "alike",
    "export_graph",
    "export_run",
    "graph_of",
    "parity",
    "rounded",
    "validation_file",
    "write_file",
    "write_model",
]

OPSET = 18
"""The lowest opset that PyTorch's exporter gives without a conversion."""

_LARGE = 1024
"""Entries of a tensor that is worth storing in half the size."""

N = TypeVar("N", bound=torch.nn.Module)

PARITY = 1e-4
"""Largest difference of logits between net and graph; float32 sums in another order stay far below."""


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
        ``embedding`` and ``features``.  Its initializers have the names of the net's parameters behind ``net.``.
    """
    deployed = Deployed(net.eval().float()).eval()
    return graph_of(
        deployed,
        (torch.zeros(2, net.size, net.size, 3, dtype=torch.uint8),),
        inputs=["crops"],
        outputs=[*(f"logits_{head}" for head in net.heads), "embedding", "features"],
        dynamic={"crops": {0: torch.export.Dim("N", min=1, max=1 << 20)}},
    )


def graph_of(
    deployed: torch.nn.Module,
    example: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: dict[str, Any],
    half: bool = False,
) -> bytes:
    """Return the ONNX graph of a module, checked, without anything about the machine that made it.

    Parameters
    ----------
    deployed : torch.nn.Module
        What to export, in eval mode on the CPU.
    example : tuple of torch.Tensor
        Inputs of a possible size.
    inputs, outputs : sequence of str
        Their names.
    dynamic : dict
        By input: which of its axes may have another length.
    half : bool
        Store large weights as float16, which halves the file; they are computed with as float32.
    """
    onnx = import_extra("onnx", extra="train", purpose="exporting a model")
    optimizer = import_extra("onnxscript.optimizer", extra="train", purpose="exporting a model")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns about its own use of deprecated parts of torch and Python.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            deployed,
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic,
            dynamo=True,
            opset_version=OPSET,
            # The full optimizer folds norms into convolutions, and then the net's parameters are gone from the file.
            # The runtime does the same when it loads the graph, so nothing is lost by leaving them.
            optimize=False,
            verbose=False,
        )
    assert program is not None
    optimizer.fold_constants_ir(program.model)
    optimizer.remove_unused_nodes(program.model)
    proto = program.model_proto
    _strip(proto)
    if half:
        _halve(proto)
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString()
    assert isinstance(content, bytes)
    return content


def _halve(proto: Any) -> None:
    """Store large weights of the net as float16, each with a cast behind it that runtimes do once, at loading."""
    onnx = import_extra("onnx", extra="train", purpose="exporting a model")
    graph = proto.graph
    casts = []
    for weights in graph.initializer:
        name = weights.name
        large = weights.data_type == onnx.TensorProto.FLOAT and math.prod(weights.dims) >= _LARGE
        if not large or not name.startswith("net."):
            continue
        values = onnx.numpy_helper.to_array(weights).astype(np.float16)
        weights.CopyFrom(onnx.numpy_helper.from_array(values, name))
        casts.append(onnx.helper.make_node("Cast", [name], [f"{name}.float32"], to=onnx.TensorProto.FLOAT))
        for node in graph.node:
            node.input[:] = [f"{name}.float32" if used == name else used for used in node.input]
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    halved = {cast.input[0] for cast in casts}
    # What the exporter notes about their type is not true any more, and initializers need no note.
    notes = [note for note in graph.value_info if note.name not in halved]
    del graph.value_info[:]
    graph.value_info.extend(notes)


def rounded(net: N) -> N:
    """Round the large weights of a net, in place, to what float16 can hold, so that a half-size graph answers alike."""
    with torch.no_grad():
        for weights in net.parameters():
            if weights.numel() >= _LARGE:
                weights.copy_(weights.to(torch.float16).to(torch.float32))
    return net


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
    training_data: Sequence[str] = (),
    report: Callable[[str], object] = str,
) -> ModelSpec:
    """Write ``model.onnx``, ``model.safetensors``, ``validation.npz`` and ``model.toml`` of a run.

    And ``model.heads.npz`` where its heads are linear in the last feature map (see `mien.train.heads`).

    Temperatures are fitted on the validation rows, and the record's results are measured there through the graph, so
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
        The rows that chose the epoch.
    training_data : sequence of str
        What the net learned from, for the record.
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
    DatasetError
        If a file cannot be written.
    """
    graph = export_graph(net)
    session = runtime.Session(graph, name=recipe.name, threads=runtime.default_threads(), device="cpu")
    crops = np.repeat(fitted(validation.images, net.size)[..., None], 3, axis=3)
    alike(parity(net, session, crops[:64]))
    logits = _logits(session, crops)
    record = run_record(recipe, net, graph, training_data)
    record["outputs"], record["results"] = measured_outputs(logits, validation, recipe)
    heads = heads_file(net, session, crops[:64])
    if heads is not None:
        digest = hashlib.sha256(heads).hexdigest()
        record["files"].append({"role": "heads", "file": HEADS_FILE, "sha256": digest, "bytes": len(heads)})
        write_file(folder / HEADS_FILE, heads)
    write_file(folder / "validation.npz", validation_file(logits, record["outputs"], validation))
    return write_model(folder, net, graph, record, report)


def alike(difference: float) -> None:
    """Raise `ModelError` if net and graph differ by more than `PARITY`."""
    if difference > PARITY:
        raise ModelError(f"net and graph differ by {difference:.2g}, more than {PARITY:g}: the export is wrong")


def write_model(
    folder: Path, net: EmotionNet, graph: bytes, record: dict[str, Any], report: Callable[[str], object]
) -> ModelSpec:
    """Write ``model.onnx``, ``model.safetensors`` and ``model.toml``, and report the results.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    write_file(folder / "model.onnx", graph)
    weights = {name: values.contiguous() for name, values in net.state_dict().items()}
    write_file(folder / "model.safetensors", save_safetensors(weights))
    spec = store.write_record(record, folder / "model.toml")
    for result in spec.results:
        ends = "" if result.low is None else f" [{result.low:.4f}, {result.high:.4f}]"
        report(f"{result.output} {result.metric} {result.value:.4f}{ends}")
    return spec


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    DatasetError
        If it cannot be written; what stood there before is untouched.
    """
    temporary = path.with_suffix(path.suffix + ".part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from error


def validation_file(
    logits: dict[str, NDArray[np.float32]], outputs: Sequence[dict[str, Any]], validation: Rows
) -> bytes:
    """Return ``validation.npz``: what is true and what the model says, for plots and reports."""
    arrays: dict[str, Any] = {}
    for output in outputs:
        head = output["name"]
        arrays[f"truth_{head}"] = validation.truth[head]
        probabilities = softmax(logits[head], temperature=output["temperature"])
        arrays[f"probabilities_{head}"] = probabilities.astype(np.float32)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _logits(session: runtime.Session, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    names = [name for name in session.output_names if name.startswith("logits_")]
    parts = [session.run({"crops": crops[i : i + 256]}, names) for i in range(0, len(crops), 256)]
    return {name.removeprefix("logits_"): np.concatenate([part[name] for part in parts]) for name in names}
