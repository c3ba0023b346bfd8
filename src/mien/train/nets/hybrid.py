"""Several networks for clips whose probabilities are added.

After Fan, Lu, Li and Liu, "Video-based emotion recognition using CNN-RNN and C3D hybrid networks", ICMI 2016,
doi:10.1145/2993148.2997632, section 3.4: each network is trained alone, and the scores are added with fixed weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError

__all__ = ["best_shares", "blend"]

_STEPS = 10
"""Shares are tenths."""

_LEAST = 1e-6
"""A probability below counts as this: one sure mistake must not decide everything."""


def blend(probabilities: Sequence[NDArray[np.float32]], shares: Sequence[float]) -> NDArray[np.float32]:
    """Return the weighted sum of several networks' probabilities.

    Parameters
    ----------
    probabilities : sequence of numpy.ndarray
        float32 (n, classes) of each network.
    shares : sequence of float
        As many, none below 0; they are divided by their sum.

    Raises
    ------
    InputError
        If the numbers of both differ, or no share is above 0.
    """
    count = len(probabilities)
    if count != len(shares) or min(shares, default=-1.0) < 0 or sum(shares) <= 0:
        raise InputError(f"{count} networks need as many shares, not below 0 nor all 0, but got {list(shares)}")
    weights = np.asarray(shares, dtype=np.float64) / np.sum(shares)
    total = sum(float(weight) * part.astype(np.float64) for weight, part in zip(weights, probabilities, strict=True))
    return np.asarray(total, dtype=np.float32)


def best_shares(
    probabilities: Sequence[Mapping[str, NDArray[np.float32]]], truth: Mapping[str, NDArray[np.int64]]
) -> tuple[float, ...]:
    """Return the shares, in tenths, whose sum of probabilities is likeliest to give the true labels.

    Parameters
    ----------
    probabilities : sequence of mappings
        For each network, by head: float32 (n, classes), for clips that it did not learn from.
    truth : mapping of str to numpy.ndarray
        By head: int64 (n,), -1 for no label.

    Returns
    -------
    tuple of float
        One a network, summing to 1; of equally good ones the most even.
    """
    found: list[tuple[float, float, tuple[float, ...]]] = []
    for tenths in product(range(_STEPS + 1), repeat=len(probabilities)):
        if sum(tenths) != _STEPS:
            continue
        shares = tuple(tenth / _STEPS for tenth in tenths)
        loss = 0.0
        for head, labels in truth.items():
            known = np.flatnonzero(labels >= 0)
            p = blend([part[head] for part in probabilities], shares)[known, labels[known]]
            loss -= float(np.log(np.maximum(p, _LEAST)).mean())
        found.append((round(loss, 9), float(np.var(shares)), shares))
    return min(found)[2]
