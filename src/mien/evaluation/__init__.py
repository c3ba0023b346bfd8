"""Taking the measure of models on data sets: protocols, calibration, reports."""

from __future__ import annotations

from mien.evaluation.answers import Answers, Classifier, answer
from mien.evaluation.calibration import cross_fitted, fit_temperature, softmax
from mien.evaluation.paired import PairedResult, compare, mcnemar
from mien.evaluation.protocols import evaluate, measure
from mien.evaluation.result import ClassResult, EvaluationResult, SubjectResult

__all__ = [
    "Answers",
    "ClassResult",
    "Classifier",
    "EvaluationResult",
    "PairedResult",
    "SubjectResult",
    "answer",
    "compare",
    "cross_fitted",
    "evaluate",
    "fit_temperature",
    "mcnemar",
    "measure",
    "softmax",
]
