"""Images in which the shipped detector finds no face."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data._pool import in_threads
from mien.data.base import FaceData, ImageList
from mien.face.detect import get_detector

__all__ = ["faceless"]

CROP_PX, CROP_ENLARGED, FRAME, CROP_MIN_FACE = 96, 192, 0.25, 72
"""Images whose shorter side is below 96 px are enlarged to 192 px before a face is looked for, as
``scripts/measure_crop.py`` does with FER2013: detectors want faces of 20 px and more.  A quarter of the shorter side
around them repeats their border (detectors want background, too), and 72 px is the smallest face: 18 of 48."""

_LONGEST_PX = 2048


def faceless(
    data: FaceData | ImageList, readable: NDArray[np.bool_], threads: int, say: Callable[[str, int, int], None]
) -> NDArray[np.bool_]:
    """Return which readable images have no face for the shipped detector, bool (n,)."""
    plain, cut = get_detector(), get_detector(min_face_px=CROP_MIN_FACE)

    def lacks(i: int) -> bool:
        image = data.read(i)
        if min(image.shape[:2]) < CROP_PX:
            return not len(cut.detect(_framed(image, CROP_ENLARGED)))
        # A face that fills the image needs background around it, a photograph does not.
        return not len(plain.detect(image)) and not len(plain.detect(_framed(image, min(image.shape[:2]))))

    result = np.zeros(len(data), dtype=np.bool_)
    rows = np.flatnonzero(readable).tolist()
    for i, missing in zip(rows, in_threads(lacks, rows, threads), strict=True):
        result[i] = missing
        say("looking for faces", 1, len(rows))
    return result


def _framed(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Enlarge an image until its shorter side has so many pixels, and repeat its border around it."""
    # A strip of an image must not become a gigabyte.
    scale = min(side / min(image.shape[:2]), _LONGEST_PX / max(image.shape[:2]))
    if scale > 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    frame = round(side * FRAME)
    return np.asarray(cv2.copyMakeBorder(image, frame, frame, frame, frame, cv2.BORDER_REPLICATE), np.uint8)
