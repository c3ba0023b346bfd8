"""Times and lengths as people read them."""

from __future__ import annotations

__all__ = ["CLOCK_FROM_S", "clock", "length", "minutes", "tick_label", "tick_step", "tick_unit"]

CLOCK_FROM_S = 180.0
"""From three minutes on, lengths have minutes, and tenths of a second say nothing in a list of times."""

_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


def clock(seconds: float, duration_s: float) -> str:
    """Return a time in a recording: ``2.35`` in a short one, ``1:02:03.4`` in a long one."""
    return f"{seconds:.2f}" if duration_s < CLOCK_FROM_S else _clock(seconds, duration_s, tenths=True)


def minutes(seconds: float, duration_s: float) -> str:
    """Return a time in a video: ``0:03.4`` in a short one, ``12:05`` or ``1:02:05`` in a long one."""
    return _clock(seconds, duration_s, tenths=duration_s < CLOCK_FROM_S)


def length(seconds: float) -> str:
    """Return a length in words: ``9.6 s``, ``4 min 0 s``, ``1 h 6 min 40 s``."""
    if seconds < CLOCK_FROM_S:
        return f"{seconds:.1f} s"
    whole, rest = divmod(round(seconds), 60)
    return f"{whole} min {rest} s" if whole < 60 else f"{whole // 60} h {whole % 60} min {rest} s"


def _clock(seconds: float, duration_s: float, *, tenths: bool) -> str:
    # Rounded before it is split, so that 59.97 s becomes 1:00.0.
    parts = 10 if tenths else 1
    units = round(parts * seconds)
    whole, rest = divmod(units, 60 * parts)
    shown = f"{whole // 60}:{whole % 60:02d}" if duration_s >= 3600 else f"{whole}"
    return f"{shown}:{rest // parts:02d}" + (f".{rest % parts}" if tenths else "")


def tick_step(length_s: float, most: int = 13) -> float:
    """Return the round number of seconds from one tick of an axis to the next that gives at most so many."""
    steps = [step for step in _STEPS_S if length_s / step <= most]
    return steps[0] if steps else 3600.0 * max(1, round(length_s / 3600 / most))


def tick_label(seconds: float, end_s: float, step: float, *, as_minutes: bool = False) -> str:
    """Return the time at a tick: ``2.5`` on a short axis (``0:02.5`` as minutes), ``12:30``, ``1:02:30``."""
    if end_s < CLOCK_FROM_S and not as_minutes:
        return f"{seconds:.{0 if step >= 1 else 1 if step >= 0.1 else 2}f}"
    if step < 1:
        digits = 1 if step >= 0.1 else 2
        units = round(seconds * 10**digits)
        whole, rest = divmod(units, 60 * 10**digits)
        return f"{whole}:{rest / 10**digits:0{3 + digits}.{digits}f}"
    return _clock(seconds, end_s, tenths=False)


def tick_unit(end_s: float, *, as_minutes: bool = False) -> str:
    """Return what `tick_label` counts in."""
    if end_s < CLOCK_FROM_S and not as_minutes:
        return "s"
    return "min:s" if end_s < 3600 else "h:min:s"
