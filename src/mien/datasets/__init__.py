"""Data sets as their publishers ship them: one file each, all yielding `FaceData`."""

from __future__ import annotations

from mien.datasets.base import FaceData

__all__ = ["FaceData"]
