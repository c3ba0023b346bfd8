"""Live images, what was seen in them, and what is to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mien.results import VideoFrame

__all__ = ["Analyzed", "LiveImage", "Sight"]


@dataclass(frozen=True, slots=True, eq=False)
class LiveImage:
    """An image as it came.

    Parameters
    ----------
    number : int
        From 1.
    image : numpy.ndarray
        uint8 (H, W, 3), RGB; shared, and not to be changed.
    time_s : float
        When, in seconds from the first image of the source; of a video, by its own clock.
    taken_s : float
        When it came, by `time.monotonic`.
    """

    number: int
    image: NDArray[np.uint8]
    time_s: float
    taken_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Analyzed:
    """What was seen in an image.

    Parameters
    ----------
    image : int
        Its number.
    frame : VideoFrame
        The faces.
    clock : datetime.datetime
        When the image came, in local time.
    delay_s : float
        From then to the result.
    """

    image: int
    frame: VideoFrame
    clock: datetime
    delay_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """An image to show.

    Parameters
    ----------
    image : LiveImage
        The image.
    frame : VideoFrame or None
        The newest result that is no newer than the image; None before the first.
    exact : bool
        Whether the result is of this very image.
    """

    image: LiveImage
    frame: VideoFrame | None
    exact: bool
