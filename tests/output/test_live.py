"""Logs, recordings and snapshots of live images."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io.image import read_image
from mien.io.video import iter_frames
from mien.labels import FER7
from mien.output.canvas import COLORS
from mien.output.live import LiveLog, LiveRecording, write_snapshot
from mien.results import Emotion, Face, TrackedFace, VideoFrame

CLOCK = datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)
GRAY = np.full((120, 160, 3), 128, np.uint8)


def emotion(**shares: float) -> Emotion:
    rest = (1 - sum(shares.values())) / (len(FER7) - len(shares))
    return Emotion(FER7, tuple(shares.get(name, rest) for name in FER7.emotions))


def frame(time_s: float, smoothed: Emotion | None = None, *, box: tuple[float, ...] = (20, 30, 60, 80)) -> VideoFrame:
    shown = smoothed or emotion(happiness=0.7)
    x1, y1, x2, y2 = box
    return VideoFrame(time_s, 160, 120, (TrackedFace(3, Face((x1, y1, x2, y2), 0.9, None, shown), shown),))


# --- logs -----------------------------------------------------------------------------------------------------------


def test_a_log_has_a_row_a_face_with_the_time_of_day(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("what was there before")
    log = LiveLog(path, FER7, source="camera 0")
    assert path.read_text() == "what was there before"
    log.write(frame(1.25), CLOCK)
    log.write(VideoFrame(1.5, 160, 120), CLOCK)
    log.write(frame(2.0, emotion(fear=0.9)), CLOCK)
    log.close()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["clock"], row["path"], row["time_s"], row["track"], row["emotion"]) for row in rows] == [
        ("2026-03-04T05:06:07.089+00:00", "camera 0", "1.250000", "3", "happiness"),
        ("2026-03-04T05:06:07.089+00:00", "camera 0", "2.000000", "3", "fear"),
    ]
    assert (rows[0]["x1"], rows[0]["y2"], rows[0]["happiness"]) == ("20.00", "80.00", "0.700000")


def test_an_empty_log_has_its_header(tmp_path: Path) -> None:
    LiveLog(tmp_path / "log.csv", FER7, source="x").close()
    assert (tmp_path / "log.csv").read_text().startswith("clock,path,time_s,track,x1")


def test_logs_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends in \.csv, but got 'log.txt'"):
        LiveLog(tmp_path / "log.txt", FER7, source="x")
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        LiveLog(tmp_path / "no" / "log.csv", FER7, source="x")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MediaError, match=r"cannot write .*folder\.csv: Is a directory"):
        LiveLog(tmp_path / "folder.csv", FER7, source="x")


# --- recordings -----------------------------------------------------------------------------------------------------


def test_a_recording_is_a_video_with_a_table_of_its_times(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="camera 0")
    recording.add_frame(frame(9.9), CLOCK)  # before its begin
    times = [10.0, 10.05, 10.2, 10.35]
    for time_s in times:
        recording.add_image(GRAY, frame(time_s), time_s)
        recording.add_frame(frame(time_s), CLOCK)
        while recording.frames + recording.dropped < times.index(time_s) + 1:
            pass
    recording.close()
    assert recording.dropped == 0
    with iter_frames(tmp_path / "a.mp4") as video:
        images = list(video)
    assert [image.time_s for image in images] == pytest.approx([time_s - 10 for time_s in times], abs=1e-4)
    # The line of the box, on its left side, has the emotion's color.
    seen = images[-1].image[45:65, 20].mean(axis=0)
    assert np.abs(seen - COLORS["happiness"]).max() < 70
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [float(row["time_s"]) for row in rows] == pytest.approx([time_s - 10 for time_s in times])


def test_images_of_another_size_are_fitted_in(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mkv", FER7, source="x")
    for k, image in enumerate((GRAY, np.full((60, 160, 3), 128, np.uint8), np.full((480, 640, 3), 128, np.uint8))):
        recording.add_image(image, None, k / 10)
        while recording.frames <= k:
            pass
    recording.close()
    with iter_frames(tmp_path / "a.mkv") as video:
        images = [image.image for image in video]
    assert {image.shape for image in images} == {(120, 160, 3)}
    assert images[1][10].max() < 20
    assert abs(int(images[1][60].mean()) - 128) < 10
    assert abs(int(images[2][10].mean()) - 128) < 10


def test_images_that_are_too_fast_for_the_encoder_are_dropped(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="x")
    big = np.zeros((1080, 1920, 3), np.uint8)
    for k in range(60):
        recording.add_image(big, None, k / 1000)
    recording.close()
    assert recording.dropped > 0
    with iter_frames(tmp_path / "a.mp4") as video:
        assert sum(1 for _ in video) == 60 - recording.dropped == recording.frames


def test_a_recording_without_an_image_leaves_no_video(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="x")
    recording.close()
    recording.close()
    assert recording.frames == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


UNCLOSED = """
import sys
import numpy as np
from mien.labels import FER7
from mien.output.live import LiveRecording

recording = LiveRecording(sys.argv[1], FER7, source="x")
for k in range(3):
    recording.add_image(np.full((120, 160, 3), 128, np.uint8), None, k / 30)
"""


def test_a_program_that_ends_without_closing_finishes_its_recording(tmp_path: Path) -> None:
    """As at Ctrl-C twice: the second one may strike before the first one's closing."""
    done = subprocess.run(
        [sys.executable, "-c", UNCLOSED, str(tmp_path / "a.mp4")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    with iter_frames(tmp_path / "a.mp4") as video:
        assert sum(1 for _ in video) == 3


def test_a_recording_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="but the name is"):
        LiveRecording(tmp_path / "a.avi", FER7, source="x")
    (tmp_path / "a.mp4").mkdir()
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="x")
    recording.add_image(GRAY, None, 0.0)
    with pytest.raises(MediaError, match="cannot write"):
        recording.close()


# --- snapshots ------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_an_image_a_drawn_one_and_what_they_show(tmp_path: Path) -> None:
    seen = frame(1.5)
    write_snapshot(tmp_path / "a.b", GRAY, seen, source="camera 0", clock=CLOCK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b-drawn.png", "a.b.json", "a.b.png"]
    assert np.array_equal(read_image(tmp_path / "a.b.png").pixels, GRAY)
    drawn = read_image(tmp_path / "a.b-drawn.png").pixels
    assert drawn.shape == GRAY.shape
    assert not np.array_equal(drawn, GRAY)
    told = json.loads((tmp_path / "a.b.json").read_text())
    assert (told["source"], told["clock"], told["width"]) == ("camera 0", "2026-03-04T05:06:07.089+00:00", 160)
    assert TrackedFace.from_dict(told["faces"][0]) == seen.faces[0]


def test_a_snapshot_of_nobody(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "a", GRAY, None, source="camera 0", clock=CLOCK)
    assert json.loads((tmp_path / "a.json").read_text())["faces"] == []
    with pytest.raises(MediaNotFoundError, match="no such folder"):
        write_snapshot(tmp_path / "no" / "a", GRAY, None, source="camera 0", clock=CLOCK)
