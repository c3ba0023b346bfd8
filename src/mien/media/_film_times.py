"""When a frame is shown: exact fractions of a second from the container's ticks, and which frames a sampling takes."""

from __future__ import annotations

import heapq
from fractions import Fraction

__all__ = ["Clock", "Queue", "Sampling", "exact"]

_RESTART = Fraction(1)
"""Times that run back by more than this begin anew (a joined film); by less, they are damaged or doubled."""

_LONGEST_GAP = Fraction(3600)
"""A jump by more than this is damage, as in `mien.media.audio`."""

_LARGEST_TOLERANCE = Fraction(1, 2000)


class Clock:
    """Give frames strictly rising times.

    A frame's time is ``pts * time_base - zero``.  Where there is none, it follows its predecessor after one frame's
    length; where it is not later than its predecessor's, by one tick; where times begin anew or jump by more than an
    hour, they go on as if nothing had happened.

    Parameters
    ----------
    time_base : fractions.Fraction
        Seconds in a tick.
    zero : fractions.Fraction
        Where time zero is.
    length : fractions.Fraction
        How long a frame lasts, where nothing says it.
    """

    def __init__(self, time_base: Fraction, zero: Fraction, length: Fraction) -> None:
        self._base, self._zero, self._length = time_base, zero, length
        self._last: Fraction | None = None
        self._missing = self._doubled = 0
        self._jumps: list[tuple[Fraction, Fraction]] = []

    def time_of(self, pts: int | None) -> Fraction:
        """Return the time of the next frame in seconds."""
        last = self._last
        if pts is None:
            self._missing += 1
            time = Fraction(0) if last is None else last + self._length
        else:
            time = pts * self._base - self._zero
            if last is not None:
                time = self._mended(time, last)
        self._last = time
        return time

    def moved(self) -> None:
        """Forget the last frame: the film was wound to another place."""
        self._last = None

    def _mended(self, time: Fraction, last: Fraction) -> Fraction:
        if time <= last - _RESTART or time > last + _LONGEST_GAP:
            self._jumps.append((last, time - last))
            self._zero += time - last - self._length
            return last + self._length
        if time <= last:
            self._doubled += 1
            return last + min(self._base, self._length)
        return time

    def notes(self) -> list[str]:
        """Return what was odd about the times so far."""
        notes = []
        if self._missing:
            notes.append(f"{self._missing:,} frames have no time; they follow each other at the film's rate")
        if self._doubled:
            notes.append(f"{self._doubled:,} frames are no later than the one before; they are shown just after it")
        if self._jumps:
            at, by = self._jumps[0]
            more = f" (the first of {len(self._jumps)} such places)" if len(self._jumps) > 1 else ""
            notes.append(f"the file's times jump by {float(by):+.1f} s after {float(at):.3f} s{more}; "
                         "they go on here without the jump")  # fmt: skip
        return notes


class Queue:
    """Times for frames in containers that count packets only (AVI).

    Frames come out in the order of time, so the next one takes the earliest of those whose packets went in.
    """

    def __init__(self) -> None:
        self._waiting: list[int] = []

    def push(self, dts: int | None) -> None:
        """Note that a packet goes into the decoder."""
        if dts is not None:
            heapq.heappush(self._waiting, dts)

    def pop(self) -> int | None:
        """Return the time of the next frame."""
        return heapq.heappop(self._waiting) if self._waiting else None


class Sampling:
    """Which frames are wanted: the first at or after each ``from_s + k * step_s`` before ``to_s``.

    Containers round times to their ticks; a frame counts as at a moment when it is within half a tick of it (at most
    half a millisecond).

    Parameters
    ----------
    step_s : float or None
        Seconds between moments; None for every frame.
    from_s, to_s : float, float or None
        The stretch.
    time_base : fractions.Fraction
        Seconds in a tick.
    """

    def __init__(self, step_s: float | None, from_s: float, to_s: float | None, time_base: Fraction) -> None:
        self.begin = exact(from_s)
        self._step = None if step_s is None else exact(step_s)
        self.end = None if to_s is None else exact(to_s)
        self.tolerance = min(time_base / 2, _LARGEST_TOLERANCE)
        self._next = 0

    @property
    def sparse(self) -> bool:
        """Whether not every frame is wanted."""
        return self._step is not None

    @property
    def skips(self) -> bool:
        """Whether some frames are not wanted, before the begin or between moments."""
        return self._step is not None or self.begin > 0

    def wants(self, time: Fraction, before: Fraction) -> bool:
        """Whether a frame is wanted, told from its time and its predecessor's."""
        slot = self.slot(time)
        return slot >= 0 and (self._step is None or slot > self.slot(before))

    def slot(self, time: Fraction) -> int:
        """Return the number of moments before or at a time, less one; negative before the first."""
        late = time + self.tolerance - self.begin
        if self._step is None:
            return 0 if late >= 0 else -1
        return late // self._step

    def moment_after(self, time: Fraction) -> Fraction:
        """Return the first moment after a time that lies before the end."""
        return self.begin + (self.slot(time) + 1) * (self._step or Fraction(0))

    def over(self, time: Fraction) -> bool:
        """Whether a time is at the end or later."""
        return self.end is not None and time + self.tolerance >= self.end

    def takes(self, time: Fraction) -> bool:
        """Whether the next frame, of this time, is wanted."""
        slot = self.slot(time)
        if slot < 0:
            return False
        if self._step is None:
            return True
        if slot < self._next:
            return False
        self._next = slot + 1
        return True


def exact(seconds: float) -> Fraction:
    """Return the short fraction that a float was meant to be: 0.2 is 1/5, and 1001 / 30000 is just that."""
    return Fraction(seconds).limit_denominator(1_000_000)
