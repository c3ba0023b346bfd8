"""Curves of a training run: every epoch's loss and metrics, training against validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mien._extras import import_extra
from mien.errors import InputError
from mien.output._chart import GRAY, LINES, epochs_axis, legend, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves"]

_TITLES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "uar": "UAR",
    "macro_f1": "macro F1",
    "binary_accuracy": "binary accuracy",
    "precision": "precision",
    "recall": "recall",
    "auc": "AUC",
}


def curves(history: Sequence[Mapping[str, str]], heads: Sequence[str]) -> bytes:
    """Draw training against validation: the loss and each metric, one panel each, over the epochs.

    Parameters
    ----------
    history : sequence of mapping
        Rows of a run's ``history.csv``, as text: ``epoch``, ``train_loss``, ``val_loss``, and ``train_H_M`` and
        ``val_H_M`` for heads H and metrics M.  Empty cells and missing columns leave a gap, or no line.  Where there
        is a ``val_score``, its best epoch is marked.
    heads : sequence of str
        Names of the heads; each has its color.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If there is no epoch, or no column to draw.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not history:
        raise InputError("curves need at least one epoch, but the history has none")
    lines = {m: lines for m in _TITLES if (lines := _lines_of(history, m, heads))}
    if not lines:
        raise InputError(f"curves need columns such as val_loss, but the history has {', '.join(history[0])}")
    across = min(4, len(lines))
    down = math.ceil(len(lines) / across)
    figure = new_figure(3.5 * across, 2.7 * down + 0.5)
    epochs = _column(history, "epoch")
    best = _best_epoch(history)
    for place, (metric, drawn) in enumerate(lines.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        axes.set_title(_TITLES[metric], fontsize=11)
        for color, style, values in drawn:
            # A line of one point is invisible: the points of short runs are marked.
            face = color if style == "-" else "white"
            marker = "o" if len(epochs) < 20 else ""
            axes.plot(epochs, values, style, color=color, linewidth=1.6, marker=marker, ms=3.5, mfc=face)
        if best is not None:
            axes.axvline(best, color=GRAY, linewidth=0.9, linestyle=":")
        epochs_axis(axes, epochs)
    figure.supxlabel("epoch", fontsize=10)
    _curves_legend(figure, lines, heads, best)
    return to_png(figure)


def _lines_of(
    history: Sequence[Mapping[str, str]], metric: str, heads: Sequence[str]
) -> list[tuple[str, str, list[float]]]:
    """Return the lines of one panel as (color, style, values): those of which a value is known."""
    wanted = []
    for side, style in (("train", "--"), ("val", "-")):
        if metric == "loss":
            wanted.append((GRAY if len(heads) > 1 else LINES[0], style, f"{side}_loss"))
        else:
            wanted += [(LINES[i % len(LINES)], style, f"{side}_{head}_{metric}") for i, head in enumerate(heads)]
    lines = [(color, style, _column(history, name)) for color, style, name in wanted]
    return [line for line in lines if any(map(math.isfinite, line[2]))]


def _curves_legend(
    figure: Figure, lines: Mapping[str, list[tuple[str, str, list[float]]]], heads: Sequence[str], best: float | None
) -> None:
    line = import_extra("matplotlib.lines", extra="plot", purpose="drawing charts").Line2D
    used = {style for drawn in lines.values() for _, style, _ in drawn}
    entries = [(line([], [], color="#333333", linestyle="-", linewidth=1.6), "validation")] if "-" in used else []
    if "--" in used:
        entries.append((line([], [], color="#333333", linestyle="--", linewidth=1.6), "training"))
    if best is not None:
        label = f"best on validation: epoch {best:.0f}"
        entries.append((line([], [], color=GRAY, linestyle=":", linewidth=1), label))
    if len(heads) > 1:
        entries += [(line([], [], color=LINES[i % len(LINES)], linewidth=4), head) for i, head in enumerate(heads)]
        entries.append((line([], [], color=GRAY, linewidth=4), "all heads together"))
    legend(figure, entries, loc="outside upper center", ncols=len(entries))


def _column(history: Sequence[Mapping[str, str]], name: str) -> list[float]:
    return [_number(row.get(name)) for row in history]


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        raise InputError(f"a history must hold numbers, but got {text!r}") from None


def _best_epoch(history: Sequence[Mapping[str, str]]) -> float | None:
    known = [
        (score, -epoch)
        for score, epoch in zip(_column(history, "val_score"), _column(history, "epoch"), strict=True)
        if math.isfinite(score)
    ]
    return -max(known)[1] if known else None
