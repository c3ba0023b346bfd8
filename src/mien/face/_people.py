"""The people of a video: those in sight, those missing, and what is known of each number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.face._match import DOUBT_LOOK, continued, recognized, resembles
from mien.face._motion import Candidate, Track, overlaps

__all__ = ["RETURN_S", "People"]

BRIDGE_S, RETURN_S = 0.7, 10.0
"""A face out of sight is expected on its way for so long, and known again by its look for so long."""

REJOIN_S, DOUBT_S, DOUBT_PLACE = 3.0, 0.6, 0.3
"""Who comes into view bit by bit is known again within the first time.  A face that could be somebody who is missing,
by its look or because it has so much of their expected place, is not confirmed as a new one before the second."""

REAL_S = 0.4
"""Who leaves in doubt was a person of their own if two searches found them and they were seen for so long."""

SURE_SCORE = 0.97
"""True faces score at least this (see `mien.face.detect.mtcnn`); seen once only, a face must."""

STAYS = 1.1
"""Where there are too many, one who is followed stays until another is larger by this."""

MOST_GONE, MOST_KNOWN = 64, 4096
"""How many of those gone, and of the verdicts on numbers, are remembered: memory stays constant."""


class People:
    """Keeps the tracks of a video and their numbers."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._gone: list[Track] = []
        self._last = 0
        self._verdicts: OrderedDict[int, bool | None] = OrderedDict()
        self._names: OrderedDict[int, int] = OrderedDict()

    def confirmed(self, number: int) -> bool | None:
        """Tell whether a number stands for a real face; None while that is not known."""
        return self._verdicts.get(number, False)

    def known_as(self, number: int) -> int:
        """Return the number that somebody had before."""
        return self._names.get(number, number)

    def scale(self, across: float, down: float) -> None:
        """Adapt to frames of another size."""
        zoom = np.array([across, down] * 2)
        for track in [*self.tracks, *self._gone]:
            track.face.box, track.searched = track.face.box * zoom, track.searched * zoom
            track.speed = track.speed * (across, down, 1)

    def end(self) -> None:
        """Close all: a new scene has new people."""
        for track in self.tracks:
            if not track.confirmed:
                # Nothing speaks against it: it had no second chance.
                self._verdicts[track.number] = track.face.score >= SURE_SCORE and not track.lost
        self.tracks, self._gone = [], []

    def see(self, faces: Sequence[Candidate], pairs: dict[int, int], now: float, *, strange: bool) -> list[Track]:
        """Move the tracks to their faces, by `continued`; return those that have one."""
        expected = np.array([track.predicted(now) for track in self.tracks]).reshape(-1, 4)
        common = overlaps(expected, expected)
        np.fill_diagonal(common, 0)
        for i, track in enumerate(self.tracks):
            if i in pairs:
                track.see(faces[pairs[i]], now, clean=not strange and not (common[i] > 0).any())
            else:
                track.lost = True
        return [track for i, track in enumerate(self.tracks) if i in pairs]

    def pairs(self, faces: Sequence[Candidate], now: float, *, strange: bool) -> dict[int, int]:
        """Return which track goes on with which face, by index."""
        return continued(self.tracks, faces, now, strange=strange)

    def admit(self, faces: Sequence[Candidate], now: float) -> list[Track]:
        """Know people again who were missing, and number new ones; return a track for each face."""
        missing = self._missing()
        known = recognized(missing, faces, now)
        return [
            self._back(missing[known[j]], face, now) if j in known else self._new(face, now)
            for j, face in enumerate(faces)
        ]

    def rejoin(self, seen: list[Track], now: float) -> list[Track]:
        """Give those who came into view bit by bit the number that they had before; return the tracks seen."""
        before = set(self._names.values())
        young = [track for track in seen if now - track.born_s <= REJOIN_S and track.number not in before]
        missing = self._missing() if young else []
        for j, i in recognized(missing, [track.face for track in young], now).items():
            old, one = missing[i], young[j]
            if old.born_s >= one.born_s:
                continue
            self.tracks.remove(one)
            seen[seen.index(one)] = self._back(old, one.face, now)
            old.speed = one.speed
            _remember(self._names, one.number, old.number)
            _remember(self._verdicts, one.number, True)
        return seen

    def limit(self, seen: list[Track], most: int | None) -> list[Track]:
        """Keep the largest faces only."""
        if most is None or len(seen) <= most:
            return seen
        seen = sorted(seen, key=lambda track: -track.size * (STAYS if track.sightings > 1 else 1.0))
        for track in seen[most:]:
            self.tracks.remove(track)
            self._leave(track)
        return seen[:most]

    def settle(self, now: float) -> None:
        """Confirm new faces, drop ghosts and those that are gone for good."""
        kept = []
        for track in self.tracks:
            if not track.confirmed and not track.lost and track.detections > 1 and not self._doubtful(track, now):
                track.confirmed = self._verdicts[track.number] = True
            if track.lost and (not track.confirmed or now - track.seen_s > BRIDGE_S):
                self._leave(track)
            else:
                kept.append(track)
        self.tracks = kept
        self._gone = [track for track in self._gone if now - track.seen_s <= RETURN_S]

    def _doubtful(self, track: Track, now: float) -> bool:
        """Tell whether a new face could yet turn out to be somebody who is missing."""
        if now - track.born_s >= DOUBT_S:
            return False
        missing = self._missing()
        if any(resembles(other, track.face, now, DOUBT_LOOK) for other in missing):
            return True
        expected = np.array([other.predicted(now) for other in missing]).reshape(-1, 4)
        return bool((overlaps(expected, track.face.box[None]) > DOUBT_PLACE).any())

    def _missing(self) -> list[Track]:
        return [*(track for track in self.tracks if track.lost and track.confirmed), *self._gone]

    def _back(self, track: Track, face: Candidate, now: float) -> Track:
        if track in self._gone:
            self._gone.remove(track)
            self.tracks.append(track)
        track.see(face, now, clean=False)
        track.speed = np.zeros(3)
        return track

    def _new(self, face: Candidate, now: float) -> Track:
        self._last += 1
        track = Track(self._last, face, now, now)
        self.tracks.append(track)
        _remember(self._verdicts, self._last, None)
        return track

    def _leave(self, track: Track) -> None:
        if track.confirmed:
            self._gone = [*self._gone[-MOST_GONE + 1 :], track]
        else:
            self._verdicts[track.number] = track.detections > 1 and track.seen_s - track.born_s >= REAL_S


def _remember(table: OrderedDict[int, Any], key: int, value: Any) -> None:
    """Add an entry; the oldest go."""
    table[key] = value
    while len(table) > MOST_KNOWN:
        table.popitem(last=False)
