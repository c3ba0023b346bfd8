"""A window on the screen: arrays in, keys out.  The only part that knows pygame."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.errors import MienError

if TYPE_CHECKING:
    import pygame

__all__ = ["Screen", "ScreenError"]

_SHARE = 0.9
"""A new window takes at most so much of the screen, each way."""


class ScreenError(MienError):
    """There is no screen to open a window on."""


class Screen:
    """A window; a context manager, for the main thread.

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
        # pygame greets on stdout unless told otherwise, and Windows would blow up the window's pixels.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_WINDOWS_DPI_AWARENESS", "permonitorv2")
        self._pygame: Any = import_extra("pygame", extra="live", purpose="the live window")
        self._open_display()
        self._fits = self._limit()
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

    def _limit(self) -> tuple[int, int]:
        sizes = self._pygame.display.get_desktop_sizes() or [(1280, 800)]
        return int(sizes[0][0] * _SHARE), int(sizes[0][1] * _SHARE)

    def _within(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size of these proportions that fits on the screen."""
        scale = min(1.0, self._fits[0] / size[0], self._fits[1] / size[1])
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
        game, pressed, stale = self._pygame, [], False
        for event in game.event.get():
            if event.type in {game.QUIT, game.WINDOWCLOSE}:
                pressed.append("quit")
            elif event.type == game.KEYDOWN and not getattr(event, "repeat", False):
                pressed.append(game.key.name(event.key))
            elif event.type in {game.WINDOWRESIZED, game.WINDOWSIZECHANGED, game.WINDOWEXPOSED}:
                stale = True
        return pressed, stale
