from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mien.cli import main
from mien.io import camera
from mien.io.camera import Camera

FOUND = (Camera(0, "Webcam", 1280, 720, 30.0), Camera(12, "camera 12", 640, 480, None))


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["cameras", *words])
    return result.exit_code, result.stdout, result.stderr


def test_cameras_that_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "find_cameras", lambda: (FOUND, ("camera 1 (Old) does not answer within 8 s",)))
    code, out, err = run()
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["index", "name", "size", "rate"]
    assert lines[-2:] == [["0", "Webcam", "1280x720", "30"], ["12", "camera", "12", "640x480"]]
    assert err == "mien: camera 1 (Old) does not answer within 8 s\n"


def test_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "find_cameras", lambda: (FOUND, ()))
    code, out, err = run("--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == [one.to_dict() for one in FOUND]


@pytest.mark.parametrize(("words", "out"), [((), ""), (("--json",), "[]\n")])
def test_no_camera(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], out: str) -> None:
    monkeypatch.setattr(camera, "find_cameras", lambda: ((), ()))
    assert run(*words) == (1, out, "mien: no camera found\n")
    monkeypatch.setattr(camera, "find_cameras", lambda: ((), ("camera 0 may not be opened",)))
    assert run(*words) == (1, out, "mien: camera 0 may not be opened\n")
