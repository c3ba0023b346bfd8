"""What a file is, by its first bytes."""

from __future__ import annotations

import io
import wave

import pytest
from PIL import Image

from mien.io.formats import READABLE, identify, sniff


@pytest.mark.parametrize("name", READABLE)
def test_images_written_by_pillow_are_images(name: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, name)
    assert identify(stream.getvalue()[:512]) == ("image", name)


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
    assert identify(head) == (kind, name)
    assert sniff(head) == kind


def test_a_recording_written_by_the_standard_library_is_audio() -> None:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(64))
    assert identify(stream.getvalue()) == ("audio", "wav")


def test_every_prefix_of_a_head_is_answered() -> None:
    for head in (b"\xff\xfb\x90\x64", b"RIFF\0\0\0\0WEBP", b"OggS", b"BM" + bytes(20), b"\0\0\0\x18ftypisom"):
        for end in range(len(head) + 1):
            assert sniff(head[:end]) in ("image", "video", "audio", "unknown")
