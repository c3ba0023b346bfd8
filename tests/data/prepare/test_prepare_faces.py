from __future__ import annotations

import csv
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from mien.data import load_dataset, load_images
from mien.data.fer2013 import read_fer2013
from mien.data.prepare.faces import Settings, prepare_to
from mien.errors import InputError
from mien.output.write import encode_jpeg, encode_png
from mien.samples import astronaut_path


def huge() -> bytes:
    """A PNG whose header speaks of 60,000 x 60,000 pixels."""
    whole = encode_png(np.zeros((4, 4, 3), np.uint8))
    header = whole[12:16] + struct.pack(">II", 60_000, 60_000) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


WHOLE = astronaut_path().read_bytes()
NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
HOSTILE = {
    "cut.jpg": (WHOLE[: len(WHOLE) * 2 // 3], "the file is truncated: a part of the image is missing"),
    "cut.png": (encode_png(NOISE)[:60_000], "the file is truncated: a part of the image is missing"),
    "empty.jpg": (b"", "is empty"),
    "video.jpg": (b"\x00\x00\x00\x18ftypmp42" + bytes(50), "is a video"),
    "huge.png": (huge(), "60000 x 60000 pixels, more than the limit"),
    "noise.jpg": (encode_jpeg(NOISE), "no face found"),
    "odd\nname.png": (b"text", "must be a JPEG, PNG"),
    "text.png": (b"emotion,pixels,Usage", "must be a JPEG, PNG"),
    "tiny.png": (encode_png(NOISE[:1, :1]), "no face found"),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for emotion in ("fear", "joy"):
        (tmp_path / "photos" / "Training" / emotion).mkdir(parents=True)
        (tmp_path / "photos" / "Training" / emotion / "good.jpg").write_bytes(WHOLE)
    for name, (content, _) in HOSTILE.items():
        (tmp_path / "photos" / "Training" / "joy" / name).write_bytes(content)
    return tmp_path / "photos"


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_files_are_listed_with_their_reason_and_stop_nothing(photos: Path, tmp_path: Path, workers: int) -> None:
    told: list[int] = []
    out = tmp_path / "faces"
    summary = prepare_to(out, load_dataset("folder", photos), workers=workers, progress=told.append)
    assert (summary.faces, sum(summary.rejected.values()), sum(told)) == (2, len(HOSTILE), len(HOSTILE) + 2)
    with (out / "rejected.csv").open(newline="", encoding="utf-8") as stream:
        listed = {Path(row["file"]).name: row for row in csv.DictReader(stream)}
    assert sorted(listed) == sorted(HOSTILE)
    for name, (_, reason) in HOSTILE.items():
        assert reason in listed[name]["reason"]
        assert listed[name]["reason"].isprintable()
        assert (listed[name]["emotion"], listed[name]["split"]) == ("happiness", "Training")
    assert len(load_images("folder", out)) == 2


def test_a_table_of_fer2013s_size_is_read_as_fer2013(photos: Path, tmp_path: Path) -> None:
    prepare_to(tmp_path / "faces.csv", load_dataset("folder", photos))
    data = read_fer2013(tmp_path / "faces.csv", split="Training")
    assert data.labels.tolist() == [2, 3]


def test_subjects_and_clips_come_back_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(WHOLE)
    (tmp_path / "two.jpg").write_bytes(WHOLE)
    rows = ["file,emotion,subject,clip,split", 'one.jpg,fear,"KA, 1",video,test', "two.jpg,anger,,,", ""]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), "utf-8")
    prepare_to(tmp_path / "faces", load_dataset("folder", tmp_path))
    back = load_images("folder", tmp_path / "faces")
    assert list(zip(back.subjects.tolist(), back.clips.tolist(), back.splits.tolist(), strict=True)) == [
        ("KA, 1", "video", "test"),
        ("", "", ""),
    ]
    assert back.files.tolist() == ["test/fear/0000001.png", "anger/0000002.png"]


@pytest.mark.parametrize("size", [0, -3, float("nan"), "48"])
def test_the_smallest_face_is_a_size(size: object) -> None:
    with pytest.raises(InputError, match="min_face_px must be a number"):
        Settings(min_face_px=size)  # type: ignore[arg-type]
