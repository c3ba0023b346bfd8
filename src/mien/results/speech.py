"""Speech over time: segments with an emotion each, and the recording that they are in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.results._notebook import frame, html_table, inline
from mien.results.emotion import Emotion

__all__ = ["SpeechResult", "SpeechSegment", "SpeechSummary"]

_TOUCH_S = 1e-6
"""How far the end of a segment may lie from the beginning of the next by rounding."""


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A stretch of a recording: speech with its emotion, or no speech.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds from the beginning of the recording.
    speech : bool
        Whether somebody speaks.
    emotion : Emotion or None
        What the voice sounds like; None without speech.
    warnings : tuple of str
        What makes it hard to read, such as ``"only 0.3 s of speech"``.
    snr_db : float or None
        How far the speech is above the noise around it, see `mien.speech.quality`; None where that was not measured.
    """

    start_s: float
    end_s: float
    speech: bool
    emotion: Emotion | None = None
    warnings: tuple[str, ...] = ()
    snr_db: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s < self.end_s):
            raise InputError(f"a segment must be 0 <= start_s < end_s, but got {self.start_s} to {self.end_s}")
        if self.emotion is not None and not self.speech:
            raise InputError("a segment without speech has no emotion")
        object.__setattr__(self, "warnings", tuple(self.warnings))

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "speech": self.speech,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "warnings": list(self.warnings),
            "snr_db": self.snr_db,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpeechSegment:
        """Build from what `to_dict` returned."""
        emotion = None if data["emotion"] is None else Emotion.from_dict(data["emotion"])
        return cls(data["start_s"], data["end_s"], data["speech"], emotion, tuple(data["warnings"]), data["snr_db"])


@dataclass(frozen=True, slots=True)
class SpeechSummary:
    """A recording in a few numbers.

    Parameters
    ----------
    duration_s, speech_s : float
        Length of the recording, and of the speech in it.
    emotion : Emotion or None
        The distributions of all segments, averaged by their length; None without speech.
    seconds : dict of str to float
        Seconds of speech by its most probable emotion, longest first; emotions that never lead are left out.
    """

    duration_s: float
    speech_s: float
    emotion: Emotion | None
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {
            "duration_s": self.duration_s,
            "speech_s": self.speech_s,
            "emotion": None if self.emotion is None else self.emotion.to_dict(),
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True, slots=True)
class SpeechResult:
    """The emotions of a recording over time.

    Parameters
    ----------
    duration_s : float
        Length of the recording in seconds.
    segments : tuple of SpeechSegment
        In order, each beginning where the one before ends, from 0 to ``duration_s``.
    path : str or None
        The file, as it was given; None for arrays and bytes.
    model : str
        Name of what made the answer.
    warnings : tuple of str
        What was wrong with the recording, such as ``"the recording is almost silent"``.
    preview : callable or None
        Returns the drawn recording as PNG bytes, or None where it cannot be drawn, for notebooks; left out of
        comparison, data and pickles.
    """

    duration_s: float
    segments: tuple[SpeechSegment, ...] = ()
    path: str | None = None
    model: str = ""
    warnings: tuple[str, ...] = ()
    preview: Callable[[SpeechResult], bytes | None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.segments))
        if not (math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise InputError(f"duration_s must be finite and not negative, but got {self.duration_s}")
        edges = [0.0, *(segment.end_s for segment in self.segments)]
        starts = [*(segment.start_s for segment in self.segments), self.duration_s]
        for end_s, start_s in zip(edges, starts, strict=True):
            if abs(end_s - start_s) > _TOUCH_S:
                raise InputError(
                    f"segments must cover 0 to {self.duration_s:g} s without gaps, but one ends at {end_s:g} s and the "
                    f"next begins at {start_s:g} s"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.duration_s, self.segments, self.path, self.model, self.warnings))

    @property
    def speech_s(self) -> float:
        """Seconds in which somebody speaks."""
        return sum(segment.duration_s for segment in self.segments if segment.speech)

    @property
    def summary(self) -> SpeechSummary:
        """The recording in a few numbers."""
        seconds: dict[str, float] = {}
        told = [(segment.duration_s, segment.emotion) for segment in self.segments if segment.emotion is not None]
        for length, emotion in told:
            seconds[emotion.top] = seconds.get(emotion.top, 0.0) + length
        mean = None
        if told:
            shares = np.average([emotion.to_array() for _, emotion in told], axis=0, weights=[s for s, _ in told])
            mean = Emotion(told[0][1].labels, tuple((shares / shares.sum()).tolist()))
        by_length = dict(sorted(seconds.items(), key=lambda item: -item[1]))
        return SpeechSummary(self.duration_s, self.speech_s, mean, by_length)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; the summary is in it, too."""
        return {
            "path": self.path,
            "duration_s": self.duration_s,
            "model": self.model,
            "warnings": list(self.warnings),
            "summary": self.summary.to_dict(),
            "segments": [segment.to_dict() for segment in self.segments],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpeechResult:
        """Build from what `to_dict` returned."""
        return cls(
            duration_s=data["duration_s"],
            segments=tuple(SpeechSegment.from_dict(segment) for segment in data["segments"]),
            path=data["path"],
            model=data["model"],
            warnings=tuple(data["warnings"]),
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row a segment: path, segment, times, speech, emotion, confidence, unsure, emotions."""
        rows = []
        for number, segment in enumerate(self.segments, 1):
            row: dict[str, Any] = {
                "path": self.path,
                "segment": number,
                "start_s": segment.start_s,
                "end_s": segment.end_s,
            }
            row["speech"] = segment.speech
            if segment.emotion is not None:
                row.update(
                    emotion=segment.emotion.top, confidence=segment.emotion.confidence, unsure=segment.emotion.unsure
                )
                row.update(segment.emotion.items())
            rows.append(row)
        return rows

    def to_frame(self, library: str | None = None) -> Any:
        """Return the rows as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"}, optional
            Which library; by default pandas where it is installed, else polars.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            One row a segment (see `rows`).

        Raises
        ------
        MissingExtraError
            If the library is not installed.
        InputError
            If the library has another name.
        """
        return frame(self.rows(), library)

    def _repr_png_(self) -> bytes | None:
        return None if self.preview is None else self.preview(self)

    def _repr_html_(self) -> str:
        rows = self.rows()
        if not rows:
            return "<p>no sound</p>"
        table = html_table(rows, ("start_s", "end_s", "speech", "emotion", "confidence", "unsure"))
        return inline(self._repr_png_(), "the recording over time") + table
