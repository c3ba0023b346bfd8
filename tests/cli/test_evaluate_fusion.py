"""``mien evaluate --fusion``: pairs of made faces and voices, labeled videos, and what is rejected."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.fusion import METHODS
from mien.io.audio import AudioBlock
from mien.labels import FER7
from mien.output.write import save_wav
from planted_videos import write_video
from speech_mixtures import voiced


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *words], catch_exceptions=False)


@pytest.fixture(scope="module")
def face_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table like FER2013's, with six images of noise an emotion."""
    random = np.random.default_rng(0)
    lines = ["emotion,pixels,Usage"]
    for usage in ("Training", "PublicTest"):
        for row in range(42):
            pixels = " ".join(map(str, random.integers(0, 256, 48 * 48)))
            lines.append(f"{row % 7},{pixels},{usage}")
    path = tmp_path_factory.mktemp("faces") / "fer.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def speech_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two clips an emotion."""
    folder = tmp_path_factory.mktemp("speech")
    for number, emotion in enumerate(FER7.emotions):
        (folder / emotion).mkdir()
        for take in range(2):
            wave = voiced(16000, np.random.default_rng(10 * number + take))
            save_wav(folder / emotion / f"{take}.wav", [AudioBlock(wave, 0.0, 16000)])
    return folder


def test_the_names_are_those_of_the_methods() -> None:
    done = run("--help")
    assert "[" + "|".join(METHODS) + "]" in "".join(done.stdout.split())


def test_pairs_from_the_command_to_the_report(face_table: Path, speech_folder: Path, tmp_path: Path) -> None:
    words = ["--fusion", "experts", "--faces", f"fer2013={face_table}", "--speech", f"speech_folder={speech_folder}"]
    done = run(*words, "--images", "1", "--report", str(tmp_path / "r"), "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["simulation"] is True
    assert (data["folds"], data["clips"], data["images"]) == (2, 14, 42)
    assert {f["condition"] for f in data["figures"]} >= {"clean", "no face", "silence", "babble alone"}
    assert json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8")) == data
    assert "A simulation" in (tmp_path / "r" / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with videos of nobody: one with a voice, one without sound, and one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    frames = [(np.full((120, 160, 3), 90, np.uint8), Fraction(i, 10)) for i in range(12)]
    for emotion in ("happiness", "anger"):
        (folder / emotion).mkdir()
    write_video(
        folder / "happiness" / "a_1.mp4", frames, rate=10, sound=(voiced(19200, np.random.default_rng(1)), 16000)
    )
    write_video(folder / "anger" / "b_1.mp4", frames, rate=10)
    (folder / "anger" / "b_2.mp4").write_bytes(b"no video at all")
    return folder


def test_labeled_videos(video_folder: Path, tmp_path: Path) -> None:
    done = run("--fusion", "average", "--videos", str(video_folder), "--report", str(tmp_path / "r"), "--json")
    assert done.exit_code == 3
    data = json.loads(done.stdout)
    assert data["n"] == 2
    by_name = {m["name"]: m for m in data["methods"]}
    assert set(by_name) == {"face", "voice", *METHODS}
    assert by_name["face"]["n_predicted"] == 0
    assert by_name["voice"]["n_predicted"] == by_name["experts"]["n_predicted"] == 1
    assert len(data["problems"]) == 1
    assert "b_2.mp4" in data["problems"][0]
    assert "b\\_2.mp4" in (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    shown = run("--fusion", "average", "--videos", str(video_folder)).stdout
    assert "average *" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fusion", "vote"], "'vote' is not one of 'experts', 'average'"),
        (["--fusion", "experts"], "--fusion needs --faces and --speech, or --videos"),
        (["--fusion", "experts", "--videos", "x", "--faces", "y"], "--videos goes without --faces"),
        (["face-base", "fer2013", "--speech", "x"], "--speech: only with --fusion"),
        (
            ["face-base", "fer2013", "--speech-folds", ".", "--images", "2"],
            "--speech-folds and --images: only with",
        ),
        (["--fusion", "experts", "--videos", "atlas=x"], "unknown dataset 'atlas': expected baum2"),
        (["face-base", "fer2013", "--fusion", "experts"], "but got 'fer2013'"),
        ([], "Missing argument 'MODEL"),
    ],
)
def test_what_makes_no_sense_is_rejected(words: list[str], message: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_odd_numbers_of_images_and_models_are_rejected(face_table: Path, speech_folder: Path) -> None:
    data = ["--faces", str(face_table), "--speech", f"speech_folder={speech_folder}"]
    for images in ("0", "1,1", "one"):
        done = run("--fusion", "experts", *data, "--images", images)
        assert done.exit_code == 2
        assert "--images must be integers such as 1,3" in " ".join(done.output.split())
    done = run("a,b,c", "--fusion", "experts", *data)
    assert done.exit_code == 2
    assert "--fusion takes a face model and a speech model, but got 3" in " ".join(done.output.split())
