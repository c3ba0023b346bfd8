"""`Detection`, `get_detector`, and detectors of one's own."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import mien
from mien.errors import InputError, ModelError
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import DETECTORS, Detection, default_min_face_px, get_detector


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dlib"}, "unknown detector 'dlib': expected one of mtcnn, haar, yunet"),
        ({"name": None}, "detector must be a name or an object with a method detect, but got None"),
        ({"min_face_px": 0}, "min_face_px must be a number of at least 1, but got 0"),
        ({"min_face_px": float("nan")}, "min_face_px must be a number of at least 1"),
        ({"threads": 0}, "threads must be an integer of at least 1, but got 0"),
        ({"device": "tpu"}, "device must be"),
        ({"name": "haar", "device": "cuda"}, "device of the detector haar must be 'cpu', but got 'cuda'"),
        ({"name": "yunet", "device": "cuda"}, "device of the detector yunet must be 'cpu', but got 'cuda'"),
    ],
)
def test_get_detector_refuses(arguments, message):
    with pytest.raises((InputError, ModelError), match=message):
        get_detector(**arguments)


def test_detection_puts_the_largest_first_and_is_read_only():
    boxes = np.array([(0, 0, 2, 2), (5, 5, 25, 15), (1, 1, 11, 11)])
    found = Detection(boxes, np.array([0.1, 0.2, 0.3]), np.arange(30).reshape(3, 5, 2))
    assert found.scores.tolist() == pytest.approx([0.2, 0.3, 0.1])
    assert found.landmarks[:, 0, 0].tolist() == [10, 20, 0]
    assert found.boxes[0].tolist() == [5, 5, 25, 15]
    assert len(found) == 3
    with pytest.raises(ValueError, match="read-only"):
        found.boxes[0] = 0


@pytest.mark.parametrize(
    ("boxes", "scores", "landmarks", "message"),
    [
        (np.zeros((1, 3)), np.zeros(1), None, r"boxes must have the shape \(n, 4\), but got float64 of shape \(1, 3\)"),
        ([[0, 0, 1, 1]], np.zeros(1), None, r"boxes must be a float array of shape \(n, 4\)"),
        (np.zeros((1, 4)), np.zeros(1), None, "x1 < x2"),
        (np.array([[0, 0, 1, np.nan]]), np.zeros(1), None, "boxes must be finite"),
        (np.array([[0, 0, 1, 1]]), np.zeros(2), None, r"scores must have the shape \(1,\)"),
        (np.array([[0, 0, 1, 1]]), np.array([1.5]), None, "scores must be from 0 to 1, but got 1.5"),
        (np.array([[0, 0, 1, 1]]), np.zeros(1), np.zeros((1, 2, 2)), r"landmarks must have the shape \(1, 5, 2\)"),
    ],
)
def test_detection_checks_itself(boxes, scores, landmarks, message):
    with pytest.raises(InputError, match=message):
        Detection(boxes, scores, landmarks)


@pytest.mark.parametrize(("height", "width", "expected"), [(720, 1280, 20), (2500, 2500, 20), (5000, 5000, 40)])
def test_default_min_face(height, width, expected):
    assert default_min_face_px(height, width) == pytest.approx(expected, abs=0.05)


def test_an_empty_detection_has_landmarks_where_the_detector_has():
    assert Detection.empty(landmarks=True).landmarks.shape == (0, 5, 2)
    assert Detection.empty(landmarks=False).landmarks is None


class Fixed:
    """A detector of one's own, that finds one face at a fixed place."""

    name = "fixed"

    def __init__(self, *, min_face_px=None, threads=None, device="cpu", engine="onnxruntime"):
        self.arguments = (min_face_px, threads, device, engine)

    def detect(self, image):
        return Detection(np.array([[10, 10, 50, 60]]), np.ones(1))


def test_a_detector_of_ones_own_is_taken_as_it_is():
    own = Fixed()
    assert get_detector(own) is own
    result = FaceAnalyzer(detector=own).analyze(np.zeros((80, 80, 3), np.uint8))
    assert (result.detector, result.faces[0].box) == ("fixed", (10, 10, 50, 60))


@dataclass
class Nameless:
    """A detector of one's own with nothing but what it must have; as a plain dataclass, it has no hash."""

    side: int

    def detect(self, image):
        return Detection(np.array([[10, 10, 10 + self.side, 10 + self.side]]), np.ones(1))


def test_a_detector_needs_no_name():
    image = np.zeros((80, 80, 3), np.uint8)
    for result in (mien.FaceAnalyzer(detector=Nameless(40)).analyze(image), mien.analyze(image, detector=Nameless(40))):
        assert (result.detector, result.faces[0].box) == ("Nameless", (10, 10, 50, 50))
    own = pickle.loads(pickle.dumps(mien.FaceAnalyzer(detector=Nameless(30))))
    assert own.analyze(image).faces[0].box == (10, 10, 40, 40)


@pytest.mark.parametrize("wrong", [3, None, Nameless, object()])
def test_what_cannot_detect_is_no_detector(wrong):
    with pytest.raises(InputError, match="detector must be a name or an object with a method detect"):
        get_detector(wrong)


def test_a_registered_detector_is_built_by_its_name(monkeypatch):
    monkeypatch.setitem(DETECTORS._entries, "fixed", Fixed)
    assert get_detector("fixed", min_face_px=30, threads=2).arguments == (30, 2, "cpu", "onnxruntime")
