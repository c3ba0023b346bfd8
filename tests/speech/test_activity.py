"""Where somebody speaks: rules against a plain reference, blocks against the whole, mixtures against planted truth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import InputError
from mien.io.audio import read_audio
from mien.io.resample import resample
from mien.speech.activity import FRAME_S, Activity, Rules, _Decisions, speech_bounds, speech_segments
from speech_mixtures import (
    RATE,
    Marks,
    babble,
    clips_of,
    conversation,
    hum,
    marks_of,
    music,
    runs,
    truth_of,
    voiced,
    white,
    with_noise,
)

HALF_MINUTE = 30 * RATE


# --- what is no speech ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["silence", "white", "hum", "music", "clicks", "sweep"])
@pytest.mark.parametrize("level", [0.01, 1.0])
def test_what_is_no_speech_gives_no_segment(kind: str, level: float) -> None:
    random = np.random.default_rng(0)
    times = np.arange(HALF_MINUTE) / RATE
    wave = {
        "silence": lambda: np.zeros(HALF_MINUTE),
        "white": lambda: 0.2 * white(HALF_MINUTE, random),
        "hum": lambda: hum(HALF_MINUTE),
        "music": lambda: music(HALF_MINUTE, random),
        "clicks": lambda: (np.arange(HALF_MINUTE) % 4000 < 3).astype(float),
        "sweep": lambda: 0.3 * np.sin(2 * np.pi * (50 + 120 * times) * times),
    }[kind]()
    assert speech_segments((level * wave).astype(np.float32), rate_hz=RATE) == []


def test_nothing_at_all() -> None:
    assert speech_segments(np.zeros(0, np.float32), rate_hz=RATE) == []
    assert speech_segments(np.ones(1, np.float32), rate_hz=8000) == []


# --- speech -----------------------------------------------------------------------------------------------------------


def test_a_synthetic_voice_is_found_between_silences() -> None:
    silence = np.zeros(2 * RATE, np.float32)
    voice = voiced(2 * RATE, np.random.default_rng(0))
    segments = speech_segments(np.concatenate([silence, voice, silence]), rate_hz=RATE)
    assert segments
    assert min(begin for begin, _ in segments) > 1.9
    assert max(end for _, end in segments) < 4.3
    assert sum(end - begin for begin, end in segments) > 1.0


def test_digital_silence_is_decided_as_silence_is_but_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = voiced(2 * RATE, np.random.default_rng(0))
    wave = np.concatenate([voice, np.zeros(round(150.3 * RATE), np.float32), voice, np.zeros(90 * RATE, np.float32)])
    expected = speech_segments(wave + np.float32(1e-9), rate_hz=RATE)  # no sample is zero: all is read
    activity, frames = Activity(RATE), 0
    run = activity._session.run

    def count(feeds: dict[str, Any]) -> Any:
        nonlocal frames
        frames += len(feeds["input"])
        return run(feeds)

    monkeypatch.setattr(activity._session, "run", count)
    assert speech_segments(wave, rate_hz=RATE) == expected
    assert len(expected) >= 2
    assert frames * FRAME_S == pytest.approx(4 + 2 * 60, abs=0.2)
    marks = np.concatenate([*(activity.push(part) for part in np.array_split(wave, 97)), activity.flush()])
    assert [begin * FRAME_S for begin, _ in runs(marks)] == pytest.approx([begin for begin, _ in expected])


def test_the_bounds_of_an_utterance_are_its_first_and_last_speech_with_some_room() -> None:
    silence = np.zeros(2 * RATE, np.float32)
    random = np.random.default_rng(0)
    wave = np.concatenate([silence, voiced(RATE, random), silence[:RATE], voiced(RATE, random), silence])
    segments = speech_segments(wave, rate_hz=RATE)
    assert len(segments) > 1
    for pad_s in (0.0, 0.25):
        begin, end = speech_bounds(wave, rate_hz=RATE, pad_s=pad_s)
        assert begin == round((segments[0][0] - pad_s) * RATE)
        assert end == round((segments[-1][1] + pad_s) * RATE)
    assert speech_bounds(wave, rate_hz=RATE, pad_s=60.0) == (0, len(wave))


def test_without_speech_the_bounds_are_those_of_the_recording() -> None:
    assert speech_bounds(np.zeros(RATE, np.float32), rate_hz=RATE) == (0, RATE)
    assert speech_bounds(np.zeros(0, np.float32), rate_hz=RATE) == (0, 0)
    with pytest.raises(InputError, match="pad_s"):
        speech_bounds(np.zeros(RATE, np.float32), rate_hz=RATE, pad_s=-1.0)


@pytest.mark.data
@pytest.mark.parametrize(
    ("noise", "ratio_db", "precision", "recall"),
    [("none", 0, 0.85, 0.85), ("white", 10, 0.85, 0.85), ("white", 5, 0.85, 0.8), ("babble", 5, 0.2, 0.8)],
)
def test_mixtures(data_dir: Path, noise: str, ratio_db: float, precision: float, recall: float) -> None:
    folder = data_dir / "ravdess_speech_16k"
    clips, others = clips_of(folder, range(11, 19)), clips_of(folder, range(19, 21))
    random = np.random.default_rng(5)
    hits = claimed = there = 0
    for _ in range(4):
        mixture = conversation(clips, random)
        if noise != "none":
            n = len(mixture.wave)
            mixture = with_noise(mixture, white(n, random) if noise == "white" else babble(n, others, random), ratio_db)
        found = marks_of(speech_segments(mixture.wave, rate_hz=RATE), len(mixture.truth))
        hits += int((found & mixture.truth).sum())
        claimed += int(found.sum())
        there += int(mixture.truth.sum())
    assert hits / claimed > precision
    assert hits / there > recall


@pytest.mark.data
def test_any_rate(data_dir: Path) -> None:
    random = np.random.default_rng(6)
    mixture = conversation(clips_of(data_dir / "ravdess_speech_16k", range(11, 13)), random)
    expected = speech_segments(mixture.wave, rate_hz=RATE)
    for rate in (44100, 48000, 22050):
        segments = speech_segments(resample(mixture.wave, RATE, rate), rate_hz=rate)
        assert len(segments) == len(expected)
        np.testing.assert_allclose(segments, expected, atol=3 * FRAME_S)


def test_truth_of_a_planted_recording() -> None:
    random = np.random.default_rng(1)
    clip = (1e-4 * random.normal(size=3 * RATE)).astype(np.float32)
    clip[RATE : 2 * RATE] += 0.1 * white(RATE, random)
    ((begin, end),) = runs(truth_of(clip))
    assert abs(begin - 100) <= 1
    assert abs(end - 200) <= 1


# --- streaming --------------------------------------------------------------------------------------------------------


def decisions(wave: NDArray[np.float32], rate: int, size: int) -> Marks:
    activity = Activity(rate)
    parts = [activity.push(wave[k : k + size]) for k in range(0, len(wave), size)]
    return np.concatenate([*parts, activity.flush()])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_sizes_of_blocks_do_not_show(rate: int) -> None:
    random = np.random.default_rng(2)
    voice = voiced(2 * rate, random)
    wave = np.concatenate([np.zeros(rate, np.float32), voice, np.zeros(rate // 3, np.float32), voice])
    whole = decisions(wave, rate, len(wave))
    assert len(whole) == math.ceil(math.ceil(len(wave) * 16000 / rate) / 512)
    assert whole.any()
    for size in (97, 512, 1000, 16000):
        np.testing.assert_array_equal(decisions(wave, rate, size), whole)


def test_decisions_come_soon() -> None:
    activity = Activity(RATE)
    voice = np.concatenate([np.zeros(RATE, np.float32), voiced(4 * RATE, np.random.default_rng(0))])
    given_out = 0
    for heard, begin in enumerate(range(0, len(voice), 512), start=1):
        given_out += len(activity.push(voice[begin : begin + 512]))
        # A quarter of a second of pause and a frame, half a second of looking ahead.
        assert heard - given_out <= 9 + 16


@pytest.mark.parametrize("level_db", [-20, -30, -40])
def test_faint_speech_is_found_as_loud_speech_is(level_db: float) -> None:
    silence = np.zeros(RATE, np.float32)
    wave = np.concatenate([silence, 0.1 * voiced(2 * RATE, np.random.default_rng(0)), silence])
    # Noise of the room, 50 dB below the voice, without which silence would stay silence at any gain.
    wave += (1e-4 * np.random.default_rng(1).normal(size=len(wave))).astype(np.float32)
    faint = speech_segments(wave * np.float32(10 ** (level_db / 20)), rate_hz=RATE)
    assert np.allclose(faint, speech_segments(wave, rate_hz=RATE), atol=0.1)
    assert sum(end - begin for begin, end in faint) > 1.0


@pytest.mark.data
def test_faint_speech_of_every_emotion_is_found(data_dir: Path) -> None:
    found: dict[str, list[float]] = {}
    for path in clips_of(data_dir / "ravdess_speech_16k", range(11, 15))[::8]:
        clip = read_audio(path, rate_hz=RATE).wave
        truth = truth_of(clip)
        marks = marks_of(speech_segments(clip * np.float32(10**-1.5), rate_hz=RATE), len(truth))
        found.setdefault(path.name.split("-")[2], []).append(float(marks[truth].mean()))
    shares = [float(np.mean(values)) for values in found.values()]
    assert len(shares) > 4
    assert min(shares) > 0.85


def test_an_empty_block_changes_nothing() -> None:
    activity = Activity(RATE)
    assert len(activity.push(np.zeros(0, np.float32))) == 0
    assert len(activity.flush()) == 0


# --- rules ------------------------------------------------------------------------------------------------------------


def reference(probabilities: list[float], rules: Rules) -> Marks:
    """Apply the rules to the whole: hysteresis, close short pauses, drop short speech, pad, cut out longer pauses."""
    cut_s = rules.least_pause_s if rules.least_cut_s is None else rules.least_cut_s
    frames = [max(1, round(v / FRAME_S)) for v in (rules.least_speech_s, rules.least_pause_s, cut_s)]
    pad = round(rules.pad_s / FRAME_S)
    raw, speaking = np.zeros(len(probabilities), bool), False
    for k, p in enumerate(probabilities):
        speaking = p >= (rules.end if speaking else rules.begin)
        raw[k] = speaking
    segments: list[list[int]] = []
    for begin, end in runs(raw):
        if segments and begin - segments[-1][1] < frames[1]:
            segments[-1][1] = end
        else:
            segments.append([begin, end])
    marks = np.zeros(len(raw), bool)
    for begin, end in segments:
        if end - begin >= frames[0]:
            marks[max(0, begin - pad) : end + pad] = True
    for begin, end in runs(~raw):
        within = any(first < begin and end < last for first, last in segments)
        if within and end - begin >= frames[2]:
            marks[begin + pad : max(end - pad, 0)] = False
    return marks


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0]), max_size=80),
    st.tuples(*[st.integers(0, 6)] * 4),
    st.integers(1, 90),
)
def test_rules_are_the_references_whatever_the_blocks(
    probabilities: list[float], frames: tuple[int, int, int, int], size: int
) -> None:
    speech, pause, pad, cut = (FRAME_S * value for value in frames)
    rules = Rules(begin=0.5, end=0.3, least_speech_s=speech, least_pause_s=pause, pad_s=pad, least_cut_s=cut or None)
    decide = _Decisions(rules)
    parts = [decide.push(probabilities[k : k + size]) for k in range(0, len(probabilities), size)]
    marks = np.concatenate([*parts, decide.flush()])
    np.testing.assert_array_equal(marks, reference(probabilities, rules))


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(5, np.int16), r"wave must be float32 of shape \(n,\), but got int16 of shape \(5,\)"),
        (np.zeros((5, 2), np.float32), r"but got float32 of shape \(5, 2\)"),
        ([0.0, 0.1], "an object of type list"),
        (np.array([0, np.nan], np.float32), "wave must be finite"),
        (np.array([0, -np.inf], np.float32), "wave must be finite"),
    ],
)
def test_what_is_no_wave(wave: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        speech_segments(wave, rate_hz=RATE)


def test_arguments_that_make_no_sense() -> None:
    for rate in (0, 999, 16000.0, None):
        with pytest.raises(InputError, match="rate_hz must be an integer"):
            Activity(rate)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"end must be a number from 0 to 0\.4, but got 0\.5"):
        Rules(begin=0.4, end=0.5)
    with pytest.raises(InputError, match="pad_s must be a number"):
        Rules(pad_s=-1)
