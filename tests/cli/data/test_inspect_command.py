from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from face_tables import make_rows, table_text, write_table
from mien.cli import main
from mien.data import DATASETS
from speech_corpora import ravdess_names, tone, write_wav


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "inspect", *map(str, arguments)])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "faces"
    for split, n in (("train", 3), ("test", 1)):
        for emotion in ("happy", "sad"):
            (root / split / emotion).mkdir(parents=True)
            for number in range(n):
                pixels = np.full((8, 6 + number), 90, dtype=np.uint8)
                cv2.imwrite(str(root / split / emotion / f"{number}.png"), pixels)
    (root / "cats").mkdir()
    return root


def test_a_folder_is_a_table(tree: Path) -> None:
    done = run("folder", "--data", tree)
    assert done.exit_code == 0
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["emotion", "test", "train", "all"]
    assert ["happiness", "1", "3", "4"] in rows
    assert ["anger", "0", "0", "0"] in rows
    assert ["all", "2", "6", "8"] in rows
    assert "sizes     3 different; widths 6 to 8 (median 6.5), heights 8; most often 6 x 8 (4)\n" in done.stdout
    assert done.stdout.endswith("problems  1\n  cats: neither an emotion nor a split with folders of emotions\n")


def test_json_holds_the_same(tree: Path) -> None:
    found = json.loads(run("folder", "--data", tree, "--split", "train", "--json").stdout)
    assert (found["images"], found["counts"]["train"]["sadness"], found["label_set"]) == (6, 3, "fer7")
    assert found["sizes"][0] == {"width": 6, "height": 8, "images": 2}
    assert len(found["problems"]) == 1


def test_a_folder_without_a_name_is_read_and_its_name_suggested(tree: Path) -> None:
    done = run(tree)
    assert done.exit_code == 0
    assert done.stderr == f"mien: {tree} is read as: mien data inspect folder --data {tree}\n"
    assert done.stdout == run("folder", "--data", tree).stdout


def test_a_corpus_of_speech_is_told_by_its_names(tmp_path: Path) -> None:
    for corpus, names in (
        ("ravdess", ("Actor_01/03-01-05-02-01-01-01.wav", "Actor_02/03-01-03-01-01-01-02.wav")),
        ("emodb", ("03a01Fa.wav", "16b10Wb.wav")),
        ("speech_folder", ("happy/one.wav", "sad/two.wav")),
    ):
        for name in names:
            (tmp_path / corpus / name).parent.mkdir(parents=True, exist_ok=True)
            write_wav(tmp_path / corpus / name, tone())
        done = run(tmp_path / corpus)
        assert done.exit_code == 0, done.output
        assert f"is read as {corpus}\n" in done.stderr
        assert re.search(r"all +2\n", done.stdout)


def test_of_many_files_a_sample_is_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.data.summary.SAMPLE", 3)
    (tree / "train" / "sad" / "broken.png").write_bytes(b"none")
    done = run("folder", "--data", tree, "--json")
    assert done.stderr == "mien: sizes are those of 3 of 9 images: --all reads every one\n"
    everything = run("folder", "--data", tree, "--all", "--json")
    assert everything.stderr == ""
    found = json.loads(everything.stdout)
    assert found["measured"] == 8
    assert any("broken.png" in line for line in found["problems"])


def test_many_problems_are_cut_for_people(tree: Path) -> None:
    for number in range(30):
        (tree / "train" / "sad" / f"{number}.txt").write_text("")
    done = run("folder", "--data", tree)
    assert done.stdout.endswith("\n  and 11 more: --json lists all\n")
    assert len(json.loads(run("folder", "--data", tree, "--json").stdout)["problems"]) == 31


def test_a_table_needs_no_files(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv", table_text(make_rows(["Training"] * 8 + ["PublicTest"])))
    done = run("fer2013", "--data", path)
    assert done.exit_code == 0
    assert done.stderr == f"mien: reading {path}\n"
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["emotion", "Training", "PublicTest", "all"]
    assert ["anger", "2", "0", "2"] in rows
    assert "sizes     48 x 48\nproblems  none\n" in done.stdout


def test_without_splits_there_is_one_column_and_subjects_are_counted(tmp_path: Path) -> None:
    for clip, code in (("S001/001", "0"), ("S001/002", "1"), ("S002/001", "5")):
        (tmp_path / clip).mkdir(parents=True)
        (tmp_path / clip / "emotion.txt").write_text(code)
        cv2.imwrite(str(tmp_path / clip / "0.png"), np.zeros((4, 4), dtype=np.uint8))
    done = run("baum2_frames", "--data", tmp_path)
    assert done.stdout.splitlines()[:3] == ["emotion    images", "neutral         1", "anger           1"]
    assert "subjects  2, with 1 to 2 (median 1.5) images each\nclips     3\nsizes     4 x 4\n" in done.stdout


def test_the_sheet_is_a_png_that_its_seed_decides(tree: Path, tmp_path: Path) -> None:
    done = run("folder", "--data", tree, "--sheet", tmp_path / "a.png", "--seed", "3")
    assert done.exit_code == 0
    assert done.stderr == f"mien: drew {tmp_path / 'a.png'}\n"
    run("folder", "--data", tree, "--sheet", tmp_path / "b.png", "--seed", "3")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    page = cv2.imread(str(tmp_path / "a.png"))
    assert page is not None
    assert (page == 90).all(axis=2).sum() > 8 * 96 * 60
    wrong = run("folder", "--data", tree, "--sheet", tmp_path / "a.jpg")
    assert wrong.exit_code == 2
    assert "--sheet must end in .png, but is 'a.jpg'" in wrong.stderr
    gone = run("folder", "--data", tree, "--sheet", tmp_path / "nowhere" / "a.png")
    assert gone.exit_code == 1
    assert "no such folder to write to" in gone.stderr


def test_the_list_names_all_data_sets() -> None:
    done = run("--list")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [[name, DATASETS[name].kind] for name in DATASETS]
    assert all(line.endswith(DATASETS[name].about) for line, name in zip(lines, DATASETS, strict=True))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument 'NAME|PATH'"),
        (("folder",), 2, "--data must say where folder lies"),
        (("dogs", "--data", "."), 2, "unknown dataset 'dogs': expected fer2013, "),
        (("dogs",), 2, "unknown dataset 'dogs': expected fer2013, "),
        (("folder", "--data", "nowhere"), 1, "there is no such folder"),
        (("folder", "--data", "FACES", "--split", "val"), 1, "has no split 'val': it has test, train"),
        (("folder", "--data", "FACES", "--option", "mode=3"), 1, "dataset 'folder' has no option 'mode'"),
    ],
)
def test_wrong_words_are_one_line(tree: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*(str(tree) if word == "FACES" else word for word in arguments))
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr


def test_audio_files_have_durations(tmp_path: Path) -> None:
    for number, seconds in enumerate((0.5, 1.0, 1.5)):
        write_wav(tmp_path / f"data/train/{('sad', 'joy', 'joy')[number]}/{number}.wav", tone(seconds=seconds))
    done = run("speech_folder", "--data", tmp_path / "data")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "seconds   0.5 to 1.5 (median 1)\n" in done.stdout
    assert "sizes" not in done.stdout
    found = json.loads(run("speech_folder", "--data", tmp_path / "data", "--json").stdout)
    assert found["seconds"] == {"n": 3, "min": 0.5, "median": 1.0, "max": 1.5}
    assert (found["measured"], found["counts"]["train"]["happiness"]) == (3, 2)
    drawn = run("speech_folder", "--data", tmp_path / "data", "--sheet", tmp_path / "s.png")
    assert drawn.exit_code == 1
    assert "there are no images to draw" in drawn.stderr


def test_speakers_of_a_corpus_and_a_split_that_keeps_them_apart(tmp_path: Path) -> None:
    for name in ravdess_names(range(1, 11), emotions=(1, 5)):
        write_wav(tmp_path / name, tone(seconds=0.5))
    done = run("ravdess", "--data", tmp_path)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["subject", "sex", "files", "suggested", "split", "seconds"] in lines
    people = [line for line in lines if len(line) == 5 and line[0].isdigit()]
    assert [(line[0], line[1], line[2], line[4]) for line in people] == [
        (f"{actor:02}", "male" if actor % 2 else "female", "12", "6.0") for actor in range(1, 11)
    ]
    for split, count in (("test", 2), ("validation", 2), ("train", 6)):
        sexes = [line[1] for line in people if line[3] == split]
        assert (len(sexes), sexes.count("female")) == (count, count // 2)
    found = json.loads(run("ravdess", "--data", tmp_path, "--json").stdout)["people"]
    assert found[0]["counts"] == {"neutral": 4, "anger": 8}
    assert (found[0]["n"], found[0]["measured"], found[0]["seconds"], found[0]["split"]) == (12, 12, 6.0, "")
