"""``--engine``, ``--precision`` and ``--device`` of the commands, on a model whose int8 graph answers otherwise."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

import mien
from face_tables import Row, table_text, write_table
from live_streams import astronaut
from mien.cli import main
from mien.errors import ModelError
from mien.models import runtime
from mien.samples import astronaut_path
from planted_videos import write_video
from speech_corpora import write_wav
from speech_mixtures import RATE, voiced


@pytest.fixture(scope="module")
def model(planted_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a planted model with a second graph, whose fer7 answers come one pixel further to the left."""
    folder = tmp_path_factory.mktemp("int8") / "model"
    shutil.copytree(planted_model, folder)
    graph = onnx.load(str(folder / "model.onnx"))
    for part in graph.graph.initializer:
        if part.name in ("logits_fer7_start", "logits_fer7_end"):
            values = numpy_helper.to_array(part) + np.array([0, 1, 0])
            part.CopyFrom(numpy_helper.from_array(values, part.name))
    content = graph.SerializeToString()
    (folder / "model-int8.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    entry = f'role = "graph-int8"\nfile = "model-int8.onnx"\nsha256 = "{digest}"\nbytes = {len(content)}\n'
    record = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(record.replace("[[outputs]]", f"[[files]]\n{entry}\n[[outputs]]", 1))
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 21 rows of FER2013: the float32 graph answers all rightly, the int8 graph those of the first class."""
    rows = []
    for number in range(21):
        pixels = np.zeros((48, 48), dtype=int)
        pixels[0, number % 7] = 60
        pixels[1, 0] = number
        rows.append(Row(str(number % 7), " ".join(map(str, pixels.ravel())), "PublicTest"))
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    write_table(path, table_text(rows))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.mark.parametrize("engine", runtime.ENGINES)
def test_evaluate_measures_what_is_asked_for(model: Path, table: Path, engine: str, tmp_path: Path) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    pytest.importorskip("matplotlib")
    found = []
    for precision in ("float32", "int8"):
        how = ("--engine", engine, "--precision", precision, "--threads", 1)
        done = run("evaluate", model, "fer2013", "--data", table, *how, "--json", "--report", tmp_path / precision)
        assert done.exit_code == 0, done.stderr
        found.append(json.loads(done.stdout)["accuracy"])
        told = "\n".join(path.read_text() for path in (tmp_path / precision).rglob("*.md"))
        assert f"--split PublicTest --engine {engine} --precision {precision}`" in told
    assert found == pytest.approx([1.0, 1 / 7])


def test_evaluate_refuses_what_it_does_not_take(table: Path, tmp_path: Path) -> None:
    done = run("evaluate", "speech-base", "ravdess", "--data", tmp_path, "--engine", "openvino")
    assert (done.exit_code, "--engine: not for speech" in done.stderr) == (2, True)
    done = run("evaluate", "--fusion", "average", "--videos", tmp_path, "--precision", "int8")
    assert (done.exit_code, "--precision: not for --fusion" in done.stderr) == (2, True)


def test_live_reads_by_what_is_asked_for(model: Path, tmp_path: Path, sessions_made: list[runtime.Session]) -> None:
    video = tmp_path / "astronaut.mp4"
    write_video(video, ((astronaut(), Fraction(k, 5)) for k in range(2)), rate=5)
    done = run("live", "--no-window", "--source", video, "--model", model, "--precision", "int8")
    assert done.exit_code == 0, done.stderr
    assert {session.name: session.precision for session in sessions_made}["planted"] == "int8"
    done = run("live", "--no-window", "--source", video, "--model", model, "--device", "cuda:7")
    assert done.exit_code == 1
    assert "device 'cuda:7' is not available" in done.stderr


def test_voices_of_videos_are_float32_beside_faces_in_int8(
    model: Path, tmp_path: Path, sessions_made: list[runtime.Session]
) -> None:
    video = tmp_path / "video.mp4"
    sound = (voiced(2 * RATE, np.random.default_rng(1)), RATE)
    write_video(video, ((astronaut(), Fraction(k, 5)) for k in range(10)), rate=5, sound=sound)
    done = run("analyze", video, "--model", model, "--precision", "int8", "--json")
    assert done.exit_code == 0, done.stderr
    kinds = {session.name: session.precision for session in sessions_made}
    assert (kinds["planted"], kinds["speech-base"]) == ("int8", "float32")
    sessions_made.clear()
    mien.analyze_video(video, model=model, precision="int8")
    kinds = {session.name: session.precision for session in sessions_made}
    assert (kinds["planted"], kinds["speech-base"]) == ("int8", "float32")


def test_a_recording_alone_is_not_read_in_int8() -> None:
    with pytest.raises(ModelError, match="model 'speech-base' has no graph in int8: expected a file 'graph-int8'"):
        mien.SpeechAnalyzer(precision="int8")


@pytest.mark.parametrize("command", ["analyze", "evaluate"])
def test_a_missing_gpu_build_says_what_to_install(command: str, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.onnxruntime(), "get_available_providers", lambda: ["CPUExecutionProvider"])
    what = (astronaut_path(),) if command == "analyze" else ("face-base", "fer2013", "--data", table)
    done = run(command, *what, "--device", "cuda")
    assert done.exit_code == 1
    assert "device 'cuda' is not available: the installed ONNX Runtime has CPU; " in done.stderr
    assert "for CUDA install onnxruntime-gpu in place of onnxruntime" in done.stderr


# --- another engine -------------------------------------------------------------------------------

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra 'openvino'")


def analyzed(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", "--threads", "1", *map(str, arguments)])


def faces(*arguments: object) -> list[dict[str, Any]]:
    done = analyzed(astronaut_path(), "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["faces"]
    return found


@needs_openvino
def test_images_have_the_same_answers_by_either_engine(sessions_made: list[runtime.Session]) -> None:
    (ours,) = faces()
    assert {session.engine for session in sessions_made} == {"onnxruntime"}
    sessions_made.clear()
    (other,) = faces("--engine", "openvino")
    # Faces are found by ONNX Runtime, which is the faster there.
    engines = {session.name.split("/")[0]: session.engine for session in sessions_made}
    assert engines == {"mtcnn": "onnxruntime", "face-base": "openvino"}
    np.testing.assert_allclose(other["box"], ours["box"], atol=0.01)
    ours, other = (face["emotion"]["probabilities"] for face in (ours, other))
    assert other.keys() == ours.keys()
    np.testing.assert_allclose(list(other.values()), list(ours.values()), atol=1e-4)


@needs_openvino
def test_bfloat16_is_for_emotions_and_faces_are_found_in_float32(sessions_made: list[runtime.Session]) -> None:
    if "BF16" not in runtime.openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    assert len(faces("--engine", "openvino", "--precision", "bfloat16")) == 1
    found = {session.name.split("/")[0]: session.precision for session in sessions_made}
    assert found == {"mtcnn": "float32", "face-base": "bfloat16"}


@needs_openvino
def test_audio_is_read_by_the_engine(tmp_path: Path, sessions_made: list[runtime.Session]) -> None:
    write_wav(tmp_path / "a.wav", voiced(2 * RATE, np.random.default_rng(3)), RATE)
    done = analyzed(tmp_path / "a.wav", "--json", "--engine", "openvino")
    assert done.exit_code == 0, done.stderr
    assert {session.name: session.engine for session in sessions_made}["speech-base"] == "openvino"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "bfloat16"), "precision 'bfloat16' is for the engine 'openvino', but the engine is 'onnxrunt"),
        (("--engine", "openvino", "--device", "cuda"), "device of the engine 'openvino' must be 'cpu', but got 'cuda'"),
        (("--engine", "tensorrt"), "'tensorrt' is not one of 'onnxruntime', 'openvino'"),
        (("--precision", "float16"), "'float16' is not one of 'float32', 'bfloat16', 'int8'"),
    ],
)
def test_what_does_not_go_together_is_told(options: tuple[str, ...], message: str) -> None:
    done = analyzed(astronaut_path(), *options)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime.openvino.cache_clear()
    done = analyzed(astronaut_path(), "--engine", "openvino")
    assert done.exit_code == 1
    assert "engine 'openvino' needs openvino: pip install \"mien[openvino]\"" in done.stderr
