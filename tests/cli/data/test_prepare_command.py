from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien import FaceAnalyzer
from mien.cli import main
from mien.data import load_images
from mien.errors import MienWarning
from mien.evaluate import predict
from mien.face.align import Crop, model_crop
from mien.face.prepare import crop_name
from mien.io.image import read_image
from mien.models import registry
from mien.output.write import write_image
from mien.samples import astronaut_path
from processes import started


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "prepare", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for emotion in ("happy", "sad"):
        (root / emotion).mkdir(parents=True)
        shutil.copy(astronaut_path(), root / emotion / "one.jpg")
    write_image(root / "sad" / "wall.png", np.full((60, 60, 3), 99, np.uint8))
    return root


def test_faces_are_written_and_those_without_listed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces.csv"
    done = run("folder", "--data", photos, "--out", out, "--size", 32, "--x-factor", 2.5, "--y-factor", 3)
    assert (done.exit_code, done.stdout) == (3, "2 faces of 3 images\n")
    assert f"mien: rejected: 1 without a face; see {tmp_path / 'faces.rejected.csv'}\n" in done.stderr
    data = load_images("table", out)
    assert data.images.shape == (2, 32, 32)
    assert sorted(data.label_set.emotions[i] for i in data.labels) == ["happiness", "sadness"]


def test_a_folder_in_color_with_haar_and_processes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    done = run(photos, "--out", out, "--color", "--no-smooth", "--detector", "haar", "--workers", 2, "--all-faces")
    assert done.exit_code == 3  # the wall
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        assert [row["emotion"] for row in csv.DictReader(file)] == ["happiness", "sadness"]


@pytest.mark.parametrize("out", ["faces", "faces.csv"])
def test_faces_are_cut_as_a_model_cuts_them(photos: Path, tmp_path: Path, out: str) -> None:
    done = run("folder", "--data", photos, "--out", tmp_path / out, "--crop", "face-base", "--workers", 1)
    assert done.exit_code == 3, done.output  # the wall
    found = load_images("folder" if out == "faces" else "table", tmp_path / out)
    spec = registry.get("face-base")
    own = crop_name(Crop.from_dict(spec.crop))
    assert set(found.column("crop").tolist()) == {own}
    analyzer = FaceAnalyzer("face-base", threads=1)
    image = read_image(astronaut_path()).pixels
    (face,) = analyzer.analyze(image).faces
    expected = model_crop(image, face.box, face.landmarks, Crop.from_dict(spec.crop), analyzer.detector)
    gray = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY).astype(int)
    # Boxes and points are those of the result to float32.
    assert np.abs(found.images.astype(int) - gray).mean() < 0.5
    # The model takes its own crop without a word (warnings are errors here), but not another cut of the same face.
    predict(analyzer, found)
    run("folder", "--data", photos, "--out", tmp_path / "eyes.csv", "--workers", 1)
    with pytest.warns(MienWarning, match=f"face-base takes faces cut as {own}, but .* eye-distance-2.1x3.2"):
        predict(analyzer, load_images("table", tmp_path / "eyes.csv"))


def test_a_crop_of_a_model_leaves_nothing_to_choose(photos: Path, tmp_path: Path) -> None:
    done = run("folder", "--data", photos, "--out", tmp_path / "x", "--crop", "face-base", "--size", 64)
    assert done.exit_code == 2
    assert "--size: not with --crop" in done.output
    done = run("folder", "--data", photos, "--out", tmp_path / "x", "--crop", "speech-base")
    assert done.exit_code == 1
    assert "it has no crop" in done.output


def test_all_images_prepared_is_exit_code_0(photos: Path, tmp_path: Path) -> None:
    (photos / "sad" / "wall.png").unlink()
    done = run(photos, "--out", tmp_path / "faces", "--min-face", 100)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "2 faces of 2 images\n", "")
    assert not (tmp_path / "faces" / "rejected.csv").exists()


def test_a_face_that_is_too_small_is_rejected(photos: Path, tmp_path: Path) -> None:
    done = run(photos, "--out", tmp_path / "faces.csv", "--min-face", 300)
    assert (done.exit_code, done.stdout) == (1, "0 faces of 3 images\n")
    with (tmp_path / "faces.rejected.csv").open(newline="", encoding="utf-8") as file:
        assert {row["reason"] for row in csv.DictReader(file)} == {"no face of at least 300 px found"}


def test_unreadable_images_are_exit_code_3(photos: Path, tmp_path: Path) -> None:
    (photos / "sad" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = run(photos, "--out", tmp_path / "faces.csv")
    assert done.exit_code == 3
    assert "rejected: 1 unreadable, 1 without a face" in done.stderr


def test_no_face_at_all_is_exit_code_1(tmp_path: Path) -> None:
    for emotion in ("happy", "sad"):
        (tmp_path / "photos" / emotion).mkdir(parents=True)
        write_image(tmp_path / "photos" / emotion / "wall.png", np.full((60, 60, 3), 99, np.uint8))
    done = run(tmp_path / "photos", "--out", tmp_path / "faces.csv")
    assert (done.exit_code, done.stdout) == (1, "0 faces of 2 images\n")
    assert not (tmp_path / "faces.csv").exists()
    assert (tmp_path / "faces.rejected.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument"),
        (("folder", "--data", "."), 2, "Missing option '--out'"),
        (("folder", "--data", ".", "--out", "x.csv", "--size", "4"), 2, "not in the range"),
        (("folder", "--data", ".", "--out", "x.csv", "--detector", "dlib"), 1, "detector must be one of"),
        (("folder", "--data", "nowhere", "--out", "x.csv"), 1, "nowhere"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert message in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_keeps_what_was_done(photos: Path, tmp_path: Path) -> None:
    for i in range(300):
        shutil.copy(astronaut_path(), photos / "happy" / f"more{i}.jpg")
    out = tmp_path / "faces.csv"
    words = ["data", "prepare", photos, "--out", out, "--workers", "2"]
    journal = tmp_path / ".faces.csv.mien-journal"
    with started([sys.executable, "-m", "mien", *words], stderr=subprocess.PIPE, text=True) as process:
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("mien: interrupted\n")
    assert "Traceback" not in said
    for path in (photos / "happy").glob("more*.jpg"):
        assert path.exists()
    before = journal.read_bytes().count(b"\n") - 1
    assert 3 <= before < 300
    assert not out.exists()
