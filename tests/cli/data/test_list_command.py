from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from speech_corpora import ravdess_names, tone, write_wav
from video_corpora import baum_frames, baum_videos, text, touch, video


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def table(said: str) -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(said))]


def test_clips_with_emotion_and_subject(tmp_path: Path) -> None:
    baum_videos(tmp_path / "videos", {"S001/001": 1, "S002/003": 7})
    done = run("list", "baum2", "--data", tmp_path / "videos")
    assert done.exit_code == 0
    assert table(done.stdout) == [
        ("clip", "file", "emotion", "subject", "split", "frames"),
        ("S001/001", "S001/avi/001.avi", "anger", "S001", "", ""),
        ("S002/003", "S002/avi/003.avi", "surprise", "S002", "", ""),
    ]
    baum_frames(tmp_path / "frames", {"S001/001": 1}, frames=4)
    done = run("list", tmp_path / "frames", "--csv")
    assert table(done.stdout)[1:] == [("S001/001", "S001/001/frames", "anger", "S001", "", "4")]
    assert done.stderr == f"mien: {tmp_path / 'frames'} is read as baum2\n"


def test_frames_of_images_and_of_videos(tmp_path: Path) -> None:
    baum_frames(tmp_path / "frames", {"S001/001": 1}, frames=11)
    done = run("list", "baum2", "--data", tmp_path / "frames", "--frames", "-n", 3)
    assert table(done.stdout) == [
        ("file", "frame", "emotion", "subject", "clip", "split"),
        ("S001/001/frames/0.png", "0", "anger", "S001", "S001/001", ""),
        ("S001/001/frames/5.png", "5", "anger", "S001", "S001/001", ""),
        ("S001/001/frames/10.png", "10", "anger", "S001", "S001/001", ""),
    ]
    video(tmp_path / "videos/test/sad/bob_1.mp4", 4)
    done = run("list", "video_folder", "--data", tmp_path / "videos", "--frames", "--split", "test", "--json")
    assert json.loads(done.stdout) == [
        {
            "file": "test/sad/bob_1.mp4",
            "frame": number,
            "emotion": "sadness",
            "subject": "bob",
            "clip": "test/sad/bob_1",
            "split": "test",
        }
        for number in range(4)
    ]


def test_videos_that_cannot_be_counted_are_exit_code_3_or_1(tmp_path: Path) -> None:
    video(tmp_path / "sad/bob_1.mp4", 4)
    text(tmp_path / "sad/bob_2.mp4", b"")
    done = run("list", tmp_path, "--frames")
    assert (done.exit_code, len(table(done.stdout))) == (3, 5)
    assert "bob_2.mp4" in done.stderr
    (tmp_path / "sad/bob_1.mp4").unlink()
    done = run("list", tmp_path, "--frames")
    assert (done.exit_code, len(table(done.stdout))) == (1, 1)


def test_a_list_goes_to_a_file(tmp_path: Path) -> None:
    touch(tmp_path / "videos", ["happy/ann_1.mp4", "sad/b\udcff_1.mp4", "noise.mp4"])
    done = run("list", tmp_path / "videos", "--out", tmp_path / "clips.csv")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines()[1:] == [
        "mien: noise.mp4: expected a folder named by an emotion above it",
        f"mien: wrote 2 clips to {tmp_path / 'clips.csv'}",
    ]
    assert table((tmp_path / "clips.csv").read_text("utf-8"))[1:] == [
        ("happy/ann_1", "happy/ann_1.mp4", "happiness", "ann", "", ""),
        ("sad/b\\udcff_1", "sad/b\\udcff_1.mp4", "sadness", "b\\udcff", "", ""),
    ]
    done = run("list", tmp_path / "videos", "--out", tmp_path / "nowhere" / "clips.csv")
    assert done.exit_code == 1
    assert "cannot write" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--csv", "--json"), 2, "--csv and --json exclude each other"),
        (("-n", "3"), 2, "-n needs --frames"),
        (("--split", "train"), 1, "has no split 'train': it has none"),
        (("--option", "labels=nothing"), 1, "unknown label set 'nothing'"),
    ],
)
def test_wrong_list_usage(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    touch(tmp_path, ["happy/ann_1.mp4"])
    done = run("list", tmp_path, *arguments)
    assert done.exit_code == code
    assert message in done.stderr


@pytest.mark.parametrize(
    ("names", "corpus"),
    [
        (["S001/avi/001.avi"], "baum2"),
        (["S001/001/emotion.txt"], "baum2"),
        (["S001/happy/x.mp4"], "video_folder"),
        (["cohn-kanade-images/x"], "ckplus_sequences"),
        (["Actor_01/01-01-05-01-01-01-01.mp4"], "ravdess_videos"),
        (["happy/x.mp4"], "video_folder"),
        (["notes.txt"], "video_folder"),
    ],
)
def test_what_a_folder_looks_like(names: list[str], corpus: str, tmp_path: Path) -> None:
    done = run("list", touch(tmp_path, names))
    assert done.stderr.startswith(f"mien: {tmp_path} is read as {corpus}\n")


def test_a_corpus_of_clips_is_inspected(tmp_path: Path) -> None:
    baum_frames(tmp_path / "frames", {"S001/001": 1, "S001/002": 1, "S002/001": 3}, frames=4)
    text(tmp_path / "frames/S003/001/emotion.txt", b"9")
    done = run("inspect", "baum2", "--data", tmp_path / "frames", "--sheet", tmp_path / "sheet.png")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["emotion", "clips"]
    assert lines[2].split() == ["anger", "2"]
    assert lines[-5:] == [
        "subjects  2, with 1 to 2 (median 1.5) clips each",
        "frames    4 in each of 3 clips of images",
        "sizes     12 x 12",
        "problems  1",
        "  S003/001/emotion.txt: expected a code 0..7, but got '9'",
    ]
    assert (tmp_path / "sheet.png").is_file()
    found = json.loads(run("inspect", "baum2", "--data", tmp_path / "frames", "--json").stdout)
    assert (found["images"], found["frames"]["max"]) == (3, 4)


def test_videos_are_inspected(tmp_path: Path) -> None:
    video(tmp_path / "train/sad/bob_1.mp4", 4)
    video(tmp_path / "test/happy/ann_1.mp4", 4, size=(80, 60))
    text(tmp_path / "test/happy/ann_2.mp4", b"")
    done = run("inspect", "video_folder", "--data", tmp_path)
    assert done.stdout.splitlines()[0].split() == ["emotion", "test", "train", "all"]
    assert "sizes     2 different; widths 64 to 80" in done.stdout
    assert "frames " not in done.stdout
    assert "ann_2.mp4" in done.stdout
    assert json.loads(run("inspect", "video_folder", "--data", tmp_path, "--json").stdout)["frames"] is None


def test_a_video_on_both_sides_of_a_split_is_a_leak(tmp_path: Path) -> None:
    rng = video(tmp_path / "videos/train/sad/bob_1.mp4", 5).read_bytes()
    text(tmp_path / "videos/test/happy/ann_1.mp4", rng)
    done = run("audit", "video_folder", "--data", tmp_path / "videos", "--strict", "--no-near", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)["findings"]
    assert [item["file"] for item in found["identical"]["groups"][0]["items"]] == [
        "test/happy/ann_1.mp4", "train/sad/bob_1.mp4"
    ]  # fmt: skip
    assert len(found["conflict"]["groups"]) == 1
    (tmp_path / "videos/test/happy/bob_2.mp4").write_bytes(rng)
    done = run(
        "audit", "video_folder", "--data", tmp_path / "videos", "--against", f"video_folder={tmp_path / 'videos'}"
    )
    assert done.exit_code == 0
    assert "one subject in several splits" in done.stdout


def test_images_and_audio_files_are_listed_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "sounds", ["Actor_12/03-01-05-02-01-02-12.wav"])
    done = run("list", "ravdess", "--data", tmp_path / "sounds")
    assert table(done.stdout) == [
        ("file", "emotion", "subject", "clip", "split", "sex", "intensity", "statement", "method"),
        ("Actor_12/03-01-05-02-01-02-12.wav", "anger", "12", "01-05-02-01-02-12", "", "female", "strong", "kids", ""),
    ]
    touch(tmp_path / "photos", ["test/sad/a.png", "test/joy/b.png"])
    done = run("list", "folder", "--data", tmp_path / "photos", "--json", "--split", "test")
    assert [(row["file"], row["emotion"]) for row in json.loads(done.stdout)] == [
        ("test/joy/b.png", "happiness"), ("test/sad/a.png", "sadness")
    ]  # fmt: skip
    wrong = run("list", "folder", "--data", tmp_path / "photos", "--frames")
    assert wrong.exit_code == 1
    assert "only videos have frames" in wrong.stderr


def test_a_list_of_speech_has_durations_and_a_split_that_is_read_again(tmp_path: Path) -> None:
    for number, name in enumerate(ravdess_names(range(1, 6), emotions=(1, 5))):
        write_wav(tmp_path / name, tone(hz=200 + number, seconds=0.5 + 0.01 * number))
    (tmp_path / "Actor_01/03-01-05-01-01-01-01.wav").write_bytes(b"none")
    out = tmp_path / "manifest.csv"
    done = run("list", "ravdess", "--data", tmp_path, "--seconds", "--suggest-split", "--out", out)
    assert done.exit_code == 3
    assert "03-01-05-01-01-01-01.wav" in done.stderr
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["seconds"] for row in rows[:2]] == ["0.5", "0.51"]
    assert [row["file"] for row in rows if not row["seconds"]] == ["Actor_01/03-01-05-01-01-01-01.wav"]
    of_subject = {row["subject"]: row["split"] for row in rows}
    assert sorted(of_subject.values()) == ["test", "train", "train", "train", "validation"]
    assert {(row["subject"], row["split"]) for row in rows} == set(of_subject.items())
    shown = json.loads(run("inspect", "speech_folder", "--data", tmp_path, "--json").stdout)
    assert {one["subject"]: one["split"] for one in shown["people"]} == of_subject
    audited = run("audit", "speech_folder", "--data", tmp_path, "--strict")
    assert audited.exit_code == 0
    assert "no leak between" in audited.stdout


def test_splits_and_durations_that_cannot_be(tmp_path: Path) -> None:
    write_wav(tmp_path / "data/happy/one.wav", tone())
    done = run("list", "speech_folder", "--data", tmp_path / "data", "--suggest-split")
    assert (done.exit_code, "speech_folder does not say who its subjects are" in done.stderr) == (1, True)
    baum_videos(tmp_path / "videos", {"S001/001": 1})
    cases = ((["--seconds"], "is for datasets of audio files"), (["--frames", "--seconds"], "--frames goes without"))
    for more, words in cases:
        done = run("list", "baum2", "--data", tmp_path / "videos", *more)
        assert (done.exit_code, words in done.stderr) == (2, True)
