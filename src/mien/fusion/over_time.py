"""Fusion over time: one time axis for faces, voices and other modalities, and one prediction for each stretch of it.

The axis is the union of all edges.  Nothing is resampled: what a track says holds from each frame to the next, so
means over any stretch are integrals of steps, taken from cumulative sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number
from mien._registry import Registry
from mien.errors import InputError
from mien.fusion.experts import ExpertWeights, Quality, shipped_weights
from mien.fusion.rules import Fused
from mien.labels import FER7, LabelSet, can_map, mapping
from mien.results import (
    Emotion,
    EmotionSegment,
    FaceTrack,
    FusedResult,
    FusedSegment,
    SpeechResult,
    SpeechSegment,
    VideoResult,
)
from mien.results.emotion import TIME_EPSILON_S

__all__ = ["HOLD", "METHODS", "TrackIntegral", "fuse", "merge_edges"]

Floats = NDArray[np.float64]
Edges = NDArray[np.float64]
Indices = NDArray[np.int64]

FaceSource = VideoResult | FaceTrack | Sequence[FaceTrack]
SegmentSource = SpeechResult | Sequence[SpeechSegment] | Sequence[EmotionSegment] | None

METHODS: Registry[Callable[..., Fused]] = Registry(
    "fusion method",
    {
        "experts": "mien.fusion.experts:experts",
        "average": "mien.fusion.rules:average",
        "most_confident": "mien.fusion.rules:most_confident",
        "rule_table": "mien.fusion.rules:rule_table",
    },
    group="mien.fusion",
)
"""How several modalities become one prediction: functions of ``(distributions, *, quality, labels)``, see
`mien.fusion.rules.average`.  Other packages add theirs by entry points of the group ``mien.fusion``."""

HOLD = 1.5
"""By how much the area of another face must exceed that of the one which has the voice to take it over.  Two people who
sit side by side differ by less from one moment to the next; a cut to a close-up exceeds it."""

_ENDS_S = 0.5
"""Sound and image of one video end within this of each other, unless something is missing."""


def fuse(
    modalities: FaceSource | Mapping[str, FaceSource | SegmentSource],
    speech: SegmentSource = None,
    *,
    method: str | Callable[..., Fused] = "experts",
    weights: ExpertWeights | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> FusedResult:
    """Bring what faces, voices and other modalities say onto one time axis, and make one prediction of it.

    The axis is the union of the edges of all: where the face's episodes begin and end, where it comes into view and
    goes, where speech begins, ends or changes its emotion.  Between two edges the face is the mean over its frames by
    time.  Times of all must be those of the video, as mien gives them.

    Which face speaks is not known: the largest in view over the speech is taken, and the result's notes say so.  What
    has emotions that have no place among the seven is left out, with a warning.

    Parameters
    ----------
    modalities : mapping, VideoResult, FaceTrack or sequence of FaceTrack
        By name: for ``"face"`` a video or its tracks, maybe none; for others, such as ``"voice"``, a `SpeechResult` or
        segments in order, or None where there is none.  Without a mapping, those of the face.
    speech : SpeechResult, sequence of SpeechSegment, or None
        The voice, where ``modalities`` is no mapping.
    method : str or callable
        One of `METHODS`, or a function like those.
    weights : ExpertWeights, optional
        For ``"experts"``; by default those that ship with mien, for the labels of the faces.
    start_s, end_s : float, optional
        What to cover, in seconds; by default from where the video, or the first of all, begins to where the last ends.

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
    >>> mien.fuse({"face": video, "voice": video.speech}).emotion.top  # doctest: +SKIP
    'happiness'
    """
    sources: dict[str, Any] = (
        dict(modalities) if isinstance(modalities, Mapping) else {"face": modalities, "voice": speech}
    )
    combine = METHODS[method] if isinstance(method, str) else method
    name = method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
    if weights is not None and name != "experts":
        raise InputError(f"weights are for 'experts', but the method is {name!r}")
    tracks = _tracks(sources["face"]) if "face" in sources else ()
    segments = {key: _segments(key, source) for key, source in sources.items() if key != "face"}
    unmapped = _unmapped(tracks, segments)
    tracks = () if "face" in unmapped else tracks
    segments = {key: () if key in unmapped else own for key, own in segments.items()}
    start, end = _bounds(sources, tracks, segments, start_s, end_s)
    path = next((s.path for s in sources.values() if isinstance(s, VideoResult | SpeechResult)), None)
    warnings = _warnings(sources, tracks, segments, unmapped)
    found = FusedResult((), name, FER7, (), warnings, path, tuple(sources))
    if not end > start:
        return found
    axis = _Axis(tuple(sources), tracks, segments, start, end)
    options: dict[str, Any] = {}
    if name == "experts":
        options["weights"] = weights or shipped_weights(tracks[0].labels.name if tracks else "fer7")
    fused = combine(axis.shares, quality=axis.quality, labels=FER7, **options)
    return FusedResult(axis.fused_segments(fused), name, FER7, axis.notes(), warnings, path, tuple(sources))


@dataclass(frozen=True, slots=True, eq=False)
class TrackIntegral:
    """The integrals of what is known of a track, from its first frame on.

    Parameters
    ----------
    track : FaceTrack
        The track.
    values : numpy.ndarray
        float64 (n, m): what holds from each frame on.
    sums : numpy.ndarray
        float64 (n + 1, m): integrals up to each frame.
    """

    track: FaceTrack
    values: Floats
    sums: Floats

    @classmethod
    def of(cls, track: FaceTrack, values: Floats) -> TrackIntegral:
        """Integrate values, float64 (n, m), over the frames of a track."""
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values * track.durations_s[:, None], axis=0)])
        return cls(track, values, sums)

    def until(self, times_s: Edges) -> Floats:
        """Return the integrals up to some times, float64 (len(times_s), m)."""
        place = np.searchsorted(self.track.times_s, times_s, side="right") - 1
        inside = np.clip(place, 0, None)
        part = np.clip(times_s - self.track.times_s[inside], 0, self.track.durations_s[inside])
        found: Floats = self.sums[inside] + self.values[inside] * part[:, None]
        return np.where((place < 0)[:, None], 0.0, found)

    def between(self, edges: Edges) -> Floats:
        """Return the integrals between neighboring edges, float64 (len(edges) - 1, m)."""
        return np.diff(self.until(edges), axis=0)


def merge_edges(times_s: Iterable[float], start_s: float, end_s: float) -> Edges:
    """Return rising edges from start to end: all times between them, those that touch taken as one."""
    times = np.unique(np.fromiter(times_s, np.float64))
    times = times[(times > start_s + TIME_EPSILON_S) & (times < end_s - TIME_EPSILON_S)]
    edges = np.concatenate([[start_s], times, [end_s]])
    # Chains of edges that touch collapse onto their first.
    kept = np.concatenate([[True], np.diff(edges) > TIME_EPSILON_S])
    kept[-1] = True
    return np.asarray(edges[kept])


def _choose_faces(tracks: Sequence[FaceTrack], edges: Edges, stretch: Indices) -> Indices:
    """Return whose face counts between neighboring edges, int64 (m,): index of the track, -1 where none is in view.

    It is the largest that is in view: while somebody speaks, by its area over the whole of the speech, so that the
    voice of a sentence does not change hands; otherwise by its area between the edges.  Who had it before keeps it as
    long as nobody is larger by more than `HOLD`.

    Parameters
    ----------
    tracks : sequence of FaceTrack
        All people.
    edges : numpy.ndarray
        float64 (m + 1,): every edge of `FaceTrack.intervals` is among them, or touches one.
    stretch : numpy.ndarray
        int64 (m,): number of the stretch of speech that lies between the edges; -1 where nobody speaks.
    """
    present: list[list[tuple[int, float]]] = [[] for _ in range(len(edges) - 1)]
    spoken: dict[tuple[int, int], float] = {}
    for index, track in enumerate(tracks):
        sides = track.boxes[:, 2:].astype(np.float64) - track.boxes[:, :2]
        integral = TrackIntegral.of(track, np.stack([np.ones(len(track)), sides.prod(axis=1)], axis=1))
        first = max(int(np.searchsorted(edges, track.start_s - TIME_EPSILON_S)) - 1, 0)
        last = min(int(np.searchsorted(edges, track.end_s + TIME_EPSILON_S)) + 1, len(edges))
        for at, (seen_s, area) in enumerate(integral.between(edges[first:last]).tolist(), first):
            if seen_s <= TIME_EPSILON_S:
                continue
            present[at].append((index, area))
            if stretch[at] >= 0:
                key = (index, int(stretch[at]))
                spoken[key] = spoken.get(key, 0.0) + area
    found = np.full(len(present), -1, np.int64)
    owner = -1
    for at, faces in enumerate(present):
        if not faces:
            continue
        number = int(stretch[at])
        areas = {i: area if number < 0 else spoken[i, number] for i, area in faces}
        largest = max(areas, key=lambda i: areas[i])
        if owner not in areas or areas[largest] > HOLD * areas[owner]:
            owner = largest
        found[at] = owner
    return found


class _Axis:
    """The stretches between all edges that matter, and what each modality says in each.

    Attributes
    ----------
    shares : dict of str to numpy.ndarray
        By modality: float64 (n, 7), NaN where it says nothing.
    quality : dict of str to Quality
        By modality: what was measured of it.
    """

    def __init__(
        self,
        names: Sequence[str],
        tracks: Sequence[FaceTrack],
        segments: Mapping[str, Sequence[SpeechSegment]],
        start_s: float,
        end_s: float,
    ) -> None:
        self._tracks, self._segments = tracks, segments
        stretches = {name: _stretches(own) for name, own in segments.items()}
        views = [edge for track in tracks for pair in track.intervals() for edge in pair]
        bounds = [edge for own in segments.values() for segment in own for edge in (segment.start_s, segment.end_s)]
        coarse = merge_edges([*views, *bounds], start_s, end_s)
        # Whose face counts depends on who may be speaking.
        speaking = "voice" if "voice" in segments else next(iter(segments), None)
        spoken = np.full(len(coarse) - 1, -1, np.int64)
        if speaking is not None:
            spoken = _number_at(segments[speaking], coarse, stretches[speaking][0])
        owner = _choose_faces(tracks, coarse, spoken)
        changes = [_episode_edges(track) for track in tracks]
        fine = merge_edges(
            np.concatenate([coarse, *(changes[i] for i in np.unique(owner[owner >= 0]))]), start_s, end_s
        )
        middles = (fine[:-1] + fine[1:]) / 2
        owner = owner[np.searchsorted(coarse, middles, side="right") - 1]
        places = {name: _number_at(own, fine, np.arange(len(own))) for name, own in segments.items()}
        episode = np.zeros(len(owner), np.int64)
        for index in np.unique(owner[owner >= 0]).tolist():
            here = owner == index
            episode[here] = np.searchsorted(changes[index], middles[here], side="right")
        # Edges of people whose face does not count part nothing.
        keys = np.stack([owner, episode, *places.values()], axis=1)
        kept = np.flatnonzero(np.concatenate([[True], (np.diff(keys, axis=0) != 0).any(axis=1)]))
        self.edges: Edges = np.append(fine[kept], fine[-1])
        self.owner = owner[kept]
        self.shares: dict[str, Floats] = {}
        self.quality: dict[str, Quality] = {}
        for name in names:
            if name == "face":
                self.shares[name], self.quality[name] = self._faces(changes, episode[kept])
            else:
                found = _segment_rows(segments[name], places[name][kept], *stretches[name])
                self.shares[name], self.quality[name] = found

    def _faces(self, changes: Sequence[Edges], episode: Indices) -> tuple[Floats, Quality]:
        n = len(self.owner)
        face = np.full((n, len(FER7)), np.nan)
        width, sharpness, seen_s = np.full((3, n), np.nan)
        for index in np.unique(self.owner[self.owner >= 0]).tolist():
            track, here = self._tracks[index], np.flatnonzero(self.owner == index)
            shares = mapping(track.labels, FER7).apply(track.smoothed)
            wide = track.boxes[:, 2].astype(np.float64) - track.boxes[:, 0]
            sharp = np.full(len(track), np.nan) if track.sharpness is None else np.asarray(track.sharpness, np.float64)
            known = ~np.isnan(sharp)
            columns = [np.ones(len(track)), wide, known.astype(np.float64), np.where(known, sharp, 0.0)]
            integral = TrackIntegral.of(track, np.column_stack([shares, *columns]))
            total = integral.until(self.edges[here + 1]) - integral.until(self.edges[here])
            seen = total[:, len(FER7)]
            mean = total[:, : len(FER7)] / seen[:, None]
            face[here] = mean / mean.sum(axis=1, keepdims=True)
            width[here] = total[:, -3] / seen
            with np.errstate(invalid="ignore"):
                sharpness[here] = total[:, -1] / total[:, -2]
            borders = np.concatenate([[track.start_s], changes[index], [track.end_s]])
            seen_s[here] = integral.between(np.maximum.accumulate(borders))[episode[here], len(FER7)]
        return face, {"width_px": width, "sharpness": sharpness, "seen_s": seen_s}

    def fused_segments(self, fused: Fused) -> tuple[FusedSegment, ...]:
        """Return the segments of the result."""
        emotions = {name: _emotions(rows) for name, rows in self.shares.items()}
        # Exponents of experts become shares of what is said: together 1 at most, less where all is poor.
        whole = np.maximum(sum(fused.weights.values()), 1.0)
        weights = {name: (fused.weights[name] / whole).tolist() for name in self.shares}
        predictions = _emotions(fused.probabilities)
        return tuple(
            FusedSegment(
                start_s,
                end_s,
                {name: rows[i] for name, rows in emotions.items()},
                predictions[i],
                {name: values[i] for name, values in weights.items()},
                self._tracks[self.owner[i]].number if self.owner[i] >= 0 else None,
            )
            for i, (start_s, end_s) in enumerate(pairwise(self.edges.tolist()))
        )

    def notes(self) -> tuple[str, ...]:
        """Return what was assumed, and what became of labels."""
        notes = []
        voice = self.shares.get("voice")
        if voice is not None and ((self.owner >= 0) & ~np.isnan(voice[:, 0])).any():
            whose = "the largest face in view" if len(self._tracks) > 1 else "the face in view"
            notes.append(f"the voice is taken to be that of {whose}: who speaks is not known")
        for name in self.shares:
            labels = [track.labels for track in self._tracks] if name == "face" else _labels(self._segments[name])
            for own in dict.fromkeys(labels):
                note = mapping(own, FER7).note
                notes += [f"{note} ({name})"] if note != "one to one" else []
        return tuple(dict.fromkeys(notes))


def _tracks(faces: FaceSource) -> tuple[FaceTrack, ...]:
    if isinstance(faces, FaceTrack):
        return (faces,)
    found = tuple(faces.tracks if isinstance(faces, VideoResult) else faces)
    for track in found:
        if not isinstance(track, FaceTrack):
            raise InputError(f"faces must be a video, a track or tracks, but one is a {type(track).__name__}")
    return found


def _segments(name: str, source: SegmentSource) -> tuple[SpeechSegment, ...]:
    """Return the segments in which a modality says something, checked."""
    given: Sequence[Any] = source.segments if isinstance(source, SpeechResult) else source or ()
    found = tuple(given)
    noun = "speech" if name == "voice" else name
    for segment in found:
        if not isinstance(segment, SpeechSegment | EmotionSegment):
            raise InputError(f"{noun} must be a SpeechResult or segments of one, but one is a {type(segment).__name__}")
    for before, after in pairwise(found):
        if after.start_s < before.end_s - TIME_EPSILON_S:
            raise InputError(
                f"segments of {noun} must be in order, but one ends at {before.end_s:g} s and the next begins at "
                f"{after.start_s:g} s"
            )
    spoken = (s if isinstance(s, SpeechSegment) else SpeechSegment(s.start_s, s.end_s, True, s.emotion) for s in found)
    return tuple(segment for segment in spoken if segment.speech)


def _bounds(
    sources: Mapping[str, Any],
    tracks: Sequence[FaceTrack],
    segments: Mapping[str, Sequence[SpeechSegment]],
    start_s: float | None,
    end_s: float | None,
) -> tuple[float, float]:
    parts: list[Any] = [*tracks, *(segment for own in segments.values() for segment in own)]
    starts, ends = [part.start_s for part in parts], [part.end_s for part in parts]
    ends += [source.duration_s for source in sources.values() if isinstance(source, SpeechResult)]
    if isinstance(video := sources.get("face"), VideoResult):
        starts, ends = [video.start_s], [*ends, video.end_s]
    start = min(starts, default=0.0) if start_s is None else check_number(start_s, "start_s", low=0)
    end = max(ends, default=0.0) if end_s is None else check_number(end_s, "end_s", low=0)
    if end_s is not None and end < start:
        raise InputError(f"end_s must not be before start_s, but got {start:g} to {end:g}")
    return float(start), float(end)


def _unmapped(tracks: Sequence[FaceTrack], segments: Mapping[str, Sequence[SpeechSegment]]) -> dict[str, LabelSet]:
    """Return the modalities whose labels have no place among the common seven."""
    labels = {"face": [track.labels for track in tracks], **{name: _labels(own) for name, own in segments.items()}}
    return {name: other for name, found in labels.items() for other in dict.fromkeys(found) if not can_map(other, FER7)}


def _warnings(
    sources: Mapping[str, Any],
    tracks: Sequence[FaceTrack],
    segments: Mapping[str, Sequence[SpeechSegment]],
    unmapped: Mapping[str, LabelSet],
) -> tuple[str, ...]:
    """Say what is missing."""
    warnings = []
    there = [name for name in sources if (tracks if name == "face" else segments[name])]
    rest = f": what is left is the {' and the '.join(there)}" if there else ""
    for name, source in sources.items():
        if name in there:
            continue
        if name in unmapped:
            missing = f"the labels {unmapped[name].name} of the {name} have no place in {FER7.name}"
        elif name == "face":
            missing = "no face is seen"
        elif name == "voice":
            missing = "there is no sound" if source is None else "nobody speaks"
        else:
            missing = f"there is no {name}"
        warnings.append(missing + rest)
    video, speech = sources.get("face"), sources.get("voice")
    if isinstance(video, VideoResult) and isinstance(speech, SpeechResult):
        sound_s, image_s = speech.duration_s, video.duration_s
        if abs(sound_s - image_s) > _ENDS_S:
            warnings.append(f"the sound ends at {sound_s:.1f} s, the image at {image_s:.1f} s")
    return tuple(warnings)


def _stretches(segments: Sequence[SpeechSegment]) -> tuple[Indices, Floats]:
    """Return the number of the stretch without a pause that each segment is of, and the length of each stretch."""
    if not segments:
        return np.zeros(0, np.int64), np.zeros(0)
    begins = [True, *(after.start_s - before.end_s > TIME_EPSILON_S for before, after in pairwise(segments))]
    numbers = np.cumsum(begins) - 1
    lengths_s = np.bincount(numbers, weights=np.array([segment.duration_s for segment in segments]))
    return numbers.astype(np.int64), lengths_s.astype(np.float64)


def _number_at(segments: Sequence[SpeechSegment], edges: Edges, numbers: Indices) -> Indices:
    """Return what number the segment between neighboring edges has, -1 where there is none."""
    if not segments:
        return np.full(len(edges) - 1, -1, np.int64)
    middles = (edges[:-1] + edges[1:]) / 2
    place = np.searchsorted([segment.start_s for segment in segments], middles, side="right") - 1
    ends = np.array([segment.end_s for segment in segments])
    inside = (place >= 0) & (middles < ends[np.maximum(place, 0)])
    return np.where(inside, numbers[np.maximum(place, 0)], -1)


def _segment_rows(
    segments: Sequence[SpeechSegment], places: Indices, stretches: Indices, lengths_s: Floats
) -> tuple[Floats, Quality]:
    """Return the distributions of segments by their index at each place, and what was measured of them."""
    rows = np.full((len(places), len(FER7)), np.nan)
    speech_s, snr_db = np.full((2, len(places)), np.nan)
    shares = np.full((len(segments), len(FER7)), np.nan)
    for labels in dict.fromkeys(_labels(segments)):
        of_labels = [
            i for i, segment in enumerate(segments) if segment.emotion is not None and segment.emotion.labels == labels
        ]
        own = np.array([segments[i].emotion.probabilities for i in of_labels])  # type: ignore[union-attr]
        shares[of_labels] = mapping(labels, FER7).apply(own)
    ratios = np.array([np.nan if segment.snr_db is None else float(segment.snr_db) for segment in segments])
    there = places >= 0
    if there.any():
        chosen = places[there]
        rows[there], snr_db[there] = shares[chosen], ratios[chosen]
        speech_s[there] = np.append(lengths_s, np.nan)[stretches[chosen]]
    return rows, {"speech_s": speech_s, "snr_db": snr_db}


def _episode_edges(track: FaceTrack) -> Edges:
    """Return when the episodes of a track begin, but for the first; by the leader where it has no timeline."""
    if track.timeline:
        return np.array([segment.start_s for segment in track.timeline[1:]], np.float64)
    leader = track.smoothed.argmax(axis=1)
    return np.asarray(track.times_s[1:][np.diff(leader) != 0], np.float64)


def _labels(segments: Iterable[SpeechSegment]) -> list[LabelSet]:
    return [segment.emotion.labels for segment in segments if segment.emotion is not None]


def _emotions(rows: Floats) -> list[Emotion | None]:
    return [None if row[0] != row[0] else Emotion(FER7, tuple(row)) for row in rows.tolist()]
