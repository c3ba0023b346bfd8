"""What analysis returns: small frozen classes that check themselves and know how to become plain data.

Results hold numbers and words, never images and never open files.
"""

from __future__ import annotations

from mien.results.emotion import UNSURE_BELOW, Emotion
from mien.results.face import Box, Face, ImageResult, Landmarks
from mien.results.fused import FusedResult, FusedSegment
from mien.results.speech import SpeechResult, SpeechSegment, SpeechSummary
from mien.results.tables import TABLES, Column, FailedItem, Result, columns
from mien.results.track import EmotionSegment, FaceTrack, Moment, TrackPoint
from mien.results.video import VIDEO_METHODS, PersonSummary, TrackedFace, VideoFrame, VideoResult, VideoSummary

__all__ = [
    "TABLES",
    "UNSURE_BELOW",
    "VIDEO_METHODS",
    "Box",
    "Column",
    "Emotion",
    "EmotionSegment",
    "Face",
    "FaceTrack",
    "FailedItem",
    "FusedResult",
    "FusedSegment",
    "ImageResult",
    "Landmarks",
    "Moment",
    "PersonSummary",
    "Result",
    "SpeechResult",
    "SpeechSegment",
    "SpeechSummary",
    "TrackPoint",
    "TrackedFace",
    "VideoFrame",
    "VideoResult",
    "VideoSummary",
    "columns",
]
