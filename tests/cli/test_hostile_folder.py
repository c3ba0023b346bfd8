"""``mien analyze FOLDER`` on damaged and whole images, as a real process: all are answered or named, none is lost."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hostile_images import encoded, face, mutated, whole_images
from mien.cli import main
from mien.errors import MediaError
from mien.io import iter_media_paths, read_image
from mien.io.sniff import detect_kind
from mien.output.draw import AnnotatedImageWriter
from mien.output.tables import JsonLinesWriter
from mien.samples import astronaut_path

DAMAGED = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with damaged images, whole ones, an empty one, and what is none under an image's name."""
    place = tmp_path_factory.mktemp("hostile")
    for name, data in mutated(DAMAGED, seed=7):
        (place / name).with_suffix(".jpg").write_bytes(data)
    for name, data in whole_images().items():
        (place / f"whole-{name}.png").write_bytes(data)
    (place / "whole-face.bmp").write_bytes(encoded(face().resize((160, 160)), "bmp"))
    (place / "empty.gif").write_bytes(b"")
    (place / "words.webp").write_text("no image")
    for path in place.iterdir():
        if detect_kind(path) == "video":  # an animation
            path.unlink()
    return place


@pytest.fixture(scope="module")
def sizes(folder: Path) -> dict[str, tuple[int, int] | None]:
    """Return what reading alone says of each file: its size, or None."""
    found: dict[str, tuple[int, int] | None] = {}
    for path in iter_media_paths([folder], kinds=("image",)):
        try:
            image = read_image(path)
            found[path] = (image.width, image.height)
        except MediaError:
            found[path] = None
    assert len(found) >= 100
    assert 30 < sum(size is None for size in found.values()) < len(found) - 30
    return found


def analyze(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "analyze", str(folder), *options]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=250)


def test_all_are_answered_or_named(folder: Path, sizes: dict[str, tuple[int, int] | None]) -> None:
    done = analyze(folder, "--json")
    assert done.returncode == 3, done.stderr[-2000:]
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert [item["path"] for item in items] == list(sizes)
    for item in items:
        if sizes[item["path"]] is None:
            assert set(item) == {"path", "error", "message"}
            assert Path(item["path"]).name in item["message"]
        else:
            assert (item["width"], item["height"]) == sizes[item["path"]]
            for found in item["faces"]:
                assert sum(found["emotion"]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert any(item.get("faces") for item in items if item["path"].endswith("whole-face.bmp"))


def test_each_bad_file_is_named_once_with_its_reason(folder: Path, sizes: dict[str, tuple[int, int] | None]) -> None:
    done = analyze(folder, "--csv")
    assert done.returncode == 3
    total = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    bad = {path for path, size in sizes.items() if size is None}
    # libtiff writes lines of its own to the same stream, from other threads: ours may begin or end within a line.
    assert Counter({path: done.stderr.count(f"mien: {path}") for path in bad}) == Counter(dict.fromkeys(bad, 1))
    assert f"{len(sizes) - len(bad)} images, " in total
    assert f"{len(bad)} failed" in total
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["path"] for row in rows} == set(sizes)
    assert {row["path"]: row["message"] for row in rows if row["error"]}.keys() == bad


def copies(folder: Path, *names: str) -> Path:
    """Return a folder with an image under these names."""
    (folder / "images").mkdir()
    for name in names:
        shutil.copy(astronaut_path(), folder / "images" / name)
    return folder / "images"


@pytest.mark.parametrize(
    "error", [IndexError("out of range"), MemoryError(), RecursionError("deep"), OSError(28, "full")]
)
def test_whatever_goes_wrong_with_the_files_of_an_item_is_its_row(
    error: Exception, tmp_path: Path, planted_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    images = copies(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    add_image, calls = AnnotatedImageWriter.add_image, []

    def add(self: AnnotatedImageWriter, *more: Any) -> None:
        calls.append(more)
        if len(calls) == 2:
            raise error
        add_image(self, *more)

    monkeypatch.setattr(AnnotatedImageWriter, "add_image", add)
    names = ("--out", tmp_path / "out", "--parquet", tmp_path / "x.parquet", "--model", planted_model, "--threads", 1)
    done = CliRunner().invoke(main, ["analyze", str(images), *map(str, names)])
    assert done.exit_code == 3
    assert f"{images / 'b.jpg'}" in done.stderr
    assert "cannot write what is made of " in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.jpg", "c.jpg"}
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert [(Path(row["path"]).name, row["error"]) for row in rows] == [
        ("a.jpg", None), ("b.jpg", "MediaError"), ("c.jpg", None)
    ]  # fmt: skip


def test_what_was_written_stays_when_the_run_ends_by_an_error(
    tmp_path: Path, planted_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    images = copies(tmp_path, "a.jpg", "b.jpg")
    write = JsonLinesWriter.write

    def broken(self: JsonLinesWriter, result: Any) -> None:
        if result.path.endswith("b.jpg"):
            raise BrokenPipeError
        write(self, result)

    monkeypatch.setattr(JsonLinesWriter, "write", broken)
    arguments = [
        "analyze",
        str(images),
        "--jsonl",
        "--parquet",
        str(tmp_path / "x.parquet"),
        "--model",
        str(planted_model),
    ]
    assert CliRunner().invoke(main, arguments).exit_code != 0
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert [Path(row["path"]).name for row in rows] == ["a.jpg"]
