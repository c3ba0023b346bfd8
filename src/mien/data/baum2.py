"""BAUM-2 (Erdem et al. 2015, doi:10.1007/s11042-014-1986-2): its videos, or the face frames of each.

As published, ``SNNN/avi/NNN.avi`` is a video and ``SNNN/emotion/NNN.txt`` holds its code 0..7 (neutral, anger,
contempt, disgust, fear, happiness, sadness, surprise). Extracted, ``SNNN/NNN/`` holds the face frames of one video, in
the folder itself or in ``frames/``, and ``emotion.txt`` the code: the tree that ``mien data frames`` writes. It is read
as videos (``baum2``) or frame by frame (``baum2_frames``). Frames of a video are nearly alike: whoever divides them
must keep the clip, and better the subject, on one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mien.data.files import check_folder, find_images, list_folder, nothing_found, read_code, sort_frames
from mien.data.registry import Dataset
from mien.data.samples import Row, Samples
from mien.errors import DatasetError, InputError
from mien.io.paths import VIDEO_SUFFIXES, format_path
from mien.labels import BAUM8

__all__ = ["BAUM2", "BAUM2_FRAMES", "FORMS", "LABEL_FILE", "SUBJECT", "list_baum2", "list_baum2_frames"]

FORMS = ("videos", "frames")
"""The published tree, and the extracted one."""

SUBJECT = re.compile(r"S\d+", re.IGNORECASE)
"""How folders of subjects are named."""

LABEL_FILE = "emotion.txt"
"""Where the extracted tree has the code of a video."""

_VIDEOS, _LABELS = "avi", "emotion"
_EXPECTED = {
    "videos": "SNNN/avi/NNN.avi and SNNN/emotion/NNN.txt",
    "frames": "SNNN/NNN/emotion.txt and frames beside it",
}


def list_baum2(path: str | Path, *, form: str | None = None) -> Samples:
    """List the videos of BAUM-2.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds the subjects' folders.
    form : {"videos", "frames"}, optional
        See `FORMS`; needed only where both are there.

    Returns
    -------
    Samples
        Labels in ``BAUM8``, subjects such as ``"S001"``, clips such as ``"S001/003"``, no splits; frames in the order
        of their numbers. Videos without a usable code, or without video file or frame, are left out and named among
        the problems.

    Raises
    ------
    DatasetError
        If the folder is missing, has no video with a code, or holds both forms and ``form`` does not choose.
    InputError
        If there is no such form.
    """
    if form is not None and form not in FORMS:
        raise InputError(f"form must be {' or '.join(FORMS)}, but got {form!r}")
    root = check_folder(path, f"{_EXPECTED['videos']}, or {_EXPECTED['frames']}")
    problems: list[str] = []
    subjects = list(_subjects(root, problems))
    chosen = form or _detect_form(root, subjects)
    list_one = _published if chosen == "videos" else _extracted
    rows = [row for subject in subjects for row in list_one(subject, root, problems)]
    if not rows:
        raise nothing_found(root, _EXPECTED[chosen], problems)
    return Samples.from_rows(rows, name="baum2", kind="video", source=root, label_set=BAUM8, problems=problems)


def list_baum2_frames(path: str | Path) -> Samples:
    """List the frames of the extracted tree of BAUM-2 as images.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds the subjects' folders.

    Returns
    -------
    Samples
        See `list_baum2`.

    Raises
    ------
    DatasetError
        If the folder is missing, or has no frame with a label.
    """
    root = check_folder(path, _EXPECTED["frames"])
    problems: list[str] = []
    videos = [row for subject in _subjects(root, problems) for row in _extracted(subject, root, problems)]
    if not videos:
        raise nothing_found(root, _EXPECTED["frames"], problems)
    rows = [Row(file, row.emotion, row.subject, row.clip) for row in videos for file in sorted(row.frames)]
    return Samples.from_rows(rows, name="baum2_frames", kind="image", source=root, label_set=BAUM8, problems=problems)


def _subjects(root: Path, problems: list[str]) -> Iterator[Path]:
    for entry in list_folder(root, root, problems):
        if not entry.is_dir():
            continue
        if SUBJECT.fullmatch(entry.name):
            yield Path(entry.path)
        else:
            problems.append(f"{format_path(entry.name)}: a folder of a subject is named SNNN")


def _detect_form(root: Path, subjects: list[Path]) -> str:
    published = next((subject for subject in subjects if (subject / _VIDEOS).is_dir()), None)
    extracted = next((one for subject in subjects for one in subject.glob(f"*/{LABEL_FILE}")), None)
    if published is not None and extracted is not None:
        raise DatasetError(
            f"{format_path(root)} holds both videos ({format_path(published.name)}/{_VIDEOS}) and extracted frames "
            f"({format_path(extracted.relative_to(root))}): the option form must say which, videos or frames"
        )
    return "frames" if published is None else "videos"


def _published(subject: Path, root: Path, problems: list[str]) -> Iterator[Row]:
    videos: dict[str, str] = {}
    for entry in list_folder(subject / _VIDEOS, root, problems):
        file = Path(entry.path)
        inside = file.relative_to(root).as_posix()
        if entry.is_dir() or file.suffix.lower() not in VIDEO_SUFFIXES:
            problems.append(f"{format_path(inside)}: not a video (by its name)")
        elif videos.setdefault(file.stem, inside) != inside:
            problems.append(f"{format_path(inside)}: the same clip as {format_path(videos[file.stem])}")
    for stem, video in videos.items():
        label = subject / _LABELS / f"{stem}.txt"
        emotion, reason = read_code(label)
        if reason:
            problems.append(f"{format_path(label.relative_to(root).as_posix())}: {reason}")
        else:
            yield Row(video, emotion, subject.name, f"{subject.name}/{stem}")
    if (subject / _LABELS).is_dir():
        for entry in list_folder(subject / _LABELS, root, problems):
            stem = Path(entry.name).stem
            if stem not in videos:
                name = format_path(f"{subject.name}/{_LABELS}/{entry.name}")
                problems.append(f"{name}: there is no video {format_path(stem)}")


def _extracted(subject: Path, root: Path, problems: list[str]) -> Iterator[Row]:
    for entry in list_folder(subject, root, problems):
        name = f"{subject.name}/{entry.name}"
        label = f"{format_path(f'{name}/{LABEL_FILE}')}: "
        if not entry.is_dir():
            problems.append(f"{format_path(name)}: a file beside the folders of clips")
            continue
        emotion, reason = read_code(Path(entry.path) / LABEL_FILE)
        if reason:
            problems.append(label + reason)
            continue
        notes: list[str] = []
        frames = sort_frames(list(find_images(Path(entry.path), root, notes)))
        problems.extend(line for line in notes if not line.startswith(label))
        if frames:
            yield Row(Path(frames[0]).parent.as_posix(), emotion, subject.name, name, frames=tuple(frames))
        else:
            problems.append(f"{format_path(name)}: the clip has no frame")


BAUM2 = Dataset(
    "video",
    "BAUM-2 (Erdem et al. 2015): videos by subject, or the face frames extracted from them, eight emotions",
    list_baum2,
)
BAUM2_FRAMES = Dataset(
    "image", "BAUM-2 (Erdem et al. 2015): face frames of video clips by subject, eight emotions", list_baum2_frames
)
