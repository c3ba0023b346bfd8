from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.data import load_dataset
from mien.io.image import read_image
from mien.samples import astronaut_path
from planted_videos import write_video
from processes import started
from video_corpora import text, video


def run(*arguments: object, workers: int = 1) -> Result:
    return CliRunner().invoke(main, ["data", "frames", *map(str, arguments), "--workers", str(workers)])


@pytest.fixture(scope="session")
def portrait_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of 32 frames of a portrait."""
    path = tmp_path_factory.mktemp("portrait") / "portrait.mp4"
    image = np.ascontiguousarray(read_image(astronaut_path()).pixels[40:240, 130:330])
    write_video(path, ((image, Fraction(n, 10)) for n in range(32)), rate=10)
    return path


@pytest.fixture
def videos(portrait_video: Path, tmp_path: Path) -> Path:
    """Return the published tree of BAUM-2: two videos of a face, and one of a wall."""
    for clip in ("001", "002"):
        (tmp_path / "videos/S001/avi").mkdir(parents=True, exist_ok=True)
        shutil.copy(portrait_video, tmp_path / f"videos/S001/avi/{clip}.mp4")
        text(tmp_path / f"videos/S001/emotion/{clip}.txt", b"   5.0000000e+00\r\n")
    video(tmp_path / "videos/S002/avi/001.mp4", 4)
    text(tmp_path / "videos/S002/emotion/001.txt", b"1")
    return tmp_path / "videos"


def test_the_tree_of_baum2(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    done = run("baum2", "--data", videos, "--out", out)
    assert (done.exit_code, done.stdout) == (3, f"{out}: 32 faces of 2 of 3 clips\n")
    assert done.stderr == f"mien: rejected: 4 frames without a face; see {out / 'rejected.csv'}\n"
    assert load_dataset("baum2", out).faces(count=None).images.shape == (32, 48, 48)
    again = run("baum2", "--data", videos, "--out", out)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "will not write over" in again.stderr


def test_a_path_is_read_as_what_it_looks_like(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    done = run(videos / "S001" / "..", "--out", out, "-n", 2, "--size", 20, "--no-smooth", "--detector", "haar")
    assert f"mien: {videos / 'S001' / '..'} is read as baum2\n" in done.stderr
    assert load_dataset("baum2", out).faces(20, count=None).images.shape[1:] == (20, 20)
    assert {len(files) for files in load_dataset("baum2", out).frames} == {2}


def test_by_emotion_every_15th_frame(portrait_video: Path, tmp_path: Path) -> None:
    for code in ("05", "03"):
        (tmp_path / "videos/Actor_01").mkdir(parents=True, exist_ok=True)
        shutil.copy(portrait_video, tmp_path / f"videos/Actor_01/01-01-{code}-01-01-01-01.mp4")
    done = run(tmp_path / "videos", "--out", tmp_path / "faces", "--layout", "emotions", "--min-face", 30)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'faces'}: 6 faces of 2 of 2 clips\n")
    assert done.stderr == f"mien: {tmp_path / 'videos'} is read as ravdess_videos\n"
    assert load_dataset("folder", tmp_path / "faces").files[3] == "anger/01-05-01-01-01-01_000000.png"
    other = run(tmp_path / "videos", "--out", tmp_path / "other", "--layout", "emotions", "-n", 1)
    assert other.stdout.endswith(": 2 faces of 2 of 2 clips\n")
    clips = run(tmp_path / "videos", "--out", tmp_path / "clips", "--every", 10)
    assert clips.stdout.endswith(": 8 faces of 2 of 2 clips\n")
    assert "mien: ravdess8 becomes baum8: calm counts as neutral\n" in clips.stderr


def test_bad_videos_are_exit_code_3(videos: Path, tmp_path: Path) -> None:
    text(videos / "S001/avi/002.mp4", b"")
    done = run("baum2", "--data", videos, "--out", tmp_path / "faces", workers=2)
    assert done.exit_code == 3
    assert "rejected: 1 clips unreadable, 4 frames without a face" in done.stderr
    with (tmp_path / "faces/rejected.csv").open(newline="", encoding="utf-8") as stream:
        first = next(csv.DictReader(stream))
    assert (first["clip"], first["kind"]) == ("S001/002", "unreadable")
    assert "is empty" in first["reason"]


def test_no_face_at_all_is_exit_code_1(tmp_path: Path) -> None:
    video(tmp_path / "videos/sad/a_1.mp4", 4)
    done = run(tmp_path / "videos", "--out", tmp_path / "faces")
    assert (done.exit_code, done.stdout) == (1, f"{tmp_path / 'faces'}: 0 faces of 0 of 1 clips\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument"),
        (("baum2", "--data", "."), 2, "Missing option '--out'"),
        (("baum2", "--out", "x"), 2, "--data must say where baum2 lies"),
        (("baum3", "--data", ".", "--out", "x"), 2, "unknown dataset 'baum3': expected baum2, "),
        (("baum2", "--data", ".", "--out", "x", "-n", "0"), 2, "not in the range"),
        (("baum2", "--data", "nowhere", "--out", "x"), 1, "nowhere"),
        (("baum2", "--data", ".", "--out", "x", "--option", "color=1"), 1, "has no option 'color'"),
    ],
)
def test_wrong_frames_usage(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        done = run(*arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_two_ways_to_choose_frames_exclude_each_other(videos: Path, tmp_path: Path) -> None:
    done = run("baum2", "--data", videos, "--out", tmp_path / "x", "-n", 2, "--every", 3)
    assert done.exit_code == 2
    assert "-n and --every exclude each other" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_keeps_the_videos_that_are_done(portrait_video: Path, tmp_path: Path) -> None:
    for i in range(200):
        (tmp_path / "videos/happy").mkdir(parents=True, exist_ok=True)
        shutil.copy(portrait_video, tmp_path / f"videos/happy/a_{i:03d}.mp4")
    out = tmp_path / "faces"
    words = ["data", "frames", tmp_path / "videos", "--out", out, "--workers", "2"]
    journal = tmp_path / ".faces.mien-journal"
    with started([sys.executable, "-m", "mien", *words], stderr=subprocess.PIPE, text=True) as process:
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("mien: interrupted\n")
    assert "Traceback" not in said
    before = journal.read_bytes().count(b"\n") - 1
    assert 3 <= before < 200
    # Whoever takes what is there gets whole clips only.
    there = load_dataset("baum2", out)
    assert before <= len(there) <= before + 4
    assert {len(files) for files in there.frames} == {16}
    for path in sorted((tmp_path / "videos/happy").iterdir())[10:]:
        path.unlink()
    other = run(tmp_path / "videos", "--out", out)
    assert other.exit_code == 1
    assert "is of a run with other list" in other.stderr
