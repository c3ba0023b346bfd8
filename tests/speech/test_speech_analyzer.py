"""Voices over time: a planted model says how loud a cut is, a planted detector hears speech where there is sound.

For the detector itself see `test_speech_blocks`.
"""

from __future__ import annotations

import pickle
import threading
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import InputError, ModelError
from mien.labels import FER7, RAVDESS8
from mien.options import AudioOptions, ModelOptions
from mien.results import Emotion, SpeechSegment
from mien.speech import analyzer as module
from mien.speech.activity import FRAME
from mien.speech.analyzer import SpeechAnalyzer
from mien.speech.windows import place_windows
from planted import write_planted
from planted_loudness import planted_logits, planted_loudness
from planted_speech import TEMPERATURE
from speech_mixtures import voiced

RATE = 16000
PAD = RATE // 4

ROUNDING = 2e-4
"""The graph computes in float32, and its logits are steep: a millionth of the level is a ten-thousandth of them."""

Wave = NDArray[np.float32]


class Heard:
    """In place of the detector: a frame in which anything sounds is speech, at once."""

    def __init__(self, rate_hz: int, *, rules: Any = None) -> None:
        assert rate_hz == RATE
        self._kept = np.zeros(0, np.float32)

    def push(self, wave: Wave) -> NDArray[np.bool_]:
        self._kept = np.concatenate([self._kept, wave])
        whole = len(self._kept) // FRAME * FRAME
        frames, self._kept = self._kept[:whole].reshape(-1, FRAME), self._kept[whole:]
        return (frames != 0).any(axis=1)

    def flush(self) -> NDArray[np.bool_]:
        return np.array([(self._kept != 0).any()]) if len(self._kept) else np.zeros(0, bool)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_loudness(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def analyzer(record: Path) -> SpeechAnalyzer:
    return SpeechAnalyzer(record, threads=1)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Activity", Heard)


def sound(frames: int, emotion: int) -> Wave:
    """Frames of such a level that the planted model answers with an emotion, if it hears nothing else."""
    level = max(emotion, 0.2) / 40
    signs = np.where(np.arange(frames * FRAME) % 2, 1, -1)
    return (level * signs).astype(np.float32)


def silence(frames: int) -> Wave:
    return np.zeros(frames * FRAME, np.float32)


def expected(wave: Wave, begin: int, end: int, *, window: int = 3 * RATE, hop: int = 3 * RATE // 2) -> NDArray[Any]:
    """The distribution of every sample of a stretch of speech, by brute force."""
    total = np.zeros((end - begin, 8))
    count = np.zeros((end - begin, 1))
    for a, b in place_windows(begin, end, window=window, hop=hop):
        cut = wave[max(a - PAD if a == begin else a, 0) : b + PAD if b == end else b]
        cut = np.pad(cut, (max(RATE // 2 - len(cut), 0) // 2, -(-max(RATE // 2 - len(cut), 0) // 2)))
        logits = planted_logits(cut) / TEMPERATURE
        shares = np.exp(logits - logits.max())
        total[a - begin : b - begin] += shares / shares.sum()
        count[a - begin : b - begin] += 1
    return total / count


def test_speech_between_silences(analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(40), sound(60, 3), silence(50), sound(30, 6), silence(20)])
    result = analyzer.analyze(wave, rate_hz=RATE)
    edges = [0, 40, 100, 150, 180, 200]
    assert [(segment.start_s, segment.end_s) for segment in result.segments] == [
        (0.032 * a, 0.032 * b) for a, b in pairwise(edges)
    ]
    assert [segment.speech for segment in result.segments] == [False, True, False, True, False]
    assert result.duration_s == 6.4
    assert result.model == "planted-speech"
    for segment, (a, b) in zip(result.segments, pairwise(edges), strict=True):
        if not segment.speech:
            assert segment.emotion is None
            continue
        assert segment.emotion is not None
        np.testing.assert_allclose(
            segment.emotion.to_array(), expected(wave, a * FRAME, b * FRAME).mean(axis=0), atol=ROUNDING
        )
    assert result.speech_s == pytest.approx(90 * 0.032)


def test_a_long_stretch_is_answered_window_by_window(analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(10), sound(200, 1), sound(200, 5), sound(111, 2), silence(3)])
    result = analyzer.analyze(wave, rate_hz=RATE)
    every = expected(wave, 10 * FRAME, 521 * FRAME)
    told = [segment for segment in result.segments if segment.speech]
    assert len(told) >= 3
    for segment in told:
        assert segment.emotion is not None
        begin, end = (round(at * RATE) - 10 * FRAME for at in (segment.start_s, segment.end_s))
        assert {RAVDESS8.emotions[k] for k in every[begin:end].argmax(axis=1)} == {segment.emotion.top}
        np.testing.assert_allclose(segment.emotion.to_array(), every[begin:end].mean(axis=0), atol=ROUNDING)
    for one, other in pairwise(told):
        assert one.end_s == other.start_s
        assert one.emotion is not None
        assert other.emotion is not None
        assert one.emotion.top != other.emotion.top


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    parts=st.lists(st.tuples(st.integers(0, 8), st.integers(1, 260)), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 40000), min_size=1, max_size=12),
    rest=st.integers(0, FRAME - 1),
)
def test_the_sizes_of_the_blocks_change_nothing(
    analyzer: SpeechAnalyzer, heard: None, parts: list[tuple[int, int]], sizes: list[int], rest: int
) -> None:
    wave = np.concatenate([*(silence(n) if k == 8 else sound(n, k) for k, n in parts), np.zeros(rest, np.float32)])
    whole = analyzer.analyze(wave, rate_hz=RATE)
    stream, segments, at = analyzer.stream(rate_hz=RATE), list[SpeechSegment](), 0
    while at < len(wave):
        size = sizes[len(segments) % len(sizes)]
        segments += stream.push(wave[at : at + size])
        at += size
    segments += stream.close()
    assert stream.duration_s == whole.duration_s
    assert [(s.start_s, s.end_s, s.speech) for s in segments] == [
        (s.start_s, s.end_s, s.speech) for s in whole.segments
    ]
    for one, other in zip(segments, whole.segments, strict=True):
        if one.emotion is not None and other.emotion is not None:
            np.testing.assert_allclose(one.emotion.to_array(), other.emotion.to_array(), atol=1e-6)
    assert segments[-1].end_s == len(wave) / RATE


def test_segments_come_while_the_recording_goes_on(analyzer: SpeechAnalyzer, heard: None) -> None:
    stream = analyzer.stream(rate_hz=RATE)
    assert stream.push(silence(100)) == ()
    (quiet,) = stream.push(sound(100, 1))
    assert (quiet.start_s, quiet.end_s, quiet.speech) == (0, 3.2, False)
    first, *_ = stream.push(sound(400, 6))
    assert first.emotion is not None
    assert first.end_s < 8
    last = stream.close()
    assert last[-1].end_s == stream.duration_s == 19.2
    assert stream.close() == ()
    with pytest.raises(InputError, match="the stream is closed"):
        stream.push(silence(1))


def test_the_newest_window_of_speech_that_goes_on(analyzer: SpeechAnalyzer, heard: None) -> None:
    stream = analyzer.stream(rate_hz=RATE)
    stream.push(silence(100))
    assert stream.current is None
    assert [segment.speech for segment in stream.push(sound(100, 1)) + stream.push(sound(600, 1))] == [False]
    newest = stream.current
    assert newest is not None
    assert newest.emotion is not None
    assert newest.end_s - newest.start_s == pytest.approx(analyzer.window_s)
    assert stream.duration_s - newest.end_s < analyzer.hop_s + 1
    ended = stream.push(silence(100))
    assert [segment.emotion.top for segment in ended if segment.emotion is not None] == [newest.emotion.top]
    assert stream.current is None


def test_four_hours_need_no_more_memory_than_minutes(analyzer: SpeechAnalyzer, heard: None) -> None:
    def peak(blocks: int) -> int:
        stream = analyzer.stream(rate_hz=RATE)
        quiet, loud = silence(1875), sound(1875, 4)  # a minute each
        count = 0
        tracemalloc.start()
        for number in range(blocks):
            spoken = number % 90 in (0, 1)
            count += len(stream.push(loud if spoken else quiet))
        count += len(stream.close())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert stream.duration_s == 60 * blocks
        assert count >= 2 * (blocks // 90)
        return most

    few, many = peak(4), peak(240)
    assert many < 1.2 * few + 100_000


def test_speech_that_never_pauses_is_told_as_it_goes(analyzer: SpeechAnalyzer, heard: None) -> None:
    def peak(minutes: int) -> int:
        stream = analyzer.stream(rate_hz=RATE)
        blocks = [sound(1875, emotion) for emotion in (4, 7)]
        told_s = 0.0
        tracemalloc.start()
        for number in range(minutes):
            for segment in stream.push(blocks[number % 2]):
                assert segment.speech
                assert segment.start_s == told_s
                told_s = segment.end_s
            # All but what has the emotion of the last minute is told.
            assert told_s >= 60 * number - 10
        stream.close()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(60) < 1.2 * peak(3) + 35_000


def test_too_little_speech_is_told(analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(30), sound(8, 3), silence(30)])
    short = analyzer.analyze(wave, rate_hz=RATE).segments[1]
    assert short.warnings == ("only 0.3 s of speech",)
    assert short.emotion is not None
    np.testing.assert_allclose(short.emotion.to_array(), expected(wave, 30 * FRAME, 38 * FRAME)[0], atol=ROUNDING)


def test_a_change_of_emotion_is_found_at_a_short_pause(analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(30), sound(60, 3), silence(8), sound(50, 6), silence(30)])
    _, first, second, _ = analyzer.analyze(wave, rate_hz=RATE).segments
    # What is said before a short pause is shown until the voice goes on.
    assert (first.start_s, first.end_s, second.end_s) == (30 * 0.032, 98 * 0.032, 148 * 0.032)
    assert second.start_s == first.end_s
    assert first.emotion is not None
    assert second.emotion is not None
    assert first.emotion.top != second.emotion.top


def test_a_short_pause_within_one_emotion_ends_no_segment(analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(30), sound(60, 3), silence(8), sound(50, 3), silence(30)])
    assert [segment.speech for segment in analyzer.analyze(wave, rate_hz=RATE).segments] == [False, True, False]


def test_little_speech_before_a_short_pause_is_read_with_what_follows(analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(30), sound(12, 3), silence(8), sound(50, 6), silence(30)])
    (spoken,) = [segment for segment in analyzer.analyze(wave, rate_hz=RATE).segments if segment.speech]
    assert (spoken.start_s, spoken.end_s) == (30 * 0.032, 100 * 0.032)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 7.7])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 192000])
def test_silence_and_noise_are_no_speech(analyzer: SpeechAnalyzer, seconds: float, rate_hz: int) -> None:
    n = round(seconds * rate_hz)
    noise = (0.1 * np.random.default_rng(0).standard_normal(n)).astype(np.float32)
    for wave in (np.zeros(n, np.float32), noise):
        result = analyzer.analyze(wave, rate_hz=rate_hz)
        assert result.duration_s == n / rate_hz
        assert [(s.start_s, s.end_s, s.speech) for s in result.segments] == ([(0, n / rate_hz, False)] if n else [])
        assert result.summary.emotion is None


def test_an_offset_changes_nothing(analyzer: SpeechAnalyzer) -> None:
    quiet = np.zeros(RATE, np.float32)
    wave = np.concatenate([quiet, 0.5 * voiced(2 * RATE, np.random.default_rng(0)), quiet])
    plain, shifted = (analyzer.analyze(w, rate_hz=RATE) for w in (wave, wave + np.float32(0.4)))
    assert [s.speech for s in plain.segments] == [s.speech for s in shifted.segments]
    assert any(segment.speech for segment in plain.segments)


def test_noisy_speech_is_noted(analyzer: SpeechAnalyzer) -> None:
    random = np.random.default_rng(0)
    quiet = np.zeros(2 * RATE, np.float32)
    wave = np.concatenate([quiet, voiced(4 * RATE, random), quiet])
    wave = (0.1 * wave / wave.std() + 0.1 * random.standard_normal(len(wave))).astype(np.float32)
    noted = [warning for s in analyzer.analyze(wave, rate_hz=RATE).segments for warning in s.warnings]
    assert any("above the background" in warning for warning in noted)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_a_voice_is_found_at_any_rate(analyzer: SpeechAnalyzer, rate_hz: int) -> None:
    quiet = np.zeros(2 * RATE, np.float32)
    wave = np.concatenate([quiet, voiced(2 * RATE, np.random.default_rng(0)), quiet])
    at = np.arange(round(len(wave) * rate_hz / RATE)) * RATE / rate_hz
    told = analyzer.analyze(np.interp(at, np.arange(len(wave)), wave).astype(np.float32), rate_hz=rate_hz)
    spoken = [segment for segment in told.segments if segment.speech]
    assert 1.9 < spoken[0].start_s < 2.6
    assert 3.4 < spoken[-1].end_s < 4.4
    assert all(before.end_s == after.start_s for before, after in pairwise(spoken))
    assert told.segments[-1].end_s == told.duration_s == pytest.approx(6)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros((4, 2), np.float32), "wave must be float32 of shape"),
        (np.zeros(4, np.int16), "but got int16"),
        ([0.0, 0.1], "but got an object of type list"),
        (np.array([0, np.nan], np.float32), "holds NaN"),
        (np.array([0, -np.inf], np.float32), "infinity"),
    ],
)
def test_what_is_no_wave_is_refused(analyzer: SpeechAnalyzer, wave: Any, message: str) -> None:
    for call in (analyzer.analyze, analyzer.clip_logits):
        with pytest.raises(InputError, match=message):
            call(wave, rate_hz=RATE)
    with pytest.raises(InputError, match=message):
        analyzer.logits(wave)
    with pytest.raises(InputError, match=message):
        analyzer.stream(rate_hz=RATE).push(wave)


@pytest.mark.parametrize("rate_hz", [0, 999, 400_000, 16000.5, "16000"])
def test_rates_that_make_no_sense_are_refused(analyzer: SpeechAnalyzer, rate_hz: Any) -> None:
    with pytest.raises(InputError, match="rate_hz"):
        analyzer.analyze(np.zeros(10, np.float32), rate_hz=rate_hz)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_s": 0.1}, "window_s"),
        ({"window_s": 5000}, "window_s"),
        ({"hop_s": 0}, "hop_s"),
        ({"hop_s": 3.5}, "hop_s"),
        ({"window_s": 1.0, "hop_s": 1.5}, "hop_s"),
        ({"threads": 0}, "threads"),
    ],
)
def test_options_that_make_no_sense_are_refused(record: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpeechAnalyzer(record, **options)


def test_windows_are_the_records_unless_others_are_asked_for(record: Path) -> None:
    def told(**options: float) -> tuple[float, float]:
        made = SpeechAnalyzer(record, threads=1, **options)  # type: ignore[arg-type]
        return made.window_s, made.hop_s

    assert told() == (3.0, 1.5)
    assert told(window_s=2.0) == (2.0, 1.0)
    assert told(hop_s=0.5) == (3.0, 0.5)
    assert told(window_s=4.0, hop_s=4.0) == (4.0, 4.0)


def test_an_analyzer_pickles_as_its_options(record: Path, analyzer: SpeechAnalyzer) -> None:
    own = SpeechAnalyzer.from_options(ModelOptions(speech_model=record), AudioOptions(window_s=2.0))
    again = pickle.loads(pickle.dumps(own))
    assert (again.options, again.window_s, again.hop_s) == (own.options, 2.0, 1.0)
    wave = sound(10, 3)
    np.testing.assert_array_equal(again.logits(wave)[again.output.name], analyzer.logits(wave)[analyzer.output.name])


def test_a_model_for_faces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is for face-emotion: reading voices needs one for speech-emotion"):
        SpeechAnalyzer(write_planted(tmp_path))


def test_answers_in_another_label_set(record: Path, analyzer: SpeechAnalyzer, heard: None) -> None:
    wave = np.concatenate([silence(10), sound(94, 1), silence(10)])
    own = analyzer.analyze(wave, rate_hz=RATE).segments[1].emotion
    seven = SpeechAnalyzer(record, output="fer7", threads=1).analyze(wave, rate_hz=RATE).segments[1].emotion
    assert isinstance(own, Emotion)
    assert isinstance(seven, Emotion)
    assert seven.labels == FER7
    # Calm has no place among the seven: it counts as neutral.
    assert seven["neutral"] == pytest.approx(own["neutral"] + own["calm"])
    assert seven["fear"] == pytest.approx(own["fear"])
    with pytest.raises(ModelError, match="has no output 'chess'"):
        SpeechAnalyzer(record, output="chess")


def test_a_whole_clip_is_cut_to_its_speech(analyzer: SpeechAnalyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = np.concatenate([silence(40), sound(60, 3), silence(50)])
    monkeypatch.setattr(module, "speech_bounds", lambda given, *, rate_hz, pad_s: (40 * FRAME, 100 * FRAME))
    found = analyzer.clip_logits(wave, rate_hz=RATE)["ravdess8"]
    np.testing.assert_allclose(found, planted_logits(sound(60, 3)), rtol=1e-4, atol=1e-4)


def test_a_net_that_wants_silence_gets_it(tmp_path: Path) -> None:
    path = planted_loudness(tmp_path)
    path.write_text(path.read_text().replace("pad_s = 0.25\n", "pad_s = 0.25\ntrim = false\n"))
    wave = np.concatenate([silence(40), sound(60, 3), silence(50)])
    found = SpeechAnalyzer(path, threads=1).clip_logits(wave, rate_hz=RATE)["ravdess8"]
    np.testing.assert_allclose(found, planted_logits(wave), rtol=1e-4, atol=1e-4)


def test_a_cut_that_is_too_short_lies_in_the_middle_of_silence(analyzer: SpeechAnalyzer) -> None:
    cut = sound(4, 7)
    padded = np.pad(cut, ((RATE // 2 - len(cut)) // 2,) * 2)
    np.testing.assert_allclose(analyzer.logits(cut)["ravdess8"], planted_logits(padded), rtol=1e-4, atol=1e-4)


def test_many_threads_get_what_one_would(analyzer: SpeechAnalyzer) -> None:
    waves = [voiced((2 + k) * RATE, np.random.default_rng(k)) for k in range(4)]
    alone = analyzer.analyze_many(waves, rate_hz=RATE)
    together: dict[int, Any] = {}

    def work(number: int) -> None:
        together[number] = analyzer.analyze(waves[number], rate_hz=RATE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(4)] == alone


def test_neighbors_of_one_emotion_in_the_labels_asked_for_are_one_segment(record: Path, heard: None) -> None:
    # Neutral, then calm: two emotions of ravdess8, one of fer7.
    wave = np.concatenate([silence(10), sound(200, 0), sound(200, 1), silence(40)])
    eight, seven = (SpeechAnalyzer(record, output=name, threads=1) for name in ("ravdess8", "fer7"))
    found = [segment for segment in eight.analyze(wave, rate_hz=RATE).segments if segment.speech]
    assert [segment.emotion.top for segment in found if segment.emotion] == ["neutral", "calm"]
    (one,) = [segment for segment in seven.analyze(wave, rate_hz=RATE).segments if segment.speech]
    assert one.emotion is not None
    assert one.emotion.top == "neutral"
    assert (one.start_s, one.end_s) == (found[0].start_s, found[1].end_s)
