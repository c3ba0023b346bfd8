"""Videos with people drawn on them: frames written per second, and what reading, drawing and encoding take of it.

    python benchmarks/drawing.py [--seconds 10] [--runs 3] [--size 1280x720] [--people 1] [--to mp4] [--json]

The video is H.264 at 30 frames/s with sound: one planted face (the astronaut's) that walks before a textured ground, as
in benchmarks/videos.py.  More people stand where they are planted in results; what is behind them does not matter here.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from _here import here

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mien.io.video import iter_frames
from mien.output.paint import Painter
from mien.output.video import TrackedPeople, VideoWriter, draw_video
from mien.results.video import VideoResult
from planted_faces import planted
from planted_video import planted_video
from planted_videos import write_video

RATE = 30


def write(path: Path, size: tuple[int, int], seconds: int) -> None:
    """Write the video."""
    width, height = size
    turns = [(t, width * (0.3 + 0.4 * (t // 4 % 2)), height / 2, height / 3.6) for t in range(0, seconds + 4, 4)]
    shots = planted({0: turns}, size=size, seed=1, rate=RATE, seconds=seconds)
    frames = ((shot[0], Fraction(i, RATE)) for i, shot in enumerate(shots))
    tone = np.sin(np.arange(48000 * seconds) * 2 * np.pi * 220 / 48000).astype(np.float32) * 0.1
    write_video(path, frames, rate=RATE, sound=(tone, 48000), options={"preset": "veryfast", "crf": "23"})


def timed(call: Callable[[], Any], frames: int, runs: int) -> dict[str, float]:
    """Frames per second (median and best) and the processor's ms a frame (least) of a call."""
    rates, busy = [], []
    for _ in range(runs):
        start, used = time.perf_counter(), time.process_time()
        call()
        rates.append(frames / (time.perf_counter() - start))
        busy.append(1000 * (time.process_time() - used) / frames)
    return {
        "median": round(float(np.median(rates)), 1),
        "best": round(max(rates), 1),
        "cpu_ms": round(min(busy), 2),
    }


def paint(video: VideoResult, image: Any, times: list[float]) -> None:
    """Draw on one image again and again."""
    painter = Painter(video.width, video.height)
    people = TrackedPeople(video)
    for time_s in times:
        painter.paint(image, people.at(image, time_s), time_s)


def encode(images: list[Any], target: Path, times: list[float]) -> None:
    """Write the same few images in turn."""
    height, width = images[0].shape[:2]
    with VideoWriter(target, width=width, height=height, frame_rate=Fraction(RATE)) as writer:
        for k, time_s in enumerate(times):
            writer.write(images[k % len(images)], time_s)


def read(path: Path) -> None:
    with iter_frames(path) as frames:
        for _ in frames:
            pass


def measure(size: tuple[int, int], people: int, seconds: int, runs: int, suffix: str) -> dict[str, Any]:
    """Time the whole and its parts."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "video.mp4", Path(folder) / f"drawn.{suffix}"
        write(source, size, seconds)
        count = seconds * RATE
        video = planted_video(*[[("happiness", seconds / 2), ("anger", seconds / 2)]] * people, size=size)
        times = [k / RATE for k in range(count)]
        with iter_frames(source, to_s=20 / RATE) as frames:
            images = [frame.image for frame in frames]
        canvas = images[0].copy()
        return {
            "read, draw, encode, write": timed(lambda: draw_video(source, video, target), count, runs),
            "read alone": timed(lambda: read(source), count, runs),
            "draw alone": timed(lambda: paint(video, canvas, times), count, runs),
            "encode and write alone": timed(lambda: encode(images, target, times), count, runs),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--to", default="mp4", choices=("mp4", "mov", "mkv", "webm"))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    report: dict[str, Any] = {
        **here(),
        "video": f"{options.size}, {RATE} frames/s, {options.seconds} s, {options.people} people, to {options.to}",
        "frames_per_second": measure((width, height), options.people, options.seconds, options.runs, options.to),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}")
    print(f"{report['video']}; {options.runs} runs: frames per second, median (best); processor ms a frame")
    for name, row in report["frames_per_second"].items():
        print(f"{name:28} {row['median']:8.1f}  ({row['best']:.1f})  {row['cpu_ms']:8.2f} ms")


if __name__ == "__main__":
    main()
