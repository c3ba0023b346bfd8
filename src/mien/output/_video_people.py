"""Who is to be drawn on each frame of a video: what its result says between the frames that were analyzed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

from mien.face._cuts import Cuts
from mien.output._video_paint import Person
from mien.results import FaceTrack, VideoResult

__all__ = ["People"]


class People:
    """The people of a video, frame by frame, in order.

    A new scene was noticed with the first analyzed frame in it; here every frame is seen, so that nobody is drawn any
    more from the cut itself on.

    Parameters
    ----------
    video : VideoResult
        What was found.
    """

    def __init__(self, video: VideoResult) -> None:
        self._tracks = [_Timeline(track) for track in video.tracks]
        self._times, self._cuts = video.times_s, video.cuts
        self._scene, self._watched, self._gone = Cuts(), -1, False

    def at(self, image: NDArray[np.uint8], time_s: float) -> list[Person]:
        """Return who is seen in a frame.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        time_s : float
            When it is shown.
        """
        if self._is_gone(image, time_s):
            return []
        return [person for track in self._tracks if (person := track.at(time_s)) is not None]

    def _is_gone(self, image: NDArray[np.uint8], time_s: float) -> bool:
        """Tell whether a frame shows a scene of which nothing is known yet."""
        following = bisect_right(self._cuts, time_s)
        if following == len(self._cuts):
            return False
        # A cut that looks like a flash at first is told one frame late.
        place = bisect_left(self._times, self._cuts[following]) - 2
        if time_s < self._times[max(place, 0)]:
            return False
        if following != self._watched:
            self._scene, self._watched, self._gone = Cuts(), following, False
        self._gone = self._scene.new_scene(image, time_s) or self._gone
        return self._gone


class _Timeline:
    """A person whose emotion at a time is that of the timeline, which does not flicker."""

    def __init__(self, track: FaceTrack) -> None:
        self._track = track
        self._starts = [segment.start_s for segment in track.timeline]

    def at(self, time_s: float) -> Person | None:
        """Return what to draw, or None where the person is out of view."""
        track = self._track
        if not track.start_s <= time_s <= track.end_s:
            return None
        point = track.at(time_s)
        if point is None:
            return None
        shares = point.probabilities.astype(np.float64)
        place = bisect_right(self._starts, time_s) - 1
        told = track.timeline[place].emotion.top if place >= 0 else track.labels.emotions[int(shares.argmax())]
        x1, y1, x2, y2 = point.box.tolist()
        return Person(track.number, (x1, y1, x2, y2), track.labels, tuple(shares.tolist()), told)
