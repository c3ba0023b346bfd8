"""A corpus of damaged files: each is an image or a MediaError, quickly, in little memory, and nothing is printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reading_under_watch
from hostile_images import WAYS, encoded, face, mutated, other_images, scene, whole_images, with_checksums
from mien.errors import MediaError, UnsupportedMediaError
from mien.io import read_image

FILES = 1000
SECONDS = 2.0  # of processor time: a busy machine is no fault of the file
MEGABYTES = 1024

# The pixels of these are the scene's, but for the colors that a palette or a coarse JPEG has.
LIKE_THE_SCENE = {"bmp": 0, "bmp-alpha": 0, "png-16": 0, "png-interlaced": 0, "apng": 0, "tiff-big": 0, "tiff-lzw": 0}
LIKE_THE_SCENE |= {"tiff-planes": 0, "tiff-tiled": 0, "tiff-deflate": 0, "tiff-packbits": 0, "tiff-cmyk": 0}
LIKE_THE_SCENE |= {"jpeg-cmyk": 1, "jpeg-restarts": 3, "jpeg-progressive": 3, "webp-animated": 4, "gif": 25}


def under_watch(folder: Path, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Read a folder in another process."""
    command = [sys.executable, reading_under_watch.__file__, str(folder)]
    return subprocess.run([*command, str(seconds)], capture_output=True, check=False, timeout=280)


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_whole_files_are_read() -> None:
    pixels = scene()
    for name, data in whole_images().items():
        image = read_image(data)
        assert (image.format, image.warnings) in {
            ("png" if name == "apng" else name.split("-")[0], notes)
            for notes in ((), ("transparent parts are shown on white",))
        }, name
        if name in LIKE_THE_SCENE:
            assert np.abs(image.pixels.astype(int) - pixels).mean() <= LIKE_THE_SCENE[name], name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("jpeg2000", "it is an image in the format jpeg2000"),
        ("avif", "it is an image in the format avif"),
        ("ico", "it is something else"),
        ("ppm", "it is something else"),
        ("tga", "it is something else"),
        ("tiff-jpeg", "is a TIFF with compression 7"),
        ("tiff-float", "has float values"),
    ],
)
def test_other_formats_are_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedMediaError, match=reason):
        read_image(other_images()[name])


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
    done = under_watch(tmp_path, SECONDS)
    told = rows(done)
    assert (done.returncode, done.stderr) == (0, b""), told[-1:]
    results = [row for row in told if "name" in row]
    assert [row["name"] for row in results] == sorted(contents)
    assert all(row["message"].isprintable() for row in results if row["error"])
    assert max(row["seconds"] for row in results) < SECONDS
    assert max(row["peak_mb"] for row in results) < MEGABYTES
    # The damage is neither harmless nor always fatal.
    outcomes = Counter(row["error"] for row in results)
    assert outcomes.keys() == {"", "DecodeError", "UnsupportedMediaError"}
    assert min(outcomes.values()) >= FILES // 10


@pytest.mark.skipif(os.name == "nt", reason="the watch is a timer that Windows does not have")
def test_the_watch_stops_what_takes_too_long(tmp_path: Path) -> None:
    (tmp_path / "slow.png").write_bytes(encoded(face(), "png"))
    done = under_watch(tmp_path, 0.001)
    assert done.returncode == -signal.SIGPROF
    assert rows(done) == [{"begun": "slow.png"}]


def test_nothing_is_printed_or_warned_about(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _, data in mutated(FILES):
            try:
                read_image(data)
            except MediaError as error:
                assert error.path is None  # noqa: PT017
    assert not caught, caught[0].message
    assert capfd.readouterr() == ("", "")
