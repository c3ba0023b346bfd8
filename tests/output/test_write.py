"""Writing images, results and sound: whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io.audio import AudioBlock, iter_audio
from mien.output.write import SampleType, encode_jpeg, encode_png, save_wav, write_image
from mien.results import FailedItem, ImageResult, Result, SpeechResult, VideoResult

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


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    for name, age_s in ((".mien-0a.tmp", 2 * 86_400), (".mien-0b.tmp", 60), ("old.tmp", 2 * 86_400)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    write_image(tmp_path / "a.png", SCENE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mien-0b.tmp", "a.png", "old.tmp"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(MediaError, match=r"cannot write .*: Permission denied"):
            write_image(tmp_path / "x.png", SCENE)
    finally:
        tmp_path.chmod(0o700)


# --- results ----------------------------------------------------------------------------------------------------------


def test_several_results_become_one_table_or_document(
    tmp_path: Path, image: ImageResult, speech: SpeechResult, failed: FailedItem
) -> None:
    results: list[Result] = [failed, ImageResult(5, 5, path="none.jpg"), image, speech]
    mien.write(iter(results), tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text("utf-8").splitlines()))
    assert [row["path"] for row in rows] == ["bad.jpg", "none.jpg", *["a.jpg"] * 3, *["call.wav"] * 5]
    assert "contempt" in rows[0]  # the emotions of the image that has a face
    mien.write(results, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == [result.to_dict() for result in results]
    mien.write(results, tmp_path / "x.txt", format="jsonl")
    assert len((tmp_path / "x.txt").read_text().splitlines()) == 4
    mien.write([], tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "path,error,message\n"


@pytest.mark.parametrize("table", VideoResult.tables)
def test_a_table_of_a_video_is_chosen_by_name(tmp_path: Path, video: VideoResult, table: str) -> None:
    mien.write(video, tmp_path / "x.csv", table=table)
    rows = list(csv.reader((tmp_path / "x.csv").read_text("utf-8").splitlines()))
    assert rows[0] == [column.name for column in video.columns(table)]
    assert len(rows) == 1 + len(video.rows(table))


def test_what_cannot_be_written(tmp_path: Path, image: ImageResult, video: VideoResult) -> None:
    for results, name, options, message in (
        (image, "x.txt", {}, r"results are written as \.json, .*, but the name is 'x\.txt'"),
        (image, "x.csv", {"format": "cvs"}, "unknown format 'cvs'"),
        (image, "x.vtt", {}, "vtt is for results of audio and video, but got some of image"),
        ([video, video], "x.vtt", {}, "vtt takes one result, but got 2: write one by one"),
        (video, "x.csv", {"table": "faces"}, "table must be one of frames"),
        ([3], "x.csv", {}, "expected results, such as ImageResult or FailedItem, but got 3"),
        (replace(image, path=None), "x.png", {}, "the result does not name its file"),
    ):
        with pytest.raises(InputError, match=message):
            mien.write(results, tmp_path / name, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


# --- sound ----------------------------------------------------------------------------------------------------------


RATE = 16000


def noise(seconds: float, *, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return np.clip(0.2 * random.normal(size=round(seconds * rate)), -1, 1).astype(np.float32)


@pytest.mark.parametrize(("sample_type", "error"), [("int16", 2**-16 * 1.01), ("float32", 0.0)])
def test_sound_comes_back_as_it_was(tmp_path: Path, sample_type: SampleType, error: float) -> None:
    wave, path = noise(3, rate=44100), tmp_path / "x.wav"
    parts = [AudioBlock(wave[a:b], a / 44100, 44100) for a, b in ((0, 7), (7, 44100), (44100, len(wave)))]
    assert save_wav(path, parts, sample_type=sample_type) == pytest.approx(3)
    with iter_audio(path, rate_hz=None) as stream:
        read = np.concatenate([block.wave for block in stream])
        assert (stream.rate_hz, stream.warnings) == (44100, ())
    np.testing.assert_allclose(read, wave, atol=error)


def test_saved_sound_keeps_its_times(tmp_path: Path) -> None:
    wave, path = noise(1), tmp_path / "x.wav"
    assert save_wav(path, [AudioBlock(wave, 0.5, RATE), AudioBlock(wave, 2.0, RATE)], sample_type="float32") == 3.0
    with iter_audio(path) as stream:
        read = np.concatenate([block.wave for block in stream])
    gap = np.zeros(RATE // 2, np.float32)
    np.testing.assert_array_equal(read, np.concatenate([gap, wave, gap, wave]))


def test_no_half_a_file_stays_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[AudioBlock]:
        yield AudioBlock(noise(1), 0.0, RATE)
        raise MediaNotFoundError("gone")

    with pytest.raises(MediaNotFoundError, match="gone"):
        save_wav(tmp_path / "x.wav", broken())
    with pytest.raises(InputError, match="a WAV file needs sound, but got none"):
        save_wav(tmp_path / "x.wav", [])
    with pytest.raises(InputError, match=r"expected a name that ends in \.wav, but got 'x\.mp3'"):
        save_wav(tmp_path / "x.mp3", [])
    with pytest.raises(InputError, match="sample_type must be 'int16' or 'float32', but got 'int8'"):
        save_wav(tmp_path / "x.wav", [], sample_type="int8")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
