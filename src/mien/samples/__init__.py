"""An image to try mien on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["astronaut_path"]


def astronaut_path() -> Path:
    """Return the path of the sample: a portrait of the astronaut Eileen Collins, 512 x 512, public domain.

    See ``samples/README.md`` for source and license.
    """
    return Path(str(files("mien.samples") / "astronaut.jpg"))
