"""Fusion over time: planted tracks and speech whose common axis is known in closed form."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from mien.errors import InputError
from mien.fusion import METHODS, Fused, fuse
from mien.fusion.over_time import HOLD, TrackIntegral, merge_edges
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet, mapping
from mien.results import Emotion, EmotionSegment, FaceTrack, FusedResult, SpeechResult, SpeechSegment, VideoResult

HAPPY, ANGRY, SAD, NEUTRAL = "happiness", "anger", "sadness", "neutral"


def said(emotion: str, share: float = 0.7, labels: LabelSet = FER7) -> np.ndarray:
    rest = (1 - share) / (len(labels) - 1)
    return np.where(np.array(labels.emotions) == emotion, share, rest)


def track(
    pieces: list[tuple[float, float, np.ndarray]],
    *,
    number: int = 1,
    step_s: float = 0.2,
    side: float = 60.0,
    labels: LabelSet = FER7,
    timeline: bool = True,
) -> FaceTrack:
    """Return a track that shows what the pieces say: (from, to, distribution); gaps between them are real."""
    times, lengths, rows = [], [], []
    for start, end, row in pieces:
        at = start
        while at < end - 1e-9:
            times.append(at)
            lengths.append(min(step_s, end - at))
            rows.append(row)
            at += step_s
    n = len(times)
    shares = np.array(rows, np.float32)
    segments = tuple(EmotionSegment(s, e, Emotion(labels, tuple(row))) for s, e, row in pieces) if timeline else ()
    return FaceTrack(
        number,
        labels,
        np.array(times),
        np.array(lengths),
        np.tile(np.array([10, 10, 10 + side, 10 + side], np.float32), (n, 1)),
        np.ones(n, np.float32),
        shares,
        shares,
        np.ones(n, bool),
        timeline=segments,
    )


def speech(*segments: tuple[float, float, np.ndarray | None], labels: LabelSet = FER7) -> SpeechResult:
    told = tuple(
        SpeechSegment(s, e, row is not None, None if row is None else Emotion(labels, tuple(row)))
        for s, e, row in segments
    )
    return SpeechResult(segments[-1][1], told)


def video(tracks: tuple[FaceTrack, ...], *, start_s: float = 0.0, end_s: float = 10.0) -> VideoResult:
    times = np.unique(np.concatenate([t.times_s for t in tracks])) if tracks else np.arange(start_s, end_s, 0.2)
    return VideoResult(320, 240, end_s, start_s, end_s, times, tracks)


def bounds(result: FusedResult) -> list[tuple[float, float]]:
    return [(round(segment.start_s, 6), round(segment.end_s, 6)) for segment in result.segments]


def test_the_axis_is_the_union_of_the_edges_of_both() -> None:
    faces = track([(0, 3, said(HAPPY)), (3, 7, said(ANGRY)), (8, 10, said(SAD))])
    voice = speech((0, 1.5, None), (1.5, 4.25, said(ANGRY)), (4.25, 5, said(SAD)), (5, 10, None))
    result = fuse(faces, voice)
    assert bounds(result) == [(0, 1.5), (1.5, 3), (3, 4.25), (4.25, 5), (5, 7), (7, 8), (8, 10)]
    assert [segment.emotions["face"].top if segment.emotions["face"] else None for segment in result.segments] == [
        HAPPY, HAPPY, ANGRY, ANGRY, ANGRY, None, SAD,
    ]  # fmt: skip
    assert [segment.emotions["voice"].top if segment.emotions["voice"] else None for segment in result.segments] == [
        None, ANGRY, ANGRY, SAD, None, None, None,
    ]  # fmt: skip
    assert result.segments[5].fused is None
    assert (result.seconds_of("face"), result.seconds_of("voice"), result.both_s) == pytest.approx((9, 3.5, 3.5))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_covers_the_same_axis_and_survives_json(method: str) -> None:
    import json

    faces = track([(0.5, 3, said(HAPPY)), (4, 7, said(ANGRY))])
    result = fuse(faces, speech((0, 2, None), (2, 9, said(SAD))), method=method)
    assert result.method == method
    assert bounds(result) == [(0.5, 2), (2, 3), (3, 4), (4, 7), (7, 9)]
    again = FusedResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result


def test_means_are_exact_whatever_the_frames() -> None:
    """Edges of speech cut through frames: the mean is the integral of steps, compared with exact fractions."""
    random = np.random.default_rng(3)
    n = 40
    ticks = np.cumsum(random.integers(1, 9, n + 1))
    rows = random.dirichlet(np.ones(7), n).astype(np.float32)
    rows /= rows.sum(axis=1, keepdims=True)
    times = ticks / 25
    faces = FaceTrack(
        1, FER7, times[:-1], np.diff(times), np.tile(np.array([0, 0, 9, 9], np.float32), (n, 1)),
        np.ones(n, np.float32), rows, rows, np.ones(n, bool),
        timeline=(EmotionSegment(float(times[0]), float(times[-1]), Emotion(FER7, tuple(said(HAPPY)))),),
    )  # fmt: skip
    begin, end = times[0] + 0.501, times[-1] - 1.003
    result = fuse(faces, [SpeechSegment(begin, end, True, Emotion(FER7, tuple(said(SAD))))])
    assert bounds(result) == [tuple(np.round(p, 6)) for p in ((times[0], begin), (begin, end), (end, times[-1]))]
    total, whole = [Fraction(0)] * 7, Fraction(0)
    for k in range(n):
        low, high = max(Fraction(times[k]), Fraction(begin)), min(Fraction(times[k + 1]), Fraction(end))
        if high > low:
            whole += high - low
            total = [t + (high - low) * Fraction(float(p)) for t, p in zip(total, rows[k], strict=True)]
    middle = result.segments[1].emotions["face"]
    assert middle is not None
    np.testing.assert_allclose(middle.to_array(), [float(t / whole) for t in total], atol=1e-6)


def test_labels_become_the_common_seven_and_the_notes_say_so() -> None:
    faces = track([(0, 2, said("contempt", 0.4, FERPLUS8))], labels=FERPLUS8)
    voice = speech((0, 2, said("calm", 0.6, RAVDESS8)), labels=RAVDESS8)
    result = fuse(faces, voice)
    (segment,) = result.segments
    assert segment.emotions["face"] is not None
    assert segment.emotions["voice"] is not None
    assert segment.emotions["voice"].top == NEUTRAL
    expected = mapping(FERPLUS8, FER7).apply(said("contempt", 0.4, FERPLUS8))
    np.testing.assert_allclose(segment.emotions["face"].to_array(), expected, atol=1e-6)
    assert "contempt is dropped and the rest renormalized (face)" in result.notes
    assert "calm counts as neutral (voice)" in result.notes


def test_a_video_that_begins_later_and_sound_that_ends_earlier_keep_their_times() -> None:
    faces = video((track([(2, 10, said(HAPPY))]),), start_s=1.0)
    result = fuse(faces, speech((0, 3, None), (3, 6, said(SAD))))
    assert bounds(result) == [(1, 2), (2, 3), (3, 6), (6, 10)]
    assert result.warnings == ("the sound ends at 6.0 s, the image at 10.0 s",)
    later = fuse(video((track([(0, 4, said(HAPPY))]),), end_s=4), speech((0, 3, None), (3, 9, said(SAD))))
    assert bounds(later) == [(0, 3), (3, 4), (4, 9)]
    assert later.segments[-1].emotions["face"] is None
    assert later.segments[-1].emotions["voice"] is not None


def test_what_is_missing_is_named() -> None:
    voice = speech((0, 3, said(SAD)))
    none = fuse(video((), end_s=3), voice)
    assert none.warnings == ("no face is seen: what is left is the voice",)
    assert [segment.fused.top for segment in none.segments if segment.fused] == [SAD]
    silent = fuse(track([(0, 3, said(HAPPY))]), speech((0, 3, None)))
    assert silent.warnings == ("nobody speaks: what is left is the face",)
    assert silent.emotion is not None
    assert silent.emotion.top == HAPPY
    assert fuse(track([(0, 3, said(HAPPY))]), None).warnings == ("there is no sound: what is left is the face",)
    empty = fuse((), None)
    assert empty.segments == ()
    assert empty.warnings == ("no face is seen", "there is no sound")
    assert empty.emotion is None
    assert fuse(video((), end_s=2), None).segments[0].fused is None


def test_the_largest_face_takes_the_voice_and_that_is_noted() -> None:
    large = track([(0, 6, said(HAPPY))], number=1, side=100)
    small = track([(0, 6, said(ANGRY))], number=2, side=40)
    result = fuse((small, large), speech((0, 6, said(SAD))))
    assert {segment.track for segment in result.segments} == {1}
    assert "the voice is taken to be that of the largest face in view: who speaks is not known" in result.notes


def test_the_voice_does_not_jump_between_faces_of_nearly_one_size() -> None:
    """Sizes cross again and again by less than the hysteresis: who spoke first stays the speaker."""
    n = 60
    wide = 50 + 3 * np.sin(np.arange(n))
    other = 50 - 3 * np.sin(np.arange(n))
    tracks = []
    for number, sides in ((1, wide), (2, other)):
        base = track([(0, 12, said(HAPPY if number == 1 else ANGRY))], number=number)
        boxes = np.zeros((n, 4), np.float32)
        boxes[:, 2:] = sides[:, None]
        tracks.append(
            FaceTrack(
                number,
                FER7,
                base.times_s,
                base.durations_s,
                boxes,
                base.scores,
                base.probabilities,
                base.smoothed,
                base.detected,
                timeline=base.timeline,
            )
        )
    pauses = [SpeechSegment(k, k + 0.6, True, Emotion(FER7, tuple(said(SAD)))) for k in range(12)]
    result = fuse(tracks, pauses)
    assert len({segment.track for segment in result.segments}) == 1


def test_a_much_larger_face_takes_the_voice_over_only_at_the_next_speech() -> None:
    first = track([(0, 10, said(HAPPY))], number=1, side=50)
    close = track([(2, 10, said(ANGRY))], number=2, side=50 * np.sqrt(HOLD) * 1.2)
    voice = speech((0, 2.4, said(SAD)), (2.4, 5, None), (5, 10, said(SAD)))
    segments = fuse((first, close), voice).segments
    assert [(round(s.start_s, 3), s.track) for s in segments] == [(0, 1), (2.4, 2), (5, 2)]


def test_edges_of_other_people_part_nothing() -> None:
    main = track([(0, 10, said(HAPPY))], number=1, side=100)
    others = [track([(k, k + 0.6, said(ANGRY))], number=k + 2, side=20) for k in range(9)]
    assert bounds(fuse((main, *others), None)) == [(0, 10)]


def test_without_a_timeline_leaders_part_the_face() -> None:
    faces = track([(0, 3, said(HAPPY)), (3, 7, said(ANGRY))], timeline=False)
    assert bounds(fuse(faces, None)) == [(0, 3), (3, 7)]


def test_edges_that_touch_are_one() -> None:
    edges = merge_edges([0.0, 1.0, 1.0 + 1e-9, 2.0, 5.0 - 1e-9, 7.0], 0.0, 5.0)
    np.testing.assert_allclose(edges, [0, 1, 2, 5])
    assert edges[-1] == 5.0


def test_a_track_is_integrated_through_gaps() -> None:
    faces = track([(0, 1, said(HAPPY)), (3, 4, said(ANGRY))])
    course = TrackIntegral.of(faces, np.ones((len(faces), 1)))
    np.testing.assert_allclose(course.until(np.array([-1, 0.5, 1, 2.5, 3.25, 9])).ravel(), [0, 0.5, 1, 1, 1.25, 2])


def test_quality_reaches_the_experts() -> None:
    """A face of 6 px says less than one of 60; so does a sentence of half a second against one of three."""
    voice = speech((0, 3, said(SAD, 0.5)))
    large, small = (fuse(track([(0, 3, said(HAPPY))], side=side), voice).segments[0] for side in (60.0, 6.0))
    small_say, large_say = (one.weights["face"] / one.weights["voice"] for one in (small, large))
    assert small_say < 0.9 * large_say
    assert sum(large.weights.values()) == pytest.approx(1)
    brief = fuse(track([(0, 3, said(HAPPY))]), speech((0, 0.5, said(SAD, 0.5)), (0.5, 3, None))).segments[0]
    assert brief.weights["voice"] < 0.7 * large.weights["voice"]


def test_a_voice_unlike_its_training_has_little_say() -> None:
    """What the shipped weights leave to it does not overrule a face that is as sure; alone, it is unsure."""
    both = fuse(track([(0, 3, said(HAPPY, 0.8))]), speech((0, 3, said(SAD, 0.8)))).segments[0]
    assert both.weights["voice"] < 0.5 * both.weights["face"]
    assert both.fused is not None
    assert both.fused.top == "happiness"
    alone = fuse([], speech((0, 3, said(SAD, 0.8)))).segments[0]
    assert alone.fused is not None
    assert (alone.fused.top, alone.fused.unsure) == ("sadness", True)
    assert alone.weights["voice"] < 0.5


def test_measures_of_tracks_and_segments_are_taken_where_they_are_known() -> None:
    faces = track([(0, 3, said(HAPPY))])
    blurred = replace(faces, sharpness=np.full(len(faces), 0.01, np.float32))
    voice = speech((0, 3, said(SAD)))
    weights = [fuse(t, voice).segments[0].weights["face"] for t in (faces, blurred)]
    assert weights[1] < 0.98 * weights[0]
    known = np.full(len(faces), np.nan, np.float32)
    known[3] = 0.01
    assert fuse(replace(faces, sharpness=known), voice).segments[0].weights["face"] == pytest.approx(weights[1])
    emotion = Emotion(FER7, tuple(said(SAD)))
    clear, noisy = (fuse(faces, [SpeechSegment(0, 3, True, emotion, snr_db=db)]).segments[0] for db in (40.0, -15.0))
    assert noisy.weights["voice"] < 0.4 * clear.weights["voice"]


def test_a_mapping_of_modalities_of_ones_own() -> None:
    faces = video((track([(0, 6, said(HAPPY))]),), end_s=6)
    parts = ((1, 2, said(ANGRY)), (4, 5, said(SAD)))
    words = [EmotionSegment(a, b, Emotion(FER7, tuple(row))) for a, b, row in parts]
    result = fuse({"face": faces, "text": words}, method="average")
    assert result.modalities == ("face", "text")
    assert bounds(result) == [(0, 1), (1, 2), (2, 4), (4, 5), (5, 6)]
    np.testing.assert_allclose(result.segments[1].fused.to_array(), (said(HAPPY) + said(ANGRY)) / 2)
    assert (result.seconds_of("text"), result.both_s) == (2, 2)
    names = [column.name for column in result.columns()]
    assert names[5:11] == ["face_weight", "text_weight", "face", "face_confidence", "text", "text_confidence"]
    assert all(list(row) == names for row in result.rows())
    assert FusedResult.from_dict(result.to_dict()) == result
    assert fuse({"voice": None, "face": faces, "text": ()}, method="average").warnings == (
        "there is no sound: what is left is the face",
        "there is no text: what is left is the face",
    )
    third = fuse({"face": faces, "voice": speech((0, 3, said(SAD)), (3, 6, None)), "text": words}, method="average")
    assert [segment.weights["text"] for segment in third.segments] == [0, pytest.approx(1 / 3), 0, 0, 0.5, 0]
    assert fuse(faces, speech((0, 6, said(SAD)))) == fuse({"face": faces, "voice": speech((0, 6, said(SAD)))})


def test_what_cannot_be_mapped_is_left_out_with_a_warning() -> None:
    moods = LabelSet("moods", ("bored", "happiness"))
    faces = track([(0, 3, np.array([0.2, 0.8]))], labels=moods)
    result = fuse(faces, speech((0, 3, said(SAD))))
    assert result.warnings == ("the labels moods of the face have no place in fer7: what is left is the voice",)
    assert [segment.fused.top for segment in result.segments] == [SAD]


def test_a_method_of_ones_own() -> None:
    def face_only(shares, *, quality, labels):  # type: ignore[no-untyped-def]
        assert set(quality["face"]) == {"width_px", "sharpness", "seen_s"}
        ones = np.ones(len(shares["face"]))
        return Fused(shares["face"], {"face": ones, "voice": 0 * ones})

    result = fuse(track([(0, 3, said(HAPPY))]), speech((0, 3, said(SAD))), method=face_only)
    assert result.method == "face_only"
    assert result.segments[0].fused.top == HAPPY


def test_wrong_input_is_refused() -> None:
    faces = track([(0, 3, said(HAPPY))])
    with pytest.raises(InputError, match="unknown fusion method 'vote': expected one of experts, average"):
        fuse(faces, None, method="vote")
    with pytest.raises(InputError, match="speech must be a SpeechResult or segments of one, but one is a str"):
        fuse(faces, ["x"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="faces must be a video, a track or tracks, but one is a int"):
        fuse([3], None)  # type: ignore[list-item]
    segments = [SpeechSegment(1, 2, True), SpeechSegment(0, 1.5, True)]
    with pytest.raises(InputError, match="segments of speech must be in order, but one ends at 2 s and the next"):
        fuse(faces, segments)
    with pytest.raises(InputError, match="end_s must not be before start_s"):
        fuse(faces, None, start_s=3.0, end_s=1.0)


def test_speech_without_an_answer_is_no_voice() -> None:
    (segment,) = fuse(track([(0, 3, said(HAPPY))]), [SpeechSegment(0, 3, True)]).segments
    assert segment.emotions["voice"] is None
    assert segment.weights["voice"] == 0


@pytest.mark.parametrize("seed", range(25))
def test_at_any_time_the_answer_is_that_of_who_is_seen_and_what_is_heard_then(seed: int) -> None:
    """Drawn tracks with gaps and drawn speech, looked up time by time without any axis."""
    random = np.random.default_rng(seed)
    tracks = []
    for number in range(1, int(random.integers(0, 4)) + 1):
        edges = np.sort(random.choice(200, 6, replace=False)) / 10
        pieces = [(a, b, random.dirichlet(np.ones(7))) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        tracks.append(track(pieces, number=number, side=float(random.uniform(20, 90)), timeline=bool(seed % 2)))
    cuts = np.unique(np.concatenate([[0.0], random.uniform(0, 20, 8), [20.0]]))
    heard = [
        SpeechSegment(a, b, bool(s), Emotion(FER7, tuple(random.dirichlet(np.ones(7)))) if s else None)
        for a, b, s in zip(cuts, cuts[1:], random.integers(0, 2, len(cuts) - 1), strict=False)
    ]
    result = fuse(tracks, SpeechResult(20.0, tuple(heard)), start_s=0.0)
    assert (result.start_s, result.end_s) == (0.0, 20.0)
    for time_s in random.uniform(0, 20, 100).tolist():
        segment = result.at(time_s)
        assert segment is not None
        voice = next(s for s in heard if s.start_s <= time_s < s.end_s).emotion
        assert (segment.emotions["voice"] is None) == (voice is None)
        if voice is not None and segment.emotions["voice"] is not None:
            np.testing.assert_allclose(segment.emotions["voice"].probabilities, voice.probabilities, atol=1e-12)
        seen = {t.number for t in tracks if any(a <= time_s < b for a, b in t.intervals())}
        assert segment.track in (seen or {None})
    total = sum(e.to_array() * s.duration_s for s in result.segments if (e := s.emotions["voice"]))
    expected = sum(np.array(s.emotion.probabilities) * s.duration_s for s in heard if s.emotion)
    np.testing.assert_allclose(total, expected, atol=1e-9)


def test_one_persons_face_is_integrated_without_loss() -> None:
    """The integral over all segments is that over all frames, whatever speech cuts them."""
    random = np.random.default_rng(11)
    faces = track([(0.3, 4.1, said(HAPPY)), (4.1, 6, said(SAD, 0.4)), (7.7, 9.05, said(ANGRY))])
    cuts = np.sort(random.uniform(0, 10, 20))
    heard = [SpeechSegment(a, b, True, Emotion(FER7, tuple(said(SAD)))) for a, b in pairwise(cuts)]
    result = fuse(faces, heard)
    total = sum(e.to_array() * s.duration_s for s in result.segments if (e := s.emotions["face"]))
    np.testing.assert_allclose(total, (faces.smoothed * faces.durations_s[:, None]).sum(axis=0), atol=1e-5)
