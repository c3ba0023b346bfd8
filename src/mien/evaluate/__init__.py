"""Taking the measure of models on data sets: protocols, calibration, reports."""

from __future__ import annotations

from mien.evaluate.answers import Answers, Classifier, answer
from mien.evaluate.calibration import cross_fitted, fit_temperature, softmax
from mien.evaluate.noise import noise_curve
from mien.evaluate.paired import PairedResult, compare, compare_clips, mcnemar
from mien.evaluate.protocols import evaluate, measure
from mien.evaluate.result import ClassResult, EvaluationResult, SubjectResult
from mien.evaluate.speech import evaluate_speech, measure_clips, measured
from mien.evaluate.speech_answers import SpeechAnswers, SpeechClassifier, answer_clips, as_answers
from mien.evaluate.speech_noise import noise_of
from mien.evaluate.speech_result import GroupFigures, NoiseFigures, SpeechEvaluation

__all__ = [
    "Answers",
    "ClassResult",
    "Classifier",
    "EvaluationResult",
    "GroupFigures",
    "NoiseFigures",
    "PairedResult",
    "SpeechAnswers",
    "SpeechClassifier",
    "SpeechEvaluation",
    "SubjectResult",
    "answer",
    "answer_clips",
    "as_answers",
    "compare",
    "compare_clips",
    "cross_fitted",
    "evaluate",
    "evaluate_speech",
    "fit_temperature",
    "mcnemar",
    "measure",
    "measure_clips",
    "measured",
    "noise_curve",
    "noise_of",
    "softmax",
]
