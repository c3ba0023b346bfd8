"""What a face tracker made of videos with planted faces: the numbers that tests and benchmarks share.

A face counts where 95 % of it can be seen; it is found when a box overlaps it by an intersection over union of 0.5.  A
*switch* is a number that stood for two people; a *fragment* is a further number of somebody who had one, within a
scene; a *ghost* is a frame of a confirmed face where nobody is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from mien.face.detect import Detector
from mien.face.track import FaceTracker, TrackedDetection
from planted_faces import Shot, Video

FOUND, NEAR, VISIBLE, PARTLY = 0.5, 0.3, 0.95, 0.5


@dataclass
class Score:
    """What a tracker made of a video."""

    video: str
    rate: int
    faces: int = 0
    found: int = 0
    switches: int = 0
    fragments: int = 0
    ghosts: int = 0
    cuts_missed: int = 0
    cuts_false: int = 0
    searches: int = 0
    frames: int = 0
    ms: list[float] = field(default_factory=list, repr=False)

    @property
    def recall(self) -> float:
        """Part of the faces that was found."""
        return self.found / max(self.faces, 1)


def overlap(a: Any, b: Any) -> float:
    """Return the intersection over union of two boxes."""
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return float(common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common))


def measure(video: Video, detector: Detector, rate: int = 30, *, gray: bool = False, **options: Any) -> Score:
    """Let a tracker follow a video and compare with the truth."""
    tracker, shown = FaceTracker(detector, **options), []
    score = Score(video.name, rate)
    for shot in video.shots(rate):
        image = np.repeat(cv2.cvtColor(shot.image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) if gray else shot.image
        start = time.perf_counter()
        faces = tracker.update(image, shot.time_s)
        score.ms.append((time.perf_counter() - start) * 1e3)
        shown.append((shot, faces))
    tracker.close()
    owners: dict[int, set[tuple[int, int]]] = {}
    for shot, faces in shown:
        scene = sum(cut <= shot.time_s + 1e-6 for cut in video.cuts)
        real = [face for face in faces if tracker.is_confirmed(face.number)]
        for person, face in compare(score, shot, real):
            owners.setdefault(tracker.final_number(face.number), set()).add((person, scene))
    score.switches = sum(len(people) - 1 for people in owners.values())
    everybody = {one for people in owners.values() for one in people}
    score.fragments = sum(len(people) for people in owners.values()) - len(everybody)
    # Between two frames of 5 a second lies up to 0.2 s.
    hits = [any(0 <= told - cut < 1.5 / rate for told in tracker.cuts) for cut in video.cuts]
    score.cuts_missed, score.cuts_false = hits.count(False), len(tracker.cuts) - hits.count(True)
    score.searches, score.frames = tracker.searches, len(shown)
    return score


def compare(score: Score, shot: Shot, faces: list[TrackedDetection]) -> list[tuple[int, TrackedDetection]]:
    """Count what was found in a frame; return who has which face, best pairs first."""
    truth = [one for one in shot.faces if one.visible >= PARTLY]
    table = np.array([[overlap(one.box, face.box) for face in faces] for one in truth]).reshape(len(truth), len(faces))
    pairs = []
    while table.size and table.max() >= NEAR:
        i, j = np.unravel_index(int(table.argmax()), table.shape)
        pairs.append((truth[i].person, faces[j]))
        score.found += bool(table[i, j] >= FOUND and truth[i].visible >= VISIBLE)
        table[i], table[:, j] = -1, -1
    score.faces += sum(one.visible >= VISIBLE for one in truth)
    taken = {face.number for _, face in pairs}
    score.ghosts += sum(
        face.number not in taken
        and max((overlap(one.box, face.box) for one in shot.faces if one.visible > 0.1), default=0) < NEAR
        for face in faces
    )
    return pairs


def total(name: str, rate: int, scores: list[Score]) -> Score:
    """Return the sum of several videos."""
    result = Score(name, rate)
    for one in scores:
        for key, value in vars(one).items():
            if key not in ("video", "rate"):
                setattr(result, key, getattr(result, key) + value)
    return result
