"""What a file holds: detected from its content, and from its name only where the content says nothing."""

from __future__ import annotations

import io
import os
import stat
from typing import Any, Literal

from mien.io.paths import AUDIO_SUFFIXES, VIDEO_SUFFIXES

__all__ = [
    "HEAD_BYTES",
    "READABLE_IMAGES",
    "Kind",
    "detect_format",
    "detect_kind",
    "detect_kind_by_name",
    "is_pipe",
    "peek_kind",
]

Kind = Literal["image", "video", "audio", "unknown"]

HEAD_BYTES = 512
"""How much of a file `detect_format` needs: MPEG transport streams repeat their mark every 188 bytes."""

READABLE_IMAGES = ("jpeg", "png", "webp", "tiff", "bmp", "gif", "avif", "heic")
"""The formats that `mien.io.image.read_image` decodes."""

# Magic numbers as in the formats' specifications; see also the `file` utility's magic(5) database.
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
    (b"caff\0\x01", "audio", "caf"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", "audio", "w64"),
    (b"wvpk", "audio", "wavpack"),
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

_ANIMATED = ("gif", "png", "webp")
"""Images that are videos when they are animated."""

# The first atom of QuickTime videos that have no `ftyp`.
_MOV_ATOMS = (b"moov", b"mdat", b"wide", b"pnot", b"skip", b"free")

# Second byte of a frame without ID3 tag: MPEG-1, -2, -2.5 layer III, with and without CRC; ADTS for AAC.
_MPEG_AUDIO = {0xFB: "mp3", 0xFA: "mp3", 0xF3: "mp3", 0xF2: "mp3", 0xE3: "mp3", 0xE2: "mp3", 0xF1: "aac", 0xF9: "aac"}


def detect_kind(source: Any) -> Kind:
    """Detect whether a file holds an image, a video or audio.

    Where the content says nothing (an empty file, text, one that may not be opened), the file's name decides, so that
    the reader of that kind says what is wrong.  A video container without moving images is audio: a cover beside the
    sound is one still image, and makes no video.

    Parameters
    ----------
    source : str, os.PathLike, bytes, bytearray, memoryview or binary file object
        The file; nothing is raised where there is none.  A file object must be seekable (see `peek_kind`) and is left
        where it stood.

    Returns
    -------
    {"image", "video", "audio", "unknown"}
        ``"unknown"`` where neither content nor name tell.  A video container with a damaged header is a ``"video"``.
    """
    return peek_kind(source)[0]


def peek_kind(source: Any) -> tuple[Kind, Any]:
    """Detect what a source holds, as `detect_kind` does, and return it with what to read instead of the source.

    That is the source itself, but for a named pipe, which is read to its end, and for a stream that is not seekable:
    then it is a file object that begins where the stream did.  (Such a stream is read to its end where its format is
    that of a video.)
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _by_content(bytes(source[:HEAD_BYTES]), source), source
    if isinstance(source, str | os.PathLike):
        if is_pipe(source):
            return peek_kind(_read_pipe(source))
        try:
            with open(source, "rb") as file:  # noqa: PTH123  (Path would change the name)
                kind = _by_content(file.read(HEAD_BYTES), source)
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            kind = "unknown"
        return detect_kind_by_name(source) if kind == "unknown" else kind, source
    if not callable(getattr(source, "read", None)):
        return "unknown", source
    from mien.io.container import PeekedFile

    try:
        is_seekable = bool(source.seekable())
    except AttributeError:
        is_seekable = False
    try:
        start = source.tell() if is_seekable else 0
        head = source.read(HEAD_BYTES)
    except OSError:
        return "unknown", source  # reading it says why
    if not isinstance(head, bytes):
        return "unknown", source
    if is_seekable:
        source.seek(start)
        kind = _by_content(head, source)
        source.seek(start)
        name = getattr(source, "name", None)
        return detect_kind_by_name(name) if kind == "unknown" and isinstance(name, str) else kind, source
    kind, name = detect_format(head)
    if kind == "video" or name in _ANIMATED:  # which are read twice
        data = head + source.read()
        return _by_content(head, data), data
    return _by_content(head, b""), PeekedFile(head, source)


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of a pipe, such as ``<(command)`` of a shell: it can be read once."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116  (takes a name as it is)
    except (OSError, ValueError):
        return False


class _PipeContent(io.BytesIO):
    """What came out of a pipe, under its name."""

    name: str


def _read_pipe(path: str | os.PathLike[str]) -> _PipeContent:
    with open(path, "rb") as file:  # noqa: PTH123
        content = _PipeContent(file.read())
    content.name = os.fsdecode(path)
    return content


def _by_content(head: bytes, source: Any) -> Kind:
    kind, name = detect_format(head)
    if name in _ANIMATED:
        from mien.io.container import is_animation

        return "video" if is_animation(source, name) else kind
    if kind != "video":
        return kind
    from mien.io.container import has_moving_images

    return "video" if has_moving_images(source) else "audio"


def detect_kind_by_name(path: str | os.PathLike[str]) -> Kind:
    """Return ``"video"`` or ``"audio"`` for the suffixes of such files, else ``"unknown"``; no file is opened."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()  # noqa: PTH122
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "audio" if suffix in AUDIO_SUFFIXES else "unknown"


def detect_format(head: bytes) -> tuple[Kind, str]:
    """Return the kind and the name of a format, such as ``("video", "mp4")``; the name is empty when unknown.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES` of the file, or fewer.
    """
    for prefix, kind, name in _PREFIXES:
        if head.startswith(prefix):
            return (kind, "webm") if name == "mkv" and b"webm" in head[:64] else (kind, name)
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
    return _detect_short_mark(head)


def _detect_short_mark(head: bytes) -> tuple[Kind, str]:
    """Detect the formats whose mark is so short that a second sign is needed."""
    # BMP: the four reserved bytes are zero, and a DIB header of 12 to 124 bytes follows.
    if head[:2] == b"BM" and len(head) >= 18 and 12 <= int.from_bytes(head[14:18], "little") <= 124:
        return "image", "bmp"
    if len(head) > 188 and head[0] == 0x47 and head[188] == 0x47:
        return "video", "mpeg-ts"
    if len(head) >= 4 and head[0] == 0xFF and head[1] in _MPEG_AUDIO and head[2] != 0xFF:
        return "audio", _MPEG_AUDIO[head[1]]
    # AC-3 and its successor: the sync word, and a version that exists (ATSC A/52, 5.3 and E.1.3).
    if len(head) >= 6 and head[:2] == b"\x0b\x77" and head[5] >> 3 <= 16:
        return "audio", "ac3"
    return "unknown", ""
