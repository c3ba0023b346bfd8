"""What a bad item of a batch becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["FailedItem"]


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item of a batch that could not be read or analyzed: its row in the results.

    Parameters
    ----------
    path : str or None
        The file, as it was given.
    error : str
        Name of the error's class, such as ``"DecodeError"``.
    message : str
        The error's message.
    """

    path: str | None
    error: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {"path": self.path, "error": self.error, "message": self.message}
