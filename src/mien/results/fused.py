"""Several modalities over time, such as face and voice: side by side, and as one prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mien._checks import count_of
from mien.errors import InputError
from mien.labels import FER7, LabelSet
from mien.results.emotion import (
    TIME_EPSILON_S,
    Emotion,
    Segment,
    describe_top,
    mean_emotion,
    read_emotion,
    seconds_by_emotion,
    to_plain,
)
from mien.results.tables import MODALITIES, Column, Result, columns, html_table, table_row

__all__ = ["FusedResult", "FusedSegment"]


@dataclass(frozen=True, slots=True)
class FusedSegment(Segment):
    """A stretch of time with what each modality says, and all together.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds of the video.
    emotions : dict of str to (Emotion or None)
        By modality, such as ``"face"`` (the mean over the stretch by time) and ``"voice"``; None where it says nothing:
        the face is out of view, nobody speaks.  By default nothing of face and voice.
    fused : Emotion or None
        The prediction from all; None only where all are missing.
    weights : dict of str to float
        By modality: how much it counts, from 0, where it is missing or was overruled, to 1, and as much in all; less
        in all where what is said is not reliable.
    track : int or None
        Whose face it is: the number of the person's track.
    """

    emotions: Mapping[str, Emotion | None] = field(default_factory=lambda: dict.fromkeys(MODALITIES))
    fused: Emotion | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    track: int | None = None

    def __post_init__(self) -> None:
        Segment.__post_init__(self)
        if unknown := set(self.weights) - set(self.emotions):
            raise InputError(f"there is a weight of {min(unknown)}, but no emotion of it, not even None")
        weights = {name: float(self.weights.get(name, 0.0)) for name in self.emotions}
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(f"the weight of {name} must be finite and not negative, but got {weight}")
            if weight > 0 and self.emotions[name] is None:
                raise InputError(f"the weight of {name} must be 0 where there is none, but got {weight}")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "emotions", dict(self.emotions))
        if (self.fused is None) != all(emotion is None for emotion in self.emotions.values()):
            raise InputError("a segment has a fused emotion exactly where it has one of a modality")
        if (self.emotions.get("face") is None) != (self.track is None):
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
        values: dict[str, Any] = {"segment": number, "start_s": self.start_s, "end_s": self.end_s, "track": self.track}
        for name, emotion in self.emotions.items():
            values[f"{name}_weight"] = self.weights[name]
            values[name] = None if emotion is None else emotion.top
            values[f"{name}_confidence"] = None if emotion is None else emotion.confidence
        return table_row("fused", labels, path, values, emotion=self.fused, modalities=tuple(self.emotions))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        emotions = {**self.emotions, "fused": self.fused}
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "track": self.track,
            **{f"{name}_weight": weight for name, weight in self.weights.items()},
            **to_plain(emotions),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FusedSegment:
        """Build from what `to_dict` returned."""
        names = [key.removesuffix("_weight") for key in data if key.endswith("_weight")]
        emotions = {name: read_emotion(data[name]) for name in (*names, "fused")}
        fused = emotions.pop("fused")
        weights = {name: data[f"{name}_weight"] for name in names}
        return cls(data["start_s"], data["end_s"], emotions, fused, weights, data["track"])


@dataclass(frozen=True, slots=True, repr=False)
class FusedResult(Result):
    """What several modalities say together over time.

    Parameters
    ----------
    segments : tuple of FusedSegment
        In order, each beginning where the one before ends.
    method : str
        Which of `mien.fusion.METHODS` fused them.
    labels : LabelSet
        The emotions of all distributions.
    notes : tuple of str
        What was assumed, and how labels were mapped, such as ``"calm counts as neutral (voice)"``.
    warnings : tuple of str
        What was missing, such as ``"nobody speaks"``.
    path : str or None
        The video, as it was given.
    modalities : tuple of str
        What was fused, in the order of the columns.
    """

    tables: ClassVar[tuple[str, ...]] = ("fused",)

    segments: tuple[FusedSegment, ...] = ()
    method: str = ""
    labels: LabelSet = field(default=FER7)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    path: str | None = None
    modalities: tuple[str, ...] = MODALITIES

    def __post_init__(self) -> None:
        for name in ("segments", "notes", "warnings", "modalities"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for before, after in zip(self.segments, self.segments[1:], strict=False):
            if abs(after.start_s - before.end_s) > TIME_EPSILON_S:
                raise InputError(
                    f"segments must follow each other without gaps, but one ends at {before.end_s:g} s and the next "
                    f"begins at {after.start_s:g} s"
                )
        for segment in self.segments:
            if tuple(segment.emotions) != self.modalities:
                raise InputError(
                    f"all segments must be of {', '.join(self.modalities)}, but one is of {', '.join(segment.emotions)}"
                )
            for emotion in (*segment.emotions.values(), segment.fused):
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

    def seconds_of(self, *modalities: str) -> float:
        """Return for how long all of some modalities say something, in seconds."""
        return sum(
            segment.duration_s
            for segment in self.segments
            if all(segment.emotions[name] is not None for name in modalities)
        )

    @property
    def both_s(self) -> float:
        """Seconds in which all modalities say something, such as those with a face and a voice."""
        return self.seconds_of(*self.modalities)

    @property
    def emotion(self) -> Emotion | None:
        """The fused distributions, averaged by time; None where no modality says anything."""
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
        side : str
            One of `modalities`, or ``"fused"``.

        Raises
        ------
        InputError
            If there is no such side.
        """
        if side not in (*self.modalities, "fused"):
            raise InputError(f"side must be one of {', '.join((*self.modalities, 'fused'))}, but got {side!r}")
        rows = [(s.duration_s, s.fused if side == "fused" else s.emotions[side]) for s in self.segments]
        there = [(length_s, emotion) for length_s, emotion in rows if emotion is not None]
        return mean_emotion([emotion for _, emotion in there], [length_s for length_s, _ in there])

    def at(self, time_s: float) -> FusedSegment | None:
        """Return the segment that a time lies in, or None before the first and after the last."""
        starts = [segment.start_s for segment in self.segments]
        place = int(np.searchsorted(starts, time_s, side="right")) - 1
        return self.segments[place] if place >= 0 and time_s < self.segments[place].end_s else None

    def columns(self, table: str | None = None) -> tuple[Column, ...]:
        """Return the columns of the table ``fused``."""
        return columns(self._table(table), self.labels, self.modalities)

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """Return one row a segment, and one with path and warnings where there are warnings or no segments."""
        name = self._table(table)
        rows = [segment.row(self.path, number, self.labels) for number, segment in enumerate(self.segments, 1)]
        if self.warnings or not self.segments:
            last = table_row(name, self.labels, self.path, warnings=self.warnings, modalities=self.modalities)
            rows.append(last)
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; means by time and seconds are in it, too."""
        sides: Sequence[str] = (*self.modalities, "fused")
        return {
            "path": self.path,
            "method": self.method,
            "labels": self.labels.to_data(),
            "modalities": list(self.modalities),
            "start_s": self.start_s,
            "end_s": self.end_s,
            **{f"{name}_s": self.seconds_of(name) for name in self.modalities},
            "both_s": self.both_s,
            "means": {side: to_plain(self.mean(side)) for side in sides},
            "seconds": self.seconds,
            **{name: to_plain(getattr(self, name)) for name in ("notes", "warnings", "segments")},
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
            tuple(data["modalities"]),
        )

    def _summarize(self) -> str:
        sides, times = " and ".join(self.modalities), f"{self.start_s:.1f} to {self.end_s:.1f} s"
        return f"{sides}, {times}, {count_of(len(self.segments), 'segment')}, {describe_top(self.emotion)}"

    def _repr_html_(self) -> str:
        if not self.segments:
            return f"<p>neither {' nor '.join(self.modalities)}</p>"
        names = ("start_s", "end_s", *self.modalities, "emotion", "confidence", "unsure")
        return html_table(self.rows(), names)
