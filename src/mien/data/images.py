"""Datasets of images in files: any folder by emotion, JAFFE, photographs, IEFDB or any with a table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mien.data.annotations import TABLE_SUFFIXES, FileNames, find_given, match_files, read_annotations
from mien.data.files import (
    MANIFEST,
    ClassWords,
    check_folder,
    compile_pattern,
    emotion_of,
    find_images,
    list_folder,
    match_pattern,
    nothing_found,
    own_label_set,
    read_manifest,
    smallest_label_set,
    split_of,
)
from mien.data.registry import Dataset
from mien.data.samples import Row, Samples
from mien.errors import DatasetError, InputError
from mien.io.paths import IMAGE_SUFFIXES, format_path
from mien.labels import FER7, LabelSet
from mien.labels import label_set as label_set_of

__all__ = [
    "FOLDER",
    "IEFDB",
    "JAFFE",
    "JAFFE_EXPRESSIONS",
    "PHOTOGRAPHS",
    "list_folder_images",
    "list_iefdb",
    "list_jaffe",
    "list_photographs",
]

# --- any folder by emotion ----------------------------------------------------------------------------

_FOLDER = "<emotion>/<file> or <split>/<emotion>/<file>"


def list_folder_images(path: str | Path, *, subject: str | None = None, classes: str | None = None) -> Samples:
    """List the images of a folder sorted by emotion: ``<emotion>/<file>`` or ``<split>/<emotion>/<file>``.

    The form in which most collections are passed on. Folders are named after emotions, in any case and with the
    synonyms of `mien.labels.canonical`; below an emotion, images may lie as deep as they like. Splits keep their names,
    ``""`` stands for none. Hidden files are passed over; so are files beside the folders that are no images (notes,
    licenses). Where no folder is named after an emotion, the folders are classes of your own (bored, engaged).

    With a ``manifest.csv`` as `mien data` writes it, its columns ``file`` and ``emotion`` (empty for none) decide, and
    ``subject``, ``clip`` and ``split`` where it has them; images keep its order.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    subject : str, optional
        Pattern (regular expression) that finds the subject in the relative path: its first group, or all it matches.
        Not for manifests with a column ``subject``.
    classes : str, optional
        What folders (or the words of the manifest) mean: words and ``WORD:CLASS`` between commas, such as
        ``1:surprise,2:fear`` or ``bored,engaged``, or ``raf-db`` or ``affectnet`` for their numbers; others are left
        out.

    Returns
    -------
    Samples
        Labels index the smallest of ``FER7``, ``FERPLUS8`` and ``RAVDESS8`` that has all emotions present, or a set of
        your own classes. Unknown
        folders, files that are no images, and what folder and manifest do not agree on are its ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing, no image lies in a folder, it has those of one emotion only or both contempt and calm,
        its folders are numbers without ``classes``, or the manifest is no such table.
    InputError
        If the pattern or ``classes`` is wrong.
    """
    root = check_folder(path, _FOLDER)
    pattern, words = compile_pattern(subject), ClassWords.parse(classes)
    problems: list[str] = []
    manifest = root / MANIFEST
    if manifest.is_file():
        rows = list(_listed(root, manifest, problems, words, pattern))
    else:
        rows = [
            replace(row, subject=match_pattern(pattern, row.file)) for row in _sorted_by_class(root, problems, words)
        ]
    if not rows:
        raise nothing_found(root, "images of known emotions", problems)
    label_set = _label_set({row.emotion for row in rows} - {""}, root)
    return Samples.from_rows(rows, name="folder", kind="image", source=root, label_set=label_set, problems=problems)


def _label_set(present: set[str], root: Path) -> LabelSet:
    if len(present) < 2:
        only = f"only {present.pop()}" if present else "no emotion at all"
        raise DatasetError(f"{format_path(root)} must have images of at least two emotions, but it has {only}")
    labels = smallest_label_set(present)
    if any(not emotion_of(word) for word in present):
        labels = own_label_set(tuple(sorted(present)))
    if not present <= set(labels.emotions):
        raise DatasetError(
            f"{format_path(root)} has both contempt and calm, which no label set has together: leave one of them out"
        )
    return labels


def _sorted_by_class(root: Path, problems: list[str], words: ClassWords) -> Iterator[Row]:
    """Yield what lies in folders named after classes."""
    found = False
    entries = list_folder(root, root, problems)
    folders = [entry for entry in entries if entry.is_dir() and next(find_images(Path(entry.path), root, []), None)]
    inner = [[part.name for part in list_folder(Path(f.path), root, []) if part.is_dir()] for f in folders]
    has_splits = all(inner) and any(split_of(f"{f.name}/x") for f in folders)
    words = words.or_own([name for names in inner for name in names] if has_splits else [f.name for f in folders])
    for entry in entries:
        folder, emotion = Path(entry.path), "" if has_splits else words(entry.name)
        if not entry.is_dir():
            if folder.suffix.lower() in IMAGE_SUFFIXES:
                problems.append(f"{format_path(entry.name)}: an image beside the folders of emotions has no emotion")
        elif emotion:
            found = True
            for file in find_images(folder, root, problems):
                yield Row(file, emotion)
        elif any(words(part.name) and part.is_dir() for part in list_folder(folder, root, [])):
            found = True
            yield from _split_by_class(folder, root, problems, words)
        else:
            problems.append(f"{format_path(entry.name)}: neither an emotion nor a split with folders of emotions")
    if not found:
        emotions = ", ".join(FER7.emotions)
        raise nothing_found(root, f"{_FOLDER} with emotions such as {emotions}", problems)


def _split_by_class(folder: Path, root: Path, problems: list[str], words: ClassWords) -> Iterator[Row]:
    for entry in list_folder(folder, root, problems):
        emotion = words(entry.name)
        name = format_path(f"{folder.name}/{entry.name}")
        if emotion and entry.is_dir():
            for file in find_images(Path(entry.path), root, problems):
                yield Row(file, emotion, split=folder.name)
        elif entry.is_dir():
            problems.append(f"{name}: not an emotion that mien knows")
        else:
            problems.append(f"{name}: a file beside the folders of emotions has no emotion")


def _listed(
    root: Path, manifest: Path, problems: list[str], words: ClassWords, pattern: re.Pattern[str] | None
) -> Iterator[Row]:
    """Yield the images that the manifest names and that are there; the rest, either way, are problems."""
    table = list(read_manifest(manifest))
    words = words.or_own(row["emotion"] for _, row in table)
    if pattern is not None and any(row.get("subject") for _, row in table):
        raise InputError(f"{format_path(manifest)} names the subjects: subject must not be given")
    entries = list_folder(root, root, problems)
    there = {file for entry in entries if entry.is_dir() for file in find_images(Path(entry.path), root, problems)}
    there |= {e.name for e in entries if e.is_file() and Path(e.name).suffix.lower() in IMAGE_SUFFIXES}
    listed: set[str] = set()
    for number, row in table:
        file = str(PurePosixPath(row["file"]))
        word = row["emotion"].strip()
        emotion = words(word)
        where = f"{MANIFEST}, row {number}: "
        if file in listed:
            problems.append(f"{where}{format_path(file)} is listed twice")
            continue
        listed.add(file)
        if file not in there:
            problems.append(f"{where}there is no image {format_path(file)}")
        elif word and not emotion:
            problems.append(f"{where}unknown emotion {word[:40]!r} of {format_path(file)}")
        else:
            split = row["split"] if "split" in row else _split_in_path(file, words)
            subject = row.get("subject") or match_pattern(pattern, file)
            yield Row(file, emotion, subject, row.get("clip", ""), split, crop=row.get("crop", ""))
    problems.extend(f"{format_path(file)}: not listed in {MANIFEST}" for file in sorted(there - listed))


def _split_in_path(file: str, words: ClassWords) -> str:
    """Return the split of ``<split>/<class>/...``, whatever its name."""
    folders = PurePosixPath(file).parts[:-1]
    return folders[0] if len(folders) > 1 and not words(folders[0]) and words(folders[1]) else ""


# --- JAFFE --------------------------------------------------------------------------------------------

JAFFE_EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
"""The letters of a name and what they mean (the dataset's own README)."""

_JAFFE_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})(\d+)\.(\d+)", re.ASCII)
_JAFFE = "images named like KA.AN1.39.tiff"


def list_jaffe(path: str | Path) -> Samples:
    """List the images of JAFFE (Lyons et al. 1998, doi:10.1109/AFGR.1998.670949).

    The published files (doi:10.5281/zenodo.3451524) are 256 x 256 gray and lie in one folder; a name like
    ``KA.AN1.39.tiff`` says subject, expression with the number of its pose, and number of the image. They show head and
    hair: run ``mien data prepare`` on them first (it finds, turns and cuts the faces); read whole, they give lower
    figures.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, or one above it; images may be converted to another format.

    Returns
    -------
    Samples
        Labels in ``FER7``, subjects by their two letters, no clips, no splits. Names that do not fit, and second
        formats of an image, are among the problems.

    Raises
    ------
    DatasetError
        If there is no such folder, or no name in it fits.
    """
    root = check_folder(path, _JAFFE)
    problems: list[str] = []
    rows: list[Row] = []
    first: dict[str, str] = {}
    for file in find_images(root, root, problems):
        stem = PurePosixPath(file).stem.upper()
        parts = _JAFFE_NAME.fullmatch(stem)
        if parts is None:
            problems.append(f"{format_path(file)}: the name is not of the form KA.AN1.39")
        elif parts[2] not in JAFFE_EXPRESSIONS:
            known = ", ".join(JAFFE_EXPRESSIONS)
            problems.append(f"{format_path(file)}: expected one of {known} in the name, but got {parts[2]}")
        elif first.setdefault(stem, file) != file:
            problems.append(f"{format_path(file)}: the same image as {format_path(first[stem])}")
        else:
            rows.append(Row(file, JAFFE_EXPRESSIONS[parts[2]], parts[1]))
    if not rows:
        raise nothing_found(root, _JAFFE, problems)
    return Samples.from_rows(rows, name="jaffe", kind="image", source=root, label_set=FER7, problems=problems)


# --- IEFDB --------------------------------------------------------------------------------------------

_IEFDB = "images, and a table (CSV or XLSX) that names file and emotion"


def list_iefdb(
    path: str | Path,
    *,
    table: str | Path | None = None,
    file_column: str | None = None,
    emotion_column: str | None = None,
    subject_column: str | None = None,
    sheet: str | None = None,
    label_set: str | None = None,
    classes: str | None = None,
) -> Samples:
    """List the images of IEFDB, the Iranian Emotional Face Database, that its table gives an emotion.

    Its copies differ in names and columns, so nothing is fixed here but that there is a table: options name it and its
    columns where they do not have common names. Any other folder with a table of labels reads the same way.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder of the images, in whatever folders inside.
    table : str or pathlib.Path, optional
        The table, relative to where the program runs or to ``path``; by default the only CSV, TSV or XLSX file in the
        folder.
    file_column, emotion_column, subject_column : str, optional
        Names of columns; by default found by common names (such as ``file``, ``emotion``, ``subject``). Subjects are
        empty where there is no column.
    sheet : str, optional
        Sheet of an XLSX table; by default the first.
    label_set : str, optional
        Name of the label set (see `mien.labels.LABEL_SETS`), by default ``"fer7"``, or the classes of the option
        ``classes``; a table with contempt needs ``"ferplus8"``.
    classes : str, optional
        What words of the table mean, see `list_folder_images`: ``raf-db``, ``1:surprise,2:fear``, ``bored,engaged``.

    Returns
    -------
    Samples
        In the order of the table; no clips, no splits. Files may be named with or without suffix and folders. Rows
        without an image or with an unknown emotion, and images without a row, are among the problems; rows are
        numbered as a spreadsheet shows them, the header being row 1.

    Raises
    ------
    DatasetError
        If the folder or the table is missing or wrong, a column is not found (the message lists the columns), or no
        row fits.
    InputError
        If there is no such label set.
    MissingExtraError
        If the table is XLSX and openpyxl is not installed.
    """
    words = ClassWords.parse(classes)
    labels = FER7 if label_set is None else label_set_of(label_set)
    if label_set is None and words.meanings:
        labels = _label_set(set(words.meanings.values()), Path(path))
    root = check_folder(path, _IEFDB)
    source = _only_table(root) if table is None else find_given(root, table)
    problems: list[str] = []
    annotations = read_annotations(
        source,
        problems,
        file_column=file_column,
        emotion_column=emotion_column,
        subject_column=subject_column,
        sheet=sheet,
        label_set=labels,
        words=words,
    )
    notes: list[str] = []
    files = list(find_images(root, root, notes))
    if source.absolute().is_relative_to(root.absolute()):
        own = f"{format_path(source.absolute().relative_to(root.absolute()).as_posix())}: not an image"
        notes = [line for line in notes if not line.startswith(own)]
    found = match_files(annotations, FileNames(files).find, "image", problems)
    problems[:0] = notes
    problems.extend(
        f"{format_path(file)}: no usable row in {format_path(source.name)}" for file in files if file not in found
    )
    if not found:
        raise nothing_found(root, f"images that {format_path(source)} names", problems)
    rows = [Row(file, row.emotion, row.subject) for file, row in found.items()]
    return Samples.from_rows(rows, name="iefdb", kind="image", source=root, label_set=labels, problems=problems)


def _only_table(root: Path) -> Path:
    found = sorted(path for path in root.rglob("[!.~]*") if path.suffix.lower() in TABLE_SUFFIXES and path.is_file())
    if len(found) == 1:
        return found[0]
    names = ", ".join(format_path(path.relative_to(root).as_posix()) for path in found[:10]) or "none"
    raise DatasetError(
        f"{format_path(root)} must hold one table ({', '.join(TABLE_SUFFIXES)}), but holds {names}: name it "
        "by the option table"
    )


# --- photographs ----------------------------------------------------------------------------------------


def list_photographs(path: str | Path) -> Samples:
    """List photographs of people on the web: ``labels.csv`` with the columns ``image``, ``emotion`` and ``person``.

    Made of github.com/muxspace/facial_expressions (Apache-2.0), with the person that the name of a file tells.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder with ``labels.csv`` and the images.

    Returns
    -------
    Samples
        Labels in ``FER7``, persons as subjects.  Half of the persons are in the split ``training``, those whose name
        has a SHA-256 digest that leaves 0 or 1 divided by 4; the others in ``validation``.

    Raises
    ------
    DatasetError
        See `list_iefdb`.
    """
    columns = {"file_column": "image", "emotion_column": "emotion", "subject_column": "person"}
    samples = list_iefdb(path, table=Path(path) / "labels.csv", **columns)
    digests = [int(hashlib.sha256(person.encode()).hexdigest(), 16) for person in samples.subjects]
    splits = ["training" if digest % 4 < 2 else "validation" for digest in digests]
    return replace(samples.with_columns(split=splits), name="photographs")


FOLDER = Dataset(
    "image",
    "any folder of images, <emotion>/<file> or <split>/<emotion>/<file>, with or without a manifest.csv",
    list_folder_images,
    fixed_labels=False,
)
JAFFE = Dataset("image", "JAFFE (Lyons et al. 1998): ten Japanese women, seven posed expressions", list_jaffe)
IEFDB = Dataset(
    "image",
    "IEFDB, or any folder of images with a table (CSV, XLSX) that names file and emotion",
    list_iefdb,
    fixed_labels=False,
)
PHOTOGRAPHS = Dataset(
    "image", "photographs of people on the web with labels.csv, split by person", list_photographs, is_cut=False
)
