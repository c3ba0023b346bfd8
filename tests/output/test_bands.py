"""What is drawn over time: bands against plain sums, sketches of sound against plain NumPy."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from mien.errors import InputError
from mien.io.audio import AudioBlock
from mien.labels import FERPLUS8, RAVDESS8
from mien.output.bands import Band, Sketch, sound_bands, speech_band, video_bands
from mien.output.summary import format_duration, format_minutes, tick_label, tick_step
from mien.results import SpeechResult, SpeechSegment
from mien.speech.features import log_mel
from planted_video import distribution, planted_speech, planted_video, with_voice

RATE = 16000
MAX_COLUMNS = 4096


def noise(seconds: float, *, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return np.clip(0.2 * random.normal(size=round(seconds * rate)), -1, 1).astype(np.float32)


def blocks(wave: NDArray[np.float32], rate: int, *sizes: int) -> Iterator[AudioBlock]:
    begin = number = 0
    while begin < len(wave):
        part = wave[begin : begin + sizes[number % len(sizes)]]
        yield AudioBlock(part, begin / rate, rate)
        begin, number = begin + len(part), number + 1


@pytest.mark.parametrize("columns", [3, 50, 777])
@pytest.mark.parametrize("smooth", [False, True])
def test_columns_lose_no_time(columns: int, smooth: bool) -> None:
    random = np.random.default_rng(columns)
    starts = np.cumsum(random.uniform(0.1, 2.0, 40))
    # Half of the pieces touch the next, the others leave a gap.
    ends = np.where(np.arange(40) % 2 == 0, np.append(starts[1:], starts[-1] + 1), starts + 0.05)
    shares = random.dirichlet(np.ones(8), 40)
    edges = np.linspace(0, ends[-1] + 3, columns + 1)
    band = Band("", "", RAVDESS8, starts, ends, shares, smooth=smooth)
    means = band.columns(edges)
    covered = float((ends - starts).sum())
    assert (means.sum(axis=1) * np.diff(edges)).sum() == pytest.approx(covered)
    assert means.sum(axis=1).max() <= 1 + 1e-9
    if not smooth:
        totals = (shares * (ends - starts)[:, None]).sum(axis=0)
        np.testing.assert_allclose((means * np.diff(edges)[:, None]).sum(axis=0), totals)


def test_a_smooth_band_is_the_integral_of_the_lines_between_frames() -> None:
    video = planted_video([("happiness", 1.0), ("fear", 0.6), (None, 0.8), ("anger", 1.0)])
    track = video.tracks[0]
    (band,) = video_bands(video, 1)
    edges = np.linspace(0, 4, 18)

    def at(time_s: float, label: int) -> float:
        point = track.at(time_s)
        return 0.0 if point is None else float(point.probabilities[label])

    breaks = sorted({*track.times_s.tolist(), *(track.times_s + track.durations_s).tolist()})
    for label in (FERPLUS8.index("fear"), FERPLUS8.index("anger")):
        for column, (a, b) in enumerate(pairwise(edges)):
            inner = [a, *(t for t in breaks if a < t < b), b]
            area = sum(quad(at, s + 1e-5, e - 1e-5, args=(label,))[0] for s, e in pairwise(inner))
            assert band.columns(edges)[column, label] == pytest.approx(area / (b - a), abs=2e-3)


def test_runs_and_leaders_follow_the_plan() -> None:
    video = planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)])
    (band,) = video_bands(video, 1)
    edges = np.linspace(0, 10, 11)
    assert band.runs(edges) == [(0, 4), (6, 10)]
    names = ["" if number < 0 else FERPLUS8.emotions[number] for number in band.leading(edges)]
    assert names == ["happiness"] * 4 + [""] * 2 + ["sadness"] * 4


def segments(*parts: tuple[str | None, float]) -> SpeechResult:
    pieces, at = [], 0.0
    for name, seconds in parts:
        shown = None if name is None else distribution(name, 0.8, RAVDESS8)
        pieces.append(SpeechSegment(at, at + seconds, name is not None, shown))
        at += seconds
    return SpeechResult(at, tuple(pieces), path="call.wav", model="planted")


@pytest.mark.parametrize("count", [3, 1000])
def test_bands_hold_all_of_the_time_of_each_emotion(count: int) -> None:
    random = np.random.default_rng(1)
    names = (None, *RAVDESS8.emotions)
    result = segments(*((names[random.integers(9)], float(random.uniform(0.2, 5))) for _ in range(count)))
    band = speech_band(result, "voice")
    assert band is not None
    shares = band.columns(np.linspace(0, result.duration_s, 241))
    column_s = result.duration_s / 240
    for number, name in enumerate(RAVDESS8.emotions):
        seconds = sum(s.duration_s * s.emotion[name] for s in result.segments if s.emotion is not None)
        assert shares[:, number].sum() * column_s == pytest.approx(seconds)
    assert shares.sum() * column_s == pytest.approx(result.speech_s)


def test_those_seen_longest_come_first_and_the_rest_is_counted() -> None:
    video = planted_video([("fear", 2.0)], [("fear", 9.0)], [("fear", 5.0)])
    assert [band.title for band in video_bands(video, 2)] == ["person 2", "person 3"]
    assert video_bands(video, 2)[0].note == "0:09.0 in view"


def test_a_talking_video_has_three_bands() -> None:
    plan = [(None, 4.0), ("calm", 4.0), (None, 4.0)]
    faces = planted_video([("fear", 12.0)])
    video = with_voice(faces, plan)
    bands = sound_bands(video)
    assert [(band.title, band.note) for band in bands] == [
        ("voice", "0:04.0 of speech"),
        ("face and voice", "0:04.0 together"),
    ]
    # The emotions lie in the order of the faces, others above.
    assert bands[0].labels.emotions == (*(n for n in FERPLUS8.emotions if n in RAVDESS8.emotions), "calm")
    assert [band.away for band in bands] == ["no speech", "neither"]


def test_a_fused_band_is_the_mean_by_time_and_its_ribbon_joins_what_goes_on() -> None:
    video = with_voice(planted_video([("fear", 4.0), ("anger", 6.0)]), [(None, 2.0), ("fear", 2.0), ("anger", 6.0)])
    assert video.fused is not None
    _, band = sound_bands(video)
    mean = video.fused.emotion
    assert mean is not None
    columns = dict(zip(band.labels.emotions, band.columns(np.array([0.0, 10.0]))[0], strict=True))
    assert columns == pytest.approx(dict(mean.items()), abs=1e-9)
    assert [name for _, _, name in band.segments] == ["fear", "anger"]
    assert band.segments[0][1] == band.segments[1][0] == pytest.approx(4.0)
    leading = band.leading(np.linspace(0, 10, 6)).tolist()
    assert [band.labels.emotions[n] for n in leading] == ["fear"] * 2 + ["anger"] * 3


def test_what_is_missing_has_no_band_or_an_empty_one() -> None:
    faces = planted_video([("fear", 4.0)])
    assert sound_bands(faces) == []
    (silent,) = sound_bands(with_voice(faces, [(None, 4.0)]))
    assert (silent.title, silent.note, silent.away) == ("voice", "no speech", "no speech")
    assert silent.leading(np.linspace(0, 4, 5)).tolist() == [-1] * 4
    assert not silent.columns(np.linspace(0, 4, 5)).any()
    (alone,) = sound_bands(with_voice(planted_video(), [("fear", 2.0)]))
    assert alone.title == "voice"
    assert sound_bands(with_voice(planted_video(), [(None, 2.0)])) == []
    assert speech_band(planted_speech([(None, 2.0)]), "voice") is None


def test_times_as_people_read_them() -> None:
    assert [format_minutes(s, 10) for s in (0, 3.44, 59.97, 61)] == ["0:00.0", "0:03.4", "1:00.0", "1:01.0"]
    assert [format_minutes(s, 7200) for s in (59.6, 3723)] == ["0:01:00", "1:02:03"]
    assert format_minutes(754.4, 800) == "12:34"
    assert [format_duration(s) for s in (9.64, 240, 4000)] == ["9.6 s", "4 min 0 s", "1 h 6 min 40 s"]
    assert [tick_label(2.5, 10, 0.5, as_minutes=True), tick_label(65, 100, 5, as_minutes=True)] == ["0:02.5", "1:05"]
    assert (tick_step(10, 12), tick_step(7200, 4), tick_step(1e6, 10)) == (1, 1800, 100800)


# --- sound ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "rate"), [(0.01, 16000), (0.2, 16000), (3.3, 8000), (40.0, 16000), (2.0, 44100)])
def test_the_outline_is_the_smallest_and_largest_sample_of_each_column(seconds: float, rate: int) -> None:
    wave = noise(seconds, rate=rate)
    edges, low, high = Sketch.from_blocks(blocks(wave, rate, 701, 4000)).outline()
    size = 1
    while -(-len(wave) // size) > MAX_COLUMNS:
        size *= 2
    starts = np.arange(0, len(wave), size)
    np.testing.assert_allclose(edges, [*(starts / rate), len(wave) / rate])
    np.testing.assert_array_equal(low, np.minimum.reduceat(wave, starts))
    np.testing.assert_array_equal(high, np.maximum.reduceat(wave, starts))


@pytest.mark.parametrize("seconds", [0.005, 0.5, 9.0, 100.0])
def test_the_spectrogram_is_the_mean_power_of_each_column(seconds: float) -> None:
    wave = noise(seconds)
    gathered = Sketch.from_blocks(blocks(wave, RATE, 16000, 333, 5))
    column_s, energies = gathered.spectrogram()
    power = 10 ** (log_mel(wave, gathered.settings).astype(np.float64) / 10)
    size = round(column_s * RATE / gathered.settings.hop)
    assert power.shape[1] / size <= MAX_COLUMNS
    expected = [10 * np.log10(power[:, k : k + size].mean(axis=1)) for k in range(0, power.shape[1], size)]
    np.testing.assert_allclose(energies.T, expected, atol=1e-3)


@pytest.mark.parametrize("sizes", [(1,), (7, 1600), (479,), (16001,), (40000,)])
def test_the_size_of_the_blocks_changes_nothing(sizes: tuple[int, ...]) -> None:
    wave = noise(0.5 if sizes == (1,) else 30)
    whole, parts = Sketch.from_blocks(blocks(wave, RATE, len(wave))), Sketch.from_blocks(blocks(wave, RATE, *sizes))
    for one, other in zip(
        (*whole.outline(), whole.spectrogram()[1]), (*parts.outline(), parts.spectrogram()[1]), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("gap_s", [0.01, 1.5, 700.0])
def test_a_gap_is_silence_of_its_length(gap_s: float) -> None:
    wave = noise(2)
    gap = Sketch.from_blocks([AudioBlock(wave, 0.5, RATE), AudioBlock(wave, 2.5 + gap_s, RATE)])
    filled = np.concatenate([np.zeros(RATE // 2, np.float32), wave, np.zeros(round(gap_s * RATE), np.float32), wave])
    plain = Sketch.from_blocks(blocks(filled, RATE, RATE))
    assert gap.duration_s == pytest.approx(4.5 + gap_s)
    np.testing.assert_allclose(gap.outline()[1], plain.outline()[1])
    np.testing.assert_allclose(gap.spectrogram()[1], plain.spectrogram()[1], atol=1e-3)


def test_hours_are_gathered_in_constant_memory_and_a_damaged_time_in_no_time() -> None:
    second = noise(1)

    def hour() -> Iterator[AudioBlock]:
        for start in range(1800):
            yield AudioBlock(second, float(start), RATE)
        yield AudioBlock(second, 1e7, RATE)

    tracemalloc.start()
    gathered = Sketch.from_blocks(hour())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    assert gathered.duration_s == 1e7 + 1
    assert max(len(gathered.outline()[1]), gathered.spectrogram()[1].shape[1]) <= MAX_COLUMNS


def test_a_sketch_needs_sound() -> None:
    with pytest.raises(InputError, match="a plot of an audio file needs sound, but got none"):
        Sketch.from_blocks([])
    with pytest.raises(InputError, match="rate_hz must be an integer from 4000 to 384000, but got 100"):
        Sketch(100)
