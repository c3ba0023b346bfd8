"""Any folder of recordings: emotions by folder, or by a manifest."""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path, PurePosixPath

from mien.data._sounds import Clip, Wrong, gather, listed, split_of, stem_of
from mien.data.speech import ClipList
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet, canonical, label_set

__all__ = ["MANIFEST", "index"]

MANIFEST = "manifest.csv"
"""Table that, where there is one, tells everything instead of folders and names."""

_COLUMNS = ("emotion", "clip", "subject", "sex", "split", "intensity", "statement", "method")
_SEXES = {"male": "male", "m": "male", "female": "female", "f": "female", "": ""}


def index(path: str | Path, *, labels: str | None = None, subject: str | None = None) -> ClipList:
    """List the recordings of a folder by the folders they lie in, or by its ``manifest.csv``.

    Without a manifest: ``<split>/<emotion>/file`` or ``<emotion>/file`` (emotions by any common word; splits train,
    test, val).  A copy's name ends in two underscores and how it was made (``__stretch0.81``, ``__pitch+2``,
    ``__noise0.006``); files of one emotion and the same name before that are one original recording, in whatever split.

    The manifest's columns are file (relative to the folder) and emotion, and any of subject, sex (male, female), clip
    (the original recording; also ``origin``), split, intensity, statement, method (how a copy was made; empty for
    originals), value (by how much).

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    labels : str, optional
        Name of the label set.  By default ``fer7``, or ``ravdess8`` where an emotion is calm, or ``ferplus8`` where one
        is contempt.
    subject : str, optional
        Pattern (regular expression) that finds the speaker in the relative path: its first group, or all it matches.
        Not for manifests.

    Returns
    -------
    ClipList
        In the order of the manifest, else sorted.

    Raises
    ------
    InputError
        If there is no such label set, or the pattern is none.
    DatasetError
        If the folder is missing, has no recording with an emotion, or its manifest is none.
    """
    chosen = None if labels is None else label_set(labels)
    if (Path(path) / MANIFEST).is_file():
        if subject is not None:
            raise InputError(
                f"{format_path(path)} has a {MANIFEST}, which tells the speakers: subject must not be given"
            )
        problems: list[str] = []
        rows = _manifest(Path(path), problems)
        return listed("speech_folder", path, rows, chosen or _fitting([clip.emotion for _, clip in rows]), problems)
    pattern = _pattern(subject)
    if chosen is None:
        emotions: list[str] = []
        gather("speech_folder", path, RAVDESS8, partial(_tell, pattern=pattern, emotions=emotions))
        chosen = _fitting(emotions)
    return gather("speech_folder", path, chosen, partial(_tell, pattern=pattern, emotions=[]))


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise InputError(f"subject must be a regular expression, but {text!r} is none: {error}") from error


def _fitting(emotions: list[str]) -> LabelSet:
    """Return the smallest label set that has all emotions; calm goes before contempt, which no speech model knows."""
    words = set(emotions)
    return RAVDESS8 if "calm" in words else FERPLUS8 if "contempt" in words else FER7


def _tell(file: str, *, pattern: re.Pattern[str] | None, emotions: list[str]) -> Clip:
    folders = PurePosixPath(file).parent.parts
    emotion = next((word for word in map(_word, reversed(folders)) if word), "")
    if not emotion:
        raise Wrong("expected a folder named by an emotion above it")
    emotions.append(emotion)
    found = pattern.search(file) if pattern is not None else None
    stem, method = stem_of(file)
    within = [part for part in folders if part.lower() not in _split_names(file) and _word(part) != emotion]
    return Clip(
        emotion=emotion,
        clip="/".join([*within, emotion, stem]),
        subject=(found[1] or "" if found.re.groups else found[0]) if found else "",
        split=split_of(file),
        method=method,
    )


def _split_names(file: str) -> tuple[str, ...]:
    return (PurePosixPath(file).parts[0].lower(),) if split_of(file) else ()


def _word(folder: str) -> str:
    try:
        return canonical(folder)
    except InputError:
        return ""


def _manifest(folder: Path, problems: list[str]) -> list[tuple[str, Clip]]:
    path = folder / MANIFEST
    rows = []
    try:
        # One file's name that is no UTF-8 must not close the table.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, restval="", strict=True)
            names = reader.fieldnames or []
            for needed in ("file", "emotion"):
                if needed not in names:
                    raise DatasetError(f"{format_path(path)} must have the columns file and emotion, but has {names}")
            for row in reader:
                try:
                    rows.append(_row(folder, row))
                except Wrong as error:
                    problems.append(f"{format_path(path)}, line {reader.line_num}: {error}")
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"cannot read {format_path(path)}: {error}") from error
    if not rows:
        raise DatasetError(f"no clip in {format_path(path)}: {problems[0] if problems else 'it has no rows'}")
    return rows


def _row(folder: Path, row: dict[str, str]) -> tuple[str, Clip]:
    file = row["file"]
    inside = PurePosixPath(file)
    if not file or inside.is_absolute() or ".." in inside.parts:
        raise Wrong(f"expected a file in the folder, but got {format_path(file)}")
    if not (folder / file).is_file():
        raise Wrong(f"there is no {format_path(file)}")
    told = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    sex = _SEXES.get(told["sex"].lower())
    if sex is None:
        raise Wrong(f"sex must be male, female or empty, but got {format_path(told['sex'])}")
    told["sex"] = sex
    # As file names have it: a copy's method with its amount.
    told["method"] += (row.get("value") or "").strip() if told["method"] else ""
    told["emotion"] = _word(told["emotion"]) or told["emotion"]
    told["clip"] = told["clip"] or (row.get("origin") or "").strip() or inside.with_suffix("").as_posix()
    return file, Clip(**told)
