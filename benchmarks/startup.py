"""Time of whole processes, from the shell to the result, and the size of the core environment on disk.

    python benchmarks/startup.py [--runs 10] [--size]

``--size`` makes a fresh virtual environment in a temporary folder, installs mien without extras, and adds up its files
without pip and setuptools; it needs the package registry.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

from mien.samples import astronaut_path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import mien": [sys.executable, "-c", "import mien"],
    "mien --help": [sys.executable, "-m", "mien", "--help"],
    "mien analyze IMAGE": [sys.executable, "-m", "mien", "analyze", str(astronaut_path())],
    "mien analyze IMAGE --json": [sys.executable, "-m", "mien", "analyze", str(astronaut_path()), "--json"],
}


def wall_s(command: list[str], runs: int) -> list[float]:
    """Wall time of each run of a command, after one that does not count (it warms the disk's cache)."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return times[1:]


def core_size_mb() -> float:
    """Size in MB (10**6 bytes) of a fresh environment with mien's core, without pip and setuptools."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "env"
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
        left_out = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
        total = 0
        for path in home.rglob("*"):
            parts = path.relative_to(home).parts
            if path.is_symlink() or not path.is_file():
                continue
            if any(part == name or part.startswith(f"{name}-") for part in parts for name in left_out):
                continue
            total += path.stat().st_blocks * 512
    return total / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--size", action="store_true", help="also measure the core environment on disk")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}"
    )
    for name, command in COMMANDS.items():
        low, middle, high = np.percentile(wall_s(command, options.runs), [25, 50, 75])
        print(f"{name:28} {middle:6.3f} s  ({low:.3f}-{high:.3f})")
    if options.size:
        print(f"{'core environment':28} {core_size_mb():6.0f} MB")


if __name__ == "__main__":
    main()
