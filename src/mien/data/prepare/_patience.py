"""The bad days of a service: what went wrong, whether waiting helps, and for how long."""

from __future__ import annotations

import email.utils
import math
import secrets
import time
from dataclasses import dataclass
from typing import Any

from mien.errors import MienError

__all__ = ["AgainError", "NoAnswerError", "NoImageError", "Patience", "ServiceError", "told_s"]


class ServiceError(MienError):
    """The service cannot be used (any longer): wrong key, no money, limits that do not end, or it is not there."""


class NoAnswerError(MienError):
    """The service failed at this request again and again; it may work another time."""


class NoImageError(MienError):
    """The service answered this request for good, but with no usable image; asking again would not help."""


class AgainError(MienError):
    """What may pass when one waits."""

    def __init__(self, message: str, *, limit: bool = False, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.limit, self.wait_s = limit, wait_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on asking.

    Parameters
    ----------
    limits : int
        After so many answers "too many requests" in a row the work ends.
    faults : int
        So many times a failed request is asked again.
    first_s, longest_s : float
        The first pause in seconds, and the longest; they double in between, each shortened at random to a half at
        most, so that several clients do not come back at once.
    told_s : float
        The longest pause that the service may ask for; beyond it the work ends.
    """

    limits: int = 6
    faults: int = 4
    first_s: float = 1.0
    longest_s: float = 60.0
    told_s: float = 300.0

    def pause_s(self, turn: int) -> float:
        """Return the pause in seconds before the retry of that number, counted from 0."""
        return min(self.longest_s, self.first_s * 2.0 ** min(turn, 60)) * (0.5 + secrets.randbelow(501) / 1000)


def told_s(headers: Any) -> float | None:
    """Return the pause in seconds that a service asks for: RFC 9110, section 10.2.3, or None where it says nothing."""
    said = headers.get("retry-after")
    if said is None:
        return None
    try:
        wait_s = float(said)
    except ValueError:
        try:
            wait_s = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return None
    return max(wait_s, 0.0) if math.isfinite(wait_s) else None
