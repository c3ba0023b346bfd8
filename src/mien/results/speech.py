"""Speech over time: segments with an emotion each, and the audio that they are in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from mien._checks import count_of
from mien.errors import InputError
from mien.labels import RAVDESS8, LabelSet
from mien.results.emotion import (
    TIME_EPSILON_S,
    Emotion,
    Record,
    Segment,
    describe_top,
    mean_emotion,
    read_emotion,
    seconds_by_emotion,
    to_plain,
)
from mien.results.tables import Column, Result, columns, html_preview, html_table, table_row

__all__ = ["SpeechResult", "SpeechSegment", "SpeechSummary"]


@dataclass(frozen=True, slots=True)
class SpeechSegment(Segment):
    """A stretch of audio: speech with its emotion, or no speech.

    Parameters
    ----------
    start_s, end_s : float
        [start, end) in seconds from the beginning.
    speech : bool
        Whether somebody speaks.
    emotion : Emotion or None
        What the voice sounds like; None without speech.
    warnings : tuple of str
        What makes it hard to read, such as ``"only 0.3 s of speech"``.
    snr_db : float or None
        How far the speech is above the noise around it, see `mien.speech.quality`; None where that was not measured.
    channel : int or None
        Number of the channel that it was read from, 1 is the left; None where all were mixed.
    """

    speech: bool
    emotion: Emotion | None = None
    warnings: tuple[str, ...] = ()
    snr_db: float | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        Segment.__post_init__(self)
        if self.emotion is not None and not self.speech:
            raise InputError("a segment without speech has no emotion")
        object.__setattr__(self, "warnings", tuple(self.warnings))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpeechSegment:
        """Build from what `to_dict` returned."""
        return cls(**{**data, "emotion": read_emotion(data["emotion"]), "warnings": tuple(data["warnings"])})

    def row(self, path: str | None = None, number: int = 1, labels: LabelSet | None = None) -> dict[str, Any]:
        """Return the row of the segment in the table ``speech``, as `SpeechResult.rows` has it.

        Parameters
        ----------
        path : str, optional
            The audio file.
        number : int
            Which segment of it this is, counted from 1.
        labels : LabelSet, optional
            The emotions; by default those of the segment's own, and of none those of ``ravdess8``.
        """
        labels = labels or (RAVDESS8 if self.emotion is None else self.emotion.labels)
        names = ("start_s", "end_s", "channel", "speech")
        values = {"segment": number, **{name: getattr(self, name) for name in names}}
        return table_row("speech", labels, path, values, emotion=self.emotion, warnings=self.warnings)


@dataclass(frozen=True, slots=True)
class SpeechSummary(Record):
    """An audio file in a few numbers.

    Parameters
    ----------
    duration_s, speech_s : float
        Length of the audio, and of the speech in it, of all channels that were read each.
    emotion : Emotion or None
        The distributions of all segments, averaged by their length; None without speech.
    seconds : dict of str to float
        Seconds of speech by its most probable emotion, longest first; emotions that never lead are left out.
    """

    duration_s: float
    speech_s: float
    emotion: Emotion | None
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, repr=False)
class SpeechResult(Result):
    """The emotions of a voice over time, or of the voice of each channel.

    Parameters
    ----------
    duration_s : float
        Length of the audio in seconds.
    segments : tuple of SpeechSegment
        In the order of their starts.  Those of a channel begin where the one before ends, from 0 to ``duration_s``.
    path : str or None
        The file, as it was given; None for arrays and bytes.
    model : str
        Name of the model.
    warnings : tuple of str
        What was wrong with the audio, such as ``"the recording is almost silent"``.
    labels : LabelSet, optional
        The emotions of the model; by default those of the segments, and of none those of ``ravdess8``.
    preview : callable or None
        Returns the drawn audio as PNG bytes, or None where it cannot be drawn, for notebooks; left out of
        comparison, data and pickles.
    """

    tables: ClassVar[tuple[str, ...]] = ("speech",)

    duration_s: float
    segments: tuple[SpeechSegment, ...] = ()
    path: str | None = None
    model: str = ""
    warnings: tuple[str, ...] = ()
    labels: LabelSet = None  # type: ignore[assignment]  # set below
    preview: Callable[[SpeechResult], bytes | None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.segments))
        if self.labels is None:
            found = (segment.emotion.labels for segment in self.segments if segment.emotion is not None)
            object.__setattr__(self, "labels", next(found, RAVDESS8))
        if not (math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise InputError(f"duration_s must be finite and not negative, but got {self.duration_s}")
        for segments in self._by_channel().values():
            edges = [0.0, *(segment.end_s for segment in segments)]
            starts = [*(segment.start_s for segment in segments), self.duration_s]
            for end_s, start_s in zip(edges, starts, strict=True):
                if abs(end_s - start_s) > TIME_EPSILON_S:
                    raise InputError(
                        f"segments must cover 0 to {self.duration_s:g} s without gaps, but one ends at {end_s:g} s and "
                        f"the next begins at {start_s:g} s"
                    )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), tuple(getattr(self, entry.name) for entry in fields(self) if entry.name != "preview"))

    def _by_channel(self) -> dict[int | None, list[SpeechSegment]]:
        channels: dict[int | None, list[SpeechSegment]] = {} if self.segments else {None: []}
        for segment in self.segments:
            channels.setdefault(segment.channel, []).append(segment)
        return channels

    @property
    def voices(self) -> dict[int | None, SpeechResult]:
        """What was read of each channel, by its number; of mixed channels one, with the key None."""
        return {channel: replace(self, segments=tuple(own)) for channel, own in self._by_channel().items()}

    @property
    def channel(self) -> str | int:
        """The channel whose sound is the result's: a number where one was read, else ``"mix"``."""
        channels = [*self._by_channel()]
        return channels[0] or "mix" if len(channels) == 1 else "mix"

    @property
    def speech_s(self) -> float:
        """Seconds in which somebody speaks, summed over the channels."""
        return sum(segment.duration_s for segment in self.segments if segment.speech)

    @property
    def summary(self) -> SpeechSummary:
        """The audio in a few numbers."""
        lengths = [(segment.duration_s, segment.emotion) for segment in self.segments if segment.emotion is not None]
        mean = mean_emotion([emotion for _, emotion in lengths], [length_s for length_s, _ in lengths])
        return SpeechSummary(self.duration_s, self.speech_s, mean, seconds_by_emotion(lengths))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write, with the summary, and as ``voices`` that of each channel."""
        names = ("path", "duration_s", "model", "labels", "warnings", "summary", "segments")
        data = {name: to_plain(getattr(self, name)) for name in names}
        data["voices"] = [{"channel": one, **to_plain(voice.summary)} for one, voice in self.voices.items() if one]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpeechResult:
        """Build from what `to_dict` returned."""
        return cls(
            duration_s=data["duration_s"],
            segments=tuple(SpeechSegment.from_dict(segment) for segment in data["segments"]),
            path=data["path"],
            model=data["model"],
            warnings=tuple(data["warnings"]),
            labels=LabelSet.from_data(data["labels"]),
        )

    def columns(self, table: str | None = None) -> tuple[Column, ...]:
        """Return the columns of the table ``speech``."""
        return columns(self._table(table), self.labels)

    def rows(self, table: str | None = None, *, streamed: bool = False) -> list[dict[str, Any]]:
        """Return one row a segment, and one with path and warnings where the file has warnings or no segments.

        Parameters
        ----------
        table : {"speech"}, optional
            There is one table.
        streamed : bool
            Leave out the segments, whose rows were written as they came (see `SpeechSegment.row`).
        """
        name = self._table(table)
        segments = () if streamed else self.segments
        rows = [segment.row(self.path, number, self.labels) for number, segment in enumerate(segments, 1)]
        if self.warnings or not self.segments:
            rows.append(table_row(name, self.labels, self.path, warnings=self.warnings))
        return rows

    def _summarize(self) -> str:
        spoken = f"{count_of(len(self.segments), 'segment')}, {self.speech_s:.1f} s of speech"
        return f"{self.duration_s:.1f} s, {spoken}, {describe_top(self.summary.emotion)}"

    def _repr_html_(self) -> str:
        if not self.segments:
            return "<p>no sound</p>"
        names = ["start_s", "end_s", "speech", "emotion", "confidence", "unsure"]
        table = html_table(self.rows(), names if None in self.voices else ["channel", *names])
        return html_preview(self, "the audio over time") + table
