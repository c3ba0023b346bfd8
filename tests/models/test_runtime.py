from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import InputError, ModelError, WeightsError
from mien.models import ModelSpec, runtime


def _crops(seed: int, n: int = 4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


def test_a_session_returns_its_outputs_by_name(spec: ModelSpec) -> None:
    session = runtime.load(spec, threads=1)
    assert session.input_names == ("image",)
    assert session.output_names == ("mean", "negative")
    crops = _crops(0)
    got = session.run({"image": crops})
    np.testing.assert_allclose(got["mean"], crops.mean(axis=(1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_array_equal(got["negative"], -got["mean"])
    assert list(session.run({"image": crops}, ["negative"])) == ["negative"]


def test_views_and_read_only_arrays_work(spec: ModelSpec) -> None:
    session = runtime.load(spec)
    crops = _crops(1, n=6)
    expected = session.run({"image": crops[::2, :, ::-1].copy()})["mean"]
    crops.flags.writeable = False
    np.testing.assert_array_equal(session.run({"image": crops[::2, :, ::-1]})["mean"], expected)


def test_threads_share_a_session(spec: ModelSpec) -> None:
    session = runtime.load(spec, threads=2)
    inputs = [_crops(seed, n=seed % 5 + 1) for seed in range(40)]
    alone = [session.run({"image": crops})["mean"] for crops in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda crops: session.run({"image": crops})["mean"], inputs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("feeds", [{}, {"picture": _crops(0)}, {"image": _crops(0), "more": _crops(0)}])
def test_inputs_must_be_those_of_the_graph(spec: ModelSpec, feeds: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="model 'tiny' has the inputs image, but got"):
        runtime.load(spec).run(feeds)


def test_outputs_must_be_those_of_the_graph(spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="model 'tiny' has the outputs mean, negative, but got logits"):
        runtime.load(spec).run({"image": _crops(0)}, ["logits"])


@pytest.mark.parametrize("array", [np.zeros((1, 8, 8, 3)), np.zeros((1, 9, 8, 3), np.uint8), np.zeros(3, np.uint8)])
def test_arrays_must_fit_the_graph(spec: ModelSpec, array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ModelError, match=f"model 'tiny' cannot run on image: {array.dtype} of shape"):
        runtime.load(spec).run({"image": array})


def test_a_broken_graph_is_rejected() -> None:
    with pytest.raises(ModelError, match="model 'broken' cannot be loaded: "):
        runtime.Session(b"no graph", name="broken", threads=1, device="cpu")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_graphs_with_weights_in_other_files_are_rejected(graph: bytes, tmp_path: Path, engine: str) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(graph)
    weights = onnx.numpy_helper.from_array(np.zeros(4096, np.float32), "more")
    model.graph.initializer.append(weights)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").is_file()
    content = (tmp_path / "m.onnx").read_bytes()
    with pytest.raises(ModelError, match="model 'x' has weights in other files, which are not checked"):
        runtime.Session(content, name="x", threads=1, device="cpu", engine=engine)


def test_missing_weights_are_not_hidden(spec: ModelSpec) -> None:
    (spec.path.parent / "tiny.onnx").unlink()
    with pytest.raises(WeightsError, match="are missing"):
        runtime.load(spec)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "CPU", "", None, 0])
def test_unknown_devices_are_rejected(spec: ModelSpec, device: Any) -> None:
    with pytest.raises(InputError, match="device must be 'cpu', 'cuda' or 'cuda:0', but got"):
        runtime.load(spec, device=device)


def test_a_device_that_is_not_there_names_those_that_are(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runtime.onnxruntime()
    monkeypatch.setattr(module, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelError, match="'cuda:0' is not available: the installed ONNX Runtime has CPU; for CUDA"):
        runtime.load(spec, device="cuda:0")


def test_falling_back_to_the_processor_is_an_error(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runtime.onnxruntime()
    if "CUDAExecutionProvider" in module.get_available_providers():
        pytest.skip("this runtime has CUDA: the fall-back cannot be provoked")
    monkeypatch.setattr(module, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with (
        pytest.warns(UserWarning, match="'CUDAExecutionProvider' is not in available provider names"),
        pytest.raises(ModelError, match="'tiny' cannot run on device 'cuda': the runtime could not start CUDA"),
    ):
        runtime.load(spec, device="cuda")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_threads_must_be_a_count(spec: ModelSpec, threads: Any) -> None:
    with pytest.raises(InputError, match="threads must be an integer"):
        runtime.load(spec, threads=threads)


def test_default_threads_stay_within_the_cores() -> None:
    assert 1 <= runtime.default_threads() <= min(os.cpu_count() or 1, runtime.MAX_DEFAULT_THREADS)


def test_the_environment_of_the_caller_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("0", None):
        if value is None:
            monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
        else:
            monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
        runtime.onnxruntime.cache_clear()
        runtime.onnxruntime()
        assert os.environ.get("ORT_DISABLE_TELEMETRY") == value


def fresh_environment(home: Path) -> dict[str, str]:
    """Return an environment whose home is new, without what would keep a runtime from writing there."""
    # Runtimes keep quiet where these are set, which would make the watch blind.
    quiet = {"CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    kept = {k: v for k, v in os.environ.items() if k not in quiet and not k.startswith("XDG_")}
    names = ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")
    return {**kept, **dict.fromkeys(names, str(home)), "PYTHONDONTWRITEBYTECODE": "1"}


def test_running_a_model_writes_nothing_under_the_home_directory(spec: ModelSpec, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, numpy as np\n"
        "from mien.models import registry, runtime\n"
        "session = runtime.load(registry.get(sys.argv[1]))\n"
        "print(session.run({'image': np.zeros((1, 8, 8, 3), np.uint8)})['mean'].tolist())\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(spec.path)],
        capture_output=True,
        text=True,
        env=fresh_environment(home),
        cwd=work,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[[0.0, 0.0, 0.0]]\n", "")
    assert sorted(home.rglob("*")) == []
    assert sorted(work.rglob("*")) == []


@pytest.mark.parametrize("module", ["mien.train.run", "mien.train.export", "mien.face.analyzer"])
def test_nothing_imports_the_runtime_with_its_telemetry(module: str, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    code = (
        "import importlib, os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "importlib.import_module(sys.argv[1])\n"
        "from mien.models import runtime\n"
        "runtime.onnxruntime()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, module],
        capture_output=True,
        text=True,
        env={**fresh_environment(tmp_path), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
