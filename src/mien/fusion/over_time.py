"""Fusion over time: tracks of faces and segments of speech in, segments with one answer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number
from mien.errors import InputError
from mien.fusion.axis import TOUCH_S, Course, Edge, edges_of, owners
from mien.fusion.experts import ExpertWeights, Quality, experts, shipped_weights
from mien.fusion.rules import Fused, average, most_confident, rule_table
from mien.labels import FER7, LabelSet, mapping
from mien.results import Emotion, FaceTrack, FusedResult, FusedSegment, SpeechResult, SpeechSegment, VideoResult

__all__ = ["METHODS", "fuse"]

Floats = NDArray[np.float64]

_RULES: dict[str, Callable[[Floats, Floats], Fused]] = {
    "average": average,
    "most_confident": most_confident,
    "rule_table": rule_table,
}

METHODS = ("experts", *_RULES)
"""How face and voice become one answer: see `mien.fusion.experts` and `mien.fusion.rules`."""

_ENDS_S = 0.5
"""Sound and image of one video end within this of each other, unless something is missing."""


def fuse(
    faces: VideoResult | FaceTrack | Sequence[FaceTrack],
    speech: SpeechResult | Sequence[SpeechSegment] | None,
    *,
    method: str = "experts",
    weights: ExpertWeights | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> FusedResult:
    """Bring what faces and voice say onto one time axis, and make one answer of it.

    The axis is the union of the edges of both: where the face's episodes begin and end, where it comes into view and
    goes, where speech begins, ends or changes its emotion.  Between two edges the face is the mean over its frames by
    time.  Times of both must be those of the video, as mien gives them.

    Which face speaks is not known: the largest in view over the speech is taken (see `mien.fusion.axis.owners`), and
    the result's notes say so.

    Parameters
    ----------
    faces : VideoResult, FaceTrack or sequence of FaceTrack
        Who is seen; may be empty.
    speech : SpeechResult, sequence of SpeechSegment, or None
        What is heard, in order; None where there is no sound.
    method : {"experts", "average", "most_confident", "rule_table"}
        How both become one answer.
    weights : ExpertWeights, optional
        For ``"experts"``; by default those that ship with mien, for the labels of the faces.
    start_s, end_s : float, optional
        What to cover, in seconds; by default from where the video, or the first of both, begins to where the last ends.

    Returns
    -------
    FusedResult
        Segments from start to end without gaps; in `mien.labels.FER7`.

    Raises
    ------
    InputError
        If there is no such method, weights are given for another, or segments overlap.
    ModelError
        If the shipped weights are missing or wrong.

    Examples
    --------
    >>> import mien
    >>> video = mien.analyze_video("talk.mp4")  # doctest: +SKIP
    >>> mien.fusion.fuse(video, video.speech).emotion.top  # doctest: +SKIP
    'happiness'
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, but got {method!r}")
    if weights is not None and method != "experts":
        raise InputError(f"weights are for 'experts', but the method is {method!r}")
    tracks = _tracks(faces)
    segments = _segments(speech)
    start, end = _bounds(faces, tracks, speech, segments, start_s, end_s)
    warnings = _warnings(faces, tracks, speech, segments)
    path = next((part.path for part in (faces, speech) if isinstance(part, VideoResult | SpeechResult)), None)
    if not end > start:
        return FusedResult((), method, FER7, (), warnings, path)
    axis = _Axis(tracks, segments, start, end)
    if method == "experts":
        known = weights or shipped_weights(tracks[0].labels.name if tracks else "fer7")
        fused = experts(
            axis.face, axis.voice, weights=known, face_quality=axis.face_quality, voice_quality=axis.voice_quality
        )
    else:
        fused = _RULES[method](axis.face, axis.voice)
    return FusedResult(axis.told(fused), method, FER7, axis.notes(), warnings, path)


class _Axis:
    """The stretches between all edges that matter, and what both sides say in each."""

    def __init__(
        self, tracks: Sequence[FaceTrack], segments: Sequence[SpeechSegment], start_s: float, end_s: float
    ) -> None:
        self._tracks, self._segments = tracks, segments
        stretches, lengths_s = _stretches(segments)
        views = [edge for track in tracks for pair in track.intervals() for edge in pair]
        heard = [edge for segment in segments for edge in (segment.start_s, segment.end_s)]
        coarse = edges_of([*views, *heard], start_s, end_s)
        owner = owners(tracks, coarse, _number_at(segments, coarse, stretches))
        pieces = [_episode_edges(track) for track in tracks]
        fine = edges_of(np.concatenate([coarse, *(pieces[i] for i in np.unique(owner[owner >= 0]))]), start_s, end_s)
        within = np.searchsorted(coarse, (fine[:-1] + fine[1:]) / 2, side="right") - 1
        owner, segment = owner[within], _number_at(segments, fine, np.arange(len(segments)))
        episode = np.zeros(len(owner), np.int64)
        middles = (fine[:-1] + fine[1:]) / 2
        for index in np.unique(owner[owner >= 0]).tolist():
            here = owner == index
            episode[here] = np.searchsorted(pieces[index], middles[here], side="right")
        # Edges of people whose face does not count part nothing.
        keys = np.stack([owner, episode, segment], axis=1)
        kept = np.flatnonzero(np.concatenate([[True], (np.diff(keys, axis=0) != 0).any(axis=1)]))
        self.edges: Edge = np.append(fine[kept], fine[-1])
        self.owner, self.segment = owner[kept], segment[kept]
        self.face, self.face_quality = self._faces(pieces, episode[kept])
        self.voice, self.voice_quality = self._voices(stretches, lengths_s)

    def _faces(self, pieces: Sequence[Edge], episode: NDArray[np.int64]) -> tuple[Floats, Quality]:
        n = len(self.owner)
        face = np.full((n, len(FER7)), np.nan)
        width, sharpness, seen_s = np.full((3, n), np.nan)
        for index in np.unique(self.owner[self.owner >= 0]).tolist():
            track, here = self._tracks[index], np.flatnonzero(self.owner == index)
            shares = mapping(track.labels, FER7).apply(track.smoothed)
            wide = track.boxes[:, 2].astype(np.float64) - track.boxes[:, 0]
            measured = getattr(track, "sharpness", None)
            sharp = np.full(len(track), np.nan) if measured is None else np.asarray(measured, np.float64)
            known = ~np.isnan(sharp)
            columns = [np.ones(len(track)), wide, known.astype(np.float64), np.where(known, sharp, 0.0)]
            course = Course.of(track, np.column_stack([shares, *columns]))
            total = course.until(self.edges[here + 1]) - course.until(self.edges[here])
            seen = total[:, len(FER7)]
            mean = total[:, : len(FER7)] / seen[:, None]
            face[here] = mean / mean.sum(axis=1, keepdims=True)
            width[here] = total[:, -3] / seen
            with np.errstate(invalid="ignore"):
                sharpness[here] = total[:, -1] / total[:, -2]
            borders = np.concatenate([[track.start_s], pieces[index], [track.end_s]])
            seen_s[here] = course.between(np.maximum.accumulate(borders))[episode[here], len(FER7)]
        return face, {"width_px": width, "sharpness": sharpness, "seen_s": seen_s}

    def _voices(self, stretches: NDArray[np.int64], lengths_s: Floats) -> tuple[Floats, Quality]:
        n = len(self.segment)
        voice = np.full((n, len(FER7)), np.nan)
        speech_s, snr_db = np.full((2, n), np.nan)
        answers = _answers(self._segments)
        ratios = np.array([_or_nan(getattr(segment, "snr_db", None)) for segment in self._segments])
        there = self.segment >= 0
        if there.any():
            chosen = self.segment[there]
            voice[there], snr_db[there] = answers[chosen], ratios[chosen]
            speech_s[there] = np.append(lengths_s, np.nan)[stretches[chosen]]
        return voice, {"speech_s": speech_s, "snr_db": snr_db}

    def told(self, fused: Fused) -> tuple[FusedSegment, ...]:
        """Return the segments."""
        bounds = pairwise(self.edges.tolist())
        sides = (_emotions(rows) for rows in (self.face, self.voice, fused.probabilities))
        numbers = [self._tracks[i].number if i >= 0 else None for i in self.owner.tolist()]
        weights = fused.face_weight.tolist(), fused.voice_weight.tolist()
        return tuple(
            FusedSegment(start_s, end_s, *rest)
            for (start_s, end_s), *rest in zip(bounds, *sides, numbers, *weights, strict=True)
        )

    def notes(self) -> tuple[str, ...]:
        """Return what was assumed, and what became of labels."""
        notes = []
        both = (self.owner >= 0) & ~np.isnan(self.voice[:, 0])
        if both.any():
            several = len(self._tracks) > 1
            whose = "the largest face in view" if several else "the face in view"
            notes.append(f"the voice is taken to be that of {whose}: who speaks is not known")
        for side, found in (("face", [t.labels for t in self._tracks]), ("voice", _labels(self._segments))):
            for labels in dict.fromkeys(found):
                note = mapping(labels, FER7).note
                notes += [f"{note} ({side})"] if note != "one to one" else []
        return tuple(dict.fromkeys(notes))


def _tracks(faces: VideoResult | FaceTrack | Sequence[FaceTrack]) -> tuple[FaceTrack, ...]:
    if isinstance(faces, FaceTrack):
        return (faces,)
    found = tuple(faces.tracks if isinstance(faces, VideoResult) else faces)
    for track in found:
        if not isinstance(track, FaceTrack):
            raise InputError(f"faces must be a video, a track or tracks, but one is a {type(track).__name__}")
    return found


def _segments(speech: SpeechResult | Sequence[SpeechSegment] | None) -> tuple[SpeechSegment, ...]:
    """Return the segments in which somebody speaks, checked."""
    found = () if speech is None else tuple(speech.segments if isinstance(speech, SpeechResult) else speech)
    for segment in found:
        if not isinstance(segment, SpeechSegment):
            raise InputError(f"speech must be a SpeechResult or segments of one, but one is a {type(segment).__name__}")
    for before, after in pairwise(found):
        if after.start_s < before.end_s - TOUCH_S:
            raise InputError(
                f"segments of speech must be in order, but one ends at {before.end_s:g} s and the next begins at "
                f"{after.start_s:g} s"
            )
    return tuple(segment for segment in found if segment.speech)


def _bounds(
    faces: VideoResult | FaceTrack | Sequence[FaceTrack],
    tracks: Sequence[FaceTrack],
    speech: SpeechResult | Sequence[SpeechSegment] | None,
    segments: Sequence[SpeechSegment],
    start_s: float | None,
    end_s: float | None,
) -> tuple[float, float]:
    starts = [track.start_s for track in tracks] + [segment.start_s for segment in segments]
    ends = [track.end_s for track in tracks] + [segment.end_s for segment in segments]
    if isinstance(speech, SpeechResult):
        ends.append(speech.duration_s)
    if isinstance(faces, VideoResult):
        starts, ends = [faces.start_s], [*ends, faces.end_s]
    start = min(starts, default=0.0) if start_s is None else check_number(start_s, "start_s", low=0)
    end = max(ends, default=0.0) if end_s is None else check_number(end_s, "end_s", low=0)
    if end_s is not None and end < start:
        raise InputError(f"end_s must not be before start_s, but got {start:g} to {end:g}")
    return float(start), float(end)


def _warnings(
    faces: VideoResult | FaceTrack | Sequence[FaceTrack],
    tracks: Sequence[FaceTrack],
    speech: SpeechResult | Sequence[SpeechSegment] | None,
    segments: Sequence[SpeechSegment],
) -> tuple[str, ...]:
    """Say what is missing."""
    warnings = []
    if not tracks:
        warnings.append("no face is seen" + (": what is left is the voice" if segments else ""))
    if not segments:
        missing = "there is no sound" if speech is None else "nobody speaks"
        warnings.append(missing + (": what is left is the face" if tracks else ""))
    if isinstance(faces, VideoResult) and isinstance(speech, SpeechResult):
        sound_s, image_s = speech.duration_s, faces.duration_s
        if abs(sound_s - image_s) > _ENDS_S:
            warnings.append(f"the sound ends at {sound_s:.1f} s, the image at {image_s:.1f} s")
    return tuple(warnings)


def _stretches(segments: Sequence[SpeechSegment]) -> tuple[NDArray[np.int64], Floats]:
    """Return the number of the stretch of speech without a pause that each segment is of, and the length of each."""
    if not segments:
        return np.zeros(0, np.int64), np.zeros(0)
    begins = [True, *(after.start_s - before.end_s > TOUCH_S for before, after in pairwise(segments))]
    numbers = np.cumsum(begins) - 1
    lengths_s = np.bincount(numbers, weights=np.array([segment.duration_s for segment in segments]))
    return numbers.astype(np.int64), lengths_s.astype(np.float64)


def _number_at(segments: Sequence[SpeechSegment], edges: Edge, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what number the segment between neighbouring edges has, -1 where nobody speaks."""
    if not segments:
        return np.full(len(edges) - 1, -1, np.int64)
    middles = (edges[:-1] + edges[1:]) / 2
    place = np.searchsorted([segment.start_s for segment in segments], middles, side="right") - 1
    ends = np.array([segment.end_s for segment in segments])
    inside = (place >= 0) & (middles < ends[np.maximum(place, 0)])
    return np.where(inside, numbers[np.maximum(place, 0)], -1)


def _episode_edges(track: FaceTrack) -> Edge:
    """Return when the episodes of a track begin, but for the first; by the leader where it has no timeline."""
    if track.timeline:
        return np.array([segment.start_s for segment in track.timeline[1:]], np.float64)
    leader = track.smoothed.argmax(axis=1)
    return np.asarray(track.times_s[1:][np.diff(leader) != 0], np.float64)


def _labels(segments: Iterable[SpeechSegment]) -> list[LabelSet]:
    return [segment.emotion.labels for segment in segments if segment.emotion is not None]


def _answers(segments: Sequence[SpeechSegment]) -> Floats:
    """Return the segments' distributions in the common labels, NaN where there is none."""
    rows = np.full((len(segments), len(FER7)), np.nan)
    for labels in dict.fromkeys(_labels(segments)):
        places = [
            i for i, segment in enumerate(segments) if segment.emotion is not None and segment.emotion.labels == labels
        ]
        own = np.array([segments[i].emotion.probabilities for i in places])  # type: ignore[union-attr]
        rows[places] = mapping(labels, FER7).apply(own)
    return rows


def _emotions(rows: Floats) -> list[Emotion | None]:
    return [None if row[0] != row[0] else Emotion(FER7, tuple(row)) for row in rows.tolist()]


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else float(value)
