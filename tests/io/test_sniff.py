"""What a file holds is detected from its content, and from its name only where that says nothing."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.io.paths import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from mien.io.sniff import READABLE_IMAGES, Kind, detect_format, detect_kind, detect_kind_by_name, peek_kind
from sounds import encoded, silent_video, sine, wav


@pytest.mark.parametrize("name", [name for name in READABLE_IMAGES if name != "heic"])
def test_images_written_by_pillow_are_images(name: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, name)
    assert detect_format(stream.getvalue()[:512]) == ("image", name)


@pytest.mark.parametrize(
    ("head", "kind", "name"),
    [
        (b"\0\0\0\x18ftypisom\0\0\2\0", "video", "mp4"),
        (b"\0\0\0\x18ftypmp42", "video", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "video", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video", "mov"),
        (b"\0\0\0\x18ftyp3gp4", "video", "3gp"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video", "webm"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska", "video", "mkv"),
        (b"RIFF\0\0\0\0AVI LIST", "video", "avi"),
        (b"FLV\x01\x05", "video", "flv"),
        (b"\x47" + bytes(187) + b"\x47", "video", "mpeg-ts"),
        (b"OggS" + bytes(24) + b"\x80theora", "video", "ogv"),
        (b"OggS" + bytes(24) + b"OpusHead", "audio", "ogg"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio", "wav"),
        (b"fLaC\0\0\0\x22", "audio", "flac"),
        (b"ID3\x04\0", "audio", "mp3"),
        (b"\xff\xfb\x90\x64", "audio", "mp3"),
        (b"\xff\xf1\x50\x80", "audio", "aac"),
        (b"FORM\0\0\0\0AIFF", "audio", "aiff"),
        (b"\0\0\0\x18ftypM4A ", "audio", "m4a"),
        (b"\0\0\0\x1cftypavif", "image", "avif"),
        (b"\0\0\0\x18ftypheic", "image", "heic"),
        (b"caff\0\x01\0\0desc", "audio", "caf"),
        (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", "audio", "w64"),
        (b"wvpk\x3c\0\0\0", "audio", "wavpack"),
        (b"\x0b\x77\x00\x00\x1c\x40", "audio", "ac3"),
        (b"\x0b\x77\x00\x00\x1c\xff", "unknown", ""),
        (b"", "unknown", ""),
        (b"hello, world", "unknown", ""),
        (b"BM is how this text begins, and no more", "unknown", ""),
        (b"\xff\xfeh\0e\0l\0l\0o\0", "unknown", ""),  # UTF-16 text
        (b"\xef\xbb\xbfpath,face", "unknown", ""),
        (b"%PDF-1.7", "unknown", ""),
        (b"RIFF\0\0\0\0sfbk", "unknown", ""),
    ],
)
def test_kind_and_name(head: bytes, kind: str, name: str) -> None:
    assert detect_format(head) == (kind, name)


def test_wav_written_by_the_standard_library_is_audio() -> None:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(64))
    assert detect_format(stream.getvalue()) == ("audio", "wav")


def test_every_prefix_of_a_head_gives_a_kind() -> None:
    for head in (b"\xff\xfb\x90\x64", b"RIFF\0\0\0\0WEBP", b"OggS", b"BM" + bytes(20), b"\0\0\0\x18ftypisom"):
        for end in range(len(head) + 1):
            assert detect_format(head[:end])[0] in ("image", "video", "audio", "unknown")


# --- whole files ------------------------------------------------------------------------------------------------------

RATE = 16000
SOUND = sine(RATE, 0.2, level=0.1)


def image(name: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(stream, name)
    return stream.getvalue()


CONTENTS: list[tuple[bytes, Kind]] = [
    *((image(name), "image") for name in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")),
    (wav(SOUND, RATE), "audio"),
    (encoded(SOUND, RATE, "flac", "flac"), "audio"),
    (encoded(SOUND, RATE, "mp3", "libmp3lame"), "audio"),
    (encoded(SOUND, RATE, "mp4", "aac"), "audio"),  # a container of videos that holds sound alone
    (silent_video(), "video"),
]


@pytest.mark.parametrize(("content", "kind"), CONTENTS)
@pytest.mark.parametrize("name", ["a", "a.png", "a.WAV", "a.mp4", "a.wav.txt", "a\nb.wav"])
def test_content_goes_before_the_name(tmp_path: Path, content: bytes, kind: Kind, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert detect_kind(path) == detect_kind(str(path)) == kind


class Pipe(io.BytesIO):
    """A stream that cannot be wound back."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation("seek")


@pytest.mark.parametrize(("content", "kind"), CONTENTS)
def test_bytes_and_streams_can_still_be_read(content: bytes, kind: Kind) -> None:
    assert detect_kind(content) == detect_kind(memoryview(content)) == kind
    stream = io.BytesIO(b"before" + content)
    stream.seek(6)
    assert peek_kind(stream) == (kind, stream)
    assert stream.read() == content
    found, rest = peek_kind(Pipe(content))
    assert found == kind
    assert (rest if isinstance(rest, bytes) else rest.read(3) + rest.read()) == content
    assert peek_kind(io.StringIO("text"))[0] == peek_kind(None)[0] == "unknown"


@pytest.mark.parametrize("content", [b"", b"\0", b"this is text", bytes(100), b"R", "面".encode()])
def test_the_name_decides_where_content_says_nothing(tmp_path: Path, content: bytes) -> None:
    for name, kind in (("a.wav", "audio"), ("a.MP4", "video"), ("a.jpg", "unknown"), ("a", "unknown")):
        (tmp_path / name).write_bytes(content)
        assert detect_kind(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("no.wav", "audio"), ("no.jpg", "unknown"), ("", "unknown"), ("a\0b.wav", "audio"), ("a\0b", "unknown")],
)
def test_the_name_decides_where_there_is_no_file(tmp_path: Path, name: str, kind: Kind) -> None:
    assert detect_kind(os.path.join(tmp_path, name)) == kind  # noqa: PTH118  (no Path of a zero byte on every system)


def test_a_folder_and_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    assert (detect_kind(tmp_path / "folder.wav"), detect_kind(tmp_path)) == ("audio", "unknown")
    if os.geteuid() == 0:
        pytest.skip("the administrator may read everything")
    path = tmp_path / "a.mp3"
    path.write_bytes(image("PNG"))
    path.chmod(0)
    assert detect_kind(path) == "audio"


def test_no_more_than_the_head_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(wav(SOUND, RATE))
    with path.open("r+b") as file:
        file.truncate(10**12)  # sparse: it takes no room
    assert detect_kind(path) == "audio"


@pytest.mark.parametrize("suffix", sorted(AUDIO_SUFFIXES | VIDEO_SUFFIXES))
def test_every_suffix_of_audio_and_videos(suffix: str) -> None:
    for name in (f"a{suffix}", f"A{suffix.upper()}", f"no/such/folder.x/a b{suffix}"):
        assert detect_kind_by_name(name) == ("video" if suffix in VIDEO_SUFFIXES else "audio")
    assert detect_kind_by_name(f"a{suffix}.txt") == detect_kind_by_name(f"a{suffix}/b") == "unknown"


@pytest.mark.parametrize("name", ["", ".", "..", ".wav", "wav", "a.", "a.png", b"a.png", np.str_("x.jpeg"), Path("a")])
def test_any_other_name_is_unknown(name: str) -> None:
    assert detect_kind_by_name(name) == "unknown"


def test_names_of_bytes_and_names_that_are_no_text() -> None:
    assert detect_kind_by_name(os.fsdecode(b"raw\xff\xfe.wav")) == "audio"
    assert detect_kind_by_name(Path("x/面 😀.M4A")) == "audio"
