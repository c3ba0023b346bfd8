"""``scripts/ship.py int8``: the int8 graph lies beside the model's own and is in its record, or nowhere."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from mien import FaceAnalyzer
from mien.models import registry, store
from mien.samples import astronaut_path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "ship.py"


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def _portrait() -> Any:
    from mien.io.image import read_image

    return read_image(astronaut_path()).pixels[60:180, 160:280]


def quantize(folder: Path, data: Path, *more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [str(SCRIPT), "int8", str(folder), "--data", str(data / "fer2013.csv"), "--rows", "20", *more]
    monkeypatch.setattr(sys, "argv", words)
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise


def test_a_run_gets_a_graph_in_int8(
    run_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = registry.get(run_folder)
    quantize(run_folder, data, "--most", "100", monkeypatch=monkeypatch)
    assert "wrote model-int8.onnx (0.0" in capsys.readouterr().out
    after = registry.get(run_folder)
    store.verify(after)
    assert [file.role for file in after.files] == ["graph", "heads", "graph-int8"]
    assert after.files[:2] == before.files
    assert (after.outputs, after.crop, after.license) == (before.outputs, before.crop, before.license)
    assert set(after.card["int8"]["percent_on_PublicTest"]["onnxruntime_int8"]) == {"fer2013", "ferplus"}
    # Again: the old one is replaced, and the same rows give the same file.
    quantize(run_folder, data, "--most", "100", monkeypatch=monkeypatch)
    assert registry.get(run_folder).files == after.files
    (map_,) = _explained(FaceAnalyzer(run_folder, detector="haar", precision="int8"))
    (exact,) = _explained(FaceAnalyzer(run_folder, detector="haar"))
    # The heads are linear in the features of either graph, so the maps are class activation maps of both.
    assert (map_.method, exact.method) == ("cam", "cam")
    assert np.corrcoef(map_.map.ravel(), exact.map.ravel())[0, 1] > 0.95


def _explained(analyzer: FaceAnalyzer) -> Any:
    from mien.face.explain import explain

    return explain(analyzer, [_portrait()], emotion="happiness")


def test_nothing_is_written_where_int8_loses_too_much(
    run_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize(run_folder, data, "--most", "100", monkeypatch=monkeypatch)
    before = {path.name: path.read_bytes() for path in run_folder.iterdir() if path.is_file()}
    with pytest.raises(SystemExit, match=r"int8 loses .* points, more than -200: nothing is written"):
        quantize(run_folder, data, "--seed", "2", "--most", "-200", monkeypatch=monkeypatch)
    assert {path.name: path.read_bytes() for path in run_folder.iterdir() if path.is_file()} == before
