"""Spectrograms against librosa's, reading of an hour of sound, and where speech is found.

    python benchmarks/speech.py [--data path/to/data] [--runs 15] [--only PARTS] [--json]

``PARTS`` are some of features, reading, activity, timeline, levels and noise, separated by commas; by default all.
``--data`` is the folder that holds ``ravdess_speech_16k``; by default what ``MIEN_DATA`` names, or ``../shared/data``
beside the checkout; without it, precision and recall are left out.  Ours and librosa's are timed in turns, with one
thread; first calls run in a fresh process each.  Times are of the processor.  The mixtures are those of
``tests/speech_mixtures.py``: actors 11 to 20, whom the rules were not chosen on.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _here import here
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
PARTS = "features,reading,activity,timeline,levels,noise"
RATE, SECONDS, HOUR = 16000, 60, 3600

FIRST = """
import sys, time
import numpy as np
wave = np.random.default_rng(0).normal(0, 0.1, 60 * 16000).astype(np.float32)
clock = time.process_time()
{imports}
loaded = time.process_time()
{call}
print(loaded - clock, time.process_time() - loaded)
"""
OURS = ("from mien.speech.features import Settings, log_mel", "log_mel(wave, Settings())")
THEIRS = (
    "import librosa",
    "librosa.power_to_db(librosa.feature.melspectrogram(y=wave, sr=16000, n_fft=512, hop_length=160, n_mels=80,"
    " pad_mode='constant'), top_db=None)",
)

PEAK = """
import resource, sys
from pathlib import Path
from mien.io.audio import iter_audio
from mien.speech.activity import Activity
activity = Activity(16000)
for block in iter_audio(sys.argv[1]):
    activity.push(block.wave)
status = Path("/proc/self/status")
if status.is_file():  # ru_maxrss counts the parent's memory at the fork, too
    print(next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Median and middle half."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), digits), "q25": round(float(low), digits), "q75": round(float(high), digits)}


def processor_s(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def features(runs: int) -> dict[str, Any]:
    """Log-mel of a minute, ours and librosa's in turns; and the first call of a process."""
    import cv2
    import librosa

    from mien.speech.features import Settings, log_mel

    cv2.setNumThreads(1)
    wave = np.random.default_rng(0).normal(0, 0.1, SECONDS * RATE).astype(np.float32)

    def theirs() -> object:
        mels = librosa.feature.melspectrogram(
            y=wave, sr=RATE, n_fft=512, hop_length=160, n_mels=80, pad_mode="constant"
        )
        return librosa.power_to_db(mels, top_db=None)

    calls = {"mien": lambda: log_mel(wave, Settings()), "librosa": theirs}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 2):
        for name, call in calls.items():
            seconds = processor_s(call)
            if run >= 2:
                times[name].append(1000 * seconds)
    report: dict[str, Any] = {f"log-mel of 60 s, {name}, ms": spread(values) for name, values in times.items()}
    report["librosa / mien"] = spread([b / a for a, b in zip(times["mien"], times["librosa"], strict=True)], 2)
    for name, (imports, line) in {"mien": OURS, "librosa": THEIRS}.items():
        code = FIRST.format(imports=imports, call=line)
        rows = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
            for _ in range(3)
        ]
        report[f"import of {name}, ms"] = spread([1000 * float(row[0]) for row in rows], 1)
        report[f"first log-mel of 60 s, {name}, ms"] = spread([1000 * float(row[1]) for row in rows], 1)
    return report


def hour(path: Path, rate: int, channels: int) -> None:
    """Write an hour of noise: a minute, sixty times (frames of an MP3 may follow each other like that)."""
    minute = np.random.default_rng(0).normal(0, 0.05, (60 * rate, channels)).astype(np.float32)
    samples = (32767 * minute).clip(-32768, 32767).astype("<i2")
    if path.suffix == ".wav":
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            for _ in range(60):
                file.writeframesraw(samples.tobytes())
        return
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as target:
        sound = target.add_stream("libmp3lame", rate=rate, layout="stereo" if channels == 2 else "mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.reshape(1, -1)), "s16", sound.layout.name)
        frame.sample_rate = rate
        convert = av.AudioResampler(sound.codec_context.format, sound.layout.name, rate, frame_size=1152)
        for made in [*convert.resample(frame), *convert.resample(None)]:
            target.mux(sound.encode(made))
        target.mux(sound.encode(None))
    path.write_bytes(60 * stream.getvalue())


def reading(runs: int, folder: Path) -> dict[str, Any]:
    """Seconds to read one hour to 16 kHz, and to find speech in it; peak memory of both together."""
    from mien.io.audio import iter_audio
    from mien.speech.activity import Activity

    report: dict[str, Any] = {}
    for suffix, rate, channels in ((".wav", 16000, 1), (".wav", 44100, 2), (".mp3", 44100, 2)):
        path = folder / f"hour{suffix}"
        hour(path, rate, channels)
        name = f"{suffix[1:]}, {rate / 1000:g} kHz, {channels} channels"
        read = partial(lambda source: sum(len(block.wave) for block in iter_audio(source)), path)
        report[f"reading an hour, {name}, s"] = spread([processor_s(read) for _ in range(min(runs, 3))], 2)
        done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        report[f"peak memory with speech found, {name}, MB"] = spread([int(done.stdout) / 1e6], 0)
    block = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)

    def listen() -> None:
        activity = Activity(RATE)
        for _ in range(HOUR):
            activity.push(block)

    report["finding speech in an hour, s"] = spread([processor_s(listen) for _ in range(min(runs, 3))], 2)
    return report


def activity(folder: Path, mixtures: int) -> dict[str, Any]:
    """Precision and recall over 10 ms, by noise; and the share that is taken for speech where nobody speaks."""
    import speech_mixtures as mix
    from mien.speech.activity import speech_segments

    random = np.random.default_rng(0)
    clips, others = mix.clips_of(folder, range(11, 19)), mix.clips_of(folder, range(19, 21))
    counts: dict[str, list[int]] = {}
    for _ in range(mixtures):
        clean = mix.conversation(clips, random)
        n = len(clean.wave)
        noises = {"white": mix.white(n, random), "babble of 8": mix.babble(n, others, random)}
        cases = {"clean": clean}
        for noise, sound in noises.items():
            cases |= {f"{noise}, {ratio} dB": mix.with_noise(clean, sound, ratio) for ratio in (20, 10, 5, 0)}
        for name, case in cases.items():
            found = mix.marks_of(speech_segments(case.wave, rate_hz=RATE), len(case.truth))
            row = counts.setdefault(name, [0, 0, 0])
            row[0] += int((found & case.truth).sum())
            row[1] += int(found.sum())
            row[2] += int(case.truth.sum())
    report: dict[str, Any] = {
        name: {"precision": round(hits / max(claimed, 1), 3), "recall": round(hits / there, 3)}
        for name, (hits, claimed, there) in counts.items()
    }
    n = 60 * RATE
    for name, sound in {
        "silence": np.zeros(n, np.float32),
        "white noise": 0.1 * mix.white(n, random),
        "hum": mix.hum(n),
        "music": mix.music(n, random),
    }.items():
        taken = sum(end - begin for begin, end in speech_segments(sound, rate_hz=RATE)) / 60
        report[f"{name} alone"] = {"taken for speech": round(taken, 3)}
    return report


def timeline(folder: Path, changes: int) -> dict[str, Any]:
    """Return the changes of emotion found, and the share of speech with the right one, in clips with short gaps."""
    import mien
    import speech_mixtures as mix
    from mien.data import load_dataset

    samples = load_dataset("ravdess", folder)
    random, analyzer = np.random.default_rng(0), mien.SpeechAnalyzer()
    report: dict[str, Any] = {}
    for gap_s in (0.2, 0.3, 0.4, 0.6, 1.0):
        found = right = total = 0.0
        for _ in range(changes):
            wave, truth = mix.joined(samples, random, gap_s=gap_s)
            segments = [s for s in analyzer.analyze(wave, rate_hz=RATE).segments if s.emotion is not None]
            middle = (truth[0][1] + truth[1][0]) / 2
            # A change is found where one emotion ends and another begins within the gap, give or take 0.3 s.
            before = [s for s in segments if s.start_s < middle - 0.3]
            after = [s for s in segments if s.end_s > middle + 0.3]
            near = gap_s / 2 + 0.3
            found += bool(before and after) and before[-1].end_s < middle + near and after[0].start_s > middle - near
            for begin_s, end_s, emotion in truth:
                for segment in segments:
                    shared = min(end_s, segment.end_s) - max(begin_s, segment.start_s)
                    right += max(shared, 0) * (segment.emotion is not None and segment.emotion.top == emotion)
                total += end_s - begin_s
        report[f"gap of {gap_s:g} s"] = {"changes found": found / changes, "time right": right / total}
    return report


def levels(folder: Path, clips: int) -> dict[str, Any]:
    """Return the share of the speech that is found by emotion, at the clips' own level and below it."""
    import speech_mixtures as mix
    from mien.data import load_dataset
    from mien.speech.activity import speech_segments

    samples = load_dataset("ravdess", folder)
    random = np.random.default_rng(0)
    report: dict[str, Any] = {}
    for level_db in (0, -20, -30, -40):
        row: dict[str, float] = {}
        for label, emotion in enumerate(samples.label_set.emotions):
            rows = np.flatnonzero(samples.labels == label)
            hits = there = 0
            for index in random.choice(rows, min(clips, len(rows)), replace=False):
                wave = samples.read_audio(int(index), RATE)
                truth = mix.truth_of(wave)
                quiet = wave * np.float32(10 ** (level_db / 20))
                marks = mix.marks_of(speech_segments(quiet, rate_hz=RATE), len(truth))
                hits, there = hits + int((marks & truth).sum()), there + int(truth.sum())
            row[emotion] = hits / max(there, 1)
        report[f"speech found at {level_db} dB"] = row
    return report


def noise(folder: Path, clips: int) -> dict[str, Any]:
    """Return the share of the speech whose answer is unsure, and of the rest the share that is right.

    The shipped model has learned from these clips: of strangers it is less sure, and less often right.
    """
    import mien
    from mien.data import load_dataset
    from mien.evaluate.noise import NoiseMaker, Waves, mix_noise

    samples = load_dataset("ravdess", folder)
    chosen = np.zeros(len(samples), bool)
    chosen[np.random.default_rng(0).choice(len(samples), min(clips, len(samples)), replace=False)] = True
    samples = samples.take(chosen)
    waves, analyzer = Waves(samples, rate_hz=RATE), mien.SpeechAnalyzer()
    maker = NoiseMaker(samples, waves, rate_hz=RATE, seed=0)
    seconds: dict[str, list[float]] = {}
    for row in range(len(samples)):
        wave, part = waves(row), slice(*maker.bounds(row))
        cases = {"clean": wave}
        for kind in ("white", "babble"):
            made = maker.make(kind, row, len(wave))
            cases |= {
                f"{kind}, {ratio} dB": mix_noise(wave, made, ratio_db=ratio, part=part) for ratio in (20, 10, 5, 0)
            }
        for name, case in cases.items():
            total = seconds.setdefault(name, [0.0, 0.0, 0.0])
            for segment in analyzer.analyze(case, rate_hz=RATE).segments:
                if segment.emotion is None:
                    continue
                is_right = segment.emotion.top == samples.label_set.emotions[samples.labels[row]]
                total[0] += segment.duration_s
                total[1] += segment.duration_s * segment.emotion.unsure
                total[2] += segment.duration_s * (is_right and not segment.emotion.unsure)
    return {
        f"answers, {name}": {"unsure": unsure / total, "right where sure": right / max(total - unsure, 1e-9)}
        for name, (total, unsure, right) in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = os.environ.get("MIEN_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside), help="folder that holds ravdess_speech_16k")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--mixtures", type=int, default=40, help="conversations of four clips")
    parser.add_argument("--only", default=PARTS, help="parts, separated by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    parts = options.only.split(",")
    times: dict[str, Any] = {}
    corpus = options.data / "ravdess_speech_16k"
    found: dict[str, Any] = {}
    with threadpool_limits(1):
        if "features" in parts:
            times |= features(options.runs)
        if "reading" in parts:
            with tempfile.TemporaryDirectory() as folder:
                times |= reading(options.runs, Path(folder))
        if "activity" in parts and corpus.is_dir():
            found = activity(corpus, options.mixtures)
        if "timeline" in parts and corpus.is_dir():
            found |= timeline(corpus, options.mixtures)
        if "levels" in parts and corpus.is_dir():
            found |= levels(corpus, options.mixtures)
        if "noise" in parts and corpus.is_dir():
            found |= noise(corpus, 4 * options.mixtures)
    report = {
        **here(),
        "times": times,
        "activity": found,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}")
    for name, row in times.items():
        print(f"{name:60} {row['median']:>8}  ({row['q25']}-{row['q75']})")
    for name, row in found.items():
        print(f"{name:60} {', '.join(f'{key} {value:.3f}' for key, value in row.items())}")
    if "activity" in parts and not found:
        print(f"no precision and recall: there is no {corpus}; say --data or set MIEN_DATA")


if __name__ == "__main__":
    main()
