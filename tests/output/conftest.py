"""Emotions and faces to draw and write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mien.labels import FERPLUS8
from mien.results import Emotion, Face

MakeFace = Callable[..., Face]


@pytest.fixture
def make_face() -> MakeFace:
    """Return a function that makes a face with a chosen top emotion, or none."""

    def make(
        box: tuple[float, float, float, float], top: str | None = "happiness", share: float = 0.9, **more: object
    ) -> Face:
        if top is None:
            return Face(box, 0.9)
        rest = (1 - share) / (len(FERPLUS8) - 1)
        emotion = Emotion(FERPLUS8, tuple(share if name == top else rest for name in FERPLUS8.emotions))
        return Face(box, 0.9, None, emotion, **more)  # type: ignore[arg-type]

    return make
