from __future__ import annotations

import cv2
import numpy as np
import pytest

import mien
from mien.errors import InputError
from mien.face.detect import Detection, Detector, get_detector
from mien.face.prepare import BOX_EYES, FaceCut, cut_faces
from mien.io.image import read_image
from mien.samples import astronaut_path


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return read_image(astronaut_path()).pixels


@pytest.fixture(scope="module")
def mtcnn() -> Detector:
    return get_detector("mtcnn")


class Planted:
    """A detector that finds what it is told."""

    name = "planted"

    def __init__(self, boxes: list[list[float]], landmarks: list[list[list[float]]] | None = None) -> None:
        shape = (-1, 5, 2)
        self._boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self._landmarks = None if landmarks is None else np.array(landmarks, np.float32).reshape(shape)

    def detect(self, image: np.ndarray) -> Detection:
        return Detection(self._boxes, np.full(len(self._boxes), 0.9, np.float32), self._landmarks)


def face_points(left: tuple[float, float], right: tuple[float, float]) -> list[list[float]]:
    (x1, y1), (x2, y2) = left, right
    return [[x1, y1], [x2, y2], [(x1 + x2) / 2, y1 + 20], [x1, y1 + 40], [x2, y2 + 40]]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def test_a_face_is_cut_where_its_eyes_are() -> None:
    # White dots on black at the eyes: in the crop they lie at (1/2 -+ 1/2/2.1) of the width, 0.375 of the height.
    image = np.zeros((300, 400, 3), np.uint8)
    eyes = (150.0, 120.0), (190.0, 150.0)
    for x, y in eyes:
        cv2.circle(image, (int(x), int(y)), 4, (255, 255, 255), -1)
    box = [120.0, 80.0, 240.0, 240.0]
    faces, found = cut_faces(image, Planted([box], [face_points(*eyes)]), FaceCut(size=96, smooth=False))
    assert found == 1
    crop = faces[0].pixels
    assert (crop.shape, crop.dtype) == ((96, 96), np.uint8)
    ys, xs = np.nonzero(crop > 100)
    left = xs < 48
    assert xs[left].mean() + 0.5 == pytest.approx(96 * (0.5 - 0.5 / 2.1), abs=0.7)
    assert xs[~left].mean() + 0.5 == pytest.approx(96 * (0.5 + 0.5 / 2.1), abs=0.7)
    assert ys.mean() + 0.5 == pytest.approx(96 * 0.375, abs=0.7)
    assert faces[0].box == tuple(box)
    assert faces[0].landmarks is not None
    assert faces[0].landmarks[:2] == eyes
    assert faces[0].score == pytest.approx(0.9)


@pytest.mark.parametrize(("angle", "scale"), [(0, 1.0), (20, 0.8), (-25, 1.2)])
def test_a_turned_and_scaled_face_gives_the_same_crop(
    portrait: np.ndarray, mtcnn: Detector, angle: float, scale: float
) -> None:
    straight = cut_faces(portrait, mtcnn, FaceCut(size=64))[0][0]
    matrix = cv2.getRotationMatrix2D((224, 117), angle, scale)
    matrix[:, 2] += (130, 160)
    canvas = cv2.warpAffine(portrait, matrix, (720, 640), flags=cv2.INTER_CUBIC, borderValue=(90, 90, 90))
    turned = cut_faces(canvas, mtcnn, FaceCut(size=64))[0][0]
    assert correlation(straight.pixels, turned.pixels) > 0.95
    assert straight.landmarks is not None
    assert turned.landmarks is not None
    eyes = np.array(straight.landmarks[:2]) @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(eyes - turned.landmarks[:2]).max() < 5


def test_all_faces_come_largest_first_and_most_limits_them(portrait: np.ndarray, mtcnn: Detector) -> None:
    canvas = np.full((540, 900, 3), 90, np.uint8)
    canvas[:512, :512] = portrait
    canvas[:256, 540:796] = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    faces, found = cut_faces(canvas, mtcnn)
    assert found == len(faces) == 2
    assert faces[0].box[0] < 512 < faces[1].box[0]
    only, found = cut_faces(canvas, mtcnn, most=1)
    assert (len(only), found) == (1, 2)
    assert np.array_equal(only[0].pixels, faces[0].pixels)


def test_a_profile_is_left_out_and_the_next_face_taken() -> None:
    boxes = [[0.0, 0.0, 100.0, 120.0], [120.0, 20.0, 180.0, 90.0]]
    landmarks = [face_points((60, 40), (66, 40)), face_points((135, 45), (160, 45))]
    image = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    faces, found = cut_faces(image, Planted(boxes, landmarks), most=1)
    assert found == 2
    assert [face.box for face in faces] == [tuple(boxes[1])]


def test_without_points_eyes_are_assumed_in_the_box() -> None:
    box = [10.0, 20.0, 110.0, 140.0]
    eyes = [(10 + x * 100, 20 + y * 120) for x, y in BOX_EYES]
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assumed = cut_faces(image, Planted([box]))[0][0]
    known = cut_faces(image, Planted([box], [face_points(*eyes)]))[0][0]
    assert assumed.landmarks is None
    assert np.abs(assumed.pixels.astype(int) - known.pixels).max() <= 1


def test_haar_and_mtcnn_cut_the_same_face_alike(portrait: np.ndarray, mtcnn: Detector) -> None:
    by_box = cut_faces(portrait, get_detector("haar"), most=1)[0][0]
    by_eyes = cut_faces(portrait, mtcnn, most=1)[0][0]
    assert correlation(by_box.pixels, by_eyes.pixels) > 0.5


def test_the_public_call_takes_paths_and_arrays(portrait: np.ndarray) -> None:
    by_path, by_array = mien.prepare_faces(astronaut_path()), mien.prepare_faces(portrait)
    assert len(by_path) == len(by_array) == 1
    assert np.array_equal(by_path[0].pixels, by_array[0].pixels)
    color = mien.prepare_faces(portrait, gray=False, smooth=False, size=32, x_factor=3, y_factor=3)
    assert color[0].pixels.shape == (32, 32, 3)
    assert mien.prepare_faces(np.full((80, 80, 3), 128, np.uint8)) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x_factor": 0}, "x_factor must be a number from 0.1 to 20, but got 0.0"),
        ({"y_factor": float("nan")}, "y_factor must be a number from 0.1 to 20, but got nan"),
        ({"size": 7}, "size must be an integer from 8 to 1024, but got 7"),
        ({"smooth": 1}, "smooth must be true or false, but got 1"),
        ({"gray": "no"}, "gray must be true or false, but got 'no'"),
        ({"detector": "eyes"}, "unknown detector 'eyes': expected one of mtcnn, haar, yunet"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str, portrait: np.ndarray) -> None:
    with pytest.raises(InputError, match=message):
        mien.prepare_faces(portrait, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (500, 2, 3)])
def test_images_too_small_for_a_face_have_none(mtcnn: Detector, shape: tuple[int, ...]) -> None:
    assert cut_faces(np.zeros(shape, np.uint8), mtcnn) == ((), 0)
