"""Faces that are found only with another look: in dark and in turned images."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from mien.errors import InputError
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import Detection, get_detector
from mien.face.detect.search import find_faces

FACE = (180, 65, 267, 173)
"""The astronaut's, forehead to chin, marked by hand."""


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return FaceAnalyzer(threads=1)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()[:384, 64:448]


def placed(turns: int, side: int = 384) -> np.ndarray:
    """Where the face is in the image turned to the left so often."""
    marks = np.zeros((side, side), bool)
    marks[FACE[1] : FACE[3], FACE[0] - 64 : FACE[2] - 64] = True
    rows, columns = np.nonzero(np.rot90(marks, turns))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_faces_of_a_turned_image_are_found_in_its_own_pixels(analyzer, astronaut, turns):
    upright = analyzer.analyze(astronaut)
    assert upright.warnings == ()
    found = analyzer.analyze(np.ascontiguousarray(np.rot90(astronaut, turns)), quiet=True)
    (face,) = found.faces
    assert np.abs(np.array(face.box) - placed(turns)).max() < 14
    assert face.emotion.top == upright.faces[0].emotion.top
    # The landmarks are those of the face: the right eye is to the left eye's right once the image is upright.
    left, right = np.array(face.landmarks[:2])
    axis = {1: (0, -1), 2: (-1, 0), 3: (0, 1)}[turns]
    assert (right - left) @ np.array(axis) > 20
    assert found.warnings == (
        f"the faces are not upright: they were found in the image turned by {turns * 90} degrees clockwise",
    )


def test_a_dark_image_is_brightened(analyzer, astronaut):
    dark = np.round(astronaut * 0.05).astype(np.uint8)
    assert len(get_detector().detect(dark)) == 0
    result = analyzer.analyze(dark, quiet=True)
    (face,) = result.faces
    assert np.abs(np.array(face.box) - placed(0)).max() < 14
    assert result.warnings == ("the image is very dark: it was brightened",)
    assert face.emotion.top == analyzer.analyze(astronaut).faces[0].emotion.top


@pytest.mark.parametrize("image", [np.zeros((90, 120, 3), np.uint8), data.coffee(), data.coffee() // 10])
def test_nothing_is_found_where_nothing_is(analyzer, image):
    result = analyzer.analyze(image)
    assert (result.faces, result.warnings) == ((), ())


class Blind:
    """A detector that finds nothing, and counts its images."""

    name = "blind"

    def __init__(self, *, landmarks: bool) -> None:
        self.landmarks, self.shapes = landmarks, []

    def detect(self, image):
        self.shapes.append(image.shape)
        return Detection.empty(landmarks=self.landmarks)


@pytest.mark.parametrize(
    ("landmarks", "shapes"),
    [(False, [(1500, 2000, 3)]), (True, [(1500, 2000, 3), (640, 480, 3), (480, 640, 3), (640, 480, 3)])],
)
def test_only_faces_with_landmarks_can_be_turned_upright(landmarks, shapes):
    detector = Blind(landmarks=landmarks)
    find_faces(detector, np.full((1500, 2000, 3), 200, np.uint8))
    assert detector.shapes == shapes


@pytest.mark.parametrize(("pixels", "count"), [(2500, 0), (3600, 1)])
def test_a_large_image_says_which_faces_were_not_looked_for(analyzer, pixels, count):
    image = np.full((pixels, pixels, 3), 90, np.uint8)
    notes = analyzer.analyze(image, quiet=True).warnings
    assert len(notes) == count
    assert all("faces of under 29 px were not looked for" in note for note in notes)
    image[:384, :384] = data.astronaut()[:384, 64:448]  # one clear, large face: nothing speaks for smaller ones
    assert analyzer.analyze(image, quiet=True).warnings == ()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 3)])
def test_survives_thin_images(shape):
    assert len(find_faces(get_detector(), np.full((*shape, 3), 60, np.uint8))[0]) == 0


def test_a_detector_that_returns_something_else_is_named():
    class Boxes:
        def detect(self, image):
            return [(10, 10, 50, 60)]

    own = FaceAnalyzer(detector=Boxes())
    with pytest.raises(InputError, match=r"the detector 'Boxes' must return a mien\.face\.detect\.Detection, but its"):
        own.analyze(np.zeros((80, 80, 3), np.uint8))
