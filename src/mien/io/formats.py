"""What a file is, told by its first bytes and never by its name."""

from __future__ import annotations

from typing import Literal

__all__ = ["HEAD_BYTES", "READABLE", "Kind", "identify", "sniff"]

Kind = Literal["image", "video", "audio", "unknown"]

HEAD_BYTES = 512
"""How much of a file `sniff` needs: MPEG transport streams repeat their mark every 188 bytes."""

READABLE = ("jpeg", "png", "webp", "tiff", "bmp", "gif")
"""The formats that `mien.io.image.read_image` decodes."""

# Magic numbers as in the formats' specifications; the same list stands in the `file` utility's magic(5) database.
_PREFIXES: tuple[tuple[bytes, Kind, str], ...] = (
    (b"\xff\xd8\xff", "image", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image", "png"),
    (b"GIF87a", "image", "gif"),
    (b"GIF89a", "image", "gif"),
    (b"II*\0", "image", "tiff"),
    (b"MM\0*", "image", "tiff"),
    (b"II+\0", "image", "tiff"),
    (b"MM\0+", "image", "tiff"),
    (b"8BPS", "image", "psd"),
    (b"\xff\x0a", "image", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "image", "jpeg2000"),
    (b"\x1a\x45\xdf\xa3", "video", "mkv"),
    (b"FLV\x01", "video", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video", "wmv"),
    (b"\0\0\x01\xba", "video", "mpeg"),
    (b"\0\0\x01\xb3", "video", "mpeg"),
    (b"fLaC", "audio", "flac"),
    (b"ID3", "audio", "mp3"),
    (b"RF64", "audio", "wav"),
    (b".snd", "audio", "au"),
    (b"#!AMR", "audio", "amr"),
)

_RIFF: dict[bytes, tuple[Kind, str]] = {
    b"WEBP": ("image", "webp"),
    b"AVI ": ("video", "avi"),
    b"WAVE": ("audio", "wav"),
}

# Major brands of ISO base media files (mp4ra.org); what is not listed is a video.
_BRANDS: dict[bytes, tuple[Kind, str]] = {
    b"avif": ("image", "avif"),
    b"avis": ("image", "avif"),
    b"heic": ("image", "heic"),
    b"heix": ("image", "heic"),
    b"heim": ("image", "heic"),
    b"hevc": ("image", "heic"),
    b"mif1": ("image", "heic"),
    b"msf1": ("image", "heic"),
    b"M4A ": ("audio", "m4a"),
    b"M4B ": ("audio", "m4a"),
    b"qt  ": ("video", "mov"),
}

# The first atom of QuickTime videos that have no `ftyp`.
_MOV_ATOMS = (b"moov", b"mdat", b"wide", b"pnot", b"skip", b"free")

# Second byte of a frame without ID3 tag: MPEG-1, -2, -2.5 layer III, with and without CRC; ADTS for AAC.
_MPEG_AUDIO = {0xFB: "mp3", 0xFA: "mp3", 0xF3: "mp3", 0xF2: "mp3", 0xE3: "mp3", 0xE2: "mp3", 0xF1: "aac", 0xF9: "aac"}


def sniff(head: bytes) -> Kind:
    """Tell an image from a video and a recording.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES` of the file, or fewer.

    Returns
    -------
    {"image", "video", "audio", "unknown"}
        What the bytes say; ``"unknown"`` for text, an empty file and everything else.
    """
    return identify(head)[0]


def identify(head: bytes) -> tuple[Kind, str]:
    """Return the kind and the name of the format, such as ``("video", "mp4")``; the name is empty when unknown."""
    for prefix, kind, name in _PREFIXES:
        if head.startswith(prefix):
            return _matroska(head) if name == "mkv" else (kind, name)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], ("unknown", ""))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio", "aiff"
    if head[:4] == b"OggS":
        return ("video", "ogv") if b"\x80theora" in head else ("audio", "ogg")
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], ("video", "3gp" if head[8:10] == b"3g" else "mp4"))
    if head[4:8] in _MOV_ATOMS:
        return "video", "mov"
    return _weak(head)


def _matroska(head: bytes) -> tuple[Kind, str]:
    return "video", "webm" if b"webm" in head[:64] else "mkv"


def _weak(head: bytes) -> tuple[Kind, str]:
    """Recognize the formats whose mark is so short that a second sign is asked for."""
    # BMP: the four reserved bytes are zero, and a DIB header of 12 to 124 bytes follows.
    if head[:2] == b"BM" and len(head) >= 18 and 12 <= int.from_bytes(head[14:18], "little") <= 124:
        return "image", "bmp"
    if len(head) > 188 and head[0] == 0x47 and head[188] == 0x47:
        return "video", "mpeg-ts"
    if len(head) >= 4 and head[0] == 0xFF and head[1] in _MPEG_AUDIO and head[2] != 0xFF:
        return "audio", _MPEG_AUDIO[head[1]]
    return "unknown", ""
