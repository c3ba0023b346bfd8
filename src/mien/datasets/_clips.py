"""From what a corpus tells of its clips to `FilmClips`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mien.datasets._files import visible
from mien.datasets.baum2_frames import _SUBJECT
from mien.datasets.ckplus import _IMAGES
from mien.datasets.films import FilmClips
from mien.datasets.ravdess import _NAME
from mien.labels import LabelSet
from mien.media.paths import IMAGE_SUFFIXES, shown

__all__ = ["FILM_SUFFIXES", "Clip", "clips_below", "corpus_at", "film_clips", "in_order"]

FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".ogv"}
)
"""Lower-case suffixes of films in a corpus."""

_DIGITS = re.compile(r"(\d+)")


class Clip(NamedTuple):
    """One clip and what is known about it; an empty word means that it is not known."""

    name: str
    files: tuple[str, ...]
    film: bool
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

    A film is a clip, and so are the pictures of a folder without films, in the order of their numbers.  Other files are
    passed over, as are pictures in ``root`` itself: tables, notes, posters and subtitles lie beside films.

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
        Path of the film, or of the folder of the pictures.
    files : tuple of str
        The film, or the pictures.
    """
    pictures: list[str] = []
    films = False
    for entry in visible(folder, root, problems):
        inside = Path(entry.path).relative_to(root).as_posix()
        suffix = Path(entry.name).suffix.lower()
        if entry.is_dir(follow_symlinks=False):
            yield from clips_below(Path(entry.path), root, problems)
        elif entry.is_dir():
            problems.append(f"{shown(inside)}: a linked folder is not entered")
        elif suffix in FILM_SUFFIXES:
            films = True
            yield inside, (inside,)
        elif suffix in IMAGE_SUFFIXES:
            pictures.append(inside)
    if pictures and not films and folder != root:
        yield folder.relative_to(root).as_posix(), tuple(in_order(pictures))


def film_clips(name: str, root: Path, found: Sequence[Clip], labels: LabelSet, problems: Sequence[str]) -> FilmClips:
    """Return a list of clips; an empty emotion is the label -1."""
    return FilmClips(
        name=name,
        source=str(root),
        files=tuple(clip.files for clip in found),
        films=np.array([clip.film for clip in found], dtype=np.bool_),
        labels=np.array([labels.index(clip.emotion) if clip.emotion else -1 for clip in found], dtype=np.int64),
        label_set=labels,
        clips=np.array([clip.name for clip in found], dtype=np.str_),
        subjects=np.array([clip.subject for clip in found], dtype=np.str_),
        splits=np.array([clip.split for clip in found], dtype=np.str_),
        problems=tuple(problems),
    )


def corpus_at(path: str | Path) -> str:
    """Return which corpus of `mien.datasets.films.FILM_DATASETS` a folder looks like; ``film_folder`` in doubt.

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
    return "ravdess_films" if _NAME.search(Path(place).name) else "film_folder"
