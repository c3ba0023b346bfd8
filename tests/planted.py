"""A tiny face model whose answers are planted: the first pixels of a crop say what it answers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")

TEMPERATURE = 10.0

RECORD = """
name = "planted"
task = "face-emotion"
description = "answers what its first pixels say"
version = "1"
date = 2026-01-31

[license]
weights = "MIT"
data = "none"
attribution = ""

[input]
size = 48
layout = "NHWC"
dtype = "uint8"
color = "RGB"

[crop]
size = 48
points = [[15.0, 18.44], [33.0, 18.44], [24.0, 28.91], [16.53, 37.75], [31.47, 37.75]]

[[files]]
role = "graph"
file = "model.onnx"
sha256 = "{sha256}"
bytes = {bytes}

[[outputs]]
name = "ferplus8"
tensor = "logits_ferplus8"
labels = "ferplus8"
temperature = 10.0
default = true

[[outputs]]
name = "fer7"
tensor = "logits_fer7"
labels = "fer7"
temperature = 10.0
default = false
"""


def planted_graph() -> bytes:
    """The red of pixels 0..6 of the top row are the logits of fer7, that of pixels 8..15 those of ferplus8."""
    from onnx import TensorProto, helper

    nodes, tensors = [helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)], []
    for name, first, count in (("logits_fer7", 0, 7), ("logits_ferplus8", 8, 8)):
        limits = {"start": [0, first, 0], "end": [1, first + count, 1], "axes": [1, 2, 3]}
        for key, values in limits.items():
            tensors.append(helper.make_tensor(f"{name}_{key}", TensorProto.INT64, [3], values))
        nodes.append(helper.make_node("Slice", ["float", *(f"{name}_{key}" for key in limits)], [f"{name}_cut"]))
        tensors.append(helper.make_tensor(f"{name}_shape", TensorProto.INT64, [2], [-1, count]))
        nodes.append(helper.make_node("Reshape", [f"{name}_cut", f"{name}_shape"], [name]))
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 48, 48, 3])],
        [
            helper.make_tensor_value_info("logits_fer7", TensorProto.FLOAT, ["n", 7]),
            helper.make_tensor_value_info("logits_ferplus8", TensorProto.FLOAT, ["n", 8]),
        ],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_planted(folder: Path) -> Path:
    """Write graph and record; return the folder, which works as a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = planted_graph()
    (folder / "model.onnx").write_bytes(graph)
    record = RECORD.format(sha256=hashlib.sha256(graph).hexdigest(), bytes=len(graph))
    (folder / "model.toml").write_text(record)
    return folder
