from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from mien.errors import ModelError, WeightsError
from mien.models import ModelSpec, store


def test_weights_are_handed_out_when_they_are_the_records(spec: ModelSpec, graph: bytes) -> None:
    assert store.read_weights(spec) == graph
    store.verify(spec)


def test_the_digest_is_computed_once(spec: ModelSpec, graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def counting(content: bytes) -> Any:
        counted.append(len(content))
        return original(content)

    original = hashlib.sha256
    monkeypatch.setattr("mien.models.store.hashlib.sha256", counting)
    for _ in range(3):
        store.read_weights(spec)
    assert counted == [len(graph)]
    store.verify(spec)
    assert counted == [len(graph)] * 2


def test_a_change_of_the_file_is_seen_after_an_earlier_reading(spec: ModelSpec, graph: bytes) -> None:
    store.read_weights(spec)
    path = spec.path.parent / "tiny.onnx"
    changed = bytes([graph[0] ^ 1]) + graph[1:]
    path.write_bytes(changed)
    os.utime(path, ns=(1, 1))
    expected, found = hashlib.sha256(graph).hexdigest(), hashlib.sha256(changed).hexdigest()
    with pytest.raises(WeightsError, match=f"should have sha256 {expected}, but has {found}"):
        store.read_weights(spec)
    with pytest.raises(WeightsError, match="not those of its record"):
        store.verify(spec)


def test_a_cut_file_is_seen(spec: ModelSpec, graph: bytes) -> None:
    (spec.path.parent / "tiny.onnx").write_bytes(graph[:-1])
    with pytest.raises(WeightsError, match=f"should have {len(graph)} bytes, but has {len(graph) - 1}"):
        store.read_weights(spec)


def test_missing_weights_are_named(spec: ModelSpec) -> None:
    (spec.path.parent / "tiny.onnx").unlink()
    with pytest.raises(WeightsError, match=r"the weights of model 'tiny' are missing: expected .*tiny\.onnx"):
        store.read_weights(spec)


def test_weights_that_cannot_be_read_are_named(spec: ModelSpec) -> None:
    (spec.path.parent / "tiny.onnx").unlink()
    (spec.path.parent / "tiny.onnx").mkdir()
    with pytest.raises(WeightsError, match="the weights of model 'tiny' cannot be read"):
        store.read_weights(spec)


def test_a_record_is_checked_before_it_is_written(record: dict[str, Any], tmp_path: Path) -> None:
    record["date"] = "soon"
    with pytest.raises(ModelError, match="key 'date'"):
        store.write_record(record, tmp_path / "model.toml")
    assert not (tmp_path / "model.toml").exists()


def test_a_record_that_cannot_be_written_is_an_error(record: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot write the model record"):
        store.write_record(record, tmp_path / "nowhere" / "model.toml")


def test_a_written_record_reads_back(spec: ModelSpec, tmp_path: Path) -> None:
    again = store.write_record(spec, tmp_path / "again.toml")
    assert store.read_record(tmp_path / "again.toml") == again
    assert again.to_dict() == spec.to_dict()
