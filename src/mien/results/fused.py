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

__all__ = ["FusedResult", "FusedSpan"]

_TOUCH_S = 1e-6
"""How far the end of a span may lie from the beginning of the next by rounding."""

_SIDES = ("face", "voice", "fused")


@dataclass(frozen=True, slots=True)
class FusedSpan:
    """A stretch of time with what the face says, what the voice says, and both together.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds of the film.
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
            raise InputError(f"a span must be 0 <= start_s < end_s, but got {self.start_s} to {self.end_s}")
        for side in _SIDES[:2]:
            weight = getattr(self, f"{side}_weight")
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(f"{side}_weight must be finite and not negative, but got {weight}")
            if weight > 0 and getattr(self, side) is None:
                raise InputError(f"{side}_weight must be 0 where there is no {side}, but got {weight}")
        if (self.fused is None) != (self.face is None and self.voice is None):
            raise InputError("a span has a fused emotion exactly where it has one of the face or of the voice")
        if (self.face is None) != (self.track is None):
            raise InputError("a span has a track exactly where it has an emotion of the face")

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
    def from_dict(cls, data: dict[str, Any]) -> FusedSpan:
        """Build from what `to_dict` returned."""
        told = {side: None if data[side] is None else Emotion.from_dict(data[side]) for side in _SIDES}
        weights = data["face_weight"], data["voice_weight"]
        return cls(data["start_s"], data["end_s"], told["face"], told["voice"], told["fused"], data["track"], *weights)


@dataclass(frozen=True, slots=True)
class FusedResult:
    """What face and voice say together over time.

    Parameters
    ----------
    spans : tuple of FusedSpan
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

    spans: tuple[FusedSpan, ...] = ()
    method: str = ""
    labels: LabelSet = field(default=FER7)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("spans", "notes", "warnings"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for before, after in zip(self.spans, self.spans[1:], strict=False):
            if abs(after.start_s - before.end_s) > _TOUCH_S:
                raise InputError(
                    f"spans must follow each other without gaps, but one ends at {before.end_s:g} s and the next "
                    f"begins at {after.start_s:g} s"
                )
        for span in self.spans:
            for emotion in (span.face, span.voice, span.fused):
                if emotion is not None and emotion.labels != self.labels:
                    raise InputError(
                        f"all emotions must be in {self.labels.name}, but got one in {emotion.labels.name}"
                    )

    @property
    def start_s(self) -> float:
        """Where the first span begins; 0 without spans."""
        return self.spans[0].start_s if self.spans else 0.0

    @property
    def end_s(self) -> float:
        """Where the last span ends; 0 without spans."""
        return self.spans[-1].end_s if self.spans else 0.0

    @property
    def face_s(self) -> float:
        """Seconds with a face."""
        return sum(span.duration_s for span in self.spans if span.face is not None)

    @property
    def voice_s(self) -> float:
        """Seconds with a voice."""
        return sum(span.duration_s for span in self.spans if span.voice is not None)

    @property
    def both_s(self) -> float:
        """Seconds with a face and a voice."""
        return sum(span.duration_s for span in self.spans if span.face is not None and span.voice is not None)

    @property
    def emotion(self) -> Emotion | None:
        """The fused distributions, averaged by time; None where there is neither face nor voice."""
        return self.mean("fused")

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by the most probable fused emotion, longest first; emotions that never lead are left out."""
        found: dict[str, float] = {}
        for span in self.spans:
            if span.fused is not None:
                found[span.fused.top] = found.get(span.fused.top, 0.0) + span.duration_s
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
        told = [(span.duration_s, e) for span in self.spans if (e := getattr(span, side)) is not None]
        if not told:
            return None
        rows = np.array([emotion.probabilities for _, emotion in told])
        mean = np.average(rows, axis=0, weights=[length for length, _ in told])
        return Emotion(self.labels, tuple((mean / mean.sum()).tolist()))

    def at(self, time_s: float) -> FusedSpan | None:
        """Return the span that a time lies in, or None before the first and after the last."""
        starts = [span.start_s for span in self.spans]
        place = int(np.searchsorted(starts, time_s, side="right")) - 1
        return self.spans[place] if place >= 0 and time_s < self.spans[place].end_s else None

    def rows(self, path: str | None = None) -> list[dict[str, Any]]:
        """Return one flat row a span.

        Path, span, times, track, the weights, face and voice with their confidence, then emotion, confidence, unsure
        and one column an emotion of the fused answer.
        """
        rows = []
        for number, span in enumerate(self.spans, 1):
            row: dict[str, Any] = {"path": path, "span": number, "start_s": span.start_s, "end_s": span.end_s}
            row.update(track=span.track, face_weight=span.face_weight, voice_weight=span.voice_weight)
            for side in _SIDES[:2]:
                emotion: Emotion | None = getattr(span, side)
                row[side] = None if emotion is None else emotion.top
                row[f"{side}_confidence"] = None if emotion is None else emotion.confidence
            if span.fused is not None:
                row.update(emotion=span.fused.top, confidence=span.fused.confidence, unsure=span.fused.unsure)
                row.update(span.fused.items())
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
            One row a span (see `rows`).

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
            "spans": [span.to_dict() for span in self.spans],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FusedResult:
        """Build from what `to_dict` returned."""
        return cls(
            tuple(FusedSpan.from_dict(span) for span in data["spans"]),
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
