from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.data import load_images
from mien.data.baum2 import list_baum2_frames
from mien.errors import DatasetError, MienWarning
from mien.labels import BAUM8


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


def test_every_code_is_that_of_its_emotion(tmp_path: Path) -> None:
    words = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
    for code in range(8):
        clip(tmp_path, f"S001/{code:03d}", f"{code}".encode(), ("0.png",))
    found = list_baum2_frames(tmp_path)
    assert tuple(found.label_set.emotions[label] for label in found.labels) == words


@pytest.mark.parametrize(
    ("label", "said"),
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
def test_a_missing_or_wrong_code_is_named(tmp_path: Path, label: bytes | None, said: str) -> None:
    clip(tmp_path, "S001/001", b"1")
    clip(tmp_path, "S001/002", label)
    found = list_baum2_frames(tmp_path)
    assert set(found.clips) == {"S001/001"}
    assert found.problems == (f"S001/002/emotion.txt: {said}",)
    with pytest.warns(MienWarning, match=r"left out S001/002/emotion\.txt: "):
        assert len(load_images("baum2_frames", tmp_path)) == 2


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
