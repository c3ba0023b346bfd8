"""Charts as PNG: training curves, confusion matrices, reliability diagrams, comparisons.

Drawn with matplotlib's Figure objects alone: nothing is registered with ``pyplot``, no back end is chosen and no global
setting is touched, so that a notebook that imports mien keeps its own.  The same input gives the same bytes (with the
same matplotlib and fonts).  Names are shown as they are: a ``$`` in one is no formula, and signs that the font lacks
become boxes.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mien._checks import describe
from mien._extras import import_extra
from mien.errors import InputError
from mien.output.canvas import COLORS, RGB, to_hex
from mien.output.summary import tick_label, tick_step, tick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GRAY",
    "Point",
    "bars",
    "compare_runs",
    "confusion_pair",
    "confusion_pairs",
    "curves",
    "emotion_patches",
    "legend",
    "name_to_draw",
    "new_figure",
    "noise_curves",
    "reliability",
    "time_axis",
    "to_png",
]

_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
"""Okabe and Ito's colors (see `mien.output.canvas`) with wine, in the order of most contrast on white."""

GRAY = "#666666"
"""For what is not data: 5.7:1 on white."""

_DPI = 110

_MAX_LETTERS = 33
"""Letters of a name that are drawn."""

_DASHES = ("-", "--", ":", "-.")
"""Past eight lines the colors come again, dashed otherwise."""

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

Point = tuple[float, float, float | None, float | None]
"""Ratio in dB, share, and lower and upper end of its interval where it has one."""


# --- predictions ----------------------------------------------------------------------------------------------------


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
                axes.set_title(f"{name_to_draw(title)}: {axes.get_title()}", fontsize=11, parse_math=False)
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
    names = [name_to_draw(label) for label in labels]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(places, names, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("% of each true class" if normalized else unit, fontsize=11)
    for spine in axes.spines.values():
        spine.set_visible(False)


def reliability(
    *, edges: ArrayLike, count: ArrayLike, confidence: ArrayLike, accuracy: ArrayLike, ece: float, floor: float
) -> bytes:
    """Draw a reliability diagram: how often predictions of a confidence are correct, and how many there are.

    Parameters
    ----------
    edges : array_like of float
        Shape (bins + 1,): edges of the bins of confidence.
    count : array_like of int
        Shape (bins,): predictions in each bin.
    confidence, accuracy : array_like of float
        Shape (bins,): their mean confidence and their accuracy; NaN for an empty bin.
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
            f"a reliability diagram needs bins with predictions, their edges one more, but got {describe(borders)} and "
            f"{describe(counts)}"
        )
    figure = new_figure(5, 6.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    full = counts > 0
    left, width = borders[:-1][full], np.diff(borders)[full]
    upper.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle="--", label="perfectly calibrated")
    upper.bar(left, right[full], width, align="edge", color="#56B4E9", edgecolor="white", label="correct")
    middle = left + width / 2
    upper.errorbar(middle, right[full], _wilson(right[full], counts[full]), fmt="none", ecolor="#333333", elinewidth=1)
    upper.plot(middle, mean[full], "o", color="#D55E00", ms=5, label="mean confidence")
    lower.bar(left, counts[full], width, align="edge", color="#BBBBBB", edgecolor="white")
    lower.set_ylabel("predictions")
    lower.set_xlabel("confidence")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    figure.suptitle(f"ECE {ece:.4f}; {floor:.4f} is to expect by chance at perfect calibration", fontsize=10)
    upper.legend(loc="upper left", frameon=False, fontsize=9)
    _style_axes(upper)
    _style_axes(lower)
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
        Its name, such as ``"val_fer7_accuracy"``.

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
    axes.set_title(name_to_draw(metric), fontsize=11, parse_math=False)
    entries = []
    for number, (name, points) in enumerate(series.items()):
        if not points:
            continue
        epochs, values = zip(*points, strict=True)
        style = _DASHES[number // len(_LINES) % len(_DASHES)]
        (line,) = axes.plot(
            epochs, values, style, color=_LINES[number % len(_LINES)], marker="o" if len(epochs) < 20 else "", ms=3
        )
        entries.append((line, name))
    _epochs_axis(axes, [epoch for points in series.values() for epoch, _ in points])
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
        Stands above the bars.

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
    axes.set_title(name_to_draw(title), fontsize=11, parse_math=False)
    for place, (name, value, low, high) in enumerate(rows):
        color = to_hex(COLORS[name]) if name in COLORS else "#56B4E9"
        axes.barh(place, 100 * value, height=0.7, color=color)
        end = 100 * value
        if low is not None and high is not None:
            axes.plot([100 * low, 100 * high], [place, place], color="#222222", linewidth=1.4, marker="|", ms=7)
            end = 100 * high
        axes.text(end + 1, place, f"{100 * value:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [name_to_draw(row[0]) for row in rows], parse_math=False)
    axes.set(xlim=(0, 108), ylim=(len(rows) - 0.4, -0.6), xlabel="%")
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    _style_axes(axes, grid="x")
    return to_png(figure)


def _matrix(matrix: ArrayLike, labels: Sequence[str]) -> Any:
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)) or not np.issubdtype(counts.dtype, np.integer) or counts.size == 0:
        raise InputError(
            f"a confusion matrix must be integers of shape ({len(labels)}, {len(labels)}), but got {describe(counts)}"
        )
    return counts


def _matrix_side(labels: Sequence[str]) -> float:
    # Half an inch a cell, and space for the longest name beside them.
    return 1 + 0.5 * len(labels) + 0.08 * min(_MAX_LETTERS, max(map(len, labels)))


# --- training runs --------------------------------------------------------------------------------------------------


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
    epochs = _read_column(history, "epoch")
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
        _epochs_axis(axes, epochs)
    figure.supxlabel("epoch", fontsize=10)
    _curves_legend(figure, lines, heads, best)
    return to_png(figure)


def _lines_of(
    history: Sequence[Mapping[str, str]], metric: str, heads: Sequence[str]
) -> list[tuple[str, str, list[float]]]:
    """Return the lines of one panel as (color, style, values): those of which a value is known."""
    columns = []
    for side, style in (("train", "--"), ("val", "-")):
        if metric == "loss":
            columns.append((GRAY if len(heads) > 1 else _LINES[0], style, f"{side}_loss"))
        else:
            columns += [(_LINES[i % len(_LINES)], style, f"{side}_{head}_{metric}") for i, head in enumerate(heads)]
    lines = [(color, style, _read_column(history, name)) for color, style, name in columns]
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
        entries += [(line([], [], color=_LINES[i % len(_LINES)], linewidth=4), head) for i, head in enumerate(heads)]
        entries.append((line([], [], color=GRAY, linewidth=4), "all heads together"))
    legend(figure, entries, loc="outside upper center", ncols=len(entries))


def _read_column(history: Sequence[Mapping[str, str]], name: str) -> list[float]:
    return [_number(row.get(name)) for row in history]


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        raise InputError(f"a history must hold numbers, but got {text!r}") from None


def _best_epoch(history: Sequence[Mapping[str, str]]) -> float | None:
    known = [
        (score, -epoch)
        for score, epoch in zip(_read_column(history, "val_score"), _read_column(history, "epoch"), strict=True)
        if math.isfinite(score)
    ]
    return -max(known)[1] if known else None


def noise_curves(kinds: Mapping[str, Sequence[Point]], *, clean: float | None = None) -> bytes:
    """Draw UAR over the ratio of speech to noise, a line each kind of noise, with 95 % intervals.

    Parameters
    ----------
    kinds : mapping of str to sequence of (float, float, float or None, float or None)
        By the name of the noise, in any order: ratio in dB, UAR, and lower and upper end of its interval where it has
        one; all but the ratio from 0 to 1.
    clean : float, optional
        UAR without noise, a dashed line across.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    InputError
        If there is nothing to draw.
    MissingExtraError
        If matplotlib is not installed.
    """
    if clean is None and not any(kinds.values()):
        raise InputError("a chart of noise needs at least one figure, but got none")
    figure = new_figure(6.4, 4.4)
    axes = figure.add_subplot()
    entries = []
    for number, (kind, some) in enumerate(kinds.items()):
        points = sorted(some, key=lambda point: point[0])
        color = _LINES[number % len(_LINES)]
        places, shares = [point[0] for point in points], [100 * point[1] for point in points]
        (line,) = axes.plot(places, shares, color=color, marker="o", ms=4)
        ends = [
            (place, 100 * low, 100 * high) for place, _, low, high in points if low is not None and high is not None
        ]
        if ends:
            where, lows, highs = zip(*ends, strict=True)
            axes.fill_between(where, lows, highs, color=color, alpha=0.15, linewidth=0)
        entries.append((line, kind))
    if clean is not None:
        entries.append((axes.axhline(100 * clean, color=GRAY, linewidth=1.2, linestyle="--"), "clean"))
    axes.set(ylim=(0, 100), xlabel="speech to noise in dB", ylabel="UAR in %")
    axes.set_title("UAR in noise, with 95 % intervals", fontsize=11)
    axes.set_xticks(sorted({point[0] for points in kinds.values() for point in points}))
    _style_axes(axes)
    legend(figure, entries, loc="outside right upper", ncols=1)
    return to_png(figure)


# --- figures --------------------------------------------------------------------------------------------------------


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, white and with its own canvas."""
    figure: Figure = import_extra("matplotlib.figure", extra="plot", purpose="drawing charts").Figure(
        figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white"
    )
    import_extra("matplotlib.backends.backend_agg", extra="plot", purpose="drawing charts").FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    stream = io.BytesIO()
    # Without the program's version in the file: the same chart is the same bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _style_axes(axes: Axes, *, grid: str = "both") -> None:
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis=grid, color="#E3E3E3", linewidth=0.7)  # type: ignore[arg-type]
    axes.tick_params(labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _epochs_axis(axes: Axes, epochs: Sequence[float]) -> None:
    """Let an axis show whole epochs."""
    ticker = import_extra("matplotlib.ticker", extra="plot", purpose="drawing charts")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(nbins=6))
    low, high = min(epochs), max(epochs)
    margin = max(1.0 if low == high else 0.5, 0.03 * (high - low))
    axes.set_xlim(low - margin, high + margin)
    _style_axes(axes)


def legend(
    figure: Figure,
    entries: Sequence[tuple[Any, str]],
    *,
    loc: Literal["outside upper center", "outside right upper"],
    ncols: int,
) -> None:
    """Place (handle, name) entries outside the axes, names drawn as they are."""
    if not entries:
        return
    # matplotlib leaves out names that begin with an underscore: the names are set afterwards.
    holders = [str(i) for i in range(len(entries))]
    placed = figure.legend([handle for handle, _ in entries], holders, loc=loc, ncols=ncols, frameon=False, fontsize=9)
    for text, (_, name) in zip(placed.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(name_to_draw(name))


def emotion_patches(emotions: Sequence[str], others: Mapping[str, RGB]) -> list[tuple[Any, str]]:
    """Return a patch of its color and the name of each emotion, and of what else has a color, for `legend`."""
    patches = import_extra("matplotlib.patches", extra="plot", purpose="drawing charts")
    colors = {**{name: COLORS[name] for name in emotions}, **others}
    return [
        (patches.Patch(facecolor=tuple(v / 255 for v in color), edgecolor=GRAY, linewidth=0.5), name)
        for name, color in colors.items()
    ]


def time_axis(rows: Sequence[Axes], start_s: float, end_s: float, *, as_minutes: bool = False) -> None:
    """Let all rows share one axis of time, written as people read it, below the last.

    Parameters
    ----------
    rows : sequence of Axes
        From above.
    start_s, end_s : float
        Limits of the axis.
    as_minutes : bool
        Whether a short time is minutes and seconds as well, as in videos.
    """
    ticker = import_extra("matplotlib.ticker", extra="plot", purpose="drawing charts")
    step = tick_step(end_s - start_s)
    rows[0].set_xlim(start_s, end_s)
    for axes in rows:
        axes.tick_params(labelsize=9, labelbottom=axes is rows[-1], bottom=axes is rows[-1])
        axes.xaxis.set_major_locator(ticker.MultipleLocator(step))
        for side in axes.spines.values():
            side.set_color("#AAAAAA")
    last = rows[-1]
    last.xaxis.set_major_formatter(
        ticker.FuncFormatter(lambda value, _: tick_label(value, end_s, step, as_minutes=as_minutes))
    )
    last.set_xlabel(f"time, {tick_unit(end_s, as_minutes=as_minutes)}", fontsize=9)


def name_to_draw(text: str) -> str:
    """Return a name as it can be drawn: signs that the font lacks become boxes, the middle of a long name is cut."""
    known = _signs()
    drawn = "".join(sign if sign.isprintable() and ord(sign) in known else "\N{WHITE SQUARE}" for sign in text)
    if len(drawn) <= _MAX_LETTERS:
        return drawn
    # Names of runs often differ at one end only: both stay.
    half = (_MAX_LETTERS - 1) // 2
    return f"{drawn[:half]}\N{HORIZONTAL ELLIPSIS}{drawn[-half:]}"


@functools.cache
def _signs() -> frozenset[int]:
    """Return the code points that the default font has."""
    fonts = import_extra("matplotlib.font_manager", extra="plot", purpose="drawing charts")
    return frozenset(fonts.get_font(fonts.findfont(fonts.FontProperties())).get_charmap())
