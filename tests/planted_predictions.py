"""A model whose answers are planted, and data to ask it about."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from face_tables import table_samples
from mien.data import Samples
from mien.labels import FER7, LabelSet
from mien.models.spec import License, ModelFile, ModelSpec, Output


def spec(*outputs: Output) -> ModelSpec:
    return ModelSpec(
        name="fake",
        task="face-emotion",
        description="answers what the test planted",
        version="3",
        date=dt.date(2026, 1, 1),
        files=(ModelFile("graph", "fake.onnx", "0" * 64, 1),),
        license=License("MIT", "none"),
        path=Path("fake.toml"),
        outputs=outputs,
    )


def output(labels: LabelSet, *, default: bool = False, temperature: float = 1.0, name: str = "") -> Output:
    return Output(name or labels.name, f"logits_{labels.name}", labels, temperature, default)


@dataclass
class Fake:
    """Answers the logits that were planted for each image, whatever the order and batches in which they come."""

    images: np.ndarray
    planted: dict[str, np.ndarray]
    spec: ModelSpec
    batches: list[int] = field(default_factory=list)

    def logits(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        assert crops.dtype == np.uint8
        assert crops.flags.c_contiguous
        self.batches.append(len(crops))
        at = [next(i for i, image in enumerate(self.images) if np.array_equal(image, crop)) for crop in crops]
        return {name: z[at].astype(np.float32) for name, z in self.planted.items()}


def make_images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 6), dtype=np.uint8)


def data(images: np.ndarray, truth: np.ndarray, labels: LabelSet = FER7, split: str = "PublicTest") -> Samples:
    return table_samples(images, np.asarray(truth, dtype=np.int64), labels, name="fer2013", split=split)
