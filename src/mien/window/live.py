"""The live window: images as they come, with their faces, and keys."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from mien.face.detect import DETECTORS
from mien.window._screen import Screen, ScreenError
from mien.window._view import Status, View

if TYPE_CHECKING:
    from mien.api._live_keeping import Keeping
    from mien.api.live import Live, Sight
    from mien.results import Emotion, VideoFrame

__all__ = ["LiveWindow", "Screen", "ScreenError"]

_TICK_S = 0.01
"""Keys are looked at at least as often."""

_REDRAW_S = 0.25
"""So often what stands over the image is drawn again where no image comes."""

_MESSAGE_S = 4.0

_OVER_S = 2.0
"""Rates are counted over so long."""

Heard = Callable[["VideoFrame | None"], "tuple[Emotion | None, Emotion | None]"]


class LiveWindow:
    """Shows live images until they end or somebody quits.

    Parameters
    ----------
    screen : Screen
        Where.
    live : Live
        Gives images and results.
    keeping : Keeping
        Writes what is to be kept.
    mirror : bool
        Begin mirrored.
    heard : callable, optional
        Returns what the voice sounds like, and what it says together with the faces of the newest result.
    """

    def __init__(
        self, screen: Screen, live: Live, keeping: Keeping, *, mirror: bool = False, heard: Heard | None = None
    ) -> None:
        self._screen, self._live, self._keeping = screen, live, keeping
        self._heard: Heard = heard or (lambda _: (None, None))
        self._view = View()
        self._mirror, self._frozen, self._help, self._quit = mirror, False, False, False
        self._sight: Sight | None = None
        self._number, self._wish = 0, live.detector
        self._message, self._until_s = f"opening {live.name}", float("inf")
        self._shown: deque[float] = deque(maxlen=240)
        self._delays: deque[float] = deque(maxlen=240)
        self._drawn_s = 0.0
        self._actions: dict[str, Callable[[], None]] = {
            **dict.fromkeys(("q", "escape", "quit"), self._end),
            "space": self._freeze,
            "s": self._snapshot,
            "r": keeping.record,
            "d": self._switch,
            "m": self._flip,
            "h": self._explain,
        }

    @property
    def rate(self) -> float:
        """Images shown a second, over the last two."""
        now = time.monotonic()
        recent = [shown_s for shown_s in self._shown if now - shown_s <= _OVER_S]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0

    @property
    def delays_s(self) -> list[float]:
        """From when an image came to when it was on the screen, of the last 240."""
        return list(self._delays)

    def tell(self, text: str) -> None:
        """Show a message for some seconds; any thread may call this."""
        self._message, self._until_s = text, time.monotonic() + _MESSAGE_S

    def run(self) -> None:
        """Show until the end.

        Raises
        ------
        MienError
            If the source cannot be opened, or a log cannot be written.
        """
        self._draw()
        while not self._quit:
            pressed, stale = self._screen.keys()
            for key in pressed:
                action = self._actions.get(key)
                if action is not None:
                    action()
                    stale = True
            self._keeping.tell(self._live.results())
            fresh = self._next()
            if fresh or stale or time.monotonic() - self._drawn_s > _REDRAW_S:
                self._draw(fresh=fresh)
            if self._live.done and not fresh and not self._frozen:
                break

    def _next(self) -> bool:
        """Take the next image, and tell whether it is to be shown."""
        sight = self._live.sight(self._number, timeout_s=_TICK_S)
        if sight is None:
            if self._live.done:
                time.sleep(_TICK_S)
            return False
        self._number = sight.image.number
        self._keeping.show(sight)
        if self._frozen:
            return False
        if self._sight is None:
            self._until_s = 0.0
            self._screen.fit(sight.image.image.shape[1], sight.image.image.shape[0])
        self._sight = sight
        return True

    def _draw(self, *, fresh: bool = False) -> None:
        self._screen.show(self._view.draw(self._screen.size, self._sight, self._status()))
        self._drawn_s = time.monotonic()
        if fresh and self._sight is not None:
            self._shown.append(self._drawn_s)
            self._delays.append(self._drawn_s - self._sight.image.taken_s)

    def _status(self) -> Status:
        recent = list(self._delays)[-15:]
        recording = self._keeping.recording
        voice, together = self._heard(None if self._sight is None else self._sight.frame)
        return Status(
            rate=self.rate,
            delay_s=sum(recent) / len(recent) if recent else None,
            detector=self._live.detector,
            mirror=self._mirror,
            frozen=self._frozen,
            help_=self._help,
            recording_s=None if recording is None else recording.seconds,
            message=self._message if time.monotonic() < self._until_s else "",
            trouble=self._live.trouble,
            voice=voice,
            together=together,
        )

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._quit = True

    def _freeze(self) -> None:
        self._frozen = not self._frozen

    def _snapshot(self) -> None:
        if self._sight is None:
            self.tell("nothing to save yet")
        else:
            self._keeping.snapshot(self._sight)

    def _switch(self) -> None:
        # From the one that was wished last: it may be one that cannot be had.
        names = tuple(DETECTORS)
        self._wish = names[(names.index(self._wish) + 1) % len(names)]
        self.tell(f"detector: {self._wish}")
        self._live.use_detector(self._wish)

    def _flip(self) -> None:
        self._mirror = not self._mirror

    def _explain(self) -> None:
        self._help = not self._help
