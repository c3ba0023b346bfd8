from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data._files import Found, image_list
from mien.data.base import ImageList
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import FER7


def encoded(value: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(value).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> ImageList:
    """Four files, of which the second is cut off and the third is none."""
    content = (encoded(0), encoded(1)[:-900], b"not an image", encoded(3))
    for number, data in enumerate(content):
        (tmp_path / f"{number}.png").write_bytes(data)
    found = [Found(f"{n}.png", emotion) for n, emotion in enumerate(("anger", "fear", "sadness", "surprise"))]
    return image_list("made", tmp_path, found, FER7, [])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_a_truncated_image_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    whole = encoded(0, kind)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    one = image_list("made", tmp_path, [Found("a.png", "fear")], FER7, [])
    with pytest.raises(DatasetError, match=r"a\.png: the file is truncated"):
        one.read(0)
    path.write_bytes(whole)
    assert one.read(0).shape == (40, 40, 3)


def test_unreadable_files_raise_or_are_left_out_by_name(images: ImageList) -> None:
    with pytest.raises(DatasetError, match=r"1\.png: the file is truncated"):
        images.faces(8)
    with pytest.warns(MienWarning) as said:
        data = images.faces(8, problems="skip")
    assert [str(w.message).split(": ")[0].rsplit("/", 1)[1] for w in said] == ["1.png", "2.png"]
    assert data.rows.tolist() == [0, 3]
    assert data.labels.tolist() == [0, 5]
    assert data.files is not None
    assert data.files.tolist() == ["0.png", "3.png"]
    np.testing.assert_array_equal(data.images, images.take(np.array([0, 3])).faces(8).images)


def test_nothing_left_is_an_error(images: ImageList) -> None:
    with pytest.warns(MienWarning), pytest.raises(DatasetError, match="has no images that can be read"):
        images.take(np.array([1, 2])).faces(problems="skip")
    with pytest.raises(DatasetError, match=r"has no images$"):
        images.take(np.zeros(4, dtype=bool)).faces()


def test_wrong_options(images: ImageList) -> None:
    with pytest.raises(InputError, match="problems must be raise or skip, but got 'ignore'"):
        images.faces(problems="ignore")
    with pytest.raises(InputError, match="size must be an integer of at least 1, but got 0"):
        images.faces(0)
