"""One time axis for faces and speech: the union of all edges, with exact means between them.

Nothing is resampled: what a track says holds from each frame to the next, so means over any stretch are integrals of
steps, taken from cumulative sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.results import FaceTrack

__all__ = ["HOLD", "TOUCH_S", "Course", "edges_of", "owners"]

Floats = NDArray[np.float64]
Edge = NDArray[np.float64]

TOUCH_S = 1e-6
"""Edges nearer to each other than this are one: times are sums of fractions in float64."""

HOLD = 1.5
"""By how much the area of another face must exceed that of the one which has the voice to take it over.  Two people who
sit side by side differ by less from one moment to the next; a cut to a close-up exceeds it."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The integrals of what is known of a track, from its first frame on.

    Parameters
    ----------
    track : FaceTrack
        The track.
    values : numpy.ndarray
        float64 (n, m): what holds from each frame on.
    sums : numpy.ndarray
        float64 (n + 1, m): integrals up to each frame.
    """

    track: FaceTrack
    values: Floats
    sums: Floats

    @classmethod
    def of(cls, track: FaceTrack, values: Floats) -> Course:
        """Integrate values, float64 (n, m), over the frames of a track."""
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values * track.durations_s[:, None], axis=0)])
        return cls(track, values, sums)

    def until(self, times_s: Edge) -> Floats:
        """Return the integrals up to some times, float64 (len(times_s), m)."""
        place = np.searchsorted(self.track.times_s, times_s, side="right") - 1
        inside = np.clip(place, 0, None)
        part = np.clip(times_s - self.track.times_s[inside], 0, self.track.durations_s[inside])
        found: Floats = self.sums[inside] + self.values[inside] * part[:, None]
        return np.where((place < 0)[:, None], 0.0, found)

    def between(self, edges: Edge) -> Floats:
        """Return the integrals between neighbouring edges, float64 (len(edges) - 1, m)."""
        return np.diff(self.until(edges), axis=0)


def edges_of(times_s: Iterable[float], start_s: float, end_s: float) -> Edge:
    """Return rising edges from start to end: all times between them, those that touch taken as one."""
    times = np.unique(np.fromiter(times_s, np.float64))
    times = times[(times > start_s + TOUCH_S) & (times < end_s - TOUCH_S)]
    edges = np.concatenate([[start_s], times, [end_s]])
    # Chains of edges that touch collapse onto their first.
    kept = np.concatenate([[True], np.diff(edges) > TOUCH_S])
    kept[-1] = True
    return np.asarray(edges[kept])


def owners(
    tracks: Sequence[FaceTrack], edges: Edge, stretch: NDArray[np.int64], *, hold: float = HOLD
) -> NDArray[np.int64]:
    """Choose whose face counts between neighbouring edges.

    It is the largest that is in view: while somebody speaks, by its area over the whole of the speech, so that the
    voice of a sentence does not change hands; otherwise by its area between the edges.  Who had it before keeps it as
    long as nobody is larger by more than `HOLD`.

    Parameters
    ----------
    tracks : sequence of FaceTrack
        All people.
    edges : numpy.ndarray
        float64 (m + 1,): every edge of `FaceTrack.intervals` is among them, or touches one.
    stretch : numpy.ndarray
        int64 (m,): number of the stretch of speech that lies between the edges; -1 where nobody speaks.
    hold : float
        See `HOLD`.

    Returns
    -------
    numpy.ndarray
        int64 (m,): index of the track, -1 where no face is in view.
    """
    present: list[list[tuple[int, float]]] = [[] for _ in range(len(edges) - 1)]
    spoken: dict[tuple[int, int], float] = {}
    for index, track in enumerate(tracks):
        sides = track.boxes[:, 2:].astype(np.float64) - track.boxes[:, :2]
        course = Course.of(track, np.stack([np.ones(len(track)), sides.prod(axis=1)], axis=1))
        first = max(int(np.searchsorted(edges, track.start_s - TOUCH_S)) - 1, 0)
        last = min(int(np.searchsorted(edges, track.end_s + TOUCH_S)) + 1, len(edges))
        for at, (seen_s, area) in enumerate(course.between(edges[first:last]).tolist(), first):
            if seen_s <= TOUCH_S:
                continue
            present[at].append((index, area))
            if stretch[at] >= 0:
                key = (index, int(stretch[at]))
                spoken[key] = spoken.get(key, 0.0) + area
    found = np.full(len(present), -1, np.int64)
    owner = -1
    for at, faces in enumerate(present):
        if not faces:
            continue
        number = int(stretch[at])
        areas = {i: area if number < 0 else spoken[i, number] for i, area in faces}
        largest = max(areas, key=lambda i: areas[i])
        if owner not in areas or areas[largest] > hold * areas[owner]:
            owner = largest
        found[at] = owner
    return found
