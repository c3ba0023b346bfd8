"""Processes that run beside a test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def started(command: list[Any], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process; at the end of the block it is gone, also where it does not end by itself."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()
