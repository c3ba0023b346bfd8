"""From what a corpus tells of its clips to `VideoClips`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mien.data._files import visible
from mien.data.baum2_frames import _SUBJECT
from mien.data.ckplus import _IMAGES
from mien.data.ravdess import _NAME
from mien.data.videos import VideoClips
from mien.io.paths import IMAGE_SUFFIXES, format_path
from mien.labels import LabelSet

__all__ = ["VIDEO_SUFFIXES", "Clip", "clips_below", "corpus_at", "in_order", "video_clips"]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".ogv"}
)
"""Lower-case suffixes of videos in a corpus."""

_DIGITS = re.compile(r"(\d+)")


class Clip(NamedTuple):
    """One clip and what is known about it; an empty word means that it is not known."""

    name: str
    files: tuple[str, ...]
    video: bool
    emotion: str
    subject: str = ""
    split: str = ""


def in_order(files: Sequence[str]) -> list[str]:
    """Return the frames of a clip in the order of the numbers in their names: ``9.jpg`` before ``10.jpg``."""
    return sorted(files, key=_places)


def _places(file: str) -> tuple[tuple[int, str], ...]:
    # Splitting by a group puts digits at odd places, so that numbers are only ever compared with numbers.
    return tuple((int(part), part) if place % 2 else (0, part) for place, part in enumerate(_DIGITS.split(file)))


def clips_below(folder: Path, root: Path, problems: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what may be a clip in a folder and in all folders in it, by name.

    A video is a clip, and so are the images of a folder without videos, in the order of their numbers.  Other files are
    passed over, as are images in ``root`` itself: tables, notes, posters and subtitles lie beside videos.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    root : pathlib.Path
        What paths are relative to.
    problems : list of str
        Gets a line for each folder that is linked (it could lead in a circle) or cannot be opened.

    Yields
    ------
    place : str
        Path of the video, or of the folder of the images.
    files : tuple of str
        The video, or the images.
    """
    images: list[str] = []
    videos = False
    for entry in visible(folder, root, problems):
        inside = Path(entry.path).relative_to(root).as_posix()
        suffix = Path(entry.name).suffix.lower()
        if entry.is_dir(follow_symlinks=False):
            yield from clips_below(Path(entry.path), root, problems)
        elif entry.is_dir():
            problems.append(f"{format_path(inside)}: a linked folder is not entered")
        elif suffix in VIDEO_SUFFIXES:
            videos = True
            yield inside, (inside,)
        elif suffix in IMAGE_SUFFIXES:
            images.append(inside)
    if images and not videos and folder != root:
        yield folder.relative_to(root).as_posix(), tuple(in_order(images))


def video_clips(name: str, root: Path, found: Sequence[Clip], labels: LabelSet, problems: Sequence[str]) -> VideoClips:
    """Return a list of clips; an empty emotion is the label -1."""
    return VideoClips(
        name=name,
        source=str(root),
        files=tuple(clip.files for clip in found),
        videos=np.array([clip.video for clip in found], dtype=np.bool_),
        labels=np.array([labels.index(clip.emotion) if clip.emotion else -1 for clip in found], dtype=np.int64),
        label_set=labels,
        clips=np.array([clip.name for clip in found], dtype=np.str_),
        subjects=np.array([clip.subject for clip in found], dtype=np.str_),
        splits=np.array([clip.split for clip in found], dtype=np.str_),
        problems=tuple(problems),
    )


def corpus_at(path: str | Path) -> str:
    """Return which corpus of `mien.data.videos.VIDEO_DATASETS` a folder looks like; ``video_folder`` in doubt.

    Only names are looked at.
    """
    root = Path(path)
    if any((root / name).is_dir() for name in _IMAGES) or root.name in _IMAGES:
        return "ckplus_sequences"
    problems: list[str] = []
    for entry in visible(root, root, problems):
        if entry.is_dir() and _SUBJECT.fullmatch(entry.name):
            inside = Path(entry.path)
            if (inside / "avi").is_dir() or any(inside.glob("*/emotion.txt")):
                return "baum2"
    place = next((place for place, files in clips_below(root, root, problems) if files == (place,)), "")
    return "ravdess_videos" if _NAME.search(Path(place).name) else "video_folder"
