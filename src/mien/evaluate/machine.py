"""What a measurement was made on: processor, memory, system and versions, for reports."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from mien import __version__

__all__ = ["machine"]

_PACKAGES = ("numpy", "onnxruntime", "torch", "lightning")


def machine() -> dict[str, str]:
    """Return facts about this machine by name, in the order to show them; what the system does not tell is left out."""
    facts = {
        "processor": _processor(),
        "cores": str(_cores()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "Python": platform.python_version(),
        "mien": __version__,
        **{package: _version(package) for package in _PACKAGES},
    }
    return {name: value for name, value in facts.items() if value}


def _processor() -> str:
    # platform.processor() is empty on most Linux systems.
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return ""
    return f"{size / 1e9:.0f} GB"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
