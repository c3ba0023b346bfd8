"""A tiny speech model whose answers are planted: how loud a cut is says which emotion it answers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from planted_speech import planted_speech

onnx = pytest.importorskip("onnx")

STEPS = 40.0
SHARPNESS = 4.0


def planted_logits(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the graph computes: ``-SHARPNESS (STEPS rms - k)^2`` for emotion k."""
    rms = np.sqrt(np.mean(np.square(wave, dtype=np.float64)))
    return -SHARPNESS * (STEPS * rms - np.arange(8)) ** 2


def loudness_graph() -> bytes:
    from onnx import TensorProto, helper

    constants = {
        "minus": (TensorProto.FLOAT, [], [-SHARPNESS]),
        "steps": (TensorProto.FLOAT, [], [STEPS]),
        "classes": (TensorProto.FLOAT, [1, 8], list(range(8))),
        "axis": (TensorProto.INT64, [1], [1]),
    }
    nodes = [
        helper.make_node("Mul", ["wave", "wave"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axis"], ["power"], keepdims=1),
        helper.make_node("Sqrt", ["power"], ["embedding"]),
        helper.make_node("Mul", ["embedding", "steps"], ["level"]),
        helper.make_node("Sub", ["level", "classes"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["squared"]),
        helper.make_node("Mul", ["squared", "minus"], ["logits_ravdess8"]),
    ]
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, "n"])],
        [
            helper.make_tensor_value_info("logits_ravdess8", TensorProto.FLOAT, [1, 8]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 1]),
        ],
        [helper.make_tensor(name, kind, shape, values) for name, (kind, shape, values) in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def planted_loudness(folder: Path) -> Path:
    """Write the model with the record of `planted_speech`, and return the record's path."""
    path = planted_speech(folder)
    old = (folder / "model.onnx").read_bytes()
    new = loudness_graph()
    (folder / "model.onnx").write_bytes(new)
    text = path.read_text().replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
    path.write_text(text.replace(f"bytes = {len(old)}", f"bytes = {len(new)}"))
    return path
