from __future__ import annotations

import math
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mien._checks import check_image, check_integer, check_number, count_of, describe, warn
from mien.errors import InputError, MienWarning


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((4, 4)), r"float64 of shape (4, 4)"),
        (None, "None"),
        (True, "True"),
        (2.5, "2.5"),
        ("a", "'a'"),
        ("a" * 1000, f"'{'a' * 96} ... {'a' * 96}'"),
        (Path("a"), f"an object of type {type(Path('a')).__name__}"),
        ([1], "an object of type list"),
    ],
)
def test_values_are_described_in_few_words(value: object, words: str) -> None:
    assert describe(value) == words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (count_of(0, "gap"), "0 gaps"),
        (count_of(1, "gap"), "1 gap"),
        (count_of(2500, "gap"), "2,500 gaps"),
        (count_of(1, "person", "people"), "1 person"),
        (count_of(3, "person", "people"), "3 people"),
    ],
)
def test_one_thing_has_no_plural(found: str, words: str) -> None:
    assert found == words


@pytest.mark.parametrize("value", [2, 2.5, np.float32(2.5), np.int8(3)])
def test_numbers_pass(value: Any) -> None:
    found = check_number(value, "step", low=1, high=3)
    assert type(found) is float
    assert found == float(value)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        ("2", {}, "step must be a number, but got '2'"),
        (True, {}, "step must be a number, but got True"),
        (None, {}, "step must be a number, but got None"),
        (Fraction(1, 2), {}, "step must be a number, but got an object of type Fraction"),
        (math.nan, {}, "step must be a number that is finite, but got nan"),
        (math.inf, {"low": 0}, "step must be a number of at least 0, but got inf"),
        (4, {"low": 1, "high": 3}, "step must be a number from 1 to 3, but got 4.0"),
        (4, {"high": 3}, "step must be a number of at most 3, but got 4.0"),
        (0.5, {"low": 1}, "step must be a number of at least 1, but got 0.5"),
    ],
)
def test_other_numbers_are_refused(value: Any, limits: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_number(value, "step", **limits)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_whole_numbers_pass(value: Any) -> None:
    found = check_integer(value, "count", low=1, high=2)
    assert type(found) is int
    assert found == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.0, "count must be an integer, but got 2.0"),
        (False, "count must be an integer, but got False"),
        ("2", "count must be an integer, but got '2'"),
        (0, "count must be an integer of at least 1, but got 0"),
    ],
)
def test_other_whole_numbers_are_refused(value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_integer(value, "count", low=1)
    assert str(caught.value) == message


SIDES = st.integers(1, 9)


@given(image=st.tuples(SIDES, SIDES, st.just(3)).flatmap(lambda shape: arrays(np.uint8, shape)), data=st.data())
def test_color_passes_as_it_is_however_it_lies_in_memory(image: np.ndarray, data: st.DataObject) -> None:
    view = data.draw(
        st.sampled_from(
            [
                image,
                np.asfortranarray(image),
                image[::-1, ::-1],
                np.repeat(image, 2, axis=1)[:, ::2],
                image.transpose(1, 0, 2),
                image[..., ::-1],
            ]
        )
    )
    view.setflags(write=False)
    before = view.copy()
    found = check_image(view)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, before)
    np.testing.assert_array_equal(view, before)


@given(image=st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(np.uint8, shape)), axis=st.booleans())
def test_gray_is_spread_to_three_channels(image: np.ndarray, axis: bool) -> None:
    found = check_image(image[..., None] if axis else image)
    assert found.shape == (*image.shape, 3)
    assert found.flags.c_contiguous
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], image)


@given(
    shape=array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
    dtype=st.sampled_from(
        [np.uint8, np.int8, np.uint16, np.int64, np.float32, np.float64, np.bool_, np.complex64, object]
    ),
)
def test_any_array_is_an_image_or_an_input_error(shape: tuple[int, ...], dtype: Any) -> None:
    array = np.zeros(shape, dtype)
    image = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    if dtype is np.uint8 and image and 0 not in shape[:2]:
        assert check_image(array).shape == (*shape[:2], 3)
        return
    with pytest.raises(InputError, match=r"^image must .*, but got \w+ of shape \(.*\)"):
        check_image(array)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((4, 4)), "image must be uint8 of shape (H, W, 3), but got float64 of shape (4, 4): values in 0..1 "),
        (np.full((4, 4, 3), np.nan), "but got float64 of shape (4, 4, 3) with NaN or infinite values"),
        (np.full((4, 4, 3), np.inf, np.float32), "with NaN or infinite values"),
        (np.zeros((4, 4, 2), np.uint8), "image must be uint8 of shape (H, W, 3), but got uint8 of shape (4, 4, 2)"),
        (np.zeros((4, 4, 4), np.uint8), "but got uint8 of shape (4, 4, 4)"),
        (np.zeros((0, 4, 3), np.uint8), "image must not be empty, but got uint8 of shape (0, 4, 3)"),
        (np.zeros((4, 0), np.uint8), "image must not be empty, but got uint8 of shape (4, 0)"),
        ([[0]], "image must be a uint8 array of shape (H, W, 3), but got an object of type list"),
        (None, "image must be a uint8 array of shape (H, W, 3), but got None"),
    ],
)
def test_what_is_no_image_is_named(value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_image(value)
    assert message in str(caught.value)


def test_the_hint_for_floats_makes_the_image() -> None:
    image = np.array([[0.0, 0.5, 1.0]])
    with pytest.raises(InputError) as caught:
        check_image(image)
    hint = str(caught.value).split("by ")[1]
    converted = eval(hint, {"image": image})
    np.testing.assert_array_equal(check_image(converted)[0, :, 0], [0, 128, 255])


def test_floats_beyond_one_get_no_hint() -> None:
    with pytest.raises(InputError) as caught:
        check_image(np.full((2, 2, 3), 200.0))
    assert str(caught.value).endswith("but got float64 of shape (2, 2, 3)")


def test_a_warning_is_of_mien_and_points_at_the_caller() -> None:
    def public() -> None:
        warn("look out")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        public()
    assert caught[0].category is MienWarning
    assert str(caught[0].message) == "look out"
    assert caught[0].filename == __file__
