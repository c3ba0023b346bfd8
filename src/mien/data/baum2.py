"""Clips of BAUM-2 (Erdem et al. 2015, doi:10.1007/s11042-014-1986-2): its videos, or the face frames of each.

As published, ``SNNN/avi/NNN.avi`` is a video and ``SNNN/emotion/NNN.txt`` holds its code 0..7 (neutral, anger,
contempt,
disgust, fear, happiness, sadness, surprise).  Extracted, ``SNNN/NNN/`` holds the face frames of one video, in the
folder
itself or in ``frames/``, and ``emotion.txt`` the code: the tree that ``mien data frames`` writes.  The frames one by
one are the data set `mien.data.baum2_frames`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mien.data._clips import VIDEO_SUFFIXES, Clip, in_order, video_clips
from mien.data._files import check_folder, images_below, visible
from mien.data.baum2_frames import _LABEL_FILE, _SUBJECT, _label
from mien.data.videos import VideoClips
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import BAUM8

__all__ = ["FORMS", "index"]

FORMS = ("videos", "frames")
"""The published tree, and the extracted one."""

_VIDEOS, _LABELS = "avi", "emotion"
_EXPECTED = {
    "videos": "SNNN/avi/NNN.avi and SNNN/emotion/NNN.txt",
    "frames": "SNNN/NNN/emotion.txt and frames beside it",
}


def index(path: str | Path, *, form: str | None = None) -> VideoClips:
    """List the clips, without reading them.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds the subjects' folders.
    form : {"videos", "frames"}, optional
        See `FORMS`; needed only where both are there.

    Returns
    -------
    VideoClips
        Labels in ``BAUM8``, subjects such as ``"S001"``, clips such as ``"S001/003"``, no splits; frames in the order
        of their numbers.  Clips without a usable code, or without video or frame, are left out and named in its
        ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing, has no clip with a code, or holds both forms and ``form`` does not choose.
    InputError
        If there is no such form.
    """
    if form is not None and form not in FORMS:
        raise InputError(f"form must be {' or '.join(FORMS)}, but got {form!r}")
    root = check_folder(path, f"{_EXPECTED['videos']}, or {_EXPECTED['frames']}")
    problems: list[str] = []
    subjects = list(_subjects(root, problems))
    chosen = form or _form(root, subjects)
    tell = _published if chosen == "videos" else _extracted
    found = [clip for subject in subjects for clip in tell(subject, root, problems)]
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(
            f"{format_path(root)} must hold {_EXPECTED[chosen]}, but has no such clip{f': {what}' if what else ''}"
        )
    return video_clips("baum2", root, found, BAUM8, problems)


def _subjects(root: Path, problems: list[str]) -> Iterator[Path]:
    for entry in visible(root, root, problems):
        if not entry.is_dir():
            continue
        if _SUBJECT.fullmatch(entry.name):
            yield Path(entry.path)
        else:
            problems.append(f"{format_path(entry.name)}: a folder of a subject is named SNNN")


def _form(root: Path, subjects: list[Path]) -> str:
    published = next((subject for subject in subjects if (subject / _VIDEOS).is_dir()), None)
    extracted = next((one for subject in subjects for one in subject.glob(f"*/{_LABEL_FILE}")), None)
    if published is not None and extracted is not None:
        raise DatasetError(
            f"{format_path(root)} holds both videos ({format_path(published.name)}/{_VIDEOS}) and extracted frames "
            f"({format_path(extracted.relative_to(root))}): the option form must say which, videos or frames"
        )
    return "frames" if published is None else "videos"


def _published(subject: Path, root: Path, problems: list[str]) -> Iterator[Clip]:
    videos: dict[str, str] = {}
    for entry in visible(subject / _VIDEOS, root, problems):
        file = Path(entry.path)
        inside = file.relative_to(root).as_posix()
        if entry.is_dir() or file.suffix.lower() not in VIDEO_SUFFIXES:
            problems.append(f"{format_path(inside)}: not a video (by its name)")
        elif videos.setdefault(file.stem, inside) != inside:
            problems.append(f"{format_path(inside)}: the same clip as {format_path(videos[file.stem])}")
    for stem, video in videos.items():
        label = subject / _LABELS / f"{stem}.txt"
        emotion, reason = _label(label)
        if reason:
            problems.append(f"{format_path(label.relative_to(root).as_posix())}: {reason}")
        else:
            yield Clip(f"{subject.name}/{stem}", (video,), True, emotion, subject.name)
    if (subject / _LABELS).is_dir():
        for entry in visible(subject / _LABELS, root, problems):
            stem = Path(entry.name).stem
            if stem not in videos:
                problems.append(
                    f"{format_path(f'{subject.name}/{_LABELS}/{entry.name}')}: there is no video {format_path(stem)}"
                )


def _extracted(subject: Path, root: Path, problems: list[str]) -> Iterator[Clip]:
    for entry in visible(subject, root, problems):
        name = f"{subject.name}/{entry.name}"
        if not entry.is_dir():
            problems.append(f"{format_path(name)}: a file beside the folders of clips")
            continue
        folder = Path(entry.path)
        emotion, reason = _label(folder / _LABEL_FILE)
        if reason:
            problems.append(f"{format_path(f'{name}/{_LABEL_FILE}')}: {reason}")
            continue
        noticed: list[str] = []
        frames = in_order(list(images_below(folder, root, noticed)))
        label_line = f"{format_path(f'{name}/{_LABEL_FILE}')}: "
        problems.extend(line for line in noticed if not line.startswith(label_line))
        if frames:
            yield Clip(name, tuple(frames), False, emotion, subject.name)
        else:
            problems.append(f"{format_path(name)}: the clip has no frame")
