"""Analysis of speech: an hour of recordings from file to segments, its memory, and a clip of three seconds.

    python benchmarks/voices.py [--data path/to/data] [--model speech-base] [--runs 3] [--json]

The hours are of RAVDESS, from ``ravdess_speech_16k`` in ``--data`` (by default what ``MIEN_DATA`` names, or
``../shared/data`` beside the checkout): clips one after the other (half of it speech), and speech without a pause (the
clips cut to their speech).  Without the data, a synthetic voice stands for both.  One thread; each hour runs in a fresh
process, timed from the file to its segments without the start of Python; the clip is warm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _here import here
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
RATE, HOUR = 16000, 3600

RUN = """
import sys, time
import mien
from pathlib import Path
analyzer = mien.SpeechAnalyzer(sys.argv[2], threads=1)
start, busy = time.perf_counter(), time.process_time()
count = spoken = 0
for segment in mien.iter_speech(sys.argv[1], analyzer=analyzer):
    count += 1
    spoken += segment.duration_s if segment.speech else 0
peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(time.perf_counter() - start, time.process_time() - busy, peak / 1000, count, spoken)
"""


def spread(values: list[float], digits: int = 2) -> dict[str, float]:
    """Median and middle half."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), digits), "q25": round(float(low), digits), "q75": round(float(high), digits)}


def pieces(folder: Path, *, pauses: bool) -> Iterator[NDArray[np.float32]]:
    """Yield recordings, or only the speech in them."""
    from mien.io.audio import read_audio
    from mien.speech.activity import speech_segments

    if not folder.is_dir():
        from speech_mixtures import voiced

        for seed in range(600):
            yield voiced(4 * RATE, np.random.default_rng(seed))
            if pauses:
                yield np.zeros(4 * RATE, np.float32)
        return
    for path in sorted(folder.glob("Actor_*/*.flac")):
        sound = read_audio(path, rate_hz=RATE).wave
        if pauses:
            yield sound
            continue
        for begin, end in speech_segments(sound, rate_hz=RATE):
            yield sound[round(begin * RATE) : round(end * RATE)]


def write_hour(path: Path, folder: Path, *, pauses: bool, seconds: int) -> None:
    """Write so much sound, from the beginning again where there is less."""
    left = seconds * RATE
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        while left > 0:
            for piece in pieces(folder, pauses=pauses):
                part = piece[:left]
                file.writeframesraw((32767 * part).clip(-32768, 32767).astype("<i2").tobytes())
                left -= len(part)
                if left <= 0:
                    break


def hours(folder: Path, model: str, runs: int) -> dict[str, Any]:
    """Time and memory of hours, and of ten minutes, which must need as much memory."""
    report: dict[str, Any] = {}
    cases = (("an hour with pauses", True, HOUR), ("an hour of speech", False, HOUR), ("10 min of speech", False, 600))
    with tempfile.TemporaryDirectory() as place:
        for name, pauses, seconds in cases:
            path = Path(place) / "sound.wav"
            write_hour(path, folder, pauses=pauses, seconds=seconds)
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            rows = []
            for _ in range(runs):
                command = [sys.executable, "-c", RUN, str(path), model]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                rows.append([float(word) for word in done.stdout.split()])
            report[f"{name}, s"] = spread([row[0] for row in rows])
            report[f"{name}, processor s"] = spread([row[1] for row in rows])
            report[f"{name}, peak memory, MB"] = spread([row[2] for row in rows], 0)
            report[f"{name}, segments"] = spread([row[3] for row in rows], 0)
            report[f"{name}, minutes of speech found"] = spread([row[4] / 60 for row in rows], 1)
    return report


def clip(model: str, runs: int) -> dict[str, Any]:
    """Three seconds, warm: the net alone, and from samples to segments."""
    from mien import SpeechAnalyzer
    from speech_mixtures import voiced

    analyzer = SpeechAnalyzer(model, threads=1)
    sound = voiced(3 * RATE, np.random.default_rng(0))
    calls: dict[str, Callable[[], object]] = {
        "the net on 3 s, ms": lambda: analyzer.logits(sound),
        "a clip of 3 s to segments, ms": lambda: analyzer.analyze(sound, rate_hz=RATE),
        "a clip of 3 s as one answer, ms": lambda: analyzer.clip_logits(sound, rate_hz=RATE),
    }
    report = {}
    for name, call in calls.items():
        times = []
        for run in range(20 * runs + 5):
            start = time.perf_counter()
            call()
            if run >= 5:
                times.append(1000 * (time.perf_counter() - start))
        report[name] = spread(times)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = os.environ.get("MIEN_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside), help="folder that holds ravdess_speech_16k")
    parser.add_argument("--model", default="speech-base")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    corpus = options.data / "ravdess_speech_16k"
    with threadpool_limits(1):
        times = clip(options.model, options.runs) | hours(corpus, options.model, options.runs)
    report = {
        **here(),
        "sound": "RAVDESS" if corpus.is_dir() else "a synthetic voice",
        "times": times,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}; {report['sound']}")
    for name, row in times.items():
        print(f"{name:50} {row['median']:>8}  ({row['q25']}-{row['q75']})")


if __name__ == "__main__":
    main()
