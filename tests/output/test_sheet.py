from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.errors import InputError
from mien.output import canvas
from mien.output.sheet import sheet

PAPER = 250


def plain(height: int, width: int, color: tuple[int, int, int]) -> Any:
    return np.full((height, width, 3), color, dtype=np.uint8)


def extent(page: Any, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the pixels of exactly one color."""
    rows, columns = np.nonzero((page == color).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_images_stand_in_rows_at_the_size_of_the_cell() -> None:
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    page = sheet([plain(48, 48, c) for c in colors], columns=2, cell=96)
    assert page.dtype == np.uint8
    boxes = [extent(page, c) for c in colors]
    assert all((right - left, bottom - top) == (96, 96) for left, top, right, bottom in boxes)
    assert boxes[0][1] == boxes[1][1]
    assert boxes[0][2] < boxes[1][0]
    assert boxes[2][0] == boxes[0][0]
    assert boxes[2][1] > boxes[0][3]
    assert (page[:8] == PAPER).all()


@pytest.mark.parametrize(("height", "width", "shown"), [(300, 100, (32, 96)), (10, 40, (96, 24)), (1, 4000, (96, 1))])
def test_the_shape_of_an_image_is_kept(height: int, width: int, shown: tuple[int, int]) -> None:
    left, top, right, bottom = extent(sheet([plain(height, width, (9, 90, 9))]), (9, 90, 9))
    assert (right - left, bottom - top) == shown


def test_an_image_of_the_size_of_the_cell_is_not_touched() -> None:
    own = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    page = sheet([own], cell=64)
    np.testing.assert_array_equal(page[16:80, 16:80], np.repeat(own[..., None], 3, axis=2))


def test_captions_headings_and_title_are_written_beside_the_images() -> None:
    black = plain(20, 20, (0, 0, 200))
    bare = sheet([black] * 4, columns=2)
    for more in ({"captions": ["a", "", "", "b"]}, {"headings": ["one", "two"]}, {"title": "All of them"}):
        page = sheet([black] * 4, columns=2, **more)  # type: ignore[arg-type]
        assert page.size > bare.size
        assert ((page < 120).all(axis=2)).any(), "ink"
        assert (page == (0, 0, 200)).all(axis=2).sum() == 4 * 96 * 96, "no letter covers an image"


def test_captions_may_have_lines() -> None:
    one, two = sheet([plain(9, 9, (0, 0, 0))], ["a"]), sheet([plain(9, 9, (0, 0, 0))], ["a\nb"])
    assert two.shape[0] - one.shape[0] == int(np.ceil(canvas.text_size("Ag", 12)[1]))


def test_long_words_are_cut_to_the_cell() -> None:
    page = sheet([plain(48, 48, (0, 0, 200))] * 2, ["w" * 10_000, ""], columns=2)
    ink = (page < 200).all(axis=2)
    assert ink[:, :112].any()
    assert not ink[:, 112:].any()


def test_a_heading_that_is_cut_keeps_its_distance() -> None:
    page = sheet([plain(96, 96, (0, 0, 200))], headings=["w" * 1000])
    first = extent(page, (0, 0, 200))[0]
    ink = np.flatnonzero((page[:, :first] < 200).all(axis=2).any(axis=0))
    assert 10 <= first - ink.max() <= 30


def test_odd_words_do_no_harm() -> None:
    assert sheet([None], ["\x00\x1b[31m \ud800 \u200b 顔"], title="\r").shape[2] == 3


def test_none_leaves_a_square_empty() -> None:
    page = sheet([None, plain(48, 48, (0, 0, 200))], columns=2)
    assert len(np.unique(page[16:112, 16:112].reshape(-1, 3), axis=0)) == 1


def test_wrong_arguments() -> None:
    one = plain(4, 4, (0, 0, 0))
    with pytest.raises(InputError, match="a sheet needs at least one image, but got none"):
        sheet([])
    with pytest.raises(InputError, match="captions must be one for each of the 2 images, but got 1"):
        sheet([one, one], ["a"])
    with pytest.raises(InputError, match="headings must be one for each of the 1 rows, but got 3"):
        sheet([one, one], columns=2, headings="abc")
    with pytest.raises(InputError, match=r"images\[1\] must be uint8"):
        sheet([one, np.zeros((3, 3))])
    with pytest.raises(InputError, match="cell must be an integer from 16 to 1024, but got 8"):
        sheet([one], cell=8)
    with pytest.raises(InputError, match=r"pixels is too large: take fewer images or a smaller cell"):
        sheet([one] * 400, columns=2, cell=1024)
