"""An image service on this machine: a real HTTP server that speaks ``/v1/images/generations`` as a script tells it."""

from __future__ import annotations

import base64
import functools
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from mien.samples import astronaut_path

KEY = "sk-a-key-that-nobody-may-see"


@functools.cache
def _portrait() -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(astronaut_path()).convert("RGB"))


def _png(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, compress_level=1)
    return stream.getvalue()


@functools.cache
def image(kind: str, number: int = 0) -> bytes:
    """Return a file: the sample portrait, a little different for every request, or something that is to be rejected."""
    face = _portrait()[:384, 32:416].copy()
    face[:8, :8] = number % 256
    if kind == "none":
        return _png(np.full((256, 256, 3), np.linspace(0, 255, 256, dtype=np.uint8)[:, None, None], np.uint8))
    if kind == "two":
        return _png(np.concatenate([face, face[:, ::-1]], axis=1))
    if kind == "small":
        wide = np.full((600, 600, 3), 90, np.uint8)
        wide[200:328, 200:328] = np.asarray(Image.fromarray(face).resize((128, 128)))
        return _png(wide)
    if kind == "jpeg":
        return _png(face, "JPEG")
    whole = _png(face)
    return whole[: len(whole) // 2] if kind == "truncated" else whole


@dataclass
class Service:
    """The server, its script and what it was asked.

    ``script`` holds a step for each coming request; when it is empty, faces are served.  A step is a kind of
    `image`, ``"cut"``, ``"text"``, ``"base64"``, or (status, error, headers); a dict is sent as it is.
    """

    url: str = ""
    script: list[Any] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    fetched: list[tuple[str, str | None]] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)


@contextmanager
def serving() -> Iterator[Service]:
    """Run the service on a free port of this machine until the block ends."""
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/images/generations"
            state.bodies.append(body)
            state.keys.append(self.headers["authorization"])
            step = state.script.pop(0) if state.script else "face"
            if isinstance(step, tuple):
                status, error, headers = step
                self.answer(status, {"error": error}, headers)
            elif step == "cut":
                self.cut()
            elif step == "text":
                self.answer(200, b"<html>Please log in</html>", {"content-type": "text/html"})
            elif step == "base64":
                self.answer(200, {"created": 1, "data": [{"b64_json": "AAA=A*"}]})
            elif isinstance(step, dict):
                self.answer(200, step)
            else:
                data = base64.b64encode(image(step, len(state.bodies))).decode()
                self.answer(200, {"created": 1, "data": [{"b64_json": data}]})

        def do_GET(self) -> None:
            state.fetched.append((self.path, self.headers["authorization"]))
            step = state.files[self.path]
            if isinstance(step, list):
                step = step.pop(0)
            if step == "cut":
                self.cut()
            elif isinstance(step, tuple):
                self.answer(step[0], b"", step[1])
            else:
                self.answer(200, step, {"content-type": "image/png"})

        def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def cut(self) -> None:
            """Promise a thousand bytes, send a few, and hang up."""
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"created": 1, "da')
            self.wfile.flush()
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
