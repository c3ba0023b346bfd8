"""Files and devices become arrays here, and nowhere else."""

from __future__ import annotations

from mien.io.formats import sniff
from mien.io.image import DEFAULT_MAX_PIXELS, LoadedImage, read_image
from mien.io.paths import IMAGE_SUFFIXES, count_image_paths, iter_image_paths

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "LoadedImage",
    "count_image_paths",
    "iter_image_paths",
    "read_image",
    "sniff",
]
