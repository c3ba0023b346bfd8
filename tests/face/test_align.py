"""Crops by points, by box and by the distance of the eyes, against planted faces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.transform import SimilarityTransform

from mien.errors import InputError
from mien.face.align import BoxMap, Crop, crop_matrix, eye_distance_crop, fit_crop, model_crop, similarity

POINTS = ((15.0, 18.4), (33.0, 18.4), (24.0, 28.9), (16.5, 37.8), (31.5, 37.8))
TABLE = {
    "size": 48,
    "points": [list(point) for point in POINTS],
    "boxes": {"mtcnn": {"center": [0.1, -0.05], "side": 1.2, "found": 0.9}},
    "spread": {"log_scale": {"mad": 0.1}},
}
GEOMETRY = Crop.from_dict(TABLE)


def planted(step: float, degrees: float, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """A face in an image: the map from the crop to it, and its five points."""
    a, b = step * math.cos(math.radians(degrees)), step * math.sin(math.radians(degrees))
    matrix = np.array([[a, -b, x], [b, a, y]])
    return matrix, np.array(POINTS) @ matrix[:, :2].T + matrix[:, 2]


def box_of(points: np.ndarray) -> tuple[float, ...]:
    """A box about a face of that size."""
    middle, half = points.mean(axis=0), 1.1 * np.hypot(*(points[1] - points[0]))
    return (*(middle - half), *(middle + half))


@settings(deadline=None, max_examples=50)
@given(step=st.floats(0.1, 30), degrees=st.floats(-180, 180), x=st.floats(-500, 5000), y=st.floats(-500, 5000))
def test_points_bring_back_a_planted_face(step, degrees, x, y):
    matrix, points = planted(step, degrees, x, y)
    assert crop_matrix(box_of(points), points, GEOMETRY) == pytest.approx(matrix, rel=1e-6, abs=1e-4)


def test_similarity_meets_umeyama_of_scikit_image():
    rng = np.random.default_rng(5)
    source, target = rng.uniform(0, 100, (5, 2)), rng.uniform(0, 48, (5, 2))
    matrix, residual = similarity(source, target)
    oracle = SimilarityTransform.from_estimate(source, target)
    assert matrix == pytest.approx(oracle.params[:2], abs=1e-9)
    assert residual == pytest.approx(math.sqrt((oracle.residuals(source, target) ** 2).mean()))


def test_similarity_refuses_one_point():
    with pytest.raises(InputError, match="must not coincide"):
        similarity(np.ones((5, 2)), np.array(POINTS))


BY_BOX = np.array([[1.2 * 100 / 48, 0, 150 + 10 - 60], [0, 1.2 * 100 / 48, 250 - 5 - 60]])


@pytest.mark.parametrize(
    "points",
    [
        None,
        np.full((5, 2), 150.0),
        np.full((5, 2), np.nan),
        [(110, 220), (190, 220), (150, 250), (190, 290), (110, 290)],  # the mouth's corners changed places
        [(148, 249), (151, 249), (149.5, 250.7), (148.2, 252.2), (150.8, 252.2)],  # a face of 3 px in a box of 100
    ],
)
def test_bad_points_fall_back_to_the_box(points):
    assert crop_matrix((100, 200, 200, 300), points, GEOMETRY, "mtcnn") == pytest.approx(BY_BOX)


def test_an_unknown_detector_gets_the_square_of_the_boxs_area():
    matrix = crop_matrix((0, 0, 40, 90), None, GEOMETRY, "other")
    assert matrix == pytest.approx(np.array([[60 / 48, 0, 20 - 30], [0, 60 / 48, 45 - 30]]))


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (5, 5, 1, 9), (0, 0, math.inf, 1), (1, 2, 3)])
def test_refuses_a_bad_box(box):
    with pytest.raises(InputError, match="box must be finite"):
        crop_matrix(box, None, GEOMETRY)


def test_refuses_other_points():
    with pytest.raises(InputError, match=r"landmarks must have the shape \(5, 2\)"):
        crop_matrix((0, 0, 9, 9), np.zeros((4, 2)), GEOMETRY)


def test_model_crop_puts_the_eyes_in_place():
    _, points = planted(3.0, 25, 150, 60)
    image = np.zeros((300, 400, 3), np.uint8)
    for x, y in points[:2]:
        image[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5] = 255
    crop = model_crop(image, box_of(points), points, GEOMETRY, "mtcnn")
    assert crop.shape == (48, 48, 3)
    rows, columns = np.nonzero(crop[..., 0] > 128)
    left = columns < 24
    assert (columns[left].mean() + 0.5, rows[left].mean() + 0.5) == pytest.approx(POINTS[0], abs=0.4)
    assert (columns[~left].mean() + 0.5, rows[~left].mean() + 0.5) == pytest.approx(POINTS[1], abs=0.4)


@pytest.mark.parametrize("shape", [(1, 1, 3), (300, 200, 3), (48, 48), (20, 31, 1)])
def test_fit_crop_takes_any_size(shape):
    crop = np.full(shape, 77, np.uint8)
    fitted = fit_crop(crop, 48)
    assert fitted.shape == (48, 48, 3)
    assert (fitted == 77).all()


def test_fit_crop_keeps_a_crop_of_the_right_size():
    crop = data.astronaut()[:48, :48]
    assert np.array_equal(fit_crop(crop, 48), crop)
    with pytest.raises(InputError, match="crop must be uint8"):
        fit_crop(crop / 255, 48)


def test_eye_distance_crop_measures_in_eye_distances():
    """Bars at the crop's edges, drawn in a turned face, come to lie at the edges."""
    crop = eye_distance_crop(grid(), [(80, 100), (120, 100)], smooth=False, gray=True)
    assert crop.shape == (48, 48)
    # 2.1 x 40 = 84 px wide from x = 58; 3.2 x 40 = 128 px high from y = 100 - 0.375 x 128 = 52
    expected_x, expected_y = 58 + 84 * (np.arange(48) + 0.5) / 48, 52 + 128 * (np.arange(48) + 0.5) / 48
    color = eye_distance_crop(grid(), [(80, 100), (120, 100)], smooth=False, gray=False).astype(float)
    assert np.abs(color[..., 0] - (expected_x - 0.5)[None]).max() <= 1
    assert np.abs(color[..., 1] - (expected_y - 0.5)[:, None]).max() <= 1


def grid() -> np.ndarray:
    y, x = np.mgrid[:200, :200]
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def test_eye_distance_crop_turns_to_the_eye_line():
    upright = eye_distance_crop(grid(), [(80, 100), (120, 100)])
    turned = np.ascontiguousarray(np.rot90(grid()))  # a quarter turn to the left: (x, y) goes to (y, 200 - x)
    again = eye_distance_crop(turned, [(100, 120), (100, 80)])
    assert np.abs(upright.astype(int) - again).max() <= 1


def test_smoothing_is_the_binomial_kernel():
    image = np.zeros((48, 48, 3), np.uint8)
    image[24, 24] = 160
    eyes = np.array([(24 - 24 / 2.1, 18), (24 + 24 / 2.1, 18)])
    plain, smooth = (
        eye_distance_crop(image, eyes, x_factor=2.1, y_factor=2.1, smooth=smooth, gray=False)[..., 0].astype(float)
        for smooth in (False, True)
    )
    padded = np.pad(plain, 1, mode="edge")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = sum(kernel[a, b] * padded[a : a + 48, b : b + 48] for a in range(3) for b in range(3))
    assert np.abs(smooth - expected).max() <= 1


def test_eye_distance_crop_refuses_one_eye():
    with pytest.raises(InputError, match="at least one pixel apart"):
        eye_distance_crop(grid(), [(5, 5), (5, 5)])
    with pytest.raises(InputError, match="landmarks must be"):
        eye_distance_crop(grid(), "eyes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 4}, "size must be an integer from 8"),
        ({"points": [[1, 2]]}, "points of the crop must be"),
        ({"points": [[1, 2]] * 5}, "two eyes apart"),
        ({"boxes": {"mtcnn": {"center": [0, 0]}}}, "must have 'side'"),
        ({"boxes": {"mtcnn": {"center": [0, 0], "side": 0}}}, "side must be a number from 0.1 to 10"),
        ({"boxes": {"mtcnn": 3}}, "malformed"),
        ({"eyes": {"x_factor": 2.1}}, "malformed"),
        ({"eyes": {"x_factor": 0, "y_factor": 3.2}}, "x_factor must be a number from 0.1 to 20"),
        ({"eyes": {"x_factor": 2.1, "y_factor": 3.2, "smooth": 1}}, "smooth must be true or false, but got 1"),
    ],
)
def test_crop_table_is_checked(change, message):
    with pytest.raises(InputError, match=message):
        Crop.from_dict({**TABLE, **change})


def test_crop_table_is_read():
    assert GEOMETRY.size == 48
    assert GEOMETRY.points == POINTS
    assert GEOMETRY.boxes == {"mtcnn": BoxMap((0.1, -0.05), 1.2)}
    with pytest.raises(InputError, match="must have 'points'"):
        Crop.from_dict({"size": 48})


@pytest.mark.parametrize("smooth", [True, False])
def test_a_model_of_eye_distance_crops_gets_such(smooth):
    geometry = Crop.from_dict({**TABLE, "eyes": {"x_factor": 2.1, "y_factor": 3.2, "smooth": smooth}})
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    points = 60 + np.array(POINTS)
    box = box_of(points)
    expected = eye_distance_crop(image, points, x_factor=2.1, y_factor=3.2, smooth=smooth, gray=False)
    np.testing.assert_array_equal(model_crop(image, box, points, geometry), expected)
    # Without points, the box decides, as for any other model.
    matrix = crop_matrix(box, None, geometry, "mtcnn")
    np.testing.assert_array_equal(matrix, crop_matrix(box, None, GEOMETRY, "mtcnn"))
