"""Results of videos: tables, times and summaries against plain sums over planted tracks."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from mien.errors import InputError
from mien.labels import FER7, FERPLUS8, RAVDESS8
from mien.results import (
    VIDEO_METHODS,
    Emotion,
    EmotionSegment,
    Face,
    FaceTrack,
    Moment,
    TrackedFace,
    VideoFrame,
    VideoResult,
    columns,
)

TYPES = {int: "Int64", float: "float64", bool: "boolean"}
STEP_S = 0.25
TIMES_S = np.arange(12) * STEP_S


def shares(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(8, 0.4), n).astype(np.float32)


def track(person: int, frames: list[int], seed: int = 0, **more: Any) -> FaceTrack:
    n = len(frames)
    place = np.arange(n, dtype=np.float32)[:, None]
    values: dict[str, Any] = {
        "number": person,
        "labels": FERPLUS8,
        "times_s": TIMES_S[frames],
        "durations_s": np.full(n, STEP_S),
        "boxes": np.concatenate([10 * person + place, 5 + place, 30 * person + 2 * place + 10, 40 + place], axis=1),
        "scores": np.linspace(0.9, 1, n),
        "probabilities": shares(n, seed),
        "smoothed": shares(n, seed + 100),
        "detected": np.arange(n) % 2 == 0,
        "landmarks": np.arange(n * 10).reshape(n, 5, 2),
        "timeline": (EmotionSegment(0.0, 0.5, emotion(1)), EmotionSegment(0.5, 0.75, emotion(2))),
        "moments": (Moment(0.25, "fear", 0.5, (1.0, 2.0, 3.0, 4.0)),),
        "warnings": ("it is dark",),
    }
    return FaceTrack(**{**values, **more})


def emotion(seed: int) -> Emotion:
    row = np.random.default_rng(seed).dirichlet(np.ones(8))
    return Emotion(FERPLUS8, tuple(row.tolist()))


def video(**more: Any) -> VideoResult:
    tracks = (track(1, [0, 1, 2, 5, 6]), track(2, [1, 2, 3], seed=9))
    values: dict[str, Any] = {
        "width": 64,
        "height": 48,
        "duration_s": 3.0,
        "start_s": 0.0,
        "end_s": 3.0,
        "times_s": TIMES_S,
        "tracks": tracks,
        "cuts": (1.25,),
        "frames_read": 90,
        "frames_failed": 2,
        "frame_rate": 30.0,
        "path": "a.mp4",
        "model": "m",
        "detector": "d",
        "warnings": ("it is cut",),
    }
    return VideoResult(**{**values, **more})


def test_a_video_survives_json_and_pickle() -> None:
    told = json.loads(json.dumps(video().to_dict()))
    again = VideoResult.from_dict(told)
    assert again.to_dict() == told
    assert pickle.loads(pickle.dumps(video(preview=lambda _: b""))).to_dict() == told
    assert [t.intervals() for t in again.tracks] == [[(0.0, 0.75), (1.25, 1.75)], [(0.25, 1.0)]]
    empty = video(tracks=(), times_s=[], end_s=0.0)
    assert VideoResult.from_dict(json.loads(json.dumps(empty.to_dict()))).to_dict() == empty.to_dict()


def test_frames_tell_each_face_once_and_where_nobody_is() -> None:
    frames = list(video().frames())
    assert [frame.time_s for frame in frames] == TIMES_S.tolist()
    assert [[face.track for face in frame.faces] for frame in frames] == [
        [1], [1, 2], [1, 2], [2], [], [1], [1], [], [], [], [], [],
    ]  # fmt: skip
    face = frames[5].faces[0]
    first = video().tracks[0]
    assert face.face.box == tuple(first.boxes[3].tolist())
    assert face.face.emotion is not None
    assert face.face.emotion.probabilities == tuple(first.probabilities[3].tolist())
    assert face.smoothed.probabilities == tuple(first.smoothed[3].tolist())
    assert [f.faces[0].detected for f in frames if f.faces and f.faces[0].track == 1] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert frames[1].image().faces[1].emotion == frames[1].faces[1].smoothed


def test_tables_have_a_row_a_face_a_person_and_a_segment() -> None:
    found = video()
    *rows, last = found.rows()
    assert {name: value for name, value in last.items() if value is not None} == {
        "path": "a.mp4",
        "warnings": "it is cut",
    }
    assert found.rows(streamed=True) == [last]
    assert [row for frame in found.frames() for row in frame.rows("a.mp4")] == rows
    assert [(row["time_s"], row["track"]) for row in rows] == [
        (0.0, 1), (0.25, 1), (0.25, 2), (0.5, 1), (0.5, 2), (0.75, 2), (1.25, 1), (1.5, 1),
    ]  # fmt: skip
    smoothed = found.tracks[1].smoothed[0]
    assert rows[2]["emotion"] == FERPLUS8.emotions[int(smoothed.argmax())]
    assert [rows[2][name] for name in FERPLUS8.emotions] == smoothed.tolist()
    assert [row["seen_s"] for row in found.rows("tracks")] == [1.25, 0.75, None]
    assert [(row["track"], row["segment"], row["end_s"]) for row in found.rows("segments")[:-1]] == [
        (1, 1, 0.5), (1, 2, 0.75), (2, 1, 0.5), (2, 2, 0.75),
    ]  # fmt: skip
    assert len(found.to_frame("segments", "pandas")) == 5
    assert found.to_frame(library="polars").height == 9
    with pytest.raises(InputError, match="table must be one of frames, tracks, segments, speech, fused, but got"):
        found.to_frame("faces")


@pytest.mark.parametrize("table", VideoResult.tables)
def test_tables_have_the_same_columns_with_and_without_rows(table: str) -> None:
    pandas = pytest.importorskip("pandas")
    labels = {"speech": RAVDESS8, "fused": FER7}.get(table, FERPLUS8)
    names = [column.name for column in columns(table, labels)]
    empty = video(tracks=(), labels=FERPLUS8, warnings=())
    for found in (video(), empty):
        assert all(list(row) == names for row in found.rows(table))
        frame = found.to_frame(table, "pandas")
        assert list(frame.columns) == names
        for column in columns(table, labels):
            assert column.type is str or str(frame[column.name].dtype) == TYPES[column.type]
    assert len(empty.rows(table)) == 1
    assert pandas.isna(empty.to_frame(table, "pandas").drop(columns="path")).all(axis=None)


def test_the_summary_counts_time_not_frames() -> None:
    lengths = np.array([0.25, 0.25, 2.0])
    uneven = track(1, [0, 1, 2], durations_s=lengths)
    expected = (lengths[:, None] * uneven.smoothed).sum(axis=0) / lengths.sum()
    np.testing.assert_allclose(uneven.emotion.to_array(), expected, atol=1e-6)
    assert uneven.seen_s == 2.5
    assert uneven.seconds == {emotion(1).top: 0.5, emotion(2).top: 0.25}
    summary = video().summary
    assert summary.seen_s == pytest.approx(1.5)  # 0 to 1 s by one or both, 1.25 to 1.75 by one
    assert [person.track for person in summary.people] == [1, 2]
    first, second = video().tracks
    mean = (1.25 * first.emotion.to_array() + 0.75 * second.emotion.to_array()) / 2.0
    assert summary.emotion is not None
    np.testing.assert_allclose(summary.emotion.to_array(), mean, atol=1e-9)
    assert video(tracks=()).summary.emotion is None


def test_the_methods_take_the_largest_face_of_each_frame() -> None:
    first, second = video().tracks  # the second person's face is the larger one
    area = [np.prod(t.boxes[:, 2:] - t.boxes[:, :2], axis=1).min() for t in (first, second)]
    assert area[1] > area[0]
    answers = np.concatenate([first.probabilities[[0]], second.probabilities, first.probabilities[3:]])
    averaged = video(method="every-nth").summary.emotion
    assert averaged is not None
    np.testing.assert_allclose(averaged.to_array(), answers.mean(axis=0) / answers.mean(axis=0).sum(), atol=1e-6)
    votes = video(method="majority-vote").summary.emotion
    assert votes is not None
    np.testing.assert_allclose(votes.to_array(), np.bincount(answers.argmax(axis=1), minlength=8) / 6)
    assert VIDEO_METHODS[0] == "timeline"
    with pytest.raises(InputError, match="method must be one of timeline, middle-frame"):
        video(method="median")


def test_between_frames_a_person_is_interpolated_and_in_gaps_gone() -> None:
    found = track(1, [0, 1, 2, 5, 6])
    middle = found.at(0.125)
    assert middle is not None
    np.testing.assert_allclose(middle.box, found.boxes[:2].mean(axis=0))
    np.testing.assert_allclose(middle.probabilities, found.smoothed[:2].mean(axis=0), atol=1e-7)
    assert middle.landmarks is not None
    np.testing.assert_allclose(middle.landmarks, found.landmarks[:2].mean(axis=0))  # type: ignore[index]
    held = found.at(0.7)
    assert held is not None
    np.testing.assert_array_equal(held.box, found.boxes[2])
    assert found.at(0.76) is None
    assert found.at(1.24) is None
    at = found.at(1.25)
    assert at is not None
    np.testing.assert_array_equal(at.box, found.boxes[3])
    assert found.at(1.76) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 0}, "number of a track must be at least 1"),
        ({"times_s": TIMES_S[[0, 1, 1]]}, "must be finite, not negative, and rise"),
        ({"durations_s": [-1, 1, 1]}, "durations_s must be finite and not negative"),
        ({"boxes": np.zeros((2, 4))}, r"boxes must have the shape \(3, 4\)"),
        ({"smoothed": np.zeros((3, 8))}, "smoothed must be distributions that sum to 1"),
        ({"probabilities": np.full((3, 8), np.nan)}, "probabilities must be distributions"),
    ],
)
def test_tracks_check_themselves(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        track(1, [0, 1, 2], **change)


def test_videos_check_themselves() -> None:
    with pytest.raises(InputError, match="must have a size"):
        video(width=0)
    with pytest.raises(InputError, match="0 <= start_s <= end_s"):
        video(start_s=5.0)
    with pytest.raises(InputError, match="rising times"):
        video(times_s=[0.0, 0.0])
    with pytest.raises(InputError, match="0 <= start_s < end_s"):
        EmotionSegment(1.0, 1.0, emotion(0))
    with pytest.raises(InputError, match="at least one frame"):
        track(1, [])


def test_arrays_are_copies_and_read_only() -> None:
    times = TIMES_S[[0, 1, 2]].copy()
    found = track(1, [0, 1, 2], times_s=times)
    times[0] = 9
    assert found.start_s == 0
    with pytest.raises(ValueError, match="read-only"):
        found.boxes[0] = 0


def test_frames_of_videos_survive_json() -> None:
    tracked = TrackedFace(3, Face((1, 2, 3, 4), 0.5, None, emotion(1)), emotion(2), False)
    frame = VideoFrame(1.5, 8, 6, (tracked,))
    assert TrackedFace.from_dict(json.loads(json.dumps(frame.to_dict()))["faces"][0]) == tracked


def test_a_video_prints_as_one_short_line() -> None:
    assert repr(video()).startswith("<VideoResult ")
    for shown in (video(), video().summary, video().tracks[0], next(iter(video().frames()))):
        assert len(repr(shown)) < 400


def test_a_notebook_shows_people() -> None:
    shown = video()._repr_html_()
    assert shown.count("<tr>") == 3
    assert video(tracks=())._repr_html_() == "<p>no face</p>"
    assert video(preview=lambda _: b"\x89PNG")._repr_html_().count("data:image/png;base64,iVBORw==") == 1
