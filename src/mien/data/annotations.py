"""Tables of labels as people keep them: CSV of whatever delimiter or XLSX, and what their rows call files."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from mien._extras import import_extra
from mien.data.files import CLASSES, emotion_of
from mien.errors import DatasetError
from mien.io.paths import IMAGE_SUFFIXES, format_path
from mien.labels import LabelSet

__all__ = [
    "TABLE_SUFFIXES",
    "Annotation",
    "FileNames",
    "find_given",
    "match_files",
    "read_annotations",
    "read_table",
]

Rows = list[tuple[int, list[str]]]
"""Number of a row as a spreadsheet shows it (the header is row 1), and its cells as text without blanks around."""

TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx")
"""Lower-case suffixes by which a table is found in a folder."""

# Common names of columns, in lower case without blanks and signs; those of a group are asked for before the next.
_IMAGE = (
    *("file", "filename", "filepath", "path", "name", "image", "imagename", "imagefile", "imagefilename", "imagepath"),
    *("img", "imgname", "picture", "picturename", "photo", "photoname"),
)
_VIDEO = ("video", "film", "filmname", "videoname", "videofile", "clip", "clipname")
_EMOTION = (
    *("emotion", "emotions", "emotionlabel", "emotionname", "emotionclass", "label", "labels", "class", "category"),
    *("expression", "facialexpression"),
)
_SUBJECT = (
    *("subject", "subjectid", "subjectname", "person", "personid", "participant", "participantid", "actor", "actorid"),
)

_LONGEST_WORD = 40  # characters of a word that is no emotion, in messages
_MOST_BYTES = 256 * 2**20  # a label takes some 50 bytes: five million images
_MOST_ROWS = 1_048_576  # of a sheet, by the specification of XLSX; a damaged row number must not count to it for hours
_DELIMITERS = ",;\t|"
_SAMPLE = 50
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    EOFError,
    SyntaxError,  # XML that does not parse
    RuntimeError,  # an encrypted archive
    zipfile.BadZipFile,
    zlib.error,
)


def read_table(path: Path, *, sheet: str | None = None) -> tuple[list[str], Rows]:
    """Read a table with a header.

    Parameters
    ----------
    path : pathlib.Path
        CSV (UTF-8, or UTF-16 with its mark; comma, semicolon, tabulator or bar) or XLSX, detected from content.
    sheet : str, optional
        Sheet of an XLSX file; by default the first.

    Returns
    -------
    header : list of str
        Names of the columns.
    rows : Rows
        Rows that are not empty.

    Raises
    ------
    DatasetError
        If the file is missing, empty, damaged or no table.
    MissingExtraError
        If it is XLSX and openpyxl is not installed.
    """
    content = _content(path)
    if content.startswith(b"PK"):
        cells: Iterator[list[str]] = iter(_sheet(content, path, sheet))
    elif sheet is not None:
        raise DatasetError(f"{format_path(path)} is no XLSX file: it has no sheet {sheet!r}")
    else:
        cells = iter(_delimited(content, path))
    rows = [(number, row) for number, row in enumerate(cells, start=1) if any(row)]
    if not rows:
        raise DatasetError(f"{format_path(path)} is empty: expected a header and rows")
    return rows[0][1], rows[1:]


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{format_path(path)} is larger than {_MOST_BYTES >> 20} MB: no table of labels")
        return path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"no table {format_path(path)}") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read the table {format_path(path)}: {error}") from None


def _delimited(content: bytes, path: Path) -> list[list[str]]:
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if is_utf16 else "UTF-8"
        raise DatasetError(f"{format_path(path)} is not {kind} text: {error.reason} at byte {error.start}") from None
    if "\0" in text:
        raise DatasetError(f"{format_path(path)} is no table: it holds zero bytes")
    # Ties go to the first, so that a header of one column reads as CSV.
    delimiter = max(_DELIMITERS, key=lambda sign: _fit(text, sign))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise DatasetError(f"{format_path(path)}, line {reader.line_num}: {error}") from None


def _fit(text: str, delimiter: str) -> tuple[int, int]:
    """Return how many of the first rows have the header's number of columns (above one), and that number."""
    try:
        rows = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), _SAMPLE))
    except csv.Error:
        return 0, 0
    width = len(rows[0]) if rows else 0
    return (sum(len(row) == width for row in rows), width) if width > 1 else (0, width)


def _sheet(content: bytes, path: Path, sheet: str | None) -> list[list[str]]:
    openpyxl = import_extra("openpyxl", extra="xlsx", purpose="reading XLSX tables")
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        names = list(book.sheetnames)
        chosen = names[0] if sheet is None else sheet
        page = book[chosen] if chosen in names else None
        if page is not None:
            # Some programs write a wrong size of the sheet, which would cut it.
            page.reset_dimensions()
            rows = [[_text(value) for value in row] for row in islice(page.values, _MOST_ROWS)]
        book.close()
    except _DAMAGED as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{format_path(path)} is no XLSX file, or a damaged one: {first}") from error
    if page is None:
        raise DatasetError(f"{format_path(path)} has no sheet {sheet!r}: it has {', '.join(map(format_path, names))}")
    return rows


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


# --- rows and their files -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one row of a table says.

    Parameters
    ----------
    place : str
        Table and row, for messages.
    file, emotion, subject : str
        The file as the table calls it, the noun for the emotion, and the subject, empty where there is none.
    """

    place: str
    file: str
    emotion: str
    subject: str


def find_given(root: Path, table: str | Path) -> Path:
    """Return the path of a table that was named relative to where the program runs, or to a dataset's folder."""
    inside = root / table
    return inside if not os.path.isfile(table) and os.path.isfile(inside) else Path(table)  # noqa: PTH113


def read_annotations(
    source: Path,
    problems: list[str],
    *,
    file_column: str | None = None,
    emotion_column: str | None = None,
    subject_column: str | None = None,
    sheet: str | None = None,
    label_set: LabelSet | None = None,
    words: Callable[[str], str] = emotion_of,
    of_videos: bool = False,
) -> Iterator[Annotation]:
    """Yield the usable rows of a table of labels.

    Parameters
    ----------
    source : pathlib.Path
        See `read_table`.
    problems : list of str
        Gets a line for each row without file or emotion, or with an emotion that is unknown or not in the label set.
    file_column, emotion_column, subject_column : str, optional
        Names of columns; by default found by common names (such as ``file``, ``emotion``, ``subject``).
    sheet : str, optional
        Sheet of an XLSX table.
    label_set : LabelSet, optional
        Only emotions of this set.
    words : callable
        Returns the class that a word means, or nothing.
    of_videos : bool
        Whether the file may be in a column called ``video`` or ``clip``, where there is no other.

    Raises
    ------
    DatasetError
        If the table is missing or wrong, or a column is not found; the message lists the columns.
    """
    header, rows = read_table(source, sheet=None if sheet is None else str(sheet))
    file_at = _column(header, source, "file", file_column, _IMAGE)
    if file_at is None and of_videos:
        file_at = _column(header, source, "file", None, _VIDEO)
    emotion_at = _column(header, source, "emotion", emotion_column, _EMOTION)
    subject_at = _column(header, source, "subject", subject_column, _SUBJECT)
    for kind, at in (("file", file_at), ("emotion", emotion_at)):
        if at is None:
            raise DatasetError(
                f"{format_path(source)}: no column has a common name for the {kind}; the option {kind}_column names "
                f"it. Columns: {_titles(header)}"
            )
    for number, row in rows:
        place = f"{format_path(source.name)}, row {number}"
        file, word, subject = (
            row[at] if at is not None and at < len(row) else "" for at in (file_at, emotion_at, subject_at)
        )
        if not file or not word:
            problems.append(f"{place}: it has no {'emotion' if file else 'file'}")
            continue
        emotion = words(word)
        if not emotion and word.isdecimal():
            raise DatasetError(
                f"{place}: the emotions are numbers ({word} ...): the option classes must say what they mean, such as "
                f"classes={word}:happiness,... or one of {', '.join(CLASSES)}"
            )
        if not emotion:
            problems.append(f"{place}: unknown emotion {word[:_LONGEST_WORD]!r} of {format_path(file)}")
            continue
        if label_set is not None and emotion not in label_set.emotions:
            problems.append(f"{place}: {emotion} of {format_path(file)} is not in {label_set.name}")
            continue
        yield Annotation(place, file, emotion, subject)


def _column(header: list[str], source: Path, kind: str, name: str | None, common: tuple[str, ...]) -> int | None:
    """Return the position of a column by its name, or by common names where none is given; None if there is none."""
    if name is None:
        at = [i for i, title in enumerate(header) if re.sub(r"[\W_]", "", title.lower()) in common]
    else:
        wanted = str(name).strip()
        at = [i for i, title in enumerate(header) if title == wanted]
        at = at or [i for i, title in enumerate(header) if title.casefold() == wanted.casefold()]
    if len(at) > 1:
        raise DatasetError(
            f"{format_path(source)}: {_titles([header[i] for i in at])} could all be the {kind}; "
            f"the option {kind}_column says which. Columns: {_titles(header)}"
        )
    if name is not None and not at:
        raise DatasetError(
            f"{format_path(source)} has no column {str(name)!r} for the {kind}. Columns: {_titles(header)}"
        )
    return at[0] if at else None


def _titles(header: Iterable[str]) -> str:
    return ", ".join(format_path(title) for title in header) or "none"


def match_files(
    annotations: Iterable[Annotation], find: Callable[[str], set[str]], noun: str, problems: list[str]
) -> dict[str, Annotation]:
    """Return what a table says of each file, in its order.

    Parameters
    ----------
    annotations : iterable of Annotation
        The rows.
    find : callable
        Returns the files that a name can mean.
    noun : str
        What a file is called in messages.
    problems : list of str
        Gets a line for each row that means no file, or several, or a file of an earlier row; files with two emotions
        are left out.
    """
    found: dict[str, Annotation] = {}
    conflicts: set[str] = set()
    for row in annotations:
        files = find(row.file)
        if len(files) != 1:
            many = ", ".join(format_path(file) for file in sorted(files)[:3])
            what = f"could be any of {many}" if files else f"there is no such {noun}"
            problems.append(f"{row.place}: {format_path(row.file)}: {what}")
            continue
        (file,) = files
        earlier = found.setdefault(file, row)
        if earlier is row:
            continue
        if earlier.emotion == row.emotion:
            problems.append(f"{row.place}: {format_path(file)} is listed twice, first in {earlier.place}")
        else:
            conflicts.add(file)
            problems.append(
                f"{row.place}: {format_path(file)} is {row.emotion}, but {earlier.emotion} in {earlier.place}: "
                "neither counts"
            )
    return {file: row for file, row in found.items() if file not in conflicts}


class FileNames:
    """Finds files by what a table calls them: with or without suffix, with fewer folders or with more.

    One must be the end of the other, folder by folder: ``happy/1`` is never ``sad/1.jpg``.  Case and the composition of
    letters do not count, because tables and files often come from different systems.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._whole: dict[str, set[str]] = defaultdict(set)
        self._end: dict[str, set[str]] = defaultdict(set)
        for file in files:
            for name in {file, _without_suffix(file)}:
                self._whole[_plain(name)].add(file)
                for end in _ends(_plain(name)):
                    self._end[end].add(file)

    def find(self, name: str) -> set[str]:
        """Return the files that a name can mean, by the best way that finds any."""
        for form in (_plain(name), _plain(_without_suffix(name.replace("\\", "/")))):
            for known in (self._whole.get(form), self._end.get(form)):
                if known:
                    return known
            for end in _ends(form):
                if end in self._whole:
                    return self._whole[end]
        return set()


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold().removeprefix("./")


def _ends(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[i:]) for i in range(len(parts)))


def _without_suffix(name: str) -> str:
    return name[: -len(suffix)] if (suffix := PurePosixPath(name).suffix).lower() in IMAGE_SUFFIXES else name
