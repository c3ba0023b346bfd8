"""Videos that are written: times, images, what is drawn and how still it stands, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import DecodeError, InputError, MediaError, MediaNotFoundError, UnsupportedMediaError
from mien.io.video import iter_frames
from mien.output.canvas import COLORS
from mien.output.video import TrackedPeople, VideoWriter, draw_video
from mien.results import VideoResult
from mien.results.track import EmotionSegment
from planted_video import crowd, distribution, planted_video
from planted_videos import corners, number_of, numbered, numbered_video, write_video

SIZE = (160, 120)
PLAIN = {"bars": False, "labels": False}


def video_of(seconds: float, **more: Any) -> VideoResult:
    return replace(planted_video([("anger", seconds)], size=SIZE), **more)


def nobody(seconds: float, size: tuple[int, int] = SIZE) -> VideoResult:
    return replace(planted_video(size=size), tracks=(), duration_s=seconds, end_s=seconds)


def read(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    with iter_frames(path) as frames:
        return [(frame.time_s, frame.image) for frame in frames]


def ticks(path: Path) -> list[Fraction]:
    """Times of a video's images as its container has them."""
    with av.open(str(path)) as video:
        base = video.streams.video[0].time_base
        return sorted(packet.pts * base for packet in video.demux(video=0) if packet.pts is not None)


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    """No thread and no half-written file is left, however a test ends."""
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "mien-video-writer"]
    assert not [path.name for path in tmp_path.rglob("*") if path.name.startswith(".mien-")]


# --- times and images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(120)])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_times_of_a_constant_rate_are_exact(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    numbered_video(tmp_path / "in.mp4", 60, rate=rate)
    drawn = tmp_path / f"out.{suffix}"
    draw_video(tmp_path / "in.mp4", nobody(60 / float(rate)), drawn)
    assert ticks(drawn) == ticks(tmp_path / "in.mp4") == [k / rate for k in range(60)]
    assert [number_of(image) for _, image in read(drawn)] == list(range(60))


@pytest.mark.parametrize(
    ("suffix", "clock"), [("mp4", Fraction(1, 600)), ("mkv", Fraction(1, 1000)), ("webm", Fraction(1, 1000))]
)
def test_times_of_a_variable_rate_are_kept(tmp_path: Path, suffix: str, clock: Fraction) -> None:
    random = np.random.default_rng(7)
    times = [Fraction(int(tick), 600) for tick in np.cumsum(random.integers(3, 90, 50)) - 3]
    write_video(tmp_path / "in.mp4", ((numbered(k), t) for k, t in enumerate(times)), time_base=Fraction(1, 600))
    before = ticks(tmp_path / "in.mp4")
    draw_video(tmp_path / "in.mp4", nobody(float(times[-1]) + 0.1), tmp_path / f"out.{suffix}")
    after = ticks(tmp_path / f"out.{suffix}")
    # A video begins with its first image where nothing comes before it.
    moved = [time - before[0] for time in before]
    assert max(abs(a - b) for a, b in zip(after, moved, strict=True)) <= (0 if clock == Fraction(1, 600) else clock / 2)


def test_the_last_image_lasts_as_long_as_the_others(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 30, rate=10)
    draw_video(tmp_path / "in.mp4", nobody(3), tmp_path / "out.mp4")
    with iter_frames(tmp_path / "out.mp4") as frames:
        assert frames.duration_s == pytest.approx(3.0, abs=1e-3)
        assert frames.frame_rate == 10


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_colors_come_back(tmp_path: Path, suffix: str) -> None:
    images = [(corners(), Fraction(k, 30)) for k in range(10)]
    write_video(tmp_path / "in.mp4", images, options={"crf": "4"}, matrix="bt709")
    draw_video(tmp_path / "in.mp4", nobody(0.3), tmp_path / f"out.{suffix}", quality="best")
    quarters = [(30, 40), (30, 120), (90, 120), (90, 40)]
    for _, image in read(tmp_path / f"out.{suffix}")[3:]:
        for row, column in quarters:
            assert np.abs(image[row, column].astype(int) - corners()[row, column].astype(int)).max() <= 6


@pytest.mark.parametrize("size", [(161, 121), (160, 121), (33, 120), (1, 1)])
def test_odd_sizes_are_padded_by_a_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    with VideoWriter(tmp_path / "out.mp4", width=size[0], height=size[1]) as writer:
        for k in range(5):
            writer.write(image, k / 30)
    with iter_frames(tmp_path / "out.mp4") as frames:
        assert (frames.width, frames.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        last = list(frames)[-1].image
    # Doubled, not black: the edge stays as it is.
    assert np.abs(last.astype(int) - 200).max() <= 4


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_video_is_written_upright(tmp_path: Path, rotation: int) -> None:
    write_video(tmp_path / "in.mp4", [(corners(), Fraction(k, 30)) for k in range(5)], rotation=rotation)
    before = read(tmp_path / "in.mp4")
    size = (before[0][1].shape[1], before[0][1].shape[0])
    draw_video(tmp_path / "in.mp4", nobody(0.2, size), tmp_path / "out.mp4", quality="best")
    with av.open(str(tmp_path / "out.mp4")) as video:
        stored = next(video.decode(video=0))
        assert stored.rotation == 0
        assert (stored.width, stored.height) == size
    after = read(tmp_path / "out.mp4")
    assert np.abs(after[2][1].astype(int) - before[2][1].astype(int)).mean() < 3


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "h264"), ("mov", "h264"), ("mkv", "h264"), ("webm", "vp9")])
def test_the_suffix_chooses_container_and_codec(tmp_path: Path, suffix: str, codec: str) -> None:
    with VideoWriter(tmp_path / f"OUT.{suffix.upper()}", width=64, height=48) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0)
    with av.open(str(tmp_path / f"OUT.{suffix.upper()}")) as video:
        assert video.streams.video[0].codec_context.name == codec
        assert video.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_the_codec_can_be_chosen(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", width=64, height=48, codec="vp9", quality="small") as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0)
    assert av.open(str(tmp_path / "out.mp4")).streams.video[0].codec_context.name == "vp9"


def test_an_mp4_begins_with_its_index(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 10)
    draw_video(tmp_path / "in.mp4", nobody(0.3), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_quality_costs_room(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 120, 160, 3)).astype(np.uint8)
    sizes = []
    for quality in ("small", "good", "best"):
        with VideoWriter(tmp_path / "out.mp4", width=160, height=120, quality=quality) as writer:
            for k, image in enumerate(noise):
                writer.write(image, k / 30)
        sizes.append((tmp_path / "out.mp4").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[2] > 1.3 * sizes[0]


def test_a_part_begins_at_zero(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 90, rate=Fraction(30000, 1001))
    draw_video(tmp_path / "in.mp4", video_of(3, start_s=1.0, end_s=2.0), tmp_path / "out.mp4", **PLAIN)
    frames = read(tmp_path / "out.mp4")
    # Images stand at 1.001 k / 30 s: the 30th is the first from 1 s on, the 59th the last before 2 s.
    assert number_of(frames[0][1]) == 30
    assert len(frames) == 30
    steps = {b - a for a, b in pairwise(ticks(tmp_path / "out.mp4"))}
    assert steps == {Fraction(1001, 30000)}


def test_a_cut_video_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    numbered_video(tmp_path / "whole.mkv", 90)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "in.mkv").write_bytes(data[: len(data) // 2])
    there = [number_of(image) for _, image in read(tmp_path / "in.mkv")]
    draw_video(tmp_path / "in.mkv", nobody(3), tmp_path / "out.mp4")
    assert 10 < len(there) < 80
    assert [number_of(image) for _, image in read(tmp_path / "out.mp4")] == there


def test_one_image_makes_a_video(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 1)
    draw_video(tmp_path / "in.mp4", video_of(0.2, duration_s=0.04, end_s=0.04), tmp_path / "out.mp4", **PLAIN)
    assert [time_s for time_s, _ in read(tmp_path / "out.mp4")] == [0.0]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_thousand_images_a_second_are_all_kept(tmp_path: Path, suffix: str) -> None:
    times = numbered_video(tmp_path / "in.mp4", 100, rate=1000, width=64, height=48)
    draw_video(tmp_path / "in.mp4", nobody(0.1, (64, 48)), tmp_path / f"out.{suffix}")
    frames = read(tmp_path / f"out.{suffix}")
    assert [number_of(image) for _, image in frames] == list(range(100))
    assert [time_s for time_s, _ in frames] == pytest.approx([float(time) for time in times])


@pytest.mark.parametrize("folder", ["http:", "with a space", "Bilder%03d", "café\udce9", "-y"])
def test_names_are_names_whatever_they_look_like(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    numbered_video(tmp_path / "in.mp4", 3)
    draw_video("in.mp4", nobody(0.1), f"{folder}/out.mp4")
    assert len(read(Path(folder) / "out.mp4")) == 3


def test_progress_tells_the_time_reached(tmp_path: Path) -> None:
    times = numbered_video(tmp_path / "in.mp4", 30)
    told: list[float] = []
    draw_video(tmp_path / "in.mp4", nobody(1), tmp_path / "out.mp4", on_progress=told.append)
    assert told == [float(time) for time in times]


# --- what is drawn --------------------------------------------------------------------------------------------------


def gray_video(path: Path, seconds: float, size: tuple[int, int] = (320, 240)) -> None:
    image = np.full((size[1], size[0], 3), 110, np.uint8)
    write_video(path, ((image, Fraction(k, 30)) for k in range(round(30 * seconds))), matrix="bt709")


def test_boxes_have_the_color_of_the_timeline(tmp_path: Path) -> None:
    gray_video(tmp_path / "in.mp4", 2.0)
    video = planted_video([("anger", 0.8), (None, 0.4), ("happiness", 0.8)])
    draw_video(tmp_path / "in.mp4", video, tmp_path / "out.mp4", quality="best", **PLAIN)
    told = {0.1: "anger", 0.7: "anger", 1.0: None, 1.5: "happiness"}
    frames = read(tmp_path / "out.mp4")
    for time_s, name in told.items():
        image = min(frames, key=lambda frame: abs(frame[0] - time_s))[1]
        point = video.tracks[0].at(time_s)
        if name is None:
            assert point is None
            assert np.abs(image.astype(int) - 110).max() < 12
            continue
        assert point is not None
        x1, y1, x2, y2 = point.box
        row, column = round((y1 + y2) / 2), int(x1)
        # 4:2:0 takes much of the color from a line of two pixels: the hue is what can be told.
        edge, wanted = (_hue(pixels) for pixels in (image[row, column - 1 : column + 3], np.array([COLORS[name]])))
        strongest = edge[np.linalg.norm(edge, axis=1).argmax()]
        assert np.linalg.norm(strongest) > 30
        assert np.dot(strongest, wanted[0]) / (np.linalg.norm(strongest) * np.linalg.norm(wanted)) > 0.95
        assert np.abs(image[row - 2 : row + 2, round(x1) + 8 : round(x2) - 8].astype(int) - 110).max() < 12


def _hue(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return colors (n, 3) less their gray."""
    return np.asarray(pixels - pixels.mean(axis=1, keepdims=True), np.float64)


def test_boxes_move_between_analyzed_frames(tmp_path: Path) -> None:
    gray_video(tmp_path / "in.mp4", 1.0)
    video = planted_video([("anger", 1.0)], step_s=0.5)
    moved = replace(video.tracks[0], boxes=np.array([[40, 60, 100, 120], [190, 60, 250, 120]], np.float32))
    draw_video(tmp_path / "in.mp4", replace(video, tracks=(moved,)), tmp_path / "out.mp4", quality="best", **PLAIN)
    for time_s, image in read(tmp_path / "out.mp4"):
        columns = np.flatnonzero(np.abs(image[90].astype(int) - 110).max(axis=1) > 40)
        left = 40 + 150 * min(time_s / 0.5, 1.0)
        assert columns.min() == pytest.approx(left, abs=3)
        assert columns.max() == pytest.approx(left + 60, abs=3)


def test_nobody_is_drawn_from_a_cut_on_until_the_new_scene_was_analyzed(tmp_path: Path) -> None:
    """Frames are analyzed at 0, 0.2, ... s; cuts lie between, at 1.03 and 1.43 s."""
    random = np.random.default_rng(1)
    scenes = [np.kron(random.integers(0, 256, (6, 8, 3)), np.ones((40, 40, 1))).astype(np.uint8) for _ in range(3)]
    starts = (0, 31, 43)
    images = [scenes[sum(k >= start for start in starts) - 1] for k in range(60)]
    write_video(tmp_path / "in.mp4", ((image, Fraction(k, 30)) for k, image in enumerate(images)))
    video = planted_video([("anger", 2.0)], cuts=(1.2, 1.6))
    draw_video(tmp_path / "in.mp4", video, tmp_path / "out.mp4", quality="best")
    drawn = [
        np.abs(image.astype(int) - original.astype(int)).max(axis=2)[20:80, :140].mean() > 8
        for (_, image), original in zip(read(tmp_path / "out.mp4"), images, strict=True)
    ]
    assert drawn == [not (31 <= k < 36 or 43 <= k < 48) for k in range(60)]


def test_intervals_are_half_open_but_for_the_last_frame(tmp_path: Path) -> None:
    """Somebody is seen in all frames before 1 s, the time of a cut, somebody else from there to the end."""
    plans = ([("anger", 1.0), (None, 1.0)], [(None, 1.0), ("fear", 1.0)])
    video = planted_video(*plans, step_s=0.2, cuts=(1.0,))
    first, second = video.tracks
    assert first.at(0.999) is not None
    assert first.at(1.0) is None
    assert second.at(0.999) is None
    assert second.at(1.0) is not None
    assert second.at(2.0) is None
    gray, people = np.full((240, 320, 3), 110, np.uint8), TrackedPeople(video)
    for k in range(61):
        assert [person.number for person in people.at(gray, k / 30)] == [1 if k < 30 else 2]
    assert video.tracks[1].at(video.times_s[-1]) is not None


def test_labels_and_bars_can_be_left_out(tmp_path: Path) -> None:
    gray_video(tmp_path / "in.mp4", 0.2)
    video = planted_video([("anger", 0.2)])
    changed = []
    for bars, labels in ((False, False), (False, True), (True, False), (True, True)):
        draw_video(tmp_path / "in.mp4", video, tmp_path / "out.mp4", bars=bars, labels=labels)
        image = read(tmp_path / "out.mp4")[0][1]
        changed.append(int((np.abs(image.astype(int) - 110).max(axis=2) > 25).sum()))
    assert changed[0] < changed[1] < changed[3]
    assert changed[0] < changed[2] < changed[3]


def test_the_source_is_not_touched(tmp_path: Path) -> None:
    gray_video(tmp_path / "in.mp4", 0.2)
    before = (tmp_path / "in.mp4").read_bytes()
    draw_video(tmp_path / "in.mp4", planted_video([("anger", 0.2)]), tmp_path / "out.mp4")
    assert (tmp_path / "in.mp4").read_bytes() == before


def test_a_crowd_is_drawn(tmp_path: Path) -> None:
    gray_video(tmp_path / "in.mp4", 2.0)
    draw_video(tmp_path / "in.mp4", crowd(40, 2.0), tmp_path / "out.mp4")
    assert len(read(tmp_path / "out.mp4")) == 60


def test_the_emotion_of_a_segment_holds_through_single_frames(tmp_path: Path) -> None:
    video = planted_video([("anger", 1.0)])
    shares = np.array(video.tracks[0].smoothed)
    shares[2] = distribution("happiness", 0.6).probabilities
    track = replace(video.tracks[0], smoothed=shares, timeline=(EmotionSegment(0, 1, distribution("anger")),))
    gray_video(tmp_path / "in.mp4", 1.0)
    draw_video(tmp_path / "in.mp4", replace(video, tracks=(track,)), tmp_path / "out.mp4", quality="best", **PLAIN)
    x1, y1, _, y2 = track.boxes[2]
    for _, image in read(tmp_path / "out.mp4"):
        line = image[round((y1 + y2) / 2), int(x1) - 2 : int(x1) + 6].astype(int)
        strongest = line[np.abs(line - 110).sum(axis=1).argmax()]
        assert strongest[0] > strongest[1]  # vermillion, not yellow


# --- the writer -----------------------------------------------------------------------------------------------------


def test_an_older_video_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with pytest.raises(InputError, match="time_s"):
        _written(target, 0.0, float("nan"))
    assert target.read_bytes() == b"old"
    _written(target, 0.0, 0.1)
    assert len(read(target)) == 2


def _written(target: Path, *times_s: float) -> None:
    with VideoWriter(target, width=64, height=48) as writer:
        for time_s in times_s:
            writer.write(np.zeros((48, 64, 3), np.uint8), time_s)
            assert target.read_bytes() == b"old"


def test_images_are_copied(tmp_path: Path) -> None:
    image = np.empty((120, 160, 3), np.uint8)
    with VideoWriter(tmp_path / "out.mp4", width=160, height=120) as writer:
        for k in range(30):
            image[:] = numbered(k)
            writer.write(image, k / 30)
    assert [number_of(frame) for _, frame in read(tmp_path / "out.mp4")] == list(range(30))


def test_closing_twice_is_once_and_writing_after_it_an_error(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", width=64, height=48)
    image = np.zeros((48, 64, 3), np.uint8)
    writer.write(image, 0.5)
    assert writer.frames == 1
    assert writer.end_s == pytest.approx(0.5 + 1 / 30, abs=1e-4)
    writer.close()
    writer.close()
    with pytest.raises(InputError, match="the video is closed"):
        writer.write(image, 1.0)


def test_a_video_without_images_is_none(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="a video needs images, but got none"),
        VideoWriter(tmp_path / "out.mp4", width=64, height=48),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_wrong_images_and_times_are_refused(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "out.mp4", width=64, height=48) as writer:
        writer.write(image, 0.1)
        for wrong, message in (
            (image[:40], r"have 64 x 48 pixels, but got uint8 of shape \(40, 64, 3\)"),
            (image.astype(float), "uint8"),
            ("image", "uint8 array"),
        ):
            with pytest.raises(InputError, match=message):
                writer.write(wrong, 0.2)  # type: ignore[arg-type]
        for time_s in (0.1, 0.05, 0.1000001):
            with pytest.raises(InputError, match="times must rise"):
                writer.write(image, time_s)
        for time_s in (float("nan"), -1.0, "1"):
            with pytest.raises(InputError, match="time_s"):
                writer.write(image, time_s)  # type: ignore[arg-type]
        writer.write(image, 0.2)
    assert len(read(tmp_path / "out.mp4")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be an integer from 1"),
        ({"height": 20_000}, "height must be an integer from 1 to 16384"),
        ({"quality": "great"}, "quality must be one of small, good, best, but got 'great'"),
        ({"codec": "hevc"}, "codec must be one of h264, vp9, but got 'hevc'"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VideoWriter(tmp_path / "out.mp4", **{"width": 64, "height": 48, **options})
    assert not list(tmp_path.iterdir())


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.avi", "out", "out.mp3", "out.mp4.txt"])
def test_other_suffixes_are_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"a video is written as \.mp4, \.mov, \.mkv, \.webm, but the name is"):
        draw_video(tmp_path / "missing.mp4", nobody(1), tmp_path / name)


def test_a_codec_that_the_file_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.webm takes vp9, but the codec is 'h264'"):
        draw_video(tmp_path / "missing.mp4", nobody(1), tmp_path / "out.webm", codec="h264")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 3)
    with pytest.raises(MediaNotFoundError, match=r"no such folder to write to: .*nowhere"):
        draw_video(tmp_path / "in.mp4", nobody(0.1), tmp_path / "nowhere" / "out.mp4")


def test_the_source_is_never_written_over(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 3)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "in.mp4")
    os.link(tmp_path / "in.mp4", tmp_path / "second.mp4")
    before = (tmp_path / "in.mp4").read_bytes()
    for name in ("in.mp4", "link.mp4", "second.mp4", "../" + tmp_path.name + "/in.mp4"):
        with pytest.raises(InputError, match="will not write over the video that is read"):
            draw_video(tmp_path / "in.mp4", nobody(0.1), tmp_path / name)
    assert (tmp_path / "in.mp4").read_bytes() == before


def test_a_result_of_another_video_is_refused(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 3)
    with pytest.raises(InputError, match="belongs to a video of 320 x 240 pixels, but this one has 160 x 120"):
        draw_video(tmp_path / "in.mp4", nobody(0.1, (320, 240)), tmp_path / "out.mp4")
    with pytest.raises(InputError, match="video must be a VideoResult, but got an object of type dict"):
        draw_video(tmp_path / "in.mp4", {}, tmp_path / "out.mp4")  # type: ignore[arg-type]


def test_sources_that_are_no_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match="no such file"):
        draw_video(tmp_path / "in.mp4", nobody(1), tmp_path / "out.mp4")
    (tmp_path / "text.mp4").write_text("no video " * 100)
    with pytest.raises(UnsupportedMediaError):
        draw_video(tmp_path / "text.mp4", nobody(1), tmp_path / "out.mp4")
    with (tmp_path / "text.mp4").open("rb") as file, pytest.raises(InputError, match="must be a path or bytes"):
        draw_video(file, nobody(1), tmp_path / "out.mp4")  # type: ignore[arg-type]
    assert not (tmp_path / "out.mp4").exists()


def test_a_missing_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("av.codecs_available", {"mpeg4"})
    with pytest.raises(MediaError, match=r"cannot write h264: .* has no encoder libx264"):
        VideoWriter(tmp_path / "out.mp4", width=64, height=48)
    assert not list(tmp_path.iterdir())


def test_a_target_that_is_a_folder_is_named(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 3)
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(MediaError, match=r"cannot write .*out.mp4"):
        draw_video(tmp_path / "in.mp4", nobody(0.1), tmp_path / "out.mp4")


FULL = """
import resource, sys
import numpy as np
from mien.errors import MediaError
from mien.output.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
random = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], width=640, height=480, in_place=len(sys.argv) > 2) as writer:
        for k in range(200):
            writer.write(random.integers(0, 255, (480, 640, 3), np.uint8), k / 30)
except MediaError as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_no_room_left_is_said_and_nothing_left_behind(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out.{suffix}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(target)], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"cannot write {target}: File too large" in done.stdout
    assert not done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_what_is_written_in_place_survives_a_full_disk(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out.{suffix}"
    command = [sys.executable, "-c", FULL.replace("300_000", "3_000_000"), str(target), "in place"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"cannot write {target}: File too large; what was written before is kept" in done.stdout
    assert len(read(target)) > 10


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_what_is_written_in_place_can_be_played_at_any_time(tmp_path: Path, suffix: str) -> None:
    """As after kill -9, and in the end it is a video like any other."""
    target, copy, until = tmp_path / f"out.{suffix}", tmp_path / f"copy.{suffix}", time.monotonic() + 60
    writer, found = VideoWriter(target, width=160, height=120, in_place=True), 0
    for k in range(150):
        writer.write(numbered(k), k / 30)
    while found < 60 and time.monotonic() < until:
        shutil.copy(target, copy)
        with contextlib.suppress(DecodeError):
            found = len(read(copy))
    assert found >= 60
    assert [number_of(image) for _, image in read(copy)] == list(range(found))
    writer.close()
    with iter_frames(target) as frames:
        assert len(list(frames)) == 150
        assert frames.duration_s == pytest.approx(5, abs=0.05)
        assert frames.warnings == ()


def test_ctrl_c_keeps_what_was_drawn(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 90)

    def interrupt(time_s: float) -> None:
        if time_s >= 1.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_video(tmp_path / "in.mp4", nobody(3), tmp_path / "out.mp4", on_progress=interrupt)
    assert [number_of(image) for _, image in read(tmp_path / "out.mp4")] == list(range(31))


def test_ctrl_c_before_the_first_image_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4", width=64, height=48):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_error_elsewhere_leaves_nothing(tmp_path: Path) -> None:
    numbered_video(tmp_path / "in.mp4", 30)

    def fail(time_s: float) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        draw_video(tmp_path / "in.mp4", nobody(1), tmp_path / "out.mp4", on_progress=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["noface_face.mov", "single_face.mp4"])
def test_real_videos_keep_their_times(tmp_path: Path, data_dir: Path, name: str) -> None:
    source = data_dir / "clips" / name
    with iter_frames(source) as frames:
        size, times = (frames.width, frames.height), [frame.time_s for frame in frames]
    draw_video(source, nobody(times[-1] + 0.05, size), tmp_path / "out.mp4", quality="small")
    assert [frame[0] for frame in read(tmp_path / "out.mp4")] == times
