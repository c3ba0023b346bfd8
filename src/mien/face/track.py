"""Faces over time: who is where in each frame of a video, with one number a person.

A detector searches the whole image now and then; between, each face is looked for only where it is expected.  What is
found goes to the people known by place, motion and look (the colors of a face, see `mien.face._look`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number
from mien.face._cuts import Cuts
from mien.face._look import look
from mien.face._match import apart
from mien.face._motion import Candidate, Track, box_size
from mien.face._people import RETURN_S, People
from mien.face._template import patch, shifted
from mien.face.detect import Detector

__all__ = ["FaceTracker", "Follower", "Tracked"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

FOLLOW_SCORE = 0.6
"""A followed face may be less sure than a detected one (0.8): it was there a moment ago."""

STRANGE_LIGHT = 0.93
"""When the colors of the whole image change more than this from one frame to the next, those of faces say nothing:
between neighbors within a scene they have 0.933 and more, except in flashes."""

CONFIRM_S = 0.15
"""A new face is looked for again after this time, or with the next frame; false ones are not found again."""

RETRY_S = 0.1
"""The first wait between two searches for the same lost face; it doubles up to the usual time between searches."""

NEWS, NEWS_S = 4, 0.15
"""Somebody may have come in when so many blocks of the thumbnail (of 576; a face of 80 px in 720p covers four) have
changed where no face was known, and the last search is so long ago; in vain, the wait doubles."""


@runtime_checkable
class Follower(Protocol):
    """What a detector offers that can look at given places; see `mien.face.detect.mtcnn.MtcnnDetector.follow`."""

    def follow(self, image: Image, boxes: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Return boxes, scores and landmarks, row for row."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """A face of one frame.

    Parameters
    ----------
    id : int
        Number of the person, from 1; provisional while `FaceTracker.confirmed` does not know.
    box : numpy.ndarray
        float32 (4,): x1, y1, x2, y2 in pixels, within the image.
    landmarks : numpy.ndarray or None
        float32 (5, 2), as in `mien.face.detect.Detection`; ``None`` where the detector has none.
    score : float
        The detector's confidence, 0..1.
    detected : bool
        Found by a search of the whole image; otherwise followed from the frame before.
    """

    id: int
    box: Floats
    landmarks: Floats | None
    score: float
    detected: bool


class FaceTracker:
    """Finds the faces of a video's frames and keeps them apart.  Deterministic, in constant memory, for one thread.

    Frames may come at any pace and in any size.  A time that is not after the last one counts as the same moment; one
    that lies more than 10 s away from it, in either direction, begins anew.

    Parameters
    ----------
    detector : Detector
        Searches whole images.  One with a ``follow`` (mtcnn) also looks at single places; for others, faces are
        followed by their own image.
    detect_every_s : float
        Time between two searches.  There are more: in the first frame of a scene, for a face that is lost, to look
        again for a new one, and where something else has changed.
    max_faces : int, optional
        Follow only the largest.

    Attributes
    ----------
    cuts : list of float
        Times at which a new scene began.
    searches : int
        How often the whole image was searched.

    Raises
    ------
    InputError
        If an argument is out of range.
    """

    def __init__(self, detector: Detector, *, detect_every_s: float = 0.5, max_faces: int | None = None) -> None:
        self._detector = detector
        self.detect_every_s = check_number(detect_every_s, "detect_every_s", low=0)
        self.max_faces = None if max_faces is None else check_integer(max_faces, "max_faces", low=1)
        self.cuts: list[float] = []
        self.searches = 0
        self._people = People()
        self._scenes = Cuts()
        self._now: float | None = None
        self._size = (0, 0)
        self._strange = False
        self._restart()

    def _restart(self) -> None:
        self._people.end()
        self._searched_s = -math.inf
        # Waits before a search for somebody lost, and before one because something has changed.
        self._lost_wait_s, self._news_wait_s, self._curious = 0.0, NEWS_S, False

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
            If the image or the time is malformed.
        """
        image = check_image(image)
        now = self._clock(image, check_number(time_s, "time_s"))
        if self._scenes.new_scene(image, now):
            self.cuts.append(now)
            self._restart()
        self._strange = self._scenes.likeness < STRANGE_LIGHT
        seen = self._people.limit(self._people.rejoin(self._seen(image, now), now), self.max_faces)
        self._people.settle(now)
        height, width = image.shape[:2]
        edge = np.array([width, height, width, height], np.float32)
        faces = [_tracked(track, edge) for track in seen]
        return tuple(sorted(faces, key=lambda face: (-box_size(face.box), face.id)))

    def confirmed(self, number: int) -> bool | None:
        """Tell whether a number stands for a real face: True, False (a ghost), or None while that is not known.

        A face is real when a second search finds it, which comes with the next frame after 0.15 s; 0.6 s where it could
        yet turn out to be somebody who is missing.
        """
        return self._people.confirmed(number)

    def known_as(self, number: int) -> int:
        """Return the number under which somebody goes who was first taken for a new person; others keep theirs.

        People who come into view bit by bit are sometimes known again only when they are all in sight, mostly before
        their new number is confirmed, and within 3 s.
        """
        return self._people.known_as(number)

    def close(self) -> None:
        """End the video: what is known of each face by now is its verdict."""
        self._restart()

    def _clock(self, image: Image, now: float) -> float:
        """Return the frame's time on a clock that never goes back; begin anew after a leap, adapt to a new size."""
        size = (image.shape[1], image.shape[0])
        if self._now is not None and abs(now - self._now) > RETURN_S:
            self._restart()
            self._scenes, self._now = Cuts(), None
        if self._now is not None:
            now = max(now, self._now)
            if size != self._size:
                self._people.scale(size[0] / self._size[0], size[1] / self._size[1])
        self._now, self._size = now, size
        return now

    def _seen(self, image: Image, now: float) -> list[Track]:
        """Find and name the faces of a frame; return the tracks seen in it."""
        followed: list[Candidate] = []
        if not self._due(now):
            followed = self._follow(image, now, self._people.tracks)
            pairs = self._people.pairs(followed, now, strange=self._strange)
            if not self._wanted(now, missed=len(pairs) < len(self._people.tracks)):
                return self._people.see(followed, pairs, now, strange=self._strange)
        return self._search(image, now, followed)

    def _due(self, now: float) -> bool:
        """Tell whether it is time to search the whole image."""
        passed = now - self._searched_s
        # Times are rounded: half a millisecond less is as good.
        return passed >= self.detect_every_s - 5e-4 or any(
            not track.confirmed and min(now - track.born_s, passed) >= CONFIRM_S for track in self._people.tracks
        )

    def _wanted(self, now: float, *, missed: bool) -> bool:
        """Tell whether to search early: for somebody who is missing, or because something else has changed."""
        passed = now - self._searched_s
        if missed and passed >= self._lost_wait_s:
            return True
        if passed < self._news_wait_s:
            return False
        places = [box for track in self._people.tracks for box in (track.predicted(now), track.searched)]
        self._curious = self._scenes.news(np.array(places).reshape(-1, 4), self._size) > NEWS
        return self._curious

    def _search(self, image: Image, now: float, followed: list[Candidate]) -> list[Track]:
        """Search the whole image; where somebody is missing, also look where they are expected."""
        faces, people = self._detected(image), self._people
        pairs = people.pairs(faces, now, strange=self._strange)
        missed = [track for i, track in enumerate(people.tracks) if i not in pairs]
        if missed:
            again = followed or self._follow(image, now, missed)
            faces = [*faces, *apart(again, faces)]
            pairs = people.pairs(faces, now, strange=self._strange)
        all_seen = len(pairs) == len(people.tracks)
        seen = people.see(faces, pairs, now, strange=self._strange)
        taken = set(pairs.values())
        came = people.admit([face for j, face in enumerate(faces) if face.detected and j not in taken], now)
        self._plan(now, all_seen=all_seen, in_vain=self._curious and not came)
        for track in people.tracks:
            track.searched = track.face.box
            if track.face.detected and not isinstance(self._detector, Follower):
                track.patch = patch(image, track.face.box)
        return [*seen, *came]

    def _detected(self, image: Image) -> list[Candidate]:
        detection = self._detector.detect(image)
        landmarks = [None] * len(detection) if detection.landmarks is None else list(detection.landmarks)
        return [
            Candidate(box.astype(np.float64), float(score), five, look(image, box), detected=True)
            for box, score, five in zip(detection.boxes, detection.scores, landmarks, strict=True)
        ]

    def _plan(self, now: float, *, all_seen: bool, in_vain: bool) -> None:
        """Note a search, and how long to wait until the next."""
        self.searches += 1
        self._searched_s = now
        self._scenes.mark()
        # Who is gone for good, and what moves all the time, such as the camera, must not make us search all the time.
        longest = max(self.detect_every_s, NEWS_S)
        self._lost_wait_s = 0.0 if all_seen else min(max(2 * self._lost_wait_s, RETRY_S), longest)
        self._news_wait_s = min(max((2.0 if in_vain else 0.5) * self._news_wait_s, NEWS_S), longest)
        self._curious = False

    def _follow(self, image: Image, now: float, tracks: Sequence[Track]) -> list[Candidate]:
        """Look for faces where they are expected; each place is given once."""
        if not tracks:
            return []
        if isinstance(self._detector, Follower):
            expected = np.array([track.predicted(now) for track in tracks])
            places = zip(*self._detector.follow(image, expected), strict=True)
            near = [Candidate(box.astype(np.float64), float(score), landmarks) for box, score, landmarks in places]
        else:
            near = [_moved(image, track, now) for track in tracks]
        faces: list[Candidate] = []
        for face in sorted(near, key=lambda face: -face.score):
            if face.score > FOLLOW_SCORE and _middle_inside(face.box, image):
                faces += apart([face], faces)
        for face in faces:
            face.look = look(image, face.box)
        return faces


def _moved(image: Image, track: Track, now: float) -> Candidate:
    """Look for a face by what it showed when it was last detected."""
    expected = track.predicted(now)
    if track.patch is None:
        return Candidate(expected, 0.0, None)
    by, fit = shifted(image, expected, track.patch)
    box = expected + np.tile(by, 2)
    center = (box[:2] + box[2:] - track.face.box[:2] - track.face.box[2:]) / 2
    landmarks = None if track.face.landmarks is None else (track.face.landmarks + center).astype(np.float32)
    return Candidate(box, fit, landmarks)


def _middle_inside(box: NDArray[Any], image: Image) -> bool:
    x, y = (box[:2] + box[2:]) / 2
    return bool(0 <= x < image.shape[1] and 0 <= y < image.shape[0] and (box[2:] - box[:2] >= 2).all())


def _tracked(track: Track, edge: Floats) -> Tracked:
    box = np.clip(track.face.box, 0, edge).astype(np.float32)
    return Tracked(track.number, box, track.face.landmarks, track.face.score, track.face.detected)
