"""Taking the measure of models on data sets: protocols, calibration, reports."""

from __future__ import annotations

from mien.evaluation.calibration import cross_fitted, fit_temperature, softmax
from mien.evaluation.protocols import Classifier, evaluate
from mien.evaluation.result import ClassResult, EvaluationResult

__all__ = [
    "ClassResult",
    "Classifier",
    "EvaluationResult",
    "cross_fitted",
    "evaluate",
    "fit_temperature",
    "softmax",
]
