from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mien.errors import ModelError
from mien.evaluate.models import find_model, split_names
from run_folders import write_run


def test_all_ways_to_name_a_model(planted_model: Path, tmp_path: Path) -> None:
    assert find_model("face-base").name == "face-base"
    for path in (planted_model, planted_model / "model.toml", planted_model / "model.onnx"):
        assert find_model(str(path)).name == "planted"
    shutil.copy(planted_model / "model.onnx", tmp_path / "model.onnx")
    shutil.copy(planted_model / "model.toml", tmp_path / "model.toml")
    assert find_model(str(tmp_path / "model.onnx")).path == tmp_path / "model.toml"


def test_what_is_no_model(planted_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file .*none\.onnx"):
        find_model(str(tmp_path / "none.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"a\.onnx has no record beside it: expected a\.toml or model\.toml"):
        find_model(str(tmp_path / "a.onnx"))
    shutil.copy(planted_model / "model.toml", tmp_path / "a.toml")
    with pytest.raises(ModelError, match=r"a\.toml is the record of model\.onnx, not of a\.onnx"):
        find_model(str(tmp_path / "a.onnx"))
    half = write_run(tmp_path / "half", epochs=2, finished=False)
    with pytest.raises(ModelError, match=r"half has no model yet: unfinished: 2 of 5 epochs, no model\.toml yet"):
        find_model(str(half))
    with pytest.raises(ModelError, match="no model record at"):
        find_model(str(tmp_path))


def test_commas(tmp_path: Path) -> None:
    assert split_names("a,b") == ["a", "b"]
    assert split_names(",") == []
    (tmp_path / "a,b").mkdir()
    assert split_names(str(tmp_path / "a,b")) == [str(tmp_path / "a,b")]
