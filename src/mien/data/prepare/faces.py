"""Photographs become data for training: the face of each found, cut upright by the distance of its eyes, and written.

The way of the early FER2013, CK+ and JAFFE pipelines (`mien.face.align.eye_distance_crop`), for many images in
several processes, with a table of what was rejected and why.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data import table
from mien.data.prepare.work import Journal, journal_path, run_tasks, write_table
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, MienError
from mien.face.align import Crop
from mien.face.detect import DETECTORS, Detector, get_detector
from mien.face.prepare import FaceCut, PreparedFace, crop_name, cut_faces
from mien.io.image import read_image
from mien.models import registry

__all__ = ["REJECTED", "FaceFinder", "Outcome", "Settings", "Summary", "prepare", "prepare_to", "rejected_path"]

REJECTED = ("file", "emotion", "subject", "clip", "split", "kind", "reason")
"""Columns of ``rejected.csv``; the kinds: ``unreadable``, ``no_face``, ``profile``."""

_AT_ONCE = 8
"""Images a process gets at a time: few enough that a kill loses little, enough that sending costs nothing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How faces are found and cut.

    Parameters
    ----------
    cut : FaceCut
        Geometry and tone of the crops.
    detector : str
        One of `mien.face.detect.DETECTORS`.
    model : str
        The face model as whose faces they are cut: a shipped one, a record or a run folder; empty for the cut's own
        factors.
    all_faces : bool
        Keep all faces of an image, each with the image's label; by default the largest alone.
    min_face_px : float, optional
        Longer side of the smallest face to keep; by default the detector chooses by the size of the image.

    Raises
    ------
    InputError
        If there is no such detector, the size is none, or the model takes no faces.
    ModelError
        If there is no such model.
    """

    cut: FaceCut = field(default_factory=FaceCut)
    detector: str = "mtcnn"
    model: str = ""
    all_faces: bool = False
    min_face_px: float | None = None

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise InputError(f"detector must be one of {', '.join(DETECTORS)}, but got {self.detector!r}")
        if self.model:
            table = registry.get(self.model).crop
            if not table:
                raise InputError(f"model {self.model!r} takes no faces: it has no crop")
            geometry = Crop.from_dict(table)
            object.__setattr__(self, "cut", replace(self.cut, geometry=geometry, size=geometry.size))
        if self.min_face_px is not None:
            object.__setattr__(self, "min_face_px", check_number(self.min_face_px, "min_face_px", low=1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the geometry beside the rest."""
        options: dict[str, Any] = asdict(self)
        options.update(options.pop("cut"))
        del options["geometry"]
        return options | ({"crop": crop_name(self.cut)} if self.model else {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image.

    Parameters
    ----------
    faces : tuple of PreparedFace
        Its faces, largest first.
    kind : str
        Why there is none: ``"unreadable"``, ``"no_face"`` or ``"profile"``; empty if there is one.
    reason : str
        The same in words.
    """

    faces: tuple[PreparedFace, ...] = ()
    kind: str = ""
    reason: str = ""


@dataclass(frozen=True)
class FaceFinder:
    """Finds and cuts the faces of images; sent to a process, it loads its detector there."""

    settings: Settings

    @cached_property
    def _detector(self) -> Detector:
        return get_detector(self.settings.detector, min_face_px=self.settings.min_face_px, threads=1)

    def find(self, pixels: NDArray[np.uint8]) -> Outcome:
        """Return the faces of an image, uint8 (H, W, 3) RGB, or why there are none."""
        settings = self.settings
        faces, found = cut_faces(pixels, self._detector, settings.cut, most=None if settings.all_faces else 1)
        if faces:
            return Outcome(faces)
        if found:
            return Outcome(kind="profile", reason=f"{found} found, but none whose two eyes can be told apart")
        least = "" if settings.min_face_px is None else f" of at least {settings.min_face_px:g} px"
        return Outcome(kind="no_face", reason=f"no face{least} found")


@dataclass(frozen=True, slots=True)
class _Preparation:
    """Reads images and cuts their faces."""

    finder: FaceFinder

    def __call__(self, task: tuple[int, str | NDArray[np.uint8]]) -> Outcome:
        try:
            image = read_image(task[1])
        except MienError as error:
            return Outcome(kind="unreadable", reason=str(error))
        cut_off = next((warning for warning in image.warnings if "truncated" in warning), None)
        if cut_off is not None:  # the missing part would be learned as if it were the face
            return Outcome(kind="unreadable", reason=cut_off)
        return self.finder.find(image.pixels)


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
        How many images were rejected, by kind: ``unreadable``, ``no_face``, ``profile``.
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


def rejected_path(out: str | os.PathLike[str]) -> Path:
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
        Detector, geometry, and whether all faces are taken.
    workers : int
        Processes; with one, everything happens in this one.
    skip : iterable of int
        Images that are done.

    Yields
    ------
    number : int
        The image; with several processes not in order.
    outcome : Outcome
        Its faces, or why there are none. A bad image stops nothing.

    Raises
    ------
    InputError
        If a setting is wrong.
    DatasetError
        If a process dies.
    """
    check_integer(workers, "workers", low=1, high=256)
    done = set(skip)
    left = [i for i in range(len(images)) if i not in done]
    tasks = ((i, images.where(i) if images.pixels is None else images.read(i)) for i in left)
    work = _Preparation(FaceFinder(settings or Settings()))
    with closing(run_tasks(work, tasks, len(left), workers=workers, at_once=_AT_ONCE)) as outcomes:
        for (number, _), outcome in outcomes:
            yield number, outcome


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
    after Ctrl-C, a kill or a full disk. ``out`` appears at the end, whole; then the journal goes. The order is that
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
    if not journal_path(target).exists():  # a run that goes on may have listed before it was killed
        table.check_free(rejected_path(target))
    advance = progress or (lambda _: None)
    with Journal(journal_path(target), _describe_work(images, chosen)) as journal:
        resumed = len(journal)
        advance(resumed)
        done = [i for i in range(len(images)) if i in journal]
        with closing(prepare(images, chosen, workers=workers, skip=done)) as outcomes:
            for number, outcome in outcomes:
                journal.add(number, _entry(outcome))
                advance(1)
        summary = _write_result(target, images, journal, chosen, resumed)
        journal.remove()
    return summary


def _describe_work(images: Samples, settings: Settings) -> dict[str, Any]:
    """Return what makes this work that work."""
    digest = hashlib.sha256()
    for part in (images.files, images.labels, images.splits, images.subjects, images.clips):
        digest.update(repr(part.tolist()).encode("utf-8", "surrogatepass"))
    if images.pixels is not None:
        digest.update(images.pixels.tobytes())
    source = str(Path(images.source).resolve())
    return {"data": images.name, "source": source, "list": digest.hexdigest()} | settings.to_dict()


def _entry(outcome: Outcome) -> dict[str, Any]:
    if outcome.reason:
        return {"kind": outcome.kind, "reason": outcome.reason}
    return {"faces": [_pack(face) for face in outcome.faces]}


def _pack(face: PreparedFace) -> dict[str, Any]:
    data = zlib.compress(np.ascontiguousarray(face.pixels).tobytes(), 1)
    return {"box": [round(value, 1) for value in face.box], "data": base64.b64encode(data).decode("ascii")}


def _unpack(packed: dict[str, Any], cut: FaceCut) -> NDArray[np.uint8]:
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    return pixels.reshape((cut.size, cut.size) if cut.gray else (cut.size, cut.size, 3))


def _write_result(target: Path, images: Samples, journal: Journal, settings: Settings, resumed: int) -> Summary:
    """Write the result from the journal."""
    rejected = [_about(images, number) | entry for number, entry in journal.entries() if "kind" in entry]
    faces = sum(len(entry["faces"]) for _, entry in journal.entries() if "faces" in entry)
    listed = rejected_path(target)

    def write_rejected(path: Path) -> None:
        if rejected:
            write_table(path, REJECTED, ({name: row[name] for name in REJECTED} for row in rejected))

    # The list comes first: once the result has its name, everything is there.
    if table.form_of(target) != "folder" or not faces:
        write_rejected(listed)
    if faces:
        table.write(
            target,
            _faces(images, journal, settings.cut),
            images.label_set,
            beside=lambda folder: write_rejected(folder / listed.name),
        )
    counts = Counter(row["kind"] for row in rejected)
    return Summary(len(images), faces, dict(counts), resumed, str(listed) if rejected else "")


def _faces(images: Samples, journal: Journal, cut: FaceCut) -> Iterator[table.Face]:
    for number, entry in journal.entries():
        about = _about(images, number)
        for face in entry.get("faces", ()):
            yield table.Face(
                pixels=_unpack(face, cut),
                emotion=about["emotion"],
                split=about["split"],
                subject=about["subject"],
                clip=about["clip"],
                source=f"{images.name}:{about['file']}",
                box=" ".join(f"{value:.1f}" for value in face["box"]),
                crop=crop_name(cut),
            )


def _about(images: Samples, number: int) -> dict[str, str]:
    return {
        "file": str(images.files[number]) or f"row {images.rows[number]}",
        "emotion": images.emotion(number),
        "subject": str(images.subjects[number]),
        "clip": str(images.clips[number]),
        "split": str(images.splits[number]),
    }
