"""Faces cut out of images and videos: saved as files, or as thumbnails of the strongest moments."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, describe
from mien.errors import InputError
from mien.output.registry import Context, Result, Writer
from mien.output.write import encode_jpeg, make_folder, write_image
from mien.results import Emotion, FaceTrack, ImageResult, Moment, TrackedFace, VideoFrame, VideoResult
from mien.results.emotion import TIME_EPSILON_S

__all__ = ["FACE_MARGIN", "FaceWriter", "Thumbnails", "cut_face"]

FACE_MARGIN = 0.15
"""What is left around a face, as a share of the longer side of its box."""

_AROUND = 0.35
"""Margin around a face in thumbnails, as a share of its longer side: hair, chin and a bit of the place."""

_APART_S = 2.0
"""Images of one emotion are at least so far apart; `mien.video.timeline.find_moments` spaces moments alike."""

_NEAR_S = 0.6
"""How far an image may be from the moment that it stands for."""

_LOOK_S, _TAU_S = 1.0, 0.4
"""An image is scored when so much of the video has followed, by the predictions around it: like the smoothing of the
whole video, and unlike that of a video that is still read, this does not lag behind."""

_STEP_S = 0.1
"""Candidates are at least so far apart."""

_GONE_S = 3.0
"""The images of somebody who is out of view for so long are compressed."""

_MAX_PEOPLE = 200
_FLOOR = 1e-6
"""Probabilities below count as this in logarithms."""

_QUALITY = 82


def cut_face(image: NDArray[Any], box: Sequence[float], *, margin: float = FACE_MARGIN) -> NDArray[Any]:
    """Return a face with a margin, as far as the image reaches.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W, ...), such as uint8 (H, W, 3).
    box : sequence of float
        x1, y1, x2, y2 in pixels.
    margin : float
        How much to leave around it, as a share of the box's longer side.

    Returns
    -------
    numpy.ndarray
        A view of the image, of at least one pixel.
    """
    x1, y1, x2, y2 = box
    pad = margin * max(x2 - x1, y2 - y1)
    height, width = image.shape[:2]
    # A box beyond an edge leaves the row or column at that edge.
    left, top = min(max(int(x1 - pad), 0), width - 1), min(max(int(y1 - pad), 0), height - 1)
    right, bottom = min(int(x2 + pad) + 1, width), min(int(y2 + pad) + 1, height)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


class FaceWriter(Writer):
    """Writes the faces of images and videos as PNG.

    Those of an image are ``NAME_face1.png`` and so on, where ``NAME`` is the target; those of a video go to a folder:
    ``person-01/000012.400.png`` is person 1 at 12.4 seconds.
    """

    def __init__(self, target: Path, context: Context) -> None:
        del context
        self._target = target
        self._last: dict[int, str] = {}

    def add_image(self, image: NDArray[np.uint8], found: ImageResult | VideoFrame) -> None:
        """Write the faces of an image or of a frame; frames come in order.

        Raises
        ------
        InputError
            If the image is not uint8 (H, W, 3), or not of the size of the result.
        MediaError
            If a face cannot be written.
        """
        pixels = check_image(image)
        if (pixels.shape[1], pixels.shape[0]) != (found.width, found.height):
            raise InputError(
                f"the result belongs to an image of {found.width} x {found.height} pixels, but got {describe(image)}"
            )
        if isinstance(found, ImageResult):
            for number, face in enumerate(found.faces, 1):
                write_image(self._target.with_name(f"{self._target.name}_face{number}.png"), cut_face(pixels, face.box))
            return
        for tracked in found.faces:
            target = self._make_folder(tracked.track) / self._choose_name(tracked.track, found.time_s)
            write_image(target, cut_face(pixels, tracked.face.box))

    def write(self, result: Result) -> None:
        """Check the kind of the result: its faces are written already."""
        if not isinstance(result, ImageResult | VideoResult):
            raise InputError(f"faces are those of an ImageResult or a VideoResult, but got {describe(result)}")

    def _choose_name(self, person: int, time_s: float) -> str:
        name = f"{time_s:010.3f}.png"
        if name == self._last.get(person):  # more than a thousand frames a second
            return f"{time_s:013.6f}.png"
        self._last[person] = name
        return name

    def _make_folder(self, person: int) -> Path:
        folder = self._target / f"person-{person:02d}"
        make_folder(folder)
        return folder


# --- thumbnails -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Candidate:
    time_s: float
    prediction: Emotion
    image: NDArray[np.uint8] | bytes
    strength: float = 0.0

    def compress(self) -> bytes:
        if not isinstance(self.image, bytes):
            self.image = encode_jpeg(self.image, quality=_QUALITY)
        return self.image


class _Person:
    """The best candidates of one person, by emotion, and the latest, which wait for what follows."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.best: dict[str, list[_Candidate]] = {}
        self.frames, self.last_s, self.is_compressed = 0, 0.0, False
        self._waiting: deque[_Candidate] = deque()
        self._scored = 0  # of those that wait

    def all(self) -> list[_Candidate]:
        return [candidate for best in self.best.values() for candidate in best]

    def is_due(self, time_s: float) -> bool:
        """Whether it is time for another candidate."""
        return not self._waiting or time_s - self._waiting[-1].time_s >= _STEP_S

    def add(self, candidate: _Candidate) -> None:
        self._waiting.append(candidate)
        while self._waiting[self._scored].time_s <= candidate.time_s - _LOOK_S:
            self._score(self._waiting[self._scored])
            self._scored += 1
        while self._waiting[0].time_s < candidate.time_s - 2 * _LOOK_S:
            self._waiting.popleft()
            self._scored -= 1

    def score_rest(self) -> None:
        """Score those that wait: nothing follows."""
        for candidate in list(self._waiting)[self._scored :]:
            self._score(candidate)
        self._waiting.clear()
        self._scored = 0

    def compress(self) -> None:
        self.score_rest()
        for candidate in self.all():
            candidate.compress()
        self.is_compressed = True

    def _score(self, candidate: _Candidate) -> None:
        """Score a candidate by the predictions around it, and keep it if it is among the best."""
        apart = np.array([one.time_s - candidate.time_s for one in self._waiting])
        weights = np.where(np.abs(apart) <= _LOOK_S, np.exp(-np.abs(apart) / _TAU_S), 0.0)
        logs = np.log(np.maximum([one.prediction.probabilities for one in self._waiting], _FLOOR))
        shares = np.exp(weights @ logs / weights.sum())
        top = int(shares.argmax())
        candidate.strength = float(shares[top] / shares.sum())
        self._keep(candidate, candidate.prediction.labels.emotions[top])

    def _keep(self, candidate: _Candidate, emotion: str) -> None:
        best = self.best.setdefault(emotion, [])
        rivals = [one for one in best if abs(one.time_s - candidate.time_s) < _APART_S]
        if not rivals and len(best) >= self.count:
            rivals = [min(best, key=lambda one: one.strength)]
        if all(one.strength < candidate.strength for one in rivals):
            # A better image may be close to two that are apart: it replaces both.
            best[:] = [one for one in best if one not in rivals] + [candidate]


class Thumbnails:
    """Keeps the best images of each person of a video, in memory that does not grow with the video.

    For each leading emotion, a few of the clearest moments are kept, apart in time, scaled to their final size.  The
    images of people who left are compressed; in a crowd of more than 200, those who were in view least are dropped.

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

    def add(self, image: NDArray[Any], frame: VideoFrame) -> None:
        """Add a frame.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        frame : VideoFrame
            Who is in it; boxes are in pixels of the image.

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
            person.frames, person.last_s, person.is_compressed = person.frames + 1, frame.time_s, False
            if person.is_due(frame.time_s):
                prediction = face.smoothed if face.face.emotion is None else face.face.emotion
                person.add(_Candidate(frame.time_s, prediction, self._cut(pixels, face)))
        self._tidy(frame.time_s)

    def _cut(self, image: NDArray[np.uint8], face: TrackedFace) -> NDArray[np.uint8]:
        """Return a square around a face, as far as the image goes, scaled."""
        height, width = image.shape[:2]
        x1, y1, x2, y2 = face.face.box
        side = min(max(1, round((1 + 2 * _AROUND) * max(x2 - x1, y2 - y1))), width, height)
        left = min(max(round((x1 + x2 - side) / 2), 0), width - side)
        top = min(max(round((y1 + y2 - side) / 2), 0), height - side)
        return _resize(image[top : top + side, left : left + side], self.size)

    def _tidy(self, time_s: float) -> None:
        for person in self._people.values():
            if not person.is_compressed and abs(time_s - person.last_s) > _GONE_S:
                person.compress()
        if len(self._people) > _MAX_PEOPLE:
            gone = [number for number, person in self._people.items() if person.is_compressed] or list(self._people)
            del self._people[min(gone, key=lambda number: self._people[number].frames)]

    def pick(self, video: VideoResult) -> dict[int, list[tuple[Moment, bytes]]]:
        """Choose the images of each person.

        Parameters
        ----------
        video : VideoResult
            The result of the whole video.

        Returns
        -------
        dict of int to list of (Moment, bytes)
            By the number of the person, in order of time: the moment and its image as JPEG.  Images of the video's own
            strongest moments come first, others fill up; people without an image are left out.
        """
        chosen = {}
        for track in video.tracks:
            person = self._people.get(track.number)
            if person is None:
                continue
            person.score_rest()
            if images := self._choose(track, person):
                chosen[track.number] = images
        return chosen

    def _choose(self, track: FaceTrack, person: _Person) -> list[tuple[Moment, bytes]]:
        chosen: list[tuple[Moment, bytes]] = []

        def choose(candidate: _Candidate, emotion: str | None) -> None:
            moment = _moment(track, candidate.time_s, emotion)
            is_new = all(abs(other.time_s - moment.time_s) > TIME_EPSILON_S for other, _ in chosen) if moment else False
            if moment is not None and is_new and len(chosen) < self.count:
                chosen.append((moment, candidate.compress()))

        for moment in track.moments:
            near = [one for one in person.best.get(moment.emotion, ()) if abs(one.time_s - moment.time_s) <= _NEAR_S]
            if near:
                choose(min(near, key=lambda one: abs(one.time_s - moment.time_s)), moment.emotion)
        for candidate in sorted(person.all(), key=lambda one: -one.strength):
            if all(abs(other.time_s - candidate.time_s) >= _APART_S for other, _ in chosen):
                choose(candidate, None)
        return sorted(chosen, key=lambda item: item[0].time_s)


def _resize(square: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
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
    """Return the person's moment at a time by the whole video; by default of the emotion that leads then."""
    point = track.at(time_s)
    if point is None:
        return None
    shares = point.probabilities
    name = track.labels.emotions[int(shares.argmax())] if emotion is None else emotion
    x1, y1, x2, y2 = point.box.tolist()
    return Moment(time_s, name, float(shares[track.labels.index(name)]), (x1, y1, x2, y2))
