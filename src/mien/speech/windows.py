"""Windows over a stretch of speech, and what their predictions say about each moment.

Long stretches are read window by window.  A moment that several windows cover has the mean of their predictions, which
is a smoothing over the length of a window; neighbors with the same most probable class become one segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.errors import InputError

__all__ = ["WindowAverager", "WindowSegment", "merge_neighbors", "place_windows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class WindowSegment:
    """A piece of time with one distribution.

    Parameters
    ----------
    start, end : int
        [start, end) in samples (or any other unit of time).
    probabilities : numpy.ndarray
        float64 (k,): a distribution.
    """

    start: int
    end: int
    probabilities: Floats

    @property
    def length(self) -> int:
        """How long it is."""
        return self.end - self.start


def place_windows(start: int, end: int, *, window: int, hop: int) -> list[tuple[int, int]]:
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


class WindowAverager:
    """Averages the predictions of overlapping windows over a stretch of time while it goes on, in constant memory.

    Windows are added as they come; segments are given out as soon as no later window can change them.  The segments are
    the same whenever they are asked for.

    Parameters
    ----------
    start : int
        Where it begins.
    window, hop : int
        See `place_windows`.
    """

    def __init__(self, start: int, *, window: int, hop: int) -> None:
        place_windows(start, start, window=window, hop=hop)
        self.start, self.window, self.hop = start, window, hop
        self._windows: list[WindowSegment] = []  # windows that may still cover something
        self._settled = start

    @property
    def next_window(self) -> tuple[int, int]:
        """The window that follows the ones that were added, should the stretch reach its end."""
        at = self.start if self.last is None else self.last + self.hop
        return at, at + self.window

    @property
    def last(self) -> int | None:
        """Where the window begins that was added last; None before the first."""
        return self.newest.start if self.newest else None

    @property
    def newest(self) -> WindowSegment | None:
        """The window that was added last; None before the first."""
        return self._windows[-1] if self._windows else None

    def add(self, start: int, end: int, probabilities: Floats) -> None:
        """Add the distribution of a window that begins after the ones that were added."""
        if self.last is not None and start <= self.last:
            raise InputError(f"windows must come in order, but {start} follows {self.last}")
        self._windows.append(WindowSegment(start, end, np.asarray(probabilities, np.float64)))

    def remaining(self, end: int) -> list[tuple[int, int]]:
        """Return the windows of a stretch that ends here (see `place_windows`) which were not added yet."""
        if self.last is None:
            return place_windows(self.start, end, window=self.window, hop=self.hop)
        starts = list(range(self.next_window[0], end - self.window + 1, self.hop))
        if (starts[-1] if starts else self.last) + self.window < end:
            starts.append(end - self.window)
        return [(at, at + self.window) for at in starts]

    def pop_settled(self, reached: int) -> list[WindowSegment]:
        """Return the segments before which nothing can change any more, if the stretch goes on at least to a place.

        Parameters
        ----------
        reached : int
            The stretch is known to go on to here; all windows that end before were added.
        """
        # The last window ends with the stretch, wherever that is: it covers nothing before this.
        limit = min(reached - self.window, self.next_window[0])
        # Only whole pieces, so that they are the same whenever they are asked for.
        return self._pop(max((at for at in self._edges() if at <= limit), default=self._settled))

    def close(self, end: int) -> list[WindowSegment]:
        """Return the segments that are left, where the stretch ends; all of its windows were added."""
        return self._pop(end)

    def _edges(self) -> list[int]:
        return sorted({at for window in self._windows for at in (window.start, window.end) if at > self._settled})

    def _pop(self, upto: int) -> list[WindowSegment]:
        if upto <= self._settled:
            return []
        edges = [self._settled, *(at for at in self._edges() if at < upto), upto]
        pieces = []
        for start, end in pairwise(edges):
            covering = [window.probabilities for window in self._windows if window.start <= start and window.end >= end]
            pieces.append(WindowSegment(start, end, np.asarray(np.mean(covering, axis=0), np.float64)))
        self._settled = upto
        self._windows = [window for window in self._windows if window.end > upto] or self._windows[-1:]
        return pieces


def merge_neighbors(pieces: Sequence[WindowSegment]) -> list[WindowSegment]:
    """Join neighbors that touch and have the same most probable class.

    Parameters
    ----------
    pieces : sequence of WindowSegment
        In order.

    Returns
    -------
    list of WindowSegment
        The distribution of each is the mean of its pieces, weighted by their lengths.
    """
    result: list[WindowSegment] = []
    for piece in pieces:
        last = result[-1] if result else None
        touches = last is not None and last.end == piece.start
        if last is not None and touches and last.probabilities.argmax() == piece.probabilities.argmax():
            share = last.length / (last.length + piece.length)
            mean = share * last.probabilities + (1 - share) * piece.probabilities
            result[-1] = WindowSegment(last.start, piece.end, mean)
        else:
            result.append(piece)
    return result
