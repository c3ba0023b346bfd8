"""Drawing on images: what changes, where, in which color, and nothing else; maps laid over faces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import InputError
from mien.face.explain import Explanation
from mien.labels import FERPLUS8
from mien.output.canvas import COLORS
from mien.output.draw import draw, heat
from mien.results import Emotion, Face, ImageResult

GRAY = 110


def ground(height: int, width: int) -> Any:
    return np.full((height, width, 3), GRAY, dtype=np.uint8)


def changed(drawn: Any) -> Any:
    return (drawn != GRAY).any(axis=2)


def test_input_is_not_modified_and_may_be_read_only(make_face: Any) -> None:
    image = ground(200, 200)
    image.flags.writeable = False
    drawn = draw(image, make_face((50, 50, 120, 140)))
    assert (image == GRAY).all()
    assert drawn.flags.writeable
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert changed(drawn).any()


def test_gray_and_strided_images(make_face: Any) -> None:
    assert draw(np.zeros((60, 80), np.uint8), make_face((10, 10, 40, 40))).shape == (60, 80, 3)
    assert draw(ground(120, 160)[::2, ::-2], make_face((10, 10, 40, 40))).shape == (60, 80, 3)


def test_nothing_to_draw_changes_nothing() -> None:
    assert (draw(ground(50, 50), []) == GRAY).all()
    assert (draw(ground(50, 50), ImageResult(50, 50)) == GRAY).all()


@pytest.mark.parametrize("emotion", sorted(set(COLORS) & set(FERPLUS8.emotions)))
def test_box_has_the_color_of_its_emotion(make_face: Any, emotion: str) -> None:
    drawn = draw(ground(512, 512), make_face((100.5, 100.5, 300.5, 300.5), emotion))
    for point in ((200, 100), (200, 300), (100, 200), (300, 200)):
        assert tuple(drawn[point]) == COLORS[emotion]


def test_face_without_emotion_is_only_a_white_box(make_face: Any) -> None:
    drawn = draw(ground(400, 400), make_face((100.5, 100.5, 250.5, 250.5), None))
    assert tuple(drawn[100, 170]) == (255, 255, 255)
    rows, columns = np.nonzero(changed(drawn))
    assert rows.min() >= 92
    assert rows.max() <= 259
    assert not changed(drawn)[110:240, 110:240].any()
    assert columns.max() <= 259


def test_only_pixels_near_the_box_change_without_labels_and_bars(make_face: Any) -> None:
    drawn = draw(ground(512, 512), make_face((150, 150, 350, 380)), labels=False, bars=False)
    away = np.ones((512, 512), bool)
    away[140:390, 140:360] = False
    away[165:365, 165:335] = True
    assert not changed(drawn)[away].any()


def test_labels_and_bars_stay_near_the_face(make_face: Any) -> None:
    drawn = draw(ground(2000, 2000), make_face((900, 900, 1100, 1150)))
    rows, columns = np.nonzero(changed(drawn))
    assert rows.min() > 800
    assert rows.max() < 1250
    assert columns.min() > 700
    assert columns.max() < 1500


def test_unsure_is_dashed(make_face: Any) -> None:
    def share_on(face: Face) -> float:
        drawn = draw(ground(512, 512), face, labels=False, bars=False)
        return float((drawn[100, 120:280] == COLORS["sadness"]).all(axis=1).mean())

    assert share_on(make_face((100.5, 100.5, 300.5, 300.5), "sadness")) == 1
    assert 0.3 < share_on(make_face((100.5, 100.5, 300.5, 300.5), "sadness", 0.4)) < 0.7


def test_strip_is_parted_like_the_distribution() -> None:
    emotion = Emotion(FERPLUS8, (0.5, 0.25, 0.25, 0, 0, 0, 0, 0))
    faces = [Face((10, 10 + 190 * i, 410, 190 + 190 * i), 0.9, None, emotion) for i in range(5)]
    drawn = draw(ground(1000, 420), faces, labels=False)
    inside = drawn[12:188, 20:400].reshape(-1, 3)
    counts = [(inside == COLORS[name]).all(axis=1).sum() for name in ("neutral", "happiness", "surprise")]
    assert counts[0] / sum(counts) == pytest.approx(0.5, abs=0.03)
    assert counts[1] / sum(counts) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 3), (12, 12), (20, 60)])
def test_tiny_images(make_face: Any, shape: tuple[int, int]) -> None:
    for box in ((0, 0, 1, 1), (-5, -5, 50, 50), (0.2, 0.2, 0.7, 0.7)):
        for share in (0.9, 0.3):
            assert draw(ground(*shape), make_face(box, "fear", share)).shape == (*shape, 3)


def test_faces_outside_the_image(make_face: Any) -> None:
    outside = [make_face(b) for b in ((500, 10, 600, 90), (-90, 10, -5, 90), (10, 300, 60, 400), (1e9, 1e9, 2e9, 2e9))]
    assert (draw(ground(200, 200), outside) == GRAY).all()
    assert changed(draw(ground(200, 200), make_face((150, 150, 900, 900)))).any()
    assert changed(draw(ground(200, 200), make_face((-1e6, -1e6, 1e6, 1e6)))).any()


def test_label_is_within_the_image_at_every_edge(make_face: Any) -> None:
    for x in (0, 75, 150):
        for y in (0, 75, 150):
            plain = draw(ground(200, 200), make_face((x, y, x + 50, y + 50)), labels=False, bars=False)
            drawn = draw(ground(200, 200), make_face((x, y, x + 50, y + 50)), bars=False)
            label = (drawn == COLORS["happiness"]).all(axis=2) & ~(plain == COLORS["happiness"]).all(axis=2)
            rows, columns = np.nonzero(label)
            assert np.ptp(columns) > 50, (x, y)  # the whole label, not a cut one
            assert np.ptp(rows) >= 10, (x, y)


def test_many_faces(make_face: Any) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 600, (200, 2))
    faces = [make_face((x, y, x + w, y + w)) for (x, y), w in zip(corners, rng.uniform(5, 80, 200), strict=True)]
    assert draw(ground(640, 640), faces).shape == (640, 640, 3)


@pytest.mark.parametrize("side", [14, 20, 40])
def test_in_a_crowd_labels_hide_no_face(make_face: Any, side: int) -> None:
    size = 8 * 1.6 * side
    starts = [(1.6 * side * x + 4, 1.6 * side * y + 4) for y in range(8) for x in range(8)]
    faces = [make_face((x, y, x + side, y + side), "happiness", 0.4 + 0.005 * i) for i, (x, y) in enumerate(starts)]
    image = np.full((round(size), round(size), 3), 90, np.uint8)
    plain, labeled = draw(image, faces, labels=False), draw(image, faces)
    inside = np.zeros(image.shape[:2], bool)
    for x, y in starts:
        inside[round(y + 4) : round(y + side - 4), round(x + 4) : round(x + side - 4)] = True
    assert ((plain != labeled).any(axis=2) & inside).sum() < 0.01 * inside.sum()
    alone = draw(np.full((400, 400, 3), 90, np.uint8), [*faces[:1], make_face((300, 300, 340, 340))])
    assert (alone != draw(np.full((400, 400, 3), 90, np.uint8), faces[:1])).sum() > 3000


def test_labels_get_out_of_each_others_way(make_face: Any) -> None:
    names = ("anger", "happiness", "sadness")
    faces = [make_face((100 + 50 * k, 100, 140 + 50 * k, 150), name) for k, name in enumerate(names)]
    together = draw(ground(300, 400), faces, bars=False)
    for face, name in zip(faces, names, strict=True):
        alone = draw(ground(300, 400), face, bars=False)
        areas = [(drawn == COLORS[name]).all(axis=2).sum() for drawn in (together, alone)]
        assert areas[0] == pytest.approx(areas[1], rel=0.05)


def test_scale_makes_lines_thicker(make_face: Any) -> None:
    face = make_face((150, 150, 350, 380), None)
    thin, thick = (changed(draw(ground(512, 512), face, scale=scale)).sum() for scale in (0.5, 2.0))
    assert thick > 2.5 * thin


def test_letters_grow_with_the_image(make_face: Any) -> None:
    heights = []
    for size in (200, 512, 2000):
        drawn = draw(ground(size, size), make_face((size * 0.3, size * 0.3, size * 0.6, size * 0.6), None), bars=False)
        heights.append(int(changed(drawn)[:, size // 2].sum()))
    assert heights[0] < heights[1] < heights[2]


def test_wrong_input(make_face: Any) -> None:
    with pytest.raises(InputError, match=r"image must be uint8 of shape \(H, W, 3\), but got float64"):
        draw(np.zeros((5, 5, 3)), [])
    with pytest.raises(InputError, match="belongs to an image of 10 x 20 pixels, but the image has 30 x 40"):
        draw(ground(40, 30), ImageResult(10, 20))
    for wrong in (3, None, [1], "face"):
        with pytest.raises(InputError, match="faces must be an ImageResult or faces, but got"):
            draw(ground(5, 5), wrong)  # type: ignore[arg-type]
    for scale in (0, float("nan"), 100):
        with pytest.raises(InputError, match=r"scale must be a number from 0.25 to 4"):
            draw(ground(5, 5), [], scale=scale)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.lists(
        st.tuples(st.floats(-120, 120), st.floats(-120, 120), st.floats(0.01, 300), st.floats(0.01, 300)), max_size=6
    ),
    st.floats(0.13, 1),
)
def test_any_boxes(height: int, width: int, boxes: list[tuple[float, ...]], share: float) -> None:
    rest = (1 - share) / 7
    emotion = Emotion(FERPLUS8, (share, *[rest] * 7))
    faces = [Face((x, y, x + w, y + h), 0.5, None, emotion) for x, y, w, h in boxes]
    assert draw(ground(height, width), faces).shape == (height, width, 3)


# --- maps -----------------------------------------------------------------------------------------------------------


def explained(values: np.ndarray, matrix: np.ndarray, *, size: int = 48) -> Explanation:
    step = size / len(values)
    return Explanation("anger", "fer7", "cam", values.astype(np.float32), (step / 2, step), size, matrix)


def one_cell(row: int, column: int) -> np.ndarray:
    values = np.zeros((6, 6))
    values[row, column] = 5.0
    return values


def center(changed: np.ndarray) -> tuple[float, float]:
    """Return x, y of the center of what changed, in continuous coordinates."""
    ys, xs = np.nonzero(changed > 0.5 * changed.max())
    return xs.mean() + 0.5, ys.mean() + 0.5


TURNED = 2.5 * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[1.0, 0, 20], [0, 1, 30]]),
        np.array([[4.0, 0, 10], [0, 3, 5.5]]),
        np.column_stack([TURNED, [120.0, 40.0]]),
    ],
)
@pytest.mark.parametrize(("row", "column"), [(1, 1), (2, 4), (4, 3)])
def test_the_brightest_cell_lies_where_the_crop_was_cut(matrix: np.ndarray, row: int, column: int) -> None:
    image = np.full((260, 300, 3), 90, np.uint8)
    drawn = heat(image, explained(one_cell(row, column), matrix))
    expected = matrix @ [8 * column + 4, 8 * row + 4, 1]
    scale = np.hypot(*matrix[:, 0])
    assert center(np.abs(drawn.astype(int) - 90).sum(axis=2)) == pytest.approx(tuple(expected), abs=0.3 + 0.5 * scale)


def test_outside_the_crop_nothing_changes_and_the_image_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    before = image.copy()
    drawn = heat(image, explained(np.ones((6, 6)), np.array([[1.0, 0, 30], [0, 1, 20]])))
    np.testing.assert_array_equal(image, before)
    changed = (drawn != image).any(axis=2)
    assert changed[22:66, 32:76].mean() > 0.95
    changed[20:68, 30:78] = False
    assert not changed.any()


@pytest.mark.parametrize("values", [np.zeros((6, 6)), -np.ones((6, 6))])
def test_where_nothing_spoke_for_it_nothing_is_drawn(values: np.ndarray) -> None:
    image = np.full((60, 60, 3), 120, np.uint8)
    np.testing.assert_array_equal(heat(image, explained(values, np.eye(2, 3))), image)


@pytest.mark.parametrize("shift", [(-30, -30), (40, 45), (-500, 10), (1000, 1000)])
def test_crops_that_reach_over_the_border_are_cut(shift: tuple[float, float]) -> None:
    image = np.full((60, 70, 3), 120, np.uint8)
    drawn = heat(image, explained(np.ones((6, 6)), np.column_stack([np.eye(2), shift])))
    assert drawn.shape == image.shape
    assert (drawn != image).any() == (max(map(abs, shift)) < 100)


def test_strength_is_the_share_that_is_hidden() -> None:
    image = np.zeros((48, 48, 3), np.uint8)
    one = explained(np.ones((6, 6)), np.eye(2, 3))
    np.testing.assert_array_equal(heat(image, one, strength=0), image)
    full, half = heat(image, one, strength=1)[24, 24], heat(image, one, strength=0.5)[24, 24]
    np.testing.assert_allclose(half, full / 2, atol=1)
    np.testing.assert_allclose(full, [252, 255, 164], atol=6)  # the end of inferno


def test_a_scale_of_the_map_changes_nothing_and_several_are_laid() -> None:
    image = np.full((100, 200, 3), 90, np.uint8)
    left, right = (np.array([[1.0, 0, x], [0, 1, 20]]) for x in (10, 120))
    both = heat(image, [explained(one_cell(2, 2), left), explained(100 * one_cell(2, 2), right)])
    np.testing.assert_array_equal(both[:, 10:58], both[:, 120:168])
    np.testing.assert_array_equal(heat(image, []), image)
    assert heat(image[..., 0], explained(one_cell(1, 1), left)).shape == (100, 200, 3)


def test_wrong_explanations() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(InputError, match="explanations must be what explain returns, but got"):
        heat(image, ["happiness"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="image must be"):
        heat(np.zeros((3, 3)), [])
    with pytest.raises(InputError, match="strength must be"):
        heat(image, [], strength=2)
