"""``mien analyze`` on videos that Ctrl-C, or a reader that goes away, ends early: what was done is kept."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.io.video import VideoReader
from mien.output.video import VideoWriter
from mien.results import VideoResult
from planted_faces import planted
from planted_videos import write_video

WALK = {0: [(0.0, 80.0, 120.0, 90.0), (4.0, 230.0, 120.0, 90.0)]}
RATE = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a video of four seconds, as MP4 and as Matroska."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("video.mp4", "video.mkv"):
        shots = planted(WALK, seed=3, rate=RATE, seconds=4)
        write_video(folder / name, ((shot[0], Fraction(n, RATE)) for n, shot in enumerate(shots)), rate=RATE)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> Path:
    """Work in a folder with a video."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.copy(made / "video.mp4", "video.mp4")
    return folder


def run(model: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments), "--model", str(model)])


def notes(done: Result) -> list[str]:
    return [line.removeprefix("mien: ") for line in done.stderr.splitlines()]


TOLD = "warning: video.mp4: interrupted: read only up to 1.8 s"


@pytest.mark.usefixtures("ctrl_c_at_two_seconds")
def test_the_table_is_of_what_was_watched(here: Path, planted_model: Path) -> None:
    done = run(planted_model, "video.mp4")
    assert done.exit_code == 130
    assert notes(done) == [TOLD, "interrupted"]
    assert "interrupted: read only up to 1.8 s" in " ".join(done.stdout.split())
    assert "video.mp4: 1.9 s of 4.0 s" in done.stdout


@pytest.mark.usefixtures("ctrl_c_at_two_seconds")
def test_every_format_keeps_what_was_watched(here: Path, planted_model: Path) -> None:
    done = run(planted_model, "video.mp4", "--json", "--parquet", "x.parquet")
    assert done.exit_code == 130
    assert notes(done) == [TOLD, "wrote 11 rows to x.parquet", "interrupted"]
    video = VideoResult.from_dict(json.loads(done.stdout))
    assert video.times_s.tolist() == [k / 5 for k in range(10)]
    assert video.end_s == pytest.approx(1.9)
    assert video.duration_s == 4
    assert parquet.read_table("x.parquet").column("time_s").to_pylist() == [*video.times_s.tolist(), None]
    rows = list(csv.DictReader(io.StringIO(run(planted_model, "video.mp4", "--csv").stdout)))
    assert [row["time_s"] for row in rows] == [*(f"{k / 5:.6f}" for k in range(10)), ""]
    kinds = [json.loads(line)["kind"] for line in run(planted_model, "video.mp4", "--jsonl").stdout.splitlines()]
    assert (kinds[:10], kinds[10], kinds[-1]) == (["frame"] * 10, "track", "video")


@pytest.mark.usefixtures("ctrl_c_at_two_seconds")
def test_timeline_and_page_are_of_what_was_watched(here: Path, planted_model: Path) -> None:
    places = ["--plot", "x.png", "--html", "x.html", "--save-faces", "faces", "--out", "x.mp4"]
    done = run(planted_model, "video.mp4", "--json", *places)
    assert done.exit_code == 130
    assert notes(done) == [TOLD, "x.mp4: not drawn, because the video was not read to its end", "interrupted"]
    assert sorted(path.name for path in here.iterdir()) == ["faces", "video.mp4", "x.html", "x.png"]
    assert "interrupted: read only up to" in Path("x.html").read_text()
    assert len(list(Path("faces/person-01").iterdir())) == 10


@pytest.mark.usefixtures("ctrl_c_at_two_seconds")
def test_of_many_the_rest_is_not_begun(here: Path, planted_model: Path, made: Path) -> None:
    shutil.copy(made / "video.mkv", "a.mkv")
    done = run(planted_model, "a.mkv", "video.mp4", "--json", "--to", "1.9", "--from", "1")
    assert done.exit_code == 0
    done = run(planted_model, "a.mkv", "video.mp4", "--json")
    assert done.exit_code == 130
    (video,) = (json.loads(line) for line in done.stdout.splitlines())
    assert video["path"] == "a.mkv"
    assert notes(done)[-1] == "interrupted"


def test_nothing_watched_is_nothing_told(here: Path, planted_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: VideoReader) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoReader, "__next__", interrupted)
    done = run(planted_model, "video.mp4", "--json")
    assert (done.exit_code, done.stdout, notes(done)) == (130, "", ["interrupted"])


def test_the_annotated_video_is_kept_up_to_there(
    here: Path, planted_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = VideoWriter.write

    def interrupted(self: VideoWriter, image: Any, time_s: float) -> None:
        write(self, image, time_s)
        if time_s >= 1.05:
            raise KeyboardInterrupt

    monkeypatch.setattr(VideoWriter, "write", interrupted)
    done = run(planted_model, "video.mp4", "--json", "--out", "x.mp4")
    assert done.exit_code == 130
    assert notes(done) == ["x.mp4: drawn only up to 1.0 s", "interrupted"]
    assert VideoResult.from_dict(json.loads(done.stdout)).end_s == 4
    with av.open("x.mp4") as video:
        times = [frame.time for frame in video.decode(video=0)]
    assert times[:11] == pytest.approx([k / RATE for k in range(11)])
    assert len(times) <= 12
    assert sorted(path.name for path in here.iterdir()) == ["video.mp4", "x.mp4"]


# --- real processes -------------------------------------------------------------------------------


class Live:
    """The command on a video that comes in through a pipe and does not end."""

    def __init__(self, video: bytes, model: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "mien", "analyze", "-", "--model", str(model), *arguments]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stdin.write(video)
        self.stdin.flush()

    def end(self) -> tuple[int, bytes, bytes]:
        """Return exit code, the rest of stdout, and stderr."""
        assert self.process.stderr is not None
        out, errors = self.stdout.read(), self.process.stderr.read()
        self.stdin.close()
        self.stdout.close()
        self.process.stderr.close()
        return self.process.wait(timeout=60), out, errors


def test_ctrl_c_ends_a_video_that_does_not(here: Path, made: Path, planted_model: Path) -> None:
    live = Live((made / "video.mkv").read_bytes(), planted_model, "--jsonl")
    # Frames come while the video is open.
    first = [live.stdout.readline() for _ in range(6)]
    assert live.process.poll() is None
    time.sleep(0.5)
    live.process.send_signal(signal.SIGINT)
    code, out, errors = live.end()
    assert code == 130, errors
    assert b"standard input: interrupted: read only up to " in errors
    assert errors.endswith(b"mien: interrupted\n")
    lines = (b"".join(first) + out).decode().splitlines()
    assert json.loads(lines[-1])["kind"] == "video"


def test_a_reader_that_goes_away_ends_it_without_a_word(here: Path, made: Path, planted_model: Path) -> None:
    live = Live((made / "video.mkv").read_bytes(), planted_model, "--jsonl", "--step", "0")
    live.stdout.readline()
    live.stdout.close()
    live.stdin.close()
    assert live.process.stderr is not None
    errors = live.process.stderr.read()
    live.process.stderr.close()
    assert live.process.wait(timeout=60) != 0
    assert b"Traceback" not in errors
