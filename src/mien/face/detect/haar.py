"""OpenCV's Haar cascades: upright frontal faces, no landmarks; kept for comparison and for results made with them.

The files come with opencv-python (``cv2.data``) under the license that each of them states (Intel, 2000).

References
----------
Viola and Jones: Rapid Object Detection using a Boosted Cascade of Simple Features. CVPR 2001.
Lienhart and Maydt: An Extended Set of Haar-like Features for Rapid Object Detection. ICIP 2002.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, describe
from mien.errors import InputError, ModelError
from mien.face.detect import Detection, SizedDetector

__all__ = ["HaarDetector"]

FACE, EYE = "haarcascade_frontalface_default.xml", "haarcascade_eye.xml"

FACTOR, MIN_NEIGHBORS = 1.1, 3
"""OpenCV's defaults: step between sizes, and how many overlapping hits make a face."""

SURE, LIKELY = 5.5, 4.0
"""Weights of the last stage.  Tuned on ``face_boxes/testing.xml`` and ``dogs.jpg``: with three neighbors all 25 faces
are among 31 hits; the six false ones weigh 0.7 to 5.0, the true ones mostly over 5.5.  Between the two values a face
must show an eye, which five of the six do not."""

EYE_PART, EYE_WIDTH_PX = 0.6, 96
"""The eyes lie in the upper part of the box, enlarged to this width for the eye cascade (its window: 20 px)."""


class HaarDetector(SizedDetector):
    """Find upright frontal faces with OpenCV's cascades.  Thread-safe: each thread has its own cascades.

    Boxes are square, from the brows' to the chin's height.  Scores are the last stage's weight ``w`` as
    ``1 / (1 + exp(4.5 - w))``: good for ranking, no probabilities.  There are no landmarks: two eyes are not five.

    Parameters
    ----------
    min_face_px : float, optional
        See `get_detector`; at least 20, the face cascade's window.
    threads : int, optional
        Accepted for the sake of the contract; OpenCV manages the threads of its cascades for the whole process.
    device : str
        Only ``"cpu"``.
    engine : str
        Accepted for the sake of the contract: OpenCV runs it.

    Raises
    ------
    InputError
        If an argument is out of range.
    """

    name = "haar"
    sure_score = 0.5
    searched_px = 20  # the face cascade's window

    def __init__(
        self,
        *,
        min_face_px: float | None = None,
        threads: int | None = None,
        device: str = "cpu",
        engine: str = "onnxruntime",  # noqa: ARG002
    ) -> None:
        if device != "cpu":
            raise InputError(f"device of the detector haar must be 'cpu', but got {describe(device)}")
        super().__init__(min_face_px)
        self.threads = threads
        self._local = threading.local()

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Find the faces in an image, without landmarks: see `Detector.detect`."""
        gray = cv2.cvtColor(check_image(image), cv2.COLOR_RGB2GRAY)
        side = math.ceil(self.smallest_face_px(*gray.shape[:2]))
        hits, _, weights = self._cascade(FACE).detectMultiScale3(
            gray, scaleFactor=FACTOR, minNeighbors=MIN_NEIGHBORS, minSize=(side, side), outputRejectLevels=True
        )
        kept = [
            (hit, float(weight))
            for hit, weight in zip(hits, np.ravel(weights), strict=True)
            if weight >= SURE or (weight >= LIKELY and self._has_eye(gray, hit))
        ]
        if not kept:
            return Detection.empty(landmarks=False)
        boxes = np.array([(x, y, x + width, y + height) for (x, y, width, height), _ in kept], np.float32)
        scores = 1 / (1 + np.exp(4.5 - np.array([weight for _, weight in kept])))
        return Detection(boxes, scores.astype(np.float32))

    def smallest_face_px(self, height: int, width: int) -> float:
        """Return the side of the smallest box that is looked for in an image of this size; no less than the window."""
        return max(self.searched_px, super().smallest_face_px(height, width))

    def _has_eye(self, gray: NDArray[Any], hit: Any) -> bool:
        x, y, width, height = (int(v) for v in hit)
        zoom = max(1.0, EYE_WIDTH_PX / width)
        part = cv2.resize(gray[y : y + int(EYE_PART * height), x : x + width], None, fx=zoom, fy=zoom)
        return len(self._cascade(EYE).detectMultiScale(part, FACTOR, MIN_NEIGHBORS, minSize=(16, 16))) > 0

    def _cascade(self, file: str) -> Any:
        """Return this thread's cascade: OpenCV's objects keep state while they run."""
        cascade = getattr(self._local, file, None)
        if cascade is None:
            # Not an attribute that OpenCV's stubs know: the folder beside its library.
            path = Path(cv2.__file__).parent / "data" / file
            cascade = cv2.CascadeClassifier(str(path))
            if cascade.empty():
                raise ModelError(f"OpenCV came without its cascade {file}: mien needs opencv-python-headless 4.x")
            setattr(self._local, file, cascade)
        return cascade
