"""Model and preprocessing together: arrays in, results out."""

from __future__ import annotations

from mien.analyzers.face import FaceAnalyzer
from mien.analyzers.speech import SpeechAnalyzer, SpeechStream

__all__ = ["FaceAnalyzer", "SpeechAnalyzer", "SpeechStream"]
