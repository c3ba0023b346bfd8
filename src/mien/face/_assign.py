"""Who goes with whom: the cheapest pairing of two sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["assign"]

Costs = NDArray[np.float64]


def assign(cost: NDArray[Any], limit: float) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum is least, where leaving a row alone costs ``limit``.

    Parameters
    ----------
    cost : numpy.ndarray
        Shape (n, m); infinite where a pair cannot be.
    limit : float
        Pairs that cost more are never made.

    Returns
    -------
    list of (int, int)
        Row and column of each pair, by row.

    References
    ----------
    H. W. Kuhn: The Hungarian method for the assignment problem. Naval Research Logistics Quarterly 2 (1955); in the
    form with shortest augmenting paths (R. Jonker and A. Volgenant, Computing 38, 1987).
    """
    table = np.asarray(cost, dtype=np.float64)
    rows, columns = table.shape
    if not rows or not columns:
        return []
    allowed = table <= limit
    if allowed.sum(axis=0).max() <= 1 and allowed.sum(axis=1).max() <= 1:
        return [(int(row), int(column)) for row, column in zip(*np.nonzero(allowed), strict=True)]
    # Each row has a column of its own that stands for being alone.
    padded = np.full((rows, columns + rows), float(limit))
    padded[:, :columns] = np.where(allowed, table, 4 * abs(limit) + 4)
    owner = _augmented(padded)
    return sorted(
        (int(owner[column]), column)
        for column in range(columns)
        if owner[column] >= 0 and allowed[owner[column], column]
    )


def _augmented(cost: Costs) -> NDArray[np.intp]:
    """Return the row of each column (-1: none), one row after the other by a shortest path; rows <= columns."""
    rows, columns = cost.shape
    row_price, price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1, dtype=np.intp)
    for start in range(rows):
        least, came = np.full(columns, np.inf), np.full(columns, -1, dtype=np.intp)
        done = np.zeros(columns, dtype=bool)
        row, at = start, -1
        while True:
            way = cost[row] - row_price[row] - price
            better = ~done & (way < least)
            least[better], came[better] = way[better], at
            nearest = int(np.argmin(np.where(done, np.inf, least)))
            step = least[nearest]
            row_price[start] += step
            row_price[owner[done]] += step
            price[done] -= step
            least[~done] -= step
            done[nearest], at = True, nearest
            if owner[nearest] < 0:
                break
            row = int(owner[nearest])
        while at >= 0:
            before = int(came[at])
            owner[at] = start if before < 0 else owner[before]
            at = before
    return owner
