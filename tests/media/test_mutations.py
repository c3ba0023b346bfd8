"""A corpus of damaged files: each is a picture or a MediaError, quickly, and nothing is printed at any level."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import MediaError
from mien.media import read_image

EACH = 32
SECONDS = 2.0  # of processor time: a busy machine is no fault of the file


def variants(encode: Any, scene: Any) -> dict[str, bytes]:
    """Return one whole file of each kind, with the metadata that damage likes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker with a long name"
    frames = [Image.new("RGB", (61, 43), colour) for colour in ("red", "blue")]
    rgba = np.dstack([scene, scene[..., 2]])
    return {
        "jpeg": encode(scene, "jpeg", exif=exif, comment="a comment"),
        "jpeg-progressive": encode(scene, "jpeg", progressive=True),
        "jpeg-cmyk": encode(Image.fromarray(scene).convert("CMYK"), "jpeg"),
        "png": encode(scene, "png", exif=exif),
        "png-palette": encode(Image.fromarray(scene).quantize(32), "png", transparency=3),
        "png-16": encode(Image.fromarray(scene[..., 0].astype(np.uint16) * 257), "png"),
        "apng": encode(frames[0], "png", save_all=True, append_images=frames[1:]),
        "webp": encode(scene, "webp", exif=exif),
        "webp-alpha": encode(rgba, "webp", lossless=True),
        "tiff": encode(scene, "tiff", exif=exif, description="a description", dpi=(300, 300)),
        "tiff-lzw": encode(scene, "tiff", compression="tiff_lzw"),
        "tiff-packbits": encode(scene, "tiff", compression="packbits"),
        "tiff-deflate": encode(scene, "tiff", compression="tiff_adobe_deflate"),
        "tiff-big": encode(scene, "tiff", big_tiff=True),
        "bmp": encode(scene, "bmp"),
        "gif": encode(frames[0], "gif", save_all=True, append_images=frames[1:]),
    }


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut, repeat or overwrite; two times out of three near the beginning, where the structure is."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        reach = len(content) if rng.random() < 0.34 else min(len(content), 200)
        at = int(rng.integers(4, max(5, reach)))
        length = int(rng.integers(1, 24))
        way = int(rng.integers(5))
        if way == 0:
            content[at : at + 1] = bytes([content[at % len(content)] ^ (1 << int(rng.integers(8)))])
        elif way == 1:
            content[at : at + length] = rng.bytes(length)
        elif way == 2:
            del content[at : at + length]
        elif way == 3:
            content[at:at] = content[at : at + length]
        else:
            content[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(content)


def corpus(encode: Any, scene: Any) -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(20240229)
    for name, data in variants(encode, scene).items():
        for number in range(EACH):
            yield f"{name}-{number:02}", mutate(data, rng)


def test_whole_files_are_read(encode: Any, scene: Any) -> None:
    for name, data in variants(encode, scene).items():
        assert sorted(read_image(data).pixels.shape) == [3, 43, 61], name


def test_damaged_files(encode: Any, scene: Any, capfd: pytest.CaptureFixture[str]) -> None:
    read, refused = 0, 0
    for name, data in corpus(encode, scene):
        start = time.process_time()
        try:
            picture = read_image(data)
        except MediaError as error:
            refused += 1
            assert "\n" not in str(error), name  # noqa: PT017
        else:
            read += 1
            assert picture.pixels.dtype == np.uint8
            assert picture.pixels.ndim == 3
            assert picture.pixels.size > 0
        assert time.process_time() - start < SECONDS, name
    assert read + refused >= 300
    assert min(read, refused) > 40  # the damage is neither harmless nor always fatal
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_by_a_fresh_process(encode: Any, scene: Any, tmp_path: Path) -> None:
    for name, data in corpus(encode, scene):
        (tmp_path / f"{name}.bin").write_bytes(data)
    script = (
        "import pathlib, sys\n"
        "from mien.errors import MediaError\n"
        "from mien.media import read_image\n"
        "count = 0\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        read_image(path)\n"
        "    except MediaError as error:\n"
        "        assert error.path == path\n"
        "    count += 1\n"
        "sys.exit(0 if count >= 300 else 3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script, str(tmp_path)], capture_output=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
