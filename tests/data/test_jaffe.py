from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import load_images
from mien.data.images import list_jaffe
from mien.errors import DatasetError, MienWarning
from mien.labels import FER7


def save(path: Path, gray: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (256, 256), gray).save(path)
    return path


def test_reads_subject_and_emotion_from_names(tmp_path: Path) -> None:
    letters = ("AN", "DI", "FE", "HA", "NE", "SA", "SU")
    for gray, code in enumerate(letters):
        save(tmp_path / f"K{code[0]}.{code}1.{39 + gray}.tiff", 10 * gray)
    data = load_images("jaffe", tmp_path)
    words = [FER7.emotions[label] for label in data.labels]
    assert words == ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    assert data.images[:, 24, 24].tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert data.subjects.tolist() == ["KA", "KD", "KF", "KH", "KN", "KS", "KS"]
    assert data.images.shape == (7, 48, 48)
    assert data.split_names() == [""]


def test_takes_other_formats_and_folders(tmp_path: Path) -> None:
    save(tmp_path / "jaffe" / "KA.AN1.39.jpg")
    save(tmp_path / "jaffe" / "km.su3.14.PNG")
    listed = list_jaffe(tmp_path)
    assert tuple(listed.files.tolist()) == ("jaffe/KA.AN1.39.jpg", "jaffe/km.su3.14.PNG")
    assert listed.subjects.tolist() == ["KA", "KM"]
    assert listed.problems == ()


def test_says_what_does_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "KA.AN1.39.tiff")
    save(tmp_path / "KA.AN1.39.png")
    save(tmp_path / "KA.XX1.40.tiff")
    save(tmp_path / "portrait.tiff")
    (tmp_path / "README_FIRST.txt").write_text("about", "utf-8")
    listed = list_jaffe(tmp_path)
    assert tuple(listed.files.tolist()) == ("KA.AN1.39.png",)
    assert listed.problems == (
        "KA.AN1.39.tiff: the same image as KA.AN1.39.png",
        "KA.XX1.40.tiff: expected one of AN, DI, FE, HA, NE, SA, SU in the name, but got XX",
        "README_FIRST.txt: not an image (by its name)",
        "portrait.tiff: the name is not of the form KA.AN1.39",
    )
    with pytest.warns(MienWarning, match=r"left out KA\.AN1\.39\.tiff: the same image .* \(and 3 more"):
        assert len(load_images("jaffe", tmp_path)) == 1


def test_says_why_there_is_nothing(tmp_path: Path) -> None:
    save(tmp_path / "portrait.tiff")
    with pytest.raises(
        DatasetError,
        match=r"must hold images named like KA\.AN1\.39\.tiff, but has nothing that fits: portrait\.tiff: the name",
    ):
        list_jaffe(tmp_path)


def test_keeps_16_bits_and_color_apart_from_nothing(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 257 * 77, dtype=np.uint16)).save(tmp_path / "KA.AN1.39.tiff")
    Image.new("RGB", (9, 9), (77, 77, 77)).save(tmp_path / "KA.AN2.40.tiff")
    assert (load_images("jaffe", tmp_path, size=9).images == 77).all()
