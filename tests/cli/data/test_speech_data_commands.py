from __future__ import annotations

import csv
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.data import load_dataset
from speech_corpora import tone, touch, write_wav


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for actor in (1, 2):
        for statement in (1, 2):
            write_wav(tmp_path / "data" / f"Actor_{actor:02}/03-01-05-01-{statement:02}-01-{actor:02}.wav", tone())
    return tmp_path / "data"


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def test_both_are_in_the_help() -> None:
    text = CliRunner().invoke(main, ["data", "--help"]).stdout
    assert "spectrograms" in text
    assert "augment-audio" in text
    assert "never separate a copy from its clip" in " ".join(run("augment-audio", "--help").stdout.split())


def test_spectrograms(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("spectrograms", "ravdess", "--data", data, "--out", out, "--png", "--settings", "mel-cnn")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}: 4 recordings done, 0 rejected, 0 done before\n"
    assert {np.load(path).shape for path in out.rglob("*.npy")} == {(40, 272)}
    assert len(list(out.rglob("*.png"))) == 4
    again = run("spectrograms", "ravdess", "--data", data, "--out", out, "--png", "--settings", "mel-cnn")
    assert again.stdout == f"{out}: 0 recordings done, 0 rejected, 4 done before\n"


def test_a_filter_and_several_processes(data: Path, tmp_path: Path) -> None:
    done = run(
        "spectrograms", "ravdess", "--data", data, "--out", tmp_path / "out", "--option", "statement=2",
        "--workers", 2, "--kind", "mfcc", "--coefficients", 13,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert [np.load(path).shape[0] for path in (tmp_path / "out").rglob("*.npy")] == [13, 13]


def test_augment(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("augment-audio", "ravdess", "--data", data, "--out", out, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert len(load_dataset("ravdess", out)) == 24
    only = run("augment-audio", "ravdess", "--data", data, "--out", tmp_path / "b", "--only", "pitch", "--copies-only")
    assert only.exit_code == 0, only.output
    assert {row["method"] for row in lines(tmp_path / "b" / "manifest.csv")} == {"pitch"}


def test_a_folder_by_its_path(tmp_path: Path) -> None:
    write_wav(tmp_path / "my" / "happy" / "a.wav", tone())
    done = run("augment-audio", tmp_path / "my", "--out", tmp_path / "out", "--only", "stretch", "--format", "wav")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out" / "happy").iterdir()) == [
        "a.wav", "a__stretch0.81.wav", "a__stretch1.07.wav",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["spectrograms", "augment-audio"])
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument 'NAME|PATH'"),
        (("ravdess", "--data", "x"), 2, "Missing option '--out'"),
        (("ravdess", "--out", "o"), 2, "--data must say where ravdess lies"),
        (("nothing", "--out", "o"), 2, "unknown dataset 'nothing': expected ravdess"),
        (("ravdess", "--data", "gone", "--out", "o"), 1, "expected a folder with audio files at gone"),
        (("ravdess", "--data", "gone", "--out", "o", "--option", "x=1"), 1, "has no option 'x'"),
        (("ravdess", "--data", "gone", "--out", "o", "--option", "x"), 2, "--option must be key=value"),
        (("ravdess", "--data", "x", "--out", "o", "--workers", "0"), 2, "0 is not in the range"),
    ],
)
def test_wrong_words(
    command: str, arguments: tuple[str, ...], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(command, *arguments)
    assert done.exit_code == code
    assert message in done.output
    assert list(tmp_path.iterdir()) == []


def float_wav(samples: np.ndarray) -> bytes:
    body = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32,
                       b"data", len(body))  # fmt: skip
    return head + body


@pytest.mark.parametrize("command", ["spectrograms", "augment-audio"])
def test_bad_recordings_are_named_and_the_rest_is_done(data: Path, tmp_path: Path, command: str) -> None:
    bad = {
        "Actor_01/03-01-06-01-01-01-01.wav": b"",
        "Actor_01/03-01-06-01-01-02-01.wav": (data / "Actor_01/03-01-05-01-01-01-01.wav").read_bytes()[:44],
        "Actor_01/03-01-06-02-01-02-01.wav": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "Actor_01/odd name.wav": b"",
    }
    for name, content in bad.items():
        (data / name).write_bytes(content)
    done = run(command, "ravdess", "--data", data, "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code == 3, done.output
    assert "4 recordings done, 3 rejected" in done.stdout
    assert "mien: Actor_01/odd name.wav: expected a name like" in done.stderr
    assert sorted(row["file"] for row in lines(tmp_path / "out" / "rejected.csv")) == sorted(bad)[:3]
    (data / "Actor_02").rename(tmp_path / "away")
    for path in data.rglob("03-01-05*"):
        path.unlink()
    assert run(command, "ravdess", "--data", data, "--out", tmp_path / "none").exit_code == 1


@pytest.mark.parametrize("command", ["spectrograms", "augment-audio"])
def test_samples_that_are_no_numbers_do_no_harm(tmp_path: Path, command: str) -> None:
    samples = tone()
    samples[100] = np.nan
    touch(tmp_path / "data", ["sad/a.wav"])
    (tmp_path / "data" / "sad" / "a.wav").write_bytes(float_wav(samples))
    done = run(command, tmp_path / "data", "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code in (0, 1)
    assert "Traceback" not in done.output
    for path in (tmp_path / "out").rglob("*.npy"):
        assert np.isfinite(np.load(path)).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
@pytest.mark.parametrize("command", ["spectrograms", "augment-audio"])
def test_names_that_are_no_text(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "data" / "sad"
    write_wav(folder / "plain.wav", tone())
    for name in (b"\xff\xfe.wav", b"line\nbreak.wav", 'größe, "1".wav'.encode()):
        (folder / os.fsdecode(name)).write_bytes((folder / "plain.wav").read_bytes())
    done = run(command, tmp_path / "data", "--out", tmp_path / "out", "--workers", 2)
    assert done.exit_code == 0, done.output
    assert "4 recordings done" in done.stdout
    assert len({row["source"] for row in lines(tmp_path / "out" / "manifest.csv")}) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_ctrl_c_ends_all_processes_and_the_next_run_goes_on(tmp_path: Path) -> None:
    for i in range(400):
        write_wav(tmp_path / "data" / "sad" / f"{i:03}.wav", tone(seconds=1.0))
    words = ["-m", "mien", "data", "augment-audio", tmp_path / "data", "--out", tmp_path / "out", "--workers", "2"]
    running = subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    # Both processes are at work by then: one that is still starting writes Python's own traceback.
    while len(list((tmp_path / "out").rglob("*.flac"))) < 40 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.endswith("mien: interrupted\n")
    table = lines(tmp_path / "out" / "manifest.csv")
    assert 0 < len(table) < 2400
    assert all((tmp_path / "out" / row["file"]).is_file() for row in table)
    assert not list((tmp_path / "out").rglob(".mien-*"))
