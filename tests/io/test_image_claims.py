"""Files that claim what cannot be: each was found by fuzz/images.py, or is what it led to."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import time
import tracemalloc
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hostile_images import encoded, packed_bmp, png, scene, tiff
from mien.errors import DecodeError, UnsupportedMediaError
from mien.io import read_image
from mien.io.image import _PIXELS_OF_A_BYTE

MEGABYTE = 1 << 20


def gif(screen: tuple[int, int], frame: tuple[int, int, int, int], *, between: bytes = b"") -> bytes:
    """Return a GIF whose only image is red, the first color of its table."""
    left, top, width, height = frame
    pixels = Image.new("P", (width, height), 0)
    pixels.putpalette([255, 0, 0, 0, 0, 0])
    whole = encoded(pixels, "gif")
    flags = whole[10]
    at = 13 + (3 << (flags & 7) + 1)
    image = whole[whole.index(b",", at) :]
    head = whole[:6] + struct.pack("<HH", *screen) + whole[10:at]
    return head + between + b"," + struct.pack("<HHHH", left, top, width, height) + image[9:]


def strip(**changes: tuple[str, tuple[int, ...]]) -> bytes:
    """Return a gray TIFF of 40 x 30 pixels in one deflated strip, with other values of some tags."""
    body = zlib.compress(bytes(range(40)) * 30)
    entries = {256: ("H", (40,)), 257: ("H", (30,)), 258: ("H", (8,)), 259: ("H", (8,)), 262: ("H", (1,))}
    entries |= {273: ("L", (8,)), 277: ("H", (1,)), 278: ("L", (30,)), 279: ("L", (len(body),))}
    return tiff(entries | {int(tag[1:]): value for tag, value in changes.items()}, body)


@pytest.mark.parametrize("stored", ["jpeg", "png", "webp"])
def test_white_pages_have_fewer_pixels_a_byte_than_are_believed(stored: str) -> None:
    assert 2500**2 / len(encoded(Image.new("RGB", (2500, 2500), "white"), stored)) < 0.7 * _PIXELS_OF_A_BYTE


@pytest.mark.parametrize(
    ("width", "height", "stored"),
    [(5000, 5000, "PNG"), (24_000_001, 1, "PNG"), (1, 9_000_000, "PNG"), (8000, 8000, "GIF"), (9000, 9000, "WebP")],
)
def test_a_few_bytes_are_no_large_image(width: int, height: int, stored: str) -> None:
    if stored == "PNG":
        data = png(width, height, b"\0\1\2\3")
    elif stored == "GIF":
        data = gif((width, height), (0, 0, 3, 3))
    else:
        data = bytearray(encoded(np.dstack([scene(), scene()[..., 0]]), "webp"))
        data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    claim = rf"the image claims {width} x {height} pixels, but has only [\d,]+ bytes: at most 1,000 pixels a byte"
    with pytest.raises(DecodeError, match=claim):
        read_image(bytes(data))


def test_large_images_with_enough_bytes_are_read() -> None:
    rows = bytes(1) + bytes(range(250)) * 60
    assert read_image(png(5000, 5000, rows * 5000)).pixels.shape == (5000, 5000, 3)


@pytest.mark.parametrize(("frame", "size"), [((0, 0, 30, 20), (30, 20)), ((5, 4, 30, 20), (35, 24))])
def test_a_gif_that_leaves_its_screen(
    frame: tuple[int, int, int, int], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # over which Pillow warns of screens that have to grow
    image = read_image(gif((7, 3), frame))
    assert (image.width, image.height) == size
    np.testing.assert_array_equal(image.pixels[frame[1] :, frame[0] :], np.full((20, 30, 3), (255, 0, 0)))


def test_what_stands_before_the_image_of_a_gif() -> None:
    comment, control = b"!\xfe\5words\0", b"!\xf9\4\1\0\0\0\0"
    plain = read_image(gif((30, 20), (0, 0, 30, 20))).pixels
    np.testing.assert_array_equal(read_image(gif((30, 20), (0, 0, 30, 20), between=comment + b"?")).pixels, plain)
    clear = read_image(gif((30, 20), (0, 0, 30, 20), between=comment + control))
    assert clear.warnings == ("transparent parts are shown on white",)
    assert (clear.pixels == 255).all()
    for end, message in ((10, "within its header"), (13 + 6, "before its first image")):
        with pytest.raises(DecodeError, match=message):
            read_image(gif((30, 20), (0, 0, 30, 20))[:end])
    with pytest.raises(DecodeError, match="outside of its screen"):
        read_image(gif((30, 20), (65_530, 0, 30, 20)))


def test_very_wide_images_are_copied_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
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
    # 500 tiles, each 1 pixel wide and millions of rows high, for an image of 500 x 1.
    count = 500
    tiles = {"t322": ("L", (1,)), "t323": ("L", (2_000_000,)), "t324": ("L", (8,) * count), "t325": ("L", (9,) * count)}
    tracemalloc.start()
    with pytest.raises(DecodeError, match="its tiles of 1 x 2000000 pixels do not fit its 500 x 1 pixels"):
        read_image(strip(t256=("H", (count,)), t257=("H", (1,)), **tiles))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MEGABYTE


# --- little data, much work -------------------------------------------------------------------------------------------


def seconds(data: bytes) -> float:
    """Return the processor time that a file takes, whatever comes of it."""
    start = time.process_time()
    with contextlib.suppress(DecodeError):
        read_image(data)
    return time.process_time() - start


def packed_strip(body: bytes, *, compression: int, width: int, height: int) -> bytes:
    """Return a gray TIFF in one strip."""
    entries = {256: ("L", (width,)), 257: ("L", (height,)), 258: ("H", (8,)), 259: ("H", (compression,))}
    entries |= {262: ("H", (1,)), 273: ("L", (8,)), 277: ("H", (1,)), 278: ("L", (height,)), 279: ("L", (len(body),))}
    return tiff(entries, body)


def test_lzw_with_a_new_table_after_each_code() -> None:
    codes = [256, *(code for value in range(20) for code in (value, 256)), 257]
    bits = "".join(f"{code:09b}" for code in codes)
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    image = read_image(packed_strip(body, compression=5, width=10, height=2))
    assert image.pixels[..., 0].ravel().tolist() == list(range(20))
    # 40,000 tables of nothing: each once took as long as a full one.
    nothing = int(f"{256:09b}" * 40_000, 2).to_bytes(45_000, "big")
    assert seconds(packed_strip(nothing, compression=5, width=3000, height=3000)) < 1


def test_strips_that_all_are_the_same_bytes() -> None:
    body, count = zlib.compress(bytes(100_000)), 3000
    whole = tiff(
        {
            256: ("L", (10,)),
            257: ("L", (count,)),
            258: ("H", (8,)),
            259: ("H", (8,)),
            262: ("H", (1,)),
            273: ("L", (8,) * count),
            278: ("L", (1,)),
            279: ("L", (len(body),) * count),
        },
        body.ljust(30_000, b"\0"),
    )
    with pytest.raises(DecodeError, match="its strips or tiles lie upon each other"):
        read_image(whole)


def test_a_tag_that_stands_twice_is_refused_before_pillow_logs_about_it(caplog: pytest.LogCaptureFixture) -> None:
    data = strip(t278=("L", (30,)), t32=("L", (232,)))
    at = data.index(struct.pack("<HHL", 32, 4, 1))
    twice = data[:at] + struct.pack("<H", 277) + data[at + 2 :]
    with pytest.raises(DecodeError, match="its tag 277 stands there twice"):
        read_image(twice)
    assert not caplog.records


def test_a_flood_of_scans() -> None:
    data = encoded(scene(), "jpeg", progressive=True)
    first, last = data.index(b"\xff\xda"), data.rindex(b"\xff\xda")
    scan = data[last:-2]
    assert read_image(data[:-2] + scan * 10 + b"\xff\xd9").pixels.shape == scene().shape
    with pytest.raises(DecodeError, match="it has 120 scans, more than 100"):
        read_image(data[:-2] + scan * (120 - data.count(b"\xff\xda", first)) + b"\xff\xd9")


# --- BMP: what each kind of pair means, by hand -----------------------------------------------------------------------

COLORS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)])


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_pixels_of_a_bmp(bits: int) -> None:
    rows = np.array([[2] * 5 + [0] * 2 + [1] * 9, [1, 2, 3] + [0] * 13, [1] * 16])
    image = read_image(packed_bmp(bits))
    np.testing.assert_array_equal(image.pixels, COLORS[rows])
    assert image.warnings == ()


def test_packed_pixels_agree_with_pillow() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        body = b""
        for _ in range(12):
            at = 0
            while at < 50:
                count = min(50 - at, int(rng.integers(3, 9)))
                if count < 3 or rng.random() < 0.5:
                    body += bytes([count, rng.integers(4)])
                else:
                    body += bytes([0, count, *rng.integers(0, 4, count + count % 2)])
                at += count
            body += b"\0\0"
        data = packed_bmp(width=50, height=12, packed=body + b"\0\1")
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            np.testing.assert_array_equal(read_image(data).pixels, np.asarray(image.convert("RGB")))


def test_a_packed_bmp_may_leave_out_its_last_rows_but_not_be_cut() -> None:
    run = b"\4\1\0\0"
    whole = read_image(packed_bmp(width=4, height=3, packed=run + b"\0\1"))
    np.testing.assert_array_equal(whole.pixels, np.repeat(COLORS[[[0], [0], [1]]], 4, axis=1))
    assert whole.warnings == ()
    cut = read_image(packed_bmp(width=4, height=3, packed=run))
    assert cut.warnings == ("the file is truncated: a part of the image is missing",)
    with pytest.raises(DecodeError, match="ends within its header"):
        read_image(packed_bmp()[:33])
    with pytest.raises(DecodeError, match="packed in a way that 8 bits a pixel or rows from the top cannot be"):
        read_image(packed_bmp(height=-3))


def test_the_end_of_a_long_packed_row_comes_at_once() -> None:
    data = packed_bmp(width=4_000_000, height=5, packed=b"\1\1\0\0")
    start = time.process_time()
    image = read_image(data)
    assert time.process_time() - start < 1
    assert image.pixels[-1, 0].tolist() == [255, 0, 0]
    assert not image.pixels[:-1].any()


# --- JPEG: what a decoder would take for metadata ---------------------------------------------------------------------


@pytest.mark.parametrize("marker", [0xF0, 0xC8, 0xFD, 0x4F])
def test_metadata_within_a_reserved_segment_is_not_seen(marker: int) -> None:
    data = encoded(scene(), "jpeg")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x1b\0\5\0\0\0\1\xff\xff\xff\0" + bytes(4)  # its resolution lies beyond it
    inner = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
    hidden = bytes((0xFF, marker)) + struct.pack(">H", 2 + len(inner)) + inner
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(read_image(data[:2] + hidden + data[2:]).pixels, read_image(data).pixels)
    assert not caught, caught[0].message


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_with_an_impossible_length(length: int) -> None:
    data = encoded(scene(), "jpeg")
    with pytest.raises(DecodeError, match="a part of its header has an impossible length"):
        read_image(data[:2] + b"\xff\xdb" + struct.pack(">H", length) + data[2:])
