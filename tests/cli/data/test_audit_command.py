from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from face_tables import VOTES, make_rows, table_text, votes_text, write_table
from mien.cli import main
from speech_corpora import tone, write_wav


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "audit", *map(str, arguments)])


def lines_of(done: Result) -> list[list[str]]:
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two splits of two emotions; test/happy/0.png is train/sad/1.png, train/sad/2.png is brighter than it."""
    root = tmp_path / "faces"
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for emotion in ("happy", "sad"):
            (root / split / emotion).mkdir(parents=True)
            for number in range(2):
                noise = cv2.GaussianBlur(generator.normal(0, 1, (60, 50)), (0, 0), 2)
                pixels = np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / split / emotion / f"{number}.png"), pixels)
    pixels = cv2.imread(str(root / "train" / "sad" / "1.png"))
    assert pixels is not None
    cv2.imwrite(str(root / "test" / "happy" / "0.png"), pixels)
    cv2.imwrite(str(root / "train" / "sad" / "2.png"), (pixels * 0.7 + 60).astype(np.uint8))
    (root / "train" / "sad" / "bad.png").write_text("no image")
    return root


def test_the_table_and_the_verdict(tree: Path) -> None:
    done = run("folder", "--data", tree)
    assert (done.exit_code, done.stderr) == (0, "")
    rows = lines_of(done)
    assert rows[0] == ["10", "images", "of", "folder"]
    assert ["identical", "images", "1", "2", "1", "1"] in rows
    assert ["near", "copies", "1", "3", "1", "1"] in rows
    assert ["identical", "images,", "different", "labels", "1", "2"] in rows
    assert ["unreadable", "files", "1"] in rows
    assert ["1", "test", "identical", "train"] in rows
    assert ["2", "train", "a", "near", "copy", "test"] in rows
    assert any(line.startswith("unreadable: ") and "bad.png" in line for line in done.stdout.splitlines())
    assert done.stdout.endswith("\n2 groups lie on both sides of a split\n")


def test_strict_is_exit_code_1_for_a_leak_alone(tree: Path) -> None:
    assert run("folder", "--data", tree, "--strict").exit_code == 1
    # Within one split, copies, conflicts and files that cannot be read are findings, but no leak.
    alone = run("folder", "--data", tree, "--strict", "--split", "train")
    assert alone.exit_code == 0
    assert alone.stdout.endswith("\nno leak: there is only one side, train\n")
    assert ["near", "copies", "1", "2", "0", "0"] in lines_of(alone)


def test_json_on_stdout_and_in_a_file(tree: Path, tmp_path: Path) -> None:
    done = run("folder", "--data", tree, "--json", "--out", tmp_path / "audit.json")
    assert done.stderr == f"mien: wrote all groups to {tmp_path / 'audit.json'}\n"
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "audit.json").read_text("utf-8"))
    items = found["findings"]["identical"]["groups"][0]["items"]
    assert [item["file"] for item in items] == ["test/happy/0.png", "train/sad/1.png"]
    assert [item["where"] for item in items] == [str(tree / item["file"]) for item in items]
    gone = run("folder", "--data", tree, "--out", tmp_path / "nowhere" / "audit.json")
    assert (gone.exit_code, "No such file or directory" in gone.stderr) == (1, True)


def test_the_sheet_is_an_image(tree: Path, tmp_path: Path) -> None:
    done = run("folder", "--data", tree, "--sheet", tmp_path / "pairs.png")
    assert done.stderr == f"mien: drew {tmp_path / 'pairs.png'}\n"
    page = cv2.imread(str(tmp_path / "pairs.png"))
    assert page is not None
    assert page.shape[1] > 4 * 112  # two pairs beside each other
    clean = run("folder", "--data", tree, "--split", "test", "--sheet", tmp_path / "none.png")
    assert f"there are no copies to draw: {tmp_path / 'none.png'} is not written" in clean.stderr
    assert (clean.exit_code, (tmp_path / "none.png").exists()) == (0, False)
    wrong = run("folder", "--data", tree, "--sheet", "pairs.jpg")
    assert (wrong.exit_code, "--sheet must end in .png, but is 'pairs.jpg'" in wrong.stderr) == (2, True)


def test_against_another_data_set(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "exam" / "fear"
    other.mkdir(parents=True)
    (other / "copy.png").write_bytes((tree / "test" / "sad" / "0.png").read_bytes())
    (other.parent / "sad").mkdir()
    cv2.imwrite(str(other.parent / "sad" / "new.png"), np.eye(48, dtype=np.uint8) * 200)
    done = run("folder", "--data", tree, "--against", f"folder={other.parent}", "--strict", "--no-near")
    assert done.exit_code == 1
    rows = lines_of(done)
    assert rows[0] == ["12", "images", "of", "folder,", "folder", "#2"]
    assert ["1", "folder:", "test", "identical", "folder", "#2"] in rows
    assert not any(row[:2] == ["near", "copies"] for row in rows)
    for wrong in ("folder", "=x", "dogs=."):
        assert run("folder", "--data", tree, "--against", wrong).exit_code == 2


def test_faces_are_looked_for_when_asked(tree: Path) -> None:
    assert "no face found" not in run("folder", "--data", tree).stdout
    assert ["no", "face", "found", "9"] in lines_of(run("folder", "--data", tree, "--faces"))


def test_rows_of_ferplus_voted_no_face(tmp_path: Path) -> None:
    usages = ["Training"] * 3
    write_table(tmp_path / "fer2013.csv", table_text(make_rows(usages)))
    none = dict.fromkeys(VOTES, 0)
    votes = [list({**none, **v}.values()) for v in ({"NF": 10}, {"fear": 10}, {"NF": 6, "fear": 4})]
    write_table(tmp_path / "votes.csv", votes_text(list(zip(usages, votes, strict=True))))
    done = run("ferplus", "--data", tmp_path, "--labels", tmp_path / "votes.csv")
    assert ["voted", "not", "a", "face", "2"] in lines_of(done)
    assert "voted" not in run("fer2013", "--data", tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument 'NAME|PATH'"),
        (("folder",), 2, "--data must say where folder lies"),
        (("folder", "--data", "nowhere"), 1, "there is no such folder"),
        (("folder", "--data", "FACES", "--split", "val"), 1, "has no split 'val'"),
    ],
)
def test_wrong_words_are_one_line(tree: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*(str(tree) if word == "FACES" else word for word in arguments))
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr


def test_audio_files_are_compared_by_their_sound(tmp_path: Path) -> None:
    for name, hz in (("train/sad/a", 300), ("train/joy/b", 300), ("test/sad/c", 300), ("test/joy/d", 500)):
        write_wav(tmp_path / "data" / f"{name}.wav", tone(hz=hz))
    write_wav(tmp_path / "data/test/joy/e.wav", np.zeros(8000, np.float32))
    done = run("speech_folder", "--data", tmp_path / "data", "--strict")
    assert (done.exit_code, done.stderr) == (1, "")
    rows = lines_of(done)
    assert rows[0] == ["5", "files", "of", "speech_folder"]
    assert ["identical", "sounds", "1", "3", "1", "1"] in rows
    assert ["silent", "files", "1"] in rows
    assert not any(row[:2] == ["near", "copies"] for row in rows)
    wrong = run("speech_folder", "--data", tmp_path / "data", "--faces")
    assert wrong.exit_code == 1
    assert "in which no faces can be found" in wrong.stderr
    (tmp_path / "photos/sad").mkdir(parents=True)
    wrong = run("speech_folder", "--data", tmp_path / "data", "--against", f"video_folder={tmp_path / 'photos'}")
    assert wrong.exit_code == 1


def test_speakers_copies_and_conflicts_of_speech(tmp_path: Path) -> None:
    """Planted: the sound of one speaker under another's name, one on both sides, a conflict, noise and silence."""
    data = tmp_path / "data"
    names = ("train/happy/ann_1.wav", "train/happy/bob_1.wav", "test/sad/bob_2.wav", "test/sad/cat_1.wav")
    for number, name in enumerate(names):
        write_wav(data / name, tone(hz=200 + 50 * number))
    write_wav(data / "test/happy/dan_1.wav", tone(hz=200))
    write_wav(data / "test/angry/dan_2.wav", tone(hz=350))
    write_wav(data / "test/sad/eve_1.wav", np.zeros(8000, np.float32))
    (data / "test/sad/eve_2.wav").write_bytes(b"none")
    option = ("--option", r"subject=/([a-z]+)_\d")
    done = run("speech_folder", "--data", data, "--strict", *option)
    assert done.exit_code == 1
    assert "unreadable" in done.stdout
    assert "train/happy/ann_1.wav (train, happiness, ann)" in done.stdout
    assert "test/happy/dan_1.wav (test, happiness, dan)" in done.stdout
    assert "one subject in several splits: bob in " in done.stdout
    found = json.loads(run("speech_folder", "--data", data, "--json", *option).stdout)["findings"]
    groups = {kind: [sorted(i["file"] for i in g["items"]) for g in one["groups"]] for kind, one in found.items()}
    assert groups["shared"] == groups["identical"]
    assert sorted(groups["identical"]) == [
        ["test/angry/dan_2.wav", "test/sad/cat_1.wav"],
        ["test/happy/dan_1.wav", "train/happy/ann_1.wav"],
    ]
    assert groups["conflict"] == [["test/angry/dan_2.wav", "test/sad/cat_1.wav"]]
    assert groups["subject"] == [["test/sad/bob_2.wav", "train/happy/bob_1.wav"]]
    assert (groups["flat"], groups["unreadable"]) == ([["test/sad/eve_1.wav"]], [["test/sad/eve_2.wav"]])
    assert (found["identical"]["leaks"], found["subject"]["leaks"]) == (1, 1)
