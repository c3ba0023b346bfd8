"""Another look at an image in which a detector finds no face: in better light, and turned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import describe
from mien.errors import InputError
from mien.face.detect import Detection, Detector

__all__ = ["find_faces"]

Image = NDArray[np.uint8]

DARK, LIGHT, BLACK = 100, 220, 4
"""An image is dark when 99 % of its pixels have no channel above the first; they are brought to the second.  Below the
third there is nothing to see."""

ROTATED_PX = 640
"""Longer side at which the turned image is searched first: three looks at the whole of it would cost four times as much
as an image without a face does."""

SURE_SCORE = 0.95
"""The least score of a face in a brightened or turned image, where a false face has further chances; mien's detectors
have their own (``sure_score``).  Tuned on the photographs of half of the people, and on images without people."""


def find_faces(detector: Detector, image: Image) -> tuple[Detection, Image, tuple[str, ...]]:
    """Find the faces of an image; where there are none, look again in better light, and at the turned image.

    Parameters
    ----------
    detector : Detector
        One without landmarks does not search turned images: its faces could not be cut out upright.
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Returns
    -------
    detection : Detection
        In pixels of ``image``.  The landmarks of turned faces are in the order that they have in the upright face.
    image : numpy.ndarray
        The image in which they were found, of the same shape: brightened, if the image is dark.
    notes : tuple of str
        What was done to find them.

    Raises
    ------
    InputError
        If the detector returns something else than a `Detection`.
    """
    found = detector.detect(image)
    if not isinstance(found, Detection):
        expected = "a mien.face.detect.Detection"
        raise InputError(
            f"the detector {detector.name!r} must return {expected}, but its detect gave {describe(found)}"
        )
    if len(found):
        return found, image, ()
    notes: tuple[str, ...] = ()
    bright = _brighten(image)
    if bright is not None:
        found, notes = _detect_sure(detector, bright), ("the image is very dark: it was brightened",)
        if len(found):
            return found, bright, notes
    searched = image if bright is None else bright
    turns = 0 if found.landmarks is None else _find_turn(detector, searched)
    if not turns:
        return found, image, ()
    turned = _detect_sure(detector, np.rot90(searched, turns))
    if not len(turned):
        return turned, image, ()
    height, width = image.shape[:2]
    corners = _rotate_back(turned.boxes.reshape(-1, 2, 2), turns, height, width)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    landmarks = None if turned.landmarks is None else _rotate_back(turned.landmarks, turns, height, width)
    note = f"the faces are not upright: they were found in the image turned by {(4 - turns) * 90} degrees clockwise"
    return Detection(boxes, turned.scores, landmarks), searched, (*notes, note)


def _detect_sure(detector: Detector, image: NDArray[np.uint8]) -> Detection:
    """Return the faces that the detector is sure of."""
    found = detector.detect(np.ascontiguousarray(image))
    kept = found.scores >= getattr(detector, "sure_score", SURE_SCORE)
    landmarks = None if found.landmarks is None else found.landmarks[kept]
    return Detection(found.boxes[kept], found.scores[kept], landmarks)


def _brighten(image: Image) -> Image | None:
    """Return a dark image with its range spread; None of one that is not dark, or black."""
    step = max(1, min(image.shape[:2]) // 256)
    level = float(np.percentile(image[::step, ::step].max(axis=2), 99))
    if not BLACK <= level < DARK:
        return None
    return np.asarray(cv2.convertScaleAbs(image, alpha=LIGHT / level), dtype=np.uint8)


def _find_turn(detector: Detector, image: Image) -> int:
    """Return how often the image must be turned to the left for its faces to be upright; 0 where there are none."""
    height, width = image.shape[:2]
    scale = min(1.0, ROTATED_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) if scale < 1 else image
    sums = [0.0, *(float(_detect_sure(detector, np.rot90(small, turns)).scores.sum()) for turns in (1, 2, 3))]
    return int(np.argmax(sums))


def _rotate_back(points: NDArray[np.float32], turns: int, height: int, width: int) -> NDArray[np.float32]:
    """Return points (..., 2) of an image turned to the left so often in pixels of the image itself."""
    x, y = points[..., 0], points[..., 1]
    places = {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}
    return np.stack(places[turns], axis=-1).astype(np.float32)
