"""Datasets of videos: any folder by emotion or table, and RAVDESS."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mien.data.annotations import FileNames, find_given, match_files, read_annotations
from mien.data.baum2 import LABEL_FILE, SUBJECT
from mien.data.ckplus import IMAGE_FOLDERS
from mien.data.files import (
    MANIFEST,
    check_folder,
    compile_pattern,
    emotion_of,
    find_clips,
    list_folder,
    match_pattern,
    nothing_found,
    smallest_label_set,
    split_of,
)
from mien.data.registry import Dataset
from mien.data.samples import Row, Samples
from mien.data.speech import (
    RAVDESS_NAMES,
    BadNameError,
    parse_ravdess,
)
from mien.errors import InputError
from mien.io.paths import format_path
from mien.labels import RAVDESS8, label_set

__all__ = ["RAVDESS_VIDEOS", "VIDEO_FOLDER", "detect_dataset", "list_ravdess_videos", "list_video_folder"]

# --- any folder ---------------------------------------------------------------------------------------

_FOLDER = "<emotion>/<subject>_*.mp4, <subject>/<emotion>/*.mp4, or a table of file and emotion"

Clips = dict[str, tuple[str, ...]]
"""By place: the frames of a video in images, nothing for a video file."""


def list_video_folder(
    path: str | Path,
    *,
    table: str | Path | None = None,
    file_column: str | None = None,
    emotion_column: str | None = None,
    subject_column: str | None = None,
    sheet: str | None = None,
    subject: str | None = None,
    labels: str | None = None,
) -> Samples:
    """List the videos of a folder: files, and folders of images that are frames in the order of their numbers.

    Without a table, the nearest folder above a video that is named by an emotion (any common word) is its emotion. The
    subject is the folder above that one (``<subject>/<emotion>/x.mp4``), else the folder below it, else what a file's
    name has before its first underscore (``<emotion>/<subject>_x.mp4``), else not known. The first folder may be a
    split: train, test or val.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    table : str or pathlib.Path, optional
        A CSV, TSV or XLSX file that names file and emotion, and maybe subject, relative to where the program runs or to
        ``path``; by default ``manifest.csv`` in the folder, if it is there.
    file_column, emotion_column, subject_column : str, optional
        Names of its columns; by default found by common names (such as ``file``, ``emotion``, ``subject``).
    sheet : str, optional
        Sheet of an XLSX table; by default the first.
    subject : str, optional
        Pattern (regular expression) that finds the subject in the relative path: its first group, or all it matches.
        Not for tables.
    labels : str, optional
        Name of the label set. By default ``fer7``, or ``ravdess8`` where an emotion is calm, or ``ferplus8`` where one
        is contempt.

    Returns
    -------
    Samples
        Clips are named by their paths without suffix; in the order of the table, else sorted. Videos without an
        emotion, and rows without their video, are among its ``problems``.

    Raises
    ------
    DatasetError
        If the folder is missing or has no video with an emotion, or the table is none.
    InputError
        If there is no such label set, or the pattern is none.
    """
    pattern = compile_pattern(subject)
    chosen = None if labels is None else label_set(labels)
    root = check_folder(path, _FOLDER)
    problems: list[str] = []
    clips: Clips = dict(find_clips(root, root, problems))
    source = root / MANIFEST if table is None else find_given(root, table)
    if table is not None or source.is_file():
        if pattern is not None:
            raise InputError(f"{format_path(source)} names the subjects: subject must not be given")
        annotations = read_annotations(
            source,
            problems,
            file_column=file_column,
            emotion_column=emotion_column,
            subject_column=subject_column,
            sheet=sheet,
            of_videos=True,
        )
        places: defaultdict[str, set[str]] = defaultdict(set)
        for place in clips:
            for name in (place, _stem(place)):
                places[name].add(place)
        names = FileNames(places)
        matched = match_files(
            annotations,
            lambda called: {place for name in names.find(called) for place in places[name]},
            "clip",
            problems,
        )
        known = {place: (row.emotion, row.subject) for place, row in matched.items()}
        problems += [
            f"{format_path(place)}: no usable row in {format_path(source.name)}"
            for place in clips
            if place not in known
        ]
    else:
        known = {place: _parse_place(place, is_file=not frames) for place, frames in clips.items()}
        if pattern is not None:
            known = {place: (emotion, match_pattern(pattern, place)) for place, (emotion, _) in known.items()}
    labels_of = chosen or smallest_label_set({emotion for emotion, _ in known.values()})
    clip_names = _clip_names(known, clips)
    rows: list[Row] = []
    for place, (emotion, who) in known.items():
        if emotion in labels_of.emotions:
            rows.append(Row(place, emotion, who, clip_names[place], split_of(place), frames=clips[place]))
        elif emotion:
            problems.append(f"{format_path(place)}: {emotion} is not in {labels_of.name}")
        else:
            problems.append(f"{format_path(place)}: expected a folder named by an emotion above it")
    if not rows:
        raise nothing_found(root, _FOLDER, problems)
    return Samples.from_rows(
        rows, name="video_folder", kind="video", source=root, label_set=labels_of, problems=problems
    )


def _stem(place: str) -> str:
    return place.removesuffix(PurePosixPath(place).suffix)


def _clip_names(places: Iterable[str], clips: Clips) -> dict[str, str]:
    """Return paths without suffix; with it where two would be the same."""
    names = {place: place if clips[place] else _stem(place) for place in places}
    times = Counter(names.values())
    return {place: name if times[name] == 1 else place for place, name in names.items()}


def _parse_place(place: str, *, is_file: bool) -> tuple[str, str]:
    """Return the emotion and the subject that folders and name say; empty for none."""
    path = PurePosixPath(place)
    folders = path.parent.parts[1:] if split_of(place) else path.parent.parts
    at = next((i for i in reversed(range(len(folders))) if emotion_of(folders[i])), None)
    if at is None:
        return "", ""
    if at > 0:
        subject = folders[at - 1]
    elif at + 1 < len(folders):
        subject = folders[at + 1]
    else:
        before, sign, _ = (path.stem if is_file else path.name).partition("_")
        subject = before if sign else ""
    return emotion_of(folders[at]), subject


# --- RAVDESS ------------------------------------------------------------------------------------------

_RAVDESS = "videos named like 01-01-05-02-01-01-12.mp4"


def list_ravdess_videos(path: str | Path, *, channel: str = "speech") -> Samples:
    """List the videos of RAVDESS in a folder and in all folders in it; see `mien.data.speech.RAVDESS_NAMES`.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, such as the published ``Video_Speech_Actor_01`` or one that holds several.
    channel : {"speech", "song", "both"}
        Which to take.

    Returns
    -------
    Samples
        Labels in ``RAVDESS8``; subjects ``"01"`` to ``"24"``, clips the name without its first field (one recording is
        published with and without its sound: the first that is found is taken), no splits. Videos with another name
        are among its ``problems``, songs and second copies are counted there.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no video of RAVDESS.
    InputError
        If the channel is none.
    """
    if channel not in ("speech", "song", "both"):
        raise InputError(f"channel must be speech, song or both, but got {channel!r}")
    root = check_folder(path, _RAVDESS)
    problems: list[str] = []
    rows: dict[str, Row] = {}
    left_out: Counter[str] = Counter()
    for place, frames in find_clips(root, root, problems):
        try:
            row, kind = _parse_ravdess_video(place, frames)
        except BadNameError as error:
            problems.append(f"{format_path(place)}: {error}")
            continue
        if channel not in (kind, "both"):
            left_out["songs" if channel == "speech" else "speech"] += 1
        elif rows.setdefault(row.clip, row) is not row:
            left_out["second copies of a recording"] += 1
    problems += [f"{count} left out: {what}" for what, count in left_out.items()]
    if not rows:
        raise nothing_found(root, _RAVDESS, problems)
    return Samples.from_rows(
        list(rows.values()), name="ravdess_videos", kind="video", source=root, label_set=RAVDESS8, problems=problems
    )


def _parse_ravdess_video(place: str, frames: tuple[str, ...]) -> tuple[Row, str]:
    """Return what a video's name says, and whether it is speech or song."""
    parsed = None if frames else parse_ravdess(place)
    if parsed is None:
        raise BadNameError(f"expected {_RAVDESS}")
    row, words = parsed
    if words["modality"] == "audio":
        raise BadNameError("the name says that it holds sound alone (first field 03)")
    return replace(row, split="", method=""), words["channel"]


def detect_dataset(path: str | Path) -> str:
    """Return which dataset of videos a folder looks like, by names alone; ``video_folder`` in doubt."""
    root = Path(path)
    if any((root / name).is_dir() for name in IMAGE_FOLDERS) or root.name in IMAGE_FOLDERS:
        return "ckplus_sequences"
    for entry in list_folder(root, root, []):
        if entry.is_dir() and SUBJECT.fullmatch(entry.name):
            inside = Path(entry.path)
            if (inside / "avi").is_dir() or any(inside.glob(f"*/{LABEL_FILE}")):
                return "baum2"
    first = next((place for place, frames in find_clips(root, root, []) if not frames), "")
    return "ravdess_videos" if RAVDESS_NAMES.pattern.search(Path(first).name) else "video_folder"


RAVDESS_VIDEOS = Dataset(
    "video", "RAVDESS (Livingstone and Russo 2018): videos of 24 actors, eight emotions", list_ravdess_videos
)
VIDEO_FOLDER = Dataset(
    "video",
    "Any folder of videos: <emotion>/<subject>_*, <subject>/<emotion>/*, or with a table",
    list_video_folder,
    fixed_labels=False,
)
