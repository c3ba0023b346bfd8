"""Taking the measure of models on data sets: protocols, calibration, reports."""

from __future__ import annotations

from mien.evaluation.calibration import cross_fitted, fit_temperature, softmax

__all__ = ["cross_fitted", "fit_temperature", "softmax"]
