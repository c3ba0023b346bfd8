"""The in-browser library's speech, fusion and formats against the Python library's, in headless Chromium."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.fusion.experts import MEASURES, experts, shipped_weights
from mien.io.resample import resample
from mien.labels import FER7, FERPLUS8, RAVDESS8
from mien.models import registry
from mien.output.canvas import COLORS, text_on, to_hex
from mien.output.subtitles import to_vtt
from mien.results import Emotion, EmotionSegment, Face, FaceTrack, ImageResult, SpeechResult, SpeechSegment, VideoResult
from mien.speech.activity import Activity
from mien.speech.analyzer import RULES, SpeechAnalyzer
from mien.speech.quality import SnrMeter
from mien.speech.windows import WindowAverager, WindowSegment, merge_neighbors
from mien.video.timeline import find_episodes
from mien.web import make_manifest
from sounds import sine, wav
from speech_mixtures import RATE, voiced, white
from web.browser_harness import run_in_browser

Wave = NDArray[np.float32]
Floats = NDArray[np.float64]

STREAMED = ["talk", "offset", "short", "zeros", "nothing"]

SPEECH = """
import { Activity, RULES } from "./activity";
import { SpeechStream, analyzeSpeech } from "./speech";
const wave = async (name: string) => new Float32Array((await bytes(name)).buffer);
const nets = async (manifest: any) =>
  ({ activity: await session("silero-vad.onnx"), speech: await session("speech-base.onnx"), manifest });
"""


def silence(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE), np.float32)


def waves() -> dict[str, Wave]:
    """Return recordings by name: what is easy, and what a port gets wrong."""
    random = np.random.default_rng(5)

    def voice(seconds: float) -> Wave:
        return voiced(round(seconds * RATE), random)

    def room(seconds: float, level: float = 1e-4) -> Wave:
        return np.float32(level) * white(round(seconds * RATE), random)

    talk = np.concatenate([room(0.7), voice(1.6), room(0.3), voice(1.3), room(1.1), voice(5.3), room(0.9)])
    return {
        "talk": talk,
        "gaps": np.concatenate([room(0.4)] + [part for _ in range(4) for part in (voice(1.2), room(0.3))]),
        "quiet": np.float32(10 ** (-30 / 20)) * talk[: 5 * RATE],
        "offset": talk[: 4 * RATE] + np.float32(0.05),
        "noisy": voice(3) + room(3, 0.08),
        "loud": 8 * voice(2.5),
        "noise": room(3, 0.1),
        "tone": np.clip(sine(RATE, 2, level=1.3), -1, 1),
        "zeros": silence(1.5),
        "long pause": np.concatenate([voice(1.5), silence(64), voice(1.5)]),
        "short": voice(0.3),
        "word": np.concatenate([silence(0.5), voice(0.35), silence(1)]),
        "nothing": silence(0),
    }


def manifest() -> dict[str, Any]:
    return make_manifest(registry.get("face-small"), registry.get("speech-base"))[0]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what the browser makes of all of the waves, by name: whole, in odd blocks, and where somebody speaks."""
    entry = """
    export default async ({ manifest, names, streams }: any) => {
      const all = await nets(manifest);
      const found: any = {};
      for (const [number, name] of names.entries()) {
        const whole = await wave(`${number}`);
        const activity = new Activity(all.activity, { ...RULES, leastPauseS: 0.5, leastCutS: 0.13 });
        const marks = [...(await activity.push(whole)), ...(await activity.flush())];
        const stream = new SpeechStream(all, 16000);
        const streamed = [];
        for (let at = 0, size = 1; streams.includes(name) && at < whole.length; size = (7 * size + 3) % 40009) {
          streamed.push(stream.push(whole.subarray(at, at + size)));
          at += size;
        }
        streamed.push(stream.close());
        const result = await analyzeSpeech(all, whole, 16000);
        found[name] = { marks, result, streamed: (await Promise.all(streamed)).flat() };
      }
      const stream = new SpeechStream(all, 16000);
      const talk = await wave(`${names.indexOf("talk")}`);
      found.current = [];
      for (let at = 0; at < talk.length; at += 8000) {
        await stream.push(talk.subarray(at, at + 8000));
        found.current.push(stream.current);
      }
      return found;
    };
    """
    every = waves()
    files = {str(number): wave.tobytes() for number, wave in enumerate(every.values())}
    data = {"manifest": manifest(), "names": list(every), "streams": STREAMED}
    return run_in_browser(tmp_path_factory.mktemp("speech"), SPEECH + entry, data, files)


@pytest.mark.parametrize("name", waves())
def test_marks_where_somebody_speaks_as_python_does(speech: Any, name: str) -> None:
    activity = Activity(RATE, rules=RULES)
    expected = np.concatenate([activity.push(waves()[name]), activity.flush()])
    assert speech[name]["marks"] == expected.tolist()


@pytest.mark.filterwarnings("ignore::mien.errors.MienWarning")
@pytest.mark.parametrize("name", [name for name in waves() if name != "nothing"])
def test_finds_the_segments_emotions_and_warnings_of_python(speech: Any, name: str) -> None:
    expected = mien.analyze_speech(wav(waves()[name], RATE))
    found = speech[name]["result"]
    assert found["duration_s"] == expected.duration_s

    def but_share(warnings: Any) -> list[str]:
        # Clipping is counted block by block in Python, and over the whole here.
        return [re.sub(r"\d+\.\d % ", "", warning) for warning in warnings]

    assert but_share(found["warnings"]) == but_share(expected.warnings)
    compare_segments(found["segments"], expected.segments)


def compare_segments(found: list[Any], expected: tuple[SpeechSegment, ...]) -> None:
    assert len(found) == len(expected)
    for own, other in zip(found, expected, strict=True):
        assert own["start_s"] == pytest.approx(other.start_s, abs=1e-6)
        assert own["end_s"] == pytest.approx(other.end_s, abs=1e-6)
        assert own["speech"] == other.speech
        assert own["warnings"] == list(other.warnings)
        assert own["snr_db"] == (None if other.snr_db is None else pytest.approx(other.snr_db, abs=1e-3))
        assert (own["emotion"] is None) == (other.emotion is None)
        if other.emotion is not None:
            assert own["emotion"]["top"] == other.emotion.top
            assert own["emotion"]["probabilities"] == pytest.approx(dict(other.emotion), abs=1e-4)


def test_streams_give_the_same_whatever_the_blocks(speech: Any) -> None:
    for name in STREAMED:
        assert speech[name]["streamed"] == speech[name]["result"]["segments"], name
    assert sum(segment["speech"] for segment in speech["talk"]["streamed"]) >= 2


def test_the_newest_window_of_speech_that_goes_on_is_that_of_python(speech: Any) -> None:
    stream, talk = SpeechAnalyzer().stream(rate_hz=RATE), waves()["talk"]
    found = []
    for at in range(0, len(talk), 8000):
        stream.push(talk[at : at + 8000])
        found.append(stream.current)
    assert [own is None for own in speech["current"]] == [other is None for other in found]
    assert any(other is None for other in found)
    spoken = tuple(other for other in found if other is not None)
    assert len({(other.start_s, other.end_s) for other in spoken}) >= 3
    compare_segments([own for own in speech["current"] if own], spoken)


def test_resamples_measures_noise_and_averages_windows_as_python_does(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    rates = (48000, 44100, 8000)
    sound = {rate: (0.3 * white(rate, random) + sine(rate, 1, hz=900, level=0.2)).astype(np.float32) for rate in rates}
    noisy = voiced(20 * RATE, random) + 0.02 * white(20 * RATE, random)
    spans = [(0.0, 3.0), (4.01, 9.33), (6.25, 6.35), (12.03, 20.0)]
    cases = [(0, 10), (3, 40), (5, 31), (100, 100), (0, 1), (7, 77)]
    shares = random.dirichlet(np.full(4, 0.4), 80)
    entry = """
    import { Resampler } from "./resample";
    import { SnrMeter } from "./quality";
    import { WindowAverager, mergeNeighbors } from "./windows";
    const wave = async (name: string) => new Float32Array((await bytes(name)).buffer);
    export default async ({ rates, spans, cases, shares }: any) => {
      const resampled = [];
      for (const rate of rates) {
        const whole = await wave(`${rate}`);
        const resampler = new Resampler(rate, 16000);
        const parts = [];
        for (let at = 0; at < whole.length; at += 1237) parts.push(resampler.push(whole.subarray(at, at + 1237)));
        resampled.push([...parts, resampler.flush()].flatMap((part) => [...part]));
      }
      const noisy = await wave("noisy");
      const meter = new SnrMeter(16000);
      for (let at = 0; at < noisy.length; at += 4001) meter.push(noisy.subarray(at, at + 4001));
      const averaged = cases.map(([start, end]: number[]) => {
        const averager = new WindowAverager(start, 10, 4);
        const pieces = [];
        let used = 0;
        for (let reached = start + 1; reached < end; reached++) {
          while (averager.next[1] < reached) averager.add(...averager.next, shares[used++]);
          pieces.push(...averager.settled(reached));
        }
        for (const window of averager.remaining(end)) averager.add(...window, shares[used++]);
        return mergeNeighbors([...pieces, ...averager.close(end)]);
      });
      return { resampled, ratios: spans.map(([begin, end]: number[]) => meter.snrDb(begin, end)), averaged };
    };
    """
    files = {**{str(rate): wave.tobytes() for rate, wave in sound.items()}, "noisy": noisy.tobytes()}
    data = {"rates": rates, "spans": spans, "cases": cases, "shares": shares.tolist()}
    found = run_in_browser(tmp_path, entry, data, files)
    for rate, wave in zip(rates, found["resampled"], strict=True):
        np.testing.assert_allclose(wave, resample(sound[rate], rate, RATE), rtol=0, atol=2e-6)
    meter = SnrMeter(RATE)
    meter.push(noisy)
    ratios = [meter.snr_db(begin, end) for begin, end in spans]
    assert ratios[0] is not None
    assert ratios[2] is None
    assert found["ratios"] == [ratio and pytest.approx(ratio, abs=1e-6) for ratio in ratios]
    for (start, end), pieces in zip(cases, found["averaged"], strict=True):
        expected = average(start, end, shares)
        assert [(piece["start"], piece["end"]) for piece in pieces] == [(piece.start, piece.end) for piece in expected]
        for piece, other in zip(pieces, expected, strict=True):
            np.testing.assert_allclose(piece["probabilities"], other.probabilities, atol=1e-12)


def average(start: int, end: int, shares: Floats) -> list[WindowSegment]:
    averager = WindowAverager(start, window=10, hop=4)
    rest = iter(shares)
    for window in averager.remaining(end):
        averager.add(*window, next(rest))
    return merge_neighbors(averager.close(end))


def random_track(number: int, random: np.random.Generator, times_s: Floats) -> FaceTrack:
    """Return a person who changes their mind, comes and goes, and grows and shrinks."""
    here = np.flatnonzero(np.repeat(random.random(len(times_s) // 6 + 1) < 0.8, 6)[: len(times_s)])
    step_s = np.diff(times_s, append=2 * times_s[-1] - times_s[-2])
    moods = random.dirichlet(np.full(8, 0.5), len(times_s) // 9 + 1)[here // 9]
    sides = 60 * np.exp(np.cumsum(random.normal(0, 0.1, len(times_s))))[here]
    corner = random.uniform(0, 200, (len(here), 2))
    smoothed = (0.8 * moods + 0.2 * random.dirichlet(np.ones(8), len(here))).astype(np.float32)
    boxes = np.column_stack([corner, corner + np.column_stack([sides, 1.2 * sides])])
    scores, detected = random.uniform(0.9, 1, len(here)), np.ones(len(here), bool)
    timeline = tuple(
        EmotionSegment(episode.start_s, episode.end_s, Emotion(FERPLUS8, tuple(episode.mean)))
        for episode in find_episodes(times_s[here], step_s[here], smoothed)
    )
    track = (number, FERPLUS8, times_s[here], step_s[here], boxes, scores, smoothed, smoothed, detected)
    return FaceTrack(*track, timeline=timeline)


def random_video(seed: int) -> tuple[VideoResult, SpeechResult, list[Any]]:
    """Return people and a voice, and the frames as the browser has them."""
    random = np.random.default_rng(seed)
    times_s = np.cumsum(random.uniform(0.04, 0.12, 120))
    tracks = tuple(random_track(number, random, times_s) for number in (1, 2, 3))
    edges_s = [0.0, *np.sort(random.uniform(0.5, 11, 12)).tolist(), 12.0]
    segments = []
    for start_s, end_s in pairwise(edges_s):
        emotion = Emotion(RAVDESS8, tuple(random.dirichlet(np.ones(8)))) if random.random() < 0.7 else None
        ratio = float(random.uniform(-5, 50)) if random.random() < 0.7 else None
        segments.append(SpeechSegment(start_s, end_s, emotion is not None, emotion, (), ratio))
    voice = SpeechResult(12.0, tuple(segments), path="a,b \u00fc.wav", warnings=("the sound is faint",))
    end_s = max(track.end_s for track in tracks)
    video = VideoResult(640, 480, end_s, times_s[0], end_s, times_s, tracks, path="=a.mp4", labels=FERPLUS8)
    frames = []
    for frame in video.frames():
        faces = [
            {**tracked.face.to_dict(), "smoothed": tracked.smoothed.to_dict(), "track": tracked.track}
            for tracked in frame.faces
        ]
        frames.append({"time_s": frame.time_s, "faces": faces})
    return video, voice, frames


def test_fuses_one_moment_as_python_does(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    n = 300
    shares = {name: random.dirichlet(np.full(7, 0.3), n) for name in ("face", "voice")}
    bounds = {"width_px": 80, "sharpness": 0.5, "seen_s": 5, "speech_s": 5, "snr_db": 50}
    quality = {
        name: {
            measure: np.where(random.random(n) < 0.3, np.nan, random.uniform(0, bounds[measure], n)) for measure in own
        }
        for name, own in MEASURES.items()
    }
    shares["face"][:20] = np.nan
    shares["voice"][10:40] = np.nan
    quality["face"]["width_px"][50:60] = 0
    quality["voice"]["snr_db"][50:55] = -20
    entry = """
    import { experts } from "./fuse";
    export default async ({ tables, moments }: any) =>
      tables.map((weights: any) => moments.map((sides: any) => experts(weights, sides)));
    """

    def side(name: str, row: int) -> Any:
        if np.isnan(shares[name][row, 0]):
            return None
        measured = {measure: values[row] for measure, values in quality[name].items() if not np.isnan(values[row])}
        return {"probabilities": shares[name][row].tolist(), "quality": measured}

    moments = [{name: side(name, row) for name in MEASURES} for row in range(n)]
    names = ("fer7", "ferplus8")
    tables = [registry.get("fusion-experts").fusion[labels] for labels in names]
    every = run_in_browser(tmp_path, entry, {"tables": tables, "moments": moments})
    for labels, found in zip(names, every, strict=True):
        expected = experts(shares, weights=shipped_weights(labels), quality=quality)
        silent = np.isnan(expected.probabilities[:, 0])
        assert [row["probabilities"] is None for row in found] == silent.tolist()
        assert silent.sum() == 10
        rows = [row["probabilities"] for row in found if row["probabilities"]]
        np.testing.assert_allclose(rows, expected.probabilities[~silent], atol=1e-9)
        trust = np.column_stack([expected.weights[name] for name in MEASURES])
        np.testing.assert_allclose([row["trust"] for row in found], trust, atol=1e-9)


def test_fuses_over_time_as_python_does(tmp_path: Path) -> None:
    entry = """
    import { fuse } from "./fuse";
    export default async ({ manifest, cases }: any) =>
      cases.map(({ frames, speech }: any) => fuse(manifest, frames, speech));
    """
    cases = [random_video(seed) for seed in range(6)]
    data = [{"frames": frames, "speech": voice.to_dict()} for _, voice, frames in cases]
    data += [{"frames": cases[0][2], "speech": None}, {"frames": [], "speech": cases[0][1].to_dict()}]
    found = run_in_browser(tmp_path, entry, {"manifest": manifest(), "cases": data})
    expected = [mien.fuse({"face": video.tracks, "voice": voice}) for video, voice, _ in cases]
    expected += [mien.fuse({"face": cases[0][0].tracks, "voice": None}), mien.fuse({"face": (), "voice": cases[0][1]})]
    for own, other in zip(found, expected, strict=True):
        assert len(own) == len(other.segments) > 5
        for piece, segment in zip(own, other.segments, strict=True):
            assert (piece["start_s"], piece["end_s"]) == pytest.approx((segment.start_s, segment.end_s), abs=1e-6)
            assert piece["track"] == segment.track
            for name in ("face", "voice"):
                assert piece[f"{name}_weight"] == pytest.approx(segment.weights[name], abs=1e-6)
            for name, emotion in {**segment.emotions, "fused": segment.fused}.items():
                assert (piece[name] is None) == (emotion is None)
                if emotion is not None:
                    assert piece[name]["probabilities"] == pytest.approx(dict(emotion), abs=1e-6)


def test_writes_the_tables_and_subtitles_of_python(tmp_path: Path) -> None:
    video, voice, frames = random_video(11)
    half = Emotion(FER7, (0.5, 0.0625, 0.0625, 0.125, 0.125, 0.0625, 0.0625))
    faces = (Face((0.125, 1.375, 30.5, 44.625), 0.96875, None, half, warnings=('small, and "dark"',)),)
    image = ImageResult(64, 48, faces, path="@x.png", warnings=("rotated",))
    empty = ImageResult(64, 48, (), path="-x.png")
    short = SpeechResult(0.0625, (SpeechSegment(0.0, 0.0625, False),), path=None)
    results: list[Any] = [voice, image, empty, short]
    entry = """
    import { COLORS, toCsv, toJson, toVtt } from "./export";
    export default async ({ results, frames, voice, path }: any) => ({
      tables: results.map(({ data, path, labels }: any) => toCsv(data, { path, labels })),
      frames: toCsv(frames, { path }),
      nobody: toCsv([{ time_s: 0, faces: [] }], { labels: ["anger"] }),
      json: JSON.parse(toJson(voice)),
      cues: [toVtt(voice, { path: voice.path }), toVtt(frames, { path })],
      COLORS,
    });
    """
    given = [{"data": each.to_dict(), "path": each.path, "labels": list(each.labels)} for each in results]
    data = {"results": given, "frames": frames, "voice": voice.to_dict(), "path": video.path}
    found = run_in_browser(tmp_path, entry, data)
    for own, result in zip(found["tables"], results, strict=True):
        assert own == written(result, tmp_path)
    # Whether a face was detected or followed is not known of frames in the browser.
    table = [{**row, "detected": ""} for row in csv.DictReader(io.StringIO(written(video, tmp_path)))]
    assert list(csv.DictReader(io.StringIO(found["frames"]))) == table
    assert found["nobody"].splitlines()[1] == "," * found["nobody"].splitlines()[0].count(",")
    assert found["json"] == voice.to_dict()
    assert found["cues"] == [to_vtt(voice), to_vtt(video)]
    assert found["COLORS"] == {name: [to_hex(color), to_hex(text_on(color))] for name, color in COLORS.items()}


def written(result: Any, folder: Path) -> str:
    mien.write(result, folder / "table.csv")
    return (folder / "table.csv").read_text()
