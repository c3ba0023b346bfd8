from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live_streams import Jpegs, astronaut, install, serving
from mien.api._live_keeping import Keeping
from mien.api.live import Live, LiveImage, Sight
from mien.errors import MissingExtraError
from mien.io.video import iter_frames
from mien.labels import FER7
from mien.output.canvas import COLORS
from mien.results import Emotion, Face, TrackedFace, VideoFrame
from mien.video.analyzer import VideoAnalyzer
from mien.window import _screen
from mien.window._chips import chip, letters, place_chip
from mien.window._view import KEYS, Status, View, _wrapped
from mien.window.live import LiveWindow, Screen, ScreenError

pytest.importorskip("pygame", reason="needs the extra 'live'")

GRAY = np.full((120, 160, 3), 128, np.uint8)


def sight(number: int = 1) -> Sight:
    emotion = Emotion(FER7, (0.02, 0.02, 0.02, 0.7, 0.1, 0.1, 0.04))
    face = TrackedFace(1, Face((20, 30, 60, 80), 0.9, None, emotion), emotion)
    frame = VideoFrame(number / 25, 160, 120, (face,))
    return Sight(LiveImage(number, GRAY, number / 25, time.monotonic()), frame, True)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_the_window_shows_the_image_with_its_people() -> None:
    drawn = View().draw((320, 240), sight(), Status(rate=24.6, delay_s=0.0416, detector="mtcnn"))
    assert drawn.shape == (240, 320, 3)
    assert drawn.dtype == np.uint8
    color = np.array(COLORS["happiness"], int)
    line = np.abs(drawn[100:150, 37:44].astype(int) - color).max(axis=2).min(axis=1)
    assert line.max() < 25


@pytest.mark.parametrize("size", [(160, 120), (161, 401), (800, 130), (1600, 1000), (1, 1)])
def test_windows_of_any_size(size: tuple[int, int]) -> None:
    view = View()
    everything = Status(
        rate=25.0,
        delay_s=0.04,
        detector="mtcnn",
        mirror=True,
        frozen=True,
        help_=True,
        recording_s=3661.0,
        message="a message that is long enough to need more than one line in a narrow window " * 3,
        trouble="camera 0 is lost",
        voice=Emotion(FER7, (0.9, 0.1, 0, 0, 0, 0, 0)),
        together=Emotion(FER7, (0.4, 0.3, 0.3, 0, 0, 0, 0)),
    )
    assert view.draw(size, None, everything).shape == (size[1], size[0], 3)
    assert view.draw(size, sight(), everything).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("status", "place"),
    [
        (Status(recording_s=65.0), np.s_[:40, -90:]),
        (Status(frozen=True), np.s_[:40, -90:]),
        (Status(message="hello"), np.s_[-40:, 280:360]),
        (Status(trouble="camera 0 is lost"), np.s_[-40:, 280:360]),
        (Status(help_=True), np.s_[200:280, 250:390]),
        (Status(voice=Emotion(FER7, (1.0, 0, 0, 0, 0, 0, 0))), np.s_[-40:, :100]),
    ],
)
def test_what_is_going_on_stands_where_it_belongs(status: Status, place: Any) -> None:
    plain = View().draw((640, 480), None, Status()).astype(int)
    drawn = View().draw((640, 480), None, status).astype(int)
    changed = np.abs(drawn - plain).max(axis=2) > 0
    inside = np.zeros_like(changed)
    inside[place] = True
    assert changed[place].sum() > 100
    if not status.help_ and not status.trouble:
        assert changed[~inside].sum() < 0.6 * changed.sum()


def test_all_keys_are_explained() -> None:
    assert [row[0] for row in KEYS] == ["q, Esc", "space", "s", "r", "d", "m", "h"]


def test_long_lines_are_broken_at_blanks() -> None:
    assert _wrapped("one two three four", 9) == ["one two", "three", "four"]
    assert _wrapped("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert _wrapped("", 10) == [""]


def test_letters_grow_with_the_window() -> None:
    assert letters(160, 120) == 10
    assert letters(1280, 720) < letters(2560, 1440) < letters(10_000, 10_000) == 48


def test_chips_stay_within_the_margins() -> None:
    canvas = np.zeros((100, 200, 3), np.uint8)
    place_chip(canvas, chip(("words",), 12, (255, 255, 255), (200, 0, 0)), 1, 1, 10)
    rows, columns = np.nonzero(canvas.max(axis=2))
    assert (rows.max(), columns.max()) in {(89, 189), (88, 188), (88, 189), (89, 188)}


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


class Session:
    """A window on live images, steered from the tests."""

    def __init__(self, screen: Screen, live: Live, keeping: Keeping) -> None:
        self.window = LiveWindow(screen, live, keeping)
        self.plan: list[tuple[Callable[[], bool], Callable[[], None]]] = []
        self.window._next_before, self.window._next = self.window._next, self._step  # type: ignore[attr-defined,method-assign]
        self.until = time.monotonic() + 20

    def _step(self) -> bool:
        assert time.monotonic() < self.until, f"waiting for what comes before {self.plan[0]}"
        if self.plan and self.plan[0][0]():
            self.plan.pop(0)[1]()
        return self.window._next_before()  # type: ignore[attr-defined,no-any-return]


def test_keys_do_what_they_say(
    screen: Screen, analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pygame

    install(monkeypatch, rate=50.0)
    monkeypatch.setattr("mien.window.live.DETECTORS", ("mtcnn", "gone", "haar"))
    told: list[str] = []
    live = Live(0, analyzer, other=lambda name: VideoAnalyzer(detector=name, min_face_px=60), told=told.append)
    with Keeping(live, folder=tmp_path, told=told.append) as keeping, live:
        session = Session(screen, live, keeping)
        window = session.window

        def more(count: int = 5) -> Callable[[], bool]:
            goal: list[int] = []

            def there() -> bool:
                goal[:] = goal or [len(window._delays) + count]
                return len(window._delays) >= min(goal[0], 240)

            return there

        session.plan = [
            (lambda: bool(window._sight and window._sight.frame.faces), lambda: post(pygame.K_m)),  # type: ignore[union-attr]
            (lambda: window._mirror, lambda: post(pygame.K_m)),
            (lambda: not window._mirror, lambda: post(pygame.K_h)),
            (lambda: window._help, lambda: post(pygame.K_h)),
            (lambda: not window._help, lambda: post(pygame.K_s)),
            (lambda: any("saved" in text for text in told), lambda: post(pygame.K_r)),
            (lambda: keeping.recording is not None and keeping.recording.frames > 5, lambda: post(pygame.K_r)),
            (lambda: keeping.recording is None, lambda: post(pygame.K_d)),
            (lambda: any("unknown detector" in text for text in told), lambda: post(pygame.K_d)),
            (lambda: live.analyzer.detector == "haar", lambda: post(pygame.K_SPACE)),
            (lambda: window._frozen, lambda: post(pygame.K_x)),
            (lambda: window._number > window._sight.image.number + 5, lambda: post(pygame.K_SPACE)),  # type: ignore[union-attr]
            (more(), lambda: setattr(screen.window, "size", (400, 300))),
            (lambda: screen.size == (400, 300), lambda: post(pygame.K_ESCAPE)),
        ]
        window.run()
    assert session.plan == []
    assert window.rate > 5
    assert 0 < np.median(window.delays_s) < 0.3
    names = sorted(path.name.partition("-")[2][15:] for path in tmp_path.iterdir())
    assert names == ["-drawn.png", ".csv", ".json", ".mp4", ".png"]
    with iter_frames(next(tmp_path.glob("*.mp4"))) as video:
        assert sum(1 for _ in video) > 5
    told_by_snapshot = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert told_by_snapshot["source"] == "camera 0"
    assert told_by_snapshot["faces"][0]["smoothed"]["top"] == "happiness"


def test_closing_the_window_ends(
    screen: Screen, analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pygame

    install(monkeypatch, rate=50.0)
    live = Live(0, analyzer)
    with Keeping(live, folder=tmp_path, told=lambda _: None) as keeping, live:
        session = Session(screen, live, keeping)
        close = pygame.event.Event(pygame.WINDOWCLOSE, window=screen.window)
        session.plan = [(lambda: session.window._number > 0, lambda: pygame.event.post(close))]
        session.window.run()
    assert session.plan == []


def test_trouble_is_shown_while_no_image_comes(
    screen: Screen, analyzer: VideoAnalyzer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pygame

    monkeypatch.setattr("mien.api.live.RETRY_S", 0.3)
    install(monkeypatch, plan=(5, -1, None), rate=50.0)
    shown: list[str] = []
    live = Live(0, analyzer)
    with Keeping(live, folder=tmp_path, told=lambda _: None) as keeping, live:
        session = Session(screen, live, keeping)
        draw = session.window._view.draw

        def watched(size: Any, seen: Any, status: Status) -> Any:
            shown.append(status.trouble)
            return draw(size, seen, status)

        monkeypatch.setattr(session.window._view, "draw", watched)
        session.plan = [(lambda: session.window._number > 20, lambda: post(pygame.K_q))]
        session.window.run()
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


def test_a_window_fits_on_the_screen(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_fits", (900, 500))
    screen.fit(4000, 2000)
    assert tuple(screen.window.size) == (900, 450)
    screen.fit(10, 10)
    assert tuple(screen.window.size) == (160, 120)
    assert _screen._SHARE < 1


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
