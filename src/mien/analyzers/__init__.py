"""Model and preprocessing together: arrays in, results out."""

from __future__ import annotations

from mien.analyzers.face import FaceAnalyzer

__all__ = ["FaceAnalyzer"]
