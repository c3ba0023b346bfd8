"""Measuring models on datasets: predictions, figures with intervals, calibration, comparison, reports."""

from __future__ import annotations

from mien.evaluate.calibration import cross_fitted, fit_temperature, softmax
from mien.evaluate.evaluation import ClassFigures, Evaluation, Figures, NoiseFigures, evaluate, measure
from mien.evaluate.noise import model_noise_curve, noise_curve
from mien.evaluate.paired import PairedResult, compare, mcnemar
from mien.evaluate.predictions import AudioModel, ImageModel, Predictions, predict, take_split

__all__ = [
    "AudioModel",
    "ClassFigures",
    "Evaluation",
    "Figures",
    "ImageModel",
    "NoiseFigures",
    "PairedResult",
    "Predictions",
    "compare",
    "cross_fitted",
    "evaluate",
    "fit_temperature",
    "mcnemar",
    "measure",
    "model_noise_curve",
    "noise_curve",
    "predict",
    "softmax",
    "take_split",
]
