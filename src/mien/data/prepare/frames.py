"""Videos become face frames to train on: of each clip some frames, of each frame the largest face, upright and small.

The way of the early BAUM-2 pipelines (so many frames of a video, evenly spaced, in a tree by clip with the code
beside), and that of RAVDESS pipelines (every 15th frame, filed by emotion).
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mien.data.prepare._frames_work import LAYOUTS, FrameSettings, Place, Plan, entries
from mien.data.prepare._journal import Journal, journal_of
from mien.data.prepare._sound_work import write_whole
from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import BAUM8, mapping

__all__ = ["LAYOUTS", "MANIFEST", "REJECTED", "FrameSettings", "FrameSummary", "frames_to"]

MANIFEST = ("file", "emotion", "subject", "clip", "split", "source", "frame", "box")
"""Columns of ``manifest.csv``: a row a face; the data set ``folder`` reads it."""

REJECTED = ("clip", "frame", "emotion", "subject", "split", "source", "kind", "reason")
"""Columns of ``rejected.csv``; ``frame`` is empty where it is about the whole clip.  The kinds: ``unreadable`` (nothing
of the clip), ``damaged`` (its rest), ``no_face``, ``profile``."""

_LONGEST_NAME = 200
"""Bytes of a clip's name in a file's: file systems take 255, and number and suffix follow."""

_LIKE_BAUM = re.compile(r"S\d+/[^/]+", re.ASCII)


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
    clips whose subject is not known.  The layout ``emotions`` is what `mien.data.folder` reads.  ``manifest.csv``
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
    if not len(clips):
        raise DatasetError(f"{format_path(clips.source)} has no clips")
    if not journal_of(target).exists() and os.path.lexists(target):
        raise DatasetError(f"will not write over {format_path(target)}: choose another name, or move it away")
    say = progress or (lambda _: None)
    places, notes = _places(clips, chosen.layout)
    plan = Plan(clips, places, target, chosen)
    with Journal(journal_of(target), _work(clips, chosen)) as journal:
        # What an earlier run wrote may have been removed since.
        done = {
            clip for clip, entry in journal.entries() if all((target / one["file"]).is_file() for one in entry["faces"])
        }
        resumed = len(done)
        say(resumed)
        left = [i for i in range(len(clips)) if i not in done]
        with closing(entries(plan, left, workers=workers)) as work:
            for clip, entry in work:
                journal.add(clip, entry)
                say(1)
        summary = _finish(target, clips, journal)
        journal.remove()
    return replace(summary, resumed=resumed, notes=notes)


def _work(clips: Samples, settings: FrameSettings) -> dict[str, Any]:
    """Say what makes this work that work."""
    digest = hashlib.sha256()
    for part in (
        clips.files.tolist(),
        clips.frames,
        clips.labels.tolist(),
        *(clips.column(key).tolist() for key in _ABOUT),
    ):
        digest.update(repr(part).encode("utf-8", "surrogatepass"))
    source = str(Path(clips.source).resolve())
    return {"what": "frames", "data": clips.name, "source": source, "list": digest.hexdigest()} | settings.to_dict()


_ABOUT = ("clip", "subject", "split")


# --- where faces go -------------------------------------------------------------------------------


def _places(clips: Samples, layout: str) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """Return where the faces of each clip go, and what has to be said about it."""
    if layout == "emotions":
        return tuple(
            Place(f"{clips.emotion(i) or 'none'}/{_short(str(clip))}_") for i, clip in enumerate(clips.clips)
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
        Place(f"{folder}/frames/", f"{folder}/emotion.txt", int(codes[label]))
        for folder, label in zip(folders, clips.labels.tolist(), strict=True)
    ), tuple(notes)


def _folders(clips: Samples, notes: list[str]) -> list[str]:
    """Return ``SNNN/NNN`` for each clip: its own name where that is of this form, else numbers."""
    named = list(zip(clips.clips.tolist(), clips.subjects.tolist(), strict=True))
    if all(_LIKE_BAUM.fullmatch(clip) and clip.split("/")[0] == subject for clip, subject in named):
        return [clip for clip, _ in named]
    subjects = sorted({subject for _, subject in named if subject})
    number_of = {"": 0} | {subject: number for number, subject in enumerate(subjects, 1)}
    notes.append("subjects and clips get numbers: manifest.csv tells their names")
    if any(not subject for _, subject in named):
        notes.append("clips whose subject is not known are those of S000")
    used: Counter[str] = Counter()
    folders = []
    for _, subject in named:
        used[subject] += 1
        folders.append(f"S{number_of[subject]:03d}/{used[subject]:03d}")
    return folders


def _short(clip: str) -> str:
    """Return a clip's name such that a file can have it: in signs of UTF-8, not too long."""
    path = PurePosixPath(clip.encode("utf-8", "backslashreplace").decode())
    whole = path.name.encode()
    if len(whole) <= _LONGEST_NAME:
        return path.as_posix()
    cut = whole[: _LONGEST_NAME - 20].decode("utf-8", "ignore")
    return path.with_name(f"{cut}~{hashlib.sha256(whole).hexdigest()[:12]}").as_posix()


# --- the tables -----------------------------------------------------------------------------------


def _finish(target: Path, clips: Samples, journal: Journal) -> FrameSummary:
    """Write the tables from the journal."""
    counts: Counter[str] = Counter()
    faces = used = 0
    for _, entry in journal.entries():
        counts.update(one["kind"] for one in entry["rejected"])
        faces += len(entry["faces"])
        used += bool(entry["faces"])
    listed = target / "rejected.csv"
    write_whole(target / "manifest.csv", _csv(MANIFEST, _manifest(clips, journal)))
    if counts:
        write_whole(listed, _csv(REJECTED, _rejected(clips, journal)))
    return FrameSummary(len(clips), used, faces, dict(counts), 0, (), str(listed) if counts else "")


def _manifest(clips: Samples, journal: Journal) -> Iterator[dict[str, Any]]:
    for clip, entry in journal.entries():
        for face in entry["faces"]:
            box = " ".join(f"{value:.1f}" for value in face["box"])
            yield _about(clips, clip, face["frame"]) | {"file": face["file"], "frame": face["frame"], "box": box}


def _rejected(clips: Samples, journal: Journal) -> Iterator[dict[str, Any]]:
    for clip, entry in journal.entries():
        for one in entry["rejected"]:
            frame = "" if one["frame"] is None else one["frame"]
            yield _about(clips, clip, one["frame"]) | {"frame": frame, "kind": one["kind"], "reason": one["reason"]}


def _about(clips: Samples, clip: int, frame: int | None) -> dict[str, Any]:
    images = clips.frames[clip]
    source = images[frame or 0] if images else clips.files[clip]
    return {
        "emotion": clips.emotion(clip),
        "subject": str(clips.subjects[clip]),
        "clip": str(clips.clips[clip]),
        "split": str(clips.splits[clip]),
        "source": f"{clips.name}:{source}",
    }


def _csv(columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8", "backslashreplace")
