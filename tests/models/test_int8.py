"""A model's graph in int8 is a file of its own: it answers when it is asked for, and only then."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mien.errors import InputError, ModelError, WeightsError
from mien.models import ModelSpec, runtime, store
from mien.models.runtime import INT8

CROPS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


@pytest.fixture
def both(spec: ModelSpec, graph: bytes) -> ModelSpec:
    """Return the model with another graph as its int8 one: this one's mean is negated, so that it is told apart."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [{"mean": "negative", "negative": "mean"}.get(name, name) for name in names]
    content = model.SerializeToString()
    (spec.path.parent / "tiny-int8.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    record: dict[str, Any] = spec.to_dict()
    record["files"].append({"role": f"graph{INT8}", "file": "tiny-int8.onnx", "sha256": digest, "bytes": len(content)})
    return store.write_record(record, spec.path)


@pytest.mark.parametrize("engine", runtime.ENGINES)
def test_int8_takes_the_other_file(both: ModelSpec, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    mean = CROPS.mean(axis=(1, 2), dtype=np.float64)
    for precision, sign in (("float32", 1), ("int8", -1)):
        session = runtime.load(both, threads=1, engine=engine, precision=precision)
        assert (session.name, session.precision) == ("tiny", precision)
        np.testing.assert_allclose(session.run({"image": CROPS})["mean"], sign * mean, rtol=1e-6)


def test_a_model_without_such_a_file_says_what_it_has(spec: ModelSpec) -> None:
    expected = r"model 'tiny' has no graph in int8: expected a file 'graph-int8', but it has tiny.onnx \(graph\)"
    with pytest.raises(ModelError, match=expected):
        runtime.load(spec, precision="int8")


def test_int8_is_for_the_processor(both: ModelSpec) -> None:
    with pytest.raises(InputError, match="precision 'int8' is for the device 'cpu', but got 'cuda'"):
        runtime.load(both, precision="int8", device="cuda")


def test_the_file_is_checked_like_the_other(both: ModelSpec) -> None:
    store.verify(both)
    assert both.size_bytes == sum(path.stat().st_size for path in both.path.parent.glob("*.onnx"))
    path: Path = both.path.parent / "tiny-int8.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"are not those of its record: .*tiny-int8\.onnx should have sha256"):
        store.verify(both)
    runtime.load(both)
    path.unlink()
    with pytest.raises(WeightsError, match=r"are missing: expected .*tiny-int8\.onnx"):
        runtime.load(both, precision="int8")


def test_what_is_read_beside_int8_is_float32_where_it_has_no_such_graph(both: ModelSpec) -> None:
    single = dataclasses.replace(both, files=both.files[:1])
    assert [runtime.closest_precision(both, p) for p in runtime.PRECISIONS] == ["float32", "bfloat16", "int8"]
    assert [runtime.closest_precision(single, p) for p in runtime.PRECISIONS] == ["float32", "bfloat16", "float32"]
