"""What PyInstaller must know to freeze an application that uses mien; found by the entry point ``pyinstaller40``.

mien imports most of its modules by name when they are first needed, and keeps its models beside them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Return the folder of the hooks."""
    return [str(Path(__file__).parent)]
