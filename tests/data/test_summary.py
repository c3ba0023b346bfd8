from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from face_tables import table_samples
from mien.data import Samples
from mien.data.samples import Row
from mien.data.summary import Spread, sample_sheet, summarize
from mien.errors import DatasetError, InputError
from mien.labels import FER7


@pytest.fixture
def images(tmp_path: Path) -> Samples:
    """Six images of three sizes, and a file that is none."""
    sizes = [(4, 6), (4, 6), (4, 6), (8, 8), (8, 8), (10, 2)]
    for number, (height, width) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((height, width), 20 * number + 50, dtype=np.uint8))
    (tmp_path / "6.png").write_bytes(b"none")
    emotions = ("happiness", "happiness", "fear", "fear", "fear", "", "sadness")
    subjects = ("a", "a", "a", "b", "", "", "c")
    found = [
        Row(f"{n}.png", emotion, subject, f"c{n % 2}", "train" if n < 4 else "test")
        for n, (emotion, subject) in enumerate(zip(emotions, subjects, strict=True))
    ]
    return Samples.from_rows(
        found, name="made", kind="image", source=tmp_path, label_set=FER7, problems=["x: left out"]
    )


def table(n: int = 5) -> Samples:
    return table_samples(
        np.zeros((n, 3, 7), dtype=np.uint8), np.arange(n) % 7, name="table", source="t.csv", split="one"
    )


def test_everything_is_counted(images: Samples) -> None:
    found = summarize(images)
    assert (found.images, found.measured, found.clips) == (7, 6, 2)
    assert {k: v for k, v in found.counts["train"].items() if v} == {"happiness": 2, "fear": 2}
    assert {k: v for k, v in found.counts["test"].items() if v} == {"fear": 1, "sadness": 1, "none": 1}
    assert list(found.counts["test"]) == [*FER7.emotions, "none"]
    assert found.subjects == Spread(3, 1, 1.0, 3)
    assert found.widths == Spread(6, 2, 6.0, 8)
    assert found.heights == Spread(6, 4, 6.0, 10)
    assert list(found.sizes.items()) == [((6, 4), 3), ((8, 8), 2), ((2, 10), 1)]
    assert found.problems[0] == "x: left out"
    assert "6.png" in found.problems[1]
    kept = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert kept["sizes"][0] == {"width": 6, "height": 4, "images": 3}
    assert kept["subjects"] == {"n": 3, "min": 1, "median": 1.0, "max": 3}


def test_a_sample_is_drawn_by_its_seed(images: Samples) -> None:
    told: list[int] = []
    readable = images.take(np.arange(6))
    found = summarize(readable, sample=2, seed=4, progress=told.append)
    assert (found.measured, sum(told), found.images) == (2, 2, 6)
    assert summarize(readable, sample=2, seed=4) == found
    assert len({tuple(summarize(readable, sample=2, seed=seed).sizes) for seed in range(20)}) > 1
    with pytest.raises(InputError, match="sample must be an integer of at least 1"):
        summarize(readable, sample=0)


def test_tables_know_their_size_and_nothing_of_subjects() -> None:
    found = summarize(table())
    assert (found.sizes, found.subjects, found.clips, found.problems) == ({(7, 3): 5}, None, 0, ())
    empty = summarize(table(0))
    assert (empty.images, empty.sizes, empty.widths, empty.counts) == (0, {}, None, {})
    assert empty.to_dict()["widths"] is None


def test_a_sheet_has_a_row_for_each_class_present(images: Samples) -> None:
    readable = images.take(np.arange(6))
    page = sample_sheet(readable, columns=3, cell=16)
    for number in range(6):
        assert (page == 20 * number + 50).all(axis=2).any(), number
    np.testing.assert_array_equal(sample_sheet(readable, columns=3, cell=16), page)
    one = readable.take(np.array([0, 1]))
    assert sample_sheet(one, columns=3, cell=16).shape[0] < page.shape[0]
    drawn = {int(n) for seed in range(20) for n in np.unique(sample_sheet(one, columns=1, cell=16, seed=seed))}
    assert {50, 70} <= drawn


def test_unreadable_images_are_passed_over(images: Samples) -> None:
    assert sample_sheet(images, columns=2, cell=16).shape[2] == 3
    with pytest.raises(DatasetError, match="has no image that can be read"):
        sample_sheet(images.take(np.array([6])))
    with pytest.raises(InputError, match="columns must be an integer of at least 1"):
        sample_sheet(images, columns=0)
