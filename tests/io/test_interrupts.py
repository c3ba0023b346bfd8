"""Ctrl-C while FFmpeg reads: it is raised, whenever it comes, and is neither damage nor the end of a file."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

from mien.io._audio_decoder import AudioDecoder
from mien.io._video_decoder import VideoDemuxer
from mien.io.container import PeekedFile
from mien.output._sound import SoundTrack, open_source
from planted_videos import numbered_video
from sounds import encoded, sine, wav

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no such signal for oneself")


def read_sound(source: Any) -> list[str]:
    decoder = AudioDecoder(source)
    assert list(decoder.pieces())
    decoder.close()
    return decoder.warnings


def read_images(source: Any) -> list[str]:
    demuxer = VideoDemuxer(source)
    assert list(demuxer.packets())
    if demuxer.can_seek:
        assert next(demuxer.seek(Fraction(1))).size
    demuxer.close()
    return demuxer.warnings


def copy_sound(source: Any) -> list[str]:
    opened = open_source(source)
    track = SoundTrack(opened, opened.zero + 40, None)
    track._seek()
    assert list(track._demux())
    track.close()
    return track.warnings


READ = [(read_sound, "wav"), (read_sound, "m4a"), (read_images, "mp4"), (read_images, "mkv"), (copy_sound, "sound")]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    found = {
        "wav": wav(sine(16000, 3.0), 16000),
        "m4a": encoded(sine(16000, 3.0), 16000, "mp4", "aac"),
        "sound": encoded(sine(16000, 50.0), 16000, "mp4", "aac", images=True),
    }
    for name, container in (("mp4", "mp4"), ("mkv", "matroska")):
        stream = io.BytesIO()
        numbered_video(stream, 60, container=container)
        found[name] = stream.getvalue()
    return found


class Calls:
    """Counts what FFmpeg calls of a file; at the first step of one call, Ctrl-C comes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count, self.at = 0, 0
        for name in ("read", "seek"):
            patch.setattr(PeekedFile, name, self._struck(getattr(PeekedFile, name)))

    def _struck(self, method: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGINT)
            return method(*arguments)

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture(autouse=True)
def handlers_stay() -> Iterator[None]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(("read", "name"), READ)
def test_ctrl_c_in_any_call_is_raised(read: Any, name: str, files: dict[str, bytes], calls: Calls) -> None:
    assert read(files[name]) == []
    assert calls.count > 5
    for at in range(1, calls.count + 1):
        calls.count, calls.at = 0, at
        with pytest.raises(KeyboardInterrupt):
            read(files[name])


@pytest.mark.parametrize("handler", ["silent", "exits"])
@pytest.mark.parametrize(("read", "name"), READ)
def test_other_handlers(read: Any, name: str, handler: str, files: dict[str, bytes], calls: Calls) -> None:
    taken: list[int] = []

    def take(number: int, _frame: object) -> None:
        taken.append(number)
        if handler == "exits":
            raise SystemExit(7)

    before, calls.at = signal.signal(signal.SIGINT, take), 3
    try:
        if handler == "exits":
            with pytest.raises(SystemExit):
                read(files[name])
        else:
            assert read(files[name]) == []
    finally:
        signal.signal(signal.SIGINT, before)
    assert taken == [signal.SIGINT]


class Pipe:
    """Brings some bytes, and then lets wait."""

    def __init__(self, data: bytes, wait: Callable[[], None]) -> None:
        self._data, self._wait = io.BytesIO(data), wait

    def read(self, size: int = -1) -> bytes:
        piece = self._data.read(size)
        if not piece:
            self._wait()
            raise AssertionError("waits on after Ctrl-C")
        return piece


@pytest.mark.parametrize(("read", "name"), [(read_sound, "wav"), (read_images, "mkv")])
def test_ctrl_c_ends_the_wait_for_a_pipe(read: Any, name: str, files: dict[str, bytes]) -> None:
    def wait() -> None:
        threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        time.sleep(20)

    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        read(Pipe(files[name][:-1000], wait))
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize(("read", "name"), [(read_sound, "wav"), (read_images, "mkv")])
def test_no_wait_begins_after_ctrl_c(read: Any, name: str, files: dict[str, bytes], calls: Calls) -> None:
    def wait() -> None:
        waits.append(calls.count)
        raise KeyboardInterrupt

    waits: list[int] = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            read(Pipe(files[name][:-1000], wait))
        calls.at, calls.count = waits[0], 0  # at the first step of the read that would wait
    assert len(waits) == 1
