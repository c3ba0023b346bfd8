"""Answers over time: windows, smoothing, segments, strongest moments.  Arrays and times only."""

from __future__ import annotations

from mien.timeline.course import Piece, episodes, strongest
from mien.timeline.smoothing import Smoother, certainty, smooth
from mien.timeline.windows import Segment, Stretch, merged, windows

__all__ = [
    "Piece",
    "Segment",
    "Smoother",
    "Stretch",
    "certainty",
    "episodes",
    "merged",
    "smooth",
    "strongest",
    "windows",
]
