"""Maps over images: where they lie, what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import InputError
from mien.face.explain import Explanation
from mien.output import heat


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
    seen = (drawn != image).any()
    assert seen == (max(map(abs, shift)) < 100)


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


def test_what_is_none_is_refused() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(InputError, match="explanations must be what explain returns, but got"):
        heat(image, ["happiness"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="image must be"):
        heat(np.zeros((3, 3)), [])
    with pytest.raises(InputError, match="strength must be"):
        heat(image, [], strength=2)
