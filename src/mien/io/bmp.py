"""BMP: its size, and packed pixels made plain.

Pillow unpacks runs byte by byte, which takes seconds where a small file claims a large image, and refuses files that
leave out their last, empty rows, as they may.

References
----------
Microsoft, "Bitmap Storage" and "Bitmap Compression" (BITMAPINFOHEADER, BI_RLE8, BI_RLE4).
"""

from __future__ import annotations

import struct

__all__ = ["bmp_size", "expand_bmp"]

_FILE_HEADER = 14
_OLD_HEADER = 12
_PACKED = {1: 8, 2: 4}
"""Bits a pixel of each packing."""


def bmp_size(data: bytes) -> tuple[int, int]:
    """Return width and height.

    Raises
    ------
    ValueError
        If the file ends within its header.
    """
    (header,) = _unpacked("<L", data, _FILE_HEADER)
    if header == _OLD_HEADER:
        width, height = _unpacked("<HH", data, _FILE_HEADER + 4)
        return width, height
    width, height = _unpacked("<ll", data, _FILE_HEADER + 4)
    return width, abs(height)  # below zero where the rows run downwards


def expand_bmp(data: bytes) -> tuple[bytes, bool]:
    """Undo the packing of a file whose `bmp_size` has been found to be sensible.

    Returns
    -------
    bytes
        A plain BMP.
    bool
        Whether all pixels were there; what is missing has the first color.

    Raises
    ------
    ValueError
        If the header is damaged.
    """
    (header,) = _unpacked("<L", data, _FILE_HEADER)
    if header == _OLD_HEADER:
        return data, True
    width, height, _, bits, packing = _unpacked("<llHHL", data, _FILE_HEADER + 4)
    if packing not in _PACKED:
        return data, True
    if bits != _PACKED[packing] or height < 0:
        raise ValueError(f"its pixels are packed in a way that {bits} bits a pixel or rows from the top cannot be")
    start, (colors,) = _unpacked("<L", data, 10)[0], _unpacked("<L", data, 46)
    pixels, whole = _unpack(data[start:], width, height, halves=bits == 4)
    plain = bytearray(data)
    struct.pack_into("<L", plain, 10, len(plain))
    struct.pack_into("<HL", plain, 28, 8, 0)
    struct.pack_into("<L", plain, 46, colors or 1 << bits)
    return bytes(plain + pixels), whole


def _unpacked(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    if at + struct.calcsize(layout) > len(data):
        raise ValueError("it ends within its header")
    return struct.unpack_from(layout, data, at)


def _unpack(packed: bytes, width: int, height: int, *, halves: bool) -> tuple[bytearray, bool]:
    """Return rows of one byte a pixel, each padded to four bytes, and whether nothing was missing.

    Pairs of bytes: n > 0 repeats the second n times; after a 0 come 0 for the end of a row, 1 for that of the image,
    2 for a jump by the next two bytes, and n > 2 for as many pixels as they are, padded to an even number of bytes.
    """
    stride = width + -width % 4
    pixels = bytearray(stride * height)
    at = x = y = 0
    while at + 1 < len(packed) and y < height:
        count, value = packed[at], packed[at + 1]
        at += 2
        if count:
            run = _halves(packed[at - 1 : at] * -(-count // 2))[:count] if halves else packed[at - 1 : at] * count
        elif value > 2:
            size = -(-value // 2) if halves else value
            run = _halves(packed[at : at + size])[:value] if halves else packed[at : at + size]
            at += size + size % 2
        else:
            if value == 1:
                return pixels, True
            right, up = (*packed[at : at + 2], 0, 0)[:2] if value == 2 else (-x, 1)
            at += value
            x, y = x + right, y + up
            continue
        inside = run[: max(0, width - x)]
        pixels[y * stride + x : y * stride + x + len(inside)] = inside
        x += len(run)
    return pixels, y >= height or (y == height - 1 and x >= width)


def _halves(packed: bytes) -> bytes:
    """Split bytes into their upper and lower four bits."""
    return bytes(half for byte in packed for half in (byte >> 4, byte & 15))
