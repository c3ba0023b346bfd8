"""A video without end on its way through an analyzer: nothing of what has passed is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.results import VideoFrame
from mien.video.analyzer import VideoAnalyzer

__all__ = ["LiveStream"]


class LiveStream:
    """Answers each frame at once, in constant memory, and numbers people on when the analyzer is changed.

    Parameters
    ----------
    analyzer : VideoAnalyzer
        What answers.
    """

    def __init__(self, analyzer: VideoAnalyzer) -> None:
        self.analyzer = analyzer
        self._stream = analyzer.stream(live=True, keep=False)
        self._before = self._most = 0

    def change(self, analyzer: VideoAnalyzer) -> None:
        """Go on with another analyzer: everybody in view is new to it."""
        self.analyzer, self._before = analyzer, self._most
        self._stream = analyzer.stream(live=True, keep=False)

    def push(self, image: NDArray[np.uint8], time_s: float) -> VideoFrame:
        """Return what is seen in the next frame; its size may change."""
        (frame,) = self._stream.push(image, time_s)
        if self._before:
            faces = tuple(replace(face, track=face.track + self._before) for face in frame.faces)
            frame = replace(frame, faces=faces)
        self._most = max((self._most, *(face.track for face in frame.faces)))
        return frame
