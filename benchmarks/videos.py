"""Videos: analyzed frames per second, video time over wall time, memory over an hour, and the drawing of a video.

    python benchmarks/videos.py [--seconds 30] [--runs 3] [--hour] [--only analyze|draw|hour] [--json]

The video is 1280x720, H.264 at 30 frames/s with a synthetic voice: one planted face (the astronaut's) that walks before
a textured ground.  Each analysis runs in a fresh process, timed from the file to its results, without the start of
Python and the loading of the model.  ``--hour`` loops the video to an hour, without encoding it again, and takes the
memory of the process after each minute of video.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from _here import here

ROOT = Path(__file__).resolve().parents[1]
SIZE, RATE = (1280, 720), 30

ANALYZE = """
import sys, time
import mien
analyzer = mien.VideoAnalyzer()
list(mien.iter_video(sys.argv[1], analyzer=analyzer, to_s=1.0))
options = {"fps": float(sys.argv[2])} if len(sys.argv) > 2 else {}
start, busy = time.perf_counter(), time.process_time()
frames = seen = 0
for frame in mien.iter_video(sys.argv[1], analyzer=analyzer, **options):
    frames += 1
    seen += len(frame.faces) > 0
print(frames, seen, time.perf_counter() - start, time.process_time() - busy)
"""

TALK = """
import sys, time
import mien
mien.analyze_video(sys.argv[1], to_s=1.0)
start, busy = time.perf_counter(), time.process_time()
video = mien.analyze_video(sys.argv[1], fps=float(sys.argv[2]))
print(len(video.times_s), video.speech.speech_s, time.perf_counter() - start, time.process_time() - busy)
"""

DRAW = """
import sys, time
import mien
video = mien.analyze_video(sys.argv[1])
start, busy = time.perf_counter(), time.process_time()
mien.draw_video(sys.argv[1], video, sys.argv[2])
print(video.frames_read, time.perf_counter() - start, time.process_time() - busy)
"""

HOUR = """
import sys, time
from pathlib import Path
import mien
from mien.api.analysis import VideoAnalysis

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return [int(line.split()[1]) / 1000 for name in ("VmRSS", "VmHWM") for line in lines if line.startswith(name)]

reader = VideoAnalysis(mien.VideoAnalyzer(), sys.argv[1])
start, minute = time.perf_counter(), 0
for frame in reader.frames():
    if frame.time_s >= 60 * minute:
        minute += 1
        print(*resident(), flush=True)
video = reader.result()
print(*resident(), len(video.times_s), len(video.tracks), time.perf_counter() - start)
"""


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Median and middle half."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), digits), "q25": round(float(low), digits), "q75": round(float(high), digits)}


def write(path: Path, seconds: int) -> None:
    """Write the video."""
    from planted_faces import planted
    from planted_videos import write_video
    from speech_mixtures import RATE as SOUND
    from speech_mixtures import voiced

    turns = [(t, 400 + 480 * (i % 2), 330 + 60 * (i % 3), 200) for i, t in enumerate(range(0, seconds + 4, 4))]
    shots = planted({0: turns}, size=SIZE, seed=1, rate=RATE, seconds=seconds)
    frames = ((shot[0], Fraction(i, RATE)) for i, shot in enumerate(shots))
    voice = [voiced(3 * SOUND, np.random.default_rng(i)) for i in range(seconds // 4 + 1)]
    pauses = np.concatenate([np.pad(part, (0, SOUND)) for part in voice])[: seconds * SOUND]
    write_video(path, frames, rate=RATE, sound=(pauses, SOUND), options={"preset": "veryfast", "crf": "23"})


def loop(path: Path, target: Path, seconds: int) -> None:
    """Write the images of a video again and again, packet for packet, until it is so long."""
    import av

    with av.open(str(path)) as source:
        video = source.streams.video[0]
        length, base = video.duration, video.time_base
        assert length is not None
        assert base is not None
        packets = [packet for packet in source.demux(video) if packet.dts is not None]
        times = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        with av.open(str(target), "w") as out:
            stream = out.add_stream_from_template(video)
            for turn in range(int(seconds / (length * base))):
                for packet, (pts, dts) in zip(packets, times, strict=True):
                    # Muxing gives a packet the times of the stream that it goes to.
                    packet.stream, packet.time_base = stream, base
                    packet.pts, packet.dts = pts + turn * length, dts + turn * length
                    out.mux(packet)


def child(code: str, *arguments: str) -> list[list[float]]:
    """Run code in a fresh process; return the numbers of each line that it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def analyses(path: Path, seconds: int, runs: int) -> dict[str, Any]:
    """Every frame, and the default sampling, side by side."""
    every, default, talk = [], [], []
    for _ in range(runs):
        talk.append(child(TALK, str(path), str(RATE))[0])
        every.append(child(ANALYZE, str(path), str(RATE))[0])
        default.append(child(ANALYZE, str(path))[0])
    report = {
        "analyzed frames per second, every frame": spread([row[0] / row[2] for row in every]),
        "analyzed frames per second, every frame, with voice": spread([row[0] / row[2] for row in talk]),
        "seconds of speech": spread([row[1] for row in talk]),
        "processor ms a frame, every frame": spread([1000 * row[3] / row[0] for row in every], 2),
        "video time over wall time, default sampling": spread([seconds / row[2] for row in default]),
        "processor ms a second of video, default sampling": spread([1000 * row[3] / seconds for row in default]),
    }
    for name, rows in (("every frame", every), ("default sampling", default)):
        report[f"frames with a face, {name}, %"] = spread([100 * row[1] / row[0] for row in rows])
    return report


def drawing(path: Path, folder: Path, seconds: int, runs: int) -> dict[str, Any]:
    """Draw people on the video, its sound copied: read, draw, encode, write."""
    rows = [child(DRAW, str(path), str(folder / "drawn.mp4"))[0] for _ in range(runs)]
    return {"drawn frames per second": spread([seconds * RATE / row[1] for row in rows])}


def hour(path: Path, folder: Path, seconds: int) -> dict[str, Any]:
    """Memory while an hour of video is analyzed at the default sampling."""
    long = folder / "hour.mp4"
    loop(path, long, seconds)
    *minutes, last = child(HOUR, str(long))
    resident = np.array([row[0] for row in minutes])
    early = resident[5] if len(resident) > 5 else resident[0]
    return {
        "memory after 5 minutes, MB": spread([float(early)], 0),
        "memory at the end, MB": spread([last[0]], 0),
        "highest memory, MB": spread([last[1]], 0),
        "video time over wall time": spread([seconds / last[4]]),
        "people": spread([last[3]], 0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30, help="length of the video")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hour", action="store_true", help="also analyze an hour, which takes minutes")
    parser.add_argument("--only", choices=("analyze", "draw", "hour"))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = folder / "video.mp4"
        write(path, options.seconds)
        if options.only in (None, "analyze"):
            measured |= analyses(path, options.seconds, options.runs)
        if options.only in (None, "draw"):
            measured |= drawing(path, folder, options.seconds, options.runs)
        if options.only == "hour" or options.hour:
            measured |= hour(path, folder, 3600)
    report = {
        **here(),
        "video": f"{SIZE[0]}x{SIZE[1]}, {RATE} frames/s, {options.seconds} s",
        "measured": measured,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}; {report['video']}")
    for name, row in measured.items():
        print(f"{name:50} {row['median']:>8}  ({row['q25']}-{row['q75']})")


if __name__ == "__main__":
    main()
