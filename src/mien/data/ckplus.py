"""CK+ (Lucey et al. 2010, doi:10.1109/CVPRW.2010.5543262): sequences of images that begin neutral and end at the peak.

As published: frames ``cohn-kanade-images/S010/006/S010_006_00000015.png`` and, for 327 of the 593 sequences, a label
``Emotion/S010/006/S010_006_00000015_emotion.txt`` that is named for the last frame and holds a code like
``3.0000000e+00``. Read as single frames (``ckplus``) or as sequences (``ckplus_sequences``).

CK+48 is the form in which CK+ is most used: 981 faces, cut to 48 x 48, the last three frames of each labeled sequence,
in folders anger, contempt, disgust, fear, happy, sadness, surprise (no neutral) with names like
``S010_004_00000017.png`` for subject, sequence and frame. Three frames of a sequence are near copies: splits must keep
them together, and the subject with them (`mien.data.splits`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mien._checks import check_integer
from mien.data.files import check_folder, emotion_of, find_images, list_folder, nothing_found, read_code
from mien.data.registry import Dataset
from mien.data.samples import Row, Samples
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import BAUM8

__all__ = [
    "CKPLUS",
    "CKPLUS48",
    "CKPLUS_SEQUENCES",
    "IMAGE_FOLDERS",
    "list_ckplus",
    "list_ckplus48",
    "list_ckplus_sequences",
]

IMAGE_FOLDERS = ("cohn-kanade-images", "extended-cohn-kanade-images")
"""How the publishers named the folder of the frames."""

_LABEL_FOLDERS = ("Emotion", "Emotion_labels")
_SUBJECT = re.compile(r"S\d+", re.ASCII)
_FRAME = re.compile(r"(S\d+)/(\d+)/\1_\2_(\d+)\.\w+", re.ASCII)
_LABEL = re.compile(r"(S\d+)_(\d+)_(\d+)_emotion\.txt", re.ASCII)
_EXPECTED = "labeled sequences, frames like cohn-kanade-images/S010/006/S010_006_00000015.png with labels in Emotion"
_CUT_NAME = re.compile(r"(S\d+)_(\d+)_\d+", re.ASCII)
_CUT_EXPECTED = "folders anger, contempt, ..., surprise with images named like S010_004_00000017.png"


@dataclass(frozen=True, slots=True)
class _Sequence:
    """A labeled sequence: its name, emotion, and frames in order up to the one that its label is named for."""

    name: str
    emotion: str
    files: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.name.split("/")[0]


def list_ckplus(path: str | Path, *, labels: str | Path | None = None, peak: int = 3, neutral: int = 1) -> Samples:
    """List the frames of CK+ that have a label: the last of each labeled sequence, and its first as neutral.

    The published frames (640 x 490 and 640 x 480) show head, shoulders and a clock: they are not cut to the face. Run
    ``mien data prepare`` on them first (it finds, turns and cuts the faces); read whole, they say little.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds ``cohn-kanade-images`` and ``Emotion``, or ``cohn-kanade-images`` itself.
    labels : str or pathlib.Path, optional
        The folder of labels; by default ``Emotion`` (or ``Emotion_labels``) in or beside the folder of images.
    peak : int
        How many of the last frames show the emotion, up to the frame that the label is named for.
    neutral : int
        How many of the first frames are neutral. In a sequence too short for both, they come first, and one frame
        remains for the emotion.

    Returns
    -------
    Samples
        Labels in ``BAUM8``, whose order is that of CK+'s codes; subjects like ``S010``, clips like ``S010/006``, no
        splits. Sequences without a label (266 of the published 593) are left out and counted; those with a wrong one,
        or without the frame it is named for, are named among the problems.

    Raises
    ------
    DatasetError
        If a folder is missing, or there is no labeled sequence.
    InputError
        If a count is negative or no integer, or both are 0.
    """
    check_integer(peak, "peak", low=0)
    check_integer(neutral, "neutral", low=0 if peak else 1)
    root, sequences, problems = _read(path, labels)
    rows: list[Row] = []
    for one in sequences:
        first = min(neutral, len(one.files) - 1 if peak else len(one.files))
        last = max(first, len(one.files) - peak)
        rows += [Row(file, "neutral", one.subject, one.name) for file in one.files[:first]]
        rows += [Row(file, one.emotion, one.subject, one.name) for file in one.files[last:]]
    return Samples.from_rows(rows, name="ckplus", kind="image", source=root, label_set=BAUM8, problems=problems)


def list_ckplus_sequences(path: str | Path, *, labels: str | Path | None = None) -> Samples:
    """List the labeled sequences of CK+, each from its first frame to the one that its label is named for.

    Parameters
    ----------
    path, labels
        See `list_ckplus`.

    Returns
    -------
    Samples
        Of the kind ``video``; labels, subjects, clips and problems as `list_ckplus` has them.

    Raises
    ------
    DatasetError
        See `list_ckplus`.
    """
    root, sequences, problems = _read(path, labels)
    rows = [Row(one.name, one.emotion, one.subject, one.name, frames=one.files) for one in sequences]
    return Samples.from_rows(
        rows, name="ckplus_sequences", kind="video", source=root, label_set=BAUM8, problems=problems
    )


def list_ckplus48(path: str | Path) -> Samples:
    """List the images of CK+48.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder of the emotions' folders, or one above it.

    Returns
    -------
    Samples
        Labels in ``BAUM8`` (the order of CK+'s own codes), subjects like ``S010``, clips like ``S010/004``, no splits.
        Images in other folders or with other names are among the problems.

    Raises
    ------
    DatasetError
        If there is no such folder, or no image in it fits.
    """
    root = check_folder(path, _CUT_EXPECTED)
    problems: list[str] = []
    rows: list[Row] = []
    for file in find_images(root, root, problems):
        inside = PurePosixPath(file)
        emotion = emotion_of(inside.parent.name)
        parts = _CUT_NAME.fullmatch(inside.stem)
        if emotion not in BAUM8.emotions:
            problems.append(f"{format_path(file)}: its folder is not named after an emotion of CK+")
        elif parts is None:
            problems.append(f"{format_path(file)}: the name is not of the form S010_004_00000017")
        else:
            rows.append(Row(file, emotion, parts[1], f"{parts[1]}/{parts[2]}"))
    if not rows:
        raise nothing_found(root, _CUT_EXPECTED, problems)
    return Samples.from_rows(rows, name="ckplus48", kind="image", source=root, label_set=BAUM8, problems=problems)


# --- the published folders ----------------------------------------------------------------------------


def _read(path: str | Path, labels: str | Path | None) -> tuple[Path, list[_Sequence], list[str]]:
    """Return the folder of the subjects, the labeled sequences in it, and what does not fit."""
    root = _image_folder(check_folder(path, _EXPECTED))
    problems: list[str] = []
    known = _read_labels(_label_folder(root, labels), problems)
    frames_of = _find_frames(root, problems)
    sequences: list[_Sequence] = []
    for name, frames in frames_of.items():
        label = known.get(name)
        if label is None:
            continue
        if label.last in frames:
            files = tuple(file for number, file in frames.items() if number <= label.last)
            sequences.append(_Sequence(name, label.emotion, files))
        else:
            # A copy that was cut short: its last frames need not show the emotion.
            problems.append(f"{name}: frame {label.last}, for which its label is named, is missing")
    problems += [
        f"{label.place}: there are no frames of {name}"
        for name, label in known.items()
        if label is not None and name not in frames_of
    ]
    unlabeled = sum(name not in known for name in frames_of)
    if unlabeled:
        problems.append(f"{unlabeled} left out: sequences without a label")
    if not sequences:
        raise nothing_found(root, _EXPECTED, problems)
    return root, sequences, problems


@dataclass(frozen=True, slots=True)
class _Label:
    """Where the label of a sequence lies, its emotion, and the number of the frame that it is named for."""

    place: str
    emotion: str
    last: int


def _image_folder(folder: Path) -> Path:
    """Return the folder of the subjects: a folder of the publisher's name inside, if there is one."""
    inner = next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), None)
    # One archive holds the folder of frames inside another of the longer name.
    return folder if inner is None else _image_folder(inner)


def _label_folder(images: Path, labels: str | Path | None) -> Path:
    if labels is not None:
        return check_folder(labels, "labels of CK+ (Emotion)")
    # Resolved, because the parent of "." must be the folder above; two up, because the images may lie two deep.
    for above in (images, *images.resolve().parents[:2]):
        for name in _LABEL_FOLDERS:
            if (above / name).is_dir():
                return above / name
    raise DatasetError(
        f"no folder {_LABEL_FOLDERS[0]} beside {format_path(images)}: CK+ keeps its labels there; the option "
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
        emotion, reason = read_code(path)
        if sequence in labels:
            reason = "another label of the same sequence"
        if reason:
            problems.append(f"{place}: {reason}")
        labels[sequence] = None if reason else _Label(place, emotion, int(parts[3]))
    return labels


def _find_frames(root: Path, problems: list[str]) -> dict[str, dict[int, str]]:
    """Return the files of each sequence by the number of their frame, in order."""
    sequences: dict[str, dict[int, str]] = {}
    for entry in list_folder(root, root, problems):
        if not entry.is_dir() or not _SUBJECT.fullmatch(entry.name):
            if entry.name not in _LABEL_FOLDERS:
                problems.append(f"{format_path(entry.name)}: not the folder of a subject, such as S010")
            continue
        for file in find_images(Path(entry.path), root, problems):
            parts = _FRAME.fullmatch(file)
            if parts is None:
                problems.append(f"{format_path(file)}: the path is not of the form S010/006/S010_006_00000015.png")
                continue
            first = sequences.setdefault(f"{parts[1]}/{parts[2]}", {}).setdefault(int(parts[3]), file)
            if first != file:
                problems.append(f"{format_path(file)}: the same frame as {format_path(first)}")
    return {sequence: dict(sorted(frames.items())) for sequence, frames in sequences.items()}


CKPLUS = Dataset(
    "image", "CK+ (Lucey et al. 2010): peak and first frames of its labeled sequences, eight emotions", list_ckplus
)
CKPLUS_SEQUENCES = Dataset(
    "video",
    "CK+ (Lucey et al. 2010): labeled sequences from neutral to the peak, eight emotions",
    list_ckplus_sequences,
)
CKPLUS48 = Dataset(
    "image",
    "CK+48: three peak frames a sequence of CK+, cut to 48 x 48, seven emotions without neutral",
    list_ckplus48,
)
