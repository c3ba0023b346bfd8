"""One followed face: where it is, how it moves, how it looks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.face._look import Look, blended, similar

__all__ = ["Candidate", "Track", "box_size", "overlaps"]

Floats = NDArray[np.float64]

STEADY_S = 0.12
"""Time constant of the speed: a net's boxes tremble by some hundredths of their size."""

FADE_S = 1.0
"""What is out of sight goes on at its speed, ever slower, with this time constant."""

LOOK_S = 1.0
"""Time constant with which a known look follows the light."""

CLEAN, STABLE = 0.8, 0.9
"""A look that is less like a known one than the first does not change it, but is another (half covered, turned, in
other light), which is learned once it has stayed the same, as the second says, for a while."""

YOUNG_S = 1.0
"""Somebody new is known as they looked at first and last: most come into view bit by bit."""

NOTHING = Look(np.zeros(0), np.zeros(0))

LEARN_S, MOST_LOOKS = 0.3, 4
"""How long that is, and how many looks of a face are known."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A place where a face was found in a frame: box and landmarks may reach beyond the image."""

    box: Floats
    score: float
    landmarks: NDArray[np.float32] | None
    look: Look = NOTHING
    detected: bool = False


@dataclass(slots=True, eq=False)
class Track:
    """A face over time."""

    number: int
    face: Candidate
    born_s: float
    seen_s: float
    speed: Floats = field(default_factory=lambda: np.zeros(3))
    sightings: int = 1
    detections: int = 1
    looks: list[Look] = field(default_factory=list)
    fresh: Look = NOTHING
    fresh_s: float = 0.0
    searched: Floats = field(default_factory=lambda: np.zeros(4))
    confirmed: bool = False
    lost: bool = False
    patch: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        self.looks, self.fresh, self.fresh_s = [self.face.look], self.face.look, self.born_s

    @property
    def size(self) -> float:
        """Root of the box's area."""
        return box_size(self.face.box)

    def likeness(self, face: Candidate) -> float:
        """Return how much a face looks like this one did, 0..1."""
        return max(similar(known, face.look) for known in self.looks)

    def predicted(self, time_s: float) -> Floats:
        """Return the box that is expected at a time."""
        gone = max(time_s - self.seen_s, 0.0)
        x, y, grown = self.speed * FADE_S * (1 - math.exp(-gone / FADE_S))
        box = self.face.box
        center = (box[:2] + box[2:]) / 2 + (x, y)
        # A size that grows on for long would swallow the image.
        half = (box[2:] - box[:2]) / 2 * math.exp(float(np.clip(grown, -0.3, 0.3)))
        return np.concatenate([center - half, center + half])

    def see(self, face: Candidate, time_s: float, *, clean: bool) -> None:
        """Take in what was found in a frame; ``clean`` if nothing covers it."""
        passed = time_s - self.seen_s
        if passed > 0:
            before, now = self.face.box, face.box
            moved = (now[:2] + now[2:] - before[:2] - before[2:]) / 2
            step = np.array([*moved, math.log(box_size(now) / box_size(before))]) / passed
            gain = max(1 - math.exp(-passed / STEADY_S), 1 / (self.sightings + 1))
            self.speed = self.speed + gain * (step - self.speed)
            if time_s - self.born_s <= YOUNG_S:
                self.looks = [self.looks[0], face.look]
            elif clean:
                self._learn(face, time_s, passed)
        self.face, self.seen_s, self.lost = face, time_s, False
        self.sightings += 1
        self.detections += face.detected

    def _learn(self, face: Candidate, time_s: float, passed: float) -> None:
        """Take in how the face looks now."""
        if similar(self.fresh, face.look) < STABLE:
            self.fresh, self.fresh_s = face.look, time_s
        likeness = [similar(known, face.look) for known in self.looks]
        nearest = int(np.argmax(likeness))
        if likeness[nearest] >= CLEAN:
            known = self.looks[nearest]
            self.looks[nearest] = blended(known, face.look, 1 - math.exp(-passed / LOOK_S))
        elif time_s - self.fresh_s >= LEARN_S:
            self.looks = [*self.looks[-MOST_LOOKS + 1 :], face.look]


def box_size(box: NDArray[Any]) -> float:
    """Return the root of a box's area, at least one pixel."""
    return max(math.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 0.0)), 1.0)


def overlaps(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return the common area of each box of ``a`` (n, 4) with each of ``b`` (m, 4), as part of the smaller one's."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    areas = [np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9) for boxes in (a, b)]
    common: Floats = np.maximum(high - low, 0).prod(axis=2) / np.minimum(areas[0][:, None], areas[1])
    return common
