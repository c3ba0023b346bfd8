"""The noise curve as a chart."""

from __future__ import annotations

from collections.abc import Sequence

from mien.errors import InputError
from mien.evaluation.speech_result import NoiseFigures
from mien.output._chart import GREY, LINES, legend, new_figure, plain, to_png

__all__ = ["noise_chart"]


def noise_chart(figures: Sequence[NoiseFigures]) -> bytes:
    """Draw UAR over the ratio of speech to noise, a line each kind of noise, with 95 % intervals.

    Parameters
    ----------
    figures : sequence of NoiseFigures
        Of `mien.evaluation.noise.noise_curve`; clean is a dashed line across.

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
    if not figures:
        raise InputError("a noise chart needs at least one figure, but got none")
    figure = new_figure(6.4, 4.4)
    axes = figure.add_subplot()
    entries = []
    kinds = list(dict.fromkeys(entry.kind for entry in figures if entry.ratio_db is not None))
    for number, kind in enumerate(kinds):
        points = sorted((e for e in figures if e.kind == kind and e.ratio_db is not None), key=_ratio)
        places = [_ratio(entry) for entry in points]
        colour = LINES[number % len(LINES)]
        (line,) = axes.plot(places, [100 * e.uar for e in points], color=colour, marker="o", ms=4)
        with_ends = [(_ratio(e), e.intervals["uar"]) for e in points if "uar" in e.intervals]
        if with_ends:
            lows, highs = ([100 * getattr(ends, side) for _, ends in with_ends] for side in ("low", "high"))
            axes.fill_between([place for place, _ in with_ends], lows, highs, color=colour, alpha=0.15, linewidth=0)
        entries.append((line, kind))
    for clean in [entry for entry in figures if entry.ratio_db is None]:
        across = axes.axhline(100 * clean.uar, color=GREY, linewidth=1.2, linestyle="--")
        entries.append((across, clean.kind))
    axes.set(ylim=(0, 100), xlabel="speech to noise in dB", ylabel="UAR in %")
    axes.set_title("UAR in noise, with 95 % intervals", fontsize=11)
    axes.set_xticks(sorted({_ratio(entry) for entry in figures if entry.ratio_db is not None}))
    plain(axes)
    legend(figure, entries, loc="outside right upper", ncols=1)
    return to_png(figure)


def _ratio(entry: NoiseFigures) -> float:
    return 0.0 if entry.ratio_db is None else entry.ratio_db
