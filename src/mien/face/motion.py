"""Faces from one frame to the next: the motion of each, and which observation belongs to which track.

A track goes on with an observation by place, size and appearance (see `mien.face.appearance`); pairs are those whose
costs are least in all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.face.appearance import Appearance, blend, similarity

__all__ = [
    "DOUBT_APPEARANCE",
    "ENOUGH_EVIDENCE",
    "Observation",
    "Track",
    "assign_pairs",
    "box_size",
    "drop_overlapping",
    "match_tracks",
    "may_be_same",
    "overlap_shares",
    "reidentify",
]

Floats = NDArray[np.float64]

STEADY_S = 0.12
"""Time constant of the speed: a net's boxes tremble by some hundredths of their size."""

FADE_S = 1.0
"""What is out of sight goes on at its speed, ever slower, with this time constant."""

APPEARANCE_S = 1.0
"""Time constant with which a known appearance follows the light."""

CLEAN, STABLE = 0.8, 0.9
"""An appearance that is less like a known one than the first does not change it, but is another (half covered, turned,
in other light), which is learned once it has stayed the same, as the second says, for a while."""

YOUNG_S = 1.0
"""Somebody new is known as they appeared at first and last: most come into view bit by bit."""

NO_APPEARANCE = Appearance(np.zeros(0), np.zeros(0))

LEARN_S, MAX_APPEARANCES = 0.3, 4
"""How long that is, and how many appearances of a face are known."""


SURE_SCORE, WEAK_EVIDENCE, ENOUGH_EVIDENCE = 0.97, 2 / 3, 2.0
"""True faces score at least the first (see `mien.face.detect.mtcnn`).  A search that finds a face so counts 1, another
the second; a face is real with the third in all: found twice surely, or three times."""


@dataclass(slots=True, eq=False)
class Observation:
    """A place where a face was found in a frame: box and landmarks may reach beyond the image."""

    box: Floats
    score: float
    landmarks: NDArray[np.float32] | None
    appearance: Appearance = NO_APPEARANCE
    detected: bool = False


@dataclass(slots=True, eq=False)
class Track:
    """A face over time."""

    number: int
    face: Observation
    start_s: float
    last_s: float
    speed: Floats = field(default_factory=lambda: np.zeros(3))
    observation_count: int = 1
    evidence: float = 0.0
    detected_s: float = 0.0
    failed_searches: int = 0
    appearances: list[Appearance] = field(default_factory=list)
    new_appearance: Appearance = NO_APPEARANCE
    new_appearance_s: float = 0.0
    searched_box: Floats = field(default_factory=lambda: np.zeros(4))
    confirmed: bool = False
    lost: bool = False
    patch: NDArray[np.uint8] | None = None
    first_box: Floats = field(default_factory=lambda: np.zeros(4))

    def __post_init__(self) -> None:
        self.appearances, self.new_appearance = [self.face.appearance], self.face.appearance
        self.new_appearance_s, self.first_box = self.start_s, self.face.box
        self._add_evidence(self.face, self.start_s)

    @property
    def pace(self) -> float:
        """How fast it moves, in its sizes per second; one that was seen only once may be as fast as any."""
        if self.observation_count == 1:
            return FAR_RATE - REACH_RATE
        return math.hypot(*self.speed[:2]) / self.size

    @property
    def size(self) -> float:
        """Root of the box's area."""
        return box_size(self.face.box)

    def similarity(self, face: Observation) -> float:
        """Return how much a face looks like this one did, 0..1."""
        return max(similarity(known, face.appearance) for known in self.appearances)

    def predict(self, time_s: float) -> Floats:
        """Return the box that is expected at a time."""
        gone = max(time_s - self.last_s, 0.0)
        x, y, grown = self.speed * FADE_S * (1 - math.exp(-gone / FADE_S))
        box = self.face.box
        center = (box[:2] + box[2:]) / 2 + (x, y)
        # A size that grows on for long would swallow the image.
        half = (box[2:] - box[:2]) / 2 * math.exp(float(np.clip(grown, -0.3, 0.3)))
        return np.concatenate([center - half, center + half])

    def update(self, face: Observation, time_s: float, *, clean: bool) -> None:
        """Take in what was found in a frame; ``clean`` if nothing covers it."""
        passed = time_s - self.last_s
        if passed > 0:
            before, now = self.face.box, face.box
            moved = (now[:2] + now[2:] - before[:2] - before[2:]) / 2
            step = np.array([*moved, math.log(box_size(now) / box_size(before))]) / passed
            gain = max(1 - math.exp(-passed / STEADY_S), 1 / (self.observation_count + 1))
            self.speed = self.speed + gain * (step - self.speed)
            if time_s - self.start_s <= YOUNG_S:
                self.appearances = [self.appearances[0], face.appearance]
            elif clean:
                self._learn_appearance(face, time_s, passed)
        self.face, self.last_s, self.lost = face, time_s, False
        self.observation_count += 1
        self._add_evidence(face, time_s)

    def _add_evidence(self, face: Observation, time_s: float) -> None:
        if face.detected:
            self.evidence += 1.0 if face.score >= SURE_SCORE else WEAK_EVIDENCE
            self.detected_s = time_s

    def _learn_appearance(self, face: Observation, time_s: float, passed: float) -> None:
        """Take in how the face looks now."""
        if similarity(self.new_appearance, face.appearance) < STABLE:
            self.new_appearance, self.new_appearance_s = face.appearance, time_s
        likeness = [similarity(known, face.appearance) for known in self.appearances]
        nearest = int(np.argmax(likeness))
        if likeness[nearest] >= CLEAN:
            known = self.appearances[nearest]
            self.appearances[nearest] = blend(known, face.appearance, 1 - math.exp(-passed / APPEARANCE_S))
        elif time_s - self.new_appearance_s >= LEARN_S:
            self.appearances = [*self.appearances[-MAX_APPEARANCES + 1 :], face.appearance]


def box_size(box: NDArray[Any]) -> float:
    """Return the root of a box's area, at least one pixel."""
    return max(math.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 0.0)), 1.0)


def overlap_shares(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Return the common area of each box of ``a`` (n, 4) with each of ``b`` (m, 4), as part of the smaller one's."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    areas = [np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9) for boxes in (a, b)]
    common: Floats = np.maximum(high - low, 0).prod(axis=2) / np.minimum(areas[0][:, None], areas[1])
    return common


SAME_PLACE = 0.6
"""Two boxes that share this part of the smaller one are one face."""

SAME_APPEARANCE, RETURN_APPEARANCE, APPEARANCE_STEP = 0.7, 0.8, 0.08
"""Likeness that a person keeps from one observation to the next, that one must have to be known again, and what counts
as much as one unit of the other costs; see `mien.face.appearance` for what was measured."""

SHORT_STEP, SHORT_S = 0.1, 0.1
"""The same within the second time, in which nobody takes the place of another without being seen coming."""

DOUBT_APPEARANCE = 0.5
"""Somebody half covered may be no more like themselves than this."""

PLACE, REACH_RATE = 0.3, 3.0
"""How far from where it is expected a face may well be, in its sizes: at once, and per second for one that stood still;
whoever moves may change their speed by as much as it is."""

FAR, FAR_RATE, FASTER_RATE = 1.0, 15.0, 10.0
"""How far people get while they are out of sight, in their sizes: at once, and per second, which they reach at a rate
of the third per second; they turn and run, and videos are sampled sparsely."""

SAME_PLACE_COST, ALONE_COST = 0.5, 5.0
"""Where one track and one face have nobody else near, and their places differ by no more than the first, a shadow or a
turned head costs the second at most."""

RETURN_GROWTH = 1.0
"""By how much (natural logarithm) a face may change its size while away."""

MOST_COST = 6.0
"""The sum of distance, change of size and difference of appearance beyond which two observations are two people."""


def match_tracks(
    tracks: Sequence[Track], faces: Sequence[Observation], now: float, *, ignore_appearance: bool
) -> dict[int, int]:
    """Return which face goes on with which track, by their indices.

    Parameters
    ----------
    tracks, faces
        Those known, and those found in a frame.
    now : float
        Its time in seconds.
    ignore_appearance : bool
        The light has changed so that appearances say nothing: only the place counts.
    """
    if not tracks or not faces:
        return {}
    expected = np.array([track.predict(now) for track in tracks])
    passed = np.array([max(now - track.last_s, 0.0) for track in tracks])[:, None]
    away, grown = _differences(expected, np.array([face.box for face in faces]))
    # How far off a face may be is a matter of how it moves: who sits still does not cross a table within a frame.
    spread = PLACE + passed * (REACH_RATE + np.array([track.pace for track in tracks])[:, None])
    place = (away / spread) ** 2 + (grown / (PLACE + passed)) ** 2
    cost = np.full(away.shape, np.inf)
    # Appearances are compared only where the place is possible: a crowd has too many pairs.
    near = place < MOST_COST
    for i, j in np.argwhere(near).tolist():
        likeness = tracks[i].similarity(faces[j])
        if ignore_appearance:
            likeness = max(likeness, SAME_APPEARANCE)
        is_alone = place[i, j] < SAME_PLACE_COST and near[i].sum() == near[:, j].sum() == 1
        look = (1 - likeness) / (SHORT_STEP if passed[i, 0] <= SHORT_S else APPEARANCE_STEP)
        cost[i, j] = place[i, j] + (min(look, ALONE_COST) if is_alone else look)
    return dict(assign_pairs(cost, MOST_COST))


def reidentify(missing: Sequence[Track], faces: Sequence[Observation], times_s: Sequence[float]) -> dict[int, int]:
    """Return which face is whose among those out of sight, by index of the face: the appearance decides.

    Parameters
    ----------
    missing, faces
        Those out of sight, and those to be known.
    times_s : sequence of float
        When each face was where it is.
    """
    if not missing or not faces:
        return {}
    seen = list(zip(faces, times_s, strict=True))
    cost = np.array([[_return_cost(track, *one, RETURN_APPEARANCE) for one in seen] for track in missing])
    return {face: track for track, face in assign_pairs(cost, MOST_COST)}


def may_be_same(track: Track, face: Observation, now: float, least: float) -> bool:
    """Tell whether a face could be that of somebody out of sight, with at least so much likeness."""
    return _return_cost(track, face, now, least) < math.inf


def drop_overlapping(faces: Sequence[Observation], others: Sequence[Observation]) -> list[Observation]:
    """Return the faces that are at none of the places of others."""
    if not faces or not others:
        return list(faces)
    common = overlap_shares(np.array([face.box for face in faces]), np.array([face.box for face in others]))
    return [face for face, shared in zip(faces, common, strict=True) if shared.max() <= SAME_PLACE]


def _differences(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the distance of the centers in mean sizes, and the change of size in natural logarithms, (n, m)."""
    sizes = [np.array([box_size(box) for box in boxes]) for boxes in (a, b)]
    between = (a[:, None, :2] + a[:, None, 2:] - b[:, :2] - b[:, 2:]) / 2
    away = np.hypot(between[..., 0], between[..., 1]) / ((sizes[0][:, None] + sizes[1]) / 2)
    return away, np.abs(np.log(sizes[1] / sizes[0][:, None]))


def _return_cost(track: Track, face: Observation, now: float, least: float) -> float:
    away, grown = (float(value[0, 0]) for value in _differences(track.face.box[None], face.box[None]))
    gone = now - track.last_s
    if (
        gone <= 0
        or grown > RETURN_GROWTH
        or away > FAR + gone * min(FAR_RATE, REACH_RATE + track.pace + FASTER_RATE * gone)
    ):
        return math.inf
    likeness = track.similarity(face)
    return (1 - likeness) / APPEARANCE_STEP + 0.1 * away if likeness >= least else math.inf


def assign_pairs(cost: NDArray[Any], limit: float) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum is least, where leaving a row alone costs ``limit``.

    Parameters
    ----------
    cost : numpy.ndarray
        Shape (n, m); infinite where a pair cannot be.
    limit : float
        Pairs that cost more are never made.

    Returns
    -------
    list of (int, int)
        Row and column of each pair, by row.

    References
    ----------
    H. W. Kuhn: The Hungarian method for the assignment problem. Naval Research Logistics Quarterly 2 (1955); in the
    form with shortest augmenting paths (R. Jonker and A. Volgenant, Computing 38, 1987).
    """
    table = np.asarray(cost, dtype=np.float64)
    rows, columns = table.shape
    if not rows or not columns:
        return []
    allowed = table <= limit
    if allowed.sum(axis=0).max() <= 1 and allowed.sum(axis=1).max() <= 1:
        return [(int(row), int(column)) for row, column in zip(*np.nonzero(allowed), strict=True)]
    # Each row has a column of its own that stands for being alone.
    padded = np.full((rows, columns + rows), float(limit))
    padded[:, :columns] = np.where(allowed, table, 4 * abs(limit) + 4)
    owner = _shortest_augmenting_paths(padded)
    return sorted(
        (int(owner[column]), column)
        for column in range(columns)
        if owner[column] >= 0 and allowed[owner[column], column]
    )


def _shortest_augmenting_paths(cost: Floats) -> NDArray[np.intp]:
    """Return the row of each column (-1: none), one row after the other by a shortest path; rows <= columns."""
    rows, columns = cost.shape
    row_price, price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1, dtype=np.intp)
    for start in range(rows):
        least, came = np.full(columns, np.inf), np.full(columns, -1, dtype=np.intp)
        done = np.zeros(columns, dtype=bool)
        row, at = start, -1
        while True:
            way = cost[row] - row_price[row] - price
            better = ~done & (way < least)
            least[better], came[better] = way[better], at
            nearest = int(np.argmin(np.where(done, np.inf, least)))
            step = least[nearest]
            row_price[start] += step
            row_price[owner[done]] += step
            price[done] -= step
            least[~done] -= step
            done[nearest], at = True, nearest
            if owner[nearest] < 0:
                break
            row = int(owner[nearest])
        while at >= 0:
            before = int(came[at])
            owner[at] = start if before < 0 else owner[before]
            at = before
    return owner
