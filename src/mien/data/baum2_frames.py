"""Frames of BAUM-2 videos (Erdem et al. 2015, doi:10.1007/s11042-014-1986-2), as their extraction lays them out.

``SNNN/NNN/`` holds the face frames of one clip, in the folder itself or in ``frames/``, and ``emotion.txt`` with the
clip's code 0..7 (neutral, anger, contempt, disgust, fear, happiness, sadness, surprise).  Frames of a clip are nearly
alike: whoever divides them must keep the clip, and better the subject, on one side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mien.data._files import Found, check_folder, image_list, images_below, load_faces, visible
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import BAUM8

__all__ = ["index", "load"]

_EXPECTED = "SNNN/NNN/emotion.txt and frames beside it"
_SUBJECT = re.compile(r"S\d+", re.IGNORECASE)
_LABEL_FILE = "emotion.txt"
_LONGEST_LABEL = 64
"""Longer files are no code."""


def index(path: str | Path) -> ImageList:
    """List the frames, without reading them.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds the subjects' folders.

    Returns
    -------
    ImageList
        Labels in ``BAUM8``, subjects such as ``"S001"``, clips such as ``"S001/003"``, no splits.  Clips without a
        usable ``emotion.txt`` or without a frame are left out, and named in its ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing, or has no frame with a label.
    """
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    found = list(_frames(root, problems))
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(
            f"{format_path(root)} must hold {_EXPECTED}, but has no such clip{f': {what}' if what else ''}"
        )
    return image_list("baum2_frames", root, found, BAUM8, problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read all frames as gray squares.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, as `index` takes it; what `index` calls a problem is left out with one warning.
    split : str, optional
        The data set has no splits: any name is an error.
    size : int
        Side of the squares in pixels.
    problems : {"raise", "skip"}
        What to do with a frame that cannot be read.
    progress : callable, optional
        Called with the number of frames read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, size, size) gray.

    Raises
    ------
    DatasetError
        As `index`; also if a split is asked for, or a frame cannot be read.
    """
    return load_faces(index(path), split=split, size=size, problems=problems, progress=progress)


def _frames(root: Path, problems: list[str]) -> Iterator[Found]:
    for subject in visible(root, root, problems):
        if not subject.is_dir():
            continue
        if not _SUBJECT.fullmatch(subject.name):
            problems.append(f"{format_path(subject.name)}: a folder of a subject is named SNNN")
            continue
        for clip in visible(Path(subject.path), root, problems):
            if clip.is_dir():
                yield from _clip(Path(clip.path), root, subject.name, problems)
            else:
                problems.append(
                    f"{format_path(subject.name)}/{format_path(clip.name)}: a file beside the folders of clips"
                )


def _clip(folder: Path, root: Path, subject: str, problems: list[str]) -> Iterator[Found]:
    name = f"{subject}/{folder.name}"
    emotion, reason = _label(folder / _LABEL_FILE)
    if reason:
        problems.append(f"{format_path(name)}/{_LABEL_FILE}: {reason}")
        return
    noticed: list[str] = []
    frames = list(images_below(folder, root, noticed))
    label_line = f"{format_path(name)}/{_LABEL_FILE}: "
    problems.extend(line for line in noticed if not line.startswith(label_line))
    if not frames:
        problems.append(f"{format_path(name)}: the clip has no frame")
    for file in frames:
        yield Found(file, emotion, subject, name)


def _label(file: Path) -> tuple[str, str]:
    """Return the emotion of a clip, or why there is none."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_LONGEST_LABEL + 1)
    except FileNotFoundError:
        return "", "the file is missing"
    except OSError as error:
        return "", f"cannot be opened: {error.strerror or error}"
    try:
        code = float(text.decode("ascii"))
    except ValueError:
        code = -1.0
    if code not in range(len(BAUM8)):
        return "", f"expected a code 0..{len(BAUM8) - 1}, but got {text[:20].decode('ascii', 'backslashreplace')!r}"
    return BAUM8.emotions[int(code)], ""
