"""Writing images."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.output.write import encode_jpeg, encode_png, write_image

SCENE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
SMOOTH = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (48, 1, 3))


def test_encoders_are_read_by_pillow() -> None:
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(SCENE)))), SCENE)
    decoded = np.asarray(Image.open(io.BytesIO(encode_jpeg(SMOOTH))))
    assert np.abs(decoded.astype(int) - SMOOTH).max() <= 4
    assert len(encode_jpeg(SCENE, quality=20)) < len(encode_jpeg(SCENE, quality=95))
    with pytest.raises(InputError, match="quality must be an integer from 1 to 100"):
        encode_jpeg(SCENE, quality=101)
    with pytest.raises(MediaError, match="an image of 1 x 70000 pixels cannot be written as JPEG"):
        encode_jpeg(np.zeros((70000, 1), np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"])
def test_suffix_says_the_format(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"Bild ü{suffix}"
    write_image(target, SMOOTH)
    decoded = np.asarray(Image.open(target).convert("RGB"))
    assert np.abs(decoded.astype(int) - SMOOTH).max() <= 6
    assert list(tmp_path.iterdir()) == [target]


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written as \.png, .*but the name is 'x.txt'"):
        write_image(tmp_path / "x.txt", SCENE)
    with pytest.raises(MediaNotFoundError, match="no such folder to write to") as caught:
        write_image(tmp_path / "no" / "x.png", SCENE)
    assert caught.value.path == tmp_path / "no" / "x.png"
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(MediaError, match=r"cannot write .*taken.png"):
        write_image(tmp_path / "taken.png", SCENE)
    assert list(tmp_path.iterdir()) == [tmp_path / "taken.png"]


def test_failure_keeps_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "x.jpg"
    target.write_bytes(b"older")
    with pytest.raises(MediaError, match="cannot be written as JPEG"):
        write_image(target, np.zeros((70000, 1), np.uint8))
    assert target.read_bytes() == b"older"
    write_image(target, SCENE)
    assert target.read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(MediaError, match=r"cannot write .*: Permission denied"):
            write_image(tmp_path / "x.png", SCENE)
    finally:
        tmp_path.chmod(0o700)
