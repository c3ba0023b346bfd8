"""Results of each kind to draw and write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mien.labels import FERPLUS8, RAVDESS8
from mien.results import Emotion, Face, FailedItem, ImageResult, SpeechResult, SpeechSegment, VideoResult
from planted_video import distribution, planted_video, with_voice

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


@pytest.fixture
def image(make_face: MakeFace) -> ImageResult:
    """Return a happy face, an unsure one with a warning, and one without emotion, in an image with a warning."""
    faces = (make_face((1, 2, 33.333, 44)), make_face((5, 6, 20, 22), "fear", 0.3, warnings=("small",)))
    faces = (*faces, make_face((50, 50, 60, 60), None))
    return ImageResult(100, 80, faces, "a.jpg", "m", "d", ("the file is truncated",))


@pytest.fixture
def speech() -> SpeechResult:
    """Return silence, anger for three seconds, unsure calm for one with a warning, and silence."""
    segments = (
        SpeechSegment(0.0, 1.5, False),
        SpeechSegment(1.5, 4.5, True, distribution("anger", 0.8, RAVDESS8)),
        SpeechSegment(4.5, 5.5, True, distribution("calm", 0.4, RAVDESS8), ("only 0.3 s of speech",)),
        SpeechSegment(5.5, 6.0, False),
    )
    return SpeechResult(6.0, segments, "call.wav", "m", ("is clipped",))


@pytest.fixture
def video() -> VideoResult:
    """Return two people for ten seconds, the first away from 4 to 6 s; anger is said from 1 to 3 s, calm 5 to 7 s."""
    people = planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)], [("anger", 3.0)], warnings=("cut off",))
    return with_voice(people, [(None, 1.0), ("anger", 2.0), (None, 2.0), ("calm", 2.0), (None, 3.0)])


@pytest.fixture
def failed() -> FailedItem:
    """Return an item that could not be read."""
    return FailedItem("bad.jpg", "DecodeError", "bad.jpg is empty")
