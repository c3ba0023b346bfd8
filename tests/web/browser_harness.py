"""Runs parts of the in-browser library (web/lib) in headless Chromium, for tests against the Python library."""

from __future__ import annotations

import functools
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "web" / "node_modules"
CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

MEDIA_FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

PRELUDE = """
import * as ort from "onnxruntime-web/wasm";
ort.env.wasm.wasmPaths = "/ort/";
ort.env.wasm.numThreads = 1;
const session = (file: string) => ort.InferenceSession.create(`/weights/${file}`);
const bytes = async (name: string) => new Uint8Array(await (await fetch(`/${name}`)).arrayBuffer());
"""
"""What an entry finds: ``session(file)`` loads a graph of the package, ``bytes(name)`` one of the given files."""


def run_in_browser(tmp_path: Path, entry_ts: str, data: Any = None, files: Mapping[str, bytes] | None = None) -> Any:
    """Run TypeScript in headless Chromium and return what it returns; skip the test where that is not possible.

    Parameters
    ----------
    tmp_path : pathlib.Path
        An empty folder, which is served to the page.
    entry_ts : str
        A module that follows `PRELUDE`, imports from ``"./mtcnn"`` and its like (web/lib/src), and whose default export
        is a function ``async (data) => result``.
    data : object, optional
        The argument: what JSON can hold.
    files : mapping of str to bytes, optional
        What the page can fetch with ``bytes(name)``, by name.

    Returns
    -------
    object
        The result of the function: what JSON can hold (so no typed arrays).
    """
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    if not (MODULES / ".bin" / "esbuild").exists() or not (MODULES / "onnxruntime-web").exists():
        pytest.skip("web/node_modules is missing: run npm ci in web")
    build = [MODULES / ".bin" / "esbuild", "--bundle", "--format=esm", "--loader=ts", "--log-level=warning"]
    done = subprocess.run(
        [*build, f"--outfile={tmp_path / 'entry.js'}"],
        cwd=ROOT / "web" / "lib" / "src",
        input=PRELUDE + entry_ts,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for name, content in (files or {}).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "index.html").write_text("<!doctype html><title>test</title>")
    (tmp_path / "weights").symlink_to(ROOT / "src" / "mien" / "weights")
    (tmp_path / "ort").symlink_to(MODULES / "onnxruntime-web" / "dist")
    with served(tmp_path) as url, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page()
            page.goto(url)
            return page.evaluate("async (data) => (await import('/entry.js')).default(data)", data)
        finally:
            browser.close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, headers: Mapping[str, str], **more: Any) -> None:
        self._headers = headers
        super().__init__(*arguments, **more)

    def end_headers(self) -> None:
        for name, value in self._headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def served(folder: Path, **headers: str) -> Iterator[str]:
    """Serve a folder on loopback, with more headers, and yield its address."""
    handler = functools.partial(_Handler, directory=str(folder), headers=headers)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
