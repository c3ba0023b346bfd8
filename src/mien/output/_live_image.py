"""Live images with the people drawn on them, fitted into a place of any size."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.output._live_people import LivePeople
from mien.output._video_paint import VideoPainter
from mien.results import VideoFrame

__all__ = ["LiveImage", "fitted"]

_MUCH_SMALLER = 0.6
"""From here on, taking the nearest four pixels would leave some out."""


def fitted(width: int, height: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return where an image goes in a place as large as it can be: left, top, width, height."""
    scale = min(size[0] / width, size[1] / height)
    wide, high = max(1, min(size[0], round(width * scale))), max(1, min(size[1], round(height * scale)))
    return (size[0] - wide) // 2, (size[1] - high) // 2, wide, high


class LiveImage:
    """Draws one image after the other.  Lines and letters are drawn at the size of the place, so they are sharp.

    Parameters
    ----------
    width, height : int
        Of the place, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._canvas = np.zeros((height, width, 3), np.uint8)
        self._place = (0, 0, width, height)
        self._painter = VideoPainter(width, height)
        self._people = LivePeople()

    def draw(
        self, image: NDArray[np.uint8], frame: VideoFrame | None, time_s: float, *, mirror: bool = False
    ) -> NDArray[np.uint8]:
        """Draw an image with its people.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        frame : VideoFrame or None
            Who is in it.
        time_s : float
            Its time; images come in order.
        mirror : bool
            Show it as a mirror does; words stay readable.

        Returns
        -------
        numpy.ndarray
            uint8 of the place's size, RGB; valid until the next call.
        """
        left, top, wide, high = self._fit(image.shape[1], image.shape[0])
        ground = self._canvas[top : top + high, left : left + wide]
        if (wide, high) == (image.shape[1], image.shape[0]):
            np.copyto(ground, image)
        else:
            much = wide / image.shape[1] < _MUCH_SMALLER
            cv2.resize(image, (wide, high), dst=ground, interpolation=cv2.INTER_AREA if much else cv2.INTER_LINEAR)
        if mirror:
            np.copyto(ground, cv2.flip(ground, 1))
        people = self._people.of(frame, scale=1.0 if frame is None else wide / frame.width)
        if mirror:
            people = [
                replace(person, box=(wide - person.box[2], person.box[1], wide - person.box[0], person.box[3]))
                for person in people
            ]
        self._painter.paint(ground, people, time_s)
        return self._canvas

    def _fit(self, width: int, height: int) -> tuple[int, int, int, int]:
        place = fitted(width, height, self.size)
        if place != self._place:
            self._place = place
            self._painter = VideoPainter(place[2], place[3])
            self._canvas[:] = 0
        return place

    def blank(self) -> NDArray[np.uint8]:
        """Return the place without an image."""
        self._canvas[:] = 0
        return self._canvas
