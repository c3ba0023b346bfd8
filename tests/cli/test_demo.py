from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mien
from mien.cli import main
from mien.models import registry
from mien.samples import astronaut_path


@pytest.fixture
def shipped(planted_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the planted model answer under every name, so that the command is tested whatever is shipped."""
    get = registry.get
    monkeypatch.setattr(registry, "get", lambda model: get(planted_model if model == "face-base" else model))
    return planted_model


def test_the_demo_prints_a_table_and_draws(shipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    done = CliRunner().invoke(main, ["demo", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert sum("astronaut" in line for line in lines) == 2
    assert lines[-1] == f"The drawn image: {out.resolve() / 'astronaut.png'}"
    drawn, plain = mien.read_image(out / "astronaut.png"), mien.read_image(astronaut_path())
    assert drawn.shape == plain.shape
    assert 0 < np.mean((drawn != plain).any(axis=2)) < 0.5


def test_a_second_demo_writes_the_same_again(shipped: Path, tmp_path: Path) -> None:
    first, second = (CliRunner().invoke(main, ["demo", "--out", str(tmp_path)]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == second.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["astronaut.jpg", "astronaut.png"]
    assert (tmp_path / "astronaut.jpg").read_bytes() == astronaut_path().read_bytes()


def test_a_file_in_the_place_of_the_folder_is_wrong_usage(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    done = CliRunner().invoke(main, ["demo", "--out", str(taken)])
    assert done.exit_code == 2
    assert "is a file" in done.stderr


def test_the_shipped_model_sees_a_smile(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "happiness" in done.stdout
