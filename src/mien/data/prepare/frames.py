"""Videos become face frames to train on: of each video some frames, of each frame the largest face, upright and small.

The way of the early BAUM-2 pipelines (so many frames of a video, evenly spaced, in a tree by video with the code
beside), and that of RAVDESS pipelines (every 15th frame, filed by emotion).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mien._checks import check_integer
from mien.data.baum2 import LABEL_FILE
from mien.data.prepare.faces import FaceFinder, Settings
from mien.data.prepare.work import Journal, is_stopped, journal_path, run_tasks, write_bytes, write_table
from mien.data.samples import Samples
from mien.data.table import encode_gray_png
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import BAUM8, mapping

__all__ = ["LAYOUTS", "MANIFEST", "REJECTED", "FrameSettings", "FrameSummary", "frames_to"]

LAYOUTS = ("clips", "emotions")
"""``SNNN/NNN/frames/<frame>.png`` with ``SNNN/NNN/emotion.txt``, and ``<emotion>/<clip>_<frame>.png``."""

MANIFEST = ("file", "emotion", "subject", "clip", "split", "source", "frame", "box")
"""Columns of ``manifest.csv``: a row a face; the dataset ``folder`` reads it."""

REJECTED = ("clip", "frame", "emotion", "subject", "split", "source", "kind", "reason")
"""Columns of ``rejected.csv``; ``frame`` is empty where it is about the whole clip. The kinds: ``unreadable`` (nothing
of the clip), ``damaged`` (its rest), ``no_face``, ``profile``."""

_LONGEST_NAME = 200
"""Bytes of a clip's name in a file's: file systems take 255, and number and suffix follow."""

_LIKE_BAUM = re.compile(r"S\d+/[^/]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """Which frames are taken of a video, and how their faces are found, cut and filed.

    Parameters
    ----------
    count : int or None
        So many frames of a video, evenly spaced from the first to the last (see `mien.data.samples.choose_frames`).
    every : int or None
        Instead of a count: every so many frames, from the first on.
    layout : {"clips", "emotions"}
        See `LAYOUTS`.
    faces : Settings
        How faces are found and cut; the largest of each frame, in gray.

    Raises
    ------
    InputError
        If a value is wrong, or both or none of count and every are given.
    """

    count: int | None = 16
    every: int | None = None
    layout: str = "clips"
    faces: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if (self.count is None) == (self.every is None):
            raise InputError(f"either count or every must be given, but got {self.count!r} and {self.every!r}")
        for name in ("count", "every"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_integer(getattr(self, name), name, low=1, high=1_000_000))
        if self.layout not in LAYOUTS:
            raise InputError(f"layout must be {' or '.join(LAYOUTS)}, but got {self.layout!r}")
        if not self.faces.cut.gray or self.faces.all_faces:
            raise InputError("faces must be gray, and the largest of a frame alone: datasets of face frames are")


@dataclass(frozen=True, slots=True)
class FrameSummary:
    """What became of the clips.

    Parameters
    ----------
    clips : int
        How many there were.
    used : int
        How many gave at least one face.
    faces : int
        How many faces were written.
    rejected : dict of str to int
        By kind (see `REJECTED`): how many frames gave no face, and how many clips could not be read (to their end).
    resumed : int
        How many clips an earlier run had done.
    notes : tuple of str
        What is not as it was: emotions that were mapped, subjects that got a number.
    rejected_file : str
        Where each is listed with its reason; empty if none was.
    """

    clips: int
    used: int
    faces: int
    rejected: dict[str, int]
    resumed: int
    notes: tuple[str, ...]
    rejected_file: str


def frames_to(
    out: str | os.PathLike[str],
    clips: Samples,
    settings: FrameSettings | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> FrameSummary:
    """Write the faces of frames of clips into a folder, with ``manifest.csv`` and ``rejected.csv``.

    The layout ``clips`` is the tree that `mien.data.baum2` reads: codes are those
    of ``BAUM8`` (calm counts as neutral), and subjects and clips that are not named as BAUM-2's get numbers, S000 for
    clips whose subject is not known. The layout ``emotions`` is what the dataset ``folder`` reads. ``manifest.csv``
    has the original names in both.

    What is done is kept in a journal beside ``out`` (hidden, ``.<name>.mien-journal``), so that the same call goes on
    after Ctrl-C, a kill or a full disk.

    Parameters
    ----------
    out : str or os.PathLike
        The folder; must not exist, but for a run that goes on.
    clips : Samples
        The corpus.
    settings : FrameSettings, optional
        Which frames, and how their faces are cut and filed.
    workers : int
        Processes; the result is the same for any number.
    progress : callable, optional
        Called with the number of clips done since the last call, those of an earlier run first.

    Returns
    -------
    FrameSummary
        Also if not one face was found.

    Raises
    ------
    DatasetError
        If there is no clip, something stands at ``out``, or it cannot be written.
    InputError
        If a setting is wrong.
    """
    chosen, target = settings or FrameSettings(), Path(out)
    check_integer(workers, "workers", low=1, high=256)
    if not len(clips):
        raise DatasetError(f"{format_path(clips.source)} has no clips")
    if not journal_path(target).exists() and os.path.lexists(target):
        raise DatasetError(f"will not write over {format_path(target)}: choose another name, or move it away")
    advance = progress or (lambda _: None)
    places, notes = _places(clips, chosen.layout)
    with Journal(journal_path(target), _describe_work(clips, chosen)) as journal:
        # What an earlier run wrote may have been removed since.
        done = {
            clip for clip, entry in journal.entries() if all((target / one["file"]).is_file() for one in entry["faces"])
        }
        advance(len(done))
        left = [i for i in range(len(clips)) if i not in done]
        work = _Extraction(clips, places, target, chosen)
        # Closed here and not by the garbage collector: an interrupted run waits for its processes.
        with closing(run_tasks(work, left, len(left), workers=workers)) as entries:
            for clip, entry in entries:
                journal.add(clip, entry)
                advance(1)
        summary = _write_tables(target, clips, journal, resumed=len(done), notes=notes)
        journal.remove()
    return summary


def _describe_work(clips: Samples, settings: FrameSettings) -> dict[str, Any]:
    """Return what makes this work that work."""
    digest = hashlib.sha256()
    columns = [clips.column(name).tolist() for name in ("clip", "subject", "split")]
    for part in (clips.files.tolist(), clips.frames, clips.labels.tolist(), *columns):
        digest.update(repr(part).encode("utf-8", "surrogatepass"))
    source = str(Path(clips.source).resolve())
    options = {"count": settings.count, "every": settings.every, "layout": settings.layout} | settings.faces.to_dict()
    return {"what": "frames", "data": clips.name, "source": source, "list": digest.hexdigest()} | options


# --- where faces go -------------------------------------------------------------------------------


def _places(clips: Samples, layout: str) -> tuple[tuple[_Place, ...], tuple[str, ...]]:
    """Return where the faces of each clip go, and what has to be said about it."""
    if layout == "emotions":
        return tuple(
            _Place(f"{clips.emotion(i) or 'none'}/{_short(str(clip))}_") for i, clip in enumerate(clips.clips)
        ), ()
    notes: list[str] = []
    mapped = mapping(clips.label_set, BAUM8)
    if mapped.note != "one to one":
        notes.append(f"{clips.label_set.name} becomes {BAUM8.name}: {mapped.note}")
    codes = mapped.weights.argmax(axis=1).tolist()
    folders = _folders(clips, notes)
    unlabeled = [str(clip) for clip, label in zip(clips.clips, clips.labels, strict=True) if label < 0]
    if unlabeled:
        raise DatasetError(
            f"clip {format_path(unlabeled[0])} of {format_path(clips.source)} has no emotion: it has no code"
        )
    return tuple(
        _Place(f"{folder}/frames/", f"{folder}/{LABEL_FILE}", int(codes[label]))
        for folder, label in zip(folders, clips.labels.tolist(), strict=True)
    ), tuple(notes)


def _folders(clips: Samples, notes: list[str]) -> list[str]:
    """Return ``SNNN/NNN`` for each clip: its own name where that is of this form, else numbers."""
    named = list(zip(clips.clips.tolist(), clips.subjects.tolist(), strict=True))
    if all(_LIKE_BAUM.fullmatch(clip) and clip.split("/")[0] == subject for clip, subject in named):
        return [clip for clip, _ in named]
    subjects = sorted({subject for _, subject in named if subject})
    number_of = {"": 0} | {subject: number for number, subject in enumerate(subjects, 1)}
    notes.append("subjects and clips get numbers: manifest.csv has their names")
    if any(not subject for _, subject in named):
        notes.append("clips whose subject is not known are those of S000")
    used: Counter[str] = Counter()
    folders = []
    for _, subject in named:
        used[subject] += 1
        folders.append(f"S{number_of[subject]:03d}/{used[subject]:03d}")
    return folders


def _short(clip: str) -> str:
    """Return a clip's name such that a file can have it: in characters of UTF-8, not too long."""
    path = PurePosixPath(clip.encode("utf-8", "backslashreplace").decode())
    whole = path.name.encode()
    if len(whole) <= _LONGEST_NAME:
        return path.as_posix()
    cut = whole[: _LONGEST_NAME - 20].decode("utf-8", "ignore")
    return path.with_name(f"{cut}~{hashlib.sha256(whole).hexdigest()[:12]}").as_posix()


# --- one video ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the faces of a clip go, relative to the folder that is made.

    Parameters
    ----------
    prefix : str
        Path of a frame up to its number.
    label : str
        File of the clip's code, and the code; empty for a tree without.
    code : int
        The code.
    """

    prefix: str
    label: str = ""
    code: int = -1

    def frame(self, number: int) -> str:
        """Return the file of a frame by its number in the clip; names sort as numbers do."""
        return f"{self.prefix}{number:06d}.png"


@dataclass(frozen=True)
class _Extraction:
    """Writes the faces of a video, given by its number.

    An entry is ``faces``: number of frame, file and box of each that lies on the disk by now; ``rejected``: number of
    frame (or None for the video), kind and reason of each that does not.
    """

    clips: Samples
    places: tuple[_Place, ...]
    out: Path
    settings: FrameSettings
    finder: FaceFinder = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "finder", FaceFinder(self.settings.faces))

    def __call__(self, clip: int) -> dict[str, Any]:
        settings, place = self.settings, self.places[clip]
        faces: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        with closing(self.clips.iter_frames(clip, settings.count, every=settings.every or 1)) as frames:
            while not is_stopped():
                # Only what reading says is about the video: what cannot be written ends the work.
                try:
                    frame, image = next(frames)
                except StopIteration:
                    break
                except DatasetError as error:
                    kind = "damaged" if faces or rejected else "unreadable"
                    rejected.append({"frame": None, "kind": kind, "reason": str(error)})
                    break
                found = self.finder.find(image)
                if found.faces:
                    (face,) = found.faces
                    write_bytes(self.out / place.frame(frame), encode_gray_png(face.pixels))
                    box = [round(value, 1) for value in face.box]
                    faces.append({"frame": frame, "file": place.frame(frame), "box": box})
                else:
                    rejected.append({"frame": frame, "kind": found.kind, "reason": found.reason})
        # The code comes last: a video without one is one that was not finished.
        if faces and place.label and not is_stopped():
            write_bytes(self.out / place.label, f"{place.code}\n".encode())
        return {"faces": faces, "rejected": rejected}


# --- the tables ---------------------------------------------------------------------------------------


def _write_tables(
    target: Path, clips: Samples, journal: Journal, *, resumed: int, notes: tuple[str, ...]
) -> FrameSummary:
    """Write the tables from the journal."""
    counts: Counter[str] = Counter()
    faces = used = 0
    for _, entry in journal.entries():
        counts.update(one["kind"] for one in entry["rejected"])
        faces += len(entry["faces"])
        used += bool(entry["faces"])
    listed = target / "rejected.csv"
    write_table(target / "manifest.csv", MANIFEST, _rows(clips, journal, "faces", MANIFEST))
    if counts:
        write_table(listed, REJECTED, _rows(clips, journal, "rejected", REJECTED))
    return FrameSummary(len(clips), used, faces, dict(counts), resumed, notes, str(listed) if counts else "")


def _rows(clips: Samples, journal: Journal, what: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for clip, entry in journal.entries():
        for one in entry[what]:
            images = clips.frames[clip]
            row = {
                "emotion": clips.emotion(clip),
                "subject": str(clips.subjects[clip]),
                "clip": str(clips.clips[clip]),
                "split": str(clips.splits[clip]),
                "source": f"{clips.name}:{images[one['frame'] or 0] if images else clips.files[clip]}",
                **one,
            }
            if "box" in row:
                row["box"] = " ".join(f"{value:.1f}" for value in row["box"])
            yield {name: "" if row[name] is None else row[name] for name in columns}
