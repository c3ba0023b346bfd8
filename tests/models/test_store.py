from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import ModelError, WeightsError
from mien.models import ModelFile, ModelSpec, store


def test_weights_are_read_when_they_are_the_records(spec: ModelSpec, graph: bytes) -> None:
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


def test_a_change_of_the_file_is_noticed_after_an_earlier_reading(spec: ModelSpec, graph: bytes) -> None:
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


def test_a_cut_file_is_noticed(spec: ModelSpec, graph: bytes) -> None:
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


def _with_arrays(spec: ModelSpec, content: bytes) -> ModelSpec:
    (spec.path.parent / "extra.npz").write_bytes(content)
    entry = ModelFile("extra", "extra.npz", hashlib.sha256(content).hexdigest(), len(content))
    return dataclasses.replace(spec, files=(*spec.files, entry))


def test_arrays_come_back_as_they_were_saved(spec: ModelSpec) -> None:
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(6).reshape(2, 3), b=np.float32([1.5]))
    arrays = store.read_arrays(_with_arrays(spec, stream.getvalue()), "extra")
    assert set(arrays) == {"a", "b"}
    np.testing.assert_array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
    assert arrays["b"].dtype == np.float32


def _saved(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _lone() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"x", b"PK\x03\x04", _saved(a=np.zeros(9))[:-30], _saved(a=np.array([{}], dtype=object)), _lone()],
    ids=["letter", "head", "cut", "pickle", "lone array"],
)
def test_what_is_no_archive_of_plain_arrays_is_one_error(spec: ModelSpec, content: bytes) -> None:
    with pytest.raises(WeightsError, match=r"model 'tiny': extra\.npz is no \.npz of plain arrays: "):
        store.read_arrays(_with_arrays(spec, content), "extra")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices in the file system are a matter of POSIX")
def test_pipes_devices_and_huge_files_are_not_read(spec: ModelSpec, tmp_path: Path) -> None:
    graph, record = spec.path.parent / spec.file().file, tmp_path / "record.toml"
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    for target in ("/dev/zero", tmp_path / "pipe", tmp_path / "huge"):
        for link, read, error in (
            (graph, lambda: store.read_weights(spec), WeightsError),
            (record, lambda: store.read_record(record), ModelError),
        ):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
            with pytest.raises(error) as caught:
                read()
            assert str(link) in str(caught.value)
            assert len(str(caught.value)) < 700
