"""Faces over time: who is where in each frame of a film, with one number a person.

A detector searches the whole picture now and then; between, each face is looked for only where it is expected.  What is
found goes to the people known by place, motion and look (the colours of a face, see `mien.faces._look`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien._checks import image_array, number, whole_number
from mien.faces._assign import assign
from mien.faces._cuts import Cuts
from mien.faces._look import look
from mien.faces._motion import Candidate, Track, box_size, overlaps
from mien.faces._template import patch, shifted
from mien.faces.detect import Detector

__all__ = ["FaceTracker", "Follower", "Tracked"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

FOLLOW_SCORE = 0.6
"""A followed face may be less sure than a detected one (0.8): it was there a moment ago."""

SAME_PLACE = 0.6
"""Two boxes that share this part of the smaller one are one face."""

BRIDGE_S, RETURN_S = 0.7, 10.0
"""A face out of sight is expected on its way for so long, and known again by its look for so long."""

REJOIN_S, DOUBT_S, DOUBT_LOOK, DOUBT_PLACE = 3.0, 0.6, 0.7, 0.3
"""Who comes into view bit by bit is known again within the first time; a face that could be somebody who is missing (so
much alike, or with so much of their expected place) is not confirmed as a new one before the second."""

STRANGE_LIGHT = 0.93
"""When the colours of the whole picture change more than this from one frame to the next, those of faces say nothing:
between neighbours within a scene they have 0.933 and more, except in flashes."""

MOST_GONE, MOST_KNOWN = 64, 4096
"""How many of those gone, and of the verdicts on numbers, are remembered: memory stays constant."""

CONFIRM_S = 0.15
"""A new face is looked for again after this time, or with the next frame; false ones are not found again."""

RETRY_S = 0.1
"""The first wait between two searches for the same lost face; it doubles up to the usual time between searches."""

NEWS, NEWS_S = 4, 0.15
"""Somebody may have come in when so many blocks of the thumbnail (of 576; a face of 80 px in 720p covers four) have
changed where no face was known, and the last search is so long ago; in vain, the wait doubles."""

SURE_SCORE = 0.97
"""True faces score at least this (see `mien.faces.mtcnn`); seen once only, a face must."""

SAME_LOOK, RETURN_LOOK, LOOK_STEP = 0.85, 0.9, 0.06
"""Likeness that a person keeps from one sighting to the next, that one must have to be known again, and what counts as
much as one unit of distance; see `mien.faces._look` for what was measured."""

COVERED_LOOK, SHORT_S = 0.7, 0.1
"""Within this time nobody takes the place of another without being seen coming: less likeness is enough there."""

REACH, REACH_RATE = 0.5, 3.0
"""How far from where it is expected a face may be, in its sizes: at once, and per second."""

FAR, FAR_RATE = 1.0, 15.0
"""The same for a face that looks the same (`RETURN_LOOK`): people turn and run, and films are sampled sparsely."""

MOST_COST = 6.0
"""The sum of distance, change of size and difference of look beyond which two sightings are two people."""


@runtime_checkable
class Follower(Protocol):
    """What a detector offers that can look at given places; see `mien.faces.mtcnn.MtcnnDetector.follow`."""

    def follow(self, image: Image, boxes: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Return boxes, scores and points, row for row."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """A face of one frame.

    Parameters
    ----------
    id : int
        Number of the person, from 1; provisional while `FaceTracker.confirmed` does not know.
    box : numpy.ndarray
        float32 (4,): x1, y1, x2, y2 in pixels, within the picture.
    points : numpy.ndarray or None
        float32 (5, 2), as in `mien.faces.detect.Detection`; ``None`` where the detector has none.
    score : float
        The detector's confidence, 0..1.
    detected : bool
        Found by a search of the whole picture; otherwise followed from the frame before.
    """

    id: int
    box: Floats
    points: Floats | None
    score: float
    detected: bool


class FaceTracker:
    """Finds the faces of a film's frames and keeps them apart.  Deterministic, in constant memory, for one thread.

    Frames may come at any pace.  A time that is not after the last one counts as the same moment; one that lies more
    than `RETURN_S` away from it, in either direction, begins anew.

    Parameters
    ----------
    detector : Detector
        Searches whole pictures.  One with a ``follow`` (mtcnn) also looks at single places; for others, faces are
        followed by their own picture.
    detect_every_s : float
        Time between two searches.  There are more: in the first frame of a scene, when a face is lost, and to look
        again for a new one.
    max_faces : int, optional
        Follow only the largest.

    Raises
    ------
    InputError
        If an argument is out of range.
    """

    def __init__(self, detector: Detector, *, detect_every_s: float = 0.5, max_faces: int | None = None) -> None:
        self._detector = detector
        self.detect_every_s = number(detect_every_s, "detect_every_s", low=0)
        self.max_faces = None if max_faces is None else whole_number(max_faces, "max_faces", low=1)
        self.cuts: list[float] = []
        self.searches = 0
        self._scenes = Cuts()
        self._tracks: list[Track] = []
        self._gone: list[Track] = []
        self._verdicts: OrderedDict[int, bool | None] = OrderedDict()
        self._names: OrderedDict[int, int] = OrderedDict()
        self._strange = False
        self._last = 0
        self._now: float | None = None
        self._size = (0, 0)
        self._searched_s = -math.inf
        self._patience_s = 0.0
        self._calm_s, self._curious = NEWS_S, False

    def update(self, image: Image, time_s: float) -> tuple[Tracked, ...]:
        """Find the faces of the next frame.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB.
        time_s : float
            Its time in seconds.

        Returns
        -------
        tuple of Tracked
            Largest first; only faces that were seen in this frame.

        Raises
        ------
        InputError
            If the picture or the time is malformed.
        """
        picture, now = image_array(image), number(time_s, "time_s")
        now = self._clock(picture, now)
        if self._scenes.new_scene(picture, now):
            self.cuts.append(now)
            self._end_all()
        self._strange = self._scenes.likeness < STRANGE_LIGHT
        found = self._rejoined(self._found(picture, now), now)
        self._settle(now)
        height, width = picture.shape[:2]
        edge = np.array([width, height, width, height], np.float32)
        faces = [_tracked(track, edge) for track in found]
        faces.sort(key=lambda face: (-box_size(face.box), face.id))
        return tuple(faces)

    def confirmed(self, number: int) -> bool | None:
        """Tell whether a number stands for a real face: True, False (a ghost), or None while that is not known."""
        return self._verdicts.get(number, False)

    def known_as(self, number: int) -> int:
        """Return the number under which somebody goes who was first taken for a new person; most keep theirs."""
        return self._names.get(number, number)

    def close(self) -> None:
        """End the film: what is known of each face by now is its verdict."""
        self._end_all()

    def _clock(self, picture: Image, now: float) -> float:
        """Return the frame's time on a clock that never goes back; begin anew after a leap, adapt to a new size."""
        size = (picture.shape[1], picture.shape[0])
        if self._now is not None and not -RETURN_S <= now - self._now <= RETURN_S:
            self._end_all()
            self._scenes = Cuts()
            self._searched_s, self._now = -math.inf, None
        if self._now is not None:
            now = max(now, self._now)
        if self._tracks and size != self._size:
            self._rescale(size[0] / self._size[0], size[1] / self._size[1])
        self._now, self._size = now, size
        return now

    def _rescale(self, across: float, down: float) -> None:
        zoom = np.array([across, down] * 2)
        for track in self._tracks:
            track.face.box = track.face.box * zoom
            track.speed = track.speed * (across, down, 1)

    def _end_all(self) -> None:
        """Close all: a new scene has new people."""
        for track in self._tracks:
            if not track.confirmed:
                # Nothing speaks against it: it had no second chance.
                self._verdicts[track.number] = track.face.score >= SURE_SCORE and not track.lost
        self._tracks, self._gone = [], []
        self._searched_s, self._patience_s = -math.inf, 0.0

    def _found(self, picture: Image, now: float) -> list[Track]:
        """Find and name the faces of a frame; return the tracks seen in it."""
        followed: list[Candidate] = []
        if not self._due(now):
            followed = self._follow(picture, now, self._tracks)
            pairs = self._pairs(followed, now)
            missed = [track for i, track in enumerate(self._tracks) if i not in pairs]
            if not self._wanted(missed, now):
                return self._seen(followed, pairs, now)
        return self._search(picture, now, followed)

    def _wanted(self, missed: Sequence[Track], now: float) -> bool:
        """Tell whether to search early: for somebody who is missing, or because something else has changed."""
        passed = now - self._searched_s
        if missed and passed >= self._patience_s:
            return True
        if passed < self._calm_s:
            return False
        places = np.array([[track.predicted(now), track.searched] for track in self._tracks]).reshape(-1, 4)
        self._curious = self._scenes.news(places, self._size) > NEWS
        return self._curious

    def _due(self, now: float) -> bool:
        """Tell whether it is time to search the whole picture."""
        passed = now - self._searched_s
        # Times are rounded: half a millisecond less is as good.
        return passed >= self.detect_every_s - 5e-4 or any(
            not track.confirmed and now - track.born_s >= CONFIRM_S and passed >= CONFIRM_S for track in self._tracks
        )

    def _search(self, picture: Image, now: float, followed: list[Candidate]) -> list[Track]:
        """Search the whole picture; where somebody is missing, also look where they are expected."""
        detection = self._detector.detect(picture)
        self.searches += 1
        self._searched_s = now
        points = [None] * len(detection) if detection.points is None else list(detection.points)
        faces = [
            Candidate(box.astype(np.float64), float(score), five, look(picture, box), detected=True)
            for box, score, five in zip(detection.boxes, detection.scores, points, strict=True)
        ]
        pairs = self._pairs(faces, now)
        missed = [track for i, track in enumerate(self._tracks) if i not in pairs]
        if missed:
            again = followed or self._follow(picture, now, missed)
            faces = [*faces, *_apart(again, faces)]
            pairs = self._pairs(faces, now)
        missing = len(pairs) < len(self._tracks)
        self._patience_s = min(max(2 * self._patience_s, RETRY_S), self.detect_every_s) if missing else 0.0
        seen = self._seen(faces, pairs, now)
        left = [face for j, face in enumerate(faces) if face.detected and j not in pairs.values()]
        back = self._returned(left, now)
        self._scenes.mark()
        for track in self._tracks:
            track.searched = track.face.box
        # Something that moves all the time, such as the camera, is no reason to search all the time.
        wait = 0.5 * self._calm_s if back or not self._curious else 2 * self._calm_s
        self._calm_s, self._curious = float(np.clip(wait, NEWS_S, max(self.detect_every_s, NEWS_S))), False
        result = self._limited([*seen, *back])
        if not isinstance(self._detector, Follower):
            for track in result:
                if track.face.detected:
                    track.patch = patch(picture, track.face.box)
        return result

    def _follow(self, picture: Image, now: float, tracks: Sequence[Track]) -> list[Candidate]:
        """Look for faces where they are expected; each place is given once."""
        if not tracks:
            return []
        if isinstance(self._detector, Follower):
            expected = np.array([track.predicted(now) for track in tracks])
            places = zip(*self._detector.follow(picture, expected), strict=True)
            near = [Candidate(box.astype(np.float64), float(score), points) for box, score, points in places]
        else:
            near = [_moved(picture, track, now) for track in tracks]
        faces: list[Candidate] = []
        for face in sorted(near, key=lambda face: -face.score):
            if face.score > FOLLOW_SCORE and _middle_inside(face.box, picture):
                faces += _apart([face], faces)
        for face in faces:
            face.look = look(picture, face.box)
        return faces

    def _pairs(self, faces: Sequence[Candidate], now: float) -> dict[int, int]:
        """Return which face belongs to which track, by index."""
        cost = np.array([[_cost(track, face, now, self._strange) for face in faces] for track in self._tracks])
        return dict(assign(cost.reshape(len(self._tracks), len(faces)), MOST_COST))

    def _seen(self, faces: Sequence[Candidate], pairs: dict[int, int], now: float) -> list[Track]:
        """Move the tracks to their faces; return those that have one."""
        expected = np.array([track.predicted(now) for track in self._tracks]).reshape(-1, 4)
        common = overlaps(expected, expected)
        np.fill_diagonal(common, 0)
        for i, track in enumerate(self._tracks):
            if i in pairs:
                track.see(faces[pairs[i]], now, clean=not self._strange and not (common[i] > 0).any())
            else:
                track.lost = True
        return [track for i, track in enumerate(self._tracks) if i in pairs]

    def _returned(self, faces: Sequence[Candidate], now: float) -> list[Track]:
        """Know people again, or number new ones."""
        missing = self._missing()
        cost = np.array([[_return_cost(track, face, now) for face in faces] for track in missing])
        known = {j: missing[i] for i, j in assign(cost.reshape(len(missing), len(faces)), MOST_COST)}
        return [self._back(known[j], face, now) if j in known else self._new(face, now) for j, face in enumerate(faces)]

    def _missing(self) -> list[Track]:
        """Return the people that are out of sight."""
        return [*(track for track in self._tracks if track.lost and track.confirmed), *self._gone]

    def _back(self, track: Track, face: Candidate, now: float) -> Track:
        """Go on with somebody who was out of sight."""
        if track in self._gone:
            self._gone.remove(track)
            self._tracks.append(track)
        track.see(face, now, clean=False)
        track.speed = np.zeros(3)
        return track

    def _new(self, face: Candidate, now: float) -> Track:
        self._last += 1
        track = Track(self._last, face, now, now)
        self._tracks.append(track)
        _remember(self._verdicts, self._last, None)
        return track

    def _rejoined(self, seen: list[Track], now: float) -> list[Track]:
        """Give those who came into view bit by bit the number that they had before."""
        young = [track for track in seen if now - track.born_s <= REJOIN_S and track.number not in self._names.values()]
        missing = self._missing() if young else []
        cost = np.array([[_return_cost(track, one.face, now) for one in young] for track in missing])
        for i, j in assign(cost.reshape(len(missing), len(young)), MOST_COST):
            old, one = missing[i], young[j]
            if old.born_s < one.born_s:
                speed = one.speed
                self._tracks.remove(one)
                seen[seen.index(one)] = self._back(old, one.face, now)
                old.speed = speed
                _remember(self._names, one.number, old.number)
                _remember(self._verdicts, one.number, True)
        return seen

    def _limited(self, seen: list[Track]) -> list[Track]:
        """Keep the largest faces; one that is followed stays until another is clearly larger."""
        if self.max_faces is None or len(seen) <= self.max_faces:
            return seen
        seen.sort(key=lambda track: -track.size * (1.1 if track.sightings > 1 else 1.0))
        for track in seen[self.max_faces :]:
            self._tracks.remove(track)
            self._leave(track)
        return seen[: self.max_faces]

    def _leave(self, track: Track) -> None:
        if track.confirmed:
            self._gone = [*self._gone[-MOST_GONE + 1 :], track]
        else:
            self._verdicts[track.number] = False

    def _settle(self, now: float) -> None:
        """Confirm new faces, drop ghosts and those that are gone for good."""
        kept = []
        for track in self._tracks:
            if not track.confirmed and not track.lost and track.detections > 1 and not self._doubtful(track, now):
                track.confirmed = self._verdicts[track.number] = True
            out_s = now - track.seen_s
            if track.lost and (not track.confirmed or out_s > BRIDGE_S):
                self._leave(track)
            else:
                kept.append(track)
        self._tracks = kept
        self._gone = [track for track in self._gone if now - track.seen_s <= RETURN_S]

    def _doubtful(self, track: Track, now: float) -> bool:
        """Tell whether a new face could yet turn out to be somebody who is missing: by its look, or by its place."""
        if now - track.born_s >= DOUBT_S:
            return False
        missing = self._missing()
        if any(_return_cost(other, track.face, now, DOUBT_LOOK) < math.inf for other in missing):
            return True
        expected = np.array([other.predicted(now) for other in missing]).reshape(-1, 4)
        return bool((overlaps(expected, track.face.box[None]) > DOUBT_PLACE).any())


def _remember(table: OrderedDict[int, Any], key: int, value: Any) -> None:
    """Add an entry; the oldest go."""
    table[key] = value
    while len(table) > MOST_KNOWN:
        table.popitem(last=False)


def _cost(track: Track, face: Candidate, now: float, strange: bool) -> float:
    """Return how unlikely it is that a face is that of a track; infinite where it cannot be."""
    passed = max(now - track.seen_s, 0.0)
    expected = track.predicted(now)
    likeness = track.likeness(face)
    if strange:
        likeness = max(likeness, SAME_LOOK)
    size = (track.size + box_size(face.box)) / 2
    away = float(np.hypot(*(expected[:2] + expected[2:] - face.box[:2] - face.box[2:]))) / 2 / size
    grown = abs(math.log(box_size(face.box) / box_size(expected)))
    if likeness < (COVERED_LOOK if passed <= SHORT_S else SAME_LOOK):
        return math.inf
    reach = FAR + FAR_RATE * passed if likeness >= RETURN_LOOK else REACH + REACH_RATE * passed
    if away > reach or grown > 0.5 + passed:
        return math.inf
    distance = away / (0.3 + REACH_RATE * passed)
    # Bounded: when frames are far apart, far says little.
    return distance / (1 + distance / 4) + grown / (0.3 + passed) + (1 - likeness) / LOOK_STEP


def _return_cost(track: Track, face: Candidate, now: float, least: float = RETURN_LOOK) -> float:
    """Return the same for somebody who was gone: the look decides, the place must only be possible."""
    likeness = track.likeness(face)
    away = float(np.hypot(*(track.face.box - face.box).reshape(2, 2).mean(axis=0))) / track.size
    grown = abs(math.log(box_size(face.box) / track.size))
    if likeness < least or grown > 1.0 or away > 2 + FAR_RATE * (now - track.seen_s):
        return math.inf
    return (1 - likeness) / LOOK_STEP + 0.1 * away


def _apart(faces: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
    """Return the faces that are at none of the places of others."""
    if not faces or not others:
        return list(faces)
    common = overlaps(np.array([face.box for face in faces]), np.array([face.box for face in others]))
    return [face for face, shared in zip(faces, common, strict=True) if shared.max() <= SAME_PLACE]


def _moved(picture: Image, track: Track, now: float) -> Candidate:
    """Look for a face by what it showed when it was last detected."""
    expected = track.predicted(now)
    if track.patch is None:
        return Candidate(expected, 0.0, None)
    by, fit = shifted(picture, expected, track.patch)
    box = expected + np.tile(by, 2)
    centre = (box[:2] + box[2:] - track.face.box[:2] - track.face.box[2:]) / 2
    points = None if track.face.points is None else (track.face.points + centre).astype(np.float32)
    return Candidate(box, fit, points)


def _middle_inside(box: NDArray[Any], picture: Image) -> bool:
    x, y = (box[:2] + box[2:]) / 2
    return bool(0 <= x < picture.shape[1] and 0 <= y < picture.shape[0] and (box[2:] - box[:2] >= 2).all())


def _tracked(track: Track, edge: Floats) -> Tracked:
    box = np.clip(track.face.box, 0, edge).astype(np.float32)
    return Tracked(track.number, box, track.face.points, track.face.score, track.face.detected)
