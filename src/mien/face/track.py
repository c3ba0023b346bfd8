"""Faces over time: who is where in each frame of a video, with one number a person.

A detector searches the whole image now and then; between, each face is looked for only where it is expected.  What is
found goes to the people known by place, motion and appearance (see `mien.face.motion`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number
from mien.face.appearance import describe, gray_patch, match_patch
from mien.face.detect import Detector
from mien.face.motion import (
    DOUBT_APPEARANCE,
    ENOUGH_EVIDENCE,
    Observation,
    Track,
    box_size,
    drop_overlapping,
    match_tracks,
    may_be_same,
    overlap_shares,
    reidentify,
)
from mien.face.scenes import SceneCutDetector

__all__ = ["FaceTracker", "Follower", "TrackedDetection"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

FOLLOW_SCORE = 0.6
"""A followed face may be less sure than a detected one (0.8): it was there a moment ago."""

SAME_LIGHT = 0.93
"""When the colors of the whole image change more than this from one frame to the next, those of faces say nothing:
between neighbors within a scene they have 0.933 and more, except in flashes."""

CONFIRM_S = 0.15
"""A new face is looked for again after this time, or with the next frame; false ones are not found again."""

RETRY_S = 0.1
"""The first wait between two searches for the same lost face; it doubles up to the usual time between searches."""

CHANGED_BLOCKS, CHANGE_S = 4, 0.15
"""Somebody may have come in when so many blocks of the thumbnail (of 576; a face of 80 px in 720p covers four) have
changed where no face was known, and the last search is so long ago; in vain, the wait doubles."""


@runtime_checkable
class Follower(Protocol):
    """What a detector offers that can look at given places; see `mien.face.detect.mtcnn.MtcnnDetector.follow`."""

    def follow(self, image: Image, boxes: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Return boxes, scores and landmarks, row for row."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackedDetection:
    """A face of one frame.

    Parameters
    ----------
    number : int
        Number of the person, from 1; provisional while `FaceTracker.is_confirmed` does not know.
    box : numpy.ndarray
        float32 (4,): x1, y1, x2, y2 in pixels, within the image.
    landmarks : numpy.ndarray or None
        float32 (5, 2), as in `mien.face.detect.Detection`; ``None`` where the detector has none.
    score : float
        The detector's confidence, 0..1.
    detected : bool
        Found by a search of the whole image; otherwise followed from the frame before.
    """

    number: int
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
    min_seen_s : float
        Faces that are seen for less time at a stretch are not confirmed.

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

    def __init__(
        self,
        detector: Detector,
        *,
        detect_every_s: float = 0.5,
        max_faces: int | None = None,
        min_seen_s: float = 0.0,
    ) -> None:
        self._detector = detector
        self.detect_every_s = check_number(detect_every_s, "detect_every_s", low=0)
        self.max_faces = None if max_faces is None else check_integer(max_faces, "max_faces", low=1)
        self.cuts: list[float] = []
        self.searches = 0
        self._manager = _TrackManager(check_number(min_seen_s, "min_seen_s", low=0))
        self._scenes = SceneCutDetector()
        self._now: float | None = None
        self._size = (0, 0)
        self._light_changed = False
        self._restart()

    def _restart(self) -> None:
        self._manager.close_all()
        self._searched_s = -math.inf
        # Waits before a search for somebody lost, and before one because something has changed.
        self._lost_wait_s, self._change_wait_s, self._after_change = 0.0, CHANGE_S, False

    def update(self, image: Image, time_s: float) -> tuple[TrackedDetection, ...]:
        """Find the faces of the next frame.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB.
        time_s : float
            Its time in seconds.

        Returns
        -------
        tuple of TrackedDetection
            Largest first; only faces that were seen in this frame.

        Raises
        ------
        InputError
            If the image or the time is malformed.
        """
        image = check_image(image)
        now = self._clock(image, check_number(time_s, "time_s"))
        if self._scenes.update(image, now):
            self.cuts.append(now)
            self._restart()
        self._light_changed = self._scenes.color_similarity < SAME_LIGHT
        seen = self._manager.limit(self._manager.rejoin(self._observe(image, now), now), self.max_faces)
        self._manager.prune(now)
        height, width = image.shape[:2]
        edge = np.array([width, height, width, height], np.float32)
        faces = [_to_detection(track, edge) for track in seen]
        return tuple(sorted(faces, key=lambda face: (-box_size(face.box), face.number)))

    def is_confirmed(self, number: int) -> bool | None:
        """Tell whether a number stands for a real face: True, False (a ghost), or None while that is not known.

        A face is real when a second search finds it, which comes with the next frame after 0.15 s, or a third where the
        detector is not sure of it; 0.6 s where it could yet turn out to be somebody who is missing.  One that two
        searches in a row do not find is none, however well it can be followed.
        """
        return self._manager.is_confirmed(number)

    def final_number(self, number: int) -> int:
        """Return the number under which somebody goes who was first taken for a new person; others keep theirs.

        People who come into view bit by bit are sometimes known again only when they are all in sight, mostly before
        their new number is confirmed, and within 3 s.
        """
        return self._manager.final_number(number)

    def close(self) -> None:
        """End the video: what is known of each face by now is its verdict."""
        self._restart()

    def _clock(self, image: Image, now: float) -> float:
        """Return the frame's time on a clock that never goes back; begin anew after a leap, adapt to a new size."""
        size = (image.shape[1], image.shape[0])
        if self._now is not None and abs(now - self._now) > RETURN_S:
            self._restart()
            self._scenes, self._now = SceneCutDetector(), None
        if self._now is not None:
            now = max(now, self._now)
            if size != self._size:
                self._manager.scale(size[0] / self._size[0], size[1] / self._size[1])
        self._now, self._size = now, size
        return now

    def _observe(self, image: Image, now: float) -> list[Track]:
        """Find and name the faces of a frame; return the tracks seen in it."""
        followed: list[Observation] = []
        if not self._is_due(now):
            followed = self._follow(image, now, self._manager.tracks)
            pairs = self._manager.match(followed, now, ignore_appearance=self._light_changed)
            if not self._is_early_due(now, missed=len(pairs) < len(self._manager.tracks)):
                return self._manager.update(followed, pairs, now, ignore_appearance=self._light_changed)
        return self._search(image, now, followed)

    def _is_due(self, now: float) -> bool:
        """Tell whether it is time to search the whole image."""
        passed = now - self._searched_s
        # Times are rounded: half a millisecond less is as good.
        return passed >= self.detect_every_s - 5e-4 or any(
            not track.confirmed and min(now - track.start_s, passed) >= CONFIRM_S for track in self._manager.tracks
        )

    def _is_early_due(self, now: float, *, missed: bool) -> bool:
        """Tell whether to search early: for somebody who is missing, or because something else has changed."""
        passed = now - self._searched_s
        if missed and passed >= self._lost_wait_s:
            return True
        if passed < self._change_wait_s:
            return False
        places = [box for track in self._manager.tracks for box in (track.predict(now), track.searched_box)]
        self._after_change = (
            self._scenes.count_changed_blocks(np.array(places).reshape(-1, 4), self._size) > CHANGED_BLOCKS
        )
        return self._after_change

    def _search(self, image: Image, now: float, followed: list[Observation]) -> list[Track]:
        """Search the whole image; where somebody is missing, also look where they are expected."""
        faces, manager = self._observations(image), self._manager
        pairs = manager.match(faces, now, ignore_appearance=self._light_changed)
        missed = [track for i, track in enumerate(manager.tracks) if i not in pairs]
        if missed:
            again = followed or self._follow(image, now, missed)
            faces = [*faces, *drop_overlapping(again, faces)]
            pairs = manager.match(faces, now, ignore_appearance=self._light_changed)
        all_found = len(pairs) == len(manager.tracks)
        seen = manager.update(faces, pairs, now, ignore_appearance=self._light_changed)
        taken = set(pairs.values())
        added = manager.add([face for j, face in enumerate(faces) if face.detected and j not in taken], now)
        self._plan(now, all_found=all_found, in_vain=self._after_change and not added)
        for track in manager.tracks:
            track.searched_box = track.face.box
            is_found = track.face.detected and not track.lost
            track.failed_searches = 0 if is_found else track.failed_searches + 1
            if is_found and not isinstance(self._detector, Follower):
                track.patch = gray_patch(image, track.face.box)
        return [*seen, *added]

    def _observations(self, image: Image) -> list[Observation]:
        detection = self._detector.detect(image)
        landmarks = [None] * len(detection) if detection.landmarks is None else list(detection.landmarks)
        return [
            Observation(box.astype(np.float64), float(score), five, describe(image, box), detected=True)
            for box, score, five in zip(detection.boxes, detection.scores, landmarks, strict=True)
        ]

    def _plan(self, now: float, *, all_found: bool, in_vain: bool) -> None:
        """Note a search, and how long to wait until the next."""
        self.searches += 1
        self._searched_s = now
        self._scenes.set_reference()
        # Who is gone for good, and what moves all the time, such as the camera, must not make us search all the time.
        longest = max(self.detect_every_s, CHANGE_S)
        self._lost_wait_s = 0.0 if all_found else min(max(2 * self._lost_wait_s, RETRY_S), longest)
        self._change_wait_s = min(max((2.0 if in_vain else 0.5) * self._change_wait_s, CHANGE_S), longest)
        self._after_change = False

    def _follow(self, image: Image, now: float, tracks: Sequence[Track]) -> list[Observation]:
        """Look for faces where they are expected; each place is given once."""
        if not tracks:
            return []
        if isinstance(self._detector, Follower):
            expected = np.array([track.predict(now) for track in tracks])
            places = zip(*self._detector.follow(image, expected), strict=True)
            near = [Observation(box.astype(np.float64), float(score), landmarks) for box, score, landmarks in places]
        else:
            near = [_follow_patch(image, track, now) for track in tracks]
        faces: list[Observation] = []
        for face in sorted(near, key=lambda face: -face.score):
            if face.score > FOLLOW_SCORE and _is_center_inside(face.box, image):
                faces += drop_overlapping([face], faces)
        for face in faces:
            face.appearance = describe(image, face.box)
        return faces


def _follow_patch(image: Image, track: Track, now: float) -> Observation:
    """Look for a face by what it showed when it was last detected."""
    expected = track.predict(now)
    if track.patch is None:
        return Observation(expected, 0.0, None)
    by, fit = match_patch(image, expected, track.patch)
    box = expected + np.tile(by, 2)
    center = (box[:2] + box[2:] - track.face.box[:2] - track.face.box[2:]) / 2
    landmarks = None if track.face.landmarks is None else (track.face.landmarks + center).astype(np.float32)
    return Observation(box, fit, landmarks)


def _is_center_inside(box: NDArray[Any], image: Image) -> bool:
    x, y = (box[:2] + box[2:]) / 2
    return bool(0 <= x < image.shape[1] and 0 <= y < image.shape[0] and (box[2:] - box[:2] >= 2).all())


def _to_detection(track: Track, edge: Floats) -> TrackedDetection:
    box = np.clip(track.face.box, 0, edge).astype(np.float32)
    return TrackedDetection(track.number, box, track.face.landmarks, track.face.score, track.face.detected)


BRIDGE_S, RETURN_S = 0.7, 10.0
"""A face out of sight is expected on its way for so long, and known again by its appearance for so long."""

REJOIN_S, DOUBT_S, DOUBT_PLACE = 3.0, 0.6, 0.3
"""Who comes into view bit by bit is known again within the first time.  A face that could be somebody who is missing,
by its appearance or because it has so much of their expected place, is not confirmed as a new one before the second."""

REAL_S = 0.4
"""Who leaves in doubt was a person of their own if enough searches found them and they were seen for so long."""

NOT_FOUND, NOT_FOUND_S = 2, 2.0
"""A new face that so many searches in a row do not find is none; one that is confirmed is given up when it was not
found for so long, too.  A patch of the background is always like itself, and can be followed forever."""

STAYS = 1.1
"""Where there are too many, one who is followed stays until another is larger by this."""

MOST_GONE, MOST_KNOWN = 64, 4096
"""How many of those gone, and of the verdicts on numbers, are remembered: memory stays constant."""


class _TrackManager:
    """Keeps the tracks of a video and their numbers."""

    def __init__(self, min_seen_s: float) -> None:
        self.tracks: list[Track] = []
        # Times are rounded: half a millisecond less is as good.
        self._min_seen_s = min_seen_s - 5e-4
        self._gone: list[Track] = []
        self._last = 0
        self._verdicts: OrderedDict[int, bool | None] = OrderedDict()
        self._final_numbers: OrderedDict[int, int] = OrderedDict()

    def is_confirmed(self, number: int) -> bool | None:
        """Tell whether a number stands for a real face; None while that is not known."""
        return self._verdicts.get(number, False)

    def final_number(self, number: int) -> int:
        """Return the number that somebody had before."""
        return self._final_numbers.get(number, number)

    def scale(self, across: float, down: float) -> None:
        """Adapt to frames of another size."""
        zoom = np.array([across, down] * 2)
        for track in [*self.tracks, *self._gone]:
            for name in ("searched_box", "first_box"):
                setattr(track, name, getattr(track, name) * zoom)
            track.face.box = track.face.box * zoom
            track.speed = track.speed * (across, down, 1)

    def close_all(self) -> None:
        """Close all: a new scene has new people."""
        for track in self.tracks:
            # Nothing speaks against a face that had no second chance.
            self._settle(
                track, track.confirmed or (track.evidence >= 1 and not track.lost and not track.failed_searches)
            )
        self.tracks, self._gone = [], []

    def update(
        self, faces: Sequence[Observation], pairs: dict[int, int], now: float, *, ignore_appearance: bool
    ) -> list[Track]:
        """Move the tracks to their faces, by `match_tracks`; return those that have one."""
        expected = np.array([track.predict(now) for track in self.tracks]).reshape(-1, 4)
        common = overlap_shares(expected, expected)
        np.fill_diagonal(common, 0)
        for i, track in enumerate(self.tracks):
            if i in pairs:
                track.update(faces[pairs[i]], now, clean=not ignore_appearance and not (common[i] > 0).any())
            else:
                track.lost = True
        return [track for i, track in enumerate(self.tracks) if i in pairs]

    def match(self, faces: Sequence[Observation], now: float, *, ignore_appearance: bool) -> dict[int, int]:
        """Return which track goes on with which face, by index."""
        return match_tracks(self.tracks, faces, now, ignore_appearance=ignore_appearance)

    def add(self, faces: Sequence[Observation], now: float) -> list[Track]:
        """Know people again who were missing, and number new ones; return a track for each face."""
        missing = self._missing()
        known = reidentify(missing, faces, [now] * len(faces))
        return [
            self._resume(missing[known[j]], face, now) if j in known else self._new(face, now)
            for j, face in enumerate(faces)
        ]

    def rejoin(self, seen: list[Track], now: float) -> list[Track]:
        """Give those who came into view bit by bit the number that they had before; return the tracks seen."""
        before = set(self._final_numbers.values())
        young = [track for track in seen if now - track.start_s <= REJOIN_S and track.number not in before]
        missing = self._missing() if young else []
        # Nobody was in two places: they came from where they were missed to where the new face was first.
        firsts = [replace(track.face, box=track.first_box) for track in young]
        for j, i in reidentify(missing, firsts, [track.start_s for track in young]).items():
            old, one = missing[i], young[j]
            if old.start_s >= one.start_s:
                continue
            self.tracks.remove(one)
            seen[seen.index(one)] = self._resume(old, one.face, now)
            old.speed = one.speed
            _remember(self._final_numbers, one.number, old.number)
            _remember(self._verdicts, one.number, True)
        return seen

    def limit(self, seen: list[Track], most: int | None) -> list[Track]:
        """Keep the largest faces only."""
        if most is None or len(seen) <= most:
            return seen
        seen = sorted(seen, key=lambda track: -track.size * (STAYS if track.observation_count > 1 else 1.0))
        for track in seen[most:]:
            self.tracks.remove(track)
            self._leave(track)
        return seen[:most]

    def prune(self, now: float) -> None:
        """Confirm new faces, drop ghosts and those that are gone for good."""
        kept = []
        for track in self.tracks:
            if (
                not track.confirmed
                and not track.lost
                and track.evidence >= ENOUGH_EVIDENCE
                and not self._is_doubtful(track, now)
            ):
                track.confirmed = True
            if track.confirmed and track.last_s - track.start_s >= self._min_seen_s:
                self._verdicts[track.number] = True
            if self._is_left(track, now):
                self._leave(track)
            else:
                kept.append(track)
        self.tracks = kept
        self._gone = [track for track in self._gone if now - track.last_s <= RETURN_S]

    @staticmethod
    def _is_left(track: Track, now: float) -> bool:
        """Tell whether a track is at its end: out of sight, or followed where searches find nothing."""
        if track.lost and (not track.confirmed or now - track.last_s > BRIDGE_S):
            return True
        return track.failed_searches >= NOT_FOUND and not (track.confirmed and now - track.detected_s < NOT_FOUND_S)

    def _settle(self, track: Track, is_real: bool) -> None:
        """Note the verdict on a track that ends, unless it is known."""
        if self._verdicts.get(track.number, False) is None:
            self._verdicts[track.number] = is_real and track.last_s - track.start_s >= self._min_seen_s

    def _is_doubtful(self, track: Track, now: float) -> bool:
        """Tell whether a new face could yet turn out to be somebody who is missing."""
        if now - track.start_s >= DOUBT_S:
            return False
        missing = self._missing()
        if any(may_be_same(other, track.face, now, DOUBT_APPEARANCE) for other in missing):
            return True
        expected = np.array([other.predict(now) for other in missing]).reshape(-1, 4)
        return bool((overlap_shares(expected, track.face.box[None]) > DOUBT_PLACE).any())

    def _missing(self) -> list[Track]:
        return [*(track for track in self.tracks if track.lost and track.confirmed), *self._gone]

    def _resume(self, track: Track, face: Observation, now: float) -> Track:
        if track in self._gone:
            self._gone.remove(track)
            self.tracks.append(track)
            track.failed_searches = 0
            if not self._verdicts.get(track.number, True):  # it was not seen for long enough: now it may be
                track.start_s, self._verdicts[track.number] = now, None
        track.update(face, now, clean=False)
        track.speed = np.zeros(3)
        return track

    def _new(self, face: Observation, now: float) -> Track:
        self._last += 1
        track = Track(self._last, face, now, now)
        self.tracks.append(track)
        _remember(self._verdicts, self._last, None)
        return track

    def _leave(self, track: Track) -> None:
        is_own = track.evidence >= ENOUGH_EVIDENCE and track.last_s - track.start_s >= REAL_S
        self._settle(track, track.confirmed or is_own)
        if track.confirmed:
            self._gone = [*self._gone[-MOST_GONE + 1 :], track]


def _remember(table: OrderedDict[int, Any], key: int, value: Any) -> None:
    """Add an entry; the oldest go."""
    table[key] = value
    while len(table) > MOST_KNOWN:
        table.popitem(last=False)
