"""The live window: a thin shell around `mien.api.live` that draws what it gets and obeys keys."""

from __future__ import annotations

__all__: list[str] = []
