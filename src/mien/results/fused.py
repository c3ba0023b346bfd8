"""Face and voice over time, side by side and as one answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mien.errors import InputError
from mien.labels import FER7, LabelSet
from mien.results.emotion import TIME_EPSILON_S, Emotion, Segment, mean_emotion, seconds_by_emotion
from mien.results.tables import Column, Result, columns, html_table, table_row

__all__ = ["FusedResult", "FusedSegment"]

_SIDES = ("face", "voice", "fused")


@dataclass(frozen=True, slots=True)
class FusedSegment(Segment):
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

    face: Emotion | None = None
    voice: Emotion | None = None
    fused: Emotion | None = None
    track: int | None = None
    face_weight: float = 0.0
    voice_weight: float = 0.0

    def __post_init__(self) -> None:
        Segment.__post_init__(self)
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

    def row(self, path: str | None = None, number: int = 1, labels: LabelSet | None = None) -> dict[str, Any]:
        """Return the row of the segment in the table ``fused``, as `FusedResult.rows` has it.

        Parameters
        ----------
        path : str, optional
            The video.
        number : int
            Which segment of it this is, counted from 1.
        labels : LabelSet, optional
            The emotions; by default those of the fused emotion, and of none those of ``fer7``.
        """
        labels = labels or (FER7 if self.fused is None else self.fused.labels)
        sides = {side: getattr(self, side) for side in _SIDES[:2]}
        return table_row(
            "fused",
            labels,
            path,
            {
                "segment": number,
                "start_s": self.start_s,
                "end_s": self.end_s,
                "track": self.track,
                "face_weight": self.face_weight,
                "voice_weight": self.voice_weight,
                **{side: emotion and emotion.top for side, emotion in sides.items()},
                **{f"{side}_confidence": emotion and emotion.confidence for side, emotion in sides.items()},
            },
            emotion=self.fused,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        emotions = {side: None if (e := getattr(self, side)) is None else e.to_dict() for side in _SIDES}
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "track": self.track,
            "face_weight": self.face_weight,
            "voice_weight": self.voice_weight,
            **emotions,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FusedSegment:
        """Build from what `to_dict` returned."""
        face, voice, fused = (None if data[side] is None else Emotion.from_dict(data[side]) for side in _SIDES)
        weights = data["face_weight"], data["voice_weight"]
        return cls(data["start_s"], data["end_s"], face, voice, fused, data["track"], *weights)


@dataclass(frozen=True, slots=True)
class FusedResult(Result):
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
    path : str or None
        The video, as it was given.
    """

    tables: ClassVar[tuple[str, ...]] = ("fused",)

    segments: tuple[FusedSegment, ...] = ()
    method: str = ""
    labels: LabelSet = field(default=FER7)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    path: str | None = None

    def __post_init__(self) -> None:
        for name in ("segments", "notes", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for before, after in zip(self.segments, self.segments[1:], strict=False):
            if abs(after.start_s - before.end_s) > TIME_EPSILON_S:
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
        lengths = [(segment.duration_s, segment.fused) for segment in self.segments if segment.fused is not None]
        return seconds_by_emotion(lengths)

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
        lengths = [(segment.duration_s, e) for segment in self.segments if (e := getattr(segment, side)) is not None]
        return mean_emotion([emotion for _, emotion in lengths], [length_s for length_s, _ in lengths])

    def at(self, time_s: float) -> FusedSegment | None:
        """Return the segment that a time lies in, or None before the first and after the last."""
        starts = [segment.start_s for segment in self.segments]
        place = int(np.searchsorted(starts, time_s, side="right")) - 1
        return self.segments[place] if place >= 0 and time_s < self.segments[place].end_s else None

    def columns(self, table: str | None = None) -> tuple[Column, ...]:
        """Return the columns of the table ``fused``."""
        return columns(self._table(table), self.labels)

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """Return one row a segment, and one with path and warnings where there are warnings or no segments."""
        name = self._table(table)
        rows = [segment.row(self.path, number, self.labels) for number, segment in enumerate(self.segments, 1)]
        if self.warnings or not self.segments:
            rows.append(table_row(name, self.labels, self.path, warnings=self.warnings))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; means by time and seconds are in it, too."""
        means = {side: None if (e := self.mean(side)) is None else e.to_dict() for side in _SIDES}
        return {
            "path": self.path,
            "method": self.method,
            "labels": self.labels.to_data(),
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
            LabelSet.from_data(data["labels"]),
            tuple(data["notes"]),
            tuple(data["warnings"]),
            data["path"],
        )

    def _repr_html_(self) -> str:
        if not self.segments:
            return "<p>neither face nor voice</p>"
        return html_table(self.rows(), ("start_s", "end_s", "face", "voice", "emotion", "confidence", "unsure"))
