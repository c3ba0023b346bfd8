"""From the file of a video to its people: times, samples, parts and methods, on videos made of planted faces."""

from __future__ import annotations

import io
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.api.pipeline import Analyzers, Pipeline
from mien.errors import DecodeError, InputError, MediaNotFoundError, UnsupportedMediaError
from mien.options import VideoOptions
from mien.results import VideoFrame, VideoResult
from mien.samples import astronaut_path
from mien.video.analyzer import VideoAnalyzer
from mien.video.timeline import certainty, smooth
from planted_faces import planted
from planted_videos import write_video

WALK = [(0.0, 80.0, 120.0, 90.0), (3.0, 230.0, 130.0, 100.0)]
NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def analyzer() -> VideoAnalyzer:
    return VideoAnalyzer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


def write(path: Path, times: list[Fraction], *, rate: Fraction | int, time_base: Fraction | None = None) -> Path:
    shots = planted({0: WALK}, seed=3, rate=rate, seconds=3)
    tone = (0.1 * np.sin(np.arange(3 * 16000) / 10)).astype(np.float32)
    frames = ((shot[0], time) for shot, time in zip(shots, times, strict=False))
    write_video(path, frames, rate=rate, time_base=time_base, sound=(tone, 16000))
    return path


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    """Return three seconds at 29.97 frames per second, with sound."""
    return write(folder / "video.mp4", [i / NTSC for i in range(89)], rate=NTSC)


@pytest.fixture(scope="module")
def uneven(folder: Path) -> Path:
    """Return a video of variable rate."""
    steps = np.random.default_rng(0).integers(10, 120, 60).cumsum() - 10
    return write(
        folder / "uneven.mkv", [Fraction(int(step), 1000) for step in steps], rate=30, time_base=Fraction(1, 1000)
    )


def test_times_are_those_of_the_container_to_the_time_base(video: Path, uneven: Path) -> None:
    every = mien.analyze_video(video, step_s=0)
    assert every.times_s.tolist() == [float(i / NTSC) for i in range(89)]
    assert [frame.time_s for frame in every.frames()] == every.times_s.tolist()
    steps = np.random.default_rng(0).integers(10, 120, 60).cumsum() - 10
    assert mien.analyze_video(uneven, step_s=0).times_s.tolist() == [float(Fraction(int(s), 1000)) for s in steps]


def test_a_video_is_told_by_its_content(video: Path, folder: Path) -> None:
    disguised = folder / "video.txt"
    disguised.write_bytes(video.read_bytes())
    found = mien.analyze(disguised)
    assert isinstance(found, VideoResult)
    (track,) = found.tracks
    assert found.path == str(disguised)
    assert (found.width, found.height) == (320, 240)
    assert found.frame_rate == pytest.approx(29.97, abs=0.01)
    assert found.end_s == found.duration_s == pytest.approx(89 / 29.97, abs=0.05)
    assert track.start_s == 0
    assert track.end_s == pytest.approx(found.end_s)
    assert found.summary.seen_s == pytest.approx(found.end_s)
    assert found.model == "face-base"
    assert found.frames_failed == 0


def test_bytes_and_streams_are_videos_too(video: Path) -> None:
    content = video.read_bytes()
    expected = mien.analyze_video(video).to_dict()
    expected.update(path=None, **{part: {**expected[part], "path": None} for part in ("speech", "fused")})
    for source in (content, io.BytesIO(content)):
        found = mien.analyze(source)
        assert isinstance(found, VideoResult)
        assert found.to_dict() == expected


def test_every_fifth_of_a_second_is_the_first_frame_from_there_on(video: Path) -> None:
    found = mien.analyze_video(video)
    grid = [next(i / NTSC for i in range(200) if i / NTSC >= k * Fraction(1, 5)) for k in range(15)]
    assert found.times_s.tolist() == [float(time) for time in grid]
    assert mien.analyze_video(video, fps=10).times_s.size == 30
    # Frames a second that the video has, but for what its rate is less than 30: every frame.
    assert mien.analyze_video(video, fps=30).times_s.size == 89


def test_a_part_of_a_video(video: Path) -> None:
    found = mien.analyze_video(video, step_s=0, from_s=1.0, to_s=2.0)
    inside = [float(i / NTSC) for i in range(89) if 1 <= i / NTSC < 2]
    assert found.times_s.tolist() == inside
    assert (found.start_s, found.end_s) == (1.0, 2.0)
    assert found.duration_s == pytest.approx(89 / 29.97, abs=0.05)
    with pytest.raises(DecodeError, match=r"has no frame from 50 s on"):
        mien.analyze_video(video, from_s=50.0)


def test_frames_come_while_the_video_is_read(video: Path, analyzer: VideoAnalyzer) -> None:
    frames = list(mien.iter_video(video, analyzer=analyzer))
    assert all(isinstance(frame, VideoFrame) for frame in frames)
    result = mien.analyze_video(video)
    assert [frame.time_s for frame in frames] == result.times_s.tolist()
    assert [[face.face.box for face in frame.faces] for frame in frames] == [
        [face.face.box for face in frame.faces] for frame in result.frames()
    ]
    first = next(iter(mien.iter_video(video, analyzer=analyzer)))
    assert first.time_s == 0.0


@pytest.mark.parametrize(
    ("method", "numbers"),
    [("middle-frame", [44]), ("every-nth", list(range(21, 89, 7))), ("majority-vote", list(range(21, 89, 7)))],
)
def test_the_methods_take_their_frames_by_number(video: Path, method: str, numbers: list[int]) -> None:
    found = mien.analyze_video(video, method=method)
    assert found.times_s.tolist() == [float(n / NTSC) for n in numbers]
    assert found.method == method
    assert found.end_s == pytest.approx(89 / 29.97, abs=0.05)
    (track,) = found.tracks
    assert track.detected.all()
    np.testing.assert_array_equal(track.smoothed, track.probabilities)
    answer = found.summary.emotion
    assert answer is not None
    expected = track.probabilities.mean(axis=0)
    if method == "majority-vote":
        expected = np.bincount(track.probabilities.argmax(axis=1), minlength=8) / len(numbers)
    np.testing.assert_allclose(answer.to_array(), expected / expected.sum(), atol=1e-6)
    assert mien.analyze_video(io.BytesIO(video.read_bytes()), method=method).times_s.tolist() == found.times_s.tolist()


def test_a_short_video_has_its_middle_frame(folder: Path) -> None:
    path = write(folder / "short.mp4", [Fraction(i, 30) for i in range(9)], rate=30)
    with pytest.warns(mien.MienWarning, match="the video has only 9 frames: only the middle one is read"):
        found = mien.analyze_video(path, method="every-nth", voice=False)
    assert found.times_s.tolist() == [4 / 30]


def test_smoothing_is_by_the_seconds_that_were_asked_for(video: Path) -> None:
    (track,) = mien.analyze_video(video, smooth_s=2.0).tracks
    weights = certainty(track.probabilities) * track.scores * track.durations_s
    expected = smooth(track.times_s, track.probabilities, tau_s=2.0, weights=weights)
    np.testing.assert_allclose(track.smoothed, expected, atol=1e-5)
    (rough,) = mien.analyze_video(video, smooth_s=0).tracks
    np.testing.assert_array_equal(rough.smoothed, rough.probabilities)


def test_what_was_read_until_it_is_canceled_is_a_result(video: Path) -> None:
    seen: list[VideoFrame] = []
    pipeline = Pipeline(Analyzers(), video=VideoOptions(step_s=0))
    items = pipeline.run([video, video], on_frame=lambda _, frame: seen.append(frame), cancel=lambda: len(seen) >= 31)
    (item,) = items
    found = item.result
    assert not item.is_complete
    assert isinstance(found, VideoResult)
    assert found.times_s.tolist() == [frame.time_s for frame in seen]
    assert found.end_s == pytest.approx(float(Fraction(len(seen)) / NTSC), abs=0.04)
    assert found.duration_s == pytest.approx(89 / 29.97, abs=0.05)
    assert len(found.tracks) == 1
    assert found.speech is not None
    assert found.speech.duration_s == pytest.approx(found.end_s, abs=1e-3)
    assert found.warnings[0].startswith("interrupted: read only up to 1.0")


def test_a_cut_video_is_read_to_where_it_ends(uneven: Path, folder: Path) -> None:
    content = uneven.read_bytes()
    path = folder / "cut.mkv"
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(mien.MienWarning) as told:
        found = mien.analyze_video(path, step_s=0)
    assert any("cut" in str(one.message) or "truncated" in str(one.message) for one in told)
    assert 5 < len(found.times_s) < 60
    assert found.warnings
    assert found.end_s < 2.5


def test_bad_videos_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match="no such file"):
        mien.analyze_video(tmp_path / "none.mp4")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(DecodeError, match=r"empty\.mp4 is empty"):
        mien.analyze_video(empty)
    with pytest.raises(UnsupportedMediaError, match="image"):
        mien.analyze_video(astronaut_path())


def test_wrong_options_are_named(video: Path) -> None:
    with pytest.raises(InputError, match="give step_s or fps, not both"):
        mien.analyze_video(video, step_s=1, fps=1)
    with pytest.raises(InputError, match=r"fps must be a number from 0\.001"):
        mien.analyze_video(video, fps=0)
    with pytest.raises(InputError, match="to_s must be after from_s, but got 2 to 1 s"):
        mien.analyze_video(video, from_s=2, to_s=1)
    with pytest.raises(InputError, match="method must be one of timeline, middle-frame, every-nth, majority-vote"):
        mien.analyze_video(video, method="median")
    with pytest.raises(InputError, match="takes its frames from the whole video"):
        mien.analyze_video(video, method="every-nth", to_s=1)


def test_results_without_their_image_can_be_pickled(video: Path) -> None:
    found = mien.analyze_video(video)
    again = pickle.loads(pickle.dumps(found))
    assert again.preview is None
    assert again.to_dict() == found.to_dict()
    assert found.preview is not None
    assert (found.preview(found) or b"").startswith(b"\x89PNG")
