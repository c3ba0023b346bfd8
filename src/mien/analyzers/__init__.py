"""Model and preprocessing together: arrays in, results out."""

from __future__ import annotations

from mien.analyzers.face import FaceAnalyzer
from mien.analyzers.speech import SpeechAnalyzer, SpeechStream
from mien.analyzers.video import FaceStream, VideoAnalyzer

__all__ = ["FaceAnalyzer", "FaceStream", "SpeechAnalyzer", "SpeechStream", "VideoAnalyzer"]
