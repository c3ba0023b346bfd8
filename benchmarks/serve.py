"""The service on loopback: overhead, many clients, memory, the live socket, an upload over the limit.

    python benchmarks/serve.py [--seconds 60] [--requests 800]

Prints a Markdown table.  Clients and service share the cores of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from websockets.asyncio.client import connect

import mien
from mien.io.image import read_image
from mien.samples import astronaut_path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def service(*options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mien", "serve", "--port", str(port), "--jobs-folder", folder, *options]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                        break
                time.sleep(0.1)
            yield url, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def overhead(image: bytes, count: int) -> str:
    """Measure CPU time a request against reading and analyzing the image, both on one thread."""
    analyzer = mien.FaceAnalyzer(threads=1)
    analyzer.analyze(read_image(image).pixels)
    with service("--workers", "1") as (url, process), httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for _ in range(5):
            client.post("/v1/faces", content=image)
        direct, served = [], []
        for _ in range(5):  # in turns, so that what else runs on the machine burdens both
            began_s = time.process_time()
            for _ in range(count // 5):
                analyzer.analyze(read_image(image).pixels).to_dict()
            direct.append((time.process_time() - began_s) / (count // 5))
            began_s = cpu_s(process.pid)
            for _ in range(count // 5):
                client.post("/v1/faces", content=image).raise_for_status()
            served.append((cpu_s(process.pid) - began_s) / (count // 5))
    one, other = np.median(direct), np.median(served)
    return f"{1000 * other:.1f} ms against {1000 * one:.1f} ms, {100 * (other / one - 1):+.0f} %"


async def many_clients(url: str, image: bytes, clients: int, seconds: float, pid: int) -> str:
    until, times, memory = time.monotonic() + seconds, [], []
    statuses: dict[int, int] = {}

    async def ask(client: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            began_s = time.monotonic()
            answer = await client.post("/v1/faces", content=image)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 503:
                assert "retry-after" in answer.headers
                await asyncio.sleep(float(answer.headers["retry-after"]))
            else:
                times.append(time.monotonic() - began_s)

    async def watch() -> None:
        while time.monotonic() < until:
            memory.append(memory_mb(pid))
            await asyncio.sleep(1)

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
        await asyncio.gather(watch(), *(ask(client) for _ in range(clients)))
    p50, p99 = np.percentile(times, [50, 99])
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return f"{answers}; p50 {p50:.2f} s, p99 {p99:.2f} s; memory {memory[len(memory) // 2]:.0f} to {max(memory):.0f} MB"


def growth(url: str, image: bytes, count: int, pid: int) -> str:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for _ in range(100):
            client.post("/v1/faces", content=image)
        before = memory_mb(pid)
        for _ in range(count):
            client.post("/v1/faces", content=image).raise_for_status()
    return f"{memory_mb(pid) - before:+.1f} MB"


async def live(url: str, image: bytes, seconds: float, pid: int) -> str:
    """Send 30 frames a second, as a camera does."""
    canvas = Image.new("RGB", (640, 480), "gray")
    canvas.paste(Image.open(io.BytesIO(image)).convert("RGB").resize((480, 480)), (80, 0))
    stream = io.BytesIO()
    canvas.save(stream, "JPEG", quality=85)
    delays: list[float] = []
    async with connect(url.replace("http", "ws") + "/v1/live?voice=false", proxy=None) as socket:
        await socket.recv()

        async def listen() -> None:
            delays.extend([json.loads(message)["delay_s"] async for message in socket])

        listening = asyncio.create_task(listen())
        began_s, used_s = time.monotonic(), cpu_s(pid)
        for number in range(round(30 * seconds)):
            await socket.send(struct.pack("<B3xId", 1, number, number / 30) + stream.getvalue())
            await asyncio.sleep(max(0.0, began_s + (number + 1) / 30 - time.monotonic()))
        await socket.send('{"type": "end"}')
        await listening
    used_s = cpu_s(pid) - used_s
    p50, p99 = (1000 * value for value in np.percentile(delays, [50, 99]))
    rate = len(delays) / seconds
    return f"{rate:.0f} frames/s, {len(delays) / used_s:.0f} a second of CPU; delay p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def over_limit(url: str) -> str:
    host, _, port = url.removeprefix("http://").partition(":")
    sent = 0
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"POST /v1/faces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 30_000_000:
                raw.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        status = raw.recv(100).split()[1].decode()
    return f"{status} after {sent / 1e6:.1f} MB were sent"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long many clients ask")
    parser.add_argument("--requests", type=int, default=800, help="requests after the warm-up")
    options = parser.parse_args()
    image = astronaut_path().read_bytes()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before; one image of 512 x 512\n")
    print("| | |\n|---|---|")
    print(f"| CPU of a request against the direct call | {overhead(image, 100)} |", flush=True)
    with service("--max-body", "10000000", "--workers", "2") as (url, process):
        pid = process.pid
        print(f"| live, 640 x 480 at 30 frames/s | {asyncio.run(live(url, image, 10, pid))} |", flush=True)
        print(f"| chunked 30 MB over a limit of 10 MB | {over_limit(url)} |", flush=True)
    with service("--workers", "2") as (url, process):
        pid = process.pid
        words = asyncio.run(many_clients(url, image, 64, options.seconds, pid))
        print(f"| 64 clients for {options.seconds:.0f} s | {words} |", flush=True)
        print(f"| memory over {options.requests} requests | {growth(url, image, options.requests, pid)} |")


if __name__ == "__main__":
    main()
