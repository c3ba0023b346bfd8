"""Who is to be drawn on live images: the newest result, with words that do not flicker."""

from __future__ import annotations

from dataclasses import dataclass

from mien.output._video_paint import Person
from mien.results import TrackedFace, VideoFrame

__all__ = ["LivePeople"]

_LEAD = 0.1
"""Another emotion takes the word at once when it leads by so much."""

_HELD_S = 0.5
"""A smaller lead must last: expressions take half a second and more (Ekman 2003, see `mien.timeline.course`)."""

_FORGET_S = 5.0


@dataclass(slots=True)
class _Word:
    """The emotion that names somebody."""

    top: str
    agreed_s: float
    seen_s: float


class LivePeople:
    """Turns results into people to draw, each with an emotion that is steadier than the most probable."""

    def __init__(self) -> None:
        self._words: dict[int, _Word] = {}

    def of(self, frame: VideoFrame | None, *, scale: float = 1.0) -> list[Person]:
        """Return who is seen.

        Parameters
        ----------
        frame : VideoFrame or None
            The newest result; the same one may come again.
        scale : float
            By how much the image is drawn larger than it was analyzed.
        """
        if frame is None:
            return []
        people = []
        for face in frame.faces:
            x1, y1, x2, y2 = (scale * value for value in face.face.box)
            emotion = face.smoothed
            top = self._top(face, frame.time_s)
            people.append(Person(face.track, (x1, y1, x2, y2), emotion.labels, emotion.probabilities, top))
        if len(self._words) > 64:
            self._words = {n: word for n, word in self._words.items() if frame.time_s - word.seen_s < _FORGET_S}
        return people

    def _top(self, face: TrackedFace, time_s: float) -> str:
        emotion = face.smoothed
        word = self._words.get(face.track)
        if word is None or time_s - word.seen_s > _FORGET_S:
            word = self._words[face.track] = _Word(emotion.top, time_s, time_s)
        word.seen_s = time_s
        if emotion.top == word.top:
            word.agreed_s = time_s
        elif emotion.confidence - emotion[word.top] >= _LEAD or time_s - word.agreed_s >= _HELD_S:
            word.top, word.agreed_s = emotion.top, time_s
        return word.top
