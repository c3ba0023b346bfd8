"""Sets of emotion labels, the synonyms understood on input, and explicit mappings between sets.

Nothing here guesses: a mapping that merges or drops a label says so in its `Mapping.note`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError

__all__ = [
    "BAUM8",
    "FER7",
    "FERPLUS8",
    "LABEL_SETS",
    "RAVDESS8",
    "LabelSet",
    "Mapping",
    "can_map",
    "canonical",
    "label_set",
    "mapping",
]

_SYNONYMS = {
    "angry": "anger",
    "anger": "anger",
    "disgusted": "disgust",
    "disgust": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "fear": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "happiness": "happiness",
    "sad": "sadness",
    "sadness": "sadness",
    "surprised": "surprise",
    "surprise": "surprise",
    "neutral": "neutral",
    "neutrality": "neutral",
    "contemptuous": "contempt",
    "contempt": "contempt",
    "calm": "calm",
}


def canonical(name: str) -> str:
    """Return the noun that mien uses for an emotion word.

    Parameters
    ----------
    name : str
        An emotion word in any case: ``"Happy"``, ``"happiness"``, ``"joy"``.

    Returns
    -------
    str
        The lower-case noun, such as ``"happiness"``.

    Raises
    ------
    InputError
        If the word is not known.
    """
    word = _word(name)
    if word not in _SYNONYMS:
        known = ", ".join(sorted(set(_SYNONYMS.values())))
        raise InputError(f"unknown emotion {name!r}: expected one of {known} or a common synonym")
    return word


def _word(name: str) -> str:
    """Return a word in lower case, and the noun for a synonym."""
    if not isinstance(name, str):
        raise InputError(f"an emotion must be a word, but got {type(name).__name__}")
    word = name.strip().lower()
    return _SYNONYMS.get(word, word)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """An ordered, named set of emotions.

    Parameters
    ----------
    name : str
        Lower-case name, such as ``"fer7"``.
    emotions : tuple of str
        In the order of a model's outputs, in lower case: the nouns that `canonical` gives, or words of your own.
    source : str
        Where the set and its order come from.

    Raises
    ------
    InputError
        If there is no emotion, one stands twice, or a synonym stands for the noun.

    Examples
    --------
    >>> LabelSet("moods", ("bored", "neutral", "happiness")).index("happy")
    2
    """

    name: str
    emotions: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        if not self.emotions:
            raise InputError(f"label set {self.name!r} is empty")
        object.__setattr__(self, "emotions", tuple(self.emotions))
        for emotion in self.emotions:
            word = _word(emotion)
            if not word or word != emotion:
                raise InputError(f"label set {self.name!r} must use {word or 'words'!r}, but got {emotion!r}")
        if len(set(self.emotions)) != len(self.emotions):
            raise InputError(f"label set {self.name!r} names an emotion twice: {self.emotions}")

    def __len__(self) -> int:
        return len(self.emotions)

    def __iter__(self) -> Iterator[str]:
        return iter(self.emotions)

    def index(self, emotion: str) -> int:
        """Return the position of an emotion (synonyms understood).

        Raises
        ------
        InputError
            If the emotion is unknown or not in this set.
        """
        word = _word(emotion)
        if word not in self.emotions:
            canonical(emotion)
            raise InputError(f"{self.name} has no {word!r}: it has {', '.join(self.emotions)}")
        return self.emotions.index(word)

    def to_data(self) -> str | dict[str, Any]:
        """Return plain data that `json` can write: the name of a set of `LABEL_SETS`, of others all of it."""
        if LABEL_SETS.get(self.name) == self:
            return self.name
        return {"name": self.name, "emotions": list(self.emotions), "source": self.source}

    @classmethod
    def from_data(cls, data: str | dict[str, Any]) -> LabelSet:
        """Build from what `to_data` returned."""
        return label_set(data) if isinstance(data, str) else cls(data["name"], tuple(data["emotions"]), data["source"])


FER7 = LabelSet(
    "fer7",
    ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
    "FER2013, codes 0..6 (Goodfellow et al. 2013, arXiv:1307.0414)",
)
FERPLUS8 = LabelSet(
    "ferplus8",
    ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    "FER+, column order of fer2013new.csv (Barsoum et al. 2016, arXiv:1608.01041)",
)
RAVDESS8 = LabelSet(
    "ravdess8",
    ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
    "RAVDESS, codes 01..08 (Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391)",
)
BAUM8 = LabelSet(
    "baum8",
    ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"),
    "BAUM-2, codes 0..7 (Erdem et al. 2015, doi:10.1007/s11042-014-1986-2)",
)

LABEL_SETS: dict[str, LabelSet] = {s.name: s for s in (FER7, FERPLUS8, RAVDESS8, BAUM8)}


def label_set(name: str) -> LabelSet:
    """Return a label set by name.

    Raises
    ------
    InputError
        If no label set has that name.
    """
    try:
        return LABEL_SETS[name]
    except (KeyError, TypeError):
        raise InputError(f"unknown label set {name!r}: expected one of {', '.join(LABEL_SETS)}") from None


@dataclass(frozen=True, slots=True)
class Mapping:
    """How probabilities over one label set become probabilities over another.

    Parameters
    ----------
    source, target : LabelSet
        The two sets.
    weights : numpy.ndarray
        float64 of shape (len(source), len(target)); rows are 0/1, an all-zero row is a dropped label.
    note : str
        What is merged or dropped, in words.
    """

    source: LabelSet
    target: LabelSet
    weights: NDArray[np.float64]
    note: str

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map distributions and renormalize what remains.

        Parameters
        ----------
        probabilities : numpy.ndarray
            Shape (..., len(source)), non-negative, summing to one.

        Returns
        -------
        numpy.ndarray
            float64 of shape (..., len(target)), summing to one.  Where everything was on dropped labels, uniform.

        Raises
        ------
        InputError
            If the last axis does not match the source.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        if p.ndim == 0 or p.shape[-1] != len(self.source):
            raise InputError(f"probabilities must have {len(self.source)} values ({self.source.name}), got {p.shape}")
        mapped = p @ self.weights
        total = mapped.sum(axis=-1, keepdims=True)
        uniform = np.full_like(mapped, 1.0 / len(self.target))
        return np.where(total > 0, mapped / np.where(total > 0, total, 1.0), uniform)


def can_map(source: LabelSet, target: LabelSet) -> bool:
    """Return whether there is a `mapping` between two label sets."""
    try:
        mapping(source, target)
    except InputError:
        return False
    return True


def mapping(source: LabelSet, target: LabelSet) -> Mapping:
    """Return the mapping between two label sets.

    Labels that both sets have map to each other.  Of the rest, ``calm`` merges into ``neutral`` and ``contempt`` is
    dropped, with the remaining probabilities renormalized.

    Parameters
    ----------
    source, target : LabelSet
        The two sets.

    Returns
    -------
    Mapping
        The weights and a note in words.

    Raises
    ------
    InputError
        If a source label has no place in the target by these rules.
    """
    weights = np.zeros((len(source), len(target)))
    notes: list[str] = []
    for row, emotion in enumerate(source.emotions):
        if emotion in target.emotions:
            weights[row, target.emotions.index(emotion)] = 1.0
        elif emotion == "calm" and "neutral" in target.emotions:
            weights[row, target.emotions.index("neutral")] = 1.0
            notes.append("calm counts as neutral")
        elif emotion == "contempt":
            notes.append("contempt is dropped and the rest renormalized")
        else:
            raise InputError(f"no mapping from {source.name} to {target.name}: {emotion!r} has no place there")
    return Mapping(source, target, weights, "; ".join(notes) or "one to one")
