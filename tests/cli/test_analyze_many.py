"""``mien analyze`` on folders too large to list before the first answer: here, of more than three files."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from mien.cli import main
from mien.io import paths as media_paths


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of 40 images without a face, of which at most three are looked at first."""
    folder = tmp_path / "album"
    folder.mkdir()
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), (90, 120, 90)).save(stream, "PNG")
    for number in range(40):
        (folder / f"{number:02}.png").write_bytes(stream.getvalue())
    monkeypatch.setattr("mien.cli.analyze.FIRST_LOOK", 3)
    return folder


def run(model: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", "--model", str(model), *map(str, arguments)])


def quick(*arguments: object) -> Result:
    """Run with the shipped model: one that is named is fitted to all kinds that there are."""
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def walks_of(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Let each walk of the main thread tell, for each file that it comes to, how many lines are out by then."""
    walk = media_paths.iter_media_paths
    walks: list[list[int]] = []

    def watched(arguments: Any, **more: Any) -> Iterator[str]:
        told: list[int] = []
        if threading.current_thread() is threading.main_thread():
            walks.append(told)
        for path in walk(arguments, **more):
            out: Any = sys.stdout.buffer
            told.append(out.getvalue().count(b"\n"))
            yield path

    replace_walk(monkeypatch, watched)
    return walks


def replace_walk(monkeypatch: pytest.MonkeyPatch, walk: Any) -> None:
    for module in ("mien.api.sources", "mien.cli.analyze"):
        monkeypatch.setattr(f"{module}.iter_media_paths", walk)


@pytest.mark.parametrize("how", ["--jsonl", "--json"])
def test_the_first_answers_are_out_before_the_walk_has_ended(
    album: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    walks = walks_of(monkeypatch)
    done = quick(album, how, "--threads", "2")
    assert done.exit_code == 0, done.output
    names = [Path(json.loads(line)["path"]).name for line in done.stdout.splitlines()]
    assert names == [f"{number:02}.png" for number in range(40)]
    first, read = walks
    assert len(first) == 4  # one more than it looks at, to know that there is more
    # Two threads, three images each that are read or wait, and the one that is found next.
    assert all(lines >= found - 6 for found, lines in enumerate(read))
    assert len(read) == 40


def test_what_columns_there_are_is_known_before_the_first(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (album / "z.wav").write_bytes(b"no sound")
    walks = walks_of(monkeypatch)
    done = quick(album, "--csv")
    assert done.exit_code == 3
    assert "start_s" in done.stdout.splitlines()[0].split(",")
    assert len(walks[0]) == 41


def test_what_comes_late_is_read_as_its_kind(album: Path) -> None:
    (album / "z.wav").write_bytes(b"no sound")
    done = quick(album, "--jsonl")
    assert done.exit_code == 3
    last = json.loads(done.stdout.splitlines()[-1])
    assert Path(last["path"]).name == "z.wav"
    assert "audio" in last["message"]


def test_an_option_that_fits_nothing_is_refused_all_the_same(album: Path, planted_model: Path) -> None:
    done = run(planted_model, album, "--step", "1")
    assert done.exit_code == 2
    assert "--step is for videos, but there are only images" in done.stderr


def test_files_are_counted_beside(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 5.0
        return now[0]

    monkeypatch.setattr("time.monotonic", monotonic)
    done = quick(album, album / "00.png", "no/such.png", "--jsonl", "--threads", "1")
    assert done.exit_code == 3
    lines = [line for line in done.stderr.splitlines() if line.startswith("mien: analyzing: ")]
    assert " of 42 images, " in lines[-1]


def test_counting_ends_when_the_work_does(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    walk = media_paths.iter_media_paths

    def slow(arguments: Any, **more: Any) -> Iterator[str]:
        for number, path in enumerate(walk(arguments, **more)):
            if number == 5 and threading.current_thread() is not threading.main_thread():
                assert over.wait(20)
            yield path

    replace_walk(monkeypatch, slow)
    assert quick(album, "--jsonl").exit_code == 0
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "mien-count")
    over.set()
    thread.join(20)
    assert not thread.is_alive()
