"""Images that are ready crops: each is one face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image
from mien.face.detect import Detection

__all__ = ["WholeImage"]


class WholeImage:
    """Takes each image as one face with a score of 1; the model sees all of it, stretched to its own square."""

    name = "none"

    def detect(self, image: NDArray[np.uint8]) -> Detection:
        """Return the whole image as the box of one face, without landmarks: see `Detector.detect`."""
        height, width = check_image(image).shape[:2]
        return Detection(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
