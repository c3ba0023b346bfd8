"""Measure the reading of videos: frames per second, video time over wall time, and memory over an hour.

The videos are made: a photograph that pans under noise, 1280 x 720, 30 frames/s, H.264 as x264 codes it by default, and
at a higher quality.  Run on an idle machine::

    python benchmarks/reading.py [--hour] [VIDEO]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from mien.io.video import iter_frames
from mien.samples import astronaut_path

SECONDS, RATE = 20, 30


def images() -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    photograph = np.asarray(Image.open(astronaut_path()).convert("RGB").resize((1600, 1600), Image.Resampling.BICUBIC))
    random = np.random.default_rng(0)
    for number in range(SECONDS * RATE):
        x, y = int(100 + 90 * np.sin(number / 25)), int(200 + 100 * np.cos(number / 31))
        noise = random.integers(-3, 4, (720, 1280, 1), np.int16)
        yield np.clip(photograph[y : y + 720, x : x + 1280] + noise, 0, 255).astype(np.uint8)


def write(path: Path, crf: int) -> None:
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream("libx264", rate=RATE, width=1280, height=720, options={"crf": str(crf)})
        for image in images():
            target.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        target.mux(video.encode(None))


def loop(source: Path, path: Path, times: int) -> None:
    """Write a video that shows another over and over, without coding it anew."""
    with av.open(str(source)) as video, av.open(str(path), "w") as target:
        track = video.streams.video[0]
        copy = target.add_stream_from_template(track)
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in video.demux(track) if p.size]
        length = round(SECONDS / Fraction(track.time_base or 1))
        for turn in range(times):
            for content, pts, dts, key in packets:
                packet: Any = av.Packet(content)
                packet.stream, packet.time_base, packet.is_keyframe = copy, track.time_base, key
                packet.pts, packet.dts = (pts or 0) + turn * length, (dts or 0) + turn * length
                target.mux(packet)


def speed(path: Path, turns: int = 5, **options: Any) -> None:
    best, given = 1e9, 0
    for _ in range(turns):
        begin = time.perf_counter()
        with iter_frames(path, **options) as stream:
            given = sum(1 for _ in stream)
        best = min(best, time.perf_counter() - begin)
    length = stream.duration_s or 0
    print(f"{path.name} {options}: {given / best:.0f} frames/s, video time / wall time {length / best:.1f}, "
          f"{stream.frames_read} of {round(length * (stream.frame_rate or 0))} decoded")  # fmt: skip


def memory(path: Path) -> None:
    """Read a long video and print the memory of the process every tenth of it."""
    begin = time.perf_counter()
    with iter_frames(path) as stream:
        total = round((stream.duration_s or 0) * (stream.frame_rate or 0))
        for count, frame in enumerate(stream):
            if count % (total // 10) == 0:
                lines = Path("/proc/self/status").read_text().splitlines()
                resident = int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024
                print(f"{frame.time_s:6.0f} s: {resident:.1f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count + 1} frames in {time.perf_counter() - begin:.0f} s, peak {peak:.1f} MB, {stream.warnings}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("video", nargs="?", type=Path)
    options.add_argument("--hour", action="store_true", help="measure memory over a video looped to one hour")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = [chosen.video] if chosen.video else []
        for crf in () if chosen.video else (23, 17):
            videos.append(Path(folder) / f"crf{crf}.mp4")
            write(videos[-1], crf)
            size = videos[-1].stat().st_size
            print(f"{videos[-1].name}: {size * 8 / SECONDS / 1e6:.1f} Mbit/s", file=sys.stderr)
        for video in videos:
            for more in ({}, {"threads": 1}, {"step_s": 0.2}, {"step_s": 0.2, "threads": 1}):
                speed(video, **more)
        if chosen.hour:
            loop(videos[0], Path(folder) / "hour.mp4", 3600 // SECONDS)
            memory(Path(folder) / "hour.mp4")


if __name__ == "__main__":
    main()
