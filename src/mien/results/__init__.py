"""What analysis returns: small frozen classes that check themselves and know how to become plain data.

Results hold numbers and words, never images and never open files.
"""

from __future__ import annotations

from mien.results.emotion import UNSURE_BELOW, Emotion
from mien.results.face import Box, Face, ImageResult, Points
from mien.results.failed import FailedItem
from mien.results.frames import TrackedFace, VideoFrame
from mien.results.fused import FusedResult, FusedSegment
from mien.results.speech import SpeechResult, SpeechSegment, SpeechSummary
from mien.results.track import EmotionSegment, FaceTrack, Moment, TrackPoint
from mien.results.video import (
    VIDEO_METHODS,
    VIDEO_TABLES,
    PersonSummary,
    VideoResult,
    VideoSummary,
)

__all__ = [
    "UNSURE_BELOW",
    "VIDEO_METHODS",
    "VIDEO_TABLES",
    "Box",
    "Emotion",
    "EmotionSegment",
    "Face",
    "FaceTrack",
    "FailedItem",
    "FusedResult",
    "FusedSegment",
    "ImageResult",
    "Moment",
    "PersonSummary",
    "Points",
    "SpeechResult",
    "SpeechSegment",
    "SpeechSummary",
    "TrackPoint",
    "TrackedFace",
    "VideoFrame",
    "VideoResult",
    "VideoSummary",
]
