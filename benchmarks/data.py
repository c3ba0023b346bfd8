"""Augmentation on one core, reading FER2013, and the memory of one epoch of training.

    python benchmarks/data.py [--data path/to/data] [--recipe face-base] [--train cnn] [--runs 5] [--json]

``--data`` is the folder that holds ``fer2013``; by default what ``MIEN_DATA`` names, or ``../shared/data`` beside the
checkout.  Everything is given in seconds of the processor and of the clock: on a machine that has other work, only the
first says what the code takes.  Each read runs in a fresh process with an empty cache of its own, and once more with
the cache that the first one left.  The plain table is unpacked into a temporary folder (300 MB).
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _here import here

BATCH, SIDE = 128, 48

READ = """
import sys, time
from mien.data import load_images
clock, processor = time.perf_counter(), time.process_time()
n = len(load_images("fer2013", sys.argv[1]))
print(n, time.process_time() - processor, time.perf_counter() - clock)
"""


def spread(values: list[float]) -> dict[str, float]:
    """Median and middle half."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), 4), "q25": round(float(low), 4), "q75": round(float(high), 4)}


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def augmentation(recipe: str, runs: int) -> dict[str, Any]:
    """Faces per second, as the recipe augments them, batch by batch, with one thread on one core."""
    import cv2
    import torch

    from mien.train.recipe import load_recipe

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    augment = load_recipe(recipe).augmentation
    generator = torch.Generator().manual_seed(0)
    # Smooth blobs: JPEG and equalization take as long as on faces, on noise they would take longer.
    coarse = 255 * torch.rand((BATCH, 1, 6, 6), generator=generator)
    faces = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 255)
    processor, clock = [], []
    steps = 40
    with one_core(), torch.no_grad():
        for run in range(runs + 1):
            start = time.process_time(), time.perf_counter()
            for _ in range(steps):
                augment(faces, generator)
            if run:
                processor.append(steps * BATCH / (time.process_time() - start[0]))
                clock.append(steps * BATCH / (time.perf_counter() - start[1]))
    return {"unit": "faces/s", "processor": spread(processor), "clock": spread(clock)}


def child(words: list[str], cache: Path) -> tuple[str, float]:
    """Run Python on words in a fresh process; return what it wrote and its peak memory in MB."""
    # The tables that mien has parsed, and what other packages keep, lie below these.
    own = {"XDG_CACHE_HOME": str(cache), "MIEN_CACHE_DIR": str(cache), "ORT_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryFile("w+") as written:
        process = subprocess.Popen([sys.executable, *words], env={**os.environ, **own}, stdout=written)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"failed with exit code {process.returncode}: {' '.join(words)}")
        written.seek(0)
        # Linux counts in KiB, macOS in bytes.
        peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1024 / 1.048576)
        return written.read(), peak


def reading(table: Path, folder: Path, runs: int) -> dict[str, Any]:
    """Seconds to read a table into memory, the first time and the second."""
    measured: dict[str, list[tuple[float, float, float]]] = {"first": [], "second": []}
    for _ in range(runs):
        cache = Path(tempfile.mkdtemp(dir=folder))
        for turn in measured:
            text, peak = child(["-c", READ, str(table)], cache)
            rows, processor, clock = text.split()
            assert int(rows) > 0
            measured[turn].append((float(processor), float(clock), peak))
        shutil.rmtree(cache)
    return {
        turn: {
            "unit": "s",
            "processor": spread([v[0] for v in values]),
            "clock": spread([v[1] for v in values]),
            "peak_mb": round(max(v[2] for v in values)),
        }
        for turn, values in measured.items()
    }


def epoch(recipe: str, tables: Path, folder: Path) -> dict[str, Any]:
    """Peak memory of one epoch, from the command to the finished run folder."""
    words = ["-m", "mien", "train", "--recipe", recipe, "--data", str(tables), "--epochs", "1"]
    start = time.perf_counter()
    _, peak = child([*words, "--device", "cpu", "--out", str(folder / "run")], folder)
    return {"peak_mb": round(peak), "seconds": round(time.perf_counter() - start, 1)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    times: dict[str, Any] = {f"augmentation of {options.recipe}": augmentation(options.recipe, options.runs)}
    tables = options.data / "fer2013"
    packed = next((tables / n for n in ("fer2013.csv.xz", "fer2013.csv") if (tables / n).is_file()), None)
    if packed is None:
        print(f"no reading and no epoch: there is no fer2013.csv(.xz) in {tables}; say --data or set MIEN_DATA")
        return times
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = packed
        if packed.suffix == ".xz":
            plain = folder / "fer2013.csv"
            with lzma.open(packed) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        for table in dict.fromkeys((plain, packed)):
            for turn, values in reading(table, folder, min(options.runs, 3)).items():
                times[f"{table.name}, {turn} read"] = values
        if options.train != "none":
            times[f"one epoch of {options.train}"] = epoch(options.train, tables, folder)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = os.environ.get("MIEN_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside), help="folder that holds fer2013")
    parser.add_argument("--recipe", default="face-base", help="whose augmentation")
    parser.add_argument("--train", default="cnn", help="recipe of the epoch, or none")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report: dict[str, Any] = {
        **here(),
        "times": measure(options),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}")
    print("medians (middle half): of the processor; of the clock")
    for name, row in report["times"].items():
        print(f"{name:30} {line(row)}")


def line(row: dict[str, Any]) -> str:
    parts = []
    for which in ("processor", "clock"):
        if which in row:
            value, digits = row[which], 0 if row["unit"] == "faces/s" else 2
            shown = [f"{value[k]:,.{digits}f}" for k in ("median", "q25", "q75")]
            parts.append(f"{shown[0]} {row['unit']} ({shown[1]}-{shown[2]})")
    if "seconds" in row:
        parts.append(f"{row['seconds']:.1f} s by the clock")
    if "peak_mb" in row:
        parts.append(f"peak memory {row['peak_mb']:,} MB")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
