from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import load_images
from mien.data.ckplus import list_ckplus48
from mien.errors import DatasetError
from mien.labels import BAUM8


def save(path: Path, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_reads_the_seven_folders(tmp_path: Path) -> None:
    folders = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    # The archive holds the folder CK+48; the path may be either.
    pixels = [save(tmp_path / "CK+48" / name / f"S0{10 + i}_004_00000017.png", i) for i, name in enumerate(folders)]
    for path in (tmp_path, tmp_path / "CK+48"):
        data = load_images("ckplus48", path)
        # CK+'s own codes are 1..7 in this order; 0 is neutral, which CK+48 lacks.
        assert data.labels.tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert data.label_set == BAUM8
        np.testing.assert_array_equal(data.images, pixels)


def test_frames_of_a_sequence_and_a_subject_stay_together(tmp_path: Path) -> None:
    for number in (15, 16, 17):
        save(tmp_path / "anger" / f"S010_004_{number:08}.png", number)
    save(tmp_path / "happy" / "S010_006_00000015.png", 1)
    save(tmp_path / "happy" / "S011_006_00000013.png", 2)
    data = load_images("ckplus48", tmp_path)
    assert data.clips.tolist() == ["S010/004"] * 3 + ["S010/006", "S011/006"]
    assert data.groups().tolist() == [0, 0, 0, 0, 1]


def test_says_what_does_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "anger" / "S010_004_00000017.png")
    save(tmp_path / "anger" / "someone.png")
    save(tmp_path / "calm" / "S010_004_00000018.png")
    save(tmp_path / "S010_004_00000019.png")
    listed = list_ckplus48(tmp_path)
    assert tuple(listed.files.tolist()) == ("anger/S010_004_00000017.png",)
    assert listed.problems == (
        "S010_004_00000019.png: its folder is not named after an emotion of CK+",
        "anger/someone.png: the name is not of the form S010_004_00000017",
        "calm/S010_004_00000018.png: its folder is not named after an emotion of CK+",
    )


def test_says_why_there_is_nothing(tmp_path: Path) -> None:
    save(tmp_path / "S010_004_00000019.png")
    with pytest.raises(
        DatasetError, match=r"must hold folders anger, contempt, .*: S010_004_00000019\.png: its folder"
    ):
        load_images("ckplus48", tmp_path)
