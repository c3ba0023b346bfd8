"""Images go to processes, prepared faces come back; a bad image is a reason, never the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait as wait_for

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, MienError
from mien.face.detect import DETECTORS, Detector, get_detector
from mien.face.prepare import FaceCut, PreparedFace, cut_faces
from mien.io.image import read_image

__all__ = ["Outcome", "Settings", "outcomes"]

_AT_ONCE = 8
"""Images a process gets at a time: few enough that a kill loses little, enough that sending costs nothing."""

Source = str | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Settings:
    """How images are prepared.

    Parameters
    ----------
    cut : FaceCut
        Geometry and tone of the crops.
    detector : str
        One of `mien.face.detect.DETECTORS`.
    all_faces : bool
        Keep all faces of an image, each with the image's label; by default the largest alone.
    min_face_px : float, optional
        Longer side of the smallest face to keep; by default the detector chooses by the size of the image.

    Raises
    ------
    InputError
        If there is no such detector, or the size is none.
    """

    cut: FaceCut = field(default_factory=FaceCut)
    detector: str = "mtcnn"
    all_faces: bool = False
    min_face_px: float | None = None

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise InputError(f"detector must be one of {', '.join(DETECTORS)}, but got {self.detector!r}")
        if self.min_face_px is not None:
            object.__setattr__(self, "min_face_px", check_number(self.min_face_px, "min_face_px", low=1))

    def find(self) -> Detector:
        """Load the detector, with one thread."""
        return get_detector(self.detector, min_face_px=self.min_face_px, threads=1)


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


def outcomes(
    images: Samples, numbers: Iterable[int], settings: Settings, *, workers: int
) -> Generator[tuple[int, Outcome], None, None]:
    """Prepare images by their numbers; see `mien.data.prepare.faces.prepare`."""
    count = check_integer(workers, "workers", low=1, high=256)
    left = list(numbers)
    tasks = ((i, _source(images, i)) for i in left)
    if count > 1 and len(left) > _AT_ONCE:
        yield from _in_processes(tasks, settings, min(count, -(-len(left) // _AT_ONCE)))
    elif left:
        detector = settings.find()
        for i, source in tasks:
            yield i, _prepared(source, detector, settings)


def _source(images: Samples, i: int) -> Source:
    return images.where(i) if images.pixels is None else images.read(i)


def _prepared(source: Source, detector: Detector, settings: Settings) -> Outcome:
    try:
        image = read_image(source)
    except MienError as error:
        return Outcome(kind="unreadable", reason=str(error))
    cut_off = next((warning for warning in image.warnings if "truncated" in warning), None)
    if cut_off is not None:  # the missing part would be learned as if it were the face
        return Outcome(kind="unreadable", reason=cut_off)
    faces, found = cut_faces(image.pixels, detector, settings.cut, most=None if settings.all_faces else 1)
    if faces:
        return Outcome(faces)
    if not found:
        least = "" if settings.min_face_px is None else f" of at least {settings.min_face_px:g} px"
        return Outcome(kind="no_face", reason=f"no face{least} found")
    return Outcome(kind="profile", reason=f"{found} found, but none whose two eyes can be told apart")


# --- several processes ----------------------------------------------------------------------------


def _in_processes(tasks: Iterator[tuple[int, Source]], settings: Settings, count: int) -> Iterator[tuple[int, Outcome]]:
    """Keep the processes busy with two parcels each, and yield what comes back first."""
    # Spawned, not forked: a forked child of a process with threads (of ONNX Runtime, of OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(settings,))
    waiting: set[Future[list[tuple[int, Outcome]]]] = set()
    try:
        while True:
            while len(waiting) < 2 * count and (parcel := list(islice(tasks, _AT_ONCE))):
                waiting.add(pool.submit(_work, parcel))
            if not waiting:
                return
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                yield from future.result()
    except BrokenProcessPool as error:
        raise DatasetError(
            "a process died at its work (out of memory, or killed): what was done is kept; "
            "run the same command again to go on, with fewer workers if it happens again"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_detector: Detector | None = None
_settings = Settings()


def _begin(settings: Settings) -> None:
    """Prepare a process: its own detector with one thread, deaf to Ctrl-C, gone when its parent is."""
    global _detector, _settings  # what an initializer sets can live nowhere else
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _detector, _settings = settings.find(), settings


def _follow_parent() -> None:
    # A parent that is killed cannot say so, and its children would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _work(parcel: list[tuple[int, Source]]) -> list[tuple[int, Outcome]]:
    assert _detector is not None
    return [(i, _prepared(source, _detector, _settings)) for i, source in parcel]
