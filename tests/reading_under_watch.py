"""Reads and analyzes the images of a folder under watch; tests run it as a process of its own.

For each file a line of JSON says that it is begun, and another what came of it: the error or the size, processor
seconds, and the peak of memory in megabytes.  A file that takes longer than the limit kills the process on the spot,
even within a decoder (a timer of the system does), and then the last line names it::

    python tests/reading_under_watch.py FOLDER SECONDS
"""

from __future__ import annotations

import json
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from mien.api import analyze_image
from mien.errors import MediaError, MienWarning
from mien.io import read_image

ANALYZED_PX = 100_000


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201


def begin_peak() -> None:
    """Let the peak of memory begin anew (Linux: proc_pid_clear_refs(5))."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    if sys.platform != "linux":
        return 0.0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def outcome(path: Path) -> dict[str, Any]:
    try:
        image = read_image(path)
        assert image.pixels.dtype == "uint8"
        assert image.pixels.ndim == 3
        if image.width * image.height <= ANALYZED_PX:
            json.dumps(analyze_image(path, threads=1).to_dict(), allow_nan=False)
    except MediaError as error:
        assert error.path == path  # noqa: PT017
        return {"error": type(error).__name__, "message": str(error)}
    return {"error": "", "size": [image.width, image.height]}


def main(folder: str, limit: str) -> None:
    warnings.simplefilter("always")
    warnings.simplefilter("ignore", MienWarning)  # what is wrong with an image that was read all the same
    for path in sorted(Path(folder).iterdir()):
        say(begun=path.name)
        begin_peak()
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, float(limit))
        found = outcome(path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        say(name=path.name, seconds=time.process_time() - start, peak_mb=peak_mb(), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
