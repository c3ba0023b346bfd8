"""One clip after the other becomes faces in files, in one process or several; a bad clip is a reason, never the end."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data.prepare._sound_work import write_whole
from mien.data.prepare._workers import _follow_parent
from mien.data.samples import Samples
from mien.data.table import encode_gray_png
from mien.errors import DatasetError, InputError
from mien.face.detect import DETECTORS, Detector, get_detector
from mien.face.prepare import FaceCut, PreparedFace, cut_faces

__all__ = ["LAYOUTS", "FrameSettings", "Place", "Plan", "entries"]

LAYOUTS = ("clips", "emotions")
"""``SNNN/NNN/frames/<frame>.png`` with ``SNNN/NNN/emotion.txt``, and ``<emotion>/<clip>_<frame>.png``."""


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """Which frames are taken of a clip, and how their faces are found, cut and filed.

    Parameters
    ----------
    count : int or None
        So many frames of a clip, evenly spaced from the first to the last (see `mien.data.samples.choose_frames`).
    every : int or None
        Instead of a count: every so many frames, from the first on.
    layout : {"clips", "emotions"}
        See `LAYOUTS`.
    cut : FaceCut
        Geometry of the crops; they are gray.
    detector : str
        One of `mien.face.detect.DETECTORS`.
    min_face_px : float, optional
        Longer side of the smallest face to take; by default the detector chooses by the size of the image.

    Raises
    ------
    InputError
        If a value is wrong, or both or none of count and every are given.
    """

    count: int | None = 16
    every: int | None = None
    layout: str = "clips"
    cut: FaceCut = field(default_factory=FaceCut)
    detector: str = "mtcnn"
    min_face_px: float | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.every is None):
            raise InputError(f"either count or every must be given, but got {self.count!r} and {self.every!r}")
        for name in ("count", "every"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_integer(getattr(self, name), name, low=1, high=1_000_000))
        if self.layout not in LAYOUTS:
            raise InputError(f"layout must be {' or '.join(LAYOUTS)}, but got {self.layout!r}")
        if not self.cut.gray:
            raise InputError("cut must be gray: corpora of face frames are")
        if self.detector not in DETECTORS:
            raise InputError(f"detector must be one of {', '.join(DETECTORS)}, but got {self.detector!r}")
        if self.min_face_px is not None:
            object.__setattr__(self, "min_face_px", check_number(self.min_face_px, "min_face_px", low=1))

    def find(self) -> Detector:
        """Load the detector, with one thread."""
        return get_detector(self.detector, min_face_px=self.min_face_px, threads=1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        table: dict[str, Any] = asdict(self)
        table.update(table.pop("cut"))
        return table


@dataclass(frozen=True, slots=True)
class Place:
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

    def frame(self, number_: int) -> str:
        """Return the file of a frame by its number in the clip; names sort as numbers do."""
        return f"{self.prefix}{number_:06d}.png"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: clips, where their faces go, and how."""

    clips: Samples
    places: tuple[Place, ...]
    out: Path
    settings: FrameSettings


def entries(plan: Plan, left: Sequence[int], *, workers: int) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """Make the faces of clips.

    Parameters
    ----------
    plan : Plan
        What is to be done.
    left : sequence of int
        Which clips.
    workers : int
        Processes; with one, everything happens in this one.

    Yields
    ------
    clip : int
        Which; with several processes not in order.
    entry : dict
        ``faces``: number of frame, file and box of each that lies on the disk by now; ``rejected``: number of frame (or
        None for the clip), kind and reason of each that does not.

    Raises
    ------
    DatasetError
        If something cannot be written, or a process dies.
    """
    count = check_integer(workers, "workers", low=1, high=256)
    if count > 1 and len(left) > 1:
        # Closed here and not by the garbage collector: an interrupted run waits for its processes.
        with closing(_in_processes(plan, left, min(count, len(left)))) as work:
            yield from work
    elif left:
        detector = plan.settings.find()
        for clip in left:
            yield clip, _made(plan, clip, detector)


def _made(plan: Plan, clip: int, detector: Detector, stopped: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Write the faces of a clip, its code last: a clip without code is one that was not finished."""
    settings, place = plan.settings, plan.places[clip]
    faces: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    frames = plan.clips.iter_frames(clip, settings.count, every=settings.every or 1)
    with closing(frames):
        while not stopped():
            # Only what reading says is about the clip: what cannot be written ends the work.
            try:
                frame, image = next(frames)
            except StopIteration:
                break
            except DatasetError as error:
                kind = "damaged" if faces or rejected else "unreadable"
                rejected.append({"frame": None, "kind": kind, "reason": str(error)})
                break
            found = _face(image, detector, settings)
            if isinstance(found, PreparedFace):
                write_whole(plan.out / place.frame(frame), encode_gray_png(found.pixels))
                box = [round(value, 1) for value in found.box]
                faces.append({"frame": frame, "file": place.frame(frame), "box": box})
            else:
                rejected.append({"frame": frame, "kind": found[0], "reason": found[1]})
    if faces and place.label and not stopped():
        write_whole(plan.out / place.label, f"{place.code}\n".encode())
    return {"faces": faces, "rejected": rejected}


def _face(image: NDArray[np.uint8], detector: Detector, settings: FrameSettings) -> PreparedFace | tuple[str, str]:
    """Return the largest face of a frame, or kind and reason why there is none."""
    faces, found = cut_faces(image, detector, settings.cut, most=1)
    if faces:
        return faces[0]
    if found:
        return "profile", f"{found} found, but none whose two eyes can be told apart"
    least = "" if settings.min_face_px is None else f" of at least {settings.min_face_px:g} px"
    return "no_face", f"no face{least} found"


# --- several processes ----------------------------------------------------------------------------


def _in_processes(plan: Plan, left: Sequence[int], count: int) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """Keep the processes busy with two clips each, and yield what comes back first."""
    # Spawned, not forked: a forked child of a process with threads (of ONNX Runtime, of PyAV) may hang.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(plan, stop))
    tasks = iter(left)
    waiting: set[Future[tuple[int, dict[str, Any]]]] = set()
    try:
        while True:
            waiting |= {pool.submit(_work, clip) for clip in islice(tasks, 2 * count - len(waiting))}
            if not waiting:
                return
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()
    except BrokenProcessPool as error:
        raise DatasetError(
            "a process died at its work (out of memory, or killed): what was done is kept; "
            "run the same command again to go on, with fewer workers if it happens again"
        ) from error
    finally:
        stop.set()  # nobody waits for what is left of a long video
        pool.shutdown(wait=True, cancel_futures=True)


_state: tuple[Plan, Detector, Callable[[], bool]] | None = None


def _begin(plan: Plan, stop: Event) -> None:
    """Prepare a process: its own detector with one thread, deaf to Ctrl-C, gone when its parent is."""
    global _state  # what an initializer sets can live nowhere else
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _state = plan, plan.settings.find(), stop.is_set


def _work(clip: int) -> tuple[int, dict[str, Any]]:
    assert _state is not None
    plan, detector, stopped = _state
    return clip, _made(plan, clip, detector, stopped)
