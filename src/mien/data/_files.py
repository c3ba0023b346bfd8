"""What data sets in image files share: walking folders, lines about what is wrong, reading all images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mien._checks import warn
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError
from mien.io.paths import IMAGE_SUFFIXES, format_path
from mien.labels import LabelSet

__all__ = ["Found", "check_folder", "image_list", "images_below", "load_faces", "visible"]


class Found(NamedTuple):
    """One image file and what is known about it; an empty word means that it is not known."""

    file: str
    emotion: str
    subject: str = ""
    clip: str = ""
    split: str = ""


def check_folder(path: str | Path, expected: str) -> Path:
    """Return the path of a folder that exists, or raise a `DatasetError` that says what is expected in it."""
    try:
        root = Path(path)
        if root.is_dir():
            return root
        came = "it is a file" if root.exists() else "there is no such folder"
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        came = str(error)
    raise DatasetError(f"expected a folder with {expected} at {format_path(path)}, but {came}")


def visible(folder: Path, root: Path, problems: list[str]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by name, without hidden ones: notebooks and file managers leave such behind.

    A folder that may not be opened is a line of ``problems``, and empty.
    """
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        problems.append(f"{_relative(folder, root)}: cannot open the folder: {error.strerror or error}")
        return []
    return sorted(entries, key=lambda entry: entry.name)


def images_below(folder: Path, root: Path, problems: list[str]) -> Iterator[str]:
    """Yield the image files of a folder and of all folders in it, relative to ``root``, with slashes, by name.

    Files without an image's suffix and linked folders (which could lead in a circle) become lines of ``problems``.
    """
    for entry in visible(folder, root, problems):
        name = _relative(entry.path, root)
        if entry.is_dir(follow_symlinks=False):
            yield from images_below(Path(entry.path), root, problems)
        elif entry.is_dir():
            problems.append(f"{name}: a linked folder is not entered")
        elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
            yield Path(entry.path).relative_to(root).as_posix()
        else:
            problems.append(f"{name}: not an image (by its name)")


def _relative(path: str | Path, root: Path) -> str:
    return format_path(Path(path).relative_to(root).as_posix())


def image_list(
    name: str, root: Path, found: Sequence[Found], label_set: LabelSet, problems: Sequence[str]
) -> ImageList:
    """Return a list of images; an empty emotion is the label -1."""
    labels = [label_set.index(one.emotion) if one.emotion else -1 for one in found]
    return ImageList(
        name=name,
        source=str(root),
        files=tuple(one.file for one in found),
        labels=np.array(labels, dtype=np.int64),
        label_set=label_set,
        subjects=np.array([one.subject for one in found], dtype=np.str_),
        clips=np.array([one.clip for one in found], dtype=np.str_),
        splits=np.array([one.split for one in found], dtype=np.str_),
        problems=tuple(problems),
    )


def load_faces(
    images: ImageList,
    *,
    split: str | None,
    size: int,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read the images of a split; what the list left out is said in one warning.

    Raises
    ------
    DatasetError
        If there is no such split, or an image cannot be read.
    """
    if split is not None:
        mask = images.splits == split
        if not mask.any():
            present = ", ".join(part for part in dict.fromkeys(images.splits.tolist()) if part) or "none"
            raise DatasetError(f"{format_path(images.source)} has no split {split!r}: it has {present}")
        images = images.take(mask)
    if images.problems:
        more = len(images.problems) - 1
        also = f" (and {more} more: `mien data inspect` lists them)" if more else ""
        warn(f"{format_path(images.source)}: left out {images.problems[0]}{also}", stacklevel=4)
    return images.faces(size, problems=problems, progress=progress)
