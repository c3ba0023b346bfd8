from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live_streams import Jpegs, astronaut, install, serving
from mien.errors import MissingExtraError
from mien.io.video import iter_frames
from mien.labels import FER7
from mien.live import LiveFrame, LiveSession, LiveStream, LiveUpdate, LiveView
from mien.live_window import KEYS, LiveWindow, Screen, ScreenError, Status, WindowPainter
from mien.output.canvas import COLORS
from mien.results import Emotion, Face, TrackedFace, VideoFrame
from mien.video.analyzer import VideoAnalyzer

pytest.importorskip("pygame", reason="needs the extra 'live'")

GRAY = np.full((120, 160, 3), 128, np.uint8)


def view(number: int = 1) -> LiveView:
    emotion = Emotion(FER7, (0.02, 0.02, 0.02, 0.7, 0.1, 0.1, 0.04))
    face = TrackedFace(1, Face((20, 30, 60, 80), 0.9, None, emotion), emotion)
    frame = VideoFrame(number / 25, 160, 120, (face,))
    return LiveView(LiveFrame(number, GRAY, number / 25, time.monotonic()), frame, True)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_the_window_shows_the_image_with_its_people() -> None:
    drawn = WindowPainter().draw((320, 240), view(), Status(rate=24.6, delay_s=0.0416, detector="mtcnn"))
    assert drawn.shape == (240, 320, 3)
    assert drawn.dtype == np.uint8
    color = np.array(COLORS["happiness"], int)
    line = np.abs(drawn[100:150, 37:44].astype(int) - color).max(axis=2).min(axis=1)
    assert line.max() < 25


@pytest.mark.parametrize("size", [(160, 120), (161, 401), (800, 130), (1600, 1000), (1, 1)])
def test_windows_of_any_size(size: tuple[int, int]) -> None:
    painter = WindowPainter()
    everything = Status(
        rate=25.0,
        delay_s=0.04,
        detector="mtcnn",
        is_mirrored=True,
        is_frozen=True,
        shows_help=True,
        recording_s=3661.0,
        message="a message that is long enough to need more than one line in a narrow window " * 3,
        problem="camera 0 is lost",
        voice=Emotion(FER7, (0.9, 0.1, 0, 0, 0, 0, 0)),
        together=Emotion(FER7, (0.4, 0.3, 0.3, 0, 0, 0, 0)),
    )
    assert painter.draw(size, None, everything).shape == (size[1], size[0], 3)
    assert painter.draw(size, view(), everything).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("status", "place"),
    [
        (Status(recording_s=65.0), np.s_[:40, -90:]),
        (Status(is_frozen=True), np.s_[:40, -90:]),
        (Status(message="hello"), np.s_[-40:, 280:360]),
        (Status(problem="camera 0 is lost"), np.s_[-40:, 280:360]),
        (Status(shows_help=True), np.s_[200:280, 250:390]),
        (Status(voice=Emotion(FER7, (1.0, 0, 0, 0, 0, 0, 0))), np.s_[-40:, :100]),
    ],
)
def test_what_is_going_on_stands_where_it_belongs(status: Status, place: Any) -> None:
    plain = WindowPainter().draw((640, 480), None, Status()).astype(int)
    drawn = WindowPainter().draw((640, 480), None, status).astype(int)
    changed = np.abs(drawn - plain).max(axis=2) > 0
    inside = np.zeros_like(changed)
    inside[place] = True
    assert changed[place].sum() > 100
    if not status.shows_help and not status.problem:
        assert changed[~inside].sum() < 0.6 * changed.sum()


def test_all_keys_are_explained() -> None:
    assert [row[0] for row in KEYS] == ["q, Esc", "space", "s", "r", "d", "m", "h"]


# --- the window, on a screen that nobody sees -------------------------------------------------------------------------


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with Screen("test", (640, 480)) as opened:
        yield opened


@pytest.fixture(scope="module")
def analyzer() -> VideoAnalyzer:
    return VideoAnalyzer(min_face_px=60)


def post(key: int) -> None:
    import pygame

    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))


class Steered(LiveSession):
    """A session that does what a test wants as soon as the window has come so far."""

    plan: list[tuple[Callable[[], object], Callable[[], object]]]
    shows_faces_only = False

    def poll(self, timeout_s: float) -> LiveUpdate:
        assert time.monotonic() < self.until, f"{len(self.plan)} steps are left"
        if self.plan and self.plan[0][0]():
            self.plan.pop(0)[1]()
        update = super().poll(timeout_s)
        if update.view is None:
            return update
        self.number = update.view.image.number
        if self.shows_faces_only and (update.view.frame is None or not update.view.frame.faces):
            return replace(update, view=None)
        self.has_faces = True
        return update

    def __enter__(self) -> Steered:
        self.number, self.has_faces, self.until = 0, False, time.monotonic() + 60
        super().__enter__()
        return self


def test_keys_do_what_they_say(
    screen: Screen, analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pygame

    install(monkeypatch, rate=50.0)
    monkeypatch.setattr("mien.live_window.DETECTORS", ("mtcnn", "gone", "haar"))
    messages: list[str] = []
    stream = LiveStream(
        0,
        analyzer,
        make_analyzer=lambda name: VideoAnalyzer(detector=name, min_face_px=60),
        on_message=messages.append,
    )
    with Steered(stream, folder=tmp_path) as session:
        session.shows_faces_only = True
        window = LiveWindow(screen, session)
        frozen_at: list[int] = []
        session.plan = [
            (lambda: session.has_faces, lambda: post(pygame.K_m)),
            (lambda: window.status.is_mirrored, lambda: post(pygame.K_m)),
            (lambda: not window.status.is_mirrored, lambda: post(pygame.K_h)),
            (lambda: window.status.shows_help, lambda: post(pygame.K_h)),
            (lambda: not window.status.shows_help and session.has_faces, lambda: post(pygame.K_s)),
            (lambda: any("saved" in text for text in messages), lambda: setattr(session, "shows_faces_only", False)),
            (lambda: True, lambda: post(pygame.K_r)),
            (lambda: session.recording is not None and session.recording.frames > 5, lambda: post(pygame.K_r)),
            (lambda: session.recording is None, lambda: post(pygame.K_d)),
            (lambda: any("gone" in text for text in messages), lambda: post(pygame.K_d)),
            (lambda: stream.analyzer.detector == "haar", lambda: post(pygame.K_SPACE)),
            (lambda: window.status.is_frozen, lambda: (frozen_at.append(session.number), post(pygame.K_x))),
            (lambda: session.number > frozen_at[0] + 5, lambda: post(pygame.K_SPACE)),
            (lambda: not window.status.is_frozen, lambda: setattr(screen.window, "size", (400, 300))),
            (lambda: screen.size == (400, 300) and window.status.rate > 0, lambda: post(pygame.K_ESCAPE)),
        ]
        window.run()
        delay_s = window.status.delay_s
    assert session.plan == []
    assert delay_s is not None
    assert delay_s > 0
    names = sorted(path.name.partition("-")[2][15:] for path in tmp_path.iterdir())
    assert names == ["-drawn.png", ".csv", ".json", ".mp4", ".png"]
    with iter_frames(next(tmp_path.glob("*.mp4"))) as video:
        assert sum(1 for _ in video) > 5
    snapshot = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert snapshot["source"] == "camera 0"
    assert snapshot["faces"][0]["smoothed"]["top"] == "happiness"


def test_closing_the_window_ends(
    screen: Screen, analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pygame

    install(monkeypatch, rate=50.0)
    with Steered(LiveStream(0, analyzer), folder=tmp_path) as session:
        close = pygame.event.Event(pygame.WINDOWCLOSE, window=screen.window)
        session.plan = [(lambda: session.number > 0, lambda: pygame.event.post(close))]
        LiveWindow(screen, session).run()
    assert session.plan == []


def test_a_problem_is_shown_while_no_image_comes(
    screen: Screen, analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pygame

    monkeypatch.setattr("mien.live.RETRY_S", 0.3)
    install(monkeypatch, plan=(5, -1, None), rate=50.0)
    shown: list[str] = []
    draw = WindowPainter.draw

    def watched(self: WindowPainter, size: Any, image: Any, status: Status) -> Any:
        shown.append(status.problem)
        return draw(self, size, image, status)

    monkeypatch.setattr(WindowPainter, "draw", watched)
    with Steered(LiveStream(0, analyzer), folder=tmp_path) as session:
        session.plan = [(lambda: session.number > 20, lambda: post(pygame.K_q))]
        LiveWindow(screen, session).run()
    assert {text for text in shown if text} <= {
        "camera 0 is lost: it gives no more images; looking for it",
        "camera 0 cannot be opened: there is none, or another program uses it (see: mien cameras); looking for it",
    }
    assert any(shown)
    assert shown[-1] == ""


def test_no_pygame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r'the live window needs pygame: pip install "mien\[live\]"'):
        Screen("test", (640, 480))


def test_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setattr(pygame.display, "init", lambda: None)
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    with pytest.raises(ScreenError, match=r"there is no screen to open a window on.*: use --no-window"):
        Screen("test", (640, 480))

    def none() -> None:
        raise pygame.error("No available video device")

    monkeypatch.setattr(pygame.display, "init", none)
    with pytest.raises(ScreenError, match=r"on \(No available video device\): use --no-window"):
        Screen("test", (640, 480))


def test_a_window_fits_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(pygame.display, "get_desktop_sizes", lambda: [(1000, 600)])
    with Screen("test", (640, 480)) as screen:
        screen.fit(4000, 2000)
        assert tuple(screen.window.size) == (900, 450)
        screen.fit(10, 10)
        assert tuple(screen.window.size) == (160, 120)


# --- a real window ----------------------------------------------------------------------------------------------------


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    for program in ("Xvfb", "xdotool", "import"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    read, write = os.pipe()
    options = ["-screen", "0", "800x600x24", "-nolisten", "tcp", "-displayfd", str(write)]
    with subprocess.Popen(["Xvfb", *options], pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        try:
            os.close(write)
            with os.fdopen(read) as told:
                number = told.readline().strip()
            assert number
            yield f":{number}"
        finally:
            server.terminate()


def test_a_real_window_obeys_real_keys(display: str, tmp_path: Path) -> None:
    from mien.io.image import read_image

    inside = {**os.environ, "DISPLAY": display, "OMP_NUM_THREADS": "1"}
    inside.pop("SDL_VIDEODRIVER", None)

    def tool(*words: str) -> bytes:
        return subprocess.run(words, env=inside, check=True, capture_output=True, timeout=30).stdout

    def wait(there: Callable[[], Any], seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < until, (tmp_path / "err").read_text()
            assert process.poll() is None, (tmp_path / "err").read_text()
            time.sleep(0.05)

    def seen() -> Any:
        (tmp_path / "screen.png").write_bytes(tool("import", "-window", "root", "png:-"))
        return read_image(tmp_path / "screen.png").pixels.astype(int)

    work = tmp_path / "work"
    work.mkdir()
    jpegs = Jpegs([astronaut(480, 360)], rate=25)
    command = [sys.executable, "-m", "mien", "live", "--log", "log.csv"]
    with serving(jpegs) as address, (tmp_path / "err").open("w") as errors:
        process = subprocess.Popen([*command, "--source", address], cwd=work, env=inside, stderr=errors)
        with process:
            wait(lambda: (work / "log.csv").exists() and (work / "log.csv").stat().st_size > 2000)
            image = seen()
            # The window lies in the middle, as large as the image: the box has the color of happiness.
            yellow = np.abs(image - np.array(COLORS["happiness"])).max(axis=2) < 25
            rows, columns = np.nonzero(yellow)
            assert len(rows) > 500
            assert 160 < columns.mean() < 640
            tool("xdotool", "key", "s")
            wait(lambda: list(work.glob("*.json")))
            tool("xdotool", "key", "r")
            wait(lambda: len(list(work.glob("*.csv"))) == 2)
            time.sleep(0.7)
            tool("xdotool", "key", "r")
            wait(lambda: list(work.glob("*.mp4")))
            tool("xdotool", "key", "q")
            assert process.wait(timeout=20) == 0
    with iter_frames(next(work.glob("*.mp4"))) as video:
        assert (video.width, video.height) == (480, 360)
        assert sum(1 for _ in video) > 2
    assert "recorded" in (tmp_path / "err").read_text()
