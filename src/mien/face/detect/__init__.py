"""Face detectors: `get_detector("mtcnn").detect(image)` gives a `Detection`.

A detector is a class with the `Detector` protocol in a file of its own, and a line in `DETECTORS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_number, describe
from mien._registry import Registry
from mien.errors import InputError
from mien.models.runtime import check_engine

__all__ = [
    "DETECTORS",
    "SMALLEST_PX",
    "Detection",
    "Detector",
    "SizedDetector",
    "WholeImage",
    "default_min_face_px",
    "get_detector",
]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """The faces found in one image, largest first.

    The arrays are copied, put into order and made read-only.

    Parameters
    ----------
    boxes : numpy.ndarray
        float32 of shape (n, 4): x1, y1, x2, y2 in pixels of the image; x2 and y2 are exclusive edges.
    scores : numpy.ndarray
        float32 of shape (n,), the detector's confidence in 0..1.
    landmarks : numpy.ndarray or None
        float32 of shape (n, 5, 2): left eye, right eye, nose, left and right mouth corner, as seen in the image;
        ``None`` when the detector has no landmarks.

    Raises
    ------
    InputError
        If a shape is wrong, a value is not finite, a box is empty or a score lies outside 0..1.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats | None = None

    def __post_init__(self) -> None:
        boxes = _floats(self.boxes, "boxes", (None, 4))
        n = len(boxes)
        scores = _floats(self.scores, "scores", (n,))
        landmarks = None if self.landmarks is None else _floats(self.landmarks, "landmarks", (n, 5, 2))
        if not (boxes[:, 2:] > boxes[:, :2]).all():
            raise InputError("boxes must have x1 < x2 and y1 < y2, but got an empty one")
        if n and not (scores.min() >= 0 and scores.max() <= 1):
            raise InputError(f"scores must be from 0 to 1, but got {scores.min():g} to {scores.max():g}")
        order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
        for name, value in (("boxes", boxes), ("scores", scores), ("landmarks", landmarks)):
            if value is not None:
                value = value[order]
                value.setflags(write=False)
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls, *, landmarks: bool) -> Detection:
        """Return a detection without faces, with empty landmarks for a detector that has them."""
        points = np.zeros((0, 5, 2), np.float32) if landmarks else None
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), points)


def _floats(value: Any, name: str, shape: tuple[int | None, ...]) -> Floats:
    wanted = "(" + ", ".join("n" if side is None else str(side) for side in shape) + ("," * (len(shape) == 1)) + ")"
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.number):
        raise InputError(f"{name} must be a float array of shape {wanted}, but got {describe(value)}")
    if value.ndim != len(shape) or any(side not in (None, got) for side, got in zip(shape, value.shape, strict=True)):
        raise InputError(f"{name} must have the shape {wanted}, but got {describe(value)}")
    array = value.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, but got NaN or infinite values")
    return array


SMALLEST_PX, LARGE_PIXELS = 20, 6_250_000
"""The smallest face that is looked for when nothing is said: below, expressions are no longer readable.  In larger
images it grows with the side, so that the time does not grow with the pixels: 28 px at 12 megapixels."""

MAX_SEARCHED_PIXELS = 3_000_000
"""Bound of the size in which a detector searches an image, and so of the time: more would only find faces that are tiny
parts of a huge image."""


def default_min_face_px(height: int, width: int) -> float:
    """Return the smallest face that is looked for when nothing is said: 20 px, and more above 6.25 megapixels."""
    return SMALLEST_PX * max(1.0, math.sqrt(height * width / LARGE_PIXELS))


class SizedDetector:
    """What mien's detectors share: the smallest face that they look for.

    Parameters
    ----------
    min_face_px : float, optional
        Longer side in pixels of the smallest box to look for; by default `default_min_face_px` of each image.
    """

    searched_px: ClassVar[float]
    """How large the smallest face is in the image as it is searched."""

    sure_score: ClassVar[float] = 0.95
    """Which score a false face hardly ever has, see `mien.face.detect.search`."""

    def __init__(self, min_face_px: float | None) -> None:
        self.min_face_px = None if min_face_px is None else check_number(min_face_px, "min_face_px", low=1)

    def smallest_face_px(self, height: int, width: int) -> float:
        """Return the longer side of the smallest box that is looked for in an image of this size."""
        asked = default_min_face_px(height, width) if self.min_face_px is None else self.min_face_px
        return max(asked, self.searched_px * math.sqrt(height * width / MAX_SEARCHED_PIXELS))


@runtime_checkable
class Detector(Protocol):
    """What every detector offers."""

    @property
    def name(self) -> str:
        """Its name, by which the record of a model knows how its boxes lie about a face."""

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Find the faces in an image.  May be called from several threads at once.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB.

        Returns
        -------
        Detection
            Largest first; empty when there is no face.

        Raises
        ------
        InputError
            If the image is malformed.
        """


class WholeImage:
    """Takes each image as one face with a score of 1: for ready crops, of which a model sees all."""

    name = "none"

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Return the whole image as the box of one face, without landmarks: see `Detector.detect`."""
        height, width = check_image(image).shape[:2]
        return Detection(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))


class _NamedDetector:
    """A detector of one's own that has no name: it gets that of its class."""

    def __init__(self, detector: Any) -> None:
        self.name, self._detector = type(detector).__name__, detector

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Do what the detector itself does."""
        found: Detection = self._detector.detect(image)
        return found


DETECTORS: Registry[Callable[..., Detector]] = Registry(
    "detector",
    {
        "mtcnn": "mien.face.detect.mtcnn:MtcnnDetector",
        "haar": "mien.face.detect.haar:HaarDetector",
        "yunet": "mien.face.detect.yunet:YunetDetector",
    },
    group="mien.detectors",
)
"""Classes of detectors by name; each is built with the keywords ``min_face_px``, ``threads``, ``device`` and ``engine``
of `get_detector`.  Other packages add theirs by entry points of the group ``mien.detectors``."""


def get_detector(
    name: str | Detector = "mtcnn",
    *,
    min_face_px: float | None = None,
    threads: int | None = None,
    device: str = "cpu",
    engine: str = "onnxruntime",
) -> Detector:
    """Load a detector by its name.

    Parameters
    ----------
    name : str or Detector
        One of `DETECTORS`, ``"none"`` (see `WholeImage`), or an object with the method `Detector.detect`, which is
        returned as it is; without a ``name`` it gets that of its class.
    min_face_px : float, optional
        Longer side in pixels of the smallest box to look for, the same for every detector; smaller is slower.  By
        default 20, and more in images of over 6.25 megapixels (`default_min_face_px`).
    threads : int, optional
        Threads inside one call; by default one.
    device : str
        ``"cpu"``, or ``"cuda"`` where the detector and the installed runtime can.
    engine : str
        One of `mien.models.runtime.ENGINES`, for mtcnn; the detectors of OpenCV compute by themselves.

    Returns
    -------
    Detector
        Ready for use, thread-safe.

    Raises
    ------
    InputError
        If an argument is wrong.
    ModelError
        If the weights are missing or damaged, or the device is not there.
    """
    if not isinstance(name, str):
        if not callable(getattr(name, "detect", None)) or isinstance(name, type):
            raise InputError(f"detector must be a name or an object with a method detect, but got {describe(name)}")
        return name if isinstance(name, Detector) else _NamedDetector(name)
    if min_face_px is not None:
        min_face_px = check_number(min_face_px, "min_face_px", low=1)
    if threads is not None:
        threads = check_integer(threads, "threads", low=1)
    check_engine(engine)
    if name == "none":
        return WholeImage()
    return DETECTORS[name](min_face_px=min_face_px, threads=threads, device=device, engine=engine)
