"""The contract of `mien.face.detect.Detector`, over all registered detectors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage import data

from mien.errors import InputError
from mien.face.detect import DETECTORS, Detection, Detector, get_detector

ASTRONAUT_FACE = (180, 65, 267, 173)
"""Forehead to chin, marked by hand."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.data if name == "yunet" else ()) for name in DETECTORS],
)
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "yunet":
        request.getfixturevalue("yunet_there")
    return get_detector(request.param)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> np.ndarray:
    """The astronaut's head alone, 200 x 200: one face at a low price."""
    return np.ascontiguousarray(astronaut[20:220, 120:320])


def overlap(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def same(a: Detection, b: Detection) -> bool:
    landmarks = (a.landmarks is None and b.landmarks is None) or np.array_equal(a.landmarks, b.landmarks)
    return np.array_equal(a.boxes, b.boxes) and np.array_equal(a.scores, b.scores) and landmarks


def test_has_its_name(detector):
    assert isinstance(detector, Detector)
    assert detector.name in DETECTORS


def test_finds_nothing_in_gray(detector):
    found = detector.detect(np.full((240, 320, 3), 127, np.uint8))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert found.landmarks is None or found.landmarks.shape == (0, 5, 2)


def test_finds_the_astronaut(detector, astronaut):
    found = detector.detect(astronaut)
    assert len(found) == 1
    assert overlap(found.boxes[0], ASTRONAUT_FACE) > 0.5
    assert 0.5 < found.scores[0] <= 1
    assert found.boxes.dtype == found.scores.dtype == np.float32


def test_landmarks_are_where_they_belong(detector, astronaut):
    found = detector.detect(astronaut)
    if found.landmarks is None:
        pytest.skip(f"{detector.name} has no landmarks")
    truth = np.array([(204, 101), (246, 102), (225, 127), (203, 141), (245, 141)])  # marked by hand
    assert np.abs(found.landmarks[0] - truth).max() < 6
    assert found.landmarks[0, 0, 0] < found.landmarks[0, 1, 0]
    x1, y1, x2, y2 = found.boxes[0]
    assert ((found.landmarks[0] > (x1, y1)) & (found.landmarks[0] < (x2, y2))).all()


def test_follows_a_mirrored_image(detector, astronaut):
    found = detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    x1, y1, x2, y2 = ASTRONAUT_FACE
    assert len(found) == 1
    assert overlap(found.boxes[0], (512 - x2, y1, 512 - x1, y2)) > 0.5
    assert found.landmarks is None or found.landmarks[0, 0, 0] < found.landmarks[0, 1, 0]


def test_orders_by_size(detector, astronaut):
    face = astronaut[20:220, 120:320]
    small = face[::2, ::2]
    image = np.full((220, 340, 3), 127, np.uint8)
    image[60:160, 10:110] = small
    image[10:210, 130:330] = face
    found = detector.detect(image)
    assert len(found) == 2
    assert found.boxes[0, 0] > 130 > found.boxes[1, 2]


def test_boxes_lie_in_the_image(detector, astronaut):
    for image in (astronaut[90:, :], astronaut[:, 200:], astronaut[:150, :240], astronaut[66:172, 180:266]):
        found = detector.detect(np.ascontiguousarray(image))
        height, width = image.shape[:2]
        assert (found.boxes >= 0).all()
        assert (found.boxes <= (width, height, width, height)).all()


@pytest.mark.parametrize("least", [20, 70, 150])
def test_min_face_px_is_the_longer_side_of_the_smallest_box(detector, astronaut, least):
    """Whatever is smaller is left out, whatever is larger is found, and the boxes are the same."""
    image = np.full((520, 800, 3), 127, np.uint8)
    image[:512, :512] = astronaut
    image[20:120, 600:700] = cv2.resize(astronaut[20:220, 120:320], (100, 100), interpolation=cv2.INTER_AREA)
    image[200:260, 620:680] = cv2.resize(astronaut[20:220, 120:320], (60, 60), interpolation=cv2.INTER_AREA)
    every = get_detector(detector.name, min_face_px=20).detect(image).boxes
    assert len(every) == 3
    found = get_detector(detector.name, min_face_px=least).detect(image).boxes
    sides = (every[:, 2:] - every[:, :2]).max(axis=1)
    assert len(found) == (sides >= least).sum()
    assert all(overlap(a, b) > 0.6 for a, b in zip(every, found, strict=False))
    assert ((found[:, 2:] - found[:, :2]).max(axis=1, initial=least) >= least).all()


def test_finds_small_faces_without_being_asked(detector, astronaut):
    """The smallest of a group, in images of the sizes that screens have."""
    image = np.full((720, 1280, 3), 127, np.uint8)
    small = cv2.resize(astronaut[20:220, 120:320], (64, 64), interpolation=cv2.INTER_AREA)
    for x in range(40, 1200, 200):
        image[300:364, x : x + 64] = small
    boxes = detector.detect(image).boxes
    assert len(boxes) >= 5  # haar searches in steps, and misses one of them
    assert (boxes[:, 2] - boxes[:, 0] < 36).all()


def test_says_what_the_smallest_face_is_that_it_looks_for(detector):
    assert detector.smallest_face_px(720, 1280) == 20
    assert 25 < detector.smallest_face_px(3000, 4000) <= 40
    asked = get_detector(detector.name, min_face_px=50)
    assert (asked.smallest_face_px(720, 1280), asked.smallest_face_px(3000, 4000)) == (50, 50)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (5, 7), (12, 12), (23, 400)])
def test_survives_tiny_images(detector, shape):
    assert len(detector.detect(np.zeros((*shape, 3), np.uint8))) == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 99))
def test_survives_noise(detector, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = detector.detect(image)
    assert (found.boxes <= (width, height, width, height)).all()


def test_takes_read_only_and_strided_arrays(detector, portrait):
    image = portrait.copy()
    image.setflags(write=False)
    wide = np.zeros((200, 400, 3), np.uint8)
    wide[:, ::2] = portrait
    expected = detector.detect(portrait)
    assert len(expected) == 1
    assert same(detector.detect(image), expected)
    assert same(detector.detect(wide[:, ::2]), expected)
    assert np.array_equal(image, portrait)


def test_threads_get_the_same_answer(detector, portrait):
    images = [portrait, np.ascontiguousarray(portrait[:, ::-1])] * 3
    alone = [detector.detect(image) for image in images]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(detector.detect, images))
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_is_deterministic(detector, portrait):
    assert same(detector.detect(portrait), get_detector(detector.name).detect(portrait))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), r"image must be uint8 of shape \(H, W, 3\), but got float64 of shape \(4, 4\)"),
        (np.zeros((4, 4, 2), np.uint8), r"but got uint8 of shape \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "must not be empty"),
        ("face.jpg", "but got 'face.jpg'"),
    ],
)
def test_refuses_what_is_no_image(detector, image, message):
    with pytest.raises(InputError, match=message):
        detector.detect(image)
