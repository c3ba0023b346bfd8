"""Faces cut for training: found, turned upright, cut by the distance of the eyes, smoothed, gray, of one size."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number
from mien.errors import InputError
from mien.face.align import Crop, eye_distance_crop, model_crop
from mien.face.detect import Detection, Detector

__all__ = ["FaceCut", "PreparedFace", "crop_name", "cut_faces"]

LEAST_EYES = 0.15
"""Eyes nearer to each other than this part of the box's width are those of a profile, whose crop would show an ear:
frontal faces have 0.35 to 0.5."""

BOX_EYES = ((0.309, 0.386), (0.691, 0.386))
"""Where the eyes lie in a box of a detector without landmarks, as parts of its sides: the median eyes of FER2013 in the
boxes of Haar cascades, from the record of ``face-base`` (``[crop] points`` and ``[crop.boxes.haar]``)."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFace:
    """A face cut out of an image.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 of shape (S, S), gray, or (S, S, 3), RGB.
    box : tuple of float
        x1, y1, x2, y2 of the face in pixels of the image.
    landmarks : tuple of (float, float) or None
        Left eye, right eye, nose, left and right mouth corner, as seen in the image; None for a detector without.
    score : float
        The detector's confidence in 0..1.
    """

    pixels: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...] | None
    score: float


@dataclass(frozen=True, slots=True)
class FaceCut:
    """How faces are cut (see `mien.face.align.eye_distance_crop`).

    Parameters
    ----------
    x_factor, y_factor : float
        Width and height of the crop in eye distances, 0.1 to 20.
    size : int
        Side of the square that the crop is squeezed into, 8 to 1024 pixels.
    smooth, gray : bool
        Smooth lightly; return gray instead of color.
    geometry : Crop, optional
        Cut as a model does (see `mien.face.align.model_crop`), in its size, in place of factors and smoothing.

    Raises
    ------
    InputError
        If a value is wrong.
    """

    x_factor: float = 2.1
    y_factor: float = 3.2
    size: int = 48
    smooth: bool = True
    gray: bool = True
    geometry: Crop | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "x_factor", check_number(self.x_factor, "x_factor", low=0.1, high=20))
        object.__setattr__(self, "y_factor", check_number(self.y_factor, "y_factor", low=0.1, high=20))
        object.__setattr__(self, "size", check_integer(self.size, "size", low=8, high=1024))
        for name in ("smooth", "gray"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be true or false, but got {getattr(self, name)!r}")


def crop_name(cut: FaceCut | Crop) -> str:
    """Return how faces are cut in a word, the same for the same geometry in any size.

    ``eye-distance-2.1x3.2`` for crops by the distance of the eyes, and ``points-`` with a checksum of where the five
    points come to lie for others.
    """
    geometry = cut.geometry if isinstance(cut, FaceCut) else cut
    eyes = cut if isinstance(cut, FaceCut) and geometry is None else geometry.eyes if geometry is not None else None
    if eyes is not None:
        return f"eye-distance-{eyes.x_factor:g}x{eyes.y_factor:g}"
    assert geometry is not None
    places = ",".join(f"{100 * value / geometry.size:.0f}" for point in geometry.points for value in point)
    return f"points-{zlib.crc32(places.encode()):08x}"


def cut_faces(
    image: Any, detector: Detector, cut: FaceCut | None = None, *, most: int | None = None
) -> tuple[tuple[PreparedFace, ...], int]:
    """Find the faces of an image and cut them out.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    detector : Detector
        Finds faces; one without landmarks cannot turn them upright, and their eyes are assumed at `BOX_EYES`.
    cut : FaceCut, optional
        By default ``FaceCut()``.
    most : int, optional
        At most so many, the largest; by default all.

    Returns
    -------
    faces : tuple of PreparedFace
        Largest box first.  Faces in profile, whose eyes lie too near to each other (`LEAST_EYES`), are left out.
    found : int
        How many faces were found, with those left out.

    Raises
    ------
    InputError
        If the array is no image.
    """
    image = check_image(image)
    geometry = cut or FaceCut()
    detection = detector.detect(image)
    faces: list[PreparedFace] = []
    for i in range(len(detection)):
        if most is not None and len(faces) >= most:
            break
        eyes = _eyes(detection, i)
        if eyes is not None or geometry.geometry is not None:
            faces.append(_face(image, detection, i, eyes, geometry, detector.name))
    return tuple(faces), len(detection)


def _eyes(detection: Detection, i: int) -> NDArray[np.float64] | None:
    """Return the two eyes of a face, or None if it cannot be cut by them."""
    box = detection.boxes[i].astype(np.float64)
    sides = box[2:] - box[:2]
    if detection.landmarks is None:
        return np.asarray(box[:2] + np.array(BOX_EYES) * sides)
    eyes: NDArray[np.float64] = detection.landmarks[i, :2].astype(np.float64)
    return eyes if np.hypot(*(eyes[1] - eyes[0])) >= max(LEAST_EYES * sides[0], 1.0) else None


def _face(
    image: NDArray[np.uint8],
    detection: Detection,
    i: int,
    eyes: NDArray[np.float64] | None,
    cut: FaceCut,
    detector: str,
) -> PreparedFace:
    if cut.geometry is not None:
        points = None if detection.landmarks is None else detection.landmarks[i]
        pixels = model_crop(image, detection.boxes[i], points, cut.geometry, detector)
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8) if cut.gray else pixels
    else:
        pixels = eye_distance_crop(
            image,
            eyes,
            x_factor=cut.x_factor,
            y_factor=cut.y_factor,
            size=cut.size,
            smooth=cut.smooth,
            gray=cut.gray,
        )
    x1, y1, x2, y2 = detection.boxes[i].tolist()
    landmarks = None if detection.landmarks is None else tuple((x, y) for x, y in detection.landmarks[i].tolist())
    return PreparedFace(pixels, (x1, y1, x2, y2), landmarks, float(detection.scores[i]))
