"""Streams with the detector of speech itself: blocks of any size, at any rate, in buffers that are used again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.models import ModelSpec, registry
from mien.results import SpeechSegment
from mien.speech.analyzer import SpeechAnalyzer
from planted_speech import answer, planted_speech, recording

RATE = 16000
PARTS = ((None, 0.7), ("anger", 5.0), (None, 1.0), ("happiness", 2.0), (None, 0.55), ("sadness", 0.6), ("calm", 0.4))

Wave = NDArray[np.float32]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return registry.get(planted_speech(tmp_path_factory.mktemp("voice")))


@pytest.fixture(scope="module")
def analyzer(spec: ModelSpec) -> SpeechAnalyzer:
    return SpeechAnalyzer(spec, threads=1)


@pytest.fixture(scope="module")
def sound() -> Wave:
    return recording(PARTS)


def streamed(
    analyzer: SpeechAnalyzer, wave: Wave, sizes: list[int], *, rate_hz: int = RATE
) -> tuple[SpeechSegment, ...]:
    """Push a recording in blocks of these sizes, again and again."""
    stream = analyzer.stream(rate_hz=rate_hz)
    segments: list[SpeechSegment] = []
    at = number = 0
    while at < len(wave):
        segments += stream.push(wave[at : at + sizes[number % len(sizes)]])
        at += sizes[number % len(sizes)]
        number += 1
    return (*segments, *stream.close())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(sizes=st.lists(st.integers(1, 70_000), min_size=1, max_size=6))
def test_blocks_of_any_sizes_give_the_same_to_the_last_bit(
    analyzer: SpeechAnalyzer, sound: Wave, sizes: list[int]
) -> None:
    if sum(sizes) < 50 * len(sizes):
        sizes = [*sizes, 5000]
    assert streamed(analyzer, sound, sizes) == analyzer.analyze(sound, rate_hz=RATE).segments


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 44_100, 192_000])
def test_at_other_rates_they_do_so_too(analyzer: SpeechAnalyzer, rate_hz: int) -> None:
    wave = recording(PARTS, rate_hz=rate_hz)
    whole = analyzer.analyze(wave, rate_hz=rate_hz)
    assert [segment.speech for segment in whole.segments][:2] == [False, True]
    for sizes in ([rate_hz // 7], [997, 3 * rate_hz + 1], [1024]):
        assert streamed(analyzer, wave, sizes, rate_hz=rate_hz) == whole.segments


@pytest.mark.parametrize("pad_s", [0.0, 0.5, 3.0])
def test_what_is_heard_around_the_speech_does_not_depend_on_what_came_in(
    spec: ModelSpec, sound: Wave, pad_s: float
) -> None:
    assert spec.sound is not None
    wide = SpeechAnalyzer(dataclasses.replace(spec, sound=dataclasses.replace(spec.sound, pad_s=pad_s)), threads=1)
    whole = wide.analyze(sound, rate_hz=RATE).segments
    for size in (512, 7001, 48_000):
        assert streamed(wide, sound, [size]) == whole


def test_a_buffer_may_be_used_again(analyzer: SpeechAnalyzer, sound: Wave) -> None:
    stream, buffer = analyzer.stream(rate_hz=RATE), np.zeros(1600, np.float32)
    segments: list[SpeechSegment] = []
    for at in range(0, len(sound), len(buffer)):
        part = sound[at : at + len(buffer)]
        buffer[: len(part)] = part
        segments += stream.push(buffer[: len(part)])
        buffer[:] = np.nan
    assert (*segments, *stream.close()) == analyzer.analyze(sound, rate_hz=RATE).segments


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
def test_the_last_segment_ends_with_the_recording(analyzer: SpeechAnalyzer, rate_hz: int) -> None:
    wave = recording([("fear", 2.0)], rate_hz=rate_hz)
    for cut in (0, 1, 2, 161, 511):
        result = analyzer.analyze(wave[: len(wave) - cut], rate_hz=rate_hz)
        assert result.duration_s == result.segments[-1].end_s == (len(wave) - cut) / rate_hz


def test_the_detector_and_the_tones_are_heard_where_they_are(analyzer: SpeechAnalyzer) -> None:
    parts = ((None, 1.0), ("anger", 6.0), (None, 1.5), ("surprise", 2.5), (None, 1.0))
    segments = analyzer.analyze(recording(parts), rate_hz=RATE).segments
    assert [segment.emotion and segment.emotion.top for segment in segments] == [None, "anger", None, "surprise", None]
    assert [segment.end_s for segment in segments] == pytest.approx([1.0, 7.0, 8.5, 11.0, 12.0], abs=0.15)
    for segment in segments:
        if segment.emotion is not None:
            # Nothing but one tone sounds, and the silence beside the speech holds none.
            top = segment.emotion.top
            assert segment.emotion.confidence == pytest.approx(answer(**{top: 1.0})[top], abs=2e-3)


def test_a_change_within_speech_is_found_within_a_window(analyzer: SpeechAnalyzer) -> None:
    result = analyzer.analyze(recording([(None, 1.0), ("disgust", 7.0), ("calm", 7.0)]), rate_hz=RATE)
    assert [segment.emotion and segment.emotion.top for segment in result.segments] == [None, "disgust", "calm"]
    assert result.segments[1].end_s == pytest.approx(8.0, abs=1.5)
    assert result.summary.seconds == pytest.approx({"disgust": 7.0, "calm": 7.0}, abs=1.5)
