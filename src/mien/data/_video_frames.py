"""Which frames of a clip are taken, and reading them: from a video, or from images."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import DatasetError, MienError
from mien.io.image import read_image
from mien.io.paths import format_path

__all__ = ["Wanted", "length_of", "of_images", "of_video"]

Frames = Generator[tuple[int, NDArray[np.uint8]], None, None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames of a clip are taken: so many, evenly spaced, or every so many.

    Parameters
    ----------
    count : int or None
        So many, from the first to the last; all of a clip that has no more.
    every : int
        Where there is no count: frames 0, ``every``, 2 ``every`` and so on.
    """

    count: int | None = None
    every: int = 1

    def of(self, n: int) -> list[int]:
        """Return the numbers of the frames to take of ``n``, in order.

        The k-th of c stands at ``k (n - 1) / (c - 1)``, rounded to the nearest (halves up), in integers; a single
        one at ``(n - 1) // 2``.
        """
        if self.count is None:
            return list(range(0, n, self.every))
        if self.count >= n:
            return list(range(n))
        if self.count == 1:
            return [(n - 1) // 2]
        gaps = self.count - 1
        return [(2 * k * (n - 1) + gaps) // (2 * gaps) for k in range(self.count)]


def of_images(paths: Sequence[str], wanted: Wanted) -> Frames:
    """Yield the wanted ones of a clip's images, with their places in the clip.

    Raises
    ------
    DatasetError
        If one cannot be read, or is cut off; the message names the file.
    """
    for number in wanted.of(len(paths)):
        path = paths[number]
        try:
            image = read_image(path)
        except MienError as error:
            raise DatasetError(f"{format_path(path)}: {error}") from error
        for warning in image.warnings:
            if "truncated" in warning:  # the missing part would be learned as if it were the image
                raise DatasetError(f"{format_path(path)}: {warning}")
        yield number, image.pixels


def length_of(path: str) -> int:
    """Return how many frames a video has.

    Raises
    ------
    DatasetError
        If it cannot be read; the message names the file.
    """
    # Found when a video is read, so that corpora of images need no decoder.
    from mien.io.video import count_frames

    try:
        return count_frames(path)
    except MienError as error:
        raise DatasetError(f"{format_path(path)}: {error}") from error


def of_video(path: str, wanted: Wanted) -> Frames:
    """Yield the wanted frames of a video, with their places in it.

    Raises
    ------
    DatasetError
        If it cannot be read, has no frame, or is damaged; the message names the file.  What can be read was yielded.
    """
    from mien.io.video import iter_frames

    length = length_of(path)
    numbers = wanted.of(length)
    if not numbers:
        raise DatasetError(f"{format_path(path)}: the video has no frame")
    # One more than there is, so that the video is read to its end, and says what is missing there.
    beyond = [length] if numbers[-1] == length - 1 else []
    came = 0
    try:
        with iter_frames(path, numbers=[*numbers, *beyond], threads=1) as stream:
            for number, frame in zip(numbers, stream, strict=False):
                yield number, frame.image
                came += 1
            if beyond:
                next(stream, None)
            lost, warnings = stream.frames_failed, stream.warnings
    except MienError as error:
        raise DatasetError(f"{format_path(path)}: {error}") from error
    cut = next((line for line in warnings if "truncated" in line or "ended early" in line), "")
    # Some containers hold packets that show nothing, so that a whole video may have fewer frames than were counted.
    if cut or lost or not came:
        what = cut or f"{came} of {len(numbers)} frames came, {lost} frames could not be decoded"
        raise DatasetError(f"{format_path(path)}: the video is damaged: {what}")
