"""``mien analyze --engine``: the same answers by another engine, and what does not go together is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.models import runtime
from mien.samples import astronaut_path
from speech_corpora import write_wav
from speech_mixtures import RATE, voiced

pytest.importorskip("openvino")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", "--threads", "1", *map(str, arguments)])


def faces(*arguments: object) -> list[dict[str, Any]]:
    done = run(astronaut_path(), "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["faces"]
    return found


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


def test_bfloat16_is_for_emotions_and_faces_are_found_in_float32(sessions_made: list[runtime.Session]) -> None:
    if "BF16" not in runtime.openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    assert len(faces("--engine", "openvino", "--precision", "bfloat16")) == 1
    found = {session.name.split("/")[0]: session.precision for session in sessions_made}
    assert found == {"mtcnn": "float32", "face-base": "bfloat16"}


def test_recordings_are_read_by_the_engine(tmp_path: Path, sessions_made: list[runtime.Session]) -> None:
    write_wav(tmp_path / "a.wav", voiced(2 * RATE, np.random.default_rng(3)), RATE)
    done = run(tmp_path / "a.wav", "--json", "--engine", "openvino")
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
    done = run(astronaut_path(), *options)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime.openvino.cache_clear()
    done = run(astronaut_path(), "--engine", "openvino")
    assert done.exit_code == 1
    assert "engine 'openvino' needs openvino: pip install \"mien[openvino]\"" in done.stderr
