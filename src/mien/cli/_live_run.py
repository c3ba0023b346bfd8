"""One session of ``mien live``: what it is made of, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli import _shell

if TYPE_CHECKING:
    from mien.api._live_hearing import LiveHearing
    from mien.api._live_keeping import Keeping
    from mien.api.live import Live
    from mien.video.analyzer import VideoAnalyzer

__all__ = ["Run"]

_SIZE = (1280, 720)


@dataclass(frozen=True)
class Run:
    """The options, checked; see `mien.cli.live.command`."""

    source: str
    windowless: bool
    log: Path | None
    record: Path | None
    sound: bool
    mirror: bool
    size: tuple[int, int] | None
    detector: str
    model: str
    max_faces: int | None
    step: float | None
    fps: float | None
    device: str
    engine: str
    precision: str

    def run(self) -> int:
        """Run until the source ends or somebody quits; return the exit code."""
        told = _Told()
        with _shell.terminable(), ExitStack() as stack:
            screen = None
            if not self.windowless:
                from mien.window.live import Screen

                # First, because it takes least and is the likeliest to be missing.
                screen = stack.enter_context(Screen("mien live", self.size or _SIZE))
            analyzer = self._analyzer(self.detector)
            hearing = self._hearing(stack, analyzer, told)
            live, keeping = self._begin(stack, analyzer, told)
            if screen is None:
                _lines(live, keeping, hearing)
            else:
                from mien.window.live import LiveWindow

                window = LiveWindow(
                    screen, live, keeping, mirror=self.mirror, heard=None if hearing is None else hearing.now
                )
                told.more = window.tell
                window.run()
        return 0

    def _begin(self, stack: ExitStack, analyzer: VideoAnalyzer, told: _Told) -> tuple[Live, Keeping]:
        from mien.api._live_keeping import Keeping
        from mien.api.live import Live

        live = Live(
            self.source,
            analyzer,
            size=self.size or _SIZE,
            step_s=self.step if self.fps is None else 1 / self.fps,
            other=self._analyzer,
            told=told,
        )
        keeping = stack.enter_context(Keeping(live, log=self.log, record=self.record, told=told))
        return stack.enter_context(live), keeping

    def _hearing(self, stack: ExitStack, analyzer: VideoAnalyzer, told: _Told) -> LiveHearing | None:
        if not self.sound:
            return None
        from mien.api._live_hearing import LiveHearing
        from mien.speech.analyzer import SpeechAnalyzer

        return stack.enter_context(LiveHearing(SpeechAnalyzer(), analyzer.labels, told=told))

    def _analyzer(self, detector: str) -> VideoAnalyzer:
        from mien.video.analyzer import VideoAnalyzer

        return VideoAnalyzer(
            self.model,
            detector=detector,
            max_faces=self.max_faces,
            device=self.device,
            engine=self.engine,
            precision=self.precision,
        )


class _Told:
    """Messages go to stderr, and to the window where there is one."""

    def __init__(self) -> None:
        self.more: Callable[[str], None] = lambda _: None

    def __call__(self, text: str) -> None:
        _shell.note(text)
        self.more(text)


def _lines(live: Live, keeping: Keeping, hearing: LiveHearing | None) -> None:
    """Write results as JSON Lines, each as soon as it is there."""
    shown = 0
    while not live.done:
        results = live.results(timeout_s=0.02)
        keeping.tell(results)
        for result in results:
            clock = result.clock.isoformat(timespec="milliseconds")
            told: dict[str, Any] = {"kind": "frame", "path": live.name, "clock": clock, **result.frame.to_dict()}
            if hearing is not None:
                _, together = hearing.now(result.frame)
                told["together"] = None if together is None else together.to_dict()
            _shell.write(json.dumps(told, allow_nan=False))
        for segment in () if hearing is None else hearing.segments():
            _shell.write(json.dumps({"kind": "speech", **segment.to_dict()}, allow_nan=False))
        sys.stdout.flush()
        if keeping.recording is not None:
            sight = live.sight(shown)
            if sight is not None:
                shown = sight.image.number
                keeping.show(sight)
