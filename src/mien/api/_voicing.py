"""The voice of a video that was watched, and faces and voice together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mien.api._hearing import Hearing
from mien.errors import InputError, MediaError
from mien.fusion import METHODS, fuse
from mien.io.audio import AudioBlock
from mien.results import FaceTrack, FusedResult, SpeechResult, SpeechSegment, VideoResult
from mien.speech.analyzer import SpeechAnalyzer

__all__ = ["LEFT_OUT", "ONCE", "Voicing", "fusion_method"]

LEFT_OUT = "its sound was left out"
ONCE = f"{LEFT_OUT}: a stream that cannot go back is read once, for its images"

_LATE_S = 1.0
"""Sound that begins or ends by more before or after the image is told of: coders and cutters leave less."""


def fusion_method(name: str) -> str:
    """Return the name of a method of fusion, or raise `InputError`."""
    if name not in METHODS:
        raise InputError(f"fusion must be one of {', '.join(METHODS)}, but got {name!r}")
    return name


class Voicing:
    """The sound of a video on its way through an analyzer, after its images, in constant memory but for the segments.

    Sound that cannot be read costs the video nothing: a warning says what is missing.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        What answers.
    source : object
        The video once more, as for `Hearing`.
    video : VideoResult
        What was watched of it; what is heard begins there, too.
    fusion : str
        One of `mien.fusion.METHODS`.
    to_s : float, optional
        Where what is heard ends; by default with the sound.
    called : str, optional
        How messages call the video.
    """

    def __init__(
        self,
        analyzer: SpeechAnalyzer,
        source: Any,
        video: VideoResult,
        *,
        fusion: str,
        to_s: float | None = None,
        called: str | None = None,
    ) -> None:
        self._video, self._fusion, self._to_s = video, fusion_method(fusion), to_s
        self._hearing = Hearing(analyzer, source, called=called, from_s=video.start_s, to_s=to_s)
        self._segments: list[SpeechSegment] = []

    @property
    def reached_s(self) -> float:
        """Up to where the video was heard."""
        return self._hearing.duration_s

    def run(self, heard: Callable[[AudioBlock], None] | None = None) -> VideoResult:
        """Hear all of it, and return the video with its voice, and both together.

        Parameters
        ----------
        heard : callable, optional
            Gets each block.
        """
        try:
            for segment in self._hearing.segments(heard=heard):
                # One by one: what comes before an interruption is kept.
                self._segments.append(segment)
        except MediaError as error:
            return self.stopped(str(error))
        return self._with(self._hearing.result(self._segments, *self._late()))

    def stopped(self, why: str) -> VideoResult:
        """Return the video with what was heard until now; nothing is heard after."""
        self._segments.extend(self._hearing.close())
        if not self._segments:
            return replace(self._video, warnings=(*self._video.warnings, f"{LEFT_OUT}: {why}"))
        note = f"its sound was read only up to {self.reached_s:.1f} s: {why}"
        return self._with(self._hearing.result(self._segments, note), whole=False)

    def _late(self) -> list[str]:
        """Say where sound and image do not begin and end together."""
        video, notes = self._video, []
        began_s, ended_s = self._hearing.began_s, self._hearing.duration_s
        if began_s is not None and began_s > video.start_s + _LATE_S:
            notes.append(f"the sound begins at {began_s:.1f} s")
        if abs(ended_s - video.end_s) > _LATE_S:
            notes.append(f"the sound ends at {ended_s:.1f} s, the image at {video.end_s:.1f} s")
        return notes

    def _with(self, speech: SpeechResult, *, whole: bool = True) -> VideoResult:
        video = self._video
        more = tuple(note for note in speech.warnings if note not in video.warnings)
        fused = replace(self._fused(speech, whole), path=video.path)
        return replace(video, speech=speech, fused=fused, warnings=(*video.warnings, *more))

    def _fused(self, speech: SpeechResult, whole: bool) -> FusedResult:
        video = self._video
        if video.method != "timeline":
            return _at_once(video, speech, self._fusion)
        if whole and not video.start_s and self._to_s is None:
            return fuse(video, speech, method=self._fusion)
        # That sound and image of a part end together says nothing: the segments alone are handed over.
        end_s = max(video.end_s, speech.duration_s)
        return fuse(video, speech.segments, method=self._fusion, start_s=video.start_s, end_s=end_s)


def _at_once(video: VideoResult, speech: SpeechResult, fusion: str) -> FusedResult:
    """Fuse the one answer of a video by single frames with the mean of its voice."""
    face, voice = video.summary.emotion, speech.summary.emotion
    whole_s = max(video.end_s, speech.duration_s)
    tracks, segments = [], []
    if whole_s > 0:
        tracks = [] if face is None else [_standing(video, face.probabilities, whole_s)]
        segments = [] if voice is None else [SpeechSegment(0.0, whole_s, True, voice, snr_db=_ratio_db(speech))]
    return fuse(tracks, segments, method=fusion, start_s=0.0, end_s=whole_s)


def _standing(video: VideoResult, probabilities: tuple[float, ...], length_s: float) -> FaceTrack:
    """Return a track that shows one distribution all the time, with the middle of what is known of the face."""
    largest = max(video.tracks, key=_area)
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
    known = [segment.snr_db for segment in speech.segments if segment.snr_db is not None]
    return float(np.median(known)) if known else None
