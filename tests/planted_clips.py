"""Speech models and corpora whose answers are planted: the pitch of a tone says what is answered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.labels import RAVDESS8, LabelSet
from mien.models.spec import License, ModelFile, ModelSpec, Output, SoundInput
from speech_corpora import ravdess_names, tone, write_wav

LEAST_HZ, STEP_HZ = 300.0, 150.0
"""A tone at LEAST_HZ answers the first class, each STEP_HZ above it the next."""


def record(
    labels: LabelSet = RAVDESS8,
    *,
    name: str = "planted-speech",
    temperature: float = 1.0,
    training: dict[str, Any] | None = None,
) -> ModelSpec:
    return ModelSpec(
        name=name,
        task="speech-emotion",
        description="hears the pitch of a tone",
        version="1",
        date=dt.date(2026, 1, 31),
        files=(ModelFile("graph", "planted.onnx", "0" * 64, 1),),
        license=License("none", "none"),
        path=Path("planted.toml"),
        sound=SoundInput(rate_hz=16000, min_s=0.5, window_s=3.0, hop_s=1.5, pad_s=0.25),
        outputs=(Output(labels.name, f"logits_{labels.name}", labels, temperature, default=True),),
        training={} if training is None else training,
    )


@dataclass
class Planted:
    """Answers with the class of the loudest frequency, with `margin` more than every other class."""

    spec: ModelSpec = field(default_factory=record)
    margin: float = 3.0
    rates: list[int] = field(default_factory=list)

    def clip_logits(self, wave: NDArray[np.float32], *, rate_hz: int) -> dict[str, NDArray[np.float32]]:
        self.rates.append(rate_hz)
        spectrum = np.abs(np.fft.rfft(wave))
        hz = float(np.argmax(spectrum) * rate_hz / len(wave))
        output = self.spec.outputs[0]
        size = len(output.labels)
        answer = min(max(round((hz - LEAST_HZ) / STEP_HZ), 0), size - 1)
        return {output.name: np.float32(self.margin) * (np.arange(size) == answer).astype(np.float32)}


def write_ravdess(
    folder: Path,
    said: Callable[[int, int, int], int],
    *,
    actors: Iterable[int] = (1, 2, 3, 4),
    level: float = 0.3,
) -> Path:
    """Write tones under RAVDESS's names; `said` takes actor, true class and intensity (1, 2), and returns an answer."""
    for name in ravdess_names(actors):
        codes = [int(code) for code in Path(name).stem.split("-")]
        answer = said(codes[6], codes[2] - 1, codes[3])
        write_wav(folder / name, tone(hz=LEAST_HZ + STEP_HZ * answer, seconds=0.2, level=level))
    return folder


def right_but_for_two(actor: int, truth: int, intensity: int) -> int:
    """Actor 1 is always misread, actor 2 where the intensity is strong; the answer is the next class."""
    return (truth + 1) % 8 if actor == 1 or (actor == 2 and intensity == 2) else truth
