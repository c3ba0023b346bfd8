"""Finding the files of a dataset, and reading what lies beside them."""

from __future__ import annotations

import csv
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mien.errors import DatasetError, InputError
from mien.io.paths import IMAGE_SUFFIXES, VIDEO_SUFFIXES, format_path
from mien.labels import BAUM8, FER7, FERPLUS8, RAVDESS8, LabelSet, canonical

__all__ = [
    "CLASSES",
    "HEADER",
    "MANIFEST",
    "ClassWords",
    "check_folder",
    "compile_pattern",
    "emotion_of",
    "find_clips",
    "find_images",
    "is_folder",
    "list_folder",
    "match_pattern",
    "nothing_found",
    "own_label_set",
    "read_code",
    "read_manifest",
    "smallest_label_set",
    "sort_frames",
    "split_of",
]

HEADER = 1
"""The row of a table's header in messages: rows are numbered as a spreadsheet shows them."""

MANIFEST = "manifest.csv"
"""File in a dataset's folder that, where it is, says everything instead of folders and names."""

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
CLASSES = {
    "raf-db": "1:surprise,2:fear,3:disgust,4:happiness,5:sadness,6:anger,7:neutral",
    "affectnet": "0:neutral,1:happiness,2:sadness,3:surprise,4:fear,5:disgust,6:anger,7:contempt",
}
"""What the numbers of known datasets mean: RAF-DB (Li et al. 2017, doi:10.1109/CVPR.2017.277), AffectNet
(Mollahosseini et al. 2017, arXiv:1708.03985)."""

_DIGITS = re.compile(r"(\d+)")
_LONGEST_CODE = 64  # bytes; a code is one number, more is another file


def check_folder(path: str | Path, expected: str) -> Path:
    """Return the path of a folder that exists, or raise a `DatasetError` that says what is expected in it."""
    try:
        root = Path(path)
        if root.is_dir():
            return root
        came = "it is a file" if root.exists() else "there is no such folder"
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        came = str(error)
    raise DatasetError(f"expected a folder with {expected} at {format_path(path)}, but {came}")


def is_folder(path: str | Path) -> bool:
    """Return whether a path is a folder; an impossible name is none, and fails where it is opened."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for names that are too long


def nothing_found(root: str | Path, expected: str, problems: Sequence[str]) -> DatasetError:
    """Return the error of a folder in which nothing fits, with the first of its problems."""
    reasons = f": {'; '.join(problems[:3])}" if problems else ""
    return DatasetError(f"{format_path(root)} must hold {expected}, but has nothing that fits{reasons}")


# --- what is in a folder ------------------------------------------------------------------------------


def list_folder(folder: Path, root: Path, problems: list[str]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by name, without hidden ones: notebooks and file managers leave such behind.

    A folder that may not be opened is a line of ``problems``, and empty.
    """
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        problems.append(f"{_inside(folder, root)}: cannot open the folder: {error.strerror or error}")
        return []
    return sorted(entries, key=lambda entry: entry.name)


def _inside(path: str | Path, root: Path) -> str:
    return format_path(Path(path).relative_to(root).as_posix())


def find_images(folder: Path, root: Path, problems: list[str]) -> Iterator[str]:
    """Yield the image files of a folder and of all folders in it, relative to ``root``, with slashes, by name.

    Files without an image's suffix and linked folders (which could lead in a circle) become lines of ``problems``.
    """
    for entry in list_folder(folder, root, problems):
        if entry.is_dir(follow_symlinks=False):
            yield from find_images(Path(entry.path), root, problems)
        elif entry.is_dir():
            problems.append(f"{_inside(entry.path, root)}: a linked folder is not entered")
        elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
            yield Path(entry.path).relative_to(root).as_posix()
        else:
            problems.append(f"{_inside(entry.path, root)}: not an image (by its name)")


def find_clips(folder: Path, root: Path, problems: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what may be a video in a folder and in all folders in it, by name.

    A video file is one, and so are the images of a folder without video files, in the order of their numbers. Other
    files are passed over, as are images in ``root`` itself: tables, notes, posters and subtitles lie beside videos.
    Folders that are linked or cannot be opened become lines of ``problems``.

    Yields
    ------
    place : str
        Path of the video file, or of the folder of the images, relative to ``root``.
    frames : tuple of str
        The images; empty for a file.
    """
    images: list[str] = []
    has_videos = False
    for entry in list_folder(folder, root, problems):
        inside = Path(entry.path).relative_to(root).as_posix()
        suffix = Path(entry.name).suffix.lower()
        if entry.is_dir(follow_symlinks=False):
            yield from find_clips(Path(entry.path), root, problems)
        elif entry.is_dir():
            problems.append(f"{format_path(inside)}: a linked folder is not entered")
        elif suffix in VIDEO_SUFFIXES:
            has_videos = True
            yield inside, ()
        elif suffix in IMAGE_SUFFIXES:
            images.append(inside)
    if images and not has_videos and folder != root:
        yield folder.relative_to(root).as_posix(), tuple(sort_frames(images))


def sort_frames(files: Sequence[str]) -> list[str]:
    """Return the frames of a video in the order of the numbers in their names: ``9.jpg`` before ``10.jpg``."""

    def key(file: str) -> tuple[tuple[int, str], ...]:
        # Splitting by a group puts digits at odd places, so that numbers are only ever compared with numbers.
        return tuple((int(part), part) if place % 2 else (0, part) for place, part in enumerate(_DIGITS.split(file)))

    return sorted(files, key=key)


# --- what names and small files say -------------------------------------------------------------------


def emotion_of(word: str) -> str:
    """Return the noun for an emotion word, or nothing for any other word."""
    try:
        return canonical(word)
    except InputError:
        return ""


def split_of(file: str) -> str:
    """Return the split that a file's first folder is named after (train, test, val), or nothing."""
    parts = PurePosixPath(file).parts
    return _SPLITS.get(parts[0].lower(), "") if len(parts) > 1 else ""


def smallest_label_set(emotions: Collection[str]) -> LabelSet:
    """Return the smallest of FER7, FERPLUS8 and RAVDESS8 that has all emotions; calm goes before contempt.

    Where no word is an emotion of `mien.labels.canonical`, a set of the words themselves.
    """
    words = set(emotions) - {""}
    if words and not any(emotion_of(word) for word in words):
        return own_label_set(tuple(sorted(words)))
    return RAVDESS8 if "calm" in words else FERPLUS8 if "contempt" in words else FER7


def own_label_set(classes: tuple[str, ...]) -> LabelSet:
    """Return a label set of some classes, named by their number and a checksum, so that no two share a name."""
    return LabelSet(f"classes{len(classes)}_{zlib.crc32(','.join(classes).encode()) & 0xFFFF:04x}", classes, "the data")


@dataclass(frozen=True, slots=True)
class ClassWords:
    """Which words mean which classes: those of emotions, or those that the option ``classes`` gives.

    Parameters
    ----------
    meanings : mapping of str to str
        Class by word in lower case; empty for the emotions of `mien.labels.canonical`.
    """

    meanings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> ClassWords:
        """Read the option: a key of `CLASSES`, or words and ``WORD:CLASS`` between commas.

        Raises
        ------
        InputError
            If fewer than two classes are named, or a word is empty.
        """
        if text is None:
            return cls()
        meanings: dict[str, str] = {}
        for part in CLASSES.get(str(text).lower(), str(text)).split(","):
            word, _, name = (piece.strip().lower() for piece in part.partition(":"))
            name = name or word
            if not word:
                raise InputError(f"classes must be words or WORD:CLASS between commas, but got {text!r}")
            meanings[word] = emotion_of(name) or name
        if len(set(meanings.values())) < 2:
            raise InputError(f"classes must name at least two, or be one of {', '.join(CLASSES)}, but got {text!r}")
        return cls(meanings)

    def __call__(self, word: str) -> str:
        """Return the class that a word means, or nothing."""
        return self.meanings.get(word.strip().lower(), "") if self.meanings else emotion_of(word)

    def or_own(self, words: Iterable[str]) -> ClassWords:
        """Return these, or, where none of some words is known and no word is a number, the words themselves.

        Raises
        ------
        DatasetError
            If all words are numbers, whose meaning nothing says.
        """
        found = sorted({word.strip().lower() for word in words} - {""})
        if self.meanings or len(found) < 2 or any(emotion_of(word) for word in found):
            return self
        if all(word.isdecimal() for word in found):
            raise DatasetError(
                f"the classes are numbers ({', '.join(found[:8])}): the option classes must say what they mean, "
                f"classes={found[0]}:happiness,{found[1]}:sadness ..., or one of {', '.join(CLASSES)}"
            )
        return ClassWords({word: word for word in found})


def compile_pattern(text: str | None) -> re.Pattern[str] | None:
    """Return the pattern that finds the subject in a path.

    Raises
    ------
    InputError
        If it is no regular expression.
    """
    try:
        return None if text is None else re.compile(str(text))
    except re.error as error:
        raise InputError(f"subject must be a regular expression, but {text!r} is none: {error}") from error


def match_pattern(pattern: re.Pattern[str] | None, place: str) -> str:
    """Return the first group of a pattern in a path, or all that it matches; empty where there is nothing."""
    found = None if pattern is None else pattern.search(place)
    if found is None:
        return ""
    return found[1] or "" if found.re.groups else found[0]


def read_code(file: Path) -> tuple[str, str]:
    """Return the emotion that a code 0..7 in a file means, or else why there is none.

    The codes of CK+ and BAUM-2, in the order of `mien.labels.BAUM8`, written like ``3.0000000e+00``.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(_LONGEST_CODE + 1)
    except FileNotFoundError:
        return "", "the file is missing"
    except OSError as error:
        return "", f"cannot be opened: {error.strerror or error}"
    try:
        code = float(text.decode("ascii"))
    except ValueError:
        code = -1.0
    if code not in range(len(BAUM8)):
        return "", f"expected a code 0..{len(BAUM8) - 1}, but got {text[:20].decode('ascii', 'backslashreplace')!r}"
    return BAUM8.emotions[int(code)], ""


def read_manifest(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a ``manifest.csv`` with their numbers (the header is row 1); every column has a value.

    Raises
    ------
    DatasetError
        If it is no table with the columns file and emotion, or a row has more or fewer values than the header.
    """
    try:
        # One file name that is no UTF-8 must not close the table.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            missing = next((column for column in ("file", "emotion") if column not in header), None)
            if missing is not None:
                names = ", ".join(map(format_path, header)) or "none"
                raise DatasetError(f"{format_path(path)} lacks the column {missing}: it has {names}")
            for number, values in enumerate(reader, start=2):
                if not values:
                    continue
                if len(values) != len(header):
                    count = f"expected {len(header)} values, but got {len(values)}"
                    raise DatasetError(f"{format_path(path)}, row {number}: {count}")
                yield number, dict(zip(header, values, strict=True))
    except (csv.Error, ValueError, OSError) as error:
        raise DatasetError(f"{format_path(path)} cannot be read as a table: {error}") from error
