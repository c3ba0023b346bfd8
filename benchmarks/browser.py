"""The in-browser app in headless Chromium, on one core by default: download, first answer, frames a second, memory.

    python benchmarks/browser.py [--seconds 20] [--minutes 0] [--runs 11] [--cores 1]

Needs Chromium and the packages playwright and brotli.  Prints a Markdown table.  The camera shows a face at 640x480 and
30 frames/s; with ``--minutes``, memory is measured that long.
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from _here import here
from PIL import Image
from playwright.sync_api import sync_playwright

from mien.samples import astronaut_path
from mien.web import write_site

TICKS = os.sysconf("SC_CLK_TCK")

FIRST_IMAGE = """
addEventListener("DOMContentLoaded", () => {
  const when = (selector, then) => {
    const look = () => { if (document.querySelector(selector)) { observer.disconnect(); then(); } };
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, attributes: true });
    look();
  };
  when("#camera:enabled", async () => {
    window.ready_s = performance.now() / 1000;
    const files = new DataTransfer();
    files.items.add(new File([await (await fetch("sample.jpg")).blob()], "sample.jpg", { type: "image/jpeg" }));
    when("article meter", () => { window.answer_s = performance.now() / 1000; });
    const input = document.querySelector("#files");
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
});
"""
"""Chooses an image as soon as the page is ready, and notes when its answer is there, in seconds of the page's clock:
what drives the browser takes half a second of its own to see either."""


class Handler(SimpleHTTPRequestHandler):
    """Serves a site as a careful host does: hashed names are kept by the browser."""

    def end_headers(self) -> None:
        """Add how long a file may be kept."""
        hashed = self.path.count(".") > 1
        self.send_header("Cache-Control", "public, max-age=31536000, immutable" if hashed else "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def browser_on(cores: int, folder: Path) -> Path:
    """Return a program that runs the browser on some cores; the server and what drives the browser may use all."""
    program, chosen = shutil.which("chromium"), sorted(os.sched_getaffinity(0))[-cores:]
    lines = ["import os, sys", f"os.sched_setaffinity(0, {chosen})", f"os.execv({program!r}, sys.argv)"]
    path = folder / "browser"
    path.write_text("\n".join([f"#!{sys.executable}", *lines]))
    path.chmod(0o755)
    return path


def browser_processes() -> list[Path]:
    """Return the folders in /proc of all processes of the browser that this one started."""
    found, parents = [], {os.getpid()}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    while parents:
        parents = {child for parent in parents for child in children.get(parent, [])}
        found += [Path(f"/proc/{child}") for child in parents if "chrom" in Path(f"/proc/{child}/comm").read_text()]
    return found


def cpu_s() -> float:
    total = 0
    for process in browser_processes():
        words = (process / "stat").read_text().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total / TICKS


def memory_mb() -> float:
    """Return the proportional set size of the largest process, which runs the page and its worker."""
    sizes = []
    for process in browser_processes():
        lines = (process / "smaps_rollup").read_text().splitlines()
        sizes += [int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")]
    return max(sizes)


def open_page(page: Any, url: str) -> tuple[float, float]:
    """Return the seconds from the beginning of the navigation until the page is ready, and until its first answer."""
    page.goto(url)
    page.wait_for_selector("article meter")
    return page.evaluate("ready_s"), page.evaluate("answer_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of the camera")
    parser.add_argument("--minutes", type=float, default=0, help="of the camera, for the memory")
    parser.add_argument("--runs", type=int, default=11, help="of the first answer")
    parser.add_argument("--cores", type=int, default=1, help="that the browser may use")
    values = parser.parse_args()
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_site(folder / "site", compress=True)
        for what, parts in (("faces", {"page", "faces"}), ("faces and voice", {"page", "faces", "voice"})):
            size = sum(file.brotli_bytes or 0 for file in files if file.part in parts) / 1e6
            rows.append((f"download, {what}, Brotli", f"{size:.2f} MB"))
        with Image.open(astronaut_path()) as image:
            frame = image.convert("RGB").crop((0, 0, 512, 384)).resize((640, 480))
        content = io.BytesIO()
        frame.save(content, "JPEG", quality=95)
        shutil.copy(astronaut_path(), folder / "site" / "sample.jpg")
        (folder / "camera.mjpeg").write_bytes(content.getvalue() * 30)
        flags = [
            *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
            *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
            f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        ]
        with served(folder / "site") as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_on(values.cores, folder), args=flags)
            page = browser.new_context().new_page()
            page.add_init_script(FIRST_IMAGE)
            rows.append(("ready, not cached", f"{open_page(page, url)[0]:.2f} s"))
            page.evaluate("navigator.serviceWorker.ready.then(() => true)")
            times = np.array([open_page(page, url) for _ in range(values.runs)])
            for what, column in (("ready, cached", times[:, 0]), ("first answer to an image, cached", times[:, 1])):
                low, middle, high = np.percentile(column, [25, 50, 75])
                rows.append((what, f"{middle:.2f} s (middle half {low:.2f} to {high:.2f})"))
            page.click("#camera")
            page.wait_for_selector("article .faces meter")
            time.sleep(3)
            before, began, rates = cpu_s(), time.perf_counter(), []
            while time.perf_counter() - began < values.seconds:
                time.sleep(1)
                rates.append(float(page.inner_text("#status").split()[0]))
            cpu = (cpu_s() - before) / (time.perf_counter() - began)
            rate = statistics.median(rates)
            rows.append(("camera 640x480, one face", f"{rate:.0f} frames/s ({min(rates):.0f} to {max(rates):.0f})"))
            rows.append(("CPU a frame, whole browser", f"{1000 * cpu / rate:.1f} ms"))
            sizes = [memory_mb()]
            until = time.monotonic() + 60 * values.minutes
            while time.monotonic() < until:
                time.sleep(30)
                sizes.append(memory_mb())
            rows.append(("memory of the page", f"{sizes[0]:.0f} MB"))
            if values.minutes:
                rows.append(
                    (f"memory after {values.minutes:g} minutes", f"{sizes[-1]:.0f} MB, most {max(sizes):.0f} MB")
                )
            browser.close()
    print(" · ".join(f"{key}: {value}" for key, value in here().items()), end="\n\n")
    print("| what | measured |\n|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
