"""CK+ (Lucey et al. 2010, doi:10.1109/CVPRW.2010.5543262): video sequences that begin neutral and end at the peak.

As published: frames ``cohn-kanade-images/S010/006/S010_006_00000015.png`` and, for 327 of the 593 sequences, a label
``Emotion/S010/006/S010_006_00000015_emotion.txt`` that is named for the last frame and holds a code like
``3.0000000e+00``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mien._checks import check_integer
from mien.data._files import Found, check_folder, image_list, images_below, load_faces, visible
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import BAUM8

__all__ = ["index", "load"]

_IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images")
_LABELS = ("Emotion", "Emotion_labels")
_SUBJECT = re.compile(r"S\d+", re.ASCII)
_FRAME = re.compile(r"(S\d+)/(\d+)/\1_\2_(\d+)\.\w+", re.ASCII)
_LABEL = re.compile(r"(S\d+)_(\d+)_(\d+)_emotion\.txt", re.ASCII)
_LABEL_BYTES = 64  # a label is one number; more is another file
_EXPECTED = "frames like cohn-kanade-images/S010/006/S010_006_00000015.png with labels in Emotion"


@dataclass(frozen=True, slots=True)
class _Label:
    """Where the label of a sequence lies, its code, and the number of the frame that it is named for."""

    place: str
    code: int
    last: int


def index(path: str | Path, *, labels: str | Path | None = None, peak: int = 3, neutral: int = 1) -> ImageList:
    """List the frames of CK+ that have a label: the last of each labeled sequence, and its first as neutral.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds ``cohn-kanade-images`` and ``Emotion``, or ``cohn-kanade-images`` itself.
    labels : str or pathlib.Path, optional
        The folder of labels; by default ``Emotion`` (or ``Emotion_labels``) in or beside the folder of images.
    peak : int
        How many of the last frames show the emotion, up to the frame that the label is named for.
    neutral : int
        How many of the first frames are neutral.  In a sequence too short for both, they come first, and one frame
        remains for the emotion.

    Returns
    -------
    ImageList
        Labels in ``BAUM8``, whose order is that of CK+'s codes; subjects like ``S010``, clips like ``S010/006``, no
        splits.  Sequences without a label (or with a wrong one, or without the frame it is named for) are left out
        with a line each among the problems.

    Raises
    ------
    DatasetError
        If a folder is missing, or there is no labeled sequence.
    InputError
        If a count is negative or no whole number, or both are 0.
    """
    ends, starts = check_integer(peak, "peak", low=0), check_integer(neutral, "neutral", low=0 if peak else 1)
    root = _image_folder(check_folder(path, _EXPECTED))
    problems: list[str] = []
    known = _read_labels(_label_folder(root, labels), problems)
    found = list(_frames(_sequences(root, problems), known, ends, starts, problems))
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(
            f"{format_path(root)} has no labeled sequence: expected {_EXPECTED}{f': {what}' if what else ''}"
        )
    return image_list("ckplus", root, found, BAUM8, problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
    labels: str | Path | None = None,
    peak: int = 3,
    neutral: int = 1,
) -> FaceData:
    """Read labeled frames of CK+ whole, as gray squares.

    The published frames (640 x 490 and 640 x 480) show head, shoulders and a clock: they are not cut to the face.  Run
    ``mien data prepare`` on them first (it finds, turns and cuts the faces); read whole, they say little.

    Parameters
    ----------
    path, labels, peak, neutral
        See `index`.
    split : str, optional
        CK+ has no splits; anything but None is an error.
    size : int
        Side of the squares in pixels.
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
    InputError
        As `index`.
    """
    images = index(path, labels=labels, peak=peak, neutral=neutral)
    return load_faces(images, split=split, size=size, problems=problems, progress=progress)


def _image_folder(folder: Path) -> Path:
    """Return the folder of the subjects: a folder of the publisher's name inside, if there is one."""
    inner = next((folder / name for name in _IMAGES if (folder / name).is_dir()), None)
    # One archive holds the folder of frames inside another of the longer name.
    return folder if inner is None else _image_folder(inner)


def _label_folder(images: Path, labels: str | Path | None) -> Path:
    if labels is not None:
        return check_folder(labels, "labels of CK+ (Emotion)")
    # Resolved, because the parent of "." must be the folder above; two up, because the images may lie two deep.
    for above in (images, *images.resolve().parents[:2]):
        for name in _LABELS:
            if (above / name).is_dir():
                return above / name
    raise DatasetError(
        f"no folder {_LABELS[0]} beside {format_path(images)}: CK+ keeps its labels there; the option "
        "labels names another"
    )


def _read_labels(folder: Path, problems: list[str]) -> dict[str, _Label | None]:
    """Return the label of each sequence; None where it is wrong, which is noted."""
    labels: dict[str, _Label | None] = {}
    for path in sorted(folder.rglob("[!.]*.txt")):
        place = format_path(path.relative_to(folder.parent))
        parts = _LABEL.fullmatch(path.name)
        if parts is None:
            problems.append(f"{place}: the name is not of the form S010_006_00000015_emotion.txt")
            continue
        sequence = f"{parts[1]}/{parts[2]}"
        code, reason = _code(path)
        if sequence in labels:
            reason = "another label of the same sequence"
        if reason:
            problems.append(f"{place}: {reason}")
        labels[sequence] = None if reason else _Label(place, code, int(parts[3]))
    return labels


def _code(path: Path) -> tuple[int, str]:
    """Return the code in a file, or why there is none."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_LABEL_BYTES)
    except OSError as error:
        return -1, f"cannot be opened: {error.strerror or error}"
    try:
        value = float(text.decode("ascii"))
    except ValueError:
        value = -1.0
    if value not in range(len(BAUM8)):
        return -1, f"expected a code 0..{len(BAUM8) - 1}, but got {text[:20].decode('ascii', 'backslashreplace')!r}"
    return int(value), ""


def _sequences(root: Path, problems: list[str]) -> dict[str, dict[int, str]]:
    """Return the files of each sequence by the number of their frame, in order."""
    sequences: dict[str, dict[int, str]] = {}
    for entry in visible(root, root, problems):
        if not entry.is_dir() or not _SUBJECT.fullmatch(entry.name):
            if entry.name not in _LABELS:
                problems.append(f"{format_path(entry.name)}: not the folder of a subject, such as S010")
            continue
        for file in images_below(Path(entry.path), root, problems):
            parts = _FRAME.fullmatch(file)
            if parts is None:
                problems.append(f"{format_path(file)}: the path is not of the form S010/006/S010_006_00000015.png")
                continue
            first = sequences.setdefault(f"{parts[1]}/{parts[2]}", {}).setdefault(int(parts[3]), file)
            if first != file:
                problems.append(f"{format_path(file)}: the same frame as {format_path(first)}")
    return {sequence: dict(sorted(frames.items())) for sequence, frames in sequences.items()}


def _frames(
    sequences: dict[str, dict[int, str]],
    labels: dict[str, _Label | None],
    peak: int,
    neutral: int,
    problems: list[str],
) -> Iterator[Found]:
    for sequence, frames in sequences.items():
        label = labels.get(sequence)
        if sequence not in labels:
            problems.append(f"{sequence}: the sequence has no label")
        elif label is not None and label.last not in frames:
            # A copy that was cut short: its last frames need not show the emotion.
            problems.append(f"{sequence}: frame {label.last}, for which its label is named, is missing")
        elif label is not None:
            files = [file for number, file in frames.items() if number <= label.last]
            yield from _chosen(sequence, files, BAUM8.emotions[label.code], peak, neutral)
    problems.extend(
        f"{label.place}: there are no frames of {sequence}"
        for sequence, label in labels.items()
        if label is not None and sequence not in sequences
    )


def _chosen(sequence: str, files: list[str], emotion: str, peak: int, neutral: int) -> Iterator[Found]:
    subject = sequence.split("/")[0]
    first = min(neutral, len(files) - 1 if peak else len(files))
    for file in files[:first]:
        yield Found(file, "neutral", subject, sequence)
    for file in files[max(first, len(files) - peak) :]:
        yield Found(file, emotion, subject, sequence)
