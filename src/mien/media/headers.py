"""Walks through the structure of picture files: their orientation, and the file without what decoders stumble over.

Metadata is where damaged files hurt most: decoders warn about it on stderr or through Python's warnings, which could
only be silenced for the whole process.  So the parts that no pixel depends on are left out before a decoder sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

from mien.media.tiff import clean_tiff, exif_orientation

__all__ = ["Prepared", "complete_jpeg", "prepare"]


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
        Its format, one of `mien.media.formats.READABLE`.

    Raises
    ------
    ValueError
        If the structure is so damaged that no decoder should see it; the message says what is wrong.
    """
    if name == "jpeg":
        return _jpeg(data)
    if name == "png":
        return _png(data)
    if name == "webp":
        return _webp(data)
    if name == "tiff":
        return Prepared(*clean_tiff(data))
    return Prepared(data)


# --- JPEG: ITU-T T.81, annex B --------------------------------------------------------------------

_SOS, _COM, _APP0, _APP1, _APP14 = 0xDA, 0xFE, 0xE0, 0xE1, 0xEE
_STANDALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}


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
            return Prepared(b"".join([*kept, data[at:]]), orientation)
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        # APP0 and APP14 (Adobe) tell the decoder the colour space.
        if marker in (_APP0, _APP14) or not (_APP0 <= marker <= 0xEF or marker == _COM):
            kept.append(data[at:end])
        elif marker == _APP1 and orientation == 1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 4 : end])
        at = end


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
