"""`mien.api.live`: images as they come, never late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live_streams import Jpegs, astronaut, install, serving
from mien.api import live
from mien.api._live_stream import LiveStream
from mien.api.live import PATIENCE_S, Live, Sight, iter_live
from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.video.analyzer import VideoAnalyzer
from planted_videos import write_video


@pytest.fixture(scope="module")
def analyzer() -> VideoAnalyzer:
    return VideoAnalyzer(min_face_px=60)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of the astronaut at 25 frames a second."""
    path = tmp_path_factory.mktemp("videos") / "astronaut.mp4"
    write_video(path, ((astronaut(), Fraction(k, 25)) for k in range(25)), rate=25)
    return path


class Slow(VideoAnalyzer):
    """An analyzer that takes its time."""

    takes_s = 0.2

    def predict(self, image: Any, faces: Any) -> Any:
        time.sleep(self.takes_s)
        return super().predict(image, faces)


def sights(images: Live, *, seconds: float = 60.0) -> Iterator[tuple[Sight, float]]:
    """Yield what is to be shown, and how late."""
    shown, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        sight = images.sight(shown, timeout_s=0.1)
        if sight is not None:
            shown = sight.image.number
            yield sight, time.monotonic() - sight.image.taken_s
        elif images._done:
            return


def test_a_video_from_its_begin_to_its_end(analyzer: VideoAnalyzer, video: Path) -> None:
    with Live(str(video), analyzer) as images:
        seen = list(sights(images))
        results = images.results()
        assert images.done
        assert images.trouble == ""
    numbers = [sight.image.number for sight, _ in seen]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 15
    assert seen[-1][0].image.time_s == pytest.approx(0.96)
    for sight, _ in seen:
        if sight.exact:
            assert sight.frame is not None
            assert sight.frame.time_s == sight.image.time_s
    times = [result.frame.time_s for result in results]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(0.96)
    last = results[-1].frame
    assert [(face.track, face.smoothed.top) for face in last.faces] == [(1, "happiness")]
    assert results[-1].clock.tzinfo is not None
    assert abs(results[-1].clock.timestamp() - time.time()) < 30
    assert 0 < results[-1].delay_s < 5


def test_a_slow_machine_drops_images_and_never_lags(
    video: Path, monkeypatch: pytest.MonkeyPatch, analyzer: VideoAnalyzer
) -> None:
    fake = install(monkeypatch, rate=25.0)
    with Live(0, Slow(min_face_px=60)) as images:
        seen = list(sights(images, seconds=1.6))[10:]
        results = images.results()
    delays = np.array([delay for _, delay in seen])
    assert fake.opened == 1
    assert np.median(delays) < 0.15
    # Boxes are those of an image before, which took 0.2 s and more.
    assert sum(not sight.exact for sight, _ in seen) > len(seen) / 2
    assert len(results) < 10
    rate = (len(seen) - 1) / (seen[-1][0].image.taken_s - seen[0][0].image.taken_s)
    assert rate > 15
    assert all(sight.frame.time_s <= sight.image.time_s for sight, _ in seen if sight.frame is not None)


def test_at_most_one_analysis_in_so_many_seconds(analyzer: VideoAnalyzer, video: Path) -> None:
    with Live(str(video), analyzer, step_s=0.3) as images:
        while not images._done:
            time.sleep(0.02)
        times = [result.frame.time_s for result in images.results()]
    with Live(str(video), analyzer, step_s=0.3) as images:
        # What is not analyzed is not waited for.
        assert np.median([delay for _, delay in sights(images)]) < PATIENCE_S / 2
    assert min(np.diff(times)) >= 0.3 - 1e-9
    assert 2 <= len(times) <= 4


def test_a_source_that_is_lost_is_found_again(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.1)
    fake = install(monkeypatch, plan=(10, -1, -1, None), rate=100.0)
    told: list[str] = []
    with Live(0, analyzer, told=told.append) as images:
        until = time.monotonic() + 10
        while images.taken < 30 and time.monotonic() < until:
            time.sleep(0.01)
            if fake.opened == 3:
                assert "camera 0" in images.trouble
        times = [result.frame.time_s for result in images.results()]
        assert images.trouble == ""
    assert told == [
        "camera 0 is lost: it gives no more images; looking for it again every 0.1 s",
        "camera 0 is back",
    ]
    assert fake.opened == 4
    assert times == sorted(set(times))
    assert max(np.diff(times)) >= 0.3


def test_a_stream_that_ends_is_asked_again(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.1)
    jpegs = Jpegs([astronaut()], rate=100, plan=(10, None))
    told: list[str] = []
    with serving(jpegs) as address, Live(address, analyzer, told=told.append) as images:
        until = time.monotonic() + 10
        while images.taken < 20 and time.monotonic() < until:
            time.sleep(0.01)
    assert jpegs.requests == 2
    assert told[1:] == [f"{address} is back"]


def test_a_source_that_stands_still_is_told(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STILL_S", 0.3)
    jpegs = Jpegs([astronaut()], rate=100, plan=(-10,))
    with serving(jpegs) as address, Live(address, analyzer) as images:
        until = time.monotonic() + 10
        while not images.trouble and time.monotonic() < until:
            time.sleep(0.01)
        assert images.trouble == f"{address} stands still"
        begun_s = time.monotonic()
        images.close()
        assert time.monotonic() - begun_s < 3
        jpegs.over.set()


def test_a_source_that_never_was_is_an_error(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Live("nothing.mp4", analyzer) as images, pytest.raises(MediaNotFoundError, match="no such file: nothing"):
        images.sight(0, timeout_s=5)
    with Live("nothing.mp4", analyzer) as images, pytest.raises(MediaNotFoundError, match="no such file: nothing"):
        images.results(timeout_s=5)
    install(monkeypatch, plan=(-1,))
    with pytest.raises(MediaError, match="camera 0 cannot be opened"):
        next(iter_live(0, analyzer=analyzer))


def test_what_goes_wrong_in_the_analysis_is_raised(video: Path) -> None:
    class Broken(VideoAnalyzer):
        def predict(self, image: Any, faces: Any) -> Any:
            raise ZeroDivisionError("broken")

    with Live(str(video), Broken(min_face_px=60)) as images, pytest.raises(ZeroDivisionError, match="broken"):
        list(sights(images, seconds=10))


def test_the_size_may_change(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rate=50.0, sizes=((320, 240), (160, 120), (640, 480)))
    sizes: dict[tuple[int, int], int] = {}
    with Live(0, analyzer) as images:
        until = time.monotonic() + 10
        while len(sizes) < 3 and time.monotonic() < until:
            for result in images.results(timeout_s=0.1):
                sizes[result.frame.width, result.frame.height] = len(result.frame.faces)
    assert list(sizes) == [(320, 240), (160, 120), (640, 480)]


def test_another_detector_goes_on_with_the_numbers(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rate=50.0)
    told: list[str] = []

    def other(name: str) -> VideoAnalyzer:
        if name == "none":
            raise InputError("no such detector")
        return VideoAnalyzer(detector=name, min_face_px=60)

    def wait_for(detector: str, faces: int) -> list[int]:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for result in images.results(timeout_s=0.1):
                if images.analyzer.detector == detector and len(result.frame.faces) == faces:
                    return [face.track for face in result.frame.faces]
        raise AssertionError("nobody was seen")

    with Live(0, analyzer, other=other, told=told.append) as images:
        assert wait_for("mtcnn", 1) == [1]
        images.use_detector("haar")
        assert images.detector == "haar"
        assert wait_for("haar", 1) == [2]
        images.use_detector("none")
        until = time.monotonic() + 10
        while not told and time.monotonic() < until:
            time.sleep(0.01)
        assert (told, images.detector) == (["no such detector"], "haar")


def test_memory_does_not_grow(analyzer: VideoAnalyzer) -> None:
    stream, image = LiveStream(analyzer), astronaut()
    tracks = set()
    for k in range(90):
        frame = stream.push(image, k / 25)
        tracks |= {face.track for face in frame.faces}
    assert len(stream._stream._times.values) == 0
    assert [len(course._frames.values) for course in stream._stream._courses.values()] == [0]
    assert tracks == {1}
    with pytest.raises(InputError, match="a stream that keeps nothing has no result"):
        stream._stream.result()


def test_results_that_nobody_takes_are_bounded(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_UNTAKEN", 5)
    install(monkeypatch, rate=100.0)
    with Live(0, analyzer) as images:
        until = time.monotonic() + 10
        while images.taken < 40 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(images.results()) <= 5
        assert len(images._images) <= 8


def test_who_is_slow_gets_the_newest(analyzer: VideoAnalyzer, video: Path) -> None:
    times = []
    for frame in iter_live(video, analyzer=analyzer):
        times.append(frame.time_s)
        time.sleep(0.2)
    assert len(times) < 10
    assert times[-1] == pytest.approx(0.96)


def test_leaving_the_loop_ends_the_threads(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rate=100.0)
    frames = iter_live(0, analyzer=analyzer)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mien-live")]


@pytest.mark.parametrize("step_s", [-1, float("nan"), 1e9])
def test_a_step_out_of_range(analyzer: VideoAnalyzer, step_s: float) -> None:
    with pytest.raises(InputError, match="step_s must be"):
        Live(0, analyzer, step_s=step_s)
