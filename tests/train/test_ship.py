"""``scripts/ship.py``: int8 graphs lie beside the model's own and are in its record, or nowhere; both heads answer."""

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
    ship("int8", folder, data, "--rows", "20", *more, monkeypatch=monkeypatch)


def ship(what: str, folder: Path, data: Path, *more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), what, str(folder), "--data", str(data / "fer2013.csv"), *more])
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


def test_a_face_model_is_shipped_with_both_heads_as_the_default(
    run_folder: Path, data: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "weights"
    to.mkdir()
    more = ("--photographs", str(photographs), "--to", str(to), "--version", "7")
    ship("face", run_folder, data, *more, monkeypatch=monkeypatch)
    spec = registry.get(to / "tiny.toml")
    store.verify(spec)
    assert (spec.version, [file.role for file in spec.files]) == ("7", ["graph", "heads"])
    assert [(o.name, o.default) for o in spec.outputs] == [("ferplus8", False), ("fer7", False), ("both", True)]
    measured = {(r.dataset, r.protocol, r.output) for r in spec.results if r.metric == "accuracy"}
    photos = {("photographs", "published labels", name) for name in ("ferplus8", "fer7", "both")}
    fer = {("fer2013", "published labels", name) for name in ("fer7", "both")}
    plus = {("ferplus", "majority", name) for name in ("ferplus8", "both")}
    assert measured == photos | fer | plus | {("ferplus", "plurality", "ferplus8")}
    for result in spec.results:
        default = {"fer2013": "fer7", "ferplus": "ferplus8"}.get(result.dataset)
        assert (f"--labels-as {result.output}" in result.command) == (result.output != default)
    analyzer = FaceAnalyzer(spec, detector="haar")
    assert analyzer.classify([_portrait()])[0].labels == spec.output("both").labels


def test_heads_are_fitted_and_replaced(run_folder: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    spec = registry.get(run_folder)
    random = np.random.default_rng(1)
    crops = random.integers(0, 256, (40, 48, 48, 3), dtype=np.uint8)
    features = FaceAnalyzer(spec).tensors(list(crops), ["embedding"])["embedding"]
    heads = {}
    for output in spec.heads:
        k = len(output.labels)
        start = np.zeros((k, features.shape[1]), np.float32), np.zeros(k, np.float32)
        rows = (features - features.mean(axis=0)) @ random.normal(size=start[0].T.shape)
        truth = np.eye(k, dtype=np.float32)[rows.argmax(axis=1)]
        weight, bias = heads[output.name] = script["fit_head"](features, truth, np.ones(40, np.float32), start)
        before = truth.mean(axis=0).max()
        assert ((features @ weight.T + bias).argmax(axis=1) == truth.argmax(axis=1)).mean() > before
    graph = spec.path.with_name(spec.file().file)
    content = script["replace_heads"](graph.read_bytes(), heads)
    graph.write_bytes(content)
    record = spec.to_dict()
    record["files"] = script["entries"](graph, "graph")
    changed = FaceAnalyzer(store.write_record(record, spec.path))
    found = changed.tensors(list(crops), ["embedding", *(output.tensor for output in spec.heads)])
    np.testing.assert_array_equal(found["embedding"], features)
    for output in spec.heads:
        weight, bias = heads[output.name]
        np.testing.assert_allclose(found[output.tensor], features @ weight.T + bias, atol=1e-4)
    with pytest.raises(SystemExit, match=r"has no net\.heads\.other"):
        script["replace_heads"](content, {"other": heads["fer7"]})
