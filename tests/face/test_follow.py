"""Looking again at places where faces are expected, against planted truth and the search of the whole image."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import InputError
from mien.face.detect.mtcnn import O_SCORE, MtcnnDetector
from planted_faces import Actor, Scene, Video
from tracking_scores import overlap

PEOPLE = ((0, 110, 120, 90), (8, 330, 140, 70))
VIDEO = Video("two", 1, (Scene(0, tuple(Actor(who, ((0, x, y, h), (9, x, y, h))) for who, x, y, h in PEOPLE), 3),))


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector()


@pytest.fixture(scope="module")
def shot():
    return VIDEO.shot(0.0)


def moved(box, across, down, zoom=1.0):
    """Return a box shifted by parts of its height and enlarged."""
    x1, y1, x2, y2 = box
    height = y2 - y1
    x, y, half = (x1 + x2) / 2 + across * height, (y1 + y2) / 2 + down * height, np.array([x2 - x1, height]) / 2 * zoom
    return x - half[0], y - half[1], x + half[0], y + half[1]


@pytest.mark.parametrize(
    ("across", "down", "zoom"), [(0, 0, 1), (0.2, 0, 1), (0, -0.3, 1), (-0.25, 0.25, 1), (0, 0, 0.7), (0.1, 0, 1.35)]
)
def test_a_face_is_found_near_where_it_is_expected(detector, shot, across, down, zoom):
    expected = np.array([moved(one.box, across, down, zoom) for one in shot.faces])
    boxes, scores, landmarks = detector.follow(shot.image, expected)
    assert boxes.shape == (2, 4)
    assert boxes.dtype == scores.dtype == landmarks.dtype == np.float32
    for box, score, five, one in zip(boxes, scores, landmarks, shot.faces, strict=True):
        assert score > O_SCORE
        assert overlap(box, one.box) > 0.6
        assert (five > box[:2]).all()
        assert (five < box[2:]).all()
        assert five[0, 0] < five[1, 0]
        assert five[:2, 1].max() < five[2, 1] < five[3:, 1].min()


def test_what_is_followed_is_what_is_detected(detector, shot):
    found = detector.detect(shot.image)
    boxes, scores, landmarks = detector.follow(shot.image, found.boxes)
    for i in range(2):
        assert overlap(boxes[i], found.boxes[i]) > 0.75
        assert np.abs(landmarks[i] - found.landmarks[i]).max() < 6
    assert scores.min() > 0.95


def test_rows_stay_in_order_and_empty_places_are_no_faces(detector, shot):
    left, right = (one.box for one in shot.faces)
    expected = np.array([right, (200, 10, 240, 60), left], np.float32)
    expected.setflags(write=False)
    boxes, scores, _ = detector.follow(shot.image, expected)
    assert overlap(boxes[0], right) > 0.6
    assert overlap(boxes[2], left) > 0.6
    assert scores[1] < 0.5 < scores[[0, 2]].min()


def test_places_beyond_the_image_are_no_faces(detector, shot):
    expected = np.array([(-500, -500, -400, -380), (9e5, 9e5, 9.5e5, 9.6e5), (5, 5, 5, 5), (90, 90, 20, 20)], float)
    boxes, scores, landmarks = detector.follow(shot.image, expected)
    assert np.isfinite(boxes).all()
    assert np.isfinite(landmarks).all()
    assert (scores <= O_SCORE).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5)])
def test_tiny_images(detector, size):
    _, scores, _ = detector.follow(np.full((*size, 3), 99, np.uint8), np.array([(0.0, 0, 4, 5)]))
    assert scores[0] <= O_SCORE


def test_nothing_to_follow(detector, shot):
    boxes, scores, landmarks = detector.follow(shot.image, np.zeros((0, 4)))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
    assert landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros(4), r"boxes must be a float array of shape \(n, 4\), but got float64 of shape \(4,\)"),
        (np.zeros((2, 5)), r"shape \(n, 4\)"),
        ([[0, 0, 1, 1]], r"shape \(n, 4\), but got an object of type list"),
        (np.array([["a"] * 4]), r"shape \(n, 4\)"),
        (np.array([[0, 0, np.nan, 1]]), "boxes must be finite"),
        (np.array([[0, 0, 1e9, 1]]), "within 1e.06 pixels"),
    ],
)
def test_boxes_that_are_none(detector, shot, boxes, message):
    with pytest.raises(InputError, match=message):
        detector.follow(shot.image, boxes)


def test_an_image_that_is_none(detector):
    with pytest.raises(InputError, match="image must be uint8"):
        detector.follow(np.zeros((9, 9, 3)), np.zeros((0, 4)))
