"""Mixtures of speech, silence and noise in which it is known where the speech is; also used by benchmarks/speech.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.samples import Samples
from mien.io.audio import read_audio

RATE = 16000
STEP = 160
"""Truth and answers are compared every 10 ms."""

Wave = NDArray[np.float32]
Marks = NDArray[np.bool_]


@dataclass(frozen=True)
class Mixture:
    """Sound, and for every 10 ms whether somebody speaks."""

    wave: Wave
    truth: Marks


def truth_of(clip: Wave) -> Marks:
    """Mark the speech of a studio recording: 10 ms that are within 30 dB of the loudest and 10 dB above the room.

    Gaps under 0.3 s belong to it.
    """
    count = len(clip) // STEP
    power = np.square(clip[: count * STEP], dtype=np.float64).reshape(count, STEP).mean(axis=1)
    power = np.convolve(power, np.ones(3) / 3, "same")
    marks = power > max(power.max() * 1e-3, 10 * np.quantile(power, 0.1))
    for begin, end in runs(~marks):
        if begin > 0 and end < count and end - begin < 30:
            marks[begin:end] = True
    for begin, end in runs(marks):
        if end - begin < 5:  # a click
            marks[begin:end] = False
    return marks


def runs(marks: Marks) -> Iterator[tuple[int, int]]:
    """Yield [begin, end) of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def clips_of(folder: Path, actors: range) -> list[Path]:
    """Return RAVDESS clips of some actors."""
    return [path for actor in actors for path in sorted((folder / f"Actor_{actor:02d}").glob("*.flac"))]


def conversation(clips: list[Path], random: np.random.Generator, *, count: int = 4) -> Mixture:
    """Return clips at random levels with pauses of 1 to 3 s before, between and after."""
    waves: list[Wave] = []
    marks: list[Marks] = []
    for number in range(count + 1):
        pause = int(random.integers(100, 300))
        waves.append((1e-4 * random.normal(size=pause * STEP)).astype(np.float32))
        marks.append(np.zeros(pause, bool))
        if number < count:
            clip = read_audio(clips[random.integers(len(clips))], rate_hz=RATE).wave
            truth = truth_of(clip)
            clip = clip[: len(truth) * STEP]
            level = 10 ** (random.uniform(-30, -14) / 20)
            waves.append(clip * np.float32(level / speech_level(clip, truth)))
            marks.append(truth)
    return Mixture(np.clip(np.concatenate(waves), -1, 1), np.concatenate(marks))


def joined(
    samples: Samples, random: np.random.Generator, *, gap_s: float
) -> tuple[Wave, tuple[tuple[float, float, str], ...]]:
    """Return the speech of two clips of one speaker with different emotions and a gap between, and who says what when.

    The gap is filled with the noise of the room, so that nothing but the pause says where it is.
    """
    subject = random.choice(sorted(set(samples.subjects.tolist())))
    rows = np.flatnonzero(samples.subjects == subject)
    first = int(random.choice(rows))
    second = int(random.choice(rows[samples.labels[rows] != samples.labels[first]]))
    waves: list[Wave] = [np.zeros(0, np.float32)]
    parts: list[tuple[float, float, str]] = []
    for row, pause_s in ((first, 0.5), (second, gap_s)):
        clip = samples.read_audio(row, RATE)
        begin, end = (STEP * place for place in (lambda m: (m[0], m[-1] + 1))(np.flatnonzero(truth_of(clip))))
        waves.append((1e-4 * random.normal(size=round(pause_s * RATE))).astype(np.float32))
        start_s = sum(map(len, waves)) / RATE
        waves.append(clip[begin:end])
        parts.append((start_s, start_s + (end - begin) / RATE, samples.label_set.emotions[int(samples.labels[row])]))
    waves.append((1e-4 * random.normal(size=RATE // 2)).astype(np.float32))
    return np.concatenate(waves), tuple(parts)


def speech_level(wave: Wave, truth: Marks) -> float:
    """Return the root mean square of the speech."""
    frames = wave[: len(truth) * STEP].reshape(-1, STEP)[truth]
    return float(np.sqrt(np.square(frames, dtype=np.float64).mean()))


def white(n: int, random: np.random.Generator) -> Wave:
    return random.normal(size=n).astype(np.float32)


def babble(n: int, clips: list[Path], random: np.random.Generator, *, voices: int = 8) -> Wave:
    """Return several voices at once, each without its pauses."""
    total = np.zeros(n, np.float32)
    for _ in range(voices):
        voice: list[Wave] = []
        while sum(map(len, voice)) < n:
            voice.append(_talk(clips[random.integers(len(clips))]))
        total += np.concatenate(voice)[:n]
    return total


@lru_cache(maxsize=256)
def _talk(path: Path) -> Wave:
    """Return a clip without its pauses, at a root mean square of 1."""
    clip = read_audio(path, rate_hz=RATE).wave
    truth = truth_of(clip)
    speech = clip[: len(truth) * STEP].reshape(-1, STEP)[truth].reshape(-1)
    return speech / np.float32(np.sqrt(np.square(speech).mean()))


def with_noise(mixture: Mixture, noise: Wave, ratio_db: float) -> Mixture:
    """Add noise at a ratio of the speech's power to the noise's."""
    level = speech_level(mixture.wave, mixture.truth) * 10 ** (-ratio_db / 20)
    noisy = mixture.wave + noise * np.float32(level / np.sqrt(np.square(noise, dtype=np.float64).mean()))
    return Mixture(noisy / max(1.0, float(np.abs(noisy).max())), mixture.truth)


def hum(n: int) -> Wave:
    """Return mains hum with harmonics."""
    times = np.arange(n) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * 50 * k * times) / k for k in (1, 2, 3, 5, 7))).astype(np.float32)


def music(n: int, random: np.random.Generator) -> Wave:
    """Return plucked notes of a scale, three at a time, with four harmonics each."""
    total = np.zeros(n)
    scale = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
    for begin in range(0, n, RATE // 3):
        times = np.arange(min(n - begin, 2 * RATE)) / RATE
        for hertz in random.choice(scale, 3):
            note = sum(np.sin(2 * np.pi * hertz * k * times) / k**2 for k in range(1, 5))
            total[begin : begin + len(times)] += note * np.exp(-3 * times)
    return (0.1 * total / np.abs(total).max() * 3).astype(np.float32)


def voiced(n: int, random: np.random.Generator) -> Wave:
    """Return a synthetic vowel-like voice: pulses through three moving formants, at four syllables a second."""
    times = np.arange(n) / RATE
    pitch = 130 * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * times)) * (1 + 0.01 * random.normal())
    phase = np.cumsum(pitch) / RATE
    total = np.zeros(n)
    for k in range(1, 30):
        hertz = k * pitch
        gain = np.zeros(n)
        for center, width, swing in ((500, 80, 200), (1500, 120, 500), (2500, 160, 200)):
            moving = center + swing * np.sin(2 * np.pi * 2.1 * times + center)
            gain += 1 / (1 + ((hertz - moving) / width) ** 2)
        total += gain * np.sin(2 * np.pi * k * phase) / np.sqrt(k)
    syllables = np.clip(1.3 * np.sin(2 * np.pi * 4 * times) + 0.8, 0, 1)
    return (0.1 * total * syllables / np.sqrt(np.mean(total**2))).astype(np.float32)


def marks_of(segments: list[tuple[float, float]], count: int) -> Marks:
    """Return segments in seconds as marks every 10 ms."""
    marks = np.zeros(count, bool)
    for begin, end in segments:
        marks[round(100 * begin) : round(100 * end)] = True
    return marks
