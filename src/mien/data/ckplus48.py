"""CK+48: 981 faces of CK+ (Lucey et al. 2010), cut to 48 x 48, the last three frames of each labeled sequence.

The form in which CK+ is most used: folders anger, contempt, disgust, fear, happy, sadness, surprise (no neutral) with
names like ``S010_004_00000017.png`` for subject, sequence and frame.  Three frames of a sequence are near copies:
splits must keep them together, and the subject with them (`mien.data.splits`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from mien.data._files import Found, check_folder, image_list, images_below, load_faces
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import BAUM8, canonical

__all__ = ["index", "load"]

_NAME = re.compile(r"(S\d+)_(\d+)_\d+", re.ASCII)
_EXPECTED = "folders anger, contempt, ..., surprise with images named like S010_004_00000017.png"


def index(path: str | Path) -> ImageList:
    """List the images of CK+48.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder of the emotions' folders, or one above it.

    Returns
    -------
    ImageList
        Labels in ``BAUM8`` (the order of CK+'s own codes), subjects like ``S010``, clips like ``S010/004``, no splits.
        Images in other folders or with other names are among the problems.

    Raises
    ------
    DatasetError
        If there is no such folder, or no image in it fits.
    """
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    found = list(_images(root, problems))
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(f"{format_path(root)} has no {_EXPECTED}{f': {what}' if what else ''}")
    return image_list("ckplus48", root, found, BAUM8, problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read CK+48; its images are cut to the face already.

    Parameters
    ----------
    path : str or pathlib.Path
        See `index`.
    split : str, optional
        CK+48 has no splits; anything but None is an error.
    size : int
        Side of the squares in pixels; 48 leaves the published pixels as they are.
    problems : {"raise", "skip"}
        What to do with an image that cannot be read.  What `index` left out is told in one warning.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, size, size) with labels in ``BAUM8``.

    Raises
    ------
    DatasetError
        As `index`; also if a split is asked for, or an image cannot be read.
    """
    return load_faces(index(path), split=split, size=size, problems=problems, progress=progress)


def _images(root: Path, problems: list[str]) -> Iterator[Found]:
    for file in images_below(root, root, problems):
        path = PurePosixPath(file)
        emotion = _emotion(path.parent.name)
        parts = _NAME.fullmatch(path.stem)
        if not emotion:
            problems.append(f"{format_path(file)}: its folder is not named after an emotion of CK+")
        elif parts is None:
            problems.append(f"{format_path(file)}: the name is not of the form S010_004_00000017")
        else:
            yield Found(file, emotion, parts[1], f"{parts[1]}/{parts[2]}")


def _emotion(word: str) -> str:
    try:
        noun = canonical(word)
    except InputError:
        return ""
    return noun if noun in BAUM8.emotions else ""
