"""The faces of images and videos, cut out and saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_number, describe
from mien.errors import InputError, MediaError
from mien.output.write import write_image
from mien.results import VideoFrame

__all__ = ["FACE_MARGIN", "FaceSaver", "cut_face"]

FACE_MARGIN = 0.15
"""What is left around a face, as a share of the longer side of its box."""

_TOUCH_S = 1e-6
"""Times that are equal but for rounding."""


def cut_face(image: NDArray[Any], box: Sequence[float], *, margin: float = FACE_MARGIN) -> NDArray[Any]:
    """Return a face with a margin, as far as the image reaches.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W, ...), such as uint8 (H, W, 3).
    box : sequence of float
        x1, y1, x2, y2 in pixels.
    margin : float
        How much to leave around it, as a share of the box's longer side.

    Returns
    -------
    numpy.ndarray
        A view of the image, of at least one pixel.
    """
    x1, y1, x2, y2 = box
    pad = margin * max(x2 - x1, y2 - y1)
    height, width = image.shape[:2]
    # A box beyond an edge leaves the row or column at that edge.
    left, top = min(max(int(x1 - pad), 0), width - 1), min(max(int(y1 - pad), 0), height - 1)
    right, bottom = min(int(x2 + pad) + 1, width), min(int(y2 + pad) + 1, height)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


class FaceSaver:
    """Save the faces of a video as PNG: ``person-01/000012.400.png`` is person 1 at 12.4 seconds.

    Parameters
    ----------
    folder : str or os.PathLike
        Where they go; made with the first face.
    every_s : float, optional
        Save a person's face only when at least so many seconds have passed since the last; by default all.
    margin : float
        What is left around a face, as a share of the longer side of its box, 0 to 2.

    Raises
    ------
    InputError
        If an option is out of range.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, every_s: float | None = None, margin: float = FACE_MARGIN
    ) -> None:
        self.folder = Path(os.fsdecode(folder))
        self.saved = 0
        self._every_s = 0.0 if every_s is None else check_number(every_s, "every_s", low=0)
        self._margin = check_number(margin, "margin", low=0, high=2)
        self._last: dict[int, tuple[float, str]] = {}

    def save(self, image: NDArray[np.uint8], frame: VideoFrame) -> None:
        """Save the faces of one frame.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3), RGB.
        frame : VideoFrame
            Who is in it, and when; frames come in order.

        Raises
        ------
        InputError
            If the image is none, or the frame belongs to one of another size.
        MediaError
            If a face cannot be written.
        """
        pixels = check_image(image)
        if (pixels.shape[1], pixels.shape[0]) != (frame.width, frame.height):
            raise InputError(
                f"the frame belongs to an image of {frame.width} x {frame.height} pixels, but got {describe(image)}"
            )
        for face in frame.faces:
            name = self._name(face.track, frame.time_s)
            if name is not None:
                target = self._folder_of(face.track) / name
                write_image(target, cut_face(pixels, face.face.box, margin=self._margin))
                self.saved += 1

    def _name(self, person: int, time_s: float) -> str | None:
        """Return how a face is called, or None where it is too early for another."""
        last_s, last = self._last.get(person, (-np.inf, ""))
        if time_s - last_s < self._every_s - _TOUCH_S:
            return None
        name = f"{time_s:010.3f}.png"
        if name == last:  # more than a thousand frames a second
            name = f"{time_s:013.6f}.png"
        else:
            last = name
        self._last[person] = (time_s, last)
        return name

    def _folder_of(self, person: int) -> Path:
        folder = self.folder / f"person-{person:02d}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make the folder {str(folder)!a}: {error.strerror or error}"
            raise MediaError(message, path=folder) from error
        return folder
