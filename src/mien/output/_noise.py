"""What is left of a figure in noise, as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien.errors import InputError
from mien.output._chart import GRAY, LINES, legend, new_figure, plain, to_png

__all__ = ["Point", "noise_curves"]

Point = tuple[float, float, float | None, float | None]
"""Ratio in dB, share, and lower and upper end of its interval where it has one."""


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
        color = LINES[number % len(LINES)]
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
    plain(axes)
    legend(figure, entries, loc="outside right upper", ncols=1)
    return to_png(figure)
