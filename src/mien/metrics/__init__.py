"""Metrics of classification: arrays in, numbers out, numpy only.

Truth is given as class numbers, predictions as class numbers or as probabilities. Nothing here knows of emotions,
models or files; every function rejects empty input, because a number about nothing is no number.
"""

from __future__ import annotations

from mien.metrics.bootstrap import Interval, bootstrap_interval, f1_sums, recall_sums, uar_of_sums
from mien.metrics.calibration import ReliabilityBins, brier, ece, ece_floor, nll, reliability_bins
from mien.metrics.classification import (
    SCORES,
    ClassScores,
    accuracy,
    auc,
    binary_accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    precision,
    recall,
    scores,
    uar,
)

__all__ = [
    "SCORES",
    "ClassScores",
    "Interval",
    "ReliabilityBins",
    "accuracy",
    "auc",
    "binary_accuracy",
    "bootstrap_interval",
    "brier",
    "class_scores",
    "confusion_matrix",
    "ece",
    "ece_floor",
    "f1_sums",
    "macro_f1",
    "nll",
    "precision",
    "recall",
    "recall_sums",
    "reliability_bins",
    "scores",
    "uar",
    "uar_of_sums",
]
