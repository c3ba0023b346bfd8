"""Photographs become data for training: the face of each found, cut upright by the distance of its eyes, and written.

The way of the early FER2013, CK+ and JAFFE pipelines (`mien.face.align.eye_distance_crop`), for many images in
several processes, with books about what was turned away.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data import table
from mien.data.prepare._journal import Journal, journal_of
from mien.data.prepare._workers import Outcome, Settings, outcomes
from mien.data.samples import Samples
from mien.errors import DatasetError
from mien.face.prepare import FaceCut, PreparedFace
from mien.io.paths import format_path

__all__ = ["REJECTED", "Outcome", "Settings", "Summary", "prepare", "prepare_to", "rejected_of"]

REJECTED = ("file", "emotion", "subject", "clip", "split", "kind", "reason")
"""Columns of ``rejected.csv``; the kinds: ``unreadable``, ``no_face``, ``profile``."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the images.

    Parameters
    ----------
    images : int
        How many there were.
    faces : int
        How many faces were written.
    rejected : dict of str to int
        How many images were turned away, by kind: ``unreadable``, ``no_face``, ``profile``.
    resumed : int
        How many images an earlier run had done.
    rejected_file : str
        Where each is listed with its reason; empty if none was.
    """

    images: int
    faces: int
    rejected: dict[str, int]
    resumed: int
    rejected_file: str


def rejected_of(out: str | os.PathLike[str]) -> Path:
    """Return where rejected images are listed: in a folder, or beside a table as ``<name>.rejected.csv``."""
    target = Path(out)
    return target / "rejected.csv" if table.form_of(target) == "folder" else target.with_suffix(".rejected.csv")


def prepare(
    images: Samples, settings: Settings | None = None, *, workers: int = 1, skip: Iterable[int] = ()
) -> Generator[tuple[int, Outcome], None, None]:
    """Find and cut the faces of images, as they come.

    Parameters
    ----------
    images : Samples
        What to prepare; files are read by the processes that work on them.
    settings : Settings, optional
        Detector, geometry, and whether all faces are wanted.
    workers : int
        Processes; with one, everything happens in this one.
    skip : iterable of int
        Images that are done.

    Yields
    ------
    number : int
        The image; with several processes not in order.
    outcome : Outcome
        Its faces, or why there are none.  A bad image stops nothing.

    Raises
    ------
    InputError
        If a setting is wrong.
    DatasetError
        If a process dies.
    """
    done = set(skip)
    wanted = (i for i in range(len(images)) if i not in done)
    yield from outcomes(images, wanted, settings or Settings(), workers=workers)


def prepare_to(
    out: str | os.PathLike[str],
    images: Samples,
    settings: Settings | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Prepare images and write the faces: a table (CSV, Parquet) or a folder, by the suffix.

    What is done is kept in a journal beside ``out`` (hidden, ``.<name>.mien-journal``), so that the same call goes on
    after Ctrl-C, a kill or a full disk.  ``out`` appears at the end, whole; then the journal goes.  The order is that
    of the images, whatever the number of processes.

    Parameters
    ----------
    out : str or os.PathLike
        See `mien.data.table.write`; must not exist.
    images, settings, workers
        See `prepare`.
    progress : callable, optional
        Called with the number of images done since the last call, those of an earlier run first.

    Returns
    -------
    Summary
        Also if not one face was found: then only the list of the rejected is written.

    Raises
    ------
    DatasetError
        If there is no image, something stands at ``out``, or it cannot be written.
    InputError, MissingExtraError
        If a setting is wrong, or the form needs a package that is not installed.
    """
    chosen, target = settings or Settings(), Path(out)
    if not len(images):
        raise DatasetError(f"{images.source} has no images")
    table.form_of(target)
    table.check_free(target)
    if not journal_of(target).exists():  # a run that goes on may have listed before it was killed
        table.check_free(rejected_of(target))
    say = progress or (lambda _: None)
    with Journal(journal_of(target), _work(images, chosen)) as journal:
        resumed = len(journal)
        say(resumed)
        done = [i for i in range(len(images)) if i in journal]
        with closing(prepare(images, chosen, workers=workers, skip=done)) as work:
            for number, outcome in work:
                journal.add(number, _entry(outcome))
                say(1)
        summary = _finish(target, images, journal, chosen)
        journal.remove()
    return replace(summary, resumed=resumed)


def _work(images: Samples, settings: Settings) -> dict[str, Any]:
    """Say what makes this work that work."""
    digest = hashlib.sha256()
    for part in (images.files, images.labels, images.splits, images.subjects, images.clips):
        digest.update(repr(part.tolist()).encode("utf-8", "surrogatepass"))
    if images.pixels is not None:
        digest.update(images.pixels.tobytes())
    options = asdict(settings)
    options |= options.pop("cut")
    return {"data": images.name, "source": str(Path(images.source).resolve()), "list": digest.hexdigest()} | options


def _entry(outcome: Outcome) -> dict[str, Any]:
    if outcome.reason:
        return {"kind": outcome.kind, "reason": outcome.reason}
    return {"faces": [_packed(face) for face in outcome.faces]}


def _packed(face: PreparedFace) -> dict[str, Any]:
    data = zlib.compress(np.ascontiguousarray(face.pixels).tobytes(), 1)
    return {"box": [round(value, 1) for value in face.box], "data": base64.b64encode(data).decode("ascii")}


def _unpacked(packed: dict[str, Any], cut: FaceCut) -> NDArray[np.uint8]:
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    return pixels.reshape((cut.size, cut.size) if cut.gray else (cut.size, cut.size, 3))


def _finish(target: Path, images: Samples, journal: Journal, settings: Settings) -> Summary:
    """Write the result from the journal."""
    counts: Counter[str] = Counter(e["kind"] for _, e in journal.entries() if "kind" in e)
    faces = sum(len(e["faces"]) for _, e in journal.entries() if "faces" in e)
    listed = rejected_of(target)
    kind = table.form_of(target)
    # The list comes first: once the result has its name, everything is there.
    if counts and (kind != "folder" or not faces):
        listed.parent.mkdir(parents=True, exist_ok=True)
        _write_rejected(listed, images, journal)
    if faces:
        table.write(
            target,
            _rows(images, journal, settings.cut),
            images.label_set,
            beside=lambda folder: _write_rejected(folder / listed.name, images, journal),
        )
    return Summary(len(images), faces, dict(counts), 0, str(listed) if counts else "")


def _rows(images: Samples, journal: Journal, cut: FaceCut) -> Iterator[table.Face]:
    for number, entry in journal.entries():
        about = _about(images, number)
        for face in entry.get("faces", ()):
            yield table.Face(
                pixels=_unpacked(face, cut),
                emotion=about["emotion"],
                split=about["split"],
                subject=about["subject"],
                clip=about["clip"],
                source=f"{images.name}:{about['file']}",
                box=" ".join(f"{value:.1f}" for value in face["box"]),
            )


def _about(images: Samples, number: int) -> dict[str, str]:
    return {
        "file": str(images.files[number]) or f"row {images.rows[number]}",
        "emotion": images.emotion(number),
        "subject": str(images.subjects[number]),
        "clip": str(images.clips[number]),
        "split": str(images.splits[number]),
    }


def _write_rejected(path: Path, images: Samples, journal: Journal) -> None:
    rows = [(number, entry) for number, entry in journal.entries() if "kind" in entry]
    if not rows:
        return
    try:
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.DictWriter(file, REJECTED, lineterminator="\n")
            writer.writeheader()
            for number, entry in rows:
                writer.writerow(_about(images, number) | {"kind": entry["kind"], "reason": entry["reason"]})
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error
