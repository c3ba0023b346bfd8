"""A distribution over emotions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.labels import LabelSet, canonical, label_set, mapping

__all__ = ["UNSURE_BELOW", "Emotion"]

UNSURE_BELOW = 0.5
"""A calibrated top probability below one half means that the answer is more likely wrong than right."""


@dataclass(frozen=True, slots=True)
class Emotion:
    """A distribution over the emotions of one label set.

    Parameters
    ----------
    labels : LabelSet
        Which emotions, in which order.
    probabilities : tuple of float
        One probability a label, summing to one (within 1e-4).

    Raises
    ------
    InputError
        If the length is wrong, a value is negative or not finite, or the sum is not one.
    """

    labels: LabelSet
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        values = tuple(float(p) for p in self.probabilities)
        if len(values) != len(self.labels):
            raise InputError(f"{self.labels.name} needs {len(self.labels)} probabilities, but got {len(values)}")
        if not all(math.isfinite(p) and p >= 0 for p in values):
            raise InputError(f"probabilities must be finite and not negative, but got {values}")
        if abs(sum(values) - 1) > 1e-4:
            raise InputError(f"probabilities must sum to 1, but got a sum of {sum(values):.6g}")
        object.__setattr__(self, "probabilities", values)

    @property
    def top(self) -> str:
        """The most probable emotion (the first of equals)."""
        return self.labels.emotions[self.probabilities.index(max(self.probabilities))]

    @property
    def confidence(self) -> float:
        """The probability of `top`."""
        return max(self.probabilities)

    @property
    def unsure(self) -> bool:
        """Whether the distribution is too flat: `confidence` below `UNSURE_BELOW`."""
        return self.confidence < UNSURE_BELOW

    def __getitem__(self, emotion: str) -> float:
        return self.probabilities[self.labels.index(emotion)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels.emotions)

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, emotion: object) -> bool:
        try:
            return isinstance(emotion, str) and canonical(emotion) in self.labels.emotions
        except InputError:
            return False

    def items(self) -> Iterator[tuple[str, float]]:
        """Yield (emotion, probability) in the order of the label set."""
        return iter(zip(self.labels.emotions, self.probabilities, strict=True))

    def ranked(self) -> list[tuple[str, float]]:
        """Return (emotion, probability), most probable first."""
        return sorted(self.items(), key=lambda item: -item[1])

    def to(self, labels: LabelSet | str) -> Emotion:
        """Map the distribution to another label set (see `mien.labels.mapping`)."""
        target = label_set(labels) if isinstance(labels, str) else labels
        mapped = mapping(self.labels, target).apply(np.asarray(self.probabilities))
        return Emotion(target, tuple(mapped.tolist()))

    def to_array(self) -> NDArray[np.float64]:
        """Return the probabilities as float64 of shape (len(labels),)."""
        return np.asarray(self.probabilities, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: labels, top, confidence, unsure, probabilities."""
        return {
            "labels": self.labels.name,
            "top": self.top,
            "confidence": self.confidence,
            "unsure": self.unsure,
            "probabilities": dict(self.items()),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Emotion:
        """Build from what `to_dict` returned."""
        labels = label_set(data["labels"])
        return cls(labels, tuple(data["probabilities"][name] for name in labels.emotions))
