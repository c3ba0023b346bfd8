"""Any folder of clips: emotions and subjects by folders and names, or by a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mien.data._clips import Clip, clips_below, video_clips
from mien.data._files import check_folder
from mien.data._sounds import split_of
from mien.data._tables import FileNames, read_table
from mien.data.iefdb import _EMOTION, _FILE, _SUBJECT, _cell, _column, _is_file
from mien.data.speech_folder import _fitting, _pattern, _word
from mien.data.videos import VideoClips
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import label_set

__all__ = ["MANIFEST", "index"]

MANIFEST = "manifest.csv"
"""Table that, where there is one, tells everything instead of folders and names."""

_EXPECTED = "<emotion>/<subject>_*.mp4, <subject>/<emotion>/*.mp4, or a table of file and emotion"
_VIDEOS = ("video", "filmname", "video", "videoname", "videofile", "clip", "clipname")


def index(
    path: str | Path,
    *,
    table: str | Path | None = None,
    file_column: str | None = None,
    emotion_column: str | None = None,
    subject_column: str | None = None,
    sheet: str | None = None,
    subject: str | None = None,
    labels: str | None = None,
) -> VideoClips:
    """List the clips of a folder: videos, and folders of images that are frames in the order of their numbers.

    Without a table, the nearest folder above a clip that is named by an emotion (any common word) tells the emotion.
    The subject is the folder above that one (``<subject>/<emotion>/x.mp4``), else the folder below it, else what a
    video's name has before its first underscore (``<emotion>/<subject>_x.mp4``), else not known.  The first folder may
    be a split: train, test or val.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    table : str or pathlib.Path, optional
        A CSV, TSV or XLSX file that names file and emotion, and maybe subject, relative to where the program runs or to
        ``path``; by default ``manifest.csv`` in the folder, if it is there.
    file_column, emotion_column, subject_column : str, optional
        Names of its columns; by default told from common names (such as ``file``, ``emotion``, ``subject``).
    sheet : str, optional
        Sheet of an XLSX table; by default the first.
    subject : str, optional
        Pattern (regular expression) that finds the subject in the relative path: its first group, or all it matches.
        Not for tables.
    labels : str, optional
        Name of the label set.  By default ``fer7``, or ``ravdess8`` where an emotion is calm, or ``ferplus8`` where one
        is contempt.

    Returns
    -------
    VideoClips
        Clips are named by their paths without suffix; in the order of the table, else sorted.  Clips without an
        emotion, and rows without their clip, are among its ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing or has no clip with an emotion, or the table is none.
    InputError
        If there is no such label set, or the pattern is none.
    """
    pattern = _pattern(subject)
    chosen = None if labels is None else label_set(labels)
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    there = dict(clips_below(root, root, problems))
    source = _table(root, table)
    if source is not None and pattern is not None:
        raise InputError(f"{format_path(source)} tells the subjects: subject must not be given")
    if source is None:
        told = {place: _by_folder(place, video=files == (place,)) for place, files in there.items()}
    else:
        told = _by_table(source, there, (file_column, emotion_column, subject_column), sheet, problems)
    names = _names(told, there)
    known = chosen or _fitting([one.emotion for one in told.values()])
    found: list[Clip] = []
    for place, one in told.items():
        if one.emotion in known.emotions:
            who = _matched(pattern, place) if pattern is not None else one.subject
            files = there[place]
            found.append(Clip(names[place], files, files == (place,), one.emotion, who, split_of(place)))
        elif one.emotion:
            problems.append(f"{format_path(place)}: {one.emotion} is not in {known.name}")
        else:
            problems.append(f"{format_path(place)}: expected a folder named by an emotion above it")
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(
            f"{format_path(root)} must hold {_EXPECTED}, but has no such clip{f': {what}' if what else ''}"
        )
    return video_clips("video_folder", root, found, known, problems)


@dataclass(frozen=True, slots=True)
class _Told:
    """What folders or a table say about a clip."""

    emotion: str
    subject: str = ""


def _names(places: Iterable[str], there: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return paths without suffix; with it where two would be the same."""
    cut = {place: place if there[place] != (place,) else _stem(place) for place in places}
    times: dict[str, int] = {}
    for name in cut.values():
        times[name] = times.get(name, 0) + 1
    return {place: name if times[name] == 1 else place for place, name in cut.items()}


def _stem(place: str) -> str:
    return place.removesuffix(PurePosixPath(place).suffix)


def _by_folder(place: str, *, video: bool) -> _Told:
    path = PurePosixPath(place)
    folders = path.parent.parts[1:] if split_of(place) and len(path.parts) > 1 else path.parent.parts
    at = next((i for i in reversed(range(len(folders))) if _word(folders[i])), None)
    if at is None:
        return _Told("")
    if at > 0:
        subject = folders[at - 1]
    elif at + 1 < len(folders):
        subject = folders[at + 1]
    else:
        before, sign, _ = (_stem(path.name) if video else path.name).partition("_")
        subject = before if sign else ""
    return _Told(_word(folders[at]), subject)


def _matched(pattern: re.Pattern[str], place: str) -> str:
    found = pattern.search(place)
    if found is None:
        return ""
    return found[1] or "" if found.re.groups else found[0]


# --- the table ------------------------------------------------------------------------------------


def _table(root: Path, table: str | Path | None) -> Path | None:
    if table is None:
        return root / MANIFEST if (root / MANIFEST).is_file() else None
    given, inside = Path(table), root / table
    return inside if not _is_file(given) and _is_file(inside) else given


def _by_table(
    source: Path,
    there: dict[str, tuple[str, ...]],
    names: tuple[str | None, str | None, str | None],
    sheet: str | None,
    problems: list[str],
) -> dict[str, _Told]:
    """Return what the table says of each clip that is there, in its order; the rest is noted."""
    known = FileNames([*there, *map(_stem, there)])
    by_stem: dict[str, set[str]] = {}
    for place in there:
        by_stem.setdefault(_stem(place), set()).add(place)
    told: dict[str, _Told] = {}
    wrong: set[str] = set()
    for row, file, one in _rows(source, names, sheet, problems):
        found = {place for name in known.find(file) for place in (by_stem.get(name, set()) | {name}) & there.keys()}
        if len(found) != 1:
            what = (
                f"could be any of {', '.join(map(format_path, sorted(found)[:3]))}"
                if found
                else "there is no such clip"
            )
            problems.append(f"{row}: {format_path(file)}: {what}")
            continue
        (place,) = found
        first = told.setdefault(place, one)
        if first is not one:
            same = first.emotion == one.emotion
            problems.append(
                f"{row}: {format_path(place)} is listed twice{'' if same else ', and differently: it is left out'}"
            )
            if not same:
                wrong.add(place)
    problems += [
        f"{format_path(place)}: no usable row in {format_path(source.name)}" for place in there if place not in told
    ]
    return {place: one for place, one in told.items() if place not in wrong}


def _rows(
    source: Path, names: tuple[str | None, str | None, str | None], sheet: str | None, problems: list[str]
) -> Iterator[tuple[str, str, _Told]]:
    """Yield where a row stands, its file, and what it says."""
    header, rows = read_table(source, sheet=None if sheet is None else str(sheet))
    # Where a table has both, a clip is what is in the file.
    file_at = _column(header, source, "file", names[0], _FILE)
    if file_at is None:
        file_at = _column(header, source, "file", None, _VIDEOS)
    emotion_at = _column(header, source, "emotion", names[1], _EMOTION)
    subject_at = _column(header, source, "subject", names[2], _SUBJECT)
    for kind, at in (("file", file_at), ("emotion", emotion_at)):
        if at is None:
            columns = ", ".join(map(format_path, header)) or "none"
            raise DatasetError(
                f"{format_path(source)}: no column has a common name for the {kind}; the option "
                f"{kind}_column names it. "
                f"Columns: {columns}"
            )
    for number, row in rows:
        place = f"{format_path(source.name)}, row {number}"
        file, word = _cell(row, file_at), _cell(row, emotion_at)
        emotion = _word(word)
        if not file or not word:
            problems.append(f"{place}: it has no {'emotion' if file else 'file'}")
        elif not emotion:
            problems.append(f"{place}: unknown emotion {word[:40]!r} of {format_path(file)}")
        else:
            yield place, file, _Told(emotion, _cell(row, subject_at))
