"""Small images of every kind, and what damage makes of them; also used by fuzz/images.py.

Pillow writes what it can; interlaced and 16-bit color PNG, packed and old BMP and the rarer layouts of TIFF are put
together here, byte by byte, as the specifications say.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mien.samples import astronaut_path

WIDTH, HEIGHT = 61, 43

Pixels = NDArray[np.uint8]


def scene() -> Pixels:
    """Return a smooth image in which no two corners look alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    blue = 127.5 + 127.5 * np.sin(x / 9.0) * np.cos(y / 7.0)
    channels = [255 * x / (WIDTH - 1), 255 * y / (HEIGHT - 1), blue]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def face() -> Image.Image:
    """Return a face of 61 x 61 pixels."""
    with Image.open(astronaut_path()) as image:
        return image.convert("RGB").crop((140, 20, 300, 180)).resize((WIDTH, WIDTH))


def encoded(image: Pixels | Image.Image, name: str, **options: Any) -> bytes:
    """Write an image with Pillow."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, name, **options)
    return stream.getvalue()


def whole_images() -> dict[str, bytes]:
    """Return one whole file of each kind that is read, with the metadata that damage likes."""
    return {**_jpegs(), **_pngs(), **_webps(), **_gifs(), **_bmps(), **_tiffs()}


def other_images() -> dict[str, bytes]:
    """Return images in formats that are not read."""
    return {
        "jpeg2000": encoded(scene(), "jpeg2000"),
        "ico": encoded(scene(), "ico", sizes=[(16, 16)]),
        "ppm": encoded(scene(), "ppm"),
        "tga": encoded(scene(), "tga"),
        "tiff-float": encoded(Image.fromarray(scene()[..., 0].astype(np.float32)), "tiff"),
    }


def _metadata() -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker with a long name"
    return {"exif": exif, "icc_profile": bytes(range(256)) * 2}


def _frames() -> list[Image.Image]:
    return [Image.fromarray(np.roll(scene(), 7 * turn, axis=1)) for turn in range(3)]


# --- by format --------------------------------------------------------------------------------------------------------


def _jpegs() -> dict[str, bytes]:
    pixels = scene()
    return {
        "jpeg": encoded(pixels, "jpeg", comment="a comment", **_metadata()),
        "jpeg-face": encoded(face(), "jpeg"),
        "jpeg-progressive": encoded(pixels, "jpeg", progressive=True),
        "jpeg-restarts": encoded(pixels, "jpeg", restart_marker_blocks=2, subsampling=0),
        "jpeg-gray": encoded(pixels[..., 0], "jpeg"),
        "jpeg-cmyk": encoded(Image.fromarray(pixels).convert("CMYK"), "jpeg"),
    }


def _pngs() -> dict[str, bytes]:
    pixels, frames = scene(), _frames()
    image = Image.fromarray(pixels)
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a title")
    text.add_text("Comment", "words " * 20, zip=True)
    wide = pixels.astype(">u2") * 257
    return {
        "png": encoded(pixels, "png", pnginfo=text, **_metadata()),
        "png-1": encoded(image.convert("1"), "png"),
        "png-gray": encoded(pixels[..., 0], "png"),
        "png-gray-16": encoded(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "png"),
        "png-16": png(WIDTH, HEIGHT, _rows(wide.tobytes(), 6 * WIDTH), depth=16),
        "png-palette": encoded(image.quantize(32), "png", transparency=3),
        "png-palette-2": encoded(image.quantize(4), "png", bits=2),
        "png-alpha": encoded(np.dstack([pixels, pixels[..., 2]]), "png"),
        "png-interlaced": _interlaced(pixels),
        "apng": encoded(frames[0], "png", save_all=True, append_images=frames[1:]),
    }


def png(width: int, height: int, rows: bytes, *, depth: int = 8, color: int = 2, interlaced: bool = False) -> bytes:
    """Write a PNG of rows that begin with their filter, with whatever size its header should claim."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _rows(content: bytes, length: int) -> bytes:
    return b"".join(b"\0" + content[at : at + length] for at in range(0, len(content), length))


# Adam7 (PNG, section 8): first column and row of each pass, and its steps.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _interlaced(pixels: Pixels) -> bytes:
    parts = [pixels[y::down, x::across] for x, y, across, down in _PASSES]
    rows = b"".join(_rows(part.tobytes(), 3 * part.shape[1]) for part in parts)
    return png(WIDTH, HEIGHT, rows, interlaced=True)


def _webps() -> dict[str, bytes]:
    pixels, frames = scene(), _frames()
    return {
        "webp": encoded(pixels, "webp", **_metadata()),
        "webp-plain": encoded(face(), "webp"),
        "webp-alpha": encoded(np.dstack([pixels, pixels[..., 2]]), "webp"),
        "webp-lossless": encoded(np.dstack([pixels, pixels[..., 2]]), "webp", lossless=True),
        "webp-animated": encoded(frames[0], "webp", save_all=True, append_images=frames[1:]),
    }


def _gifs() -> dict[str, bytes]:
    frames = [frame.quantize(16) for frame in _frames()]
    return {
        "gif": encoded(frames[0], "gif", interlace=0),
        "gif-interlaced": encoded(frames[1], "gif", interlace=1, comment=b"a comment", transparency=2),
        "gif-animated": encoded(frames[0], "gif", save_all=True, append_images=frames[1:], loop=0, disposal=2),
    }


def _bmps() -> dict[str, bytes]:
    image = Image.fromarray(scene())
    return {
        "bmp": encoded(image, "bmp"),
        "bmp-1": encoded(image.convert("1"), "bmp"),
        "bmp-palette": encoded(image.quantize(32), "bmp"),
        "bmp-alpha": encoded(image.convert("RGBA"), "bmp"),
        "bmp-packed": packed_bmp(),
        "bmp-packed-4": packed_bmp(4),
        "bmp-old": b"BM" + struct.pack("<LLLLHHHH", 26 + 16, 0, 26, 12, 2, 2, 1, 24) + bytes(range(16)),
    }


# Rows from the bottom: a run; three pixels as they are, and a run; a run, a jump by two, and a run; the end.
_PACKED = {
    8: b"\x10\1\0\0" + b"\0\3\1\2\3\0\x0d\0\0\0" + b"\5\2\0\2\2\0\x09\1\0\1",
    4: b"\x10\x11\0\0" + b"\0\3\x12\x30\x0d\0\0\0" + b"\5\x22\0\2\2\0\x09\x11\0\1",
}


def packed_bmp(bits: int = 8, *, width: int = 16, height: int = 3, packed: bytes | None = None) -> bytes:
    """Return a BMP of four colors whose pixels are packed (BI_RLE8 or BI_RLE4)."""
    body = _PACKED[bits] if packed is None else packed
    palette = bytes((0, 0, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0))
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, {8: 1, 4: 2}[bits], len(body), 2835, 2835, 4, 0)
    return b"BM" + struct.pack("<LLL", 54 + 16 + len(body), 0, 54 + 16) + header + palette + body


def _tiffs() -> dict[str, bytes]:
    pixels = scene()
    image = Image.fromarray(pixels)
    differences = {"tiffinfo": {317: 2, 278: 7}}
    return {
        "tiff": encoded(pixels, "tiff", description="a description", dpi=(300, 300), **_metadata()),
        "tiff-lzw": encoded(pixels, "tiff", compression="tiff_lzw", **differences),
        "tiff-packbits": encoded(pixels, "tiff", compression="packbits"),
        "tiff-deflate": encoded(pixels, "tiff", compression="tiff_adobe_deflate", **differences),
        "tiff-big": encoded(pixels, "tiff", big_tiff=True),
        "tiff-pages": encoded(image.quantize(16), "tiff", save_all=True, append_images=_frames()),
        "tiff-cmyk": encoded(image.convert("CMYK"), "tiff", compression="tiff_lzw"),
        "tiff-1": encoded(image.convert("1"), "tiff"),
        "tiff-16": encoded(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "tiff", compression="packbits"),
        "tiff-tiled": _tiled_tiff(pixels),
        "tiff-planes": _planar_tiff(pixels),
        "tiff-jpeg": encoded(pixels, "tiff", compression="jpeg"),
    }


def tiff(entries: dict[int, tuple[str, tuple[int, ...]]], body: bytes, *, order: str = "<") -> bytes:
    """Write a TIFF of one page: entries as tag to code (``"H"`` or ``"L"``) and values; the body begins at byte 8."""
    values_at = 8 + len(body) + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(order + "H", len(entries)), b""
    for tag, (code, numbers) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        directory += struct.pack(order + "HHL", tag, {"H": 3, "L": 4}[code], len(numbers))
        if len(packed) <= 4:
            directory += packed.ljust(4, b"\0")
        else:
            directory += struct.pack(order + "L", values_at + len(values))
            values += packed
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "L", 8 + len(body)) + body + directory + bytes(4) + values


def _tiled_tiff(pixels: Pixels) -> bytes:
    padded = np.pad(pixels, ((0, 48 - HEIGHT), (0, 64 - WIDTH), (0, 0)))
    tiles = [zlib.compress(padded[y : y + 16, x : x + 32].tobytes()) for y in range(0, 48, 16) for x in (0, 32)]
    offsets = tuple(8 + sum(map(len, tiles[:number])) for number in range(len(tiles)))
    entries = {
        **_layout(WIDTH, HEIGHT, compression=8),
        322: ("H", (32,)),
        323: ("H", (16,)),
        324: ("L", offsets),
        325: ("L", tuple(map(len, tiles))),
    }
    return tiff(entries, b"".join(tiles), order=">")


def _planar_tiff(pixels: Pixels) -> bytes:
    planes = [zlib.compress(pixels[..., channel].tobytes()) for channel in range(3)]
    offsets = tuple(8 + sum(map(len, planes[:number])) for number in range(3))
    entries = {**_layout(WIDTH, HEIGHT, compression=8), 273: ("L", offsets), 278: ("H", (HEIGHT,))}
    return tiff({**entries, 279: ("L", tuple(map(len, planes))), 284: ("H", (2,))}, b"".join(planes))


def _layout(width: int, height: int, *, compression: int) -> dict[int, tuple[str, tuple[int, ...]]]:
    return {
        256: ("L", (width,)),
        257: ("L", (height,)),
        258: ("H", (8, 8, 8)),
        259: ("H", (compression,)),
        262: ("H", (2,)),
        277: ("H", (3,)),
    }


# --- damage -----------------------------------------------------------------------------------------------------------

WAYS = ("cut", "flip", "swap", "splice", "lie", "zero", "repeat", "overwrite", "remove")

# What counters overflow on: in bytes, signed and unsigned.
_LIES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 20_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(number: int, *, seed: int = 20240229) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged files, all kinds and all ways in turn, some under the wrong suffix."""
    rng = np.random.default_rng(seed)
    files = {**whole_images(), **other_images()}
    names, contents = list(files), list(files.values())
    suffixes = ("jpg", "png", "webp", "tif", "bmp", "gif")
    for count in range(number):
        name, way = names[count % len(names)], WAYS[count % len(WAYS)]
        data = damage(contents[count % len(names)], way, rng, contents)
        if rng.random() < 0.5:  # and a second kind of damage on top of it
            data = damage(data, WAYS[rng.integers(len(WAYS))], rng, contents)
        if rng.random() < 0.6:
            data = with_checksums(data)
        right = {"jpeg": "jpg", "tiff": "tif", "apng": "png"}.get(name.split("-")[0], name.split("-")[0])
        suffix = right if rng.random() < 0.7 else suffixes[rng.integers(len(suffixes))]
        yield f"{count:04}-{name}-{way}.{suffix}", data


def damage(data: bytes, way: str, rng: np.random.Generator, others: list[bytes]) -> bytes:
    """Damage a file in one of `WAYS`; the first four bytes stay, and in two of three cases all after 200."""
    if len(data) < 8:
        return data
    content = bytearray(data)
    reach = len(content) if rng.random() < 0.34 else min(len(content), 200)
    at, length = int(rng.integers(4, max(5, reach))), int(rng.integers(1, 24))
    if way == "cut":
        del content[int(rng.integers(4, len(content))) :]
    elif way == "flip":
        for place in rng.integers(4, reach, int(rng.integers(1, 6))):
            content[place] ^= 1 << int(rng.integers(8))
    elif way == "swap":
        content[at : at + 2] = content[at : at + 2][::-1]
    elif way == "splice":
        other = others[rng.integers(len(others))]
        start = int(rng.integers(len(other)))
        content[at : at + 4 * length] = other[start : start + int(rng.integers(1, 400))]
    elif way == "lie":
        width = int(rng.choice((2, 4)))
        lie = _LIES[rng.integers(len(_LIES))] & (256**width - 1)
        content[at : at + width] = lie.to_bytes(width, "big" if rng.random() < 0.5 else "little")
    elif way == "zero":
        content[at : at + 8 * length] = bytes(len(content[at : at + 8 * length]))
    elif way == "repeat":
        content[at:at] = content[at : at + length] * int(rng.choice((1, 2, 10, 200)))
    elif way == "overwrite":
        content[at : at + length] = rng.bytes(length)
    else:
        del content[at : at + length]
    return bytes(content)


def with_checksums(data: bytes) -> bytes:
    """Make the checksums of a damaged PNG right, so that the damage is not told by them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    content, at = bytearray(data), 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[at + 4 : end]))
        at = end + 4
    return bytes(content)
