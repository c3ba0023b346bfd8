"""Live sources that the tests make themselves: a camera that never was, and streams served on this machine."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def astronaut(width: int = 320, height: int = 240) -> Image:
    """Return the astronaut's head in an image of this size, RGB."""
    from mien.io.image import read_image
    from mien.samples import astronaut_path

    head = read_image(astronaut_path()).pixels[0:240, 130:370]
    image = np.full((height, width, 3), 90, np.uint8)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    image[top : top + side, left : left + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    return image


class FakeCamera:
    """What `cv2.VideoCapture` is to a program: an image at a rate, until somebody pulls the plug.

    ``FakeCamera.plan`` says what every opening gives: how many images before it is lost (None: no end), 0 for one
    that opens and gives none, -1 for one that does not open.  The last entry counts for all that follow.
    """

    plan: tuple[int | None, ...] = (None,)
    rate = 30.0
    size: tuple[int, int] = (320, 240)
    sizes: tuple[tuple[int, int], ...] = ()
    opened = 0
    asked: dict[int, float] = {}  # noqa: RUF012  (reset by `install`)

    def __init__(self, index: int, backend: int) -> None:
        cls = type(self)
        self.left = cls.plan[min(cls.opened, len(cls.plan) - 1)]
        cls.opened += 1
        self.index, self.given = index, 0
        self.due = time.monotonic()

    def isOpened(self) -> bool:
        return self.left is None or self.left >= 0

    def set(self, key: int, value: float) -> bool:
        type(self).asked[key] = value
        return True

    def get(self, key: int) -> float:
        return self.rate if key == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, Image | None]:
        if self.left is not None and self.given >= self.left:
            return False, None
        self.due = max(self.due + 1 / self.rate, time.monotonic() - 0.1)
        time.sleep(max(0.0, self.due - time.monotonic()))
        self.given += 1
        size = self.size if not self.sizes else self.sizes[min(self.given // 10, len(self.sizes) - 1)]
        return True, np.ascontiguousarray(astronaut(*size)[:, :, ::-1])

    def release(self) -> None:
        self.left = 0


def install(monkeypatch: Any, **plan: Any) -> type[FakeCamera]:
    """Put a fake in the place of OpenCV's cameras, and let every number have one."""
    from mien.io import live

    fake = type("Planned", (FakeCamera,), {"opened": 0, "asked": {}, **plan})
    monkeypatch.setattr(cv2, "VideoCapture", fake)
    monkeypatch.setattr(live, "explain_no_access", lambda index: "")
    return fake


@contextlib.contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve HTTP on this machine; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # the reader went away
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Jpegs:
    """Answers with JPEG images one after the other, as cameras on a network do.

    Parameters
    ----------
    images
        Over and over again.
    rate
        Images a second.
    plan
        For every request: how many images before the connection ends (None: no end); negative: how many before
        nothing more comes although the connection stays.
    """

    def __init__(self, images: list[Image], *, rate: float = 25.0, plan: tuple[int | None, ...] = (None,)) -> None:
        self.images = [cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]))[1].tobytes() for image in images]
        self.rate, self.plan, self.requests = rate, plan, 0
        self.over = threading.Event()

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        limit = self.plan[min(self.requests, len(self.plan) - 1)]
        self.requests += 1
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        due, number = time.monotonic(), 0
        while limit is None or number < abs(limit):
            data = self.images[number % len(self.images)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            request.wfile.write(head + data + b"\r\n")
            number += 1
            due += 1 / self.rate
            time.sleep(max(0.0, due - time.monotonic()))
        if limit is not None and limit < 0:
            self.over.wait(30)


def transport_stream(images: list[Image], *, rate: int = 25) -> bytes:
    """Return images as MPEG-TS, which has no index and no length."""
    file = io.BytesIO()
    height, width = images[0].shape[:2]
    with av.open(file, "w", format="mpegts") as output:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5"}
        stream = output.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
