"""A real service in a process of its own, and what the tests send to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import httpx
import numpy as np

from planted_faces import planted
from planted_videos import write_video
from speech_mixtures import RATE, voiced

TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass
class Running:
    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, **more: object) -> httpx.Client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(folder: Path, *options: str, token: str | None = TOKEN) -> Iterator[Running]:
    port, log = free_port(), folder / f"log-{time.monotonic_ns()}"
    if token is not None:
        (folder / "token").write_text(token)
        options = (*options, "--token-file", str(folder / "token"))
    command = [sys.executable, "-m", "mien", "serve", "--port", str(port), "--jobs-folder", str(folder / "jobs")]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, *options],
            stderr=stream,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
    service = Running(f"http://127.0.0.1:{port}", port, process, log)
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                if httpx.get(f"{service.url}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def write_planted_video(path: Path, seconds: int = 2) -> Path:
    paths = {0: [(0.0, 90.0, 120.0, 90.0), (float(seconds), 130.0, 110.0, 100.0)]}
    frames = ((shot[0], Fraction(i, 10)) for i, shot in enumerate(planted(paths, rate=10, seconds=seconds)))
    write_video(path, frames, rate=10, sound=(voiced(seconds * RATE, np.random.default_rng(3)), RATE))
    return path


def wait_done(client: httpx.Client, url: str, *, seconds: float = 60) -> dict[str, object]:
    until = time.monotonic() + seconds
    while True:
        job: dict[str, object] = client.get(url).json()
        if job["status"] in ("done", "failed"):
            return job
        assert time.monotonic() < until, job
        time.sleep(0.1)
