"""Folders of recordings by the names of published corpora; the sound in them is a tone."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def tone(*, hz: float = 440.0, seconds: float = 0.5, rate_hz: int = 16000, level: float = 0.5) -> NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32], rate_hz: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return path


def touch(folder: Path, names: Iterable[str]) -> Path:
    """Lay empty files: indices look at names only."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def ravdess_names(actors: Iterable[int], *, suffix: str = "wav", emotions: Iterable[int] = range(1, 9)) -> list[str]:
    """Return the published names of speech, 60 an actor."""
    return [
        f"Actor_{actor:02}/03-01-{emotion:02}-{intensity:02}-{statement:02}-{repetition:02}-{actor:02}.{suffix}"
        for actor in actors
        for emotion in emotions
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for statement in (1, 2)
        for repetition in (1, 2)
    ]
