"""How much detail a face crop shows."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image

__all__ = ["LEAST_SPREAD", "sharpness"]

LEAST_SPREAD = 2.0
"""Standard deviation in gray levels below which an image shows nothing: rounding to whole levels alone leaves 0.3."""


def sharpness(crop: Any) -> float:
    """Return how sharp a ready face crop is: the variance of its Laplacian over the variance of its gray levels.

    The variance of the Laplacian is a common measure of focus, but grows with contrast, too; over that of the image
    it does not depend on brightness or contrast, as long as nothing is clipped.  It sees edges of any kind: noise and
    the blocks of strong compression look sharp to it.

    Parameters
    ----------
    crop : numpy.ndarray
        uint8 (H, W, 3), RGB, or gray (H, W): what the model sees of a face.  Values of crops of different sizes do not
        compare; those here and in the weights of fusions are of 48 x 48 pixels.

    Returns
    -------
    float
        0 for an image without detail, about 0.01 for a blurred face, 0.05 to 0.5 for sharp ones, 20 for white noise.

    Raises
    ------
    InputError
        If the array is no image.

    References
    ----------
    Pech-Pacheco, Cristobal, Chamorro-Martinez and Fernandez-Valdivia, Diatom autofocusing in brightfield microscopy: a
    comparative study, ICPR 2000 (the variance of the Laplacian).  Kernel: the four neighbors, of Gonzalez and Woods,
    Digital Image Processing.
    """
    gray: NDArray[np.float32] = np.asarray(cv2.cvtColor(check_image(crop, "crop"), cv2.COLOR_RGB2GRAY), np.float32)
    variance = float(gray.var())
    if variance < LEAST_SPREAD**2:
        return 0.0
    return float(cv2.Laplacian(gray, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE).var()) / variance
