"""Which faces to ask for: a balanced design over the look of people, and its wording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien._checks import check_integer
from mien.errors import InputError
from mien.labels import canonical

__all__ = ["FACTORS", "MARKS", "Wanted", "design", "plan"]

FACTORS: dict[str, tuple[str, ...]] = {
    # Adults only: services refuse much of what concerns children, rightly.
    "age": ("20", "30", "40", "50", "60", "75"),
    # Six steps from light to dark, as many as the scale of Fitzpatrick (1988, doi:10.1001/archderm.124.6.869).
    "skin": ("very light", "light", "light brown", "medium brown", "dark brown", "very dark"),
    "sex": ("woman", "man"),
    "light": (
        "soft daylight from a window",
        "bright sun outdoors",
        "a warm lamp in the evening",
        "plain office light from above",
        "light from one side with deep shadows",
    ),
    "pose": (
        "looking straight into the camera",
        "the head turned a little to the left",
        "the head turned a little to the right",
        "the head slightly lowered",
        "the head slightly raised",
    ),
    "strength": ("subtle", "clear", "strong"),
}
"""What is varied, with its levels."""

MARKS: dict[str, str] = {
    "anger": "the brows drawn together and down, a hard stare, the lips pressed together or bared",
    "disgust": "the nose wrinkled, the upper lip raised, the cheeks pushed up",
    "fear": "the brows raised and drawn together, the eyes wide open, the mouth tense and stretched sideways",
    "happiness": "the corners of the mouth drawn up, the cheeks raised, small wrinkles beside the eyes",
    "sadness": "the inner ends of the brows raised, the lids drooping, the corners of the mouth pulled down",
    "surprise": "the brows raised high, the eyes wide open, the jaw dropped and relaxed",
    "neutral": "no expression at all, the face relaxed and the mouth closed",
    "contempt": "one corner of the mouth tightened and raised, the gaze from above",
}
"""What each emotion does to a face, after the prototypes of Ekman and Friesen: Unmasking the Face (1975), and for
contempt Ekman and Friesen 1986 (doi:10.1007/BF00992253)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One image to ask for.

    Parameters
    ----------
    file : str
        Where it will lie in the folder, such as ``"fear/generated_0_00001.png"``: emotion, seed and number.
    emotion : str
        The lower-case noun.
    prompt : str
        What the service is told.
    """

    file: str
    emotion: str
    prompt: str


def design(count: int, *, seed: int) -> list[dict[str, str]]:
    """Choose the level of every factor for a number of images, evenly and in an order that the seed decides.

    However many are taken from the beginning, the levels of each factor come equally often (give or take one).  Among
    the levels that are due, the one is taken that has met the levels already chosen for this image least often, so
    that the factors do not run along with each other; the seed decides what is left.  A longer design begins with the
    shorter one.

    Parameters
    ----------
    count : int
        How many images.
    seed : int
        At least 0.

    Returns
    -------
    list of dict
        For each image the level of each of `FACTORS`.
    """
    random = np.random.default_rng(seed)
    seen: Counter[tuple[str, str]] = Counter()
    together: Counter[frozenset[tuple[str, str]]] = Counter()
    rows = []
    for _ in range(count):
        row: dict[str, str] = {}
        for factor, levels in FACTORS.items():
            ties = random.permutation(len(levels))
            ranked = []
            for level, tie in zip(levels, ties, strict=True):
                # Squares: two pairs met once are better than one met twice.
                met = sum(together[frozenset({(factor, level), other})] ** 2 for other in row.items())
                ranked.append((seen[factor, level], met, int(tie), level))
            chosen = min(ranked)[-1]
            for other in row.items():
                together[frozenset({(factor, chosen), other})] += 1
            seen[factor, chosen] += 1
            row[factor] = chosen
        rows.append(row)
    return rows


def plan(emotions: Sequence[str], *, count: int, seed: int = 0) -> list[Wanted]:
    """Say which images to ask for.

    Every emotion gets the same people in the same light and pose: what a person looks like then tells nothing about
    the emotion.  The emotions take turns, so that an early end leaves them balanced.  The same arguments always give
    the same plan, and a larger count begins with the smaller one's images.

    Parameters
    ----------
    emotions : sequence of str
        Words for emotions of FER2013 or FER+; synonyms are understood, repetitions are taken once.
    count : int
        Images of each emotion, at least 1.
    seed : int
        Decides the design; another seed gives other people under other names.

    Returns
    -------
    list of Wanted
        ``count`` times the number of emotions.

    Raises
    ------
    InputError
        If there is no emotion, one is unknown, or a number is out of range.
    """
    count = check_integer(count, "count", low=1, high=99_999)
    seed = check_integer(seed, "seed", low=0)
    words = list(dict.fromkeys(canonical(word) for word in emotions))
    if not words:
        raise InputError(f"expected at least one emotion of {', '.join(MARKS)}, but got none")
    for word in words:
        if word not in MARKS:
            raise InputError(f"faces are asked for as {', '.join(MARKS)}, but got {word!r}")
    return [
        Wanted(f"{word}/generated_{seed}_{number:05d}.png", word, _prompt(word, row))
        for number, row in enumerate(design(count, seed=seed), 1)
        for word in words
    ]


def _prompt(emotion: str, row: dict[str, str]) -> str:
    if emotion == "neutral":
        shown = f"with {MARKS[emotion]}"
    else:
        shown = f"whose face shows {row['strength']} {emotion}: {MARKS[emotion]}"
    return (
        f"A realistic photograph of one {row['sex']} about {row['age']} years old with {row['skin']} skin, {shown}. "
        f"Head and shoulders, {row['pose']}, in {row['light']}. "
        "An unposed image of an ordinary person who does not exist; nobody else, no other face and no text in it."
    )
