"""IEFDB, the Iranian Emotional Face Database: images in a folder, and a table that names file and emotion.

Its copies differ in names and columns, so nothing is fixed here but that: options name the table and its columns where
they cannot be told from common names.  Any other folder with a table of labels reads the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mien.data._files import Found, check_folder, image_list, images_below, load_faces
from mien.data._tables import SUFFIXES, FileNames, Rows, read_table
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import LabelSet
from mien.labels import label_set as label_set_of

__all__ = ["index", "load"]

# Names of columns in lower case without blanks and signs.
_FILE = (
    *("file", "filename", "filepath", "path", "name", "image", "imagename", "imagefile", "imagefilename", "imagepath"),
    *("img", "imgname", "image", "picturename", "photo", "photoname"),
)
_EMOTION = (
    *("emotion", "emotions", "emotionlabel", "emotionname", "emotionclass", "label", "labels", "class", "category"),
    *("expression", "facialexpression"),
)
_SUBJECT = (
    *("subject", "subjectid", "subjectname", "person", "personid", "participant", "participantid", "actor", "actorid"),
)
_SHOWN = 40  # characters of a word that is no emotion, in messages
_EXPECTED = "images, and a table (CSV or XLSX) that names file and emotion"


def index(
    path: str | Path,
    *,
    table: str | Path | None = None,
    file_column: str | None = None,
    emotion_column: str | None = None,
    subject_column: str | None = None,
    sheet: str | None = None,
    label_set: str = "fer7",
) -> ImageList:
    """List the images of IEFDB that its table gives an emotion.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder of the images, in whatever folders inside.
    table : str or pathlib.Path, optional
        The table, relative to where the program runs or to ``path``; by default the only CSV, TSV or XLSX file in the
        folder.
    file_column, emotion_column, subject_column : str, optional
        Names of columns; by default told from common names (such as ``file``, ``emotion``, ``subject``).  Subjects are
        empty where there is no column.
    sheet : str, optional
        Sheet of an XLSX table; by default the first.
    label_set : str
        Name of the label set (see `mien.labels.LABEL_SETS`); a table with contempt needs ``"ferplus8"``.

    Returns
    -------
    ImageList
        In the order of the table; no clips, no splits.  Files may be named with or without suffix and folders.  Rows
        without an image or with an unknown emotion, and images without a row, are among the problems; rows are
        numbered as a spreadsheet shows them, the header being row 1.

    Raises
    ------
    DatasetError
        If the folder or the table is missing or wrong, a column cannot be told (the message lists the columns), or no
        row fits.
    InputError
        If there is no such label set.
    MissingExtraError
        If the table is XLSX and openpyxl is not installed.
    """
    labels = label_set_of(label_set)
    root = check_folder(path, _EXPECTED)
    source = _table(root, table)
    header, rows = read_table(source, sheet=None if sheet is None else str(sheet))
    columns = _columns(header, source, file_column, emotion_column, subject_column)
    problems: list[str] = []
    files = list(images_below(root, root, problems))
    if source.absolute().is_relative_to(root.absolute()):
        own = f"{format_path(source.absolute().relative_to(root.absolute()).as_posix())}: not an image"
        problems = [line for line in problems if not line.startswith(own)]
    found = _matched(_entries(rows, columns, labels, source.name, problems), FileNames(files), problems)
    problems.extend(
        f"{format_path(file)}: no usable row in {format_path(source.name)}" for file in files if file not in found
    )
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(f"{format_path(source)} names no image in {format_path(root)}{f': {what}' if what else ''}")
    return image_list("iefdb", root, list(found.values()), labels, problems)


def load(
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
    table: str | Path | None = None,
    file_column: str | None = None,
    emotion_column: str | None = None,
    subject_column: str | None = None,
    sheet: str | None = None,
    label_set: str = "fer7",
) -> FaceData:
    """Read the images of IEFDB whole, as gray squares.

    Images that are not cut to the face give lower figures: run ``mien data prepare`` on them first (it finds, turns
    and cuts the faces).

    Parameters
    ----------
    path, table, file_column, emotion_column, subject_column, sheet, label_set
        See `index`.
    split : str, optional
        IEFDB has no splits; anything but None is an error.
    size : int
        Side of the squares in pixels.
    problems : {"raise", "skip"}
        What to do with an image that cannot be read.  What `index` left out is told in one warning.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    FaceData
        uint8 (n, size, size) with labels in the label set.

    Raises
    ------
    DatasetError
        As `index`; also if a split is asked for, or an image cannot be read.
    InputError, MissingExtraError
        As `index`.
    """
    images = index(
        path,
        table=table,
        file_column=file_column,
        emotion_column=emotion_column,
        subject_column=subject_column,
        sheet=sheet,
        label_set=label_set,
    )
    return load_faces(images, split=split, size=size, problems=problems, progress=progress)


# --- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Columns:
    """Positions of columns in the table; ``subject`` is None where there is none."""

    file: int
    emotion: int
    subject: int | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one row says."""

    place: str
    file: str
    emotion: str
    subject: str


def _table(root: Path, table: str | Path | None) -> Path:
    if table is not None:
        given = Path(table)
        inside = root / given
        return inside if not _is_file(given) and _is_file(inside) else given
    found = sorted(path for path in root.rglob("[!.~]*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(found) == 1:
        return found[0]
    names = ", ".join(format_path(path.relative_to(root).as_posix()) for path in found[:10]) or "none"
    raise DatasetError(
        f"{format_path(root)} must hold one table ({', '.join(SUFFIXES)}), but holds {names}: name it "
        "by the option table"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte: reading it says so
        return False


def _columns(header: list[str], source: Path, file: str | None, emotion: str | None, subject: str | None) -> _Columns:
    at = [_column(header, source, "file", file, _FILE), _column(header, source, "emotion", emotion, _EMOTION)]
    who = _column(header, source, "subject", subject, _SUBJECT)
    for kind, position in zip(("file", "emotion"), at, strict=True):
        if position is None:
            raise DatasetError(
                f"{format_path(source)}: no column has a common name for the {kind}; the option "
                f"{kind}_column names it. "
                f"Columns: {_listed(header)}"
            )
    assert at[0] is not None
    assert at[1] is not None
    return _Columns(at[0], at[1], who)


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
            f"{format_path(source)}: {_listed([header[i] for i in at])} could all be the {kind}; "
            f"the option {kind}_column says which. Columns: {_listed(header)}"
        )
    if name is not None and not at:
        raise DatasetError(
            f"{format_path(source)} has no column {str(name)!r} for the {kind}. Columns: {_listed(header)}"
        )
    return at[0] if at else None


def _listed(header: Iterable[str]) -> str:
    return ", ".join(format_path(title) for title in header) or "none"


def _entries(rows: Rows, columns: _Columns, labels: LabelSet, table: str, problems: list[str]) -> Iterator[_Entry]:
    for number, row in rows:
        place = f"{format_path(table)}, row {number}"
        file, emotion = _cell(row, columns.file), _cell(row, columns.emotion)
        if not file or not emotion:
            problems.append(f"{place}: it has no {'emotion' if file else 'file'}")
            continue
        try:
            noun = labels.emotions[labels.index(emotion[:_SHOWN])]
        except InputError as error:
            problems.append(f"{place}: {error}")
            continue
        yield _Entry(place, file, noun, _cell(row, columns.subject))


def _cell(row: list[str], at: int | None) -> str:
    return row[at] if at is not None and at < len(row) else ""


def _matched(entries: Iterable[_Entry], names: FileNames, problems: list[str]) -> dict[str, Found]:
    """Return what is known of each file, in the order of the table."""
    found: dict[str, Found] = {}
    first: dict[str, _Entry] = {}
    conflicts: set[str] = set()
    for entry in entries:
        files = names.find(entry.file)
        if len(files) != 1:
            many = ", ".join(format_path(file) for file in sorted(files)[:3])
            what = f"could be any of {many}" if files else "there is no such image"
            problems.append(f"{entry.place}: {format_path(entry.file)}: {what}")
            continue
        (file,) = files
        earlier = first.setdefault(file, entry)
        if earlier is entry:
            found[file] = Found(file, entry.emotion, entry.subject)
        elif earlier.emotion == entry.emotion:
            problems.append(f"{entry.place}: {format_path(file)} is listed twice, first in {earlier.place}")
        else:
            conflicts.add(file)
            problems.append(
                f"{entry.place}: {format_path(file)} is {entry.emotion}, but {earlier.emotion} in {earlier.place}: "
                "neither counts"
            )
    return {file: one for file, one in found.items() if file not in conflicts}
