"""Small images of the strongest moments of a video's people, gathered while the video streams by."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer
from mien.output.write import encode_jpeg
from mien.results import Emotion, Moment, TrackedFace, VideoFrame, VideoResult

if TYPE_CHECKING:
    from mien.results import FaceTrack

__all__ = ["Thumbnails"]

_AROUND = 0.35
"""What is shown around a face, as a share of its longer side: hair, chin and a bit of the place."""

_APART_S = 2.0
"""Images of one emotion are at least so far apart; `mien.timeline.strongest` spaces moments alike."""

_NEAR_S = 0.6
"""How far an image may be from the moment that it stands for."""

_LOOK_S, _TAU_S = 1.0, 0.4
"""An image is judged when so much of the video has followed, by the answers around it: like the smoothing of the whole
video, and unlike that of a video that is still read, this does not lag behind."""

_STEP_S = 0.1
"""Of videos that are read more finely, images at least so far apart are enough."""

_GONE_S = 3.0
"""Who is not seen for so long has the images packed."""

_MOST_PEOPLE = 200
_TOUCH_S = 1e-6
_FLOOR = 1e-6
"""Probabilities below count as this in logarithms."""

_QUALITY = 82


@dataclass(slots=True, eq=False)
class _Candidate:
    time_s: float
    answer: Emotion
    image: NDArray[np.uint8] | bytes
    strength: float = 0.0

    def packed(self) -> bytes:
        if not isinstance(self.image, bytes):
            self.image = encode_jpeg(self.image, quality=_QUALITY)
        return self.image


class _Person:
    """The best candidates of one person, by emotion, and the last ones, which wait for what follows."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.found: dict[str, list[_Candidate]] = {}
        self.frames, self.last_s, self.packed = 0, 0.0, False
        self._waiting: deque[_Candidate] = deque()
        self._judged = 0  # of those that wait

    def all(self) -> list[_Candidate]:
        return [candidate for kept in self.found.values() for candidate in kept]

    def due(self, time_s: float) -> bool:
        """Whether another image is wanted at a time."""
        return not self._waiting or time_s - self._waiting[-1].time_s >= _STEP_S

    def add(self, candidate: _Candidate) -> None:
        self._waiting.append(candidate)
        while self._waiting[self._judged].time_s <= candidate.time_s - _LOOK_S:
            self._judge(self._waiting[self._judged])
            self._judged += 1
        while self._waiting[0].time_s < candidate.time_s - 2 * _LOOK_S:
            self._waiting.popleft()
            self._judged -= 1

    def settle(self) -> None:
        """Judge those that wait: nothing follows."""
        for candidate in list(self._waiting)[self._judged :]:
            self._judge(candidate)
        self._waiting.clear()
        self._judged = 0

    def pack(self) -> None:
        self.settle()
        for candidate in self.all():
            candidate.packed()
        self.packed = True

    def _judge(self, candidate: _Candidate) -> None:
        """Give a candidate what the answers around it say, and keep it if it is among the best."""
        apart = np.array([one.time_s - candidate.time_s for one in self._waiting])
        weights = np.where(np.abs(apart) <= _LOOK_S, np.exp(-np.abs(apart) / _TAU_S), 0.0)
        logs = np.log(np.maximum([one.answer.probabilities for one in self._waiting], _FLOOR))
        shares = np.exp(weights @ logs / weights.sum())
        top = int(shares.argmax())
        candidate.strength = float(shares[top] / shares.sum())
        self._keep(candidate, candidate.answer.labels.emotions[top])

    def _keep(self, candidate: _Candidate, emotion: str) -> None:
        kept = self.found.setdefault(emotion, [])
        rivals = [one for one in kept if abs(one.time_s - candidate.time_s) < _APART_S]
        if not rivals and len(kept) >= self.count:
            rivals = [min(kept, key=lambda one: one.strength)]
        if all(one.strength < candidate.strength for one in rivals):
            # A better image may lie near two that are apart: both make room.
            kept[:] = [one for one in kept if one not in rivals] + [candidate]


class Thumbnails:
    """Keeps the best images of each person of a video, in memory that does not grow with the video.

    Of each emotion that leads, a few of the clearest moments are kept, apart in time, scaled to their final size.  Who
    has left is packed as JPEG; in a crowd of more than 200, those who were seen least make room.

    Parameters
    ----------
    count : int
        Images of a person, 1 to 12.
    size : int
        Side of an image in pixels, 32 to 512.

    Raises
    ------
    InputError
        If one is out of range.
    """

    def __init__(self, count: int = 4, size: int = 160) -> None:
        self.count = check_integer(count, "count", low=1, high=12)
        self.size = check_integer(size, "size", low=32, high=512)
        self._people: dict[int, _Person] = {}

    def see(self, image: NDArray[Any], frame: VideoFrame) -> None:
        """Look at a frame, or at the part of one that a face is in.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        frame : VideoFrame
            What was seen in it; boxes are in pixels of the image.

        Raises
        ------
        InputError
            If the image is none.
        """
        if not frame.faces:
            return
        pixels = check_image(image)
        for face in frame.faces:
            person = self._people.setdefault(face.track, _Person(self.count))
            person.frames, person.last_s, person.packed = person.frames + 1, frame.time_s, False
            if person.due(frame.time_s):
                answer = face.smoothed if face.face.emotion is None else face.face.emotion
                person.add(_Candidate(frame.time_s, answer, self._cut(pixels, face)))
        self._tidy(frame.time_s)

    def _cut(self, image: NDArray[np.uint8], face: TrackedFace) -> NDArray[np.uint8]:
        """Return a square around a face, as far as the image goes, scaled."""
        height, width = image.shape[:2]
        x1, y1, x2, y2 = face.face.box
        side = min(max(1, round((1 + 2 * _AROUND) * max(x2 - x1, y2 - y1))), width, height)
        left = min(max(round((x1 + x2 - side) / 2), 0), width - side)
        top = min(max(round((y1 + y2 - side) / 2), 0), height - side)
        return _scaled(image[top : top + side, left : left + side], self.size)

    def _tidy(self, time_s: float) -> None:
        for person in self._people.values():
            if not person.packed and abs(time_s - person.last_s) > _GONE_S:
                person.pack()
        if len(self._people) > _MOST_PEOPLE:
            gone = [number for number, person in self._people.items() if person.packed] or list(self._people)
            del self._people[min(gone, key=lambda number: self._people[number].frames)]

    def pick(self, video: VideoResult) -> dict[int, list[tuple[Moment, bytes]]]:
        """Choose the images of each person.

        Parameters
        ----------
        video : VideoResult
            The video that was seen, when all of it is known.

        Returns
        -------
        dict of int to list of (Moment, bytes)
            By the number of the person: in order of time, JPEG with the moment at which it was taken.  First choice are
            images of the video's own strongest moments; others fill up.  Who has no image is left out.
        """
        chosen = {}
        for track in video.tracks:
            person = self._people.get(track.number)
            if person is None:
                continue
            person.settle()
            if images := self._of(track, person):
                chosen[track.number] = images
        return chosen

    def _of(self, track: FaceTrack, person: _Person) -> list[tuple[Moment, bytes]]:
        left = sorted(person.all(), key=lambda one: -one.strength)
        taken: list[tuple[Moment, bytes]] = []

        def take(candidate: _Candidate, emotion: str | None) -> None:
            moment = _moment(track, candidate.time_s, emotion)
            apart = all(abs(other.time_s - moment.time_s) > _TOUCH_S for other, _ in taken) if moment else False
            if moment is not None and apart and len(taken) < self.count:
                taken.append((moment, candidate.packed()))

        for moment in track.moments:
            near = [one for one in person.found.get(moment.emotion, ()) if abs(one.time_s - moment.time_s) <= _NEAR_S]
            if near:
                take(min(near, key=lambda one: abs(one.time_s - moment.time_s)), moment.emotion)
        for candidate in left:
            if all(abs(other.time_s - candidate.time_s) >= _APART_S for other, _ in taken):
                take(candidate, None)
        return sorted(taken, key=lambda item: item[0].time_s)


def _scaled(square: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a square image at a size: in whole steps by area, and the rest of the way between pixels.

    Area over fractions of pixels takes ten times as long, and nobody sees the difference.
    """
    factor = len(square) // size
    if factor >= 2:
        side = len(square) // factor
        whole = np.ascontiguousarray(square[: side * factor, : side * factor])
        square = cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
    way = cv2.INTER_LINEAR if len(square) > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)


def _moment(track: FaceTrack, time_s: float, emotion: str | None) -> Moment | None:
    """Return what the whole video says of a person at a time; by default of the emotion that leads then."""
    point = track.at(time_s)
    if point is None:
        return None
    shares = point.probabilities
    name = track.labels.emotions[int(shares.argmax())] if emotion is None else emotion
    x1, y1, x2, y2 = point.box.tolist()
    return Moment(time_s, name, float(shares[track.labels.index(name)]), (x1, y1, x2, y2))
