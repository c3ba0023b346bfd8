"""The noise curve as a chart."""

from __future__ import annotations

from collections.abc import Sequence

from mien.evaluate.speech_result import NoiseFigures
from mien.output import plots

__all__ = ["noise_chart"]


def noise_chart(figures: Sequence[NoiseFigures]) -> bytes:
    """Draw the figures of `mien.evaluate.noise.noise_curve` as `mien.output.plots.noise_curves` does."""
    kinds: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    clean = None
    for entry in figures:
        if entry.ratio_db is None:
            clean = entry.uar
        else:
            ends = entry.intervals.get("uar", (None, None))
            kinds.setdefault(entry.kind, []).append((entry.ratio_db, entry.uar, *ends))
    return plots.noise_curves(kinds, clean=clean)
