"""Images a second over a folder of many, on one core and on two, each in a fresh process.

    python benchmarks/many.py [--images 1000] [--cores 1,2] [--rounds 3] [--ways files,arrays,command] [--json]

The images are made first, in a temporary folder: JPEG files of `SIZES` with none to four faces of the sample
portrait, and one file in a hundred broken.  Then each way reads them all, at the default settings:

- `files`: `mien.analyze_images` over the paths;
- `arrays`: `mien.FaceAnalyzer.analyze_many` over images that a generator reads, which leaves out the broken ones;
- `command`: ``mien analyze FOLDER --jsonl``, with its start.

A process is bound to as many cores as its row says, where the system can do that.  `files` and `arrays` are timed from
the first image to the last result, without the start of Python and the loading of the models; the start of
`command` is timed apart, over a folder with one broken file.  The peak is that of the resident memory of the process,
which has no children.  All take turns, round by round, so that they see the same machine; the fastest round counts,
because other work on the machine only ever slows, and the share of the cores that went to such work is given beside
the median of the rounds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _here import here
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.samples import astronaut_path

SIZES = ((512, 512), (640, 480), (800, 600), (1024, 768), (1280, 720), (1920, 1080))
"""Width and height."""

FACES, SHARES = (0, 1, 2, 3, 4), (0.15, 0.55, 0.15, 0.1, 0.05)
"""How many faces an image has, and how often."""

BROKEN_EVERY = 100
WAYS = ("files", "arrays", "command")


def make(folder: Path, count: int) -> None:
    """Write images, the same ones each time."""
    random = np.random.default_rng(8)
    portrait = Image.open(astronaut_path())
    suit = portrait.crop((0, 300, 512, 512))  # nobody is there
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if number % BROKEN_EVERY == BROKEN_EVERY // 2:
            path.write_bytes((b"", b"no image", b"\xff\xd8\xff\xe0\0\x10JFIF")[number // BROKEN_EVERY % 3])
            continue
        width, height = SIZES[random.integers(len(SIZES))]
        image = suit.resize((width, height))
        for place in range(random.choice(FACES, p=SHARES)):
            side = int(height * random.uniform(0.3, 0.5))
            face = portrait.crop((100, 0, 356, 256)).resize((side, side))
            image.paste(face, (place % 2 * (width // 2), place // 2 * (height // 2)))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(random.integers(75, 95)))
        path.write_bytes(stream.getvalue())


def readable(paths: list[str]) -> Iterator[NDArray[np.uint8]]:
    """Read images, without the broken ones."""
    for path in paths:
        try:
            yield mien.read_image(path)
        except mien.MediaError:
            continue


def read(folder: Path, way: str) -> dict[str, Any]:
    """Read a folder in this process."""
    paths = [str(path) for path in sorted(folder.iterdir())]
    if way == "files":
        analyzer = mien.FaceAnalyzer(threads=1)
        results = mien.analyze_images(paths, analyzer=analyzer)
    else:
        analyzer = mien.FaceAnalyzer()
        results = analyzer.analyze_many(readable(paths))
    analyzer.analyze(mien.read_image(astronaut_path()))
    items = faces = failed = 0
    start = time.perf_counter()
    for item in results:
        items += 1
        failed += isinstance(item, mien.FailedItem)
        faces += len(getattr(item, "faces", ()))
    spent_s = time.perf_counter() - start
    return {"wall_s": spent_s, "items": items, "faces": faces, "failed": failed}


@dataclass(frozen=True)
class Ended:
    """A process that has ended: wall time, peak memory, the cores' share that other work took, and stdout."""

    wall_s: float
    peak_mb: float
    others: float
    out: str


def busy_s(cores: list[int]) -> float:
    """Return for how long cores have worked, for whomever; 0 where the system does not tell."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    names = {f"cpu{core}" for core in cores}
    ticks = (line.split()[1:] for line in lines if line.split()[0] in names)
    # All but idle, waiting for the disk, and what is counted elsewhere already.
    return sum(sum(int(n) for n in (*t[:3], *t[5:8])) for t in ticks) / os.sysconf("SC_CLK_TCK")


def bound(command: list[str], count: int) -> Ended:
    """Run a command on so many cores."""
    here = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if here and len(here) < count:
        raise SystemExit(f"{count} cores were asked for, but there are {len(here)}")
    cores = here[-count:]
    with tempfile.TemporaryFile() as out:
        start, busy = time.perf_counter(), busy_s(cores)
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.DEVNULL,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s, busy = time.perf_counter() - start, busy_s(cores) - busy
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1, 3):  # 3: some are broken; 1: all are
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        out.seek(0)
        others = max(busy - usage.ru_utime - usage.ru_stime, 0.0) / (wall_s * count)
        return Ended(wall_s, usage.ru_maxrss * 1024 / 1e6, others, out.read().decode())


def once(folder: Path, broken: Path, way: str, cores: int) -> dict[str, Any]:
    """Let a fresh process read a folder."""
    if way != "command":
        ended = bound([sys.executable, __file__, "--read", str(folder), "--ways", way], cores)
        return {**json.loads(ended.out), "others": ended.others, "peak_mb": ended.peak_mb}
    command = [sys.executable, "-m", "mien", "analyze"]
    start_s = bound([*command, str(broken), "--jsonl"], cores).wall_s
    ended = bound([*command, str(folder), "--jsonl"], cores)
    items = [json.loads(line) for line in ended.out.splitlines()]
    return {
        "wall_s": ended.wall_s,
        "start_s": start_s,
        "others": ended.others,
        "items": len(items),
        "faces": sum(len(item.get("faces", ())) for item in items),
        "failed": sum("error" in item for item in items),
        "peak_mb": ended.peak_mb,
    }


def measure(ways: list[str], cores: list[int], count: int, rounds: int) -> list[dict[str, Any]]:
    """Time all ways on all counts of cores, in turns."""
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {(way, n): [] for way in ways for n in cores}
    with tempfile.TemporaryDirectory() as made:
        folder, broken = Path(made) / "images", Path(made) / "broken"
        folder.mkdir()
        broken.mkdir()
        (broken / "0.jpg").write_bytes(b"no image")
        make(folder, count)
        for _ in range(rounds):
            for (way, n), taken in runs.items():
                taken.append(once(folder, broken, way, n))
    rows = []
    for (way, n), taken in runs.items():
        rates = [run["items"] / run["wall_s"] for run in taken]
        row: dict[str, Any] = {"way": way, "cores": n, "rates": [round(rate, 1) for rate in rates]}
        row["best"], row["median"] = round(max(rates), 1), round(float(np.median(rates)), 1)
        row["others"] = [round(run["others"], 2) for run in taken]
        row["peak_mb"] = round(max(run["peak_mb"] for run in taken))
        row |= {key: taken[0][key] for key in ("items", "faces", "failed")}
        if way == "command":
            row["start_s"] = round(float(np.median([run["start_s"] for run in taken])), 2)
        rows.append(row)
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return for each way how many times faster the most cores are than the fewest: best rounds, and medians."""
    found = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        few, *_, many = sorted((row for row in rows if row["way"] == way), key=lambda row: row["cores"])
        found[way] = {key: round(many[key] / few[key], 2) for key in ("best", "median")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    ways = options.ways.split(",")
    if options.read:
        print(json.dumps(read(options.read, ways[0])))
        return
    cores = [int(n) for n in options.cores.split(",")]
    report: dict[str, Any] = {
        **here(),
        "rows": measure(ways, cores, options.images, options.rounds),
    }
    if len(cores) > 1:
        report["ratios"] = ratios(report["rows"])
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}; {options.rounds} rounds")
    for row in report["rows"]:
        rates = f"{row['best']:6.1f} images/s (median {row['median']:.1f})"
        told = f"{row['items']} items, {row['faces']} faces, {row['failed']} failed"
        start = f", start {row['start_s']} s" if "start_s" in row else ""
        others = "/".join(f"{100 * share:.0f}" for share in row["others"])
        told += f", peak {row['peak_mb']} MB, others {others} %"
        print(f"{row['way']:8} {row['cores']} core(s)  {rates}; {told}{start}")
    for way, ratio in report.get("ratios", {}).items():
        print(f"{way:8} {max(cores)} cores over {min(cores)}: {ratio['best']} (medians {ratio['median']})")


if __name__ == "__main__":
    main()
