"""A data set extended with generated faces, for emotions of which it has too few.

Asks an image service for photographs of faces, keeps those in which exactly one face is found, and books where each
came from.  Whether the face shows the emotion that was asked for is not checked: a model that judged it would only
confirm itself.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, check_number
from mien.data.prepare._ledger import Ledger
from mien.data.prepare._patience import NoAnswerError, NoImageError, Patience, ServiceError
from mien.data.prepare._prompts import Wanted, plan
from mien.data.prepare._service import ImageService
from mien.errors import DatasetError, MediaError
from mien.face.detect import Detector, get_detector
from mien.io.image import read_image
from mien.io.paths import format_path
from mien.output.write import encode_png

__all__ = ["ImageService", "Outcome", "Patience", "ServiceError", "Wanted", "extend", "pending", "plan"]

MIN_FACE_PX = 48.0
"""Smallest face kept, by the longer side of its box: the side of FER2013's images, so that none is enlarged."""

MAX_PIXELS = 50_000_000
"""Largest image decoded: ten times what services offer."""

FAILURES = 3
"""So many requests without an answer in a row end the work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Parameters
    ----------
    wanted : Wanted
        What was asked for.
    status : str
        ``"kept"``, ``"rejected"`` (booked, not asked again) or ``"failed"`` (no answer; asked again by the next run).
    reason : str
        Why it was not kept; empty for a kept one.
    """

    wanted: Wanted
    status: str
    reason: str = ""


class _RejectedError(Exception):
    """An image does not pass a check; the message is the reason."""


def pending(out: str | os.PathLike[str], wanted: Sequence[Wanted], *, limit: int | None = None) -> list[Wanted]:
    """Return those images of a plan that a folder neither has nor has rejected, in the plan's order.

    Parameters
    ----------
    out : str or os.PathLike
        The folder; need not exist.
    wanted : sequence of Wanted
        From `plan`.
    limit : int, optional
        At most so many.

    Raises
    ------
    DatasetError
        If the folder's tables are none of ours, or a file that is not in them stands where an image would go.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"expected a folder, but {format_path(folder)} is a file")
    ledger = Ledger(folder)
    done = ledger.done()
    left = [one for one in wanted if one.file not in done]
    foreign = ledger.foreign(one.file for one in left)
    if foreign is not None:
        raise DatasetError(
            f"will not write over {format_path(folder / foreign)}, which manifest.csv does not name: "
            "move it away, or choose another folder or seed"
        )
    return left if limit is None else left[: check_integer(limit, "limit", low=1)]


def extend(
    out: str | os.PathLike[str],
    wanted: Sequence[Wanted],
    service: ImageService,
    *,
    min_face_px: float = MIN_FACE_PX,
    limit: int | None = None,
    detector: Detector | None = None,
) -> Iterator[Outcome]:
    """Ask for images one after the other, check them, and write those that pass.

    Each outcome is on the disk before it is yielded, so the work can be ended at any time and goes on with the same
    call.  What the folder has, or has rejected, is not asked for again, and no file is ever written over.

    Parameters
    ----------
    out : str or os.PathLike
        The folder: gets ``<emotion>/<name>.png``, ``manifest.csv`` (file, emotion, subject, clip, split, source,
        prompt, service, model, date in UTC, sha256 of the file, checks, box as x1 y1 x2 y2 in pixels) and
        ``rejected.csv`` (file, emotion, reason, prompt, service, model, date).  Other files in it are left alone.
    wanted : sequence of Wanted
        From `plan`.
    service : ImageService
        Whom to ask.
    min_face_px : float
        Smallest face to keep, by the longer side of its box.
    limit : int, optional
        At most so many requests; attempts to repeat a failed one do not count.
    detector : Detector, optional
        By default the toolkit's.

    Yields
    ------
    Outcome
        One for each request.

    Raises
    ------
    ServiceError
        If it is of no use to go on; what was done until then is kept.
    DatasetError
        If the folder cannot be used or written to.
    """
    smallest = check_number(min_face_px, "min_face_px", low=1)
    left = pending(out, wanted, limit=limit)
    ledger = Ledger(Path(out))
    ledger.finish()
    if not left:
        return
    detector = detector or get_detector()
    if any((r["service"], r["model"]) == (service.base_url, service.model) for r in ledger.manifest.rows):
        service.proven = True
    failures, answered = 0, False
    for one in left:
        try:
            outcome = _ask(one, service, ledger, detector, smallest)
        except NoAnswerError as error:
            failures += 1
            if failures >= FAILURES or not answered:
                raise ServiceError(f"{service.base_url}: {error}; run the same command later to go on") from error
            outcome = Outcome(one, "failed", str(error))
        else:
            failures, answered = 0, True
        yield outcome


def _ask(one: Wanted, service: ImageService, ledger: Ledger, detector: Detector, smallest: float) -> Outcome:
    """Ask for one image and book what comes."""
    row = {"file": one.file, "emotion": one.emotion, "prompt": one.prompt}
    row |= {"service": service.base_url, "model": service.model}
    try:
        data = service.ask(one.prompt)
        row["date"] = _now()
        file, checks, box = _checked(data, detector, smallest)
    except (NoImageError, _RejectedError) as error:
        ledger.reject({**row, "date": _now(), "reason": str(error)})
        return Outcome(one, "rejected", str(error))
    ledger.keep({**row, "source": "generated", "checks": checks, "box": box}, file)
    return Outcome(one, "kept")


def _checked(data: bytes, detector: Detector, smallest: float) -> tuple[bytes, str, str]:
    """Return an image as PNG, what was found, and the box of its face; or raise `_RejectedError`."""
    try:
        image = read_image(data, max_pixels=MAX_PIXELS)
    except MediaError as error:
        raise _RejectedError(f"no usable image: {error}") from error
    cut = next((warning for warning in image.warnings if "truncated" in warning), None)
    if cut is not None:
        raise _RejectedError(f"damaged image: {cut}")
    found = detector.detect(image.pixels)
    if len(found) != 1:
        raise _RejectedError(f"{len(found) or 'no'} face{'s' * (len(found) != 1)} found, expected one")
    side = _side(found.boxes[0])
    if side < smallest:
        raise _RejectedError(f"the face is {side:.0f} px long, expected at least {smallest:.0f}")
    # A PNG is kept as it came, with all that the service wrote into it about its origin.
    file = data if image.format == "png" else encode_png(image.pixels)
    height, width = image.pixels.shape[:2]
    checks = f"whole; {width}x{height}; one face by {detector.name}, score {found.scores[0]:.3f}, {side:.0f} px"
    return file, checks, " ".join(f"{value:.1f}" for value in found.boxes[0])


def _side(box: NDArray[np.float32]) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
