"""Bands over time as SVG, drawn by hand: stacked areas, ribbons, marks and axes that stretch with the page.

Shapes lie in inner drawings that stretch; words and marks lie beside them at percents of the width, so that they keep
their form on a telephone and on a wide screen.  Colors are classes, one an emotion, for the page's style to set.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.output._bands import Band
from mien.output._times import minutes, tick_label, tick_step

__all__ = ["COLUMNS", "axis", "band_image", "columns_for", "share_bar"]

COLUMNS = (120, 600)
"""Fewest and most columns of a band: a crowd gets fewer, so that a page does not grow with it."""

_ALL_COLUMNS = 9000
"""Of all bands of a page together."""

_HEIGHT = 100
"""Steps of a band's height: finer than its pixels."""

_MARKS_PX, _RIBBON_PX = 14, 9
"""What is above the shares, and below."""

_MOST_CUTS = 60
_TICKS = (12, 4)
"""Ticks of the axis on a wide page, and on a narrow one."""


def columns_for(bands: int) -> int:
    """Return how many columns each of so many bands has."""
    low, high = COLUMNS
    return int(min(max(_ALL_COLUMNS // max(bands, 1), low), high))


def band_image(
    band: Band, segment_s: tuple[float, float], *, columns: int, height: int, told: str, cuts: Sequence[float]
) -> str:
    """Return a band as an SVG element.

    Parameters
    ----------
    band : Band
        What is drawn.
    segment_s : (float, float)
        Start and end of the axis, in seconds.
    columns : int
        How finely time is parted.
    height : int
        Of the stacked shares, in pixels; marks and the ribbon come above and below.
    told : str
        What the image shows, in words.
    cuts : sequence of float
        Where scenes begin; many are left out.
    """
    edges = np.linspace(*segment_s, columns + 1)
    shares, led = band.columns(edges), band.leading(edges)
    ribbon = _MARKS_PX + height + 3
    lines = [
        f'<line class="cut" x1="{place}" x2="{place}" y1="{_MARKS_PX}" y2="{ribbon + _RIBBON_PX}"/>'
        for place in (_percent(cut, segment_s) for cut in (cuts if len(cuts) <= _MOST_CUTS else ()))
    ]
    return "".join(
        [
            f'<svg class="band" role="img" height="{ribbon + _RIBBON_PX + 2}" aria-label="{html.escape(told)}" '
            f'data-names="{" ".join(band.labels.emotions)}" data-led="{_letters(led)}" '
            f'data-away="{html.escape(band.away)}">',
            _stretched(columns, _MARKS_PX, height, "".join(_areas(band, shares, edges))),
            _stretched(columns, ribbon, _RIBBON_PX, "".join(_ribbon(band, led, edges, segment_s[1]))),
            *lines,
            *(_mark(moment.time_s, moment.emotion, moment.probability, segment_s) for moment in band.moments),
            "</svg>",
        ]
    )


def _stretched(columns: int, top: int, height: int, shapes: str) -> str:
    return (
        f'<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 {2 * columns} {_HEIGHT}" '
        f'preserveAspectRatio="none"><rect class="away" width="100%" height="100%"/>{shapes}</svg>'
    )


def _areas(band: Band, shares: NDArray[np.float64], edges: NDArray[np.float64]) -> list[str]:
    """Return a path an emotion that reaches from the ground to where its share ends, the highest behind."""
    tops = np.rint(_HEIGHT * (1 - np.minimum(np.cumsum(shares, axis=1), 1))).astype(int)
    runs = band.runs(edges)
    paths = []
    for number in reversed(range(len(band.labels))):
        below = tops[:, number - 1] if number else np.full(len(tops), _HEIGHT)
        steps = "".join(_outline(tops[a:b, number], a) for a, b in runs if (tops[a:b, number] < below[a:b]).any())
        if steps:
            paths.append(f'<path class="e {band.labels.emotions[number]}" d="{steps}"/>')
    return paths


def _outline(tops: NDArray[np.int64], first: int) -> str:
    """Return the outline of a run of columns, each two units wide, through the middles of their upper edges."""
    moves = [(1, 0), *((2, int(step)) for step in np.diff(tops)), (1, 0)]
    joined: list[tuple[int, int]] = []
    for across, down in moves:
        # Level pieces become one.
        if joined and down == 0 == joined[-1][1]:
            joined[-1] = (joined[-1][0] + across, 0)
        else:
            joined.append((across, down))
    drawn = "".join(f"h{across}" if down == 0 else f"l{across} {down}" for across, down in joined)
    return f"M{2 * first} {_HEIGHT}V{tops[0]}{drawn}V{_HEIGHT}z"


def _ribbon(band: Band, led: NDArray[np.int64], edges: NDArray[np.float64], end_s: float) -> list[str]:
    """Return a rectangle a stretch with one leading emotion, which says what it is when pointed at."""
    turns = np.flatnonzero(np.diff(led)) + 1
    pieces = []
    for a, b in zip([0, *turns.tolist()], [*turns.tolist(), len(led)], strict=True):
        if led[a] >= 0:
            name = band.labels.emotions[led[a]]
            told = f"{minutes(edges[a], end_s)}\N{EN DASH}{minutes(edges[b], end_s)} {name}"
            shape = f'<rect class="e {name}" x="{2 * a}" width="{2 * (b - a)}" height="{_HEIGHT}">'
            pieces.append(f"{shape}<title>{told}</title></rect>")
    return pieces


def _letters(led: NDArray[np.int64]) -> str:
    """Return a letter a column: which emotion leads, ``a`` for the first, ``-`` for none."""
    return "".join("-" if number < 0 else chr(ord("a") + number) for number in led.tolist())


def _mark(time_s: float, emotion: str, probability: float, segment_s: tuple[float, float]) -> str:
    told = f"{minutes(time_s, segment_s[1])} {emotion} {100 * probability:.0f}%"
    shape = f'<path class="mark {emotion}" d="M-5 2H5L0 11z"><title>{told}</title></path>'
    return f'<svg class="at" x="{_percent(time_s, segment_s)}">{shape}</svg>'


def axis(segment_s: tuple[float, float]) -> str:
    """Return an axis of time as an SVG element: more ticks on wide pages than on narrow ones."""
    parts = []
    for name, most in zip(("wide", "narrow"), _TICKS, strict=True):
        step = tick_step(segment_s[1] - segment_s[0], most)
        first = int(np.ceil(segment_s[0] / step - 1e-9))
        ticks = []
        for number in range(first, int(np.floor(segment_s[1] / step + 1e-9)) + 1):
            at = number * step
            share = (at - segment_s[0]) / (segment_s[1] - segment_s[0])
            # Words at the ends stay within the drawing.
            side = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
            place = _percent(at, segment_s)
            label = tick_label(at, segment_s[1], step, as_minutes=True)
            ticks.append(
                f'<line x1="{place}" x2="{place}" y1="0" y2="5"/><text x="{place}" y="19" class="{side}">{label}</text>'
            )
        parts.append(f'<g class="{name}">{"".join(ticks)}</g>')
    return f'<svg class="axis" aria-hidden="true" height="24">{"".join(parts)}</svg>'


def share_bar(shares: Sequence[tuple[str, float]], told: str) -> str:
    """Return shares of a whole side by side, as an SVG element."""
    pieces, at = [], 0.0
    for name, share in shares:
        title = f"<title>{name} {100 * share:.0f}%</title>"
        pieces.append(
            f'<rect class="e {name}" x="{at:.2f}" width="{100 * share:.2f}" height="{_HEIGHT}">{title}</rect>'
        )
        at += 100 * share
    return (
        f'<svg class="shares" role="img" aria-label="{html.escape(told)}" viewBox="0 0 100 {_HEIGHT}" '
        f'preserveAspectRatio="none"><rect class="away" width="100" height="{_HEIGHT}"/>{"".join(pieces)}</svg>'
    )


def _percent(time_s: float, segment_s: tuple[float, float]) -> str:
    return f"{100 * (time_s - segment_s[0]) / (segment_s[1] - segment_s[0]):.2f}%"
