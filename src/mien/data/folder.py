"""Any folder of images sorted by emotion: ``<emotion>/<file>`` or ``<split>/<emotion>/<file>``.

The form in which most collections are passed on, and in which mien writes its own: then a ``manifest.csv`` at the root
tells what folder names cannot say.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from mien.data._files import Found, check_folder, image_list, images_below, load_faces, visible
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError, InputError
from mien.io.paths import IMAGE_SUFFIXES, format_path
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet, canonical

__all__ = ["MANIFEST", "index", "load"]

MANIFEST = "manifest.csv"
"""File at the root that, where it lies, names the emotion, subject, clip and split of every image."""

_COLUMNS = ("file", "emotion")
_SETS = (FER7, FERPLUS8, RAVDESS8)
_EXPECTED = "<emotion>/<file> or <split>/<emotion>/<file>"


def index(path: str | Path) -> ImageList:
    """List the images of a folder, without reading them.

    Folders are named after emotions, in any case and with the synonyms of `mien.labels.canonical`; below an emotion,
    images may lie as deep as they like.  Splits keep their names, ``""`` stands for none.  Hidden files are passed
    over; so are files beside the folders that are no images (notes, licenses).

    With a ``manifest.csv`` as `mien data` writes it, its columns ``file`` and ``emotion`` (empty for none) decide, and
    ``subject``, ``clip`` and ``split`` where it has them; images keep its order.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.

    Returns
    -------
    ImageList
        Labels index the smallest of ``FER7``, ``FERPLUS8`` and ``RAVDESS8`` that has all emotions present.  Unknown
        folders, files that are no images, and what folder and manifest do not agree on are its ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing, none of its folders is named after an emotion, it has no image or those of one
        emotion only, it has both contempt and calm, or the manifest is no such table.
    """
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    manifest = root / MANIFEST
    found = list(_listed(root, manifest, problems) if manifest.is_file() else _sorted_by_emotion(root, problems))
    return image_list("folder", root, found, _label_set(found, root, problems), problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
) -> FaceData:
    """Read the images of a folder whole, as gray squares; for images that are cut to the face already.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, as `index` takes it; what `index` calls a problem is left out with one warning.
    split : str, optional
        Keep only this split.
    size : int
        Side of the squares in pixels.
    problems : {"raise", "skip"}
        What to do with an image that cannot be read.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, size, size) gray.

    Raises
    ------
    DatasetError
        As `index`; also if there is no such split, or an image cannot be read.
    """
    return load_faces(index(path), split=split, size=size, problems=problems, progress=progress)


def _sorted_by_emotion(root: Path, problems: list[str]) -> Iterator[Found]:
    """Yield what lies in folders named after emotions."""
    known = False
    for entry in visible(root, root, problems):
        folder, emotion = Path(entry.path), _emotion(entry.name)
        if not entry.is_dir():
            if folder.suffix.lower() in IMAGE_SUFFIXES:
                problems.append(f"{format_path(entry.name)}: an image beside the folders of emotions has no emotion")
        elif emotion:
            known = True
            for file in images_below(folder, root, problems):
                yield Found(file, emotion)
        elif any(_emotion(inner.name) and inner.is_dir() for inner in visible(folder, root, [])):
            known = True
            yield from _split(folder, root, problems)
        else:
            problems.append(f"{format_path(entry.name)}: neither an emotion nor a split with folders of emotions")
    if not known:
        what = "; ".join(problems[:3]) or "nothing"
        emotions = ", ".join(FER7.emotions)
        raise DatasetError(
            f"{format_path(root)} must hold {_EXPECTED} with emotions such as {emotions}, but has {what}"
        )


def _split(folder: Path, root: Path, problems: list[str]) -> Iterator[Found]:
    for entry in visible(folder, root, problems):
        emotion = _emotion(entry.name)
        name = format_path(f"{folder.name}/{entry.name}")
        if emotion and entry.is_dir():
            for file in images_below(Path(entry.path), root, problems):
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
        raise DatasetError(f"{format_path(root)} has no images of known emotions{f': {what}' if what else ''}")
    present = {one.emotion for one in found if one.emotion}
    if len(present) < 2:
        only = f"only {present.pop()}" if present else "no emotion at all"
        raise DatasetError(f"{format_path(root)} must have images of at least two emotions, but it has {only}")
    for labels in _SETS:
        if present <= set(labels.emotions):
            return labels
    raise DatasetError(
        f"{format_path(root)} has both contempt and calm, which no label set has together: leave one of them out"
    )


# --- the manifest ---------------------------------------------------------------------------------


def _listed(root: Path, manifest: Path, problems: list[str]) -> Iterator[Found]:
    """Yield the images that the manifest names and that are there; the rest, either way, are problems."""
    beside = [Path(entry.path) for entry in visible(root, root, problems) if entry.is_dir()]
    there = {file for folder in beside for file in images_below(folder, root, problems)}
    there |= {e.name for e in visible(root, root, []) if e.is_file() and Path(e.name).suffix.lower() in IMAGE_SUFFIXES}
    seen: set[str] = set()
    for number, row in enumerate(_rows(manifest), start=2):
        file = str(PurePosixPath(row["file"]))
        word = row["emotion"].strip()
        emotion = _emotion(word)
        where = f"{MANIFEST}, row {number}: "
        if file in seen:
            problems.append(f"{where}{format_path(file)} is listed twice")
            continue
        seen.add(file)
        if file not in there:
            problems.append(f"{where}there is no image {format_path(file)}")
        elif word and not emotion:
            problems.append(f"{where}unknown emotion {word[:40]!r} of {format_path(file)}")
        else:
            split = row["split"] if "split" in row else _split_of(file)
            yield Found(file, emotion, row.get("subject", ""), row.get("clip", ""), split)
    problems.extend(f"{format_path(file)}: not listed in {MANIFEST}" for file in sorted(there - seen))


def _rows(manifest: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a manifest as dictionaries in which every column has a value."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            head = next(reader, [])
            missing = [column for column in _COLUMNS if column not in head]
            if missing:
                raise DatasetError(
                    f"{format_path(manifest)} lacks the column {missing[0]}: it has {', '.join(head) or 'none'}"
                )
            for number, values in enumerate(reader, start=2):
                if len(values) != len(head):
                    raise DatasetError(
                        f"{format_path(manifest)}, row {number}: expected {len(head)} values, but got {len(values)}"
                    )
                yield dict(zip(head, values, strict=True))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"{format_path(manifest)} cannot be read as a table: {error}") from error


def _split_of(file: str) -> str:
    """Return the split that a path tells, ``<split>/<emotion>/...``."""
    folders = PurePosixPath(file).parts[:-1]
    return folders[0] if len(folders) > 1 and not _emotion(folders[0]) and _emotion(folders[1]) else ""
