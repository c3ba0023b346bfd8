"""JAFFE (Lyons et al. 1998, doi:10.1109/AFGR.1998.670949): ten Japanese women, seven posed expressions, 213 images.

The published files (doi:10.5281/zenodo.3451524) are 256 x 256 gray and lie in one folder; a name like
``KA.AN1.39.tiff`` says subject, expression with the number of its pose, and number of the image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from mien.data._files import Found, check_folder, image_list, images_below, load_faces
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import FER7

__all__ = ["EXPRESSIONS", "index", "load"]

EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
"""The letters of a name and what they mean (the data set's own README)."""

_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})(\d+)\.(\d+)", re.ASCII)
_EXPECTED = "images named like KA.AN1.39.tiff"


def index(path: str | Path) -> ImageList:
    """List the images of JAFFE.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, or one above it; images may be converted to another format.

    Returns
    -------
    ImageList
        Labels in ``FER7``, subjects by their two letters, no clips, no splits.  Names that do not fit, and second
        formats of an image, are among the problems.

    Raises
    ------
    DatasetError
        If there is no such folder, or no name in it fits.
    """
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    found = list(_images(root, problems))
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(f"{format_path(root)} has no {_EXPECTED}{f': {what}' if what else ''}")
    return image_list("jaffe", root, found, FER7, problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read JAFFE whole, as gray squares.

    The published images show head and hair: they are not cut to the face.  Run ``mien data prepare`` on them first
    (it finds, turns and cuts the faces); read whole, they give lower figures.

    Parameters
    ----------
    path : str or pathlib.Path
        See `index`.
    split : str, optional
        JAFFE has no splits; anything but None is an error.
    size : int
        Side of the squares in pixels.
    problems : {"raise", "skip"}
        What to do with an image that cannot be read.  What `index` left out is told in one warning.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, size, size) with labels in ``FER7``.

    Raises
    ------
    DatasetError
        As `index`; also if a split is asked for, or an image cannot be read.
    """
    return load_faces(index(path), split=split, size=size, problems=problems, progress=progress)


def _images(root: Path, problems: list[str]) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for file in images_below(root, root, problems):
        stem = PurePosixPath(file).stem.upper()
        parts = _NAME.fullmatch(stem)
        if parts is None:
            problems.append(f"{format_path(file)}: the name is not of the form KA.AN1.39")
        elif parts[2] not in EXPRESSIONS:
            problems.append(
                f"{format_path(file)}: expected one of {', '.join(EXPRESSIONS)} in the name, but got {parts[2]}"
            )
        elif (first := seen.setdefault(stem, file)) != file:
            problems.append(f"{format_path(file)}: the same image as {format_path(first)}")
        else:
            yield Found(file, EXPRESSIONS[parts[2]], parts[1])
