"""Metrics of classification: arrays in, numbers out, numpy only.

Truth is given as class numbers, answers as class numbers or as probabilities.  Nothing here knows of emotions, models
or files; every function refuses empty input, because a number about nothing is no number.
"""

from __future__ import annotations

from mien.metrics.accuracy import accuracy, uar
from mien.metrics.auc import auc
from mien.metrics.bootstrap import Interval, bootstrap_interval
from mien.metrics.calibration_error import ReliabilityBins, ece, ece_floor, reliability_bins
from mien.metrics.confusion import confusion_matrix
from mien.metrics.one_against_rest import binary_accuracy, precision, recall
from mien.metrics.per_class import ClassScores, class_scores, macro_f1
from mien.metrics.proper_scores import brier, nll
from mien.metrics.scores import SCORES, scores

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
    "macro_f1",
    "nll",
    "precision",
    "recall",
    "reliability_bins",
    "scores",
    "uar",
]
