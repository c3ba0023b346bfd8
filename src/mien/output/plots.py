"""Charts of training and examination as PNG: curves, confusion matrices, reliability diagrams, comparisons.

Drawn with matplotlib's Figure objects alone: nothing is registered with ``pyplot``, no back end is chosen and no global
setting is touched, so that a notebook that imports mien keeps its own.  The same input gives the same bytes (with the
same matplotlib and fonts).  Names are shown as they are: a ``$`` in one is no formula, and signs that the font lacks
become boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mien._checks import describe
from mien.errors import InputError
from mien.output._chart import GRAY, LINES, LONGEST, epochs_axis, legend, new_figure, plain, shown, to_png
from mien.output._curves import curves
from mien.output._noise import noise_curves
from mien.output.palette import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "bars",
    "compare_runs",
    "confusion",
    "confusion_pair",
    "confusion_pairs",
    "curves",
    "noise_curves",
    "reliability",
]

_DASHES = ("-", "--", ":", "-.")
"""Past eight lines the colors come again, dashed otherwise."""


def confusion(matrix: ArrayLike, labels: Sequence[str], *, normalized: bool, unit: str = "images") -> bytes:
    """Draw a confusion matrix.

    Parameters
    ----------
    matrix : array_like of int
        Shape (k, k), counts: rows are the truth, columns the answers.
    labels : sequence of str
        The k classes.
    normalized : bool
        Show each row as shares of its true class in percent, instead of counts.  A class without a row stays empty.
    unit : str
        What is counted: stands above counts.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If the matrix is none.
    MissingExtraError
        If matplotlib is not installed.
    """
    counts = _matrix(matrix, labels)
    side = _matrix_side(labels)
    figure = new_figure(side, side)
    _draw_confusion(figure.add_subplot(), counts, labels, normalized=normalized, unit=unit)
    return to_png(figure)


def confusion_pairs(items: Sequence[tuple[str, ArrayLike, Sequence[str]]], *, unit: str = "images") -> bytes:
    """Draw confusion matrices twice each, side by side: as shares of each true class, and as counts.

    Parameters
    ----------
    items : sequence of (str, array_like of int, sequence of str)
        A row each: its title (may be empty), counts of shape (k, k) with the truth in rows, and the k classes.
    unit : str
        What is counted: stands above counts.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If a matrix is none, or there is none.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not items:
        raise InputError("a chart of confusion matrices needs at least one, but got none")
    ready = [(title, _matrix(matrix, labels), labels) for title, matrix, labels in items]
    sides = [_matrix_side(labels) for _, _, labels in ready]
    figure = new_figure(2 * max(sides), sum(sides))
    grid = figure.add_gridspec(len(ready), 2, height_ratios=sides)
    for row, (title, counts, labels) in enumerate(ready):
        for column, normalized in enumerate((True, False)):
            axes = figure.add_subplot(grid[row, column])
            _draw_confusion(axes, counts, labels, normalized=normalized, unit=unit)
            if title:
                axes.set_title(f"{shown(title)}: {axes.get_title()}", fontsize=11, parse_math=False)
    return to_png(figure)


def confusion_pair(matrix: ArrayLike, labels: Sequence[str], *, unit: str = "images") -> bytes:
    """Draw one confusion matrix as `confusion_pairs` does."""
    return confusion_pairs([("", matrix, labels)], unit=unit)


def _draw_confusion(axes: Axes, counts: Any, labels: Sequence[str], *, normalized: bool, unit: str) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    # Counts are colored by their share too: colored by count, a rare class would be a blank row.
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        count = counts[row, column]
        text = f"{100 * shares[row, column]:.1f}" if normalized else f"{count}"
        if count == 0:
            text = "" if totals[row] == 0 else "0"
        ink = "white" if shares[row, column] > 0.55 else "#222222"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9)
    places = range(len(labels))
    names = [shown(label) for label in labels]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(places, names, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.set_title("% of each true class" if normalized else unit, fontsize=11)
    for spine in axes.spines.values():
        spine.set_visible(False)


def reliability(
    *, edges: ArrayLike, count: ArrayLike, confidence: ArrayLike, accuracy: ArrayLike, ece: float, floor: float
) -> bytes:
    """Draw a reliability diagram: how often answers of a given confidence are right, and how many there are.

    Parameters
    ----------
    edges : array_like of float
        Shape (bins + 1,): edges of the bins of confidence.
    count : array_like of int
        Shape (bins,): answers in each bin.
    confidence, accuracy : array_like of float
        Shape (bins,): their mean confidence and their share of right answers; NaN for an empty bin.
    ece, floor : float
        Calibration error, and what a perfectly calibrated model would have at these rows by chance; written into the
        image.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If the arrays do not fit each other.
    MissingExtraError
        If matplotlib is not installed.
    """
    borders, counts = np.asarray(edges, dtype=float), np.asarray(count)
    mean, right = np.asarray(confidence, dtype=float), np.asarray(accuracy, dtype=float)
    if counts.ndim != 1 or not (len(borders) - 1 == len(counts) == len(mean) == len(right)) or counts.sum() == 0:
        raise InputError(
            f"a reliability diagram needs bins with answers, their edges one more, but got {describe(borders)} and "
            f"{describe(counts)}"
        )
    figure = new_figure(5, 6.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    full = counts > 0
    left, width = borders[:-1][full], np.diff(borders)[full]
    upper.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle="--", label="perfectly calibrated")
    upper.bar(left, right[full], width, align="edge", color="#56B4E9", edgecolor="white", label="right answers")
    middle = left + width / 2
    upper.errorbar(middle, right[full], _wilson(right[full], counts[full]), fmt="none", ecolor="#333333", elinewidth=1)
    upper.plot(middle, mean[full], "o", color="#D55E00", ms=5, label="mean confidence")
    lower.bar(left, counts[full], width, align="edge", color="#BBBBBB", edgecolor="white")
    lower.set_ylabel("answers")
    lower.set_xlabel("confidence")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right answers")
    figure.suptitle(f"ECE {ece:.4f}; {floor:.4f} is to expect by chance at perfect calibration", fontsize=10)
    upper.legend(loc="upper left", frameon=False, fontsize=9)
    plain(upper)
    plain(lower)
    return to_png(figure)


def _wilson(share: Any, n: Any) -> Any:
    """Return how far the 95 % interval of a share reaches below and above it (Wilson 1927), shape (2, bins)."""
    z = 1.96
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(0, np.stack([share - (center - half), center + half - share]))


def compare_runs(series: Mapping[str, Sequence[tuple[int, float]]], metric: str) -> bytes:
    """Draw one metric of several runs over their epochs.

    Parameters
    ----------
    series : mapping of str to sequence of (int, float)
        Epochs and values of each run; a run may have none yet.
    metric : str
        What is shown, such as ``"val_fer7_accuracy"``.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If no run has a value.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not any(series.values()):
        raise InputError(f"a chart of {metric} needs a run that has it, but none of {len(series)} does")
    figure = new_figure(8, 4.6)
    axes = figure.add_subplot()
    axes.set_title(shown(metric), fontsize=11, parse_math=False)
    entries = []
    for number, (name, points) in enumerate(series.items()):
        if not points:
            continue
        epochs, values = zip(*points, strict=True)
        style = _DASHES[number // len(LINES) % len(_DASHES)]
        (line,) = axes.plot(
            epochs, values, style, color=LINES[number % len(LINES)], marker="o" if len(epochs) < 20 else "", ms=3
        )
        entries.append((line, name))
    epochs_axis(axes, [epoch for points in series.values() for epoch, _ in points])
    axes.set_xlabel("epoch")
    legend(figure, entries, loc="outside right upper", ncols=1)
    return to_png(figure)


def bars(rows: Sequence[tuple[str, float, float | None, float | None]], *, title: str) -> bytes:
    """Draw shares with their intervals as horizontal bars; emotions in their own colors.

    Parameters
    ----------
    rows : sequence of (str, float, float or None, float or None)
        Name, share, and lower and upper end of its interval where it has one; all from 0 to 1.
    title : str
        What is shown.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If there is no row.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not rows:
        raise InputError("a chart of bars needs at least one row, but got none")
    figure = new_figure(7, 1 + 0.34 * len(rows))
    axes = figure.add_subplot()
    axes.set_title(shown(title), fontsize=11, parse_math=False)
    for place, (name, value, low, high) in enumerate(rows):
        color = "#{:02x}{:02x}{:02x}".format(*COLORS[name]) if name in COLORS else "#56B4E9"
        axes.barh(place, 100 * value, height=0.7, color=color)
        end = 100 * value
        if low is not None and high is not None:
            axes.plot([100 * low, 100 * high], [place, place], color="#222222", linewidth=1.4, marker="|", ms=7)
            end = 100 * high
        axes.text(end + 1, place, f"{100 * value:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [shown(row[0]) for row in rows], parse_math=False)
    axes.set(xlim=(0, 108), ylim=(len(rows) - 0.4, -0.6), xlabel="%")
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    plain(axes, grid="x")
    return to_png(figure)


def _matrix(matrix: ArrayLike, labels: Sequence[str]) -> Any:
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)) or not np.issubdtype(counts.dtype, np.integer) or counts.size == 0:
        raise InputError(
            f"a confusion matrix must be integers of shape ({len(labels)}, {len(labels)}), but got {describe(counts)}"
        )
    return counts


def _matrix_side(labels: Sequence[str]) -> float:
    # Half an inch a cell, and room for the longest name beside them.
    return 1 + 0.5 * len(labels) + 0.08 * min(LONGEST, max(map(len, labels)))
