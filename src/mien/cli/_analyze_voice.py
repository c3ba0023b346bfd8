"""The voices of the films of ``mien analyze``: heard after the pictures, and put together with the faces."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.cli._analyze_options import Options
from mien.cli._analyze_sources import Source
from mien.cli._analyze_video_progress import film_progress

if TYPE_CHECKING:
    from mien.analyzers import SpeechAnalyzer
    from mien.api._voicing import Voicing
    from mien.results import VideoResult

__all__ = ["FilmVoice"]

_PATIENCE_S = 3.0
"""After Ctrl-C, the sound of what was watched is read for so long."""

_ONCE = "standard input is read once, for the pictures; name a file to have both"


class FilmVoice:
    """Reads the voice of a film.

    Parameters
    ----------
    source : Source
        The film.
    analyzer : callable
        Returns what answers: it is loaded for films with sound alone.
    options : Options
        What of it is read, and how both become one.
    """

    def __init__(self, source: Source, analyzer: Callable[[], SpeechAnalyzer], options: Options) -> None:
        self._source, self._analyzer, self._options = source, analyzer, options
        self.interrupted: VideoResult | None = None

    def add(self, film: VideoResult, what: str) -> VideoResult:
        """Return a film with its voice, and both together; ``what`` stands before how far it is.

        Raises
        ------
        KeyboardInterrupt
            At Ctrl-C; then ``interrupted`` is the film with what was heard.
        """
        if not self._again:
            return _without(film, _ONCE)
        voicing: Voicing | None = None
        try:
            voicing = self._voicing(film, self._options.to)
            with film_progress(what, film.start_s, film.end_s) as reach:
                return voicing.run(lambda block: reach(max(block.end_s, film.start_s)))
        except KeyboardInterrupt:
            self.interrupted = _without(film, "interrupted") if voicing is None else voicing.stopped("interrupted")
            raise

    def add_quickly(self, film: VideoResult) -> VideoResult:
        """Return what was watched of a film until Ctrl-C with its voice, as far as that can be read in seconds."""
        if not self._again:
            return _without(film, _ONCE)
        voicing = self._voicing(film, film.end_s)
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
        """Whether the film can be read again: a pipe cannot."""
        return isinstance(self._source.data, str | bytes)

    def _voicing(self, film: VideoResult, to_s: float | None) -> Voicing:
        from mien.api._voicing import Voicing

        fusion = self._options.fusion or "experts"
        told = self._source.told
        return Voicing(self._analyzer(), self._source.data, film, fusion=fusion, to_s=to_s, called=told)


class _TooLongError(Exception):
    """Patience is over."""


def _without(film: VideoResult, why: str) -> VideoResult:
    from mien.api._voicing import LEFT_OUT

    return replace(film, warnings=(*film.warnings, f"{LEFT_OUT}: {why}"))
