"""`mien.live`: images as they come, never late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live_streams import Jpegs, astronaut, install, serving
from mien import live
from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io.audio import read_audio
from mien.io.video import iter_frames
from mien.live import MAX_DELAY_S, LiveResult, LiveSession, LiveStream, LiveUpdate, LiveView, iter_live
from mien.output.live import LiveRecording
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


class Held(VideoAnalyzer):
    """An analyzer that analyzes an image when it may."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.may = threading.Semaphore(0)

    def predict(self, image: Any, faces: Any) -> Any:
        self.may.acquire(timeout=30)
        return super().predict(image, faces)


def views(images: LiveStream, *, seconds: float = 60.0) -> tuple[list[tuple[LiveView, float]], list[LiveResult]]:
    """Return what is to be shown, each with how late it is, and all results."""
    shown, until = 0, time.monotonic() + seconds
    seen, results = [], []
    while time.monotonic() < until:
        view = images.next_view(shown, timeout_s=0.1)
        results += images.results()
        if view is not None:
            shown = view.image.number
            seen.append((view, time.monotonic() - view.image.captured_s))
        elif images.is_done:
            break
    return seen, results


def came(images: LiveStream) -> int:
    """Return how many images came so far."""
    view = images.next_view(0, max_delay_s=0.0)
    return 0 if view is None else view.image.number


def wait(done: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(0.01)


def test_a_video_from_its_begin_to_its_end(analyzer: VideoAnalyzer, video: Path) -> None:
    with LiveStream(str(video), analyzer) as images:
        seen, results = views(images)
        assert images.is_done
        assert images.problem == ""
    numbers = [view.image.number for view, _ in seen]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 15
    assert seen[-1][0].image.time_s == pytest.approx(0.96)
    for view, _ in seen:
        if view.is_exact:
            assert view.frame is not None
            assert view.frame.time_s == view.image.time_s
    times = [result.frame.time_s for result in results]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(0.96)
    last = results[-1].frame
    assert [(face.track, face.smoothed.top) for face in last.faces] == [(1, "happiness")]
    assert results[-1].clock.tzinfo is not None
    assert abs(results[-1].clock.timestamp() - time.time()) < 30
    assert 0 < results[-1].delay_s < 5


def test_a_slow_machine_drops_images_and_never_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rate=100.0)
    analyzer, shown = Held(min_face_px=60), 0
    with LiveStream(0, analyzer) as images:
        for _ in range(10):
            view = images.next_view(shown, timeout_s=30)
            assert view is not None
            assert view.image.number > shown
            assert (view.frame, view.is_exact) == (None, False)
            shown = view.image.number
        analyzer.may.release()
        (first,) = images.results(timeout_s=30)
        view = images.next_view(shown, timeout_s=30)
        assert view is not None
        assert view.frame is first.frame
        assert not view.is_exact
        analyzer.may.release()
        (second,) = images.results(timeout_s=30)
        # The next to be analyzed is the newest, not the one after the first.
        assert first.number < shown <= second.number
        analyzer.may.release(1000)


def test_at_most_one_analysis_in_so_many_seconds(analyzer: VideoAnalyzer, video: Path) -> None:
    with LiveStream(str(video), analyzer, step_s=0.3) as images:
        seen, results = views(images)
    # What is not analyzed is not waited for.
    assert np.median([delay for _, delay in seen]) < MAX_DELAY_S / 2
    times = [result.frame.time_s for result in results]
    assert min(np.diff(times)) >= 0.3 - 1e-9
    assert 2 <= len(times) <= 4


def test_a_source_that_is_lost_is_found_again(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.1)
    fake = install(monkeypatch, plan=(10, -1, -1, None), rate=100.0)
    messages: list[str] = []
    with LiveStream(0, analyzer, on_message=messages.append) as images:
        until = time.monotonic() + 10
        while came(images) < 30 and time.monotonic() < until:
            time.sleep(0.01)
            if fake.opened == 3:
                assert "camera 0" in images.problem
        times = [result.frame.time_s for result in images.results()]
        assert images.problem == ""
    assert messages == [
        "camera 0 is lost: it gives no more images; looking for it again every 0.1 s",
        "camera 0 is back",
    ]
    assert fake.opened == 4
    assert times == sorted(set(times))
    assert max(np.diff(times)) >= 0.3


def test_a_stream_that_ends_is_asked_again(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.1)
    jpegs = Jpegs([astronaut()], rate=100, plan=(10, None))
    messages: list[str] = []
    with serving(jpegs) as address, LiveStream(address, analyzer, on_message=messages.append) as images:
        wait(lambda: came(images) >= 20)
    assert jpegs.requests == 2
    assert messages[1:] == [f"{address} is back"]


def test_a_source_that_stands_still_is_told(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STILL_S", 0.3)
    jpegs = Jpegs([astronaut()], rate=100, plan=(-10,))
    with serving(jpegs) as address, LiveStream(address, analyzer) as images:
        wait(lambda: images.problem)
        assert images.problem == f"{address} stands still"
        begun_s = time.monotonic()
        images.close()
        assert time.monotonic() - begun_s < 3
        jpegs.over.set()


def test_a_source_that_never_was_is_an_error(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        LiveStream("nothing.mp4", analyzer) as images,
        pytest.raises(MediaNotFoundError, match="no such file: nothing"),
    ):
        images.next_view(0, timeout_s=5)
    with (
        LiveStream("nothing.mp4", analyzer) as images,
        pytest.raises(MediaNotFoundError, match="no such file: nothing"),
    ):
        images.results(timeout_s=5)
    install(monkeypatch, plan=(-1,))
    with pytest.raises(MediaError, match="camera 0 cannot be opened"):
        next(iter_live(0, analyzer=analyzer))


def test_what_goes_wrong_in_the_analysis_is_raised(video: Path) -> None:
    class Broken(VideoAnalyzer):
        def predict(self, image: Any, faces: Any) -> Any:
            raise ZeroDivisionError("broken")

    with LiveStream(str(video), Broken(min_face_px=60)) as images, pytest.raises(ZeroDivisionError, match="broken"):
        views(images, seconds=10)


def test_the_size_may_change(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rate=50.0, sizes=((320, 240), (160, 120), (640, 480)))
    sizes: dict[tuple[int, int], int] = {}
    with LiveStream(0, analyzer) as images:
        until = time.monotonic() + 10
        while len(sizes) < 3 and time.monotonic() < until:
            for result in images.results(timeout_s=0.1):
                sizes[result.frame.width, result.frame.height] = len(result.frame.faces)
    assert list(sizes) == [(320, 240), (160, 120), (640, 480)]


def test_another_detector_goes_on_with_the_numbers(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, rate=50.0)
    messages: list[str] = []

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

    with LiveStream(0, analyzer, make_analyzer=other, on_message=messages.append) as images:
        assert wait_for("mtcnn", 1) == [1]
        images.use_detector("haar")
        assert images.detector == "haar"
        assert wait_for("haar", 1) == [2]
        images.use_detector("none")
        wait(lambda: messages)
        assert (messages, images.detector) == (["no such detector"], "haar")


def test_results_that_nobody_takes_are_bounded(analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_RESULTS", 5)
    install(monkeypatch, rate=100.0)
    with LiveStream(0, analyzer) as images:
        wait(lambda: came(images) >= 40)
        assert len(images.results()) <= 5


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
        LiveStream(0, analyzer, step_s=step_s)


@pytest.mark.parametrize("draw", [True, False])
def test_a_recording_has_the_sound_of_its_video(analyzer: VideoAnalyzer, tmp_path: Path, draw: bool) -> None:
    """The recording begins somewhere in the video, and a tone is where it was."""
    tone = np.float32(0.5) * np.sin(np.arange(48000) * 0.2).astype(np.float32) * (np.arange(48000) >= 24000)
    write_video(tmp_path / "in.mp4", ((astronaut(), Fraction(k, 25)) for k in range(25)), rate=25, sound=(tone, 48000))
    begin_s = None
    with LiveSession(LiveStream(str(tmp_path / "in.mp4"), analyzer), record=tmp_path / "out.mp4", draw=draw) as session:

        def note(update: LiveUpdate) -> None:
            nonlocal begin_s
            if begin_s is None and update.view is not None:
                begin_s = update.view.image.time_s

        session.run(note)
    assert session.failures == []
    sound = read_audio(tmp_path / "out.mp4", rate_hz=48000)
    loud = np.flatnonzero(np.abs(sound.wave) > 0.2)
    assert sound.start_s + loud[0] / 48000 == pytest.approx(0.5 - begin_s, abs=0.03)
    with iter_frames(tmp_path / "out.mp4") as frames:
        images = [frame.image.astype(int) for frame in frames]
    assert len(images) > 1
    assert (np.abs(images[-1] - astronaut()).max() > 150) == draw


def test_a_recording_that_fails_is_kept_in_mind(
    analyzer: VideoAnalyzer, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, *_: Any) -> None:
        raise MediaError(f"cannot write {self.path.name!r}: No space left on device")

    monkeypatch.setattr(LiveRecording, "close", full)
    messages: list[str] = []
    stream = LiveStream(str(video), analyzer, on_message=messages.append)
    with LiveSession(stream, record=tmp_path / "a.mp4") as session:
        recording = session.recording
        session.run(lambda _: None)
    assert [str(error) for error in session.failures] == messages == ["cannot write 'a.mp4': No space left on device"]
    monkeypatch.undo()
    assert recording is not None
    recording.close()
