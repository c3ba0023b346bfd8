"""What `mien batch` costs: CPU over `mien analyze`, two workers against one, kill -9, the plan, reads from S3.

    python benchmarks/batch.py [--images 400] [--runs 3] [--kills 20] [--only overhead,workers,kills,plan,store]

Images are generated: heads of 512 x 512.  CPU is user and system time of the process and its children; the ratios
stand side by side in one run, and are medians over the runs.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.samples import astronaut_path

MIEN = [sys.executable, "-m", "mien"]
PARTS = ("overhead", "workers", "kills", "plan", "store")


def make_images(folder: Path, count: int) -> None:
    """Write portraits, each turned and mirrored otherwise."""
    folder.mkdir()
    with Image.open(astronaut_path()) as image:
        portrait = image.convert("RGB")
    for k in range(count):
        turned = portrait.rotate(k % 21 - 10)
        (turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if k % 2 else turned).save(
            folder / f"{k:06d}.jpg", quality=90
        )


def measure(command: list[str]) -> tuple[float, float]:
    """Return CPU and wall time of a command in seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s


def batch(images: Path, out: Path, workers: int) -> list[str]:
    return [*MIEN, "batch", str(images), "--out", str(out), "--workers", str(workers), "--part-items", "50"]


def read_dataset(folder: Path) -> list[Any]:
    from pyarrow import parquet

    return [row for path in sorted(folder.glob("part-*.parquet")) for row in parquet.read_table(path).to_pylist()]


def report_overhead(images: Path, folder: Path, runs: int) -> None:
    """Compare with `mien analyze`; a short run of both takes away the fixed costs, such as imports and models."""
    few = folder / "few"
    few.mkdir()
    for path in sorted(images.iterdir())[:10]:
        shutil.copy(path, few)
    analyze_few_s, _ = measure([*MIEN, "analyze", str(few), "--jsonl", "--threads", "1"])
    batch_few_s, _ = measure(batch(few, folder / "overhead-few", 1))
    more = len(list(images.iterdir())) - 10
    ratios, items_ms = [], []
    for run in range(runs):
        analyze_s, _ = measure([*MIEN, "analyze", str(images), "--jsonl", "--threads", "1"])
        batch_s, _ = measure(batch(images, folder / f"overhead-{run}", 1))
        ratios.append((batch_s - batch_few_s) / (analyze_s - analyze_few_s))
        items_ms.append(1000 * (batch_s - batch_few_s) / more)
    middle, low, high = np.median(ratios), min(ratios), max(ratios)
    print(f"fixed CPU: analyze {analyze_few_s:.2f} s, batch {batch_few_s:.2f} s, with 10 images")
    days = np.median(items_ms) / 1000 * 1e8 / 86400
    print(f"CPU an image: {np.median(items_ms):.1f} ms; 100 million images: {days:.0f} core days")
    print(
        f"CPU of batch over analyze: {100 * (middle - 1):+.1f} %  ({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f})"
    )


def report_workers(images: Path, folder: Path, runs: int) -> None:
    ratios = []
    for run in range(runs):
        _, one_s = measure(batch(images, folder / f"one-{run}", 1))
        _, two_s = measure(batch(images, folder / f"two-{run}", 2))
        ratios.append(one_s / two_s)
    print(f"two workers against one: {np.median(ratios):.2f}  ({min(ratios):.2f}-{max(ratios):.2f})")


def report_kills(images: Path, folder: Path, kills: int) -> None:
    """Kill everything at random moments, ``kills`` times in all, and compare with a run that nothing disturbed."""
    chance = random.Random(0)
    whole, torn = folder / "whole", folder / "torn"
    _, wall_s = measure(batch(images, whole, 2))
    done = same = compared = 0
    while done < kills:
        process = subprocess.Popen(batch(images, torn, 2), start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.3, wall_s))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
        if process.returncode == 0 or done == kills:
            measure(batch(images, torn, 2))
            same += read_dataset(torn) == read_dataset(whole)
            compared += 1
            shutil.rmtree(torn)
    print(f"killed {done} times: {same} of {compared} datasets are identical to an undisturbed one")


def report_plan(folder: Path) -> None:
    """Plan 100,000 empty files, in a process of its own, whose peak memory counts."""
    files = folder / "many"
    for k in range(100):
        (files / f"{k:02d}").mkdir(parents=True)
        for n in range(1000):
            (files / f"{k:02d}" / f"{n:03d}.jpg").touch()
    began = time.perf_counter()
    process = subprocess.Popen([*batch(files, folder / "planned", 1), "--plan-only"], stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    code, memory_mb = os.waitstatus_to_exitcode(status), used.ru_maxrss / 1024
    print(f"plan of 100,000 files: {wall_s:.1f} s, {memory_mb:.0f} MB, exit {code}")


def report_store(images: Path) -> None:
    """Read images of a local S3 service, which runs in a process of its own."""
    from mien.batch import list_entries
    from mien.batch.inputs import open_sources

    port = 5077
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    import obstore
    from obstore.store import S3Store

    try:
        time.sleep(5)
        import http.client

        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("PUT", "/bucket")
        client.getresponse().read()
        store = S3Store("bucket")
        paths = sorted(images.iterdir())
        for path in paths:
            obstore.put(store, f"images/{path.name}", path.read_bytes())
        entries = sorted(list_entries(["s3://bucket/images/"]), key=lambda entry: entry.path)
        before = time.process_time()
        contents = [source.data for source in open_sources(entries, root="")]
        cpu_s = time.process_time() - before
        same = contents == [path.read_bytes() for path in paths]
        cpu_ms = 1000 * cpu_s / len(entries)
        print(f"S3: {cpu_ms:.2f} ms CPU a read of {len(entries)}, {'same' if same else 'OTHER'} bytes")
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    wanted = options.only.split(",")
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {time.strftime('%Y-%m-%d')}; {options.images} images"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        make_images(images, options.images)
        if "overhead" in wanted:
            report_overhead(images, folder, options.runs)
        if "workers" in wanted:
            report_workers(images, folder, options.runs)
        if "kills" in wanted:
            report_kills(images, folder, options.kills)
        if "plan" in wanted:
            report_plan(folder)
        if "store" in wanted:
            report_store(images)


if __name__ == "__main__":
    main()
