from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from live_streams import Jpegs, astronaut, install, serving
from mien.cli import main
from mien.io.video import iter_frames
from mien.results import TrackedFace
from planted_videos import write_video
from processes import started


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three fifths of a second of the astronaut."""
    path = tmp_path_factory.mktemp("videos") / "astronaut.mp4"
    write_video(path, ((astronaut(), Fraction(k, 25)) for k in range(16)), rate=25)
    return path


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["live", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_lines_of_a_video(video: Path, tmp_path: Path) -> None:
    log, record = tmp_path / "log.csv", tmp_path / "record.mp4"
    code, out, err = run("--no-window", "--source", video, "--log", log, "--record", record)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["kind"] for line in lines} == {"frame"}
    assert {line["path"] for line in lines} == {str(video)}
    assert lines[-1]["time_s"] == pytest.approx(0.6)
    assert TrackedFace.from_dict(lines[-1]["faces"][0]).smoothed.top == "happiness"
    rows = list(csv.DictReader(log.read_text().splitlines()))
    assert [float(row["time_s"]) for row in rows] == pytest.approx(
        [line["time_s"] for line in lines for _ in line["faces"]], abs=1e-6
    )
    assert f"recorded {record} and record.csv" in err
    with iter_frames(record) as recorded:
        assert sum(1 for _ in recorded) > 5
    assert record.with_suffix(".csv").is_file()


def test_a_recording_that_cannot_be_written_is_a_failure(video: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.mp4"
    record.mkdir()
    code, out, err = run("--no-window", "--source", video, "--record", record)
    assert code == 3
    assert out
    assert f"cannot write {record}" in err


def test_fewer_frames_a_second(video: Path) -> None:
    code, out, _ = run("--no-window", "--source", video, "--fps", 4)
    times = [json.loads(line)["time_s"] for line in out.splitlines()]
    assert code == 0
    assert 2 <= len(times) <= 3
    code, out, _ = run("--no-window", "--source", video, "--step", 0.5)
    assert len(out.splitlines()) == 2


def test_at_most_so_many_faces_and_another_detector(video: Path) -> None:
    code, out, _ = run("--no-window", "--source", video, "--max-faces", 1, "--detector", "haar")
    assert code == 0
    assert len(json.loads(out.splitlines()[-1])["faces"]) <= 1


@pytest.mark.parametrize("baseline", [0.5, "the video"])
def test_a_face_that_stays_as_at_rest_reads_neutral(video: Path, baseline: float | str) -> None:
    rest = video if isinstance(baseline, str) else baseline
    code, out, _ = run("--no-window", "--source", video, "--baseline", rest, "--baseline-strength", 1)
    assert code == 0
    assert TrackedFace.from_dict(json.loads(out.splitlines()[-1])["faces"][0]).smoothed.top == "neutral"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--step", 1, "--fps", 2), "--step and --fps say the same: give one of them"),
        (("--step", 0), "--step must be above 0 and at most 1000, but got 0"),
        (("--fps", "nan"), "--fps must be above 0 and at most 1000, but got nan"),
        (("--size", "big"), "expected WIDTHxHEIGHT such as 1280x720, but got 'big'"),
        (("--max-faces", 0), "0 is not in the range x>=1"),
    ],
)
def test_wrong_usage(words: tuple[object, ...], told: str) -> None:
    code, out, err = run("--no-window", *words)
    assert (code, out) == (2, "")
    assert told in err


def test_a_source_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log.csv"
    log.write_text("yesterday's")
    assert run("--no-window", "--source", "nothing.mp4", "--log", log) == (
        1,
        "",
        "mien: no such file: nothing.mp4\n",
    )
    assert log.read_text() == "yesterday's"
    install(monkeypatch, plan=(-1,))
    code, _, err = run("--no-window")
    assert code == 1
    assert "camera 0 cannot be opened: there is none, or another program uses it (see: mien cameras)" in err
    code, _, err = run("--no-window", "--source", "gopher://x")
    assert code == 1
    assert "an address must begin with rtsp://" in err


def test_wrong_places(video: Path, tmp_path: Path) -> None:
    code, _, err = run("--no-window", "--source", video, "--record", tmp_path / "a.avi")
    assert code == 1
    assert "a.avi" in err
    code, _, err = run("--no-window", "--source", video, "--log", tmp_path / "no" / "a.csv")
    assert code == 1
    assert "no such folder" in err


def test_what_is_missing_is_named(video: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    code, out, err = run("--source", video)
    assert (code, out) == (1, "")
    assert err == 'mien: the live window needs pygame: pip install "mien[live]"\n'
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    record = tmp_path / "a.mp4"
    code, out, err = run("--source", video, "--no-window", "--sound", "--record", record)
    assert (code, out) == (1, "")
    assert err == 'mien: listening to the microphone needs sounddevice: pip install "mien[microphone]"\n'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the screen is missing on Linux only")
def test_no_screen(video: Path) -> None:
    pytest.importorskip("pygame", reason="needs the extra 'live'")
    bare = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"}}
    done = subprocess.run(
        [sys.executable, "-m", "mien", "live", "--source", video], env=bare, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "mien: there is no screen to open a window on" in done.stderr
    assert "use --no-window" in done.stderr


def live(tmp_path: Path, address: str, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mien", "live", "--no-window", "--source", address, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return started(command, cwd=tmp_path, text=True, bufsize=1, **pipes)


def wait(there: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 40
    while not there():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_ctrl_c_leaves_a_recording_that_plays(tmp_path: Path, times: int) -> None:
    with (
        serving(Jpegs([astronaut()], rate=25)) as address,
        live(tmp_path, address, "--record", "a.mp4", "--log", "log.csv") as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.03)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "mien: interrupted"
    assert "Traceback" not in errors
    assert "recorded a.mp4 and a.csv" in errors
    # The last line may be cut off where Ctrl-C struck.
    assert all(json.loads(line)["kind"] == "frame" for line in (*lines, *rest.splitlines()[:-1]))
    with iter_frames(tmp_path / "a.mp4") as video:
        assert sum(1 for _ in video) > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.mp4", "log.csv"]
    assert len(list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))) >= 10


@pytest.mark.skipif(sys.platform == "win32", reason="there, SIGTERM ends a process at once")
def test_sigterm_leaves_a_recording_that_plays(tmp_path: Path) -> None:
    with (
        serving(Jpegs([astronaut()], rate=25)) as address,
        live(tmp_path, address, "--record", "a.mp4", "--log", "log.csv") as process,
    ):
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert errors.splitlines()[-1] == "mien: terminated"
    assert "Traceback" not in errors
    assert "recorded a.mp4 and a.csv" in errors
    with iter_frames(tmp_path / "a.mp4") as video:
        assert sum(1 for _ in video) > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.mp4", "log.csv"]
    assert len(list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))) >= 10


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    with serving(Jpegs([astronaut()], rate=50)) as address, live(tmp_path, address) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) != 130
        assert "Traceback" not in process.stderr.read()


def test_a_stream_that_is_lost_is_told(tmp_path: Path) -> None:
    with serving(Jpegs([astronaut()], rate=50, plan=(20, None))) as address, live(tmp_path, address) as process:
        assert process.stdout is not None
        times = [json.loads(process.stdout.readline())["time_s"]]
        while times[-1] < 1.5:
            times.append(json.loads(process.stdout.readline())["time_s"])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert f"mien: {address} is lost" in errors
    assert f"mien: {address} is back" in errors
    assert times == sorted(times)
