"""TIFF: its directory (which EXIF shares), and compressed strips and tiles made plain.

Pillow reads plain TIFF files itself, but hands compressed ones to libtiff, which writes what it thinks of a damaged
file to the process' stderr.  So deflate, LZW and PackBits are undone here, and Pillow gets a plain file.

References
----------
TIFF Revision 6.0 (Adobe, 1992), sections 2, 9, 13, 14, 15; the BigTIFF note of libtiff;
CIPA DC-008 (Exif 2.32).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from mien.io._lzw import unpack_lzw

__all__ = ["TiffKindError", "clean_tiff", "exif_orientation", "expand_tiff"]

_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "L", 16: "Q"}
_LONG = 4

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION = 256, 257, 258, 259, 262, 266, 274
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_PIXEL_TAGS = frozenset(
    (*range(256, 260), 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 332, 338, 339)
)
_SINGLE_TAGS = frozenset((256, 257, 259, 262, 266, 277, 278, 284, 317, 322, 323, 332))
_UNKNOWN_TAG = 65000  # the first tag of the range that TIFF 6.0 leaves to private use

_DEFLATE = (8, 32946)
_LZW = 5
_PACKBITS = 32773
_MAX_SAMPLES = 5  # CMYK with alpha; more is no photograph
_MAX_BITS = 16
_SPARE_PIXELS = 1 << 24  # room for one tile of 4096 x 4096, in which a small image may lie


class TiffKindError(ValueError):
    """A sound file of a kind that is not read; the message continues "the file is a TIFF"."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a directory: where it stands, what it says, and how wide its counts and offsets are (4 or 8)."""

    at: int
    tag: int
    type: int
    count: int
    value_at: int
    order: str
    wide: int

    @property
    def nbytes(self) -> int:
        return _BYTES_OF_TYPE.get(self.type, 0) * self.count

    def values(self, data: bytes) -> tuple[int, ...]:
        code = _CODES.get(self.type)
        if code is None:
            raise ValueError(f"its tag {self.tag} must hold integers, but is of type {self.type}")
        return struct.unpack_from(f"{self.order}{self.count}{code}", data, self.value_at)


def _entries(data: bytes) -> Iterator[_Entry]:
    """Yield the entries of the first directory; `ValueError` where it does not lie within the data."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        raise ValueError("it has no directory")
    wide = 8 if struct.unpack_from(order + "H", data, 2)[0] == 43 else 4
    offset_code, number_code = ("Q", "Q") if wide == 8 else ("L", "H")
    start = struct.unpack_from(order + offset_code, data, wide)[0]
    first = start + struct.calcsize(order + number_code)
    if first > len(data):
        raise ValueError("its directory lies beyond its end")
    number = struct.unpack_from(order + number_code, data, start)[0]
    step = 4 + 2 * wide
    if first + number * step + wide > len(data):
        raise ValueError("its directory goes beyond its end")
    for at in range(first, first + number * step, step):
        tag, kind, count = struct.unpack_from(order + "HH" + offset_code, data, at)
        value_at = at + 4 + wide
        if _BYTES_OF_TYPE.get(kind, 0) * count > wide:
            value_at = struct.unpack_from(order + offset_code, data, value_at)[0]
        yield _Entry(at, tag, kind, count, value_at, order, wide)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) in a block of EXIF, with or without its mark; 1 where it has none."""
    data = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    try:
        for entry in _entries(data):
            if entry.tag == _ORIENTATION:
                return _orientation(entry, data)
    except ValueError:
        pass  # damaged metadata says nothing about the orientation, and the pixels may be whole
    return 1


def _orientation(entry: _Entry, data: bytes) -> int:
    if entry.type != 3 or entry.count != 1:
        return 1
    value = entry.values(data)[0]
    return value if 1 <= value <= 8 else 1


def clean_tiff(data: bytes) -> tuple[bytes, int, tuple[int, int]]:
    """Return the file with nothing but its first image and the tags that its pixels need, orientation, and size.

    Raises
    ------
    ValueError
        If the directory is damaged.
    """
    cleaned = bytearray(data)
    orientation, total = 1, 0
    sizes = {_WIDTH: 0, _HEIGHT: 0}
    seen: set[int] = set()
    end = wide = 0
    for entry in _entries(data):
        end, wide = entry.at + 4 + 2 * entry.wide, entry.wide
        if entry.tag == _ORIENTATION:
            orientation = _orientation(entry, data)
        if entry.tag not in _PIXEL_TAGS:
            struct.pack_into(entry.order + ("HHQ" if wide == 8 else "HHL"), cleaned, entry.at, _UNKNOWN_TAG, 1, 1)
            continue
        if entry.tag in seen:  # of which Pillow would take the one, and this module the other
            raise ValueError(f"its tag {entry.tag} stands there twice")
        seen.add(entry.tag)
        total += entry.nbytes
        if entry.value_at + entry.nbytes > len(data) or total > len(data):
            raise ValueError(f"the value of its tag {entry.tag} goes beyond its end")
        if entry.count == 0 or (entry.tag in _SINGLE_TAGS and entry.count != 1):
            raise ValueError(f"its tag {entry.tag} has {entry.count} values")
        if entry.tag in sizes:
            sizes[entry.tag] = entry.values(data)[0]
    cleaned[end : end + wide] = bytes(wide)  # no next directory
    return bytes(cleaned), orientation, (sizes[_WIDTH], sizes[_HEIGHT])


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the pixels are stored: the blocks are strips or tiles."""

    tags: dict[int, _Entry]
    data: bytes

    def get(self, tag: int, default: int) -> int:
        return self.tags[tag].values(self.data)[0] if tag in self.tags else default

    @property
    def samples(self) -> int:
        """Samples a pixel within one block."""
        return 1 if self.get(_PLANAR, 1) == 2 else self.get(_SAMPLES, 1)

    def blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield offset, stored bytes, columns and rows of each block."""
        tiled = _TILES in self.tags
        offsets = self.tags[_TILES if tiled else _STRIPS].values(self.data)
        sizes = self.tags[_TILE_BYTES if tiled else _STRIP_BYTES].values(self.data)
        width, height = self.get(_WIDTH, 0), self.get(_HEIGHT, 0)
        columns = self.get(_TILE_WIDTH, 0) if tiled else width
        rows = self.get(_TILE_HEIGHT, 0) if tiled else min(self.get(_ROWS, height), height)
        if rows <= 0 or columns <= 0 or len(offsets) != len(sizes):
            raise ValueError("its strips or tiles do not fit together")
        down, across = -(-height // rows), -(-width // columns)
        planes = 1 if self.samples > 1 else self.get(_SAMPLES, 1)
        # The blocks of a plane are together hardly larger than the image; the last ones may go beyond it.
        if columns * across * rows * down > 2 * width * height + _SPARE_PIXELS:
            raise ValueError(f"its tiles of {columns} x {rows} pixels do not fit its {width} x {height} pixels")
        if len(offsets) != down * across * planes:
            raise ValueError(f"it has {len(offsets)} strips or tiles where {down * across * planes} are expected")
        # Nor may one stored block, which takes its time, stand for thousands of the image's.
        stored = sum(max(0, min(size, len(self.data) - at)) for at, size in zip(offsets, sizes, strict=True))
        if stored > 2 * len(self.data):
            raise ValueError("its strips or tiles lie upon each other")
        for number, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            last = not tiled and number % down == down - 1
            yield offset, size, columns, height - rows * (down - 1) if last else rows


def expand_tiff(data: bytes) -> tuple[bytes, bool]:
    """Undo the compression of what `clean_tiff` returned.

    Returns
    -------
    bytes
        A plain TIFF.
    bool
        Whether all strips or tiles were whole; what is missing is zero.

    Raises
    ------
    TiffKindError
        If the compression or the kind of samples is not read.
    ValueError
        If the file is damaged.
    """
    layout = _Layout({entry.tag: entry for entry in _entries(data)}, data)
    compression, bits = layout.get(_COMPRESSION, 1), layout.get(_BITS, 1)
    if not 1 <= layout.get(_SAMPLES, 1) <= _MAX_SAMPLES:
        raise TiffKindError(f"with {layout.get(_SAMPLES, 1)} samples a pixel: expected at most {_MAX_SAMPLES}")
    if compression == 1:
        return data, True
    if compression not in (*_DEFLATE, _LZW, _PACKBITS) or layout.get(_FILL_ORDER, 1) != 1:
        raise TiffKindError(f"with compression {compression}: expected none, LZW, deflate or PackBits")
    if not 1 <= bits <= _MAX_BITS:
        raise TiffKindError(f"with {bits} bits a sample: expected at most {_MAX_BITS}")
    plain_file = bytearray(data.ljust(len(data) + len(data) % 2, b"\0"))
    sizes, whole = [], True
    for offset, size, columns, rows in layout.blocks():
        sizes.append(-(-columns * layout.samples * bits // 8) * rows)
        plain = _decompress(data[offset : offset + size], compression, sizes[-1])
        whole = whole and len(plain) == sizes[-1]
        plain_file += _undo_predictor(plain.ljust(sizes[-1], b"\0"), layout, bits, rows, columns)
    _point_to_blocks(plain_file, layout, sizes)
    return bytes(plain_file), whole


def _point_to_blocks(plain_file: bytearray, layout: _Layout, sizes: list[int]) -> None:
    """Let the directory say that plain blocks of these sizes stand at the end."""
    tiled = _TILES in layout.tags
    start = len(plain_file) - sum(sizes)
    changed = {
        _COMPRESSION: [1],
        _PREDICTOR: [1],
        _TILES if tiled else _STRIPS: list(accumulate(sizes[:-1], initial=start)),
        _TILE_BYTES if tiled else _STRIP_BYTES: sizes,
    }
    for tag, values in changed.items():
        entry = layout.tags.get(tag)
        if entry is None:
            continue
        packed = struct.pack(f"{entry.order}{len(values)}L", *values)
        code = "Q" if entry.wide == 8 else "L"
        struct.pack_into(f"{entry.order}HH{code}", plain_file, entry.at, tag, _LONG, len(values))
        if len(packed) <= entry.wide:
            plain_file[entry.at + 4 + entry.wide : entry.at + 4 + entry.wide + len(packed)] = packed
        else:
            struct.pack_into(entry.order + code, plain_file, entry.at + 4 + entry.wide, len(plain_file))
            plain_file += packed


def _decompress(block: bytes, compression: int, expected: int) -> bytes:
    if compression == _LZW:
        return unpack_lzw(block, expected)
    if compression == _PACKBITS:
        return _packbits(block, expected)
    try:
        return zlib.decompressobj().decompress(block, expected)
    except zlib.error as error:
        raise ValueError(f"its compressed data is damaged ({error})") from error


def _undo_predictor(plain: bytes, layout: _Layout, bits: int, rows: int, columns: int) -> bytes | memoryview:
    """Undo horizontal differencing: each sample was stored as the difference from the one to its left (section 14)."""
    predictor = layout.get(_PREDICTOR, 1)
    if predictor == 1:
        return plain
    if predictor != 2 or bits not in (8, 16):
        raise TiffKindError(f"with predictor {predictor} on {bits} bits: expected none, or differences of 8 or 16 bits")
    order = layout.tags[_PREDICTOR].order
    dtype = np.dtype(np.uint8 if bits == 8 else order + "u2")
    differences = np.frombuffer(plain, dtype=dtype).reshape(rows, columns, layout.samples)
    samples = np.add.accumulate(differences, axis=1, dtype=dtype.newbyteorder("=")).astype(dtype, copy=False)
    return samples.reshape(-1).view(np.uint8).data


def _packbits(block: bytes, expected: int) -> bytes:
    """Undo PackBits (section 9): n >= 0 copies n + 1 bytes, n < 0 repeats the next byte 1 - n times."""
    out = bytearray()
    at = 0
    while at < len(block) and len(out) < expected:
        length = block[at]
        if length < 128:
            out += block[at + 1 : at + 2 + length]
            at += 2 + length
        elif length == 128:
            at += 1
        else:
            out += block[at + 1 : at + 2] * (257 - length)
            at += 2
    return bytes(out[:expected])
