from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io.image import read_image
from mien.io.video import iter_frames
from mien.labels import FER7
from mien.output._live_image import LiveImage, fitted
from mien.output._live_people import LivePeople
from mien.output.live_files import LiveLog, LiveRecording, write_snapshot
from mien.output.palette import COLORS
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


# --- logs -------------------------------------------------------------------------------------------------------------


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


def test_logs_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a log is written as \.csv, but the name is 'log.txt'"):
        LiveLog(tmp_path / "log.txt", FER7, source="x")
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        LiveLog(tmp_path / "no" / "log.csv", FER7, source="x")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MediaError, match=r"cannot write .*folder\.csv': Is a directory"):
        LiveLog(tmp_path / "folder.csv", FER7, source="x")


# --- recordings -------------------------------------------------------------------------------------------------------


def test_a_recording_is_a_video_with_a_table_of_its_times(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="camera 0")
    recording.tell(frame(9.9), CLOCK)  # before its begin
    times = [10.0, 10.05, 10.2, 10.35]
    for time_s in times:
        recording.show(GRAY, frame(time_s), time_s)
        recording.tell(frame(time_s), CLOCK)
        while recording.frames + recording.left_out < times.index(time_s) + 1:
            pass
    recording.close()
    assert recording.left_out == 0
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
        recording.show(image, None, k / 10)
        while recording.frames <= k:
            pass
    recording.close()
    with iter_frames(tmp_path / "a.mkv") as video:
        images = [image.image for image in video]
    assert {image.shape for image in images} == {(120, 160, 3)}
    assert images[1][10].max() < 20
    assert abs(int(images[1][60].mean()) - 128) < 10
    assert abs(int(images[2][10].mean()) - 128) < 10


def test_what_the_encoder_cannot_take_is_left_out(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="x")
    big = np.zeros((1080, 1920, 3), np.uint8)
    for k in range(60):
        recording.show(big, None, k / 1000)
    recording.close()
    assert recording.left_out > 0
    with iter_frames(tmp_path / "a.mp4") as video:
        assert sum(1 for _ in video) == 60 - recording.left_out == recording.frames


def test_a_recording_without_a_image_leaves_no_video(tmp_path: Path) -> None:
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="x")
    recording.close()
    recording.close()
    assert recording.frames == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_recording_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="but the name is"):
        LiveRecording(tmp_path / "a.avi", FER7, source="x")
    (tmp_path / "a.mp4").mkdir()
    recording = LiveRecording(tmp_path / "a.mp4", FER7, source="x")
    recording.show(GRAY, None, 0.0)
    with pytest.raises(MediaError, match="cannot write"):
        recording.close()


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_a_image_a_drawn_one_and_what_they_show(tmp_path: Path) -> None:
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


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "size", "place"),
    [
        ((160, 120), (160, 120), (0, 0, 160, 120)),
        ((160, 120), (640, 240), (160, 0, 320, 240)),
        ((160, 120), (160, 400), (0, 140, 160, 120)),
        ((4000, 10), (100, 100), (0, 49, 100, 1)),
        ((1, 1), (30, 20), (5, 0, 20, 20)),
    ],
)
def test_images_are_as_large_as_they_can_be(
    image: tuple[int, int], size: tuple[int, int], place: tuple[int, ...]
) -> None:
    assert fitted(*image, size) == place


@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_are_drawn_where_the_faces_are(mirror: bool) -> None:
    image = LiveImage(320, 300)  # twice as large, with a black strip of 30 above and below
    drawn = image.draw(GRAY, frame(0.0), 0.0, mirror=mirror).astype(int)
    assert drawn[:25].max() == 0
    assert drawn[-25:].max() == 0
    near = np.abs(drawn - np.array(COLORS["happiness"])).max(axis=2) < 25
    column = near[30 + 2 * 45 : 30 + 2 * 65].all(axis=0)
    # x = 20 and 60 of 160 are 40 and 120 of 320, and 280 and 200 in a mirror.
    left, right = (200, 280) if mirror else (40, 120)
    assert column[left - 2 : left + 3].any()
    assert column[right - 2 : right + 3].any()
    assert not column[: left - 4].any()


def test_a_mirror_turns_the_image_but_not_the_one_given() -> None:
    image = GRAY.copy()
    image[:, :40] = (250, 0, 0)
    before = image.copy()
    drawn = LiveImage(160, 120).draw(image, None, 0.0, mirror=True)
    assert np.array_equal(drawn, image[:, ::-1])
    assert np.array_equal(image, before)


def test_the_word_does_not_flicker() -> None:
    people = LivePeople()
    close, other = emotion(happiness=0.45, sadness=0.42), emotion(happiness=0.42, sadness=0.45)
    tops = [people.of(frame(k * 0.1, (close, other)[k % 2]))[0].top for k in range(12)]
    assert set(tops) == {"happiness"}
    # A lead that lasts takes the word after half a second.
    tops = [people.of(frame(1.2 + k * 0.1, other))[0].top for k in range(12)]
    assert tops.index("sadness") in {3, 4, 5}
    assert set(tops[6:]) == {"sadness"}
    # A clear lead takes it at once.
    assert people.of(frame(4.0, emotion(fear=0.8)))[0].top == "fear"


def test_people_are_forgotten() -> None:
    people = LivePeople()
    for k in range(1000):
        shown = emotion(fear=0.9)
        face = TrackedFace(k + 1, Face((20, 30, 60, 80), 0.9, None, shown), shown)
        people.of(VideoFrame(float(k), 160, 120, (face,)))
    assert len(people._words) <= 64
    assert people.of(None) == []
