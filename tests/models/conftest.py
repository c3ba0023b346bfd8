"""A small model made by the tests: a graph whose output is known, its record, and its folder."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from mien.models import ModelSpec, store


def _graph(inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def graph() -> bytes:
    """Mean color of each crop (n, 3), and the negative of it: planted truth for what a session returns."""
    return _graph(
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("negative", TensorProto.FLOAT, ["n", 3]),
        ],
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Neg", ["mean"], ["negative"]),
        ],
    )


@pytest.fixture
def record(graph: bytes) -> dict[str, Any]:
    """Return a whole record of a face-emotion model as plain data."""
    return {
        "name": "tiny",
        "task": "face-emotion",
        "description": "mean colors",
        "version": "1.2",
        "date": dt.date(2026, 1, 31),
        "files": [
            {"role": "graph", "file": "tiny.onnx", "sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph)}
        ],
        "license": {"weights": "MIT", "data": "made by the test", "attribution": "nobody"},
        "input": {"size": 8, "layout": "NHWC", "dtype": "uint8", "color": "RGB"},
        "crop": {"margin": 0.25, "measured": "not at all"},
        "outputs": [
            {"name": "ferplus8", "tensor": "mean", "labels": "ferplus8", "temperature": 1.25, "default": True},
            {"name": "fer7", "tensor": "negative", "labels": "fer7", "temperature": 0.5, "default": False},
        ],
        "results": [
            {
                "dataset": "fer2013",
                "split": "PublicTest",
                "protocol": "published rows",
                "output": "fer7",
                "metric": "accuracy",
                "value": 0.7123,
                "low": 0.70,
                "high": 0.73,
                "n": 3589,
                "date": dt.date(2026, 2, 1),
                "command": "mien evaluate tiny fer2013",
            }
        ],
        "training": {"recipe": "none", "data": ["a", "b"]},
        "card": {"intended_use": "tests"},
    }


@pytest.fixture
def spec(record: dict[str, Any], graph: bytes, tmp_path: Path) -> ModelSpec:
    """Return the model, written into a run folder."""
    (tmp_path / "tiny.onnx").write_bytes(graph)
    return store.write_record(record, tmp_path / "model.toml")
