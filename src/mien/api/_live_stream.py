"""A film without end on its way through an analyzer: nothing of what has passed is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.analyzers._course import Course, Times
from mien.analyzers.video import FaceStream, VideoAnalyzer
from mien.results import VideoFrame

__all__ = ["LiveStream"]

_KEPT = 1000
"""After so many frames, what would become the tracks of a film is thrown away: nobody asks for them."""


class LiveStream:
    """Answers each frame at once, in constant memory, and numbers people on when the analyzer is changed.

    Parameters
    ----------
    analyzer : VideoAnalyzer
        What answers.
    """

    def __init__(self, analyzer: VideoAnalyzer) -> None:
        self.analyzer = analyzer
        self._stream = _Forgetful(analyzer, live=True, alone=False, seen=None)
        self._before = self._most = 0

    def change(self, analyzer: VideoAnalyzer) -> None:
        """Go on with another analyzer: everybody in view is new to it."""
        self.analyzer, self._before = analyzer, self._most
        self._stream = _Forgetful(analyzer, live=True, alone=False, seen=None)

    def push(self, image: NDArray[np.uint8], time_s: float) -> VideoFrame:
        """Return what is seen in the next frame; its size may change."""
        (frame,) = self._stream.push(image, time_s)
        if self._before:
            faces = tuple(replace(face, track=face.track + self._before) for face in frame.faces)
            frame = replace(frame, faces=faces)
        self._most = max((self._most, *(face.track for face in frame.faces)))
        return frame


class _Forgetful(FaceStream):
    """A stream whose memory does not grow: it has no result."""

    def push(self, image: NDArray[np.uint8], time_s: float) -> tuple[VideoFrame, ...]:
        """Look at the next frame; see `FaceStream.push`."""
        given = super().push(image, time_s)
        if len(self._times.values) >= _KEPT:
            self._times = Times()
            # The numbers stay, so that everybody keeps theirs.
            self._courses = {
                seen_as: Course(course.number, self._analyzer.labels) for seen_as, course in self._courses.items()
            }
            del self._tracker.cuts[:]
        return given
