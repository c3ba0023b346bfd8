"""The ground that charts are drawn on: figures of matplotlib without ``pyplot``, axes, legends, names as they are."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mien._extras import import_extra
from mien.output._times import tick_label, tick_step, tick_unit
from mien.output.palette import COLORS, RGB

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GRAY",
    "LINES",
    "LONGEST",
    "emotion_patches",
    "epochs_axis",
    "legend",
    "new_figure",
    "plain",
    "shown",
    "time_axis",
    "to_png",
]

LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
"""Okabe and Ito's colors (see `mien.output.palette`) with wine, in the order of most contrast on white."""

GRAY = "#666666"
"""For what is not data: 5.7:1 on white."""

_DPI = 110

LONGEST = 33
"""Letters of a name that are shown."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, white and with its own canvas."""
    figure: Figure = import_extra("matplotlib.figure", extra="plot", purpose="drawing charts").Figure(
        figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white"
    )
    import_extra("matplotlib.backends.backend_agg", extra="plot", purpose="drawing charts").FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # Without the program's version in the file: the same chart is the same bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def plain(axes: Axes, *, grid: str = "both") -> None:
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis=grid, color="#E3E3E3", linewidth=0.7)  # type: ignore[arg-type]
    axes.tick_params(labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def epochs_axis(axes: Axes, epochs: Sequence[float]) -> None:
    """Let an axis show whole epochs."""
    ticker = import_extra("matplotlib.ticker", extra="plot", purpose="drawing charts")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(nbins=6))
    low, high = min(epochs), max(epochs)
    room = max(1.0 if low == high else 0.5, 0.03 * (high - low))
    axes.set_xlim(low - room, high + room)
    plain(axes)


def legend(
    figure: Figure,
    entries: Sequence[tuple[Any, str]],
    *,
    loc: Literal["outside upper center", "outside right upper"],
    ncols: int,
) -> None:
    if not entries:
        return
    # matplotlib leaves out names that begin with an underscore: the names are set afterwards.
    holders = [str(i) for i in range(len(entries))]
    placed = figure.legend([handle for handle, _ in entries], holders, loc=loc, ncols=ncols, frameon=False, fontsize=9)
    for text, (_, name) in zip(placed.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(shown(name))


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
        What is shown.
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


def shown(text: str) -> str:
    """Return a name as it can be drawn: signs that the font lacks become boxes, the middle of a long name is cut."""
    known = _signs()
    drawn = "".join(sign if sign.isprintable() and ord(sign) in known else "\N{WHITE SQUARE}" for sign in text)
    if len(drawn) <= LONGEST:
        return drawn
    # Names of runs often differ at one end only: both stay.
    half = (LONGEST - 1) // 2
    return f"{drawn[:half]}\N{HORIZONTAL ELLIPSIS}{drawn[-half:]}"


@functools.cache
def _signs() -> frozenset[int]:
    """Return the code points that the default font has."""
    fonts = import_extra("matplotlib.font_manager", extra="plot", purpose="drawing charts")
    return frozenset(fonts.get_font(fonts.findfont(fonts.FontProperties())).get_charmap())
