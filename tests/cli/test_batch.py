"""``mien batch``: a run, going on with it, and what can be asked of its dataset."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batch_media import media
from mien.cli import main

pytest.importorskip("pyarrow")

__all__ = ["media"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, arguments)])


@pytest.fixture(scope="module")
def dataset(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset that is complete."""
    folder = tmp_path_factory.mktemp("batch") / "out"
    done = run(media, "--out", folder, "--part-items", 5, "--workers", 1)
    assert done.exit_code == 3, done.output
    assert "mien: 9 items read, 1 failed; in" in done.stderr
    assert done.stdout == ""
    return folder


def test_help_names_the_other_commands() -> None:
    for words in ((), ("--help",)):
        found = run(*words)
        assert found.exit_code == 0
        assert "Usage: mien batch [OPTIONS] INPUT..." in found.output
        for name in ("status DATASET", "retry DATASET", "export DATASET", "--shard i/n", "--min-face PX"):
            assert name in found.output
    assert "Usage: mien batch status" in run("status", "--help").output


def test_status(dataset: Path) -> None:
    lines = run("status", dataset).stdout.splitlines()
    assert lines[1].split()[:2] == ["items", "9"]
    assert "9 of 9 (100.0%)" in lines[1]
    assert lines[-1].split() == ["DecodeError", "1"]
    status = json.loads(run("status", dataset, "--json").stdout)
    assert (status["parts"], status["done_parts"], status["kinds"]) == (2, 2, {"image": 8, "audio": 1})


def test_the_same_command_has_nothing_to_do(dataset: Path, media: Path) -> None:
    for words in ((media, "--out", dataset), ("--resume", "--out", dataset)):
        done = run(*words)
        assert done.exit_code == 3
        assert done.stderr == "mien: nothing is missing\n"


def test_export(dataset: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("export", dataset, "--table", "faces").stdout)))
    assert len({row["path"] for row in rows if row["face"]}) == 6
    items = list(csv.DictReader(io.StringIO(run("export", dataset).stdout)))
    assert [int(row["item"]) for row in items] == list(range(9))
    assert {row["model"] for row in items} == {"face-base", "speech-base"}
    done = run("export", dataset, "--table", "faces", "--out", tmp_path / "f.parquet")
    assert done.stderr == f"mien: wrote {len(rows)} rows to {tmp_path / 'f.parquet'}\n"


def test_a_plan_for_several_machines(media: Path, tmp_path: Path) -> None:
    words = (media, "--out", tmp_path, "--part-items", 4)
    assert run(*words, "--plan-only").stderr == "mien: planned 9 items in 3 parts\n"
    assert run("status", tmp_path).stdout.splitlines()[1].endswith("0 of 9 (0.0%)")
    run(*words, "--shard", "2/3", "--workers", 1)
    assert [path.name for path in tmp_path.glob("part-*")] == ["part-000001.parquet"]
    assert "warning: the batch is not complete" in run("export", tmp_path).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("IN",), "Missing option '--out'"),
        (("--out", "OUT"), "name something to read, or give --resume"),
        (("IN", "--out", "OUT", "--resume"), "--resume takes inputs and settings from the dataset"),
        (("IN", "--out", "OUT", "--workers", "0"), "0 is not in the range x>=1"),
        (("IN", "--out", "OUT", "--shard", "4/3"), "expected i/n with i from 1 to n"),
        (("IN", "--out", "OUT", "--shard", "x"), "expected i/n with i from 1 to n"),
        (("IN", "--out", "OUT", "--model", "face-base", "--model", "face-small"), "two models for face-emotion"),
        (("IN", "--out", "OUT", "--cluster", "dask"), "--cluster must be ray or ray://HOST:PORT"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str, media: Path, tmp_path: Path) -> None:
    places = {"IN": str(media), "OUT": str(tmp_path / "out")}
    found = run(*(places.get(word, word) for word in words))
    assert found.exit_code == 2
    assert message in found.stderr


def test_faults_leave_nothing(media: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    for folder, message in (("mine", "holds no batch, but other files, such as letter.txt"), ("file", "is a file")):
        found = run(media, "--out", tmp_path / folder)
        assert found.exit_code == 1
        assert message in found.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert "no such file" in run(tmp_path / "nothing", "--out", tmp_path / "a").stderr
    assert "holds no batch" in run("status", tmp_path / "mine").stderr
    found = run(media, "--out", tmp_path / "b", "--model", "face-bse")
    assert found.exit_code == 1
    assert "face-base" in found.stderr


def test_other_settings_are_refused(dataset: Path, media: Path) -> None:
    found = run(media, "--out", dataset, "--min-face", 50)
    assert found.exit_code == 1
    assert "min_face_px was None and is 50.0" in found.stderr


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_keep_what_is_written(sign: signal.Signals, code: int, media: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "batch", str(media), "--out", str(tmp_path), "--part-items", "1"]
    process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not list(tmp_path.glob("part-*.parquet")) and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(sign)
    _, text = process.communicate(timeout=60)
    assert process.returncode == code, text
    assert text.count("\n") == 1
    assert 0 < len(list(tmp_path.glob("part-*.parquet"))) < 9
    assert list(tmp_path.glob(".*.tmp")) == []
