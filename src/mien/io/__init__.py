"""Files and devices become arrays here, and nowhere else."""

from __future__ import annotations

from mien.io.image import LoadedImage, read_image
from mien.io.paths import iter_media_paths
from mien.io.sniff import Kind, detect_kind

__all__ = ["Kind", "LoadedImage", "detect_kind", "iter_media_paths", "read_image"]
