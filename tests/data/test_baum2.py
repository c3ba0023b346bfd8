from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.data import load_dataset, load_images
from mien.data.baum2 import list_baum2_frames
from mien.data.files import read_code
from mien.errors import DatasetError, InputError
from mien.labels import BAUM8
from video_corpora import baum_frames, baum_videos, describe, text, touch

WORDS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (None, "the file is missing"),
        (b"", "expected a code 0..7, but got ''"),
        (b"8", "expected a code 0..7, but got '8'"),
        (b"-1", "expected a code 0..7, but got '-1'"),
        (b"1.5", "expected a code 0..7, but got '1.5'"),
        (b"nan", "expected a code 0..7, but got 'nan'"),
        (b"inf", "expected a code 0..7, but got 'inf'"),
        (b"happy", "expected a code 0..7, but got 'happy'"),
        (b"1 2", "expected a code 0..7, but got '1 2'"),
        (b"\xff\xfe7", r"expected a code 0..7, but got '\\xff\\xfe7'"),
        (b"7" * 5000, "expected a code 0..7, but got '77777777777777777777'"),
    ],
)
def test_a_missing_or_wrong_code_is_named(tmp_path: Path, label: bytes | None, reason: str) -> None:
    path = tmp_path / "emotion.txt"
    if label is not None:
        path.write_bytes(label)
    assert read_code(path) == ("", reason)


def test_every_code_is_that_of_its_emotion(tmp_path: Path) -> None:
    for code, word in enumerate(WORDS):
        assert read_code(text(tmp_path / "x.txt", f"   {code:.7e}\r\n".encode())) == (word, "")


# --- frame by frame --------------------------------------------------------------------------------


def clip(
    root: Path, name: str, label: bytes | None, frames: tuple[str, ...] = ("frames/0.jpg", "frames/1.jpg")
) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    if label is not None:
        (folder / "emotion.txt").write_bytes(label)
    for number, frame in enumerate(frames):
        (folder / frame).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / frame), np.full((48, 48), 40 * number, dtype=np.uint8))


def test_frames_carry_subject_clip_and_the_code_of_their_clip(tmp_path: Path) -> None:
    clip(tmp_path, "S002/010", b"   7.0000000e+00\r\n")
    clip(tmp_path, "S001/001", b"0", ("b.png", "a.png"))
    found = list_baum2_frames(tmp_path)
    assert tuple(found.files.tolist()) == (
        "S001/001/a.png",
        "S001/001/b.png",
        "S002/010/frames/0.jpg",
        "S002/010/frames/1.jpg",
    )
    assert [found.label_set.emotions[label] for label in found.labels] == ["neutral"] * 2 + ["surprise"] * 2
    assert found.label_set is BAUM8
    assert found.subjects.tolist() == ["S001", "S001", "S002", "S002"]
    assert found.clips.tolist() == ["S001/001", "S001/001", "S002/010", "S002/010"]
    assert found.problems == ()
    data = load_images("baum2_frames", tmp_path, size=24)
    assert data.images.shape == (4, 24, 24)
    assert data.images[:, 0, 0].tolist() == [40, 0, 0, 40]
    with pytest.raises(DatasetError, match="has no split 'train': it has none"):
        load_images("baum2_frames", tmp_path, split="train")


def test_what_does_not_belong_there_is_one_line_each(tmp_path: Path) -> None:
    clip(tmp_path, "S001/001", b"1")
    clip(tmp_path, "S001/002", b"1", ())
    clip(tmp_path, "others/001", b"1")
    (tmp_path / "S001" / "001" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "S001" / "list.txt").write_bytes(b"x")
    (tmp_path / "README").write_bytes(b"x")
    (tmp_path / "S001" / "003").mkdir()
    (tmp_path / "S001" / "003" / "emotion.txt").mkdir()
    found = list_baum2_frames(tmp_path)
    assert len(found) == 2
    assert found.problems == (
        "S001/001/Thumbs.db: not an image (by its name)",
        "S001/002: the clip has no frame",
        "S001/003/emotion.txt: cannot be opened: Is a directory",
        "S001/list.txt: a file beside the folders of clips",
        "others: a folder of a subject is named SNNN",
    )


def test_a_folder_without_clips_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"must hold SNNN/NNN/emotion\.txt .*, but has nothing that fits$"):
        list_baum2_frames(tmp_path)
    clip(tmp_path, "S001/001", None)
    with pytest.raises(DatasetError, match=r"but has nothing that fits: S001/001/emotion\.txt: the file is missing"):
        list_baum2_frames(tmp_path)
    with pytest.raises(DatasetError, match="there is no such folder"):
        load_images("baum2_frames", tmp_path / "nowhere")


@pytest.mark.data
def test_the_real_frames(data_dir: Path) -> None:
    found = list_baum2_frames(data_dir / "baum2_frames")
    assert (len(found), len(set(found.clips)), found.problems) == (2272, 147, ())
    # Clips of each code 0..7, counted from the label files themselves.
    codes = [found.labels[found.clips == name][0] for name in sorted(set(found.clips))]
    assert np.bincount(codes).tolist() == [26, 27, 10, 10, 8, 32, 21, 13]
    assert found.read(0).shape == (48, 48, 3)


# --- videos ----------------------------------------------------------------------------------------


def test_both_trees_of_baum2_tell_the_same(tmp_path: Path) -> None:
    codes = {f"S{code // 3:03d}/{code:03d}": code for code in range(8)}
    videos = load_dataset("baum2", baum_videos(tmp_path / "a", codes))
    frames = load_dataset("baum2", baum_frames(tmp_path / "b", codes, inner=""))
    assert describe(videos) == describe(frames) == [(clip, WORDS[code], clip[:4]) for clip, code in codes.items()]
    assert videos.label_set is frames.label_set is BAUM8
    assert not any(videos.frames)
    assert videos.files[4] == "S001/avi/004.avi"
    assert frames.frames[4] == ("S001/004/0.png", "S001/004/1.png", "S001/004/2.png")
    assert videos.problems == frames.problems == ()


def test_two_trees_in_one_folder_need_a_choice(tmp_path: Path) -> None:
    baum_videos(tmp_path, {"S001/001": 1})
    baum_frames(tmp_path, {"S002/001": 2, "S001/002": 3})
    with pytest.raises(DatasetError, match=r"both videos \(S001/avi\) and extracted frames .* option form must say"):
        load_dataset("baum2", tmp_path)
    assert describe(load_dataset("baum2", tmp_path, form="videos")) == [("S001/001", "anger", "S001")]
    assert [clip for clip, _, _ in describe(load_dataset("baum2", tmp_path, form="frames"))] == ["S001/002", "S002/001"]
    with pytest.raises(InputError, match="form must be videos or frames, but got 'x'"):
        load_dataset("baum2", tmp_path, form="x")


@pytest.mark.parametrize("tree", ["videos", "frames"])
def test_clips_without_a_code_are_left_out(tmp_path: Path, tree: str) -> None:
    lay, where = (baum_videos, "S001/emotion/002.txt") if tree == "videos" else (baum_frames, "S001/002/emotion.txt")
    lay(tmp_path, {"S001/001": 1, "S001/002": 2})
    text(tmp_path / where, b"8")
    clips = load_dataset("baum2", tmp_path)
    assert describe(clips) == [("S001/001", "anger", "S001")]
    assert clips.problems == (f"{where}: expected a code 0..7, but got '8'",)


def test_what_does_not_belong_into_baum2_is_one_line_each(tmp_path: Path) -> None:
    videos = baum_videos(tmp_path / "videos", {"S001/001": 1})
    touch(videos, ["S001/avi/001.mp4", "S001/avi/notes.txt", "S001/avi/.DS_Store", "S001/emotion/009.txt", "extra/x"])
    assert load_dataset("baum2", videos).problems == (
        "extra: a folder of a subject is named SNNN",
        "S001/avi/001.mp4: the same clip as S001/avi/001.avi",
        "S001/avi/notes.txt: not a video (by its name)",
        "S001/emotion/009.txt: there is no video 009",
    )
    frames = baum_frames(tmp_path / "frames", {"S001/001": 1})
    touch(frames, ["S001/x.txt", "S001/001/notes.txt", "manifest.csv"])
    text(frames / "S001/002/emotion.txt", b"1")
    assert load_dataset("baum2", frames).problems == (
        "S001/001/notes.txt: not an image (by its name)",
        "S001/002: the clip has no frame",
        "S001/x.txt: a file beside the folders of clips",
    )


@pytest.mark.data
def test_the_147_clips_of_baum2(data_dir: Path) -> None:
    clips = load_dataset("baum2", data_dir / "baum2_frames")
    assert (len(clips), len(set(clips.subjects.tolist())), clips.problems) == (147, 50, ())
    # Counted with `sort | uniq -c` over the files emotion.txt.
    assert np.bincount(clips.labels).tolist() == [26, 27, 10, 10, 8, 32, 21, 13]
    lengths = [len(clips.read_frames(i)) for i in range(len(clips))]
    assert (min(lengths), max(lengths), lengths.count(16)) == (5, 16, 121)
