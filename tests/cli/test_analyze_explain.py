"""``mien analyze --explain``: maps over the faces of the drawn images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import mien
from mien.cli import main
from mien.output import heat
from mien.output.draw import draw
from mien.samples import astronaut_path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with one image."""
    with Image.open(astronaut_path()) as image:
        image.crop((120, 20, 320, 220)).save(tmp_path / "team.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def test_a_map_is_laid_over_each_face(here: Path) -> None:
    done = run("team.png", "--explain", "--out", "drawn", "--json")
    assert done.exit_code == 0, done.output
    assert done.stderr == "mien: explained by class activation maps\n"
    analyzer = mien.FaceAnalyzer()
    image = mien.read_image("team.png")
    result = analyzer.analyze(image)
    with Image.open("drawn/team.png") as file:
        drawn = np.asarray(file)
    np.testing.assert_array_equal(drawn, draw(heat(image, analyzer.explain(image, result.faces)), result))
    assert (drawn != draw(image, result)).any()
    assert run("team.png", "--json").stdout == done.stdout  # the answers stay what they are


def test_a_model_without_heads_is_explained_by_hiding(here: Path, planted_model: Path) -> None:
    done = run("team.png", "--model", planted_model, "--explain", "--out", "drawn")
    assert done.exit_code == 0, done.output
    assert "explained by hiding parts of the face" in done.stderr
    assert Path("drawn/team.png").is_file()


def test_the_method_implies_the_maps(here: Path) -> None:
    assert run("team.png", "--explain-by", "occlusion", "--out", "hidden").exit_code == 0
    assert run("team.png", "--explain", "--out", "cam").exit_code == 0
    assert Path("hidden/team.png").read_bytes() != Path("cam/team.png").read_bytes()


def test_wrong_usage_and_what_is_not_possible(here: Path, planted_model: Path) -> None:
    done = run("team.png", "--explain")
    assert done.exit_code == 2
    assert "--explain draws on the images: say with --out where they go" in done.stderr
    done = run("team.png", "--explain-by", "lime", "--out", "drawn")
    assert done.exit_code == 2
    assert "'lime' is not one of 'cam', 'occlusion'" in done.stderr
    done = run("team.png", "--model", planted_model, "--explain-by", "cam", "--out", "drawn")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'planted' has no heads file, because its heads are not linear" in done.stderr


def test_a_image_without_a_face_stays_as_it_is(here: Path) -> None:
    Image.new("RGB", (80, 60), (90, 120, 90)).save("lawn.png")
    assert run("lawn.png", "--explain", "--out", "drawn").exit_code == 0
    with Image.open("drawn/lawn.png") as image:
        assert image.getcolors() == [(4800, (90, 120, 90))]
