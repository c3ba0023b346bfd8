"""Videos end to end on planted faces: the same answers as for images, the same people, times as they were pushed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest

from mien.errors import InputError, ModelError, UnknownModelError
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import Detection
from mien.face.quality import sharpness
from mien.labels import BAUM8, FERPLUS8, mapping
from mien.options import ModelOptions, VideoOptions
from mien.results import Emotion, Face, TrackedFace, VideoFrame, VideoResult
from mien.video.analyzer import DETECT_EVERY_S, FaceStream, VideoAnalyzer
from mien.video.timeline import LEAST, certainty, find_episodes, smooth
from mien.video.tracks import FacePatch
from planted_faces import Box, planted

WALK = [(0.0, 70.0, 110.0, 90.0), (3.0, 240.0, 130.0, 110.0)]
AWAY = [(1.0, 230.0, 120.0, 80.0), (2.2, 200.0, 120.0, 80.0)]

Shot = tuple[np.ndarray, float, dict[int, Box]]


@pytest.fixture(scope="module")
def analyzer() -> VideoAnalyzer:
    return VideoAnalyzer()


@pytest.fixture(scope="module")
def walk() -> list[Shot]:
    return list(planted({0: WALK}, seed=3, rate=10, seconds=3))


@pytest.fixture(scope="module")
def watched(analyzer: VideoAnalyzer, walk: list[Shot]) -> tuple[VideoResult, list[VideoFrame]]:
    stream = analyzer.stream()
    frames = [frame for image, time_s, _ in walk for frame in stream.push(image, time_s)]
    frames += stream.close()
    return stream.result(), frames


def overlap(a: Box, b: Box) -> float:
    inside = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return inside / (both - inside)


def all_frames(stream: FaceStream, shots: Iterator[Shot] | list[Shot]) -> list[VideoFrame]:
    frames = [frame for image, time_s, _ in shots for frame in stream.push(image, time_s)]
    return [*frames, *stream.close()]


def test_a_person_who_walks_is_one_track_with_the_times_that_were_pushed(
    watched: tuple[VideoResult, list[VideoFrame]], walk: list[Shot]
) -> None:
    video, frames = watched
    times_s = [time_s for _, time_s, _ in walk]
    assert [frame.time_s for frame in frames] == times_s
    assert video.times_s.tolist() == times_s
    (track,) = video.tracks
    assert track.times_s.tolist() == times_s
    for frame, (_, _, truth) in zip(frames, walk, strict=True):
        assert [face.track for face in frame.faces] == [1]
        assert overlap(frame.faces[0].face.box, truth[0]) > 0.5
    assert 0 < track.detected.sum() < len(track)
    assert video.end_s == pytest.approx(3.0)
    assert track.seen_s == pytest.approx(3.0)


def test_a_searched_frame_is_answered_like_an_image(
    watched: tuple[VideoResult, list[VideoFrame]], walk: list[Shot]
) -> None:
    video, _ = watched
    images = FaceAnalyzer(threads=1)
    for row in np.flatnonzero(video.tracks[0].detected):
        (face,) = images.analyze(walk[row][0]).faces
        assert face.emotion is not None
        np.testing.assert_allclose(video.tracks[0].boxes[row], face.box, atol=1e-3)
        np.testing.assert_allclose(video.tracks[0].probabilities[row], face.emotion.to_array(), atol=1e-4)


def test_sharpness_is_that_of_the_crop(
    watched: tuple[VideoResult, list[VideoFrame]], walk: list[Shot], analyzer: VideoAnalyzer
) -> None:
    video, frames = watched
    track = video.tracks[0]
    assert track.sharpness is not None
    faces = [frame.faces[0] for frame in video.frames()]
    assert [face.sharpness for face in faces] == [frame.faces[0].sharpness for frame in frames]
    for row, (image, _, _) in enumerate(walk[:5]):
        (crop,) = analyzer.faces.crops(image, [faces[row].face])
        assert faces[row].sharpness == pytest.approx(sharpness(crop), rel=0.05)


def test_the_result_is_smoothed_both_ways_and_frames_by_the_past(
    watched: tuple[VideoResult, list[VideoFrame]], analyzer: VideoAnalyzer
) -> None:
    video, frames = watched
    track = video.tracks[0]
    weights = certainty(track.probabilities) * track.scores * track.durations_s
    expected = smooth(track.times_s, track.probabilities, tau_s=analyzer.smooth_s, weights=weights)
    np.testing.assert_allclose(track.smoothed, expected, atol=1e-5)
    np.testing.assert_allclose(frames[0].faces[0].smoothed.to_array(), track.probabilities[0], atol=9 * LEAST)
    pieces = find_episodes(track.times_s, track.durations_s, expected)
    assert [(s.start_s, s.end_s, s.emotion.labels.index(s.emotion.top)) for s in track.timeline] == [
        (p.start_s, p.end_s, p.leader) for p in pieces
    ]
    best = max(track.moments, key=lambda moment: moment.probability)
    row = track.times_s.tolist().index(best.time_s)
    assert best.probability == pytest.approx(expected[row, track.labels.index(best.emotion)], abs=1e-5)
    assert list(best.box) == track.boxes[row].tolist()


def test_somebody_who_comes_and_goes_has_no_time_elsewhere(analyzer: VideoAnalyzer) -> None:
    stream = analyzer.stream()
    shots = list(
        planted({0: [(0.0, 80.0, 120.0, 90.0), (3.0, 82.0, 120.0, 90.0)], 1: AWAY}, seed=5, rate=10, seconds=3)
    )
    frames = all_frames(stream, shots)
    video = stream.result()
    assert len(video.tracks) == 2
    second = video.tracks[1]
    # Somebody who comes in the middle of a scene is found by the next search.
    assert 1.0 <= second.start_s <= 1.0 + DETECT_EVERY_S
    assert second.end_s == pytest.approx(2.2, abs=0.11)
    assert second.seen_s == pytest.approx(second.end_s - second.start_s)
    shown = [len(frame.faces) for frame in frames]
    assert shown == [1 + (second.start_s <= shot[1] < second.end_s) for shot in shots]


def test_frames_wait_until_their_faces_are_certain_and_memory_does_not(
    analyzer: VideoAnalyzer, walk: list[Shot]
) -> None:
    stream = analyzer.stream()
    waiting, most = 0, 0
    for image, time_s, _ in walk:
        waiting += 1 - len(stream.push(image, time_s))
        most = max(most, waiting)
    assert 0 < most <= 3
    live = analyzer.stream(live=True)
    assert [len(live.push(image, time_s)) for image, time_s, _ in walk] == [1] * len(walk)


def test_a_false_detection_holds_nothing_up() -> None:
    """A detector that fires once: frames come on at once after the next searches, and nobody is in them."""

    class Once:
        name = "once"
        fired = False

        def detect(self, image: np.ndarray) -> Detection:
            if self.fired:
                return Detection.empty(landmarks=False)
            self.fired = True
            return Detection(np.float32([[30, 30, 110, 110]]), np.float32([0.99]))

    stream, waits, frames = VideoAnalyzer(detector=Once()).stream(), [], []
    for index, (image, time_s, _) in enumerate(planted({}, rate=10, seconds=3)):
        frames += stream.push(image, time_s)
        waits.append(index + 1 - len(frames))
    assert max(waits) <= 5
    assert waits[5:] == [0] * 25
    assert not any(frame.faces for frame in [*frames, *stream.close()])
    assert stream.result().tracks == ()


def test_people_in_view_for_a_moment_can_be_left_out(walk: list[Shot]) -> None:
    shots = list(planted({0: WALK, 3: [(1.0, 40, 190, 60), (1.9, 40, 190, 60)]}, seed=3, rate=10, seconds=3))
    analyzer = VideoAnalyzer.from_options(ModelOptions(), VideoOptions(min_seen_s=1.0))
    video = analyzer.analyze((image, time_s) for image, time_s, _ in shots)
    assert [len(track) for track in video.tracks] == [30]


def test_images_are_shown_with_their_faces_also_those_that_waited(analyzer: VideoAnalyzer, walk: list[Shot]) -> None:
    seen: list[tuple[np.ndarray, VideoFrame]] = []
    all_frames(analyzer.stream(on_frame=lambda image, frame: seen.append((image.copy(), frame))), walk)
    images = {time_s: image for image, time_s, _ in walk}
    assert [frame.time_s for _, frame in seen] == list(images)
    whole = 0
    for view, frame in seen:
        assert view.shape[:2] == (frame.height, frame.width)
        x1, y1, x2, y2 = (round(v) for v in frame.faces[0].face.box)
        original = images[frame.time_s]
        whole += view.shape == original.shape
        found = view[y1:y2, x1:x2]
        _, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(original, found, cv2.TM_SQDIFF))
        np.testing.assert_array_equal(original[top : top + found.shape[0], left : left + found.shape[1]], found)
    assert 0 < whole < len(seen)


def test_alone_each_frame_is_searched_and_nothing_smoothed(analyzer: VideoAnalyzer, walk: list[Shot]) -> None:
    stream = analyzer.stream(alone=True)
    for image, time_s, _ in walk[:4]:
        (frame,) = stream.push(image, time_s)
        assert frame.faces[0].detected
        assert frame.faces[0].smoothed == frame.faces[0].face.emotion
    track = stream.result().tracks[0]
    np.testing.assert_array_equal(track.smoothed, track.probabilities)


def test_the_same_video_gives_the_same_result(analyzer: VideoAnalyzer, walk: list[Shot]) -> None:
    first, second = (analyzer.analyze((image, time_s) for image, time_s, _ in walk) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert VideoResult.from_dict(json.loads(json.dumps(first.to_dict()))).tracks[0].number == 1


def test_an_analyzer_pickles_as_its_options_and_is_made_of_options(analyzer: VideoAnalyzer, walk: list[Shot]) -> None:
    content = pickle.dumps(analyzer)
    assert len(content) < 4000
    frames = [(image, time_s) for image, time_s, _ in walk[:5]]
    expected = analyzer.analyze(frames).to_dict()
    assert pickle.loads(content).analyze(frames).to_dict() == expected
    own = VideoAnalyzer.from_options(ModelOptions(), VideoOptions())
    assert own.analyze(frames).to_dict() == expected
    mapped = VideoAnalyzer.from_options(ModelOptions(output="baum8"), VideoOptions(smooth_s=0)).analyze(frames)
    np.testing.assert_allclose(mapped.tracks[0].smoothed, mapped.tracks[0].probabilities)
    first = analyzer.analyze(frames).tracks[0]
    assert mapped.labels.name == "baum8"
    np.testing.assert_allclose(
        mapped.tracks[0].probabilities, mapping(FERPLUS8, BAUM8).apply(first.probabilities), atol=1e-6
    )


def test_a_video_without_faces_is_a_result(analyzer: VideoAnalyzer) -> None:
    gray = np.full((120, 160, 3), 128, np.uint8)
    video = analyzer.analyze((gray, 0.5 * i) for i in range(4))
    assert video.tracks == ()
    assert video.summary.emotion is None
    assert video.times_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert video.end_s == 2.0


def test_a_single_frame_is_enough(analyzer: VideoAnalyzer, walk: list[Shot]) -> None:
    video = analyzer.analyze([(walk[0][0], 2.5)])
    (track,) = video.tracks
    assert (track.start_s, video.end_s, track.seen_s) == (2.5, 2.5, 0.0)
    assert track.emotion.top in track.labels.emotions
    assert track.timeline == ()


def test_max_faces_keeps_the_largest(walk: list[Shot]) -> None:
    paths = {
        0: [(0.0, 80.0, 120.0, 70.0), (1.0, 80.0, 120.0, 70.0)],
        1: [(0.0, 220.0, 120.0, 120.0), (1.0, 220.0, 120.0, 120.0)],
    }
    video = VideoAnalyzer(max_faces=1).analyze((image, t) for image, t, _ in planted(paths, seed=2, rate=5, seconds=1))
    (track,) = video.tracks
    assert track.boxes[0, 0] > 130


def test_other_outputs_and_small_faces(walk: list[Shot]) -> None:
    video = VideoAnalyzer(output="fer7", min_face_px=16).analyze((image, t) for image, t, _ in walk[:5])
    assert video.tracks[0].labels.name == "fer7"
    assert video.tracks[0].warnings == ()
    path = [(0.0, 160.0, 120.0, 27.0), (1.0, 161.0, 120.0, 27.0)]
    small = planted({0: path}, seed=2, rate=5, seconds=1)
    tiny = VideoAnalyzer(min_face_px=16).analyze((image, t) for image, t, _ in small)
    assert all("under 24 px the answer is a guess" in track.warnings[0] for track in tiny.tracks)


def test_a_patch_keeps_the_face_at_its_place() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    emotion = Emotion.from_dict(
        {"labels": "fer7", "probabilities": dict.fromkeys(
            ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), 1 / 7)}
    )  # fmt: skip
    for box in ((30.0, 20.0, 50.0, 45.0), (-5.0, -3.0, 10.0, 9.0), (70.5, 50.0, 92.0, 70.0)):
        patch = FacePatch.around(image, np.array(box, np.float32))
        shown = TrackedFace(1, Face(box, 1.0, ((box[0], box[1]),) * 5, emotion), emotion)
        (moved,) = patch.frame(1.0, shown).faces
        x1, y1, x2, y2 = box
        left, top = int(x1 - moved.face.box[0]), int(y1 - moved.face.box[1])
        np.testing.assert_array_equal(
            patch.image, image[top : top + patch.image.shape[0], left : left + patch.image.shape[1]]
        )
        assert moved.face.landmarks is not None
        assert moved.face.landmarks[0] == (x1 - left, y1 - top)
        # All of the box that lies in the image lies in the patch.
        assert left <= max(x1, 0)
        assert top <= max(y1, 0)
        assert left + patch.image.shape[1] >= min(x2, 80)
        assert top + patch.image.shape[0] >= min(y2, 60)


@pytest.mark.parametrize("times_s", [(1.0, 1.0), (1.0, 0.5)])
def test_times_must_rise(analyzer: VideoAnalyzer, times_s: tuple[float, float]) -> None:
    stream = analyzer.stream()
    gray = np.zeros((60, 80, 3), np.uint8)
    stream.push(gray, times_s[0])
    with pytest.raises(InputError, match="frames must come in the order of their times"):
        stream.push(gray, times_s[1])


def test_wrong_arguments_are_named(analyzer: VideoAnalyzer) -> None:
    with pytest.raises(InputError, match="image must be"):
        analyzer.stream().push(np.zeros((4, 4, 3)), 0.0)
    with pytest.raises(InputError, match="time_s must be a number of at least 0"):
        analyzer.stream().push(np.zeros((40, 40, 3), np.uint8), -1.0)
    with pytest.raises(InputError, match="at least one frame, but none was pushed"):
        analyzer.stream().result()
    with pytest.raises(InputError, match="smooth_s must be a number of at least 0"):
        VideoAnalyzer(smooth_s=-1)
    with pytest.raises(InputError, match="max_faces must be an integer of at least 1"):
        VideoAnalyzer(max_faces=0)
    with pytest.raises(UnknownModelError):
        VideoAnalyzer("nobody")
    with pytest.raises(ModelError, match="is for speech-emotion"):
        VideoAnalyzer("speech-base")


def test_many_people_are_forgotten_only_by_the_smoothing(analyzer: VideoAnalyzer) -> None:
    stream = analyzer.stream()
    for person in range(200):
        stream._smoother(person, 40.0 * person)
    assert len(stream._smoothers) <= 64
    kept = stream._smoother(199, 40.0 * 199 + 1)
    assert kept is stream._smoother(199, 40.0 * 199 + 2)
    assert kept is not stream._smoother(199, 40.0 * 199 + 99)


def test_numbers_follow_the_first_appearance(analyzer: VideoAnalyzer) -> None:
    stream = analyzer.stream()
    paths = {
        0: [(1.0, 80.0, 120.0, 90.0), (2.0, 80.0, 120.0, 90.0)],
        1: [(0.0, 220.0, 120.0, 100.0), (2.0, 220.0, 120.0, 100.0)],
    }
    all_frames(stream, planted(paths, seed=2, rate=5, seconds=2))
    starts = [track.start_s for track in stream.result().tracks]
    assert len(starts) == 2
    assert all(a <= b for a, b in pairwise(starts))
