"""Damaged and hostile images: each is an image or a MediaError, quickly, in little memory, and nothing is printed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import reading_under_watch
from hostile_images import (
    WAYS,
    encoded,
    face,
    mutated,
    other_images,
    packed_bmp,
    png,
    scene,
    tiff,
    whole_images,
    with_checksums,
)
from mien.errors import DecodeError, MediaError, UnsupportedMediaError
from mien.io import read_image

FILES = 1000
SECONDS = 2.0  # of processor time: a busy machine is no fault of the file
MEGABYTES = 1024

# The pixels of these are the scene's, but for the colors that a palette or a coarse JPEG has.
LIKE_THE_SCENE = {"bmp": 0, "bmp-alpha": 0, "png-16": 0, "png-interlaced": 0, "apng": 0, "tiff-big": 0, "tiff-lzw": 0}
LIKE_THE_SCENE |= {"tiff-planes": 0, "tiff-tiled": 0, "tiff-deflate": 0, "tiff-packbits": 0, "tiff-cmyk": 0}
LIKE_THE_SCENE |= {"jpeg-cmyk": 1, "jpeg-restarts": 3, "jpeg-progressive": 3, "webp-animated": 4, "gif": 25}


def test_whole_files_are_read() -> None:
    pixels = scene()
    for name, data in whole_images().items():
        image = read_image(data)
        assert image.format == ("png" if name == "apng" else name.split("-")[0])
        known = {"transparent parts are shown on white", "the image is animated: only its first frame is read"}
        assert set(image.warnings) <= known, name
        if name in LIKE_THE_SCENE:
            assert np.abs(image.pixels.astype(int) - pixels).mean() <= LIKE_THE_SCENE[name], name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("jpeg2000", "it is an image in the format jpeg2000"),
        ("ico", "it is something else"),
        ("ppm", "it is something else"),
        ("tga", "it is something else"),
        ("tiff-float", "has float values"),
    ],
)
def test_other_formats_are_rejected_by_name(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedMediaError, match=reason):
        read_image(other_images()[name])


# --- mutations --------------------------------------------------------------------------------------------------------


def run_watched(folder: Path, seconds: float) -> tuple[subprocess.CompletedProcess[bytes], list[dict[str, Any]]]:
    """Read a folder in another process; return it with the lines that it wrote."""
    command = [sys.executable, reading_under_watch.__file__, str(folder), str(seconds)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=280)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def test_damage_is_of_every_kind() -> None:
    names = [name for name, _ in mutated(FILES)]
    assert len(set(names)) == FILES
    ways = Counter(Path(name).stem.rsplit("-", 1)[1] for name in names)
    assert set(ways) == set(WAYS)
    assert min(ways.values()) >= FILES // (2 * len(WAYS))
    assert [data for _, data in mutated(50)] == [data for _, data in mutated(50)]
    damaged = encoded(scene(), "png")
    broken = damaged[:20] + bytes([damaged[20] ^ 1]) + damaged[21:]
    assert with_checksums(damaged) == damaged
    assert with_checksums(broken)[:29] == broken[:29]
    assert with_checksums(broken)[29:33] != broken[29:33]


@pytest.mark.skipif(os.name == "nt", reason="the watch is a timer that Windows does not have")
def test_a_thousand_damaged_files(tmp_path: Path) -> None:
    contents = dict(mutated(FILES))
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    done, lines = run_watched(tmp_path, SECONDS)
    assert done.returncode == 0, lines[-1:]
    # libtiff has its say about compressed TIFF files, one line each; Python has none.
    assert b"Traceback" not in done.stderr
    assert b"Warning" not in done.stderr
    assert done.stderr.count(b"\n") < FILES // 10
    results = [row for row in lines if "name" in row]
    assert [row["name"] for row in results] == sorted(contents)
    assert all(row["message"].isprintable() for row in results if row["error"])
    assert max(row["seconds"] for row in results) < SECONDS
    assert max(row["peak_mb"] for row in results) < MEGABYTES
    # The damage is neither harmless nor always fatal.
    outcomes = Counter(row["error"] for row in results)
    assert outcomes.keys() == {"", "DecodeError", "UnsupportedMediaError"}
    assert min(outcomes.values()) >= FILES // 20


@pytest.mark.skipif(os.name == "nt", reason="the watch is a timer that Windows does not have")
def test_the_watch_stops_what_takes_too_long(tmp_path: Path) -> None:
    (tmp_path / "slow.png").write_bytes(encoded(face(), "png"))
    done, lines = run_watched(tmp_path, 0.001)
    assert done.returncode == -signal.SIGPROF
    assert lines == [{"begun": "slow.png"}]


def test_pillows_warnings_stay_inside(capfd: pytest.CaptureFixture[str]) -> None:
    files = {name: data for name, data in mutated(FILES) if "-tiff-" not in name}
    exif = encoded(scene(), "jpeg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0")
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        for data in (exif, *files.values()):
            with contextlib.suppress(MediaError):
                read_image(data)
        warnings.warn("others stay", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["others stay"]
    assert capfd.readouterr() == ("", "")


# --- files that claim what cannot be ----------------------------------------------------------------------------------


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


def run_seconds(data: bytes) -> float:
    """Return the processor time that a file takes, whatever comes of it."""
    start = time.process_time()
    with contextlib.suppress(MediaError):
        read_image(data)
    return time.process_time() - start


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_white_pages_are_believed(name: str) -> None:
    # 1,000 pixels a byte are the limit for images of more than 24 million pixels.
    assert 2500**2 / len(encoded(Image.new("RGB", (2500, 2500), "white"), name)) < 700


@pytest.mark.parametrize(
    ("width", "height", "name"),
    [(5000, 5000, "PNG"), (24_000_001, 1, "PNG"), (1, 9_000_000, "PNG"), (8000, 8000, "GIF"), (9000, 9000, "WebP")],
)
def test_a_few_bytes_are_no_large_image(width: int, height: int, name: str) -> None:
    if name == "PNG":
        data = png(width, height, b"\0\1\2\3")
    elif name == "GIF":
        data = gif((width, height), (0, 0, 3, 3))
    else:
        changed = bytearray(encoded(np.dstack([scene(), scene()[..., 0]]), "webp"))
        changed[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        data = bytes(changed)
    claim = rf"the image claims {width} x {height} pixels, but has only [\d,]+ bytes: at most 1,000 pixels a byte"
    with pytest.raises(DecodeError, match=claim):
        read_image(data)


def test_large_images_with_enough_bytes_are_read() -> None:
    rows = bytes(1) + bytes(range(250)) * 60
    assert read_image(png(5000, 5000, rows * 5000)).pixels.shape == (5000, 5000, 3)


@pytest.mark.parametrize(("frame", "size"), [((0, 0, 30, 20), (30, 20)), ((5, 4, 30, 20), (35, 24))])
def test_a_gif_that_leaves_its_screen(frame: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    image = read_image(gif((7, 3), frame))
    assert (image.width, image.height) == size
    np.testing.assert_array_equal(image.pixels[frame[1] :, frame[0] :], np.full((20, 30, 3), (255, 0, 0)))


def test_what_stands_before_the_image_of_a_gif() -> None:
    comment, control = b"!\xfe\5words\0", b"!\xf9\4\1\0\0\0\0"
    plain = read_image(gif((30, 20), (0, 0, 30, 20))).pixels
    np.testing.assert_array_equal(read_image(gif((30, 20), (0, 0, 30, 20), between=comment)).pixels, plain)
    clear = read_image(gif((30, 20), (0, 0, 30, 20), between=comment + control))
    assert clear.warnings == ("transparent parts are shown on white",)
    assert (clear.pixels == 255).all()
    for end in (10, 13 + 6):
        with pytest.raises(DecodeError):
            read_image(gif((30, 20), (0, 0, 30, 20))[:end])


def test_very_wide_images_are_copied_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (2, 200_000, 3), dtype=np.uint8)
    data = encoded(wide, "bmp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70_000)
    np.testing.assert_array_equal(read_image(data).pixels, wide)


def _gray_tiff(body: bytes, width: int, height: int, **changes: tuple[str, tuple[int, ...]]) -> bytes:
    """Return a gray TIFF in one deflated strip, with other values of some tags."""
    entries = {256: ("L", (width,)), 257: ("L", (height,)), 258: ("H", (8,)), 259: ("H", (8,)), 262: ("H", (1,))}
    entries |= {273: ("L", (8,)), 277: ("H", (1,)), 278: ("L", (height,)), 279: ("L", (len(body),))}
    return tiff(entries | {int(tag[1:]): value for tag, value in changes.items()}, body)


@pytest.mark.parametrize("changes", [{"t258": ("H", (65_535,))}, {"t277": ("H", (0,))}, {"t277": ("H", (60,))}])
def test_a_tiff_with_impossible_samples(changes: Any) -> None:
    body = zlib.compress(bytes(range(40)) * 30)
    assert read_image(_gray_tiff(body, 40, 30)).pixels.shape == (30, 40, 3)
    with pytest.raises(MediaError):
        read_image(_gray_tiff(body, 40, 30, **changes))


def test_tiff_tiles_and_strips_that_would_take_long() -> None:
    count = 500  # tiles, each 1 pixel wide and millions of rows high, for an image of 500 x 1
    tiles = {"t322": ("L", (1,)), "t323": ("L", (2_000_000,)), "t324": ("L", (8,) * count), "t325": ("L", (9,) * count)}
    assert run_seconds(_gray_tiff(zlib.compress(bytes(1200)), count, 1, **tiles)) < 1
    # 40,000 tables of LZW, each of nothing
    nothing = int(f"{256:09b}" * 40_000, 2).to_bytes(45_000, "big")
    assert run_seconds(_gray_tiff(nothing, 3000, 3000, t259=("H", (5,)))) < 1
    # 3,000 strips, all of the same bytes
    body, count = zlib.compress(bytes(100_000)), 3000
    strips = {"t273": ("L", (8,) * count), "t278": ("L", (1,)), "t279": ("L", (len(body),) * count)}
    assert run_seconds(_gray_tiff(body.ljust(30_000, b"\0"), 10, count, **strips)) < 1


def test_a_flood_of_jpeg_scans() -> None:
    data = encoded(scene(), "jpeg", progressive=True)
    first, last = data.index(b"\xff\xda"), data.rindex(b"\xff\xda")
    scan = data[last:-2]
    assert read_image(data[:-2] + scan * 10 + b"\xff\xd9").pixels.shape == scene().shape
    with pytest.raises(DecodeError, match="it has 120 scans, more than 100"):
        read_image(data[:-2] + scan * (120 - data.count(b"\xff\xda", first)) + b"\xff\xd9")


COLORS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)])


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_pixels_of_a_bmp(bits: int) -> None:
    rows = np.array([[2] * 5 + [1] * 11, [1, 2, 3] + [0] * 13, [1] * 16])
    packed = {8: b"\x10\1\0\0" + b"\0\3\1\2\3\0\x0d\0\0\0" + b"\5\2\x0b\1\0\1",
              4: b"\x10\x11\0\0" + b"\0\4\x12\x30\x0c\0\0\0" + b"\5\x22\x0b\x11\0\1"}  # fmt: skip
    image = read_image(packed_bmp(bits, packed=packed[bits]))
    np.testing.assert_array_equal(image.pixels, COLORS[rows])


def test_packed_bmp_takes_no_time() -> None:
    assert run_seconds(packed_bmp(width=700_000, height=5, packed=b"\1\1\0\0")) < 1
    with pytest.raises(UnsupportedMediaError, match="more than the limit of 4,000,000 pixels"):
        read_image(packed_bmp(width=2_000_000, height=5, packed=b"\1\1\0\0"))
    for wrong in (packed_bmp()[:33], packed_bmp(packed=b"\1")):
        with pytest.raises(DecodeError):
            read_image(wrong)
