"""From a folder of recordings to a `ClipList`: what all corpora that tell everything by file names share."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mien.data.speech import ClipList
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import LabelSet, canonical

__all__ = ["COPY", "METHODS", "Clip", "Left", "Wrong", "gather", "listed", "split_of", "stem_of"]

_SUFFIXES = frozenset(
    {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff", ".au"}
    | {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg"}
)
"""Lower-case suffixes of recordings, and of videos with sound."""

COPY = "__"
"""Stands in file names between the original's name and how a copy was made of it: ``03a01Fa__pitch+2.flac``."""

METHODS = ("stretch", "pitch", "noise")
"""How copies are made; what else stands behind two underscores belongs to a name."""

_MADE = re.compile(rf"(.+){COPY}((?:{'|'.join(METHODS)})[-+.0-9e]+)")

_SPLITS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
"""Folders that name a split, in lower case."""


class Wrong(Exception):  # noqa: N818 - caught where it is raised, and shown as a line
    """A file's name says what cannot be; the message says why.  It becomes a problem of its own."""


class Left(Exception):  # noqa: N818
    """A clip is of a kind that is left out; the message names the kind.  Problems count each kind."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What a file's name tells; see `ClipList`."""

    emotion: str
    clip: str
    subject: str = ""
    sex: str = ""
    split: str = ""
    intensity: str = ""
    statement: str = ""
    method: str = ""


def _sound_files(path: str | Path, problems: list[str]) -> list[str]:
    """Return the recordings in a folder and its folders, relative to it, sorted; hidden names are left out.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    problems : list of str
        Gets a line for each folder that cannot be opened.

    Raises
    ------
    DatasetError
        If there is no such folder, or no recording in it.
    """
    root = Path(path)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DatasetError(f"expected a folder of recordings, but {format_path(path)} {what}")
    found = sorted(_walk(root, problems))
    if not found:
        raise DatasetError(
            f"no recording in {format_path(path)}: expected files that end in {', '.join(sorted(_SUFFIXES))}"
        )
    return found


def _walk(root: Path, problems: list[str]) -> Iterator[str]:
    def closed(error: OSError) -> None:
        problems.append(f"{format_path(error.filename)}: cannot be opened: {error.strerror}")

    for folder, below, names in os.walk(root, onerror=closed):
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = Path(folder).relative_to(root)
        for name in names:
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() in _SUFFIXES:
                yield (inside / name).as_posix()


def stem_of(file: str) -> tuple[str, str]:
    """Return the original's name without suffix, and how the file was made of it (empty for an original)."""
    name = PurePosixPath(file).name
    stem = name[: len(name) - len(PurePosixPath(name).suffix)]
    match = _MADE.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, "")


def split_of(file: str) -> str:
    """Return the split that a file's first folder names, or an empty string."""
    return _SPLITS.get(PurePosixPath(file).parts[0].lower(), "")


def gather(
    name: str,
    path: str | Path,
    label_set: LabelSet,
    tell: Callable[[str], Clip | None],
) -> ClipList:
    """List a folder's recordings by what their names tell.

    Parameters
    ----------
    name : str
        Name of the corpus.
    path : str or pathlib.Path
        The folder.
    label_set : LabelSet
        Emotions of the corpus; others are left out and counted.
    tell : callable
        Takes a relative path and returns what it tells, or None for what a filter excludes.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no clip of the corpus.
    """
    problems: list[str] = []
    rows: list[tuple[str, Clip]] = []
    left: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    excluded = 0
    for file in _sound_files(path, problems):
        try:
            clip = tell(file)
        except Wrong as error:
            problems.append(f"{format_path(file)}: {error}")
            continue
        except Left as error:
            left[str(error)] += 1
            continue
        if clip is None:
            excluded += 1
            continue
        # Some collections hold the whole corpus twice, in two folders.
        key = (PurePosixPath(file).stem.lower(), clip.subject, clip.clip, clip.split)
        if key in seen:
            left["second copies of a file"] += 1
            continue
        seen.add(key)
        rows.append((file, clip))
    problems += [f"{count} left out: {kind}" for kind, count in sorted(left.items())]
    if not rows:
        why = problems[0] if problems else f"the filters exclude all {excluded} recordings"
        raise DatasetError(f"no clip of {name} in {format_path(path)}: {why}")
    return listed(name, path, rows, label_set, problems)


def listed(
    name: str, path: str | Path, rows: list[tuple[str, Clip]], label_set: LabelSet, problems: list[str]
) -> ClipList:
    """Return rows of file and annotations as a list; emotions outside the label set are left out and counted.

    Raises
    ------
    DatasetError
        If no row is left.
    """
    kept: list[tuple[str, Clip, int]] = []
    outside: Counter[str] = Counter()
    for file, clip in rows:
        label = _label(clip.emotion, label_set)
        if label is None:
            outside[clip.emotion] += 1
        else:
            kept.append((file, clip, label))
    problems = problems + [
        f"{n} left out: {format_path(what)} is not in {label_set.name}" for what, n in outside.items()
    ]
    if not kept:
        raise DatasetError(f"no clip of {name} in {format_path(path)}: {problems[0]}")
    clips = [clip for _, clip, _ in kept]
    return ClipList(
        name=name,
        source=str(path),
        files=tuple(file for file, _, _ in kept),
        labels=np.array([label for _, _, label in kept], dtype=np.int64),
        label_set=label_set,
        subjects=np.array([clip.subject for clip in clips]),
        sexes=np.array([clip.sex for clip in clips]),
        clips=np.array([clip.clip for clip in clips]),
        splits=np.array([clip.split for clip in clips]),
        intensities=np.array([clip.intensity for clip in clips]),
        statements=np.array([clip.statement for clip in clips]),
        methods=np.array([clip.method for clip in clips]),
        problems=tuple(problems),
    )


def _label(emotion: str, label_set: LabelSet) -> int | None:
    """Return the index of an emotion, -1 for an empty one, None for one that the set lacks."""
    if not emotion:
        return -1
    try:
        word = canonical(emotion)
    except InputError:
        return None
    return label_set.emotions.index(word) if word in label_set.emotions else None
