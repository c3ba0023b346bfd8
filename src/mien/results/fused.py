"""Face and voice over time, side by side and as one answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.labels import FER7, LabelSet, label_set
from mien.results._notebook import frame, html_table
from mien.results.emotion import Emotion

__all__ = ["FusedResult", "FusedSegment"]

_TOUCH_S = 1e-6
"""How far the end of a segment may lie from the beginning of the next by rounding."""

_SIDES = ("face", "voice", "fused")


@dataclass(frozen=True, slots=True)
class FusedSegment:
    """A stretch of time with what the face says, what the voice says, and both together.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds of the video.
    face : Emotion or None
        The face over the stretch, averaged by time; None where it is out of view.
    voice : Emotion or None
        What the voice sounds like; None where nobody speaks.
    fused : Emotion or None
        The answer of both; None only where both are missing.
    track : int or None
        Whose face it is: the number of the person's track.
    face_weight, voice_weight : float
        How much each had to say, 0 and up: 0 where it is missing or was overruled.  What they mean beyond that is the
        method's: see `mien.fusion`.
    """

    start_s: float
    end_s: float
    face: Emotion | None = None
    voice: Emotion | None = None
    fused: Emotion | None = None
    track: int | None = None
    face_weight: float = 0.0
    voice_weight: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s < self.end_s):
            raise InputError(f"a segment must be 0 <= start_s < end_s, but got {self.start_s} to {self.end_s}")
        for side in _SIDES[:2]:
            weight = getattr(self, f"{side}_weight")
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(f"{side}_weight must be finite and not negative, but got {weight}")
            if weight > 0 and getattr(self, side) is None:
                raise InputError(f"{side}_weight must be 0 where there is no {side}, but got {weight}")
        if (self.fused is None) != (self.face is None and self.voice is None):
            raise InputError("a segment has a fused emotion exactly where it has one of the face or of the voice")
        if (self.face is None) != (self.track is None):
            raise InputError("a segment has a track exactly where it has an emotion of the face")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        told = {side: None if (e := getattr(self, side)) is None else e.to_dict() for side in _SIDES}
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "track": self.track,
            "face_weight": self.face_weight,
            "voice_weight": self.voice_weight,
            **told,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FusedSegment:
        """Build from what `to_dict` returned."""
        told = {side: None if data[side] is None else Emotion.from_dict(data[side]) for side in _SIDES}
        weights = data["face_weight"], data["voice_weight"]
        return cls(data["start_s"], data["end_s"], told["face"], told["voice"], told["fused"], data["track"], *weights)


@dataclass(frozen=True, slots=True)
class FusedResult:
    """What face and voice say together over time.

    Parameters
    ----------
    segments : tuple of FusedSegment
        In order, each beginning where the one before ends.
    method : str
        Which of `mien.fusion.METHODS` made the answer.
    labels : LabelSet
        The emotions of all distributions.
    notes : tuple of str
        What was assumed, and how labels were mapped, such as ``"calm counts as neutral (voice)"``.
    warnings : tuple of str
        What was missing, such as ``"nobody speaks"``.
    """

    segments: tuple[FusedSegment, ...] = ()
    method: str = ""
    labels: LabelSet = field(default=FER7)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("segments", "notes", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for before, after in zip(self.segments, self.segments[1:], strict=False):
            if abs(after.start_s - before.end_s) > _TOUCH_S:
                raise InputError(
                    f"segments must follow each other without gaps, but one ends at {before.end_s:g} s and the next "
                    f"begins at {after.start_s:g} s"
                )
        for segment in self.segments:
            for emotion in (segment.face, segment.voice, segment.fused):
                if emotion is not None and emotion.labels != self.labels:
                    raise InputError(
                        f"all emotions must be in {self.labels.name}, but got one in {emotion.labels.name}"
                    )

    @property
    def start_s(self) -> float:
        """Where the first segment begins; 0 without segments."""
        return self.segments[0].start_s if self.segments else 0.0

    @property
    def end_s(self) -> float:
        """Where the last segment ends; 0 without segments."""
        return self.segments[-1].end_s if self.segments else 0.0

    @property
    def face_s(self) -> float:
        """Seconds with a face."""
        return sum(segment.duration_s for segment in self.segments if segment.face is not None)

    @property
    def voice_s(self) -> float:
        """Seconds with a voice."""
        return sum(segment.duration_s for segment in self.segments if segment.voice is not None)

    @property
    def both_s(self) -> float:
        """Seconds with a face and a voice."""
        return sum(
            segment.duration_s for segment in self.segments if segment.face is not None and segment.voice is not None
        )

    @property
    def emotion(self) -> Emotion | None:
        """The fused distributions, averaged by time; None where there is neither face nor voice."""
        return self.mean("fused")

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by the most probable fused emotion, longest first; emotions that never lead are left out."""
        found: dict[str, float] = {}
        for segment in self.segments:
            if segment.fused is not None:
                found[segment.fused.top] = found.get(segment.fused.top, 0.0) + segment.duration_s
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def mean(self, side: str) -> Emotion | None:
        """Return the distributions of one side, averaged by time; None where it never says anything.

        Parameters
        ----------
        side : {"face", "voice", "fused"}
            Which.

        Raises
        ------
        InputError
            If there is no such side.
        """
        if side not in _SIDES:
            raise InputError(f"side must be one of {', '.join(_SIDES)}, but got {side!r}")
        told = [(segment.duration_s, e) for segment in self.segments if (e := getattr(segment, side)) is not None]
        if not told:
            return None
        rows = np.array([emotion.probabilities for _, emotion in told])
        mean = np.average(rows, axis=0, weights=[length for length, _ in told])
        return Emotion(self.labels, tuple((mean / mean.sum()).tolist()))

    def at(self, time_s: float) -> FusedSegment | None:
        """Return the segment that a time lies in, or None before the first and after the last."""
        starts = [segment.start_s for segment in self.segments]
        place = int(np.searchsorted(starts, time_s, side="right")) - 1
        return self.segments[place] if place >= 0 and time_s < self.segments[place].end_s else None

    def rows(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return one flat row a segment.

        Path, segment, times, track, the weights, face and voice with their confidence, then emotion, confidence, unsure
        and one column an emotion of the fused answer.
        """
        rows = []
        for number, segment in enumerate(self.segments, 1):
            row: dict[str, Any] = {"path": path, "segment": number, "start_s": segment.start_s, "end_s": segment.end_s}
            row.update(track=segment.track, face_weight=segment.face_weight, voice_weight=segment.voice_weight)
            for side in _SIDES[:2]:
                emotion: Emotion | None = getattr(segment, side)
                row[side] = None if emotion is None else emotion.top
                row[f"{side}_confidence"] = None if emotion is None else emotion.confidence
            if segment.fused is not None:
                row.update(emotion=segment.fused.top, confidence=segment.fused.confidence, unsure=segment.fused.unsure)
                row.update(segment.fused.items())
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; means by time and seconds are in it, too."""
        means = {side: None if (e := self.mean(side)) is None else e.to_dict() for side in _SIDES}
        return {
            "method": self.method,
            "labels": self.labels.name,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "face_s": self.face_s,
            "voice_s": self.voice_s,
            "both_s": self.both_s,
            "means": means,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "segments": [segment.to_dict() for segment in self.segments],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FusedResult:
        """Build from what `to_dict` returned."""
        return cls(
            tuple(FusedSegment.from_dict(segment) for segment in data["segments"]),
            data["method"],
            label_set(data["labels"]),
            tuple(data["notes"]),
            tuple(data["warnings"]),
        )

    def _repr_html_(self) -> str:
        rows = self.rows()
        if not rows:
            return "<p>neither face nor voice</p>"
        return html_table(rows, ("start_s", "end_s", "face", "voice", "emotion", "confidence", "unsure"))
