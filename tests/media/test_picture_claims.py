"""Files that claim what cannot be: each was found by fuzz/pictures.py, or is what it led to."""

from __future__ import annotations

import re
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hostile_pictures import encoded, png, scene, tiff
from mien.errors import DecodeError, UnsupportedMediaError
from mien.media import read_image

MEGABYTE = 1 << 20


def gif(screen: tuple[int, int], frame: tuple[int, int, int, int], *, between: bytes = b"") -> bytes:
    """Return a GIF whose only picture is red, the first colour of its table."""
    left, top, width, height = frame
    pixels = Image.new("P", (width, height), 0)
    pixels.putpalette([255, 0, 0, 0, 0, 0])
    whole = encoded(pixels, "gif")
    flags = whole[10]
    at = 13 + (3 << (flags & 7) + 1)
    picture = whole[whole.index(b",", at) :]
    head = whole[:6] + struct.pack("<HH", *screen) + whole[10:at]
    return head + between + b"," + struct.pack("<HHHH", left, top, width, height) + picture[9:]


def strip(**changes: tuple[str, tuple[int, ...]]) -> bytes:
    """Return a grey TIFF of 40 x 30 pixels in one deflated strip, with other values of some tags."""
    body = zlib.compress(bytes(range(40)) * 30)
    entries = {256: ("H", (40,)), 257: ("H", (30,)), 258: ("H", (8,)), 259: ("H", (8,)), 262: ("H", (1,))}
    entries |= {273: ("L", (8,)), 277: ("H", (1,)), 278: ("L", (30,)), 279: ("L", (len(body),))}
    return tiff(entries | {int(tag[1:]): value for tag, value in changes.items()}, body)


@pytest.mark.parametrize(
    ("width", "height", "stored"),
    [(5000, 5000, "PNG"), (24_000_001, 1, "PNG"), (8000, 8000, "GIF"), (9000, 9000, "WebP")],
)
def test_a_few_bytes_are_no_large_picture(width: int, height: int, stored: str) -> None:
    if stored == "PNG":
        data = png(width, height, b"\0\1\2\3")
    elif stored == "GIF":
        data = gif((width, height), (0, 0, 3, 3))
    else:
        data = bytearray(encoded(np.dstack([scene(), scene()[..., 0]]), "webp"))
        data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    claim = rf"the picture claims {width} x {height} pixels, but has only [\d,]+ bytes: at most 1,000 pixels a byte"
    with pytest.raises(DecodeError, match=claim):
        read_image(bytes(data))


def test_large_pictures_with_enough_bytes_are_read() -> None:
    rows = bytes(1) + bytes(range(250)) * 60
    assert read_image(png(5000, 5000, rows * 5000)).pixels.shape == (5000, 5000, 3)


@pytest.mark.parametrize(("frame", "size"), [((0, 0, 30, 20), (30, 20)), ((5, 4, 30, 20), (35, 24))])
def test_a_gif_that_leaves_its_screen(
    frame: tuple[int, int, int, int], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # over which Pillow warns of screens that have to grow
    picture = read_image(gif((7, 3), frame))
    assert (picture.width, picture.height) == size
    np.testing.assert_array_equal(picture.pixels[frame[1] :, frame[0] :], np.full((20, 30, 3), (255, 0, 0)))


def test_what_stands_before_the_picture_of_a_gif() -> None:
    comment, control = b"!\xfe\5words\0", b"!\xf9\4\1\0\0\0\0"
    plain = read_image(gif((30, 20), (0, 0, 30, 20))).pixels
    np.testing.assert_array_equal(read_image(gif((30, 20), (0, 0, 30, 20), between=comment + b"?")).pixels, plain)
    clear = read_image(gif((30, 20), (0, 0, 30, 20), between=comment + control))
    assert clear.warnings == ("transparent parts are shown on white",)
    assert (clear.pixels == 255).all()
    for end, message in ((10, "within its header"), (13 + 6, "before its first picture")):
        with pytest.raises(DecodeError, match=message):
            read_image(gif((30, 20), (0, 0, 30, 20))[:end])
    with pytest.raises(DecodeError, match="outside of its screen"):
        read_image(gif((30, 20), (65_530, 0, 30, 20)))


def test_very_wide_pictures_are_copied_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (2, 200_000, 3), dtype=np.uint8)
    data = encoded(wide, "bmp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70_000)
    np.testing.assert_array_equal(read_image(data).pixels, wide)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"t258": ("H", (65_535,))}, UnsupportedMediaError, "with 65535 bits a sample: expected at most 16"),
        ({"t258": ("H", (0,))}, UnsupportedMediaError, "with 0 bits a sample"),
        ({"t277": ("H", (0,))}, UnsupportedMediaError, "with 0 samples a pixel"),
        ({"t277": ("H", (60,))}, UnsupportedMediaError, "with 60 samples a pixel"),
    ],
)
def test_a_tiff_with_impossible_samples(changes: Any, error: type[Exception], message: str) -> None:
    assert read_image(strip()).pixels.shape == (30, 40, 3)
    with pytest.raises(error, match=re.escape(message)):
        read_image(strip(**changes))


def test_tiles_of_a_tiff_that_would_fill_the_memory() -> None:
    # 500 tiles, each 1 pixel wide and millions of rows high, for a picture of 500 x 1.
    count = 500
    tiles = {"t322": ("L", (1,)), "t323": ("L", (2_000_000,)), "t324": ("L", (8,) * count), "t325": ("L", (9,) * count)}
    tracemalloc.start()
    with pytest.raises(DecodeError, match="its tiles of 1 x 2000000 pixels do not fit its 500 x 1 pixels"):
        read_image(strip(t256=("H", (count,)), t257=("H", (1,)), **tiles))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MEGABYTE
