"""What a file holds is told by its content, and by its name only where that says nothing."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.io.formats import Kind
from mien.io.kinds import kind_of, kind_of_name
from mien.io.paths import SOUND_SUFFIXES, VIDEO_SUFFIXES
from sounds import encoded, silent_video, sine, wav

RATE = 16000
SOUND = sine(RATE, 0.2, level=0.1)


def image(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(stream, kind)
    return stream.getvalue()


CONTENTS: list[tuple[bytes, Kind]] = [
    *((image(kind), "image") for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")),
    (wav(SOUND, RATE), "audio"),
    (encoded(SOUND, RATE, "flac", "flac"), "audio"),
    (encoded(SOUND, RATE, "mp3", "libmp3lame"), "audio"),
    (silent_video(), "video"),
]


@pytest.mark.parametrize(("content", "kind"), CONTENTS)
@pytest.mark.parametrize("name", ["a", "a.png", "a.WAV", "a.mp4", "a.wav.txt", "a\nb.wav"])
def test_content_goes_before_the_name(tmp_path: Path, content: bytes, kind: Kind, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert kind_of(path) == kind_of(str(path)) == kind


@pytest.mark.parametrize("content", [b"", b"\0", b"this is text", bytes(100), b"R", "面".encode()])
def test_where_content_says_nothing_the_name_does(tmp_path: Path, content: bytes) -> None:
    for name, kind in (("a.wav", "audio"), ("a.MP4", "video"), ("a.jpg", "unknown"), ("a", "unknown")):
        (tmp_path / name).write_bytes(content)
        assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("no.wav", "audio"), ("no.jpg", "unknown"), ("", "unknown"), ("a\0b.wav", "audio"), ("a\0b", "unknown")],
)
def test_where_there_is_no_file_the_name_is_told(tmp_path: Path, name: str, kind: Kind) -> None:
    assert kind_of(os.path.join(tmp_path, name)) == kind  # noqa: PTH118  (no Path of a zero byte on every system)


def test_a_folder_and_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    assert (kind_of(tmp_path / "folder.wav"), kind_of(tmp_path)) == ("audio", "unknown")
    if os.geteuid() == 0:
        pytest.skip("the administrator may read everything")
    path = tmp_path / "a.mp3"
    path.write_bytes(image("PNG"))
    path.chmod(0)
    assert kind_of(path) == "audio"


def test_no_more_than_the_head_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(wav(SOUND, RATE))
    with path.open("r+b") as file:
        file.truncate(10**12)  # sparse: it takes no room
    assert kind_of(path) == "audio"


@pytest.mark.parametrize("suffix", sorted(SOUND_SUFFIXES))
def test_every_suffix_of_recordings_and_videos(suffix: str) -> None:
    for name in (f"a{suffix}", f"A{suffix.upper()}", f"no/such/folder.x/a b{suffix}"):
        assert kind_of_name(name) == ("video" if suffix in VIDEO_SUFFIXES else "audio")
    assert kind_of_name(f"a{suffix}.txt") == kind_of_name(f"a{suffix}/b") == "unknown"


@pytest.mark.parametrize("name", ["", ".", "..", ".wav", "wav", "a.", "a.png", b"a.png", np.str_("x.jpeg"), Path("a")])
def test_any_other_name_is_unknown(name: str) -> None:
    assert kind_of_name(name) == "unknown"


def test_names_of_bytes_and_names_that_are_no_text() -> None:
    assert kind_of_name(os.fsdecode(b"raw\xff\xfe.wav")) == "audio"
    assert kind_of_name(Path("x/面 😀.M4A")) == "audio"
