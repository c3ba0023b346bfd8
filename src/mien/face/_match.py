"""Which face belongs to whom: place, size and look, from one frame to the next and after an absence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.face._assign import assign
from mien.face._motion import Candidate, Track, box_size, overlaps

__all__ = ["DOUBT_LOOK", "apart", "continued", "recognized", "resembles"]

Floats = NDArray[np.float64]

SAME_PLACE = 0.6
"""Two boxes that share this part of the smaller one are one face."""

SAME_LOOK, RETURN_LOOK, LOOK_STEP = 0.7, 0.8, 0.1
"""Likeness that a person keeps from one sighting to the next, that one must have to be known again, and what counts as
much as one unit of distance; see `mien.face._look` for what was measured."""

DOUBT_LOOK = 0.5
"""Somebody half covered may be no more like themselves than this."""

COVERED_LOOK, SHORT_S = 0.5, 0.1
"""Within this time nobody takes the place of another without being seen coming: less likeness is enough there."""

REACH, REACH_RATE = 0.5, 3.0
"""How far from where it is expected a face may be, in its sizes: at once, and per second."""

FAR, FAR_RATE = 1.0, 15.0
"""The same for a face that looks the same (`RETURN_LOOK`): people turn and run, and videos are sampled sparsely."""

GROWTH, RETURN_GROWTH = 0.5, 1.0
"""By how much (natural logarithm) a face may change its size at once (and as much more in a second), or while away."""

MOST_COST = 6.0
"""The sum of distance, change of size and difference of look beyond which two sightings are two people."""


def continued(tracks: Sequence[Track], faces: Sequence[Candidate], now: float, *, strange: bool) -> dict[int, int]:
    """Return which face goes on with which track, by their indices.

    Parameters
    ----------
    tracks, faces
        Those known, and those found in a frame.
    now : float
        Its time in seconds.
    strange : bool
        The light has changed so that looks say nothing: only the place counts.
    """
    if not tracks or not faces:
        return {}
    expected = np.array([track.predicted(now) for track in tracks])
    passed = np.array([max(now - track.seen_s, 0.0) for track in tracks])[:, None]
    away, grown = _differences(expected, np.array([face.box for face in faces]))
    possible = (away <= FAR + FAR_RATE * passed) & (grown <= GROWTH + passed)
    cost = np.full(away.shape, np.inf)
    # Looks are compared only where the place is possible: a crowd has too many pairs.
    for i, j in np.argwhere(possible).tolist():
        likeness = tracks[i].likeness(faces[j])
        if strange:
            likeness = max(likeness, SAME_LOOK)
        time_s = float(passed[i, 0])
        if likeness < (COVERED_LOOK if time_s <= SHORT_S else SAME_LOOK):
            continue
        if likeness < RETURN_LOOK and away[i, j] > REACH + REACH_RATE * time_s:
            continue
        distance = away[i, j] / (0.3 + REACH_RATE * time_s)
        # Bounded: when frames are far apart, far says little.
        place = distance / (1 + distance / 4) + grown[i, j] / (0.3 + time_s)
        cost[i, j] = place + (1 - likeness) / LOOK_STEP
    return dict(assign(cost, MOST_COST))


def recognized(missing: Sequence[Track], faces: Sequence[Candidate], now: float) -> dict[int, int]:
    """Return which face is whose among those out of sight, by index of the face: the look decides."""
    if not missing or not faces:
        return {}
    cost = np.array([[_return_cost(track, face, now, RETURN_LOOK) for face in faces] for track in missing])
    return {face: track for track, face in assign(cost, MOST_COST)}


def resembles(track: Track, face: Candidate, now: float, least: float) -> bool:
    """Tell whether a face could be that of somebody out of sight, with at least so much likeness."""
    return _return_cost(track, face, now, least) < math.inf


def apart(faces: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
    """Return the faces that are at none of the places of others."""
    if not faces or not others:
        return list(faces)
    common = overlaps(np.array([face.box for face in faces]), np.array([face.box for face in others]))
    return [face for face, shared in zip(faces, common, strict=True) if shared.max() <= SAME_PLACE]


def _differences(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the distance of the centers in mean sizes, and the change of size in natural logarithms, (n, m)."""
    sizes = [np.array([box_size(box) for box in boxes]) for boxes in (a, b)]
    between = (a[:, None, :2] + a[:, None, 2:] - b[:, :2] - b[:, 2:]) / 2
    away = np.hypot(between[..., 0], between[..., 1]) / ((sizes[0][:, None] + sizes[1]) / 2)
    return away, np.abs(np.log(sizes[1] / sizes[0][:, None]))


def _return_cost(track: Track, face: Candidate, now: float, least: float) -> float:
    away, grown = (float(value[0, 0]) for value in _differences(track.face.box[None], face.box[None]))
    if grown > RETURN_GROWTH or away > 2 * FAR + FAR_RATE * (now - track.seen_s):
        return math.inf
    likeness = track.likeness(face)
    return (1 - likeness) / LOOK_STEP + 0.1 * away if likeness >= least else math.inf
