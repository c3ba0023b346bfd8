"""What every benchmark says of where it ran."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

__all__ = ["here"]


def here() -> dict[str, Any]:
    """Return machine with its load, version of Python, and date."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
