"""The voice of a film that was watched, and faces and voice together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mien.analyzers.speech import SpeechAnalyzer
from mien.api._hearing import Hearing
from mien.errors import InputError, MediaError
from mien.fusion import METHODS, fuse
from mien.media.audio import AudioBlock
from mien.results import FaceTrack, FusedResult, SpeechResult, SpeechSpan, VideoResult

__all__ = ["LEFT_OUT", "ONCE", "Voicing", "fusion_method"]

LEFT_OUT = "its sound was left out"
ONCE = f"{LEFT_OUT}: a stream that cannot go back is read once, for its pictures"

_LATE_S = 1.0
"""Sound that begins or ends by more before or after the picture is told of: coders and cutters leave less."""


def fusion_method(name: str) -> str:
    """Return the name of a method of fusion, or raise `InputError`."""
    if name not in METHODS:
        raise InputError(f"fusion must be one of {', '.join(METHODS)}, but got {name!r}")
    return name


class Voicing:
    """The sound of a film on its way through an analyzer, after its pictures, in constant memory but for the spans.

    Sound that cannot be read costs the film nothing: a warning says what is missing.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        What answers.
    source : object
        The film once more, as for `Hearing`.
    film : VideoResult
        What was watched of it; what is heard begins there, too.
    fusion : str
        One of `mien.fusion.METHODS`.
    to_s : float, optional
        Where what is heard ends; by default with the sound.
    called : str, optional
        How messages call the film.
    """

    def __init__(
        self,
        analyzer: SpeechAnalyzer,
        source: Any,
        film: VideoResult,
        *,
        fusion: str,
        to_s: float | None = None,
        called: str | None = None,
    ) -> None:
        self._film, self._fusion, self._to_s = film, fusion_method(fusion), to_s
        self._hearing = Hearing(analyzer, source, called=called, from_s=film.start_s, to_s=to_s)
        self._spans: list[SpeechSpan] = []

    @property
    def reached_s(self) -> float:
        """Up to where the film was heard."""
        return self._hearing.duration_s

    def run(self, heard: Callable[[AudioBlock], None] | None = None) -> VideoResult:
        """Hear all of it, and return the film with its voice, and both together.

        Parameters
        ----------
        heard : callable, optional
            Gets each block.
        """
        try:
            for span in self._hearing.spans(heard=heard):
                # One by one: what comes before an interruption is kept.
                self._spans.append(span)
        except MediaError as error:
            return self.stopped(str(error))
        return self._with(self._hearing.result(self._spans, *self._late()))

    def stopped(self, why: str) -> VideoResult:
        """Return the film with what was heard until now; nothing is heard after."""
        self._spans.extend(self._hearing.close())
        if not self._spans:
            return replace(self._film, warnings=(*self._film.warnings, f"{LEFT_OUT}: {why}"))
        note = f"its sound was read only up to {self.reached_s:.1f} s: {why}"
        return self._with(self._hearing.result(self._spans, note), whole=False)

    def _late(self) -> list[str]:
        """Say where sound and picture do not begin and end together."""
        film, notes = self._film, []
        began_s, ended_s = self._hearing.began_s, self._hearing.duration_s
        if began_s is not None and began_s > film.start_s + _LATE_S:
            notes.append(f"the sound begins at {began_s:.1f} s")
        if abs(ended_s - film.end_s) > _LATE_S:
            notes.append(f"the sound ends at {ended_s:.1f} s, the picture at {film.end_s:.1f} s")
        return notes

    def _with(self, speech: SpeechResult, *, whole: bool = True) -> VideoResult:
        film = self._film
        more = tuple(note for note in speech.warnings if note not in film.warnings)
        return replace(film, speech=speech, fused=self._fused(speech, whole), warnings=(*film.warnings, *more))

    def _fused(self, speech: SpeechResult, whole: bool) -> FusedResult:
        film = self._film
        if film.method != "timeline":
            return _at_once(film, speech, self._fusion)
        if whole and not film.start_s and self._to_s is None:
            return fuse(film, speech, method=self._fusion)
        # That sound and picture of a part end together says nothing: the spans alone are handed over.
        end_s = max(film.end_s, speech.duration_s)
        return fuse(film, speech.spans, method=self._fusion, start_s=film.start_s, end_s=end_s)


def _at_once(film: VideoResult, speech: SpeechResult, fusion: str) -> FusedResult:
    """Fuse the one answer of a film by single frames with the mean of its voice."""
    face, voice = film.summary.emotion, speech.summary.emotion
    whole_s = max(film.end_s, speech.duration_s)
    tracks, spans = [], []
    if whole_s > 0:
        tracks = [] if face is None else [_standing(film, face.probabilities, whole_s)]
        spans = [] if voice is None else [SpeechSpan(0.0, whole_s, True, voice, snr_db=_ratio_db(speech))]
    return fuse(tracks, spans, method=fusion, start_s=0.0, end_s=whole_s)


def _standing(film: VideoResult, probabilities: tuple[float, ...], length_s: float) -> FaceTrack:
    """Return a track that shows one distribution all the time, with the middle of what is known of the face."""
    largest = max(film.tracks, key=_area)
    answer = np.array([probabilities], np.float32)
    return FaceTrack(
        number=largest.number,
        labels=largest.labels,
        times_s=np.zeros(1),
        durations_s=np.full(1, length_s),
        boxes=np.median(largest.boxes, axis=0, keepdims=True),
        scores=np.median(largest.scores, keepdims=True),
        probabilities=answer,
        smoothed=answer,
        detected=np.ones(1, bool),
        sharpness=None if largest.sharpness is None else np.median(largest.sharpness, keepdims=True),
    )


def _area(track: FaceTrack) -> float:
    return float(np.prod(track.boxes[:, 2:] - track.boxes[:, :2], axis=1).max())


def _ratio_db(speech: SpeechResult) -> float | None:
    """Return the middle of how far the speech is above its noise, where that was measured."""
    known = [span.snr_db for span in speech.spans if span.snr_db is not None]
    return float(np.median(known)) if known else None
