"""From a detected face to the crop that a model takes.

A crop is an affine map from the crop's coordinates to the image's, and `sample` reads the image through it: the one
resampling of mien, specified to the pixel, so that other implementations can meet it.  Coordinates are continuous:
pixel (column i, row j) covers [i, i + 1) x [j, j + 1) and its center is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number, describe
from mien.errors import InputError

__all__ = [
    "BoxMap",
    "Crop",
    "EyeCrop",
    "crop_matrix",
    "eye_distance_crop",
    "fit_crop",
    "model_crop",
    "sample",
    "similarity",
]

Matrix = NDArray[np.float64]
Image = NDArray[np.uint8]

_READY = "none"
"""The detector by which each image is a ready crop, see `mien.face.detect.WholeImage`."""

MAX_RESIDUAL = 0.25
"""Five points that miss the target face by more than this part of its eye distance (root mean square) are no face."""

MAX_SCALE_RATIO = 2.0
"""Points whose crop is more than this many times smaller or larger than that of the box contradict the box."""


@dataclass(frozen=True, slots=True)
class BoxMap:
    """Where the crop lies relative to a detector's box.

    Parameters
    ----------
    center : tuple of float
        x, y from the center of the box to the center of the crop, in units of the box's side sqrt(width * height).
    side : float
        Side of the crop in the same units.
    """

    center: tuple[float, float]
    side: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", tuple(check_number(v, "center", low=-2, high=2) for v in self.center))
        if len(self.center) != 2:
            raise InputError(f"center must be x, y, but got {self.center}")
        object.__setattr__(self, "side", check_number(self.side, "side", low=0.1, high=10))


WHOLE_BOX = BoxMap((0.0, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class EyeCrop:
    """A crop by the distance of the eyes (see `eye_distance_crop`), for models that were trained on such.

    Parameters
    ----------
    x_factor, y_factor : float
        Width and height in eye distances.
    smooth : bool
        Smooth lightly after resampling.
    """

    x_factor: float
    y_factor: float
    smooth: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "x_factor", check_number(self.x_factor, "x_factor", low=0.1, high=20))
        object.__setattr__(self, "y_factor", check_number(self.y_factor, "y_factor", low=0.1, high=20))
        if not isinstance(self.smooth, bool):
            raise InputError(f"smooth must be true or false, but got {self.smooth!r}")


@dataclass(frozen=True, slots=True)
class Crop:
    """Geometry of a model's crop: the ``[crop]`` table of its record.

    Parameters
    ----------
    size : int
        Side of the square crop in pixels.
    points : tuple of (float, float)
        Where the five points come to lie in the crop, in pixels (continuous coordinates).
    boxes : dict of str to BoxMap
        By detector: the crop when there are no (usable) points.
    eyes : EyeCrop or None
        If given, usable points are cut by the distance of their eyes instead of being laid on ``points``.

    Raises
    ------
    InputError
        If a value is missing, has the wrong type or lies outside its range.
    """

    size: int
    points: tuple[tuple[float, float], ...]
    boxes: dict[str, BoxMap] = field(default_factory=dict)
    eyes: EyeCrop | None = None

    def __post_init__(self) -> None:
        check_integer(self.size, "size", low=8, high=4096)
        points = _points(self.points, "points of the crop")
        if np.ptp(points[:2, 0]) < 1:
            raise InputError(f"points of the crop must have two eyes apart, but got {self.points}")
        object.__setattr__(self, "points", tuple((float(x), float(y)) for x, y in points))

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Crop:
        """Build from the ``[crop]`` table: ``size``, ``points``, ``boxes.<detector>.{center, side}`` and ``eyes``."""
        try:
            boxes = {
                name: BoxMap(tuple(entry["center"]), entry["side"]) for name, entry in table.get("boxes", {}).items()
            }
            eyes = EyeCrop(**table["eyes"]) if "eyes" in table else None
            return cls(table["size"], tuple(tuple(point) for point in table["points"]), boxes, eyes)
        except KeyError as error:
            raise InputError(f"the [crop] table must have {error.args[0]!r}, but has only {sorted(table)}") from error
        except (TypeError, AttributeError) as error:
            raise InputError(f"the [crop] table is malformed: {error}") from error


def similarity(source: NDArray[Any], target: NDArray[Any]) -> tuple[Matrix, float]:
    """Return the similarity transform that brings points closest to others, and what remains.

    Least squares over rotation, one scale and shift, in closed form; no reflection.

    Parameters
    ----------
    source, target : numpy.ndarray
        Shape (n, 2), n of at least 2.

    Returns
    -------
    matrix : numpy.ndarray
        float64 of shape (2, 3): ``target ~ source @ matrix[:, :2].T + matrix[:, 2]``.
    residual : float
        Root mean square distance that remains, in units of the target.

    Raises
    ------
    InputError
        If all source points coincide.

    References
    ----------
    S. Umeyama: Least-squares estimation of transformation parameters between two point patterns. IEEE PAMI 13 (1991).
    In two dimensions, with points as complex numbers, it is a linear regression with a complex slope.
    """
    a = np.asarray(source, dtype=np.float64)
    b = np.asarray(target, dtype=np.float64)
    z, w = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    centered = z - z.mean()
    power = float((abs(centered) ** 2).sum())
    if not power > 1e-12 * max(1.0, float((abs(z) ** 2).sum())):
        raise InputError("points must not coincide")
    slope = complex((centered.conj() * (w - w.mean())).sum() / power)
    shift = complex(w.mean() - slope * z.mean())
    residual = float(np.sqrt((abs(slope * z + shift - w) ** 2).mean()))
    matrix = np.array([[slope.real, -slope.imag, shift.real], [slope.imag, slope.real, shift.imag]])
    return matrix, residual


def crop_matrix(box: Any, landmarks: Any, geometry: Crop, detector: str = "") -> Matrix:
    """Return the map from a model's crop to the image: by the five landmarks, or by the box.

    The landmarks are used when there are some, they look like a face (`MAX_RESIDUAL`) and agree with the box
    (`MAX_SCALE_RATIO`); else the detector's box map, and for a detector that the record does not know, the square
    around the box's center with the box's area.  For ``"none"`` the box is a ready crop: all of it is stretched.

    Parameters
    ----------
    box : sequence of float
        x1, y1, x2, y2 in pixels of the image.
    landmarks : array_like or None
        Shape (5, 2), in pixels of the image.
    geometry : Crop
        The model's crop.
    detector : str
        Name of the detector that found the box.

    Returns
    -------
    numpy.ndarray
        float64 of shape (2, 3).

    Raises
    ------
    InputError
        If the box is empty or not finite, or the landmarks have another shape.
    """
    by_box = _box_matrix(box, geometry, detector)
    if landmarks is None:
        return by_box
    if np.shape(landmarks) != (5, 2):
        raise InputError(f"landmarks must have the shape (5, 2), but got {describe(np.asarray(landmarks))}")
    source, target = np.asarray(landmarks, dtype=np.float64), np.asarray(geometry.points)
    if not np.isfinite(source).all() or np.ptp(source, axis=0).max() < 1:
        return by_box
    forward, residual = similarity(source, target)
    if residual > MAX_RESIDUAL * np.hypot(*(target[1] - target[0])):
        return by_box
    inverse: Matrix = np.asarray(cv2.invertAffineTransform(forward), dtype=np.float64)
    ratio = math.log(math.hypot(inverse[0, 0], inverse[1, 0]) / by_box[0, 0])
    if abs(ratio) > math.log(MAX_SCALE_RATIO):
        return by_box
    if geometry.eyes is None:
        return inverse
    return _eye_matrix(source[:2], geometry.eyes.x_factor, geometry.eyes.y_factor, geometry.size)


def _box_matrix(box: Any, geometry: Crop, detector: str) -> Matrix:
    corners = np.asarray(box, dtype=np.float64)
    if corners.shape != (4,) or not np.isfinite(corners).all() or (corners[2:] <= corners[:2]).any():
        raise InputError(f"box must be finite x1, y1, x2, y2 with x1 < x2 and y1 < y2, but got {box}")
    if detector == _READY:
        step_x, step_y = ((corners[2:] - corners[:2]) / geometry.size).tolist()
        return np.array([[step_x, 0, corners[0]], [0, step_y, corners[1]]])
    place = geometry.boxes.get(detector, WHOLE_BOX)
    unit = math.sqrt(float(np.prod(corners[2:] - corners[:2])))
    corner = (corners[:2] + corners[2:]) / 2 + unit * (np.asarray(place.center) - place.side / 2)
    step = unit * place.side / geometry.size
    return np.array([[step, 0, corner[0]], [0, step, corner[1]]])


def model_crop(image: Any, box: Any, landmarks: Any, geometry: Crop, detector: str = "") -> Image:
    """Cut a face out of an image the way a model wants it.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    box, landmarks, geometry, detector
        See `crop_matrix`.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (size, size, 3); what lies beyond the image repeats its border.

    Raises
    ------
    InputError
        If the image, the box or the landmarks are malformed.
    """
    crop = sample(check_image(image), crop_matrix(box, landmarks, geometry, detector), geometry.size)
    is_smoothed = geometry.eyes is not None and geometry.eyes.smooth and detector != _READY
    return _smoothed(crop) if is_smoothed else crop


def fit_crop(crop: Any, size: int) -> Image:
    """Bring a ready crop of any size to the model's: stretched to the square, since all of it is meant to be seen.

    Parameters
    ----------
    crop : numpy.ndarray
        uint8 of shape (H, W, 3), (H, W, 1) or (H, W).
    size : int
        Side of the result in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (size, size, 3), sampled as in `sample`; a crop of the right size comes back unchanged.

    Raises
    ------
    InputError
        If the crop is no image.
    """
    size = check_integer(size, "size", low=1, high=4096)
    image = check_image(crop, "crop")
    height, width = image.shape[:2]
    return sample(image, np.array([[width / size, 0, 0], [0, height / size, 0]]), size)


EYE_LINE = 0.375
"""Height of the eye line in `eye_distance_crop`: 1.2 of 3.2 eye distances show the forehead, 2.0 the rest."""


def eye_distance_crop(
    image: Any,
    landmarks: Any,
    *,
    x_factor: float = 2.1,
    y_factor: float = 3.2,
    size: int = 48,
    smooth: bool = True,
    gray: bool = True,
) -> Image:
    """Cut a face by the distance of its eyes, upright: the crop of the early FER2013, CK+ and JAFFE pipelines.

    The image is turned so that the eyes lie level; the crop is ``x_factor`` eye distances wide and ``y_factor`` high,
    centered between the eyes with the eye line at `EYE_LINE` of the height, and squeezed into the square.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    landmarks : array_like
        Shape (5, 2) or (2, 2): the eye on the left and on the right of the image come first.
    x_factor, y_factor : float
        Width and height in eye distances.
    size : int
        Side of the result in pixels.
    smooth : bool
        Smooth lightly: the 3 x 3 binomial kernel (1 2 1) / 4 in both directions, after resampling.
    gray : bool
        Return gray (ITU-R BT.601 luma) instead of color.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (size, size), or (size, size, 3) in color; sampled as in `sample`.

    Raises
    ------
    InputError
        If the image is malformed, a number is out of range, or the eyes coincide.
    """
    image = check_image(image)
    eyes = _points(landmarks, "landmarks")[:2]
    side = check_integer(size, "size", low=1, high=4096)
    factors = check_number(x_factor, "x_factor", low=0.1, high=20), check_number(y_factor, "y_factor", low=0.1, high=20)
    if not np.hypot(*(eyes[1] - eyes[0])) >= 1:
        raise InputError(f"the eyes must lie at least one pixel apart, but got {eyes.tolist()}")
    crop = sample(image, _eye_matrix(eyes, *factors, side), side)
    if gray:
        crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return _smoothed(crop) if smooth else crop


def _eye_matrix(eyes: Matrix, x_factor: float, y_factor: float, side: int) -> Matrix:
    """Return the map from the crop to the image: the eyes level, `EYE_LINE` below the upper edge."""
    across = eyes[1] - eyes[0]
    u, v = across * x_factor, np.array([-across[1], across[0]]) * y_factor
    corner = eyes.mean(axis=0) - u / 2 - v * EYE_LINE
    return np.column_stack([u / side, v / side, corner])


def _smoothed(crop: Image) -> Image:
    """Return a crop under the 3 x 3 binomial kernel."""
    return np.asarray(cv2.GaussianBlur(crop, (3, 3), 0, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)


def _points(value: Any, name: str) -> Matrix:
    try:
        points = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers of shape (5, 2), but got {describe(value)}") from error
    if points.shape not in ((5, 2), (2, 2)) or not np.isfinite(points).all():
        raise InputError(f"{name} must be finite numbers of shape (5, 2), but got {describe(value)}")
    return points


def sample(image: Image, matrix: NDArray[Any], size: int) -> Image:
    """Read a square of ``size`` pixels from an image through an affine map: the one resampling of the toolkit.

    Specified so that any other implementation gives the same pixels within one gray level:

    1. *Steps.* The step of an image axis is the Euclidean norm of that row of ``matrix[:, :2]``: image pixels per
       crop pixel.  ``n = max(0, floor(log2(step)))`` for each axis.
    2. *Blocks.* The image is averaged over blocks of ``2**n_x`` columns and ``2**n_y`` rows, counted from its upper
       left corner; unfinished blocks at the right and lower edge are completed by repeating the last column and row.
       The mean is rounded to the nearest integer.  Coordinates are divided accordingly, so both steps are below 2.
    3. *Bilinear samples.* If a remaining step is above 1, the value of a crop pixel (i, j) is the mean of four samples
       at (i + 0.25 or i + 0.75, j + 0.25 or j + 0.75), else one sample at (i + 0.5, j + 0.5).  A sample at (x, y) lies
       between the centers of four pixels, at x - 0.5 and y - 0.5; beyond the image its border is repeated.
    4. The result is rounded to the nearest integer.

    An identity map returns the same pixels, and halving an image of even size returns the means of 2 x 2 blocks.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3).
    matrix : numpy.ndarray
        Shape (2, 3): from continuous coordinates of the crop (0..size) to those of the image.
    size : int
        Side of the crop in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (size, size, 3).
    """
    m = np.asarray(matrix, dtype=np.float64)
    blocks = [2 ** max(0, math.floor(math.log2(max(step, 1.0)) + 1e-9)) for step in np.hypot(m[:, 0], m[:, 1])]
    m = m / np.array(blocks)[:, None]
    double = bool((np.hypot(m[:, 0], m[:, 1]) > 1 + 1e-9).any())
    n = size * (2 if double else 1)
    grid = (np.arange(n) + 0.5) * (size / n)
    x = m[0, 0] * grid + m[0, 1] * grid[:, None] + (m[0, 2] - 0.5)
    y = m[1, 0] * grid + m[1, 1] * grid[:, None] + (m[1, 2] - 0.5)
    values = _bilinear(image, x, y, blocks[0], blocks[1])
    if double:
        values = values.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
    return (values + 0.5).astype(np.uint8)


def _bilinear(image: Image, x: Matrix, y: Matrix, block_x: int, block_y: int) -> NDArray[np.float32]:
    """Sample the block means of an image at block coordinates counted from the first block's center."""
    height, width = image.shape[:2]
    left, right, part_x = _neighbors(x, -(-width // block_x))
    upper, lower, part_y = _neighbors(y, -(-height // block_y))
    # Only the part that is needed is averaged: a face in an image of 50 megapixels costs what the face costs.
    x0, y0 = int(left.min()), int(upper.min())
    means = _block_means(image, (x0, int(right.max()) + 1), (y0, int(lower.max()) + 1), block_x, block_y)
    columns = means.shape[1]
    flat = means.reshape(-1, 3)
    upper, lower = (upper - y0) * columns, (lower - y0) * columns
    left, right = left - x0, right - x0
    top = _mix(flat[upper + left], flat[upper + right], part_x)
    bottom = _mix(flat[lower + left], flat[lower + right], part_x)
    return _mix(top, bottom, part_y)


def _mix(a: NDArray[Any], b: NDArray[Any], part: NDArray[np.float32]) -> NDArray[np.float32]:
    mixed: NDArray[np.float32] = a + (b.astype(np.float32) - a) * part
    return mixed


def _neighbors(at: Matrix, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    low = np.floor(at)
    part = (at - low).astype(np.float32)[..., None]
    index = np.clip(low, -1, count).astype(np.intp)
    return np.clip(index, 0, count - 1), np.clip(index + 1, 0, count - 1), part


def _block_means(image: Image, columns: tuple[int, int], rows: tuple[int, int], block_x: int, block_y: int) -> Image:
    part = image[rows[0] * block_y : rows[1] * block_y, columns[0] * block_x : columns[1] * block_x]
    if block_x == block_y == 1:
        return np.ascontiguousarray(part)
    wanted = ((columns[1] - columns[0]) * block_x, (rows[1] - rows[0]) * block_y)
    if part.shape[1::-1] != wanted:
        missing = wanted[1] - part.shape[0], wanted[0] - part.shape[1]
        part = np.asarray(cv2.copyMakeBorder(part, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE), np.uint8)
    # With whole ratios OpenCV's INTER_AREA is the mean of the block, rounded once.
    size = (columns[1] - columns[0], rows[1] - rows[0])
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
