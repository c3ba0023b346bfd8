from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mien.errors import InputError, ModelError, UnknownModelError
from mien.models import MODELS, ModelSpec, registry, store
from mien.models.spec import TASKS, parse_record


def test_every_shipped_model_is_whole_and_has_a_license() -> None:
    assert registry.names()
    for name in registry.names():
        spec = registry.get(name)
        assert spec.name == name
        assert spec.license.weights
        assert spec.license.data
        store.verify(spec)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_record(name: str) -> None:
    spec = MODELS[name]
    assert spec == registry.get(name)
    assert spec.name == name
    assert spec.license.weights
    assert spec.is_download == (name in registry.names(downloads=True))
    assert parse_record(spec.to_dict(), spec.path) == spec


def test_every_shipped_weight_file_belongs_to_a_record() -> None:
    declared = {f.file for name in registry.names() for f in registry.get(name).files}
    assert {p.name for p in registry.SHIPPED.iterdir() if p.suffix in (".onnx", ".npz")} == declared


def test_every_shipped_model_stands_in_the_page_of_licenses() -> None:
    page = (registry.SHIPPED / "LICENSES.md").read_text(encoding="utf-8")
    listed = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert sorted(listed) == registry.names()
    for name in listed:
        for entry in registry.get(name).files:
            assert f"`{entry.file}`" in page


def test_the_tasks_divide_the_models() -> None:
    by_task = [name for task in TASKS for name in registry.names(task)]
    assert sorted(by_task) == registry.names()
    with pytest.raises(InputError, match="unknown task 'chess': expected one of face-emotion, face-detection"):
        registry.names("chess")


def test_a_model_is_found_by_record_and_by_run_folder(spec: ModelSpec) -> None:
    folder = spec.path.parent
    assert registry.get(spec) is spec
    assert registry.get(spec.path) == spec
    assert registry.get(str(spec.path)) == spec
    assert registry.get(folder) == spec
    assert registry.get(str(folder)) == spec


def test_a_shipped_name_means_the_shipped_model(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = registry.names()[0]
    (tmp_path / name).mkdir()
    store.write_record(spec, tmp_path / name / "model.toml")
    monkeypatch.chdir(tmp_path)
    assert registry.get(name).name == name
    assert registry.get(Path(name)).name == "tiny"


def test_a_record_carries_the_name_of_its_entry(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MODELS", registry.ModelRegistry("model", {"other": spec.path}))
    with pytest.raises(ModelError, match="key 'name' must be 'other', but got 'tiny'"):
        registry.get("other")


def test_an_unknown_name_brings_those_that_come_close() -> None:
    name = registry.names()[0]
    with pytest.raises(UnknownModelError, match=f"unknown model '{name}x': did you mean {name}"):
        registry.get(name + "x")
    with pytest.raises(UnknownModelError, match="unknown model '§': expected one of "):
        registry.get("§")


@pytest.mark.parametrize("path", ["nowhere/model", "nowhere.toml", Path("nowhere")])
def test_a_path_without_a_record_is_unknown(path: str | Path) -> None:
    with pytest.raises(UnknownModelError, match="no model record at nowhere"):
        registry.get(path)


def test_a_folder_without_a_record_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"no model record at .*model\.toml"):
        registry.get(tmp_path)


def test_a_binary_record_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot read the model record"):
        registry.get(tmp_path)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_graph_without_its_record_is_no_model(tmp_path: Path, kind: type[str] | type[Path]) -> None:
    (tmp_path / "moods.onnx").write_bytes(b"\xf7")
    with pytest.raises(ModelError, match=r"moods\.onnx is a graph, not a model: give its model\.toml, or the folder"):
        registry.get(kind(tmp_path / "moods.onnx"))


def test_a_model_is_named_by_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a model must be a name or a path, but got an object of type int"):
        registry.get(3)  # type: ignore[arg-type]


def test_other_packages_add_models(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("package_of_models")
    package.RECORD, package.SPEC = spec.path, spec
    monkeypatch.setitem(sys.modules, "package_of_models", package)
    points = [EntryPoint(name, f"package_of_models:{name}", "mien.models") for name in ("RECORD", "SPEC")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points if group == "mien.models" else [])
    models = registry.ModelRegistry("model", {"own": spec.path}, group="mien.models")
    assert models.names() == ("own", "RECORD", "SPEC")
    assert models["SPEC"] is spec
    with pytest.raises(ModelError, match="key 'name' must be 'RECORD', but got 'tiny'"):
        _ = models["RECORD"]
