from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest

from mien.errors import ModelError
from mien.models import ModelSpec


def test_outputs_and_files_are_found_by_name(spec: ModelSpec) -> None:
    assert spec.default_output.name == "ferplus8"
    assert spec.output() is spec.default_output
    assert spec.output("fer7").tensor == "negative"
    assert spec.file().file == "tiny.onnx"
    assert spec.size_bytes == spec.file().bytes
    with pytest.raises(ModelError, match="model 'tiny' has no output 'baum8': it has ferplus8, fer7"):
        spec.output("baum8")
    with pytest.raises(ModelError, match="model 'tiny' has no file 'pnet': it has graph"):
        spec.file("pnet")


def test_a_model_is_frozen_and_travels_between_processes(spec: ModelSpec) -> None:
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(spec)) == spec
