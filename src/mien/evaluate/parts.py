"""Parts of the reports that faces and speech share: charts, the sheet of mistakes, scores by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.answers import Answers
from mien.evaluate.markdown import table
from mien.evaluate.report import Measured, percent
from mien.evaluate.speech_answers import SpeechAnswers
from mien.metrics import reliability_bins
from mien.output import encode_png, plots
from mien.output.sheet import sheet

__all__ = ["WORST", "class_table", "lowest_bars", "mistakes_sheet", "reliability", "worst_first"]

WORST = 40
"""Mistakes on the sheet."""

_MOST_BARS = 40


def worst_first(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of probabilities (n, k) that are not right by truth (n,), the surest first, `WORST` at most."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != truth)
    confidence = probabilities[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")][:WORST]


def mistakes_sheet(
    answers: Answers | SpeechAnswers,
    rows: NDArray[np.int64],
    images: Sequence[NDArray[np.uint8] | None],
    *,
    across: int,
    cell: int,
) -> bytes:
    """Draw the images of rows with their labels and answers, at most ``across`` in a line, as PNG."""
    names = answers.label_set.emotions
    captions = []
    for row in rows:
        said = answers.answered[row]
        share = 100 * answers.probabilities[row, said]
        captions.append(f"{names[answers.truth[row]]}?\n{names[said]} {share:.0f} %")
    title = f"The {len(rows)} most confident mistakes: the label with a question mark, below it the answer"
    return encode_png(sheet(images, captions, columns=min(across, len(rows)), cell=cell, title=title))


def lowest_bars(shares: Sequence[tuple[str, float]], *, what: str) -> bytes | None:
    """Draw the first shares, of which the lowest come first, as bars; None where there is none."""
    if not shares:
        return None
    some = shares[:_MOST_BARS]
    shown = "" if len(some) == len(shares) else f", the lowest {len(some)} of {len(shares)}"
    return plots.bars([(name, share, None, None) for name, share in some], title=f"{what}{shown}")


def reliability(result: Measured, probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> bytes:
    """Draw the reliability diagram of answers, with the figures of their result."""
    bins = reliability_bins(probabilities, truth)
    return plots.reliability(
        edges=bins.edges,
        count=bins.count,
        confidence=bins.confidence,
        accuracy=bins.accuracy,
        ece=result.ece,
        floor=result.ece_floor,
    )


def class_table(result: Measured) -> str:
    """Return the scores by class as Markdown."""
    rows = [
        (c.label, percent(c.precision), percent(c.recall), percent(c.f1), c.support, c.answered)
        for c in result.per_class
    ]
    return table(("class", "precision", "recall", "F1", "true", "answered"), rows, right=range(1, 6))
