"""Walks through the structure of image files: their orientation, and the file without what decoders stumble over.

Metadata is where damaged files hurt most: decoders warn about it on stderr or through Python's warnings, which could
only be silenced for the whole process.  So the parts that no pixel depends on are left out before a decoder sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

from mien.io.bmp import bmp_size, expand_bmp
from mien.io.tiff import clean_tiff, exif_orientation, expand_tiff

__all__ = ["Prepared", "complete_jpeg", "expand", "prepare"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file ready to decode.

    Parameters
    ----------
    data : bytes
        The file without metadata.
    orientation : int
        EXIF orientation, 1 to 8; 1 where there is none.
    size : tuple of int or None
        Width and height, where the decoder would allocate memory before it can be asked.
    """

    data: bytes
    orientation: int = 1
    size: tuple[int, int] | None = None


def prepare(data: bytes, name: str) -> Prepared:
    """Return the file without metadata, and the orientation that the metadata held.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        Its format, one of `mien.io.formats.READABLE`.

    Raises
    ------
    ValueError
        If the structure is so damaged that no decoder should see it; the message says what is wrong.
    """
    if name == "tiff":
        return Prepared(*clean_tiff(data))
    return {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif, "bmp": _bmp}[name](data)


def expand(data: bytes, name: str) -> tuple[bytes, bool]:
    """Undo the compressions that Pillow leaves to libtiff or undoes slowly; say whether the pixels are whole."""
    if name == "tiff":
        return expand_tiff(data)
    if name == "bmp":
        return expand_bmp(data)
    return data, True


# --- JPEG: ITU-T T.81, annex B --------------------------------------------------------------------

_SOS, _APP0, _APP1, _APP14 = 0xDA, 0xE0, 0xE1, 0xEE
# Frames, tables, the restart interval, and APP0 and APP14 (Adobe), which tell the decoder the color space.  Within
# what else there may be, such as the reserved segments, Pillow would look for markers.
_JPEG_PIXELS = {*range(0xC0, 0xC8), *range(0xC9, 0xD0), 0xDB, 0xDD, _APP0, _APP14}
_MAX_SCANS = 100
_STANDALONE = {0x01, *range(0xD0, 0xDA)}


def _jpeg(data: bytes) -> Prepared:
    kept = [b"\xff\xd8"]
    orientation = 1
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while data[at : at + 2] == b"\xff\xff":  # fill bytes may stand before a marker
            at += 1
        if at < 0 or at + 4 > len(data):
            raise ValueError("it ends before its pixels begin")
        marker = data[at + 1]
        if marker == 0 or marker in _STANDALONE:
            at += 2
            continue
        if marker == _SOS:
            _count_scans(data, at)
            return Prepared(b"".join([*kept, data[at:]]), orientation)
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            raise ValueError("a part of its header has an impossible length")
        end = at + 2 + length
        if marker in _JPEG_PIXELS:
            kept.append(data[at:end])
        elif marker == _APP1 and orientation == 1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 4 : end])
        at = end


def _count_scans(data: bytes, at: int) -> None:
    """Refuse a flood of scans: each may have a few bytes only, and passes over the whole image.

    Encoders write some ten.  Within a scan no byte but zero or a restart marker's follows 0xff.
    """
    scans = data.count(bytes((0xFF, _SOS)), at)
    if scans > _MAX_SCANS:
        raise ValueError(f"it has {scans} scans, more than {_MAX_SCANS}")


def complete_jpeg(data: bytes) -> bytes:
    """Close a truncated JPEG, so that a decoder delivers what is there.

    A marker segment that is cut off (a progressive file has some between its scans) goes away, and an end-of-image
    marker comes.
    """
    at = len(data)
    while (at := data.rfind(b"\xff", 0, at)) > 2:
        marker = data[at + 1 : at + 2]
        if marker in (b"\0", b"\xff") or b"\xd0" <= marker <= b"\xd7":
            continue  # a stuffed byte or restart marker: within a scan
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        return (data[:at] if len(data) < max(end, at + 4) else data) + b"\xff\xd9"
    return data + b"\xff\xd9"


# --- PNG: W3C PNG (third edition), section 5 ------------------------------------------------------

_PNG_MARK = 8
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def _png(data: bytes) -> Prepared:
    kept = [data[:_PNG_MARK]]
    orientation = 1
    at = _PNG_MARK
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind in _PNG_PIXELS:
            kept.append(data[at:end])
        elif kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        at = end
    return Prepared(b"".join(kept), orientation)


# --- WebP: RFC 9649, section 2 --------------------------------------------------------------------


def _webp(data: bytes) -> Prepared:
    orientation = 1
    at = 12
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            orientation = exif_orientation(data[at + 8 : end])
        at = end + end % 2
    return Prepared(data, orientation, _webp_size(data))


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise ValueError("it ends within its header")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


# --- GIF: GIF89a specification, sections 17 to 24 --------------------------------------------------

_GIF_TABLES = 13
_EXTENSION, _IMAGE, _GIF_END, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9


def _gif(data: bytes) -> Prepared:
    """Keep of what stands before the first image only its control block, and let the screen hold the image.

    Pillow makes the screen larger where the image goes beyond it, and warns of the result's size by its own limit.
    """
    head = data[:_GIF_TABLES]
    if len(head) < _GIF_TABLES:
        raise ValueError("it ends within its header")
    at = _GIF_TABLES + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    kept = [data[_GIF_TABLES:at]]
    while at < len(data) and data[at] not in (_IMAGE, _GIF_END):
        end = at + 1
        if data[at] == _EXTENSION:
            end = _after_blocks(data, at + 2)
            if data[at + 1 : at + 2] == bytes([_CONTROL]):
                kept.append(data[at:end])
        at = end
    if data[at : at + 1] != bytes([_IMAGE]) or at + 10 > len(data):
        raise ValueError("it ends before its first image")
    left, top, width, height = (int.from_bytes(data[at + n : at + n + 2], "little") for n in (1, 3, 5, 7))
    size = (
        max(left + width, int.from_bytes(head[6:8], "little")),
        max(top + height, int.from_bytes(head[8:10], "little")),
    )
    if max(size) > 0xFFFF:
        raise ValueError("its first image lies outside of its screen")
    screen = size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little")
    return Prepared(b"".join([head[:6], screen, head[10:], *kept, data[at:]]), size=size)


def _after_blocks(data: bytes, at: int) -> int:
    """Skip a chain of blocks, each with its length before it, and the empty one that ends it."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


# --- BMP ------------------------------------------------------------------------------------------


def _bmp(data: bytes) -> Prepared:
    return Prepared(data, size=bmp_size(data))
