"""Faces, voices and other modalities together: results in, results out.

`fuse` brings them onto one time axis and makes one prediction of them, by one of `METHODS`.  It opens no file: weights
are those of the shipped record, or handed in.
"""

from __future__ import annotations

from mien.fusion.experts import Expert, ExpertWeights, experts, shipped_weights
from mien.fusion.over_time import METHODS, fuse
from mien.fusion.rules import Fused, average, most_confident, rule_table

__all__ = [
    "METHODS",
    "Expert",
    "ExpertWeights",
    "Fused",
    "average",
    "experts",
    "fuse",
    "most_confident",
    "rule_table",
    "shipped_weights",
]
