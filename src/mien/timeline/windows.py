"""Windows over a stretch of time, and what their answers say about each moment.

Long stretches are answered window by window.  A moment that several windows cover has the mean of their answers, which
is a smoothing over the length of a window; neighbouring moments with the same most probable class become one segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError

__all__ = ["Segment", "Stretch", "merged", "windows"]

Answer = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A piece of time with one answer.

    Parameters
    ----------
    start, end : int
        [start, end) in samples (or any other unit of time).
    answer : numpy.ndarray
        float64 (k,): a distribution.
    """

    start: int
    end: int
    answer: Answer

    @property
    def length(self) -> int:
        """How long it is."""
        return self.end - self.start


def windows(start: int, end: int, *, window: int, hop: int) -> list[tuple[int, int]]:
    """Cover a stretch with windows.

    Parameters
    ----------
    start, end : int
        The stretch [start, end), in samples.
    window, hop : int
        Length of a window and the way from one to the next, at most a window.

    Returns
    -------
    list of (int, int)
        [start, end) of each, in order; all of full length, the last ending with the stretch.  A stretch that is no
        longer than a window is one window; an empty one has none.

    Raises
    ------
    InputError
        If window or hop make no sense.
    """
    check_integer(window, "window", low=1)
    check_integer(hop, "hop", low=1, high=window)
    if end <= start:
        return []
    if end - start <= window:
        return [(start, end)]
    starts = list(range(start, end - window + 1, hop))
    if starts[-1] + window < end:
        starts.append(end - window)
    return [(at, at + window) for at in starts]


class Stretch:
    """A stretch of time that is answered while it goes on, in constant memory.

    Windows are added as they come; segments are given out as soon as no later window can change them.  The segments are
    the same whenever they are asked for.

    Parameters
    ----------
    start : int
        Where it begins.
    window, hop : int
        See `windows`.
    """

    def __init__(self, start: int, *, window: int, hop: int) -> None:
        windows(start, start, window=window, hop=hop)
        self.start, self.window, self.hop = start, window, hop
        self._answers: list[Segment] = []  # windows that may still cover something
        self._settled = start

    @property
    def next_window(self) -> tuple[int, int]:
        """The window that follows the ones that were added, should the stretch reach its end."""
        at = self.start if self.last is None else self.last + self.hop
        return at, at + self.window

    @property
    def last(self) -> int | None:
        """Where the window begins that was added last; None before the first."""
        return self._answers[-1].start if self._answers else None

    def add(self, start: int, end: int, answer: Answer) -> None:
        """Add the answer of a window that begins after the ones that were added."""
        if self.last is not None and start <= self.last:
            raise InputError(f"windows must come in order, but {start} follows {self.last}")
        self._answers.append(Segment(start, end, np.asarray(answer, np.float64)))

    def remaining(self, end: int) -> list[tuple[int, int]]:
        """Return those of the `windows` of a stretch that ends here which were not added yet."""
        if self.last is None:
            return windows(self.start, end, window=self.window, hop=self.hop)
        starts = list(range(self.next_window[0], end - self.window + 1, self.hop))
        if (starts[-1] if starts else self.last) + self.window < end:
            starts.append(end - self.window)
        return [(at, at + self.window) for at in starts]

    def settled(self, reached: int) -> list[Segment]:
        """Return the segments before which nothing can change any more, if the stretch goes on at least to a place.

        Parameters
        ----------
        reached : int
            The stretch is known to go on to here; all windows that end before were added.
        """
        # The last window ends with the stretch, wherever that is: it covers nothing before this.
        limit = min(reached - self.window, self.next_window[0])
        # Only whole pieces, so that they are the same whenever they are asked for.
        return self._given(max((at for at in self._edges() if at <= limit), default=self._settled))

    def closed(self, end: int) -> list[Segment]:
        """Return the segments that are left, where the stretch ends; all of its `windows` were added."""
        return self._given(end)

    def _edges(self) -> list[int]:
        return sorted({at for part in self._answers for at in (part.start, part.end) if at > self._settled})

    def _given(self, upto: int) -> list[Segment]:
        if upto <= self._settled:
            return []
        edges = [self._settled, *(at for at in self._edges() if at < upto), upto]
        pieces = []
        for start, end in pairwise(edges):
            covering = [part.answer for part in self._answers if part.start <= start and part.end >= end]
            pieces.append(Segment(start, end, np.asarray(np.mean(covering, axis=0), np.float64)))
        self._settled = upto
        self._answers = [part for part in self._answers if part.end > upto] or self._answers[-1:]
        return pieces


def merged(pieces: Sequence[Segment]) -> list[Segment]:
    """Join neighbors that touch and have the same most probable class.

    Parameters
    ----------
    pieces : sequence of Segment
        In order.

    Returns
    -------
    list of Segment
        The answer of each is the mean of its pieces, weighted by their lengths.
    """
    result: list[Segment] = []
    for piece in pieces:
        last = result[-1] if result else None
        if last is not None and last.end == piece.start and last.answer.argmax() == piece.answer.argmax():
            share = last.length / (last.length + piece.length)
            result[-1] = Segment(last.start, piece.end, share * last.answer + (1 - share) * piece.answer)
        else:
            result.append(piece)
    return result
