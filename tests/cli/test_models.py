from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.models import registry, store

URL = "https://127.0.0.1:9/tiny.onnx"


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", *arguments])


def _copy(name: str, folder: Path) -> Path:
    """Copy a shipped model into a run folder."""
    spec = registry.get(name)
    folder.mkdir()
    for entry in spec.files:
        (folder / entry.file).write_bytes((spec.path.parent / entry.file).read_bytes())
    store.write_record(spec, folder / "model.toml")
    return folder


def test_list_shows_name_task_size_and_license() -> None:
    done = _run("list")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["name", "task", "size", "license", "state"]
    assert [line.split()[0] for line in lines[1:]] == registry.names() + registry.names(downloads=True)
    for line in lines[1:]:
        spec = registry.get(line.split()[0])
        assert spec.task in line
        assert f"{spec.size_bytes / 1e6:.1f} MB" in line
        assert " ".join(spec.license.weights.split()) in line
        assert line.endswith("shipped" if spec.name in registry.names() else "optional, not installed")


def test_list_as_json() -> None:
    rows = json.loads(_run("list", "--json").stdout)
    assert [row["name"] for row in rows] == registry.names() + registry.names(downloads=True)
    assert {tuple(row) for row in rows} == {("name", "task", "bytes", "license", "optional", "there")}
    assert all(row["bytes"] == registry.get(row["name"]).size_bytes for row in rows)
    assert all(row["optional"] is not row["there"] for row in rows)


@pytest.mark.parametrize("name", registry.names())
def test_show_tells_what_the_record_says(name: str) -> None:
    spec = registry.get(name)
    done = _run("show", name)
    assert done.exit_code == 0
    for said in (spec.description, spec.license.weights, spec.license.data, *(f.sha256 for f in spec.files)):
        assert said in done.stdout
    for output in spec.outputs:
        assert ", ".join(output.labels.emotions) in done.stdout
    for result in spec.results:
        assert f"measured by: {result.command}" in done.stdout


@pytest.mark.parametrize("name", registry.names())
def test_show_as_json_is_the_record(name: str) -> None:
    record = json.loads(_run("show", name, "--json").stdout)
    spec = registry.get(name)
    assert record["date"] == spec.date.isoformat()
    assert [file["sha256"] for file in record.get("files", [])] == [file.sha256 for file in spec.files]
    assert set(record) == set(spec.to_dict())


def test_show_takes_a_run_folder(tmp_path: Path) -> None:
    folder = _copy("mtcnn", tmp_path / "run")
    assert _run("show", str(folder)).stdout == _run("show", "mtcnn").stdout


def test_show_lists_the_measured_results(tmp_path: Path) -> None:
    folder = _copy("mtcnn", tmp_path / "run")
    spec = store.read_record(folder / "model.toml")
    record = spec.to_dict()
    record["results"] = [
        {
            "dataset": "boxes",
            "split": "training",
            "protocol": "IoU 0.4",
            "metric": "recall",
            "value": 0.94444,
            "low": 0.8,
            "high": 1.0,
            "n": 18,
            "date": "2026-03-01",
            "command": "python benchmarks/detectors.py",
        }
    ]
    store.write_record(record, folder / "model.toml")
    shown = _run("show", str(folder)).stdout
    row = next(line for line in shown.splitlines() if line.startswith("boxes"))
    assert row.split() == ["boxes", "training", "IoU", "0.4", "recall", "0.9444", "0.8", "to", "1", "18", "2026-03-01"]
    assert "measured by: python benchmarks/detectors.py" in shown


def test_an_unknown_model_is_one_line_and_exit_code_1() -> None:
    done = _run("show", "mtcn")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "mien: unknown model 'mtcn': did you mean mtcnn? (or give the path of a model.toml)\n"


def test_verify_checks_all_shipped_models() -> None:
    done = _run("verify")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == registry.names()


def test_verify_tells_some_from_all(tmp_path: Path) -> None:
    folder = _copy("mtcnn", tmp_path / "run")
    weights = folder / registry.get("mtcnn").files[0].file
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    done = _run("verify", str(folder))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "should have sha256" in done.stderr
    done = _run("verify", "mtcnn", str(folder), "nothing")
    assert done.exit_code == 3
    assert done.stdout.startswith("mtcnn: 3 files")
    assert len(done.stderr.splitlines()) == 2


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the file of the only model will lie: nine bytes, on a server that is not there."""
    monkeypatch.setenv("MIEN_CACHE_DIR", str(tmp_path / "cache"))
    record = registry.get("yunet").to_dict() | {"name": "tiny"}
    content = {"file": "tiny.onnx", "bytes": 9, "sha256": hashlib.sha256(b"the model").hexdigest(), "url": URL}
    record["files"][0] |= content
    store.write_record(record, tmp_path / "tiny.toml")
    monkeypatch.setattr(registry, "MODELS", registry.ModelRegistry("model", {"tiny": tmp_path / "tiny.toml"}))
    return tmp_path / "cache" / "models" / "tiny.onnx"


def test_get_from_a_file_then_list_and_verify_know_it(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"the model")
    assert _run("verify").stdout == ""
    done = _run("get", "tiny", "--from", str(tmp_path / "own.onnx"))
    assert done.exit_code == 0
    assert done.stdout == f"tiny: {tiny}, 0.0 MB, sha256 as recorded; license MIT\n"
    assert done.stderr.startswith("mien: attribution: Wu, Peng and Yu")
    assert _run("list").stdout.splitlines()[1].endswith("optional, installed")
    assert _run("verify").stdout == "tiny: 1 file, 0.0 MB, as recorded\n"
    assert _run("get", "tiny").stdout == done.stdout  # it is there: nobody is asked
    tiny.write_bytes(b"the modem")
    assert _run("verify").exit_code == 1


def test_get_refuses_another_file(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"the modem")
    done = _run("get", "tiny", "--from", str(tmp_path / "own.onnx"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "expected 9 bytes with sha256" in done.stderr
    assert not tiny.exists()
    assert _run("get", "tiny", "--from", str(tmp_path / "nothing")).exit_code == 2


def test_get_offline_is_one_line(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    done = _run("get", "tiny")
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("mien: model 'tiny': cannot reach 127.0.0.1: ")
    assert line.endswith(f"mien models get tiny --from FILE (it is {URL})")


def test_show_says_where_a_download_comes_from() -> None:
    spec = registry.get("yunet")
    lines = _run("show", "yunet").stdout.splitlines()
    assert lines[-1] == f"download: {spec.file().url}"
    assert f"attribution: {spec.license.attribution}" in lines


def test_get_knows_what_is_optional() -> None:
    done = _run("get", "mtcnn")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("mien: model 'mtcnn' is no download, since it ships with mien: expected one of yunet")


def test_nets_are_listed_with_what_they_cost() -> None:
    pytest.importorskip("torch")
    done = _run("nets")
    assert (done.exit_code, done.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["name"] == ["for", "input", "parameters", "multiply-adds"]
    assert rows["dexpression"] == ["faces", "48", "x", "48", "485,799", "148,851,648"]
    assert rows["mel_cnn"] == ["speech", "40", "x", "272", "65,896", "253,809,152"]
    faces = {"mlp", "cnn", "vgg16", "dexpression", "mini_xception", "face_resnet", "dlib_resnet"}
    assert rows["c3d"] == ["clips", "16", "x", "48", "x", "48", "600,032", "113,910,784"]
    assert set(rows) == {"name", *faces, "mel_cnn", "speech_resnet", "campplus", "cnn_lstm", "c3d", "temporal"}
    (first, *_) = json.loads(_run("nets", "--json").stdout)
    assert first == {
        "name": "mlp",
        "for": "faces",
        "input": "48 x 48",
        "parameters": 1_345_287,
        "multiply_adds": 1_344_384,
    }


def test_a_net_shows_its_layers() -> None:
    pytest.importorskip("torch")
    lines = _run("nets", "cnn").stdout.splitlines()
    assert lines[1].split() == ["layers.0", "Conv2d", "32", "x", "48", "x", "48", "320", "663,552"]
    assert lines[-1].split() == ["all", "834,183", "27,799,040"]
    done = _run("nets", "vgg99")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("mien: unknown network 'vgg99': expected one of mlp, cnn")


def test_nets_without_torch_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    done = _run("nets")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == 'mien: building networks needs torch: pip install "mien[train]"\n'
