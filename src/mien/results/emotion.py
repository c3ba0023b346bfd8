"""A distribution over emotions, and stretches of time that have one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.labels import LABEL_SETS, LabelSet, label_set, mapping

__all__ = ["TIME_EPSILON_S", "UNSURE_BELOW", "Emotion", "Segment", "mean_emotion", "seconds_by_emotion"]

UNSURE_BELOW = 0.5
"""A calibrated top probability below one half means that the prediction is more likely wrong than right."""

AFFECT = {
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happiness": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    "neutral": (0.0, 0.0),
    "calm": (0.56, -0.31),
}
"""Valence and arousal of emotion words, -1 to 1: mean ratings of pleasure and arousal by Russell and Mehrabian,
"Evidence for a three-factor theory of emotions", Journal of Research in Personality 11 (1977), table 1 (angry,
disgusted, fearful, happy, sad, surprised); calm by Russell, "A circumplex model of affect", Journal of Personality and
Social Psychology 39 (1980), figure 4; neutral is the origin of both.  Contempt is in neither."""

MAX_SHOWN = 3
"""So many emotions, faces or people are shown in a line that sums up."""

TIME_EPSILON_S = 1e-6
"""How far times that are the same may lie apart by rounding."""


class _NoSuchEmotionError(InputError, KeyError):
    """What a mapping raises: there is no such emotion."""


@dataclass(frozen=True, slots=True)
class Emotion(Mapping[str, float]):
    """A distribution over the emotions of one label set: a mapping from emotions to probabilities.

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

    @property
    def valence(self) -> float | None:
        """How pleasant the emotion is, -1 to 1, derived: the mean of `AFFECT` weighted by the probabilities.

        Emotions without coordinates, such as contempt and words of your own, are left out; None where they have more
        than half of the probability.
        """
        return self._affect(0)

    @property
    def arousal(self) -> float | None:
        """How activated the emotion is, -1 to 1, derived as `valence` is."""
        return self._affect(1)

    def _affect(self, axis: int) -> float | None:
        known = [(AFFECT[name][axis], share) for name, share in self.items() if name in AFFECT]
        total = sum(share for _, share in known)
        return sum(value * share for value, share in known) / total if total >= 0.5 else None

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in self.ranked()[:MAX_SHOWN])
        return f"<Emotion {shares}{', ...' * (len(self) > MAX_SHOWN)} ({self.labels.name})>"

    def __getitem__(self, emotion: str) -> float:
        try:
            return self.probabilities[self.labels.index(emotion)]
        except InputError as error:
            raise _NoSuchEmotionError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels.emotions)

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, emotion: object) -> bool:
        return isinstance(emotion, str) and self.get(emotion) is not None

    def get(self, emotion: str, default: Any = None) -> Any:
        """Return the probability of an emotion, or the default where the label set does not have it."""
        try:
            return self[emotion]
        except InputError:
            return default

    def ranked(self) -> list[tuple[str, float]]:
        """Return (emotion, probability), most probable first."""
        return sorted(zip(self.labels.emotions, self.probabilities, strict=True), key=lambda item: -item[1])

    def to(self, labels: LabelSet | str) -> Emotion:
        """Map the distribution to another label set (see `mien.labels.mapping`)."""
        target = label_set(labels) if isinstance(labels, str) else labels
        mapped = mapping(self.labels, target).apply(np.asarray(self.probabilities))
        return Emotion(target, tuple(mapped.tolist()))

    def to_array(self) -> NDArray[np.float64]:
        """Return the probabilities as float64 of shape (len(labels),)."""
        return np.asarray(self.probabilities, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: labels, top, confidence, unsure, valence, arousal, probabilities."""
        return {
            "labels": self.labels.name,
            "top": self.top,
            "confidence": self.confidence,
            "unsure": self.unsure,
            "valence": self.valence,
            "arousal": self.arousal,
            "probabilities": dict(zip(self.labels.emotions, self.probabilities, strict=True)),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Emotion:
        """Build from what `to_dict` returned."""
        shares = data["probabilities"]
        labels = LABEL_SETS.get(data["labels"]) or LabelSet(data["labels"], tuple(shares))
        return cls(labels, tuple(shares[name] for name in labels.emotions))


def to_plain(value: Any) -> Any:
    """Return a value of a result as data that `json` can write."""
    if isinstance(value, LabelSet):
        return value.to_data()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: to_plain(one) for name, one in value.items()}
    return [to_plain(one) for one in value] if isinstance(value, tuple | list) else value


def read_emotion(data: dict[str, Any] | None) -> Emotion | None:
    """Return the emotion that `to_plain` made data of, or None for None."""
    return None if data is None else Emotion.from_dict(data)


class Record:
    """A dataclass whose fields are its data."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {entry.name: to_plain(getattr(self, entry.name)) for entry in fields(cast("Any", self))}


def describe_top(emotion: Emotion | None) -> str:
    """Return the most probable emotion and its probability, such as ``happiness 62%``."""
    return "no emotion" if emotion is None else f"{emotion.top} {100 * emotion.confidence:.0f}%"


@dataclass(frozen=True, slots=True)
class Segment(Record):
    """A stretch of time, [start_s, end_s) in seconds."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s < self.end_s):
            raise InputError(f"a segment must be 0 <= start_s < end_s, but got {self.start_s} to {self.end_s}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


def mean_emotion(emotions: Sequence[Emotion], weights: Sequence[float] | None = None) -> Emotion | None:
    """Return the weighted mean of distributions over one label set; None of none.

    Parameters
    ----------
    emotions : sequence of Emotion
        All of one label set.
    weights : sequence of float, optional
        How much each counts, such as how long it lasts; by default, and where all are 0, all the same.
    """
    if not emotions:
        return None
    weights = weights if weights is not None and any(weights) else None
    mean = np.average([emotion.to_array() for emotion in emotions], axis=0, weights=weights)
    return Emotion(emotions[0].labels, tuple((mean / mean.sum()).tolist()))


def seconds_by_emotion(lengths: Sequence[tuple[float, Emotion]]) -> dict[str, float]:
    """Return seconds by the most probable emotion, longest first, from (seconds, distribution)."""
    seconds: dict[str, float] = {}
    for length_s, emotion in lengths:
        seconds[emotion.top] = seconds.get(emotion.top, 0.0) + length_s
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))
