"""Model and preprocessing together: arrays in, results out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazily

if TYPE_CHECKING:
    from mien.analyzers.face import FaceAnalyzer as FaceAnalyzer
    from mien.analyzers.speech import SpeechAnalyzer as SpeechAnalyzer
    from mien.analyzers.speech import SpeechStream as SpeechStream
    from mien.analyzers.video import FaceStream as FaceStream
    from mien.analyzers.video import VideoAnalyzer as VideoAnalyzer

__all__ = [
    "FaceAnalyzer",
    "FaceStream",
    "SpeechAnalyzer",
    "SpeechStream",
    "VideoAnalyzer",
]

__getattr__ = lazily(
    __name__,
    {
        "FaceAnalyzer": "mien.analyzers.face",
        "FaceStream": "mien.analyzers.video",
        "SpeechAnalyzer": "mien.analyzers.speech",
        "SpeechStream": "mien.analyzers.speech",
        "VideoAnalyzer": "mien.analyzers.video",
    },
)
