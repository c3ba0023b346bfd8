"""Live images: shown frames per second, delay from the source to the screen, and memory over hours.

    python benchmarks/live.py [--seconds 20] [--runs 3] [--hour] [--only window|hour] [--json]

The source is a video of 1280x720 pixels, H.264, at 25 or 30 frames/s, played in its own time: one planted face (the
astronaut's) that walks before a textured ground.  It goes the whole way: decoded in a thread, analyzed in another,
drawn and put on a window, on the screen that DISPLAY names, else on Xvfb, else on none (SDL's dummy driver).  The delay
is from when an image is decoded to when it was handed to the screen; what a camera and a screen take comes on top.
The first second, in which nets warm up, is left out.

``--hour`` sends 108,000 images of 320x240 (an hour at 30 a second) as fast as they are analyzed through the same
parts, with a log, and takes the memory of the process after each minute of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1280, 720)
WARM_S = 1.0
HOUR = 3600 * 30


def window(path: str, record: str | None) -> dict[str, float]:
    """Play a video in a window; return what was measured."""
    import mien
    from mien.live import LiveSession, LiveStream, LiveUpdate, LiveView
    from mien.live_window import LiveWindow, Screen

    delays: list[float] = []
    shown: list[float] = []
    analyzed: list[float] = []

    class Counted(LiveSession):
        fresh: LiveView | None = None

        def poll(self, timeout_s: float) -> LiveUpdate:
            update = super().poll(timeout_s)
            analyzed.extend(result.delay_s for result in update.results)
            self.fresh = update.view
            return update

    class Timed(Screen):
        def show(self, image: Any) -> None:
            super().show(image)
            if session.fresh is not None:
                shown.append(time.monotonic())
                delays.append(shown[-1] - session.fresh.image.captured_s)

    stream = LiveStream(path, mien.VideoAnalyzer(), on_message=print)
    session = Counted(stream, record=record)
    with Timed("benchmark", SIZE) as screen, session:
        busy = time.process_time()
        LiveWindow(screen, session).run()
        busy = time.process_time() - busy
    times = np.array(shown)
    late = np.array(delays)[times > times[0] + WARM_S]
    times = times[times > times[0] + WARM_S]
    length_s = times[-1] - times[0]
    return {
        "shown": (len(times) - 1) / length_s,
        "analyzed": len(analyzed) / (length_s + WARM_S),
        "median": 1000 * float(np.median(late)),
        "p95": 1000 * float(np.percentile(late, 95)),
        "worst": 1000 * float(late.max()),
        "gap": 1000 * float(np.diff(times).max()),
        "busy": 100 * busy / (length_s + WARM_S),
    }


def resident() -> float:
    """Memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


class Images:
    """In the place of `cv2.VideoCapture`: images from memory, each when the one before was analyzed."""

    images: list[Any] = []  # noqa: RUF012
    analyzed = threading.Semaphore()

    def __init__(self, *_: object) -> None:
        self.number = 0

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        """Say yes."""
        return True

    def set(self, *_: object) -> bool:
        """Take any wish."""
        return True

    def read(self) -> tuple[bool, Any]:
        """Wait until the image before was analyzed."""
        self.analyzed.acquire()
        self.number += 1
        return True, self.images[self.number % len(self.images)]

    def release(self) -> None:
        """Do nothing."""


def hour(log: str) -> list[float]:
    """Send an hour of images through; return the memory after each minute of them."""
    import cv2

    import mien
    from mien.io import live
    from mien.live import LiveSession, LiveStream
    from mien.live_window import Status, WindowPainter
    from planted_faces import planted

    turns = [(t, 120 + 80 * (i % 2), 120, 110) for i, t in enumerate(range(0, 12, 2))]
    shots = planted({0: turns}, size=(320, 240), seed=1, rate=30, seconds=10)
    Images.images = [np.ascontiguousarray(shot[0][:, :, ::-1]) for shot in shots]
    cv2.VideoCapture = Images  # type: ignore[misc,assignment]
    live.explain_no_access = lambda index: ""  # type: ignore[attr-defined]  # noqa: ARG005
    stream = LiveStream(0, mien.VideoAnalyzer(), on_message=print)
    memory, painter, count = [], WindowPainter(), 0
    with LiveSession(stream, log=log) as session:
        while count < HOUR:
            update = session.poll(0.1)
            before, count = count, count + len(update.results)
            if update.results:
                Images.analyzed.release(len(update.results))
            if update.view is not None:
                painter.draw((640, 480), update.view, Status(rate=float(count % 60), delay_s=0.03))
            if before // 1800 != count // 1800:
                memory.append(resident())
    return memory


def write(path: Path, seconds: int, rate: int) -> None:
    """Write the video."""
    from planted_faces import planted
    from planted_videos import write_video

    turns = [(t, 400 + 480 * (i % 2), 330 + 60 * (i % 3), 200) for i, t in enumerate(range(0, seconds + 4, 4))]
    shots = planted({0: turns}, size=SIZE, seed=1, rate=rate, seconds=seconds)
    write_video(path, ((shot[0], Fraction(i, rate)) for i, shot in enumerate(shots)), rate=rate)


@contextmanager
def screen() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what screen there is, and the environment that leads to it."""
    if os.environ.get("DISPLAY"):
        yield f"DISPLAY {os.environ['DISPLAY']}", dict(os.environ)
    elif shutil.which("Xvfb") is None:
        yield "none (dummy)", {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    else:
        read, end = os.pipe()
        options = ["-screen", "0", "1600x1000x24", "-nolisten", "tcp", "-displayfd", str(end)]
        with subprocess.Popen(["Xvfb", *options], pass_fds=[end], stderr=subprocess.DEVNULL) as server:
            try:
                os.close(end)
                with os.fdopen(read) as told:
                    number = told.readline().strip()
                yield "Xvfb", {**os.environ, "DISPLAY": f":{number}"}
            finally:
                server.terminate()


def child(environment: dict[str, str], *words: str) -> Any:
    """Run a part of this file in a fresh process; return what it measured."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Median and range."""
    return {name: round(float(f(values)), digits) for name, f in (("median", np.median), ("low", min), ("high", max))}


NAMES = {
    "shown": "shown frames per second",
    "analyzed": "analyzed frames per second",
    "median": "delay, median, ms",
    "p95": "delay, 95 of 100 below, ms",
    "worst": "delay, worst, ms",
    "gap": "longest time between two images, ms",
    "busy": "processor, % of a core",
}


def windows(folder: Path, options: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    """Play videos in windows."""
    measured = {}
    for rate in (25, 30):
        write(folder / f"{rate}.mp4", options.seconds, rate)
    for what, rate, record in (("25/s", 25, ""), ("30/s", 30, ""), ("25/s, recording", 25, str(folder / "record.mp4"))):
        rows = [child(environment, "window", str(folder / f"{rate}.mp4"), record) for _ in range(options.runs)]
        measured.update({f"{what}: {name}": spread([row[key] for row in rows]) for key, name in NAMES.items()})
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20, help="length of the video")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hour", action="store_true", help="also send an hour of images, which takes minutes")
    parser.add_argument("--only", choices=("window", "hour"))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    if options.part:
        part, *words = options.part
        print(json.dumps(hour(words[0]) if part == "hour" else window(words[0], words[1] or None)))
        return
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place, screen() as (seen, environment):
        load = os.getloadavg()[0]
        if options.only in (None, "window"):
            measured |= windows(Path(place), options, environment)
        if options.only == "hour" or options.hour:
            memory = child(environment, "hour", str(Path(place) / "log.csv"))
            measured["memory after 5 minutes, MB"] = spread([memory[4]])
            measured["memory after the hour, MB"] = spread([memory[-1]])
            measured["highest memory, MB"] = spread([max(memory)])
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "screen": seen,
        "measured": measured,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}; screen: {seen}")
    for name, row in measured.items():
        print(f"{name:58} {row['median']:>8}  ({row['low']}-{row['high']})")


if __name__ == "__main__":
    main()
