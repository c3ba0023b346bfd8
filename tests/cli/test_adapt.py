"""``mien adapt``: a model for one's own images, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.models import registry, store
from mien.samples import astronaut_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    shutil.copyfile(astronaut_path(), folder / "one.jpg")
    return folder


def test_a_folder_makes_a_model_that_analyze_takes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "my-camera.toml"
    done = run("adapt", photos, "--out", out, "--strength", "1")
    assert done.exit_code == 0, done.output
    assert f"wrote {out}, adapted to 1 face" in done.stderr
    assert "only 1 face" in done.stderr
    assert "happiness is" in done.stderr  # a broad smile is all there is
    assert done.stdout.splitlines()[0].split() == ["emotion", "before", "log", "odds"]
    store.verify(registry.get(out))
    shares = []
    for model in ("face-base", out):
        (line,) = run("analyze", photos / "one.jpg", "--model", model, "--jsonl").stdout.splitlines()
        shares.append(json.loads(line)["faces"][0]["emotion"]["confidence"])
    assert shares[1] < shares[0]


def test_bad_files_are_named_and_the_rest_counts(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    done = run("adapt", photos, tmp_path / "bad.jpg", "--out", tmp_path / "some.toml")
    assert done.exit_code == 3
    assert (tmp_path / "some.toml").exists()


def test_without_a_face_there_is_no_model(tmp_path: Path) -> None:
    done = run("adapt", tmp_path / "none.jpg", "--out", tmp_path / "none.toml")
    assert done.exit_code == 1
    assert not (tmp_path / "none.toml").exists()


def test_a_wrong_command_is_usage(photos: Path, tmp_path: Path) -> None:
    assert run("adapt", photos).exit_code == 2
    assert run("adapt", photos, "--out", tmp_path / "a.toml", "--strength", "2").exit_code == 2
