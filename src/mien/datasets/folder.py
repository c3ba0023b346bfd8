"""Any folder of pictures sorted by emotion: ``<emotion>/<file>`` or ``<split>/<emotion>/<file>``.

The form in which most collections are passed on, and in which mien writes its own: then a ``manifest.csv`` at the root
tells what folder names cannot say.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from mien.datasets._files import Found, check_folder, load_faces, picture_list, pictures_below, visible
from mien.datasets.base import FaceData, PictureList
from mien.errors import DatasetError, InputError
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet, canonical
from mien.media.paths import IMAGE_SUFFIXES, shown

__all__ = ["MANIFEST", "index", "load"]

MANIFEST = "manifest.csv"
"""File at the root that, where it lies, names the emotion, subject, clip and split of every picture."""

_COLUMNS = ("file", "emotion")
_SETS = (FER7, FERPLUS8, RAVDESS8)
_EXPECTED = "<emotion>/<file> or <split>/<emotion>/<file>"


def index(path: str | Path) -> PictureList:
    """List the pictures of a folder, without reading them.

    Folders are named after emotions, in any case and with the synonyms of `mien.labels.canonical`; below an emotion,
    pictures may lie as deep as they like.  Splits keep their names, ``""`` stands for none.  Hidden files are passed
    over; so are files beside the folders that are no pictures (notes, licences).

    With a ``manifest.csv`` as `mien data` writes it, its columns ``file`` and ``emotion`` (empty for none) decide, and
    ``subject``, ``clip`` and ``split`` where it has them; pictures keep its order.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.

    Returns
    -------
    PictureList
        Labels index the smallest of ``FER7``, ``FERPLUS8`` and ``RAVDESS8`` that has all emotions present.  Unknown
        folders, files that are no pictures, and what folder and manifest do not agree on are its ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing, none of its folders is named after an emotion, it has no picture or those of one
        emotion only, it has both contempt and calm, or the manifest is no such table.
    """
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    manifest = root / MANIFEST
    found = list(_listed(root, manifest, problems) if manifest.is_file() else _sorted_by_emotion(root, problems))
    return picture_list("folder", root, found, _label_set(found, root, problems), problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read the pictures of a folder whole, as grey squares; for pictures that are cut to the face already.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, as `index` takes it; what `index` calls a problem is left out with one warning.
    split : str, optional
        Keep only this split.
    size : int
        Side of the squares in pixels.
    problems : {"raise", "skip"}
        What to do with a picture that cannot be read.
    progress : callable, optional
        Called with the number of pictures read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, size, size) grey.

    Raises
    ------
    DatasetError
        As `index`; also if there is no such split, or a picture cannot be read.
    """
    return load_faces(index(path), split=split, size=size, problems=problems, progress=progress)


def _sorted_by_emotion(root: Path, problems: list[str]) -> Iterator[Found]:
    """Yield what lies in folders named after emotions."""
    known = False
    for entry in visible(root, root, problems):
        folder, emotion = Path(entry.path), _emotion(entry.name)
        if not entry.is_dir():
            if folder.suffix.lower() in IMAGE_SUFFIXES:
                problems.append(f"{shown(entry.name)}: a picture beside the folders of emotions has no emotion")
        elif emotion:
            known = True
            for file in pictures_below(folder, root, problems):
                yield Found(file, emotion)
        elif any(_emotion(inner.name) and inner.is_dir() for inner in visible(folder, root, [])):
            known = True
            yield from _split(folder, root, problems)
        else:
            problems.append(f"{shown(entry.name)}: neither an emotion nor a split with folders of emotions")
    if not known:
        what = "; ".join(problems[:3]) or "nothing"
        emotions = ", ".join(FER7.emotions)
        raise DatasetError(f"{shown(root)} must hold {_EXPECTED} with emotions such as {emotions}, but has {what}")


def _split(folder: Path, root: Path, problems: list[str]) -> Iterator[Found]:
    for entry in visible(folder, root, problems):
        emotion = _emotion(entry.name)
        name = shown(f"{folder.name}/{entry.name}")
        if emotion and entry.is_dir():
            for file in pictures_below(Path(entry.path), root, problems):
                yield Found(file, emotion, split=folder.name)
        elif entry.is_dir():
            problems.append(f"{name}: not an emotion that mien knows")
        else:
            problems.append(f"{name}: a file beside the folders of emotions has no emotion")


def _emotion(word: str) -> str:
    """Return the noun for an emotion word, or nothing for any other word."""
    try:
        return canonical(word)
    except InputError:
        return ""


def _label_set(found: Sequence[Found], root: Path, problems: Sequence[str]) -> LabelSet:
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(f"{shown(root)} has no pictures of known emotions{f': {what}' if what else ''}")
    present = {one.emotion for one in found if one.emotion}
    if len(present) < 2:
        only = f"only {present.pop()}" if present else "no emotion at all"
        raise DatasetError(f"{shown(root)} must have pictures of at least two emotions, but it has {only}")
    for labels in _SETS:
        if present <= set(labels.emotions):
            return labels
    raise DatasetError(
        f"{shown(root)} has both contempt and calm, which no label set has together: leave one of them out"
    )


# --- the manifest ---------------------------------------------------------------------------------


def _listed(root: Path, manifest: Path, problems: list[str]) -> Iterator[Found]:
    """Yield the pictures that the manifest names and that are there; the rest, either way, are problems."""
    beside = [Path(entry.path) for entry in visible(root, root, problems) if entry.is_dir()]
    there = {file for folder in beside for file in pictures_below(folder, root, problems)}
    there |= {e.name for e in visible(root, root, []) if e.is_file() and Path(e.name).suffix.lower() in IMAGE_SUFFIXES}
    seen: set[str] = set()
    for number, row in enumerate(_rows(manifest), start=2):
        file = str(PurePosixPath(row["file"]))
        word = row["emotion"].strip()
        emotion = _emotion(word)
        where = f"{MANIFEST}, row {number}: "
        if file in seen:
            problems.append(f"{where}{shown(file)} is listed twice")
            continue
        seen.add(file)
        if file not in there:
            problems.append(f"{where}there is no picture {shown(file)}")
        elif word and not emotion:
            problems.append(f"{where}unknown emotion {word[:40]!r} of {shown(file)}")
        else:
            split = row["split"] if "split" in row else _split_of(file)
            yield Found(file, emotion, row.get("subject", ""), row.get("clip", ""), split)
    problems.extend(f"{shown(file)}: not listed in {MANIFEST}" for file in sorted(there - seen))


def _rows(manifest: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a manifest as dictionaries in which every column has a value."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            head = next(reader, [])
            missing = [column for column in _COLUMNS if column not in head]
            if missing:
                raise DatasetError(
                    f"{shown(manifest)} lacks the column {missing[0]}: it has {', '.join(head) or 'none'}"
                )
            for number, values in enumerate(reader, start=2):
                if len(values) != len(head):
                    raise DatasetError(
                        f"{shown(manifest)}, row {number}: expected {len(head)} values, but got {len(values)}"
                    )
                yield dict(zip(head, values, strict=True))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"{shown(manifest)} cannot be read as a table: {error}") from error


def _split_of(file: str) -> str:
    """Return the split that a path tells, ``<split>/<emotion>/...``."""
    folders = PurePosixPath(file).parts[:-1]
    return folders[0] if len(folders) > 1 and not _emotion(folders[0]) and _emotion(folders[1]) else ""
