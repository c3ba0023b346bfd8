"""What the window shows: the image, and over it what is going on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.api.live import Sight
from mien.output.canvas import COLORS, text_on
from mien.output.paint import LivePainter
from mien.results import Emotion
from mien.window._chips import RED, WHITE, chip, letters, place_chip

__all__ = ["KEYS", "Status", "View"]

KEYS = (
    ("q, Esc", "quit"),
    ("space", "freeze, go on"),
    ("s", "save a snapshot: image and JSON"),
    ("r", "record, stop: video and CSV"),
    ("d", "switch the detector"),
    ("m", "mirror"),
    ("h", "this help"),
)
"""The keys and what they do."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is going on.

    Parameters
    ----------
    rate : float
        Images shown a second.
    delay_s : float or None
        From when an image came to when it is on the screen; None before the first.
    detector : str
        Its name.
    mirror, frozen, help_ : bool
        Whether the image is mirrored, stands still, and is covered by the help.
    recording_s : float or None
        For how long is being recorded.
    message : str
        A message that goes away by itself.
    trouble : str
        What is wrong with the source.
    voice, together : Emotion or None
        What the voice sounds like, and what face and voice say together.
    """

    rate: float = 0.0
    delay_s: float | None = None
    detector: str = ""
    mirror: bool = False
    frozen: bool = False
    help_: bool = False
    recording_s: float | None = None
    message: str = ""
    trouble: str = ""
    voice: Emotion | None = None
    together: Emotion | None = None


class View:
    """Draws windows of any size into an array."""

    def __init__(self) -> None:
        self._image: LivePainter | None = None

    def draw(self, size: tuple[int, int], sight: Sight | None, status: Status) -> NDArray[np.uint8]:
        """Draw the window.

        Parameters
        ----------
        size : (int, int)
            Width and height in pixels of the screen.
        sight : Sight or None
            What is seen; None before the first image.
        status : Status
            What is going on.

        Returns
        -------
        numpy.ndarray
            uint8 (height, width, 3), RGB; valid until the next call.
        """
        if self._image is None or self._image.size != size:
            self._image = LivePainter(*size)
        if sight is None:
            canvas = self._image.blank()
        else:
            image = sight.image
            canvas = self._image.draw(image.image, sight.frame, image.time_s, mirror=status.mirror)
        self._over(canvas, status, letters(*size))
        return canvas

    def _over(self, canvas: NDArray[np.uint8], status: Status, text: int) -> None:
        margin = round(text * 0.6)
        place_chip(canvas, chip((_told(status),), text), 0, 0, margin)
        if status.recording_s is not None:
            seconds = int(status.recording_s)
            place_chip(canvas, chip((f"REC {seconds // 60}:{seconds % 60:02d}",), text, WHITE, RED), 1, 0, margin)
        elif status.frozen:
            place_chip(canvas, chip(("frozen",), text), 1, 0, margin)
        self._heard(canvas, status, text, margin)
        # What is wrong counts more than what was done.
        line = status.trouble or status.message
        if line:
            most = max(20, round(1.6 * canvas.shape[1] / text))
            place_chip(canvas, chip(tuple(_wrapped(line, most)), text), 0.5, 1, margin)
        if status.help_:
            place_chip(canvas, chip(tuple("\t".join(row) for row in KEYS), round(text * 1.1)), 0.5, 0.5, margin)

    @staticmethod
    def _heard(canvas: NDArray[np.uint8], status: Status, text: int, margin: int) -> None:
        down = 1.0
        for what, emotion in (("together", status.together), ("voice", status.voice)):
            if emotion is not None:
                words = f"{what}: {emotion.top}{'?' * emotion.unsure} {100 * emotion.confidence:.0f}%"
                color = COLORS[emotion.top]
                sprite = chip((words,), text, text_on(color), color)
                place_chip(canvas, sprite, 0, down, margin)
                down -= (sprite.height + margin / 2) / max(1, canvas.shape[0] - sprite.height - 2 * margin)


def _told(status: Status) -> str:
    parts = [f"{status.rate:.0f} frames/s"]
    if status.delay_s is not None:
        parts.append(f"{1000 * status.delay_s:.0f} ms")
    parts.append(status.detector)
    if status.mirror:
        parts.append("mirror")
    return "  ·  ".join(part for part in parts if part)


def _wrapped(line: str, most: int) -> list[str]:
    """Break a line where it is too long, at blanks where there are some."""
    lines, rest = [], line
    while len(rest) > most:
        at = rest.rfind(" ", most // 2, most)
        at = most if at < 0 else at
        lines.append(rest[:at])
        rest = rest[at:].lstrip()
    return [*lines, rest]
