"""The live window: images as they come with their faces, what is going on, and keys; a shell around `mien.live`."""

from __future__ import annotations

import functools
import math
import os
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.errors import MienError
from mien.face.detect import DETECTORS
from mien.live import LiveSession, LiveView
from mien.output import canvas as paint
from mien.output.canvas import COLORS, INK, RGB, WHITE, Sprite, lay, make_sprite, text_on
from mien.output.paint import LivePainter
from mien.results import Emotion

if TYPE_CHECKING:
    import pygame

__all__ = ["KEYS", "LiveWindow", "Screen", "ScreenError", "Status", "WindowPainter"]

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

_SCREEN_SHARE = 0.9
"""A new window takes at most so much of the screen, each way."""

_TICK_S = 0.01
"""Keys are looked at at least as often."""

_REDRAW_S = 0.25
"""So often what stands over the image is drawn again where no image comes."""

_MESSAGE_S = 4.0

_RATE_S = 2.0
"""Rates are counted over so long."""

_RED: RGB = (214, 48, 49)
_ALPHA = 0.82


class ScreenError(MienError):
    """There is no screen to open a window on."""


class Screen:
    """A window: arrays in, keys out; a context manager, for the main thread.  The only part that knows pygame.

    Parameters
    ----------
    title : str
        Stands above it.
    size : (int, int)
        Width and height to begin with.

    Raises
    ------
    MissingExtraError
        If pygame is not installed.
    ScreenError
        If there is no screen.
    """

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        # pygame greets on stdout unless it is told not to, and Windows would blow up the window's pixels.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_WINDOWS_DPI_AWARENESS", "permonitorv2")
        self._pygame: Any = import_extra("pygame", extra="live", purpose="the live window")
        self._open_display()
        desktop = (self._pygame.display.get_desktop_sizes() or [(1280, 800)])[0]
        self._limit = (int(desktop[0] * _SCREEN_SHARE), int(desktop[1] * _SCREEN_SHARE))
        self.window: pygame.Window = self._pygame.Window(title, self._within(size), resizable=True, allow_high_dpi=True)
        self.window.minimum_size = (160, 120)

    def _open_display(self) -> None:
        try:
            self._pygame.display.init()
            driver = self._pygame.display.get_driver()
        except self._pygame.error as error:
            raise ScreenError(f"there is no screen to open a window on ({error}): use --no-window") from error
        # SDL's last resort draws for nobody; who wants that names it.
        if driver in {"offscreen", "dummy"} and not os.environ.get("SDL_VIDEODRIVER"):
            self._pygame.display.quit()
            where = " (DISPLAY and WAYLAND_DISPLAY lead nowhere)" if sys.platform.startswith("linux") else ""
            raise ScreenError(f"there is no screen to open a window on{where}: use --no-window")

    def _within(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size of these proportions that fits on the screen."""
        scale = min(1.0, self._limit[0] / size[0], self._limit[1] / size[1])
        return max(160, round(size[0] * scale)), max(120, round(size[1] * scale))

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.window.destroy()
        self._pygame.display.quit()

    def fit(self, width: int, height: int) -> None:
        """Take the size of an image, as far as the screen allows."""
        self.window.size = self._within((width, height))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the screen, of which a window may have more than units."""
        width, height = self.window.get_surface().get_size()
        return int(width), int(height)

    def show(self, image: NDArray[np.uint8]) -> None:
        """Put an array of the window's size on the screen."""
        height, width = image.shape[:2]
        surface = self._pygame.image.frombuffer(image, (width, height), "RGB")
        self.window.get_surface().blit(surface, (0, 0))
        self.window.flip()

    def keys(self) -> tuple[list[str], bool]:
        """Return the names of the keys pressed since the last call, and whether the window must be drawn again.

        Closing the window is the key ``"quit"``.
        """
        game, pressed, is_stale = self._pygame, [], False
        for event in game.event.get():
            if event.type in {game.QUIT, game.WINDOWCLOSE}:
                pressed.append("quit")
            elif event.type == game.KEYDOWN and not getattr(event, "repeat", False):
                pressed.append(game.key.name(event.key))
            elif event.type in {game.WINDOWRESIZED, game.WINDOWSIZECHANGED, game.WINDOWEXPOSED}:
                is_stale = True
        return pressed, is_stale


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
    is_mirrored, is_frozen, shows_help : bool
        Whether the image is mirrored, stands still, and is covered by the help.
    recording_s : float or None
        For how long is being recorded.
    message : str
        A message that goes away by itself.
    problem : str
        What is wrong with the source.
    voice, together : Emotion or None
        The emotion of the voice, and that of face and voice together.
    """

    rate: float = 0.0
    delay_s: float | None = None
    detector: str = ""
    is_mirrored: bool = False
    is_frozen: bool = False
    shows_help: bool = False
    recording_s: float | None = None
    message: str = ""
    problem: str = ""
    voice: Emotion | None = None
    together: Emotion | None = None


class WindowPainter:
    """Draws windows of any size into an array: the image, and over it what is going on."""

    def __init__(self) -> None:
        self._image: LivePainter | None = None

    def draw(self, size: tuple[int, int], view: LiveView | None, status: Status) -> NDArray[np.uint8]:
        """Draw the window.

        Parameters
        ----------
        size : (int, int)
            Width and height in pixels of the screen.
        view : LiveView or None
            The image; None before the first.
        status : Status
            What is going on.

        Returns
        -------
        numpy.ndarray
            uint8 (height, width, 3), RGB; valid until the next call.
        """
        if self._image is None or self._image.size != size:
            self._image = LivePainter(*size)
        if view is None:
            canvas = self._image.blank()
        else:
            image = view.image
            canvas = self._image.draw(image.image, view.frame, image.time_s, mirror=status.is_mirrored)
        # Letters as high as those beside faces.
        text_px = max(10, min(48, round(4 + 0.0145 * math.sqrt(size[0] * size[1]))))
        self._draw_status(canvas, status, text_px)
        return canvas

    def _draw_status(self, canvas: NDArray[np.uint8], status: Status, text_px: int) -> None:
        margin = round(text_px * 0.6)
        _place(canvas, _chip((_headline(status),), text_px), 0, 0, margin)
        if status.recording_s is not None:
            seconds = int(status.recording_s)
            _place(canvas, _chip((f"REC {seconds // 60}:{seconds % 60:02d}",), text_px, WHITE, _RED), 1, 0, margin)
        elif status.is_frozen:
            _place(canvas, _chip(("frozen",), text_px), 1, 0, margin)
        self._draw_voice(canvas, status, text_px, margin)
        # What is wrong counts more than what was done.
        line = status.problem or status.message
        if line:
            width = max(20, round(1.6 * canvas.shape[1] / text_px))
            _place(canvas, _chip(tuple(textwrap.wrap(line, width)), text_px), 0.5, 1, margin)
        if status.shows_help:
            _place(canvas, _chip(tuple("\t".join(row) for row in KEYS), round(text_px * 1.1)), 0.5, 0.5, margin)

    @staticmethod
    def _draw_voice(canvas: NDArray[np.uint8], status: Status, text_px: int, margin: int) -> None:
        down = 1.0
        for what, emotion in (("together", status.together), ("voice", status.voice)):
            if emotion is not None:
                words = f"{what}: {emotion.top}{'?' * emotion.unsure} {100 * emotion.confidence:.0f}%"
                color = COLORS[emotion.top]
                chip = _chip((words,), text_px, text_on(color), color)
                _place(canvas, chip, 0, down, margin)
                down -= (chip.height + margin / 2) / max(1, canvas.shape[0] - chip.height - 2 * margin)


def _headline(status: Status) -> str:
    delay = "" if status.delay_s is None else f"{1000 * status.delay_s:.0f} ms"
    parts = (f"{status.rate:.0f} frames/s", delay, status.detector, "mirror" if status.is_mirrored else "")
    return "  ·  ".join(part for part in parts if part)


@functools.lru_cache(maxsize=64)
def _chip(lines: tuple[str, ...], size: int, ink: RGB = WHITE, ground: RGB = INK) -> Sprite:
    """Return lines of text on a ground with round corners; a tab parts two columns."""
    cells = [line.split("\t") for line in lines]
    columns = max(len(row) for row in cells)
    gap, pad_x, pad_y = size * 1.2, size * 0.6, size * 0.35
    wide = [max((paint.text_size(row[k], size)[0] for row in cells if k < len(row)), default=0) for k in range(columns)]
    high = paint.text_size("Mg", size)[1] * 1.15
    width = sum(wide) + gap * (columns - 1) + 2 * pad_x
    height = high * len(lines) + 2 * pad_y

    def draw(canvas: NDArray[np.uint8]) -> None:
        paint.fill(canvas, (0, 0, width, height), ground, radius=size * 0.45, alpha=_ALPHA if ground == INK else 0.9)
        for at, row in enumerate(cells):
            for k, words in enumerate(row):
                left = pad_x + sum(wide[:k]) + gap * k
                paint.text(canvas, left, pad_y + at * high, words, size, ink)

    return make_sprite(math.ceil(width), math.ceil(height), draw)


def _place(canvas: NDArray[np.uint8], chip: Sprite, across: float, down: float, margin: int) -> None:
    """Lay a chip over the image: 0 is left or top, 0.5 the middle, 1 right or bottom."""
    height, width = canvas.shape[:2]
    left = margin + across * (width - chip.width - 2 * margin)
    top = margin + down * (height - chip.height - 2 * margin)
    lay(canvas, chip, round(left), round(top))


class LiveWindow:
    """Shows a live session until it ends or somebody quits.

    Parameters
    ----------
    screen : Screen
        Where.
    session : LiveSession
        Gives images and results, and writes what is to be kept.
    mirror : bool
        Begin mirrored.
    """

    def __init__(self, screen: Screen, session: LiveSession, *, mirror: bool = False) -> None:
        self._screen, self._session, self._stream = screen, session, session.stream
        self._painter = WindowPainter()
        self._is_mirrored, self._is_frozen, self._shows_help, self._has_quit = mirror, False, False, False
        self._view: LiveView | None = None
        self._detector = self._stream.detector
        self._message, self._message_until_s = f"opening {self._stream.name}", float("inf")
        self._shown: deque[float] = deque(maxlen=240)
        self._delays: deque[float] = deque(maxlen=240)
        self._drawn_s = 0.0
        self._actions: dict[str, Callable[[], None]] = {
            **dict.fromkeys(("q", "escape", "quit"), self._quit),
            "space": self._freeze,
            "s": self._save_snapshot,
            "r": session.toggle_recording,
            "d": self._switch_detector,
            "m": self._mirror,
            "h": self._help,
        }

    @property
    def status(self) -> Status:
        """What is going on; the rate is that of the last two seconds."""
        now, delays, recording = time.monotonic(), list(self._delays)[-15:], self._session.recording
        recent = [shown_s for shown_s in self._shown if now - shown_s <= _RATE_S]
        voice: tuple[Emotion | None, Emotion | None] = (None, None)
        if self._session.voice is not None:
            voice = self._session.voice.current(None if self._view is None else self._view.frame)
        return Status(
            rate=(len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0,
            delay_s=sum(delays) / len(delays) if delays else None,
            detector=self._stream.detector,
            is_mirrored=self._is_mirrored,
            is_frozen=self._is_frozen,
            shows_help=self._shows_help,
            recording_s=None if recording is None else recording.seconds,
            message=self._message if now < self._message_until_s else "",
            problem=self._stream.problem,
            voice=voice[0],
            together=voice[1],
        )

    def show_message(self, text: str) -> None:
        """Show a message for some seconds; any thread may call this."""
        self._message, self._message_until_s = text, time.monotonic() + _MESSAGE_S

    def run(self) -> None:
        """Show until the end.

        Raises
        ------
        MienError
            If the source cannot be opened, or a log cannot be written.
        """
        self._draw()
        while not self._has_quit:
            pressed, is_stale = self._screen.keys()
            for key in pressed:
                if key in self._actions:
                    self._actions[key]()
                    is_stale = True
            view = self._session.poll(_TICK_S).view
            is_fresh = view is not None and not self._is_frozen
            if view is not None and is_fresh:
                self._take(view)
            if is_fresh or is_stale or time.monotonic() - self._drawn_s > _REDRAW_S:
                self._draw(is_fresh=is_fresh)
            if self._stream.is_done and not is_fresh and not self._is_frozen:
                break

    def _take(self, view: LiveView) -> None:
        if self._view is None:
            self._message_until_s = 0.0
            self._screen.fit(view.image.image.shape[1], view.image.image.shape[0])
        self._view = view

    def _draw(self, *, is_fresh: bool = False) -> None:
        self._screen.show(self._painter.draw(self._screen.size, self._view, self.status))
        self._drawn_s = time.monotonic()
        if is_fresh and self._view is not None:
            self._shown.append(self._drawn_s)
            self._delays.append(self._drawn_s - self._view.image.captured_s)

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _quit(self) -> None:
        self._has_quit = True

    def _freeze(self) -> None:
        self._is_frozen = not self._is_frozen

    def _save_snapshot(self) -> None:
        if self._view is None:
            self.show_message("nothing to save yet")
        else:
            self._session.save_snapshot(self._view)

    def _switch_detector(self) -> None:
        # From the one that was wished last: it may be one that cannot be had.
        names = list(DETECTORS)
        self._detector = names[(names.index(self._detector) + 1) % len(names)]
        self.show_message(f"detector: {self._detector}")
        self._stream.use_detector(self._detector)

    def _mirror(self) -> None:
        self._is_mirrored = not self._is_mirrored

    def _help(self) -> None:
        self._shows_help = not self._shows_help
