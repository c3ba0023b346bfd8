from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mien.errors import MediaError, MediaNotFoundError, MissingExtraError
from mien.io import microphone
from mien.io.microphone import Microphone
from mien.labels import FER7
from mien.live import LiveVoice
from mien.results import Emotion, Face, TrackedFace, VideoFrame
from mien.speech.analyzer import SpeechAnalyzer
from planted_speech import RATE_HZ, planted_speech, recording


class PortAudioError(Exception):
    pass


class Device(ModuleType):
    """What `sounddevice` is to a program, with a recording in the place of a microphone, ten times as fast."""

    PortAudioError = PortAudioError

    def __init__(self, wave: Any, *, there: bool = True, opens: bool = True) -> None:
        super().__init__("sounddevice")
        self.wave, self.there, self.opens = np.asarray(wave, np.float32), there, opens
        self.closed = 0

    def query_devices(self, *, kind: str) -> dict[str, Any]:
        assert kind == "input"
        if not self.there:
            raise PortAudioError("Error querying device -1")
        return {"name": "Planted", "default_samplerate": float(RATE_HZ)}

    def InputStream(self, **options: Any) -> Stream:
        if not self.opens:
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        assert (options["channels"], options["dtype"], options["samplerate"]) == (1, "float32", RATE_HZ)
        return Stream(self, options["callback"], options["blocksize"])


class Stream:
    def __init__(self, device: Device, callback: Any, size: int) -> None:
        self.device, self.callback, self.size = device, callback, size
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        for begin in range(0, len(self.device.wave), self.size):
            self.callback(self.device.wave[begin : begin + self.size, None], self.size, None, None)
            if self.over.wait(self.size / RATE_HZ / 10):
                return

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.device.closed += 1


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def planted(wave: Any = (), **more: Any) -> Device:
        device = Device(wave, **more)
        monkeypatch.setitem(sys.modules, "sounddevice", device)
        return device

    return planted


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> SpeechAnalyzer:
    return SpeechAnalyzer(planted_speech(tmp_path_factory.mktemp("model")))


def seen(**shares: float) -> VideoFrame:
    rest = (1 - sum(shares.values())) / (len(FER7) - len(shares))
    emotion = Emotion(FER7, tuple(shares.get(name, rest) for name in FER7.emotions))
    return VideoFrame(0.0, 640, 480, (TrackedFace(1, Face((0, 0, 100, 100), 0.9, None, emotion), emotion, True, 0.3),))


def test_what_is_said_is_heard_and_joined_with_the_face(plant: Any, analyzer: SpeechAnalyzer) -> None:
    device = plant(recording([(None, 1.0), ("anger", 4.0), (None, 2.0)]))
    messages: list[str] = []
    with LiveVoice(analyzer, FER7, on_message=messages.append) as listening:
        assert listening.current(None) == (None, None)
        until, segments = time.monotonic() + 20, []
        while time.monotonic() < until and not any(segment.emotion for segment in segments):
            segments += listening.segments()
            time.sleep(0.01)
        voice, together = listening.current(seen(anger=0.6))
        assert voice is not None
        assert together is not None
        assert (voice.top, together.top) == ("anger", "anger")
        assert together.labels == FER7
        assert together.confidence > 0.6
        assert listening.current(VideoFrame(0.0, 640, 480))[1] is None
        assert listening.current(None) == (voice, None)
        sure, other = listening.current(seen(happiness=0.97))[1], listening.current(seen(happiness=0.3))[1]
        assert sure is not None
        assert other is not None
        assert sure["happiness"] > other["happiness"]
    heard = next(segment for segment in segments if segment.emotion)
    assert heard.start_s == pytest.approx(1.0, abs=0.3)
    assert (messages, device.closed) == ([], 1)


def test_what_was_said_is_forgotten(plant: Any, analyzer: SpeechAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.live.VOICE_S", 0.0)
    plant(recording([("anger", 3.0), (None, 2.0)]))
    with LiveVoice(analyzer, FER7) as listening:
        until = time.monotonic() + 20
        while time.monotonic() < until and not any(segment.emotion for segment in listening.segments()):
            time.sleep(0.01)
        assert listening.current(seen(anger=0.6)) == (None, None)


def test_what_does_not_end_counts_and_is_kept(plant: Any, analyzer: SpeechAnalyzer) -> None:
    device = plant(recording([("anger", 30.0)]))
    with LiveVoice(analyzer, FER7) as listening:
        until, voice = time.monotonic() + 20, None
        while time.monotonic() < until and voice is None:
            voice = listening.current(None)[0]
            time.sleep(0.01)
        assert voice is not None
        assert voice.top == "anger"
        assert [segment.speech for segment in listening.segments()] == [False]
    assert device.closed == 1
    assert [segment.emotion.top for segment in listening.segments() if segment.emotion is not None] == ["anger"]


def test_a_microphone_that_is_lost_is_told(
    plant: Any, analyzer: SpeechAnalyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "_SILENT_S", 0.2)
    plant(np.zeros(RATE_HZ // 10, np.float32))
    messages: list[str] = []
    with LiveVoice(analyzer, FER7, on_message=messages.append):
        until = time.monotonic() + 10
        while not messages and time.monotonic() < until:
            time.sleep(0.01)
    assert messages == ["the microphone 'Planted' is lost: it gives no more sound"]


def test_broken_samples_do_no_harm(plant: Any) -> None:
    plant(np.array([np.nan, np.inf, -np.inf, 2, 0.5], np.float32))
    with Microphone() as microphone:
        assert microphone.rate_hz == RATE_HZ
        block = microphone.read(threading.Event())
        assert block is not None
        assert block.tolist() == [0, 1, -1, 1, 0.5]
        stop = threading.Event()
        stop.set()
        assert microphone.read(stop) is None


def test_no_microphone(plant: Any) -> None:
    plant(there=False)
    with pytest.raises(MediaNotFoundError, match=r"there is no microphone \(Error querying device -1\)"):
        Microphone()
    plant(opens=False)
    with pytest.raises(MediaError, match="the microphone 'Planted' cannot be opened: Device unavailable"):
        Microphone()


def test_the_package_or_its_library_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r'needs sounddevice: pip install "mien\[microphone\]"'):
        Microphone()
    monkeypatch.delitem(sys.modules, "sounddevice")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MediaError, match=r"needs the library PortAudio \(PortAudio library not found\).*libportaudio2"):
        Microphone()
