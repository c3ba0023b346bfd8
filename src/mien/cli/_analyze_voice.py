"""The voices of the videos of ``mien analyze``: heard after the images, and put together with the faces."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.cli._analyze_options import Options
from mien.cli._analyze_sources import Source
from mien.cli._analyze_video_progress import video_progress

if TYPE_CHECKING:
    from mien.api._voicing import Voicing
    from mien.results import VideoResult
    from mien.speech.analyzer import SpeechAnalyzer

__all__ = ["VideoVoice"]

_PATIENCE_S = 3.0
"""After Ctrl-C, the sound of what was watched is read for so long."""

_ONCE = "standard input is read once, for the images; name a file to have both"


class VideoVoice:
    """Reads the voice of a video.

    Parameters
    ----------
    source : Source
        The video.
    analyzer : callable
        Returns what answers: it is loaded for videos with sound alone.
    options : Options
        What of it is read, and how both become one.
    """

    def __init__(self, source: Source, analyzer: Callable[[], SpeechAnalyzer], options: Options) -> None:
        self._source, self._analyzer, self._options = source, analyzer, options
        self.interrupted: VideoResult | None = None

    def add(self, video: VideoResult, what: str) -> VideoResult:
        """Return a video with its voice, and both together; ``what`` stands before how far it is.

        Raises
        ------
        KeyboardInterrupt
            At Ctrl-C; then ``interrupted`` is the video with what was heard.
        """
        if not self._again:
            return _without(video, _ONCE)
        voicing: Voicing | None = None
        try:
            voicing = self._voicing(video, self._options.to)
            with video_progress(what, video.start_s, video.end_s) as reach:
                return voicing.run(lambda block: reach(max(block.end_s, video.start_s)))
        except KeyboardInterrupt:
            self.interrupted = _without(video, "interrupted") if voicing is None else voicing.stopped("interrupted")
            raise

    def add_quickly(self, video: VideoResult) -> VideoResult:
        """Return what was watched of a video until Ctrl-C with its voice, as far as that can be read in seconds."""
        if not self._again:
            return _without(video, _ONCE)
        voicing = self._voicing(video, video.end_s)
        began = time.monotonic()

        def heard(_: Any) -> None:
            if time.monotonic() - began > _PATIENCE_S:
                raise _TooLongError

        try:
            return voicing.run(heard)
        except (_TooLongError, KeyboardInterrupt):
            return voicing.stopped("interrupted")

    @property
    def _again(self) -> bool:
        """Whether the video can be read again: a pipe cannot."""
        return isinstance(self._source.data, str | bytes)

    def _voicing(self, video: VideoResult, to_s: float | None) -> Voicing:
        from mien.api._voicing import Voicing

        fusion = self._options.fusion or "experts"
        told = self._source.told
        return Voicing(self._analyzer(), self._source.data, video, fusion=fusion, to_s=to_s, called=told)


class _TooLongError(Exception):
    """Patience is over."""


def _without(video: VideoResult, why: str) -> VideoResult:
    from mien.api._voicing import LEFT_OUT

    return replace(video, warnings=(*video.warnings, f"{LEFT_OUT}: {why}"))
