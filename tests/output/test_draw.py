"""Drawing: what changes, where, in which color, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import InputError
from mien.labels import FERPLUS8
from mien.output import canvas
from mien.output.draw import _best_place, _overlap, draw
from mien.output.palette import COLORS
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


def test_labels_get_out_of_each_others_way() -> None:
    taken: list[Any] = []
    boxes = [(100.0, 100.0, 140.0, 150.0), (150.0, 100.0, 190.0, 150.0), (200.0, 100.0, 240.0, 150.0)]
    for at, box in enumerate(boxes):
        taken.append(_best_place(box, 90, 18, 2, (400, 300), taken, boxes[:at] + boxes[at + 1 :]))
    for first in range(3):
        for second in range(first):
            assert _overlap(taken[first], taken[second]) == 0
    for rect in taken:
        assert 0 <= rect[0] < rect[2] <= 400
        assert 0 <= rect[1] < rect[3] <= 300


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


def test_filled_shapes_cover_their_area() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    canvas.fill(image, (10.25, 12.5, 40.75, 33.0), (255, 255, 255))
    assert image[..., 0].sum() / 255 == pytest.approx(30.5 * 20.5, rel=0.02)
    image[:] = 0
    canvas.fill(image, (10, 10, 50, 50), (255, 255, 255), radius=20)
    assert image[..., 0].sum() / 255 == pytest.approx(np.pi * 20**2, rel=0.01)


def test_outline_has_its_length_times_its_width() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    canvas.outline(image, (20.3, 30.7, 260.1, 170.2), (255, 255, 255), width=3, radius=20)
    length = 2 * (239.8 - 40) + 2 * (139.5 - 40) + 2 * np.pi * 20
    assert image[..., 0].sum() / 255 == pytest.approx(3 * length, rel=0.02)
