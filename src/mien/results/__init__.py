"""What analysis returns: small frozen classes that check themselves and know how to become plain data.

Results hold numbers and words, never pictures and never open files.
"""

from __future__ import annotations

from mien.results.emotion import UNSURE_BELOW, Emotion
from mien.results.faces import Box, Face, ImageResult, Points
from mien.results.failed import FailedItem
from mien.results.speech import SpeechResult, SpeechSpan, SpeechSummary

__all__ = [
    "UNSURE_BELOW",
    "Box",
    "Emotion",
    "Face",
    "FailedItem",
    "ImageResult",
    "Points",
    "SpeechResult",
    "SpeechSpan",
    "SpeechSummary",
]
