"""The live socket: frames and sound in, results out; the newest frame wins."""

from __future__ import annotations

import asyncio
import math
import queue
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien._checks import check_number
from mien.errors import InputError, MienError
from mien.io.image import read_image
from mien.live import LiveVoice
from mien.results import VideoFrame
from mien.serve.engine import to_json
from mien.serve.problems import ProblemError, problem_of

if TYPE_CHECKING:
    from mien.speech.analyzer import SpeechAnalyzer
    from mien.video.analyzer import VideoAnalyzer

__all__ = ["MAX_MESSAGE_BYTES", "LiveConnection"]

MAX_MESSAGE_BYTES = 8 << 20
HEADER = struct.Struct("<B3xId")
"""Kind, a number or rate, and a time: see docs/serve.md."""

IMAGE, INT16, FLOAT32 = 1, 2, 3
_RATES_HZ = (4000, 192_000)
_BLOCKS = 256
"""Blocks of sound that wait to be read, at most; further ones are dropped."""


class _Sound:
    """Sound of a socket in place of a microphone."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._blocks: queue.Queue[NDArray[np.float32] | None] = queue.Queue(_BLOCKS)

    def put(self, block: NDArray[np.float32] | None) -> bool:
        """Add a block, None at the end; tell whether there was room."""
        try:
            self._blocks.put_nowait(block)
        except queue.Full:
            return False
        return True

    def read(self, stop: threading.Event) -> NDArray[np.float32] | None:
        """Wait for the next block."""
        while not stop.is_set():
            try:
                return self._blocks.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def close(self) -> None:
        """Do nothing."""


class LiveConnection:
    """One live socket, from its acceptance to its end.

    Parameters
    ----------
    socket : WebSocket
        Accepted.
    analyzer : VideoAnalyzer
        For the faces.
    speech : SpeechAnalyzer or None
        For the voice.
    pool : ThreadPoolExecutor
        Where frames are analyzed.
    max_pixels : int
        Width x height of an image.
    on_frame : callable
        Called with the number of faces and the delay in seconds of each result.
    """

    def __init__(
        self,
        socket: WebSocket,
        analyzer: VideoAnalyzer,
        speech: SpeechAnalyzer | None,
        pool: ThreadPoolExecutor,
        *,
        max_pixels: int,
        on_frame: Callable[[int, float], None],
    ) -> None:
        self._socket, self._analyzer, self._speech, self._pool = socket, analyzer, speech, pool
        self._max_pixels, self._on_frame = max_pixels, on_frame
        self._stream = analyzer.stream(live=True, keep=False)
        self._newest: tuple[int, float, bytes, float] | None = None
        self._news = asyncio.Event()
        self._dropped, self._is_over = 0, False
        self._sound: _Sound | None = None
        self._voice: LiveVoice | None = None
        self._stack = ExitStack()
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Read and answer until the client ends."""
        await self._send(
            {
                "type": "ready",
                "labels": list(self._analyzer.labels),
                "model": self._analyzer.spec.name,
                "detector": self._analyzer.detector,
                "speech_model": None if self._speech is None else self._speech.spec.name,
                "max_message_bytes": MAX_MESSAGE_BYTES,
            }
        )
        with self._stack:
            tasks = [asyncio.create_task(work()) for work in (self._receive, self._analyze, self._send_segments)]
            try:
                await asyncio.gather(*tasks)
                await self._socket.close(1000)
            except WebSocketDisconnect:
                pass
            except ProblemError as problem:
                await self._socket.close(1007, problem.detail[:120])
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending:
            await self._socket.send_text(to_json(message).decode())

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            data = message.get("bytes")
            if data is None:
                if (message.get("text") or "").replace(" ", "") != '{"type":"end"}':
                    raise ProblemError("bad-request", 'a text message must be {"type": "end"}')
                self._is_over = True
                if self._sound is not None:
                    await asyncio.to_thread(self._end_sound, self._sound)
                self._news.set()
                return
            self._take(data)

    @staticmethod
    def _end_sound(sound: _Sound) -> None:
        while not sound.put(None):
            time.sleep(0.05)

    def _take(self, data: bytes) -> None:
        if len(data) <= HEADER.size:
            raise ProblemError("bad-request", f"a message must have more than {HEADER.size} bytes")
        kind, number, time_s = HEADER.unpack_from(data)
        if kind == IMAGE and math.isfinite(time_s):
            if self._newest is not None:
                self._dropped += 1
            self._newest = number, time_s, data[HEADER.size :], time.monotonic()
            self._news.set()
        elif kind in (INT16, FLOAT32):
            self._take_sound(kind, number, memoryview(data)[HEADER.size :])
        else:
            raise ProblemError("bad-request", "the header must begin with 1, 2 or 3, and hold a finite time")

    def _take_sound(self, kind: int, rate_hz: int, samples: memoryview) -> None:
        if len(samples) % (2 if kind == INT16 else 4) or not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
            raise ProblemError("bad-request", "sound must be whole samples at 4,000 to 192,000 a second")
        if self._speech is None:
            return
        if self._sound is None:
            self._sound = _Sound(rate_hz)
            voice = LiveVoice(self._speech, self._analyzer.labels, microphone=self._sound)
            self._voice = self._stack.enter_context(voice)
        if rate_hz != self._sound.rate_hz:
            raise ProblemError("bad-request", "the rate of the sound must not change")
        wave: NDArray[np.float32]
        if kind == INT16:
            wave = np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(32768)
        else:
            given = np.frombuffer(samples, "<f4")
            wave = np.nan_to_num(given).clip(-1, 1).astype(np.float32)
        self._sound.put(wave)

    async def _analyze(self) -> None:
        loop, last_s = asyncio.get_running_loop(), -math.inf
        while True:
            await self._news.wait()
            self._news.clear()
            newest, self._newest = self._newest, None
            if newest is None:
                if self._is_over:
                    return
                continue
            if self._is_over:
                self._news.set()
            number, time_s, data, came_s = newest
            try:
                if time_s <= last_s:
                    raise InputError(f"the time of frames must rise, but {time_s:g} s follows {last_s:g} s")
                check_number(time_s, "time", low=0)
                frame = await loop.run_in_executor(self._pool, self._read, data, time_s)
                last_s = time_s
            except MienError as error:
                await self._send({"type": "error", "problem": problem_of(error).to_dict(str(number))})
                continue
            delay_s = time.monotonic() - came_s
            self._on_frame(len(frame.faces), delay_s)
            voice, together = (None, None) if self._voice is None else self._voice.current(frame)
            await self._send(
                {
                    "type": "frame",
                    "number": number,
                    "delay_s": round(delay_s, 4),
                    "dropped": self._dropped,
                    "frame": frame.to_dict(),
                    "voice": None if voice is None else voice.to_dict(),
                    "together": None if together is None else together.to_dict(),
                }
            )

    def _read(self, data: bytes, time_s: float) -> VideoFrame:
        pixels = read_image(data, max_pixels=self._max_pixels).pixels
        (frame,) = self._stream.push(pixels, time_s)
        return frame

    async def _send_segments(self) -> None:
        """Send segments of speech as they are settled; after the end, until all are."""
        while True:
            voice, is_last = self._voice, self._is_over
            if voice is not None and is_last:
                await asyncio.to_thread(voice.join, 10.0)
            for segment in () if voice is None else voice.segments():
                await self._send({"type": "speech", "segment": segment.to_dict()})
            if is_last:
                return
            await asyncio.sleep(0.1)
