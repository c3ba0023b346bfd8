"""Engines by name: the same graph, the same outputs, whatever computes them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from int8_graphs import in_eight_bits
from mien import FaceAnalyzer, SpeechAnalyzer, read_image
from mien.data.fer2013 import read_fer2013
from mien.errors import InputError, MissingExtraError, ModelError
from mien.face.detect import get_detector
from mien.models import ModelSpec, registry, runtime
from mien.samples import astronaut_path
from mien.video.analyzer import VideoAnalyzer
from speech_mixtures import RATE, voiced

pytest.importorskip("openvino")

NETS = tuple((name, file.role) for name in registry.names() for file in registry.get(name).files)
GRAPHS = tuple(
    (name, role)
    for name, role in NETS
    if registry.get(name).file(role).file.endswith(".onnx") and not in_eight_bits(name, role)
)


def has_bfloat16() -> bool:
    return "BF16" in runtime.openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def feeds(name: str, role: str, size: int) -> dict[str, np.ndarray[Any, Any]]:
    """Make what a shipped graph takes: noise as large as its own data, `size` of them where it takes many."""
    random = np.random.default_rng(size)
    if name == "silero-vad":
        state = random.normal(0, 0.3, (2, 1, 1, 128)).astype(np.float32)
        return {"input": random.normal(0, 0.1, (size, 576)).astype(np.float32), "h": state[0], "c": state[1]}
    if name == "speech-base":
        return {"wave": random.normal(0, 0.1, (1, 16_000 + 4000 * size)).astype(np.float32)}
    if role == "pnet":
        return {"image": random.integers(0, 256, (1, 30 + 7 * size, 40 + size, 3), np.uint8)}
    side = {"rnet": 24}.get(role, 48)
    (key,) = runtime.load(registry.get(name), role, threads=1).input_names
    return {key: random.integers(0, 256, (size, side, side, 3), np.uint8)}


@pytest.mark.parametrize(("name", "role"), GRAPHS, ids=lambda part: str(part))
def test_engines_agree_on_every_shipped_graph(name: str, role: str) -> None:
    spec = registry.get(name)
    ours = runtime.load(spec, role, threads=1)
    other = runtime.load(spec, role, threads=1, engine="openvino")
    assert (other.input_names, other.output_names) == (ours.input_names, ours.output_names)
    for size in (1, 5, 32, 3):
        given = feeds(name, role, size)
        expected, got = ours.run(given), other.run(given)
        for output, values in expected.items():
            assert got[output].dtype == values.dtype
            np.testing.assert_allclose(got[output], values, atol=1e-4, rtol=1e-4, err_msg=f"{output} of {size}")


def test_a_session_returns_its_outputs_by_name(spec: ModelSpec) -> None:
    session = runtime.load(spec, threads=1, engine="openvino")
    assert repr(session) == "Session('tiny', threads=1, device='cpu', engine='openvino', precision='float32')"
    crops = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    crops.flags.writeable = False
    got = session.run({"image": crops[::2, :, ::-1]})
    np.testing.assert_allclose(got["mean"], crops[::2].mean(axis=(1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_array_equal(got["negative"], -got["mean"])
    assert list(session.run({"image": crops}, ["negative"])) == ["negative"]
    # An answer is the caller's own: the next run does not change it.
    kept = got["mean"].copy()
    session.run({"image": np.zeros_like(crops[:3])})
    np.testing.assert_array_equal(got["mean"], kept)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_share_a_session(spec: ModelSpec, threads: int) -> None:
    session = runtime.load(registry.get("face-base"), threads=threads, engine="openvino")
    random = np.random.default_rng(1)
    inputs = [random.integers(0, 256, (n % 4 + 1, 48, 48, 3), np.uint8) for n in range(24)]
    alone = [session.run({"crops": crops})["logits_fer7"] for crops in inputs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda crops: session.run({"crops": crops})["logits_fer7"], inputs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("array", [np.zeros((1, 8, 8, 3)), np.zeros((1, 9, 8, 3), np.uint8), np.zeros(3, np.uint8)])
def test_arrays_must_fit_the_graph(spec: ModelSpec, array: np.ndarray[Any, Any]) -> None:
    session = runtime.load(spec, engine="openvino")
    with pytest.raises(ModelError, match=f"model 'tiny' cannot run on image: {array.dtype} of shape") as caught:
        session.run({"image": array})
    assert "Exception from" not in str(caught.value)


def test_a_broken_graph_is_rejected() -> None:
    with pytest.raises(ModelError, match="model 'broken' cannot be loaded: Unable to read the model"):
        runtime.Session(b"no graph", name="broken", threads=1, device="cpu", engine="openvino")


@pytest.mark.parametrize("engine", ["tensorrt", "", "OpenVINO", None, 1])
def test_unknown_engines_are_rejected(spec: ModelSpec, engine: Any) -> None:
    with pytest.raises(InputError, match="engine must be 'onnxruntime' or 'openvino', but got"):
        runtime.load(spec, engine=engine)
    for name in ("mtcnn", "haar"):
        with pytest.raises(InputError, match="engine must be 'onnxruntime' or 'openvino', but got"):
            get_detector(name, engine=engine)


def test_options_that_do_not_go_together(spec: ModelSpec) -> None:
    with pytest.raises(InputError, match="precision must be 'float32' or 'bfloat16' or 'int8', but got 'float16'"):
        runtime.load(spec, engine="openvino", precision="float16")
    with pytest.raises(InputError, match="precision 'bfloat16' is for the engine 'openvino', but the engine is 'onnx"):
        runtime.load(spec, precision="bfloat16")
    with pytest.raises(InputError, match="device of the engine 'openvino' must be 'cpu', but got 'cuda'"):
        runtime.load(spec, engine="openvino", device="cuda")


def test_a_missing_engine_names_its_extra(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime.openvino.cache_clear()
    with pytest.raises(
        MissingExtraError, match=r"""^engine 'openvino' needs openvino: pip install "mien\[openvino\]"$"""
    ):
        runtime.load(spec, engine="openvino")
    monkeypatch.undo()
    runtime.load(spec, engine="openvino")
    assert sys.modules.get("openvino_telemetry", sys) is not None


INTERRUPTED = """
import os, signal, threading, time
from mien.models import registry, runtime

networks = [runtime.load(registry.get("face-small"), engine="openvino") for _ in range(2)]
{free}
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal for oneself")
@pytest.mark.parametrize(
    "free",
    ["del networks[0]; del networks[0]", "end = threading.Thread(target=networks.clear); end.start(); end.join()"],
    ids=["in the order of loading", "in another thread"],
)
def test_ctrl_c_can_be_caught_after_networks_are_freed(free: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED.format(free=free)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)


def test_a_processor_without_bfloat16(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32"]

    monkeypatch.setattr(runtime, "openvino_core", Core)
    with pytest.raises(ModelError, match="precision 'bfloat16' is not available: this processor computes in float32"):
        runtime.load(spec, engine="openvino", precision="bfloat16")


def test_float32_is_the_default_and_bfloat16_is_another() -> None:
    spec = registry.get("face-base")
    given = feeds("face-base", "graph", 16)
    exact = runtime.load(spec, threads=1).run(given)["logits_fer7"]
    if not has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    coarse = runtime.load(spec, threads=1, engine="openvino", precision="bfloat16").run(given)["logits_fer7"]
    # Eight bits of mantissa: far from 1e-4, and still the same answer.
    assert 1e-3 < np.abs(coarse - exact).max() < 0.5


def in_int8() -> list[str]:
    faces = map(registry.get, registry.names("face-emotion"))
    return [spec.name for spec in faces if any(file.role == f"graph{runtime.INT8}" for file in spec.files)]


@pytest.mark.parametrize("name", in_int8())
@pytest.mark.parametrize("engine", runtime.ENGINES)
def test_int8_of_a_shipped_model_is_close_to_float32(name: str, engine: str) -> None:
    spec = registry.get(name)
    image = read_image(astronaut_path())
    analyzer = FaceAnalyzer(spec, threads=1)
    crops = analyzer.crops(image, analyzer.analyze(image).faces)
    given = {"crops": analyzer.prepare_crops([crops[0], crops[0][:, ::-1], 255 - crops[0], crops[0] // 2 + 60])}
    exact = runtime.load(spec, threads=1).run(given)
    coarse = runtime.load(spec, threads=1, engine=engine, precision="int8").run(given)
    assert list(coarse) == list(exact)
    for output, values in exact.items():
        assert coarse[output].shape == values.shape
        assert np.sqrt(np.square(coarse[output] - values).mean()) < 0.1 * np.sqrt(np.square(values).mean())
    if not in_eight_bits(name, "graph"):
        assert spec.file(f"graph{runtime.INT8}").bytes < 0.3 * spec.file().bytes


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "engine", "precision"),
    [("face-base", "openvino", "bfloat16"), *((n, e, "int8") for n in in_int8() for e in runtime.ENGINES)],
)
def test_coarser_numbers_cost_less_than_a_third_of_a_point(
    fer2013_dir: Path, name: str, engine: str, precision: str
) -> None:
    if precision == "bfloat16" and not has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    data = read_fer2013(fer2013_dir / "fer2013.csv.xz", split="PublicTest")
    truth = np.array(data.label_set.emotions)[data.labels]
    right = []
    for how in (("onnxruntime", "float32"), (engine, precision)):
        analyzer = FaceAnalyzer(name, detector="haar", output="fer7", threads=1, engine=how[0], precision=how[1])
        own = np.array(analyzer.output.labels.emotions)[analyzer.logits(data.images)["fer7"].argmax(axis=1)]
        right.append(np.mean(own == truth))
    assert right[1] > right[0] - 0.0034


def test_calls_take_their_threads_and_run_side_by_side_where_cores_are_left(spec: ModelSpec) -> None:
    cores = runtime.default_threads()
    for threads, streams in ((1, cores), (cores, 1)):
        session = runtime.load(spec, threads=threads, engine="openvino")
        compiled = session._graph._compiled  # type: ignore[union-attr]
        assert compiled.get_property("INFERENCE_NUM_THREADS") == cores
        assert compiled.get_property("NUM_STREAMS") == streams
        assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_analyzers_give_the_same_by_either_engine() -> None:
    image = read_image(astronaut_path())
    (ours,) = FaceAnalyzer(threads=1).analyze(image).faces
    (other,) = FaceAnalyzer(threads=1, engine="openvino").analyze(image).faces
    np.testing.assert_allclose(other.box, ours.box, atol=0.01)
    np.testing.assert_allclose(other.emotion.probabilities, ours.emotion.probabilities, atol=1e-4)
    videos = [VideoAnalyzer(engine=engine).analyze([(image, 0.0), (image, 0.2)]) for engine in runtime.ENGINES]
    np.testing.assert_allclose(videos[1].tracks[0].smoothed, videos[0].tracks[0].smoothed, atol=1e-4)


def test_speech_is_read_the_same_by_either_engine() -> None:
    wave = voiced(2 * RATE, np.random.default_rng(3))
    ours, other = (SpeechAnalyzer(engine=engine).clip_logits(wave, rate_hz=RATE) for engine in runtime.ENGINES)
    for output, logits in ours.items():
        # Its bands are logarithms down to 100 dB under the peak, where sums in another order differ.
        np.testing.assert_allclose(other[output], logits, atol=2e-3)


def test_running_openvino_writes_and_sends_nothing(spec: ModelSpec, tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    # Its telemetry keeps quiet where these are set, which would make the watch blind.
    kept = {k: v for k, v in os.environ.items() if k not in {"CI", "TF_BUILD", "GITHUB_ACTIONS"}}
    names = ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")
    environment = {**kept, **dict.fromkeys(names, str(home)), "PYTHONDONTWRITEBYTECODE": "1"}
    code = (
        "import socket, sys, urllib.request\n"
        "def refuse(*args, **more):\n"
        "    print('a connection was tried', args)\n"
        "    raise OSError('no network here')\n"
        "socket.socket.connect = socket.getaddrinfo = urllib.request.urlopen = refuse\n"
        "import numpy as np\n"
        "from mien.models import registry, runtime\n"
        "session = runtime.load(registry.get(sys.argv[1]), engine='openvino')\n"
        "print(session.run({'image': np.zeros((1, 8, 8, 3), np.uint8)})['mean'].tolist())\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])\n"
        "import openvino_telemetry\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(spec.path)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=work,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[[0.0, 0.0, 0.0]]\n[]\n", "")
    assert sorted(home.rglob("*")) == []
    assert sorted(work.rglob("*")) == []
