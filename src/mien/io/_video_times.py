"""When a frame is displayed: exact fractions of a second from the container's ticks, and which frames are sampled."""

from __future__ import annotations

import heapq
from fractions import Fraction

from mien._checks import count_of

__all__ = ["Clock", "FrameSampling", "LostFrameCounter", "ReorderQueue"]

_RESTART = Fraction(1)
"""Times that run back by more than this begin anew (a joined video); by less, they are damaged or doubled."""

_LONGEST_GAP = Fraction(3600)
"""A jump by more than this is damage, as in `mien.io.audio`."""

_REMEMBERED = 32
"""Lost frames that may yet come: decoders hold back half as many."""

_NEXT = Fraction(1, 64)
"""The part of a tick by which a frame with the time of the one before follows it."""

_GAP = Fraction(1, 2)
"""A frame that lasts longer, and longer than four frames, is a gap: a part may be missing."""

_LARGEST_TOLERANCE = Fraction(1, 2000)


class Clock:
    """Give frames strictly rising times, and keep account of gaps.

    A frame's time is ``pts * time_base - zero``.  Where there is none, it follows its predecessor after one frame's
    length; where it is not later than its predecessor's, after a part of a tick; where times begin anew or jump by more
    than an hour, they go on as if nothing had happened.

    Parameters
    ----------
    time_base : fractions.Fraction
        Seconds in a tick.
    zero : fractions.Fraction
        Where time zero is.
    length : fractions.Fraction
        How long a frame lasts by the header; updated by what the video shows.
    """

    def __init__(self, time_base: Fraction, zero: Fraction, length: Fraction) -> None:
        self._base, self._zero = time_base, zero
        self.length = length
        self._last: Fraction | None = None
        self._untimed = self._doubled = 0
        self.jumps = self._gaps = 0
        self._gap_from = max(_GAP, 4 * length)
        self._missing = Fraction(0)
        self._first_jump = self._first_gap = (Fraction(0), Fraction(0))

    def time_of(self, pts: int | None) -> Fraction:
        """Return the time of the next frame in seconds."""
        last = self._last
        if pts is None:
            self._untimed += 1
            time = Fraction(0) if last is None else last + self.length
        else:
            time = pts * self._base - self._zero
            if last is not None:
                time = self._repair(time, last)
        self._last = time
        return time

    def reset(self) -> None:
        """Forget the last frame: the video was seeked."""
        self._last = None

    def _repair(self, time: Fraction, last: Fraction) -> Fraction:
        if time <= last - _RESTART or time > last + _LONGEST_GAP:
            self._first_jump = self._first_jump if self.jumps else (last, time - last)
            self.jumps += 1
            self._zero += time - last - self.length
            return last + self.length
        if time <= last:
            self._doubled += 1
            return last + min(self._base, self.length) * _NEXT
        if time - last > self._gap_from:
            self._first_gap = self._first_gap if self._gaps else (last, time)
            self._gaps += 1
            self._missing += time - last
        else:
            self.length = time - last
        return time

    def warnings(self) -> list[str]:
        """Return what was odd about the times so far."""
        found = []
        if self._untimed:
            frames = count_of(self._untimed, "frame")
            found.append(f"{frames} without a time: shown one after the other at the video's rate")
        if self._doubled:
            found.append(f"{count_of(self._doubled, 'frame')} no later than the one before: shown just after it")
        if self.jumps:
            at, by = self._first_jump
            more = f" (the first of {self.jumps:,} such places)" if self.jumps > 1 else ""
            found.append(f"the file's times jump by {float(by):+.1f} s after {float(at):.3f} s{more}; "
                         "they go on here without the jump")  # fmt: skip
        if self._gaps:
            begin, end = map(float, self._first_gap)
            more = f"; {self._gaps:,} such gaps take {float(self._missing):.1f} s" if self._gaps > 1 else ""
            found.append(f"no new image comes between {begin:.2f} and {end:.2f} s{more}")
        return found


class LostFrameCounter:
    """Count the packets that gave no frame.

    Frames come out in the order of their times: one that has not come out when a later one does was lost.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, bool]] = []
        self._missed: set[int] = set()
        self._last: int | None = None
        self._counts = True

    def push(self, pts: int, dts: int | None, key: bool) -> None:
        """Note that a packet, maybe of a key frame, goes into the decoder."""
        if self._last is not None and dts is not None and dts < self._last:  # times start over: nothing is known
            self._waiting.clear()
            self._missed.clear()
        self._last = dts
        heapq.heappush(self._waiting, (pts, key))

    def pop(self, pts: int) -> tuple[int, bool]:
        """Note that a frame came out; return how many before it did not, and whether a key frame is among them."""
        if pts in self._missed:  # a damaged video's order is not always kept
            self._missed.discard(pts)
            return -1, False
        passed = []
        while self._waiting and self._waiting[0][0] <= pts:
            passed.append(heapq.heappop(self._waiting))
        counted, self._counts = self._counts, True
        lost = [one for one in passed if one[0] < pts and counted]
        if not lost:
            return 0, False
        self._missed = set(sorted(self._missed.union(time for time, _ in lost))[-_REMEMBERED:])
        return len(lost), any(key for _, key in lost)

    def reset(self) -> None:
        """Begin anew at a key frame: images before it that refer to what was left out are rightly dropped."""
        self._waiting.clear()
        self._missed.clear()
        self._last, self._counts = None, False

    def close(self) -> int:
        """Return how many did not come out to the end, and forget them."""
        lost = len(self._waiting)
        self._waiting.clear()
        return lost


class ReorderQueue:
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


class FrameSampling:
    """Which frames are sampled: the first at or after each ``from_s + k * step_s`` before ``to_s``.

    Containers round times to their ticks; a frame counts as at a sample time when it is within half a tick of it (at
    most half a millisecond).

    Parameters
    ----------
    step_s : float or None
        Seconds between sample times; None for every frame.
    from_s, to_s : float, float or None
        The stretch.
    time_base : fractions.Fraction
        Seconds in a tick.
    """

    def __init__(self, step_s: float | None, from_s: float, to_s: float | None, time_base: Fraction) -> None:
        self.begin = _to_fraction(from_s)
        self._step = None if step_s is None else _to_fraction(step_s)
        self.end = None if to_s is None else _to_fraction(to_s)
        self.tolerance = min(time_base / 2, _LARGEST_TOLERANCE)
        self._next = 0

    @property
    def is_sparse(self) -> bool:
        """Whether not every frame is sampled."""
        return self._step is not None

    @property
    def skips_frames(self) -> bool:
        """Whether some frames are not sampled, before the beginning or between sample times."""
        return self._step is not None or self.begin > 0

    def needs(self, time: Fraction, before: Fraction) -> bool:
        """Whether a frame is sampled, by its time and its predecessor's."""
        slot = self.slot(time)
        return slot >= 0 and (self._step is None or slot > self.slot(before))

    def slot(self, time: Fraction) -> int:
        """Return the number of sample times before or at a time, less one; negative before the first."""
        late = time + self.tolerance - self.begin
        if self._step is None:
            return 0 if late >= 0 else -1
        return late // self._step

    def next_after(self, time: Fraction) -> Fraction:
        """Return the first sample time after a time."""
        return self.begin + (self.slot(time) + 1) * (self._step or Fraction(0))

    def is_over(self, time: Fraction) -> bool:
        """Whether a time is at the end or later."""
        return self.end is not None and time + self.tolerance >= self.end

    def takes(self, time: Fraction) -> bool:
        """Whether the next frame, of this time, is sampled."""
        slot = self.slot(time)
        if slot < 0:
            return False
        if self._step is None:
            return True
        if slot < self._next:
            return False
        self._next = slot + 1
        return True


def _to_fraction(seconds: float) -> Fraction:
    """Return the short fraction that a float was meant to be: 0.2 is 1/5, and 1001 / 30000 is just that."""
    return Fraction(seconds).limit_denominator(1_000_000)
