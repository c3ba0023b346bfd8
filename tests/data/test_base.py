from __future__ import annotations

import numpy as np
import pytest

from mien.data import FaceData
from mien.data.base import content_hashes
from mien.errors import DatasetError
from mien.labels import FER7


def faces(n: int = 4, **changes: object) -> FaceData:
    parts: dict[str, object] = {
        "name": "fer2013",
        "images": np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2),
        "labels": np.arange(n) - 1,
        "label_set": FER7,
        "splits": np.array(["Training", "PublicTest"] * (n // 2)),
        "rows": np.arange(n) + 10,
        "source": "somewhere",
        "distribution": np.eye(n, 7, dtype=np.float32),
    }
    return FaceData(**{**parts, **changes})  # type: ignore[arg-type]


def test_take_keeps_all_parts_together() -> None:
    part = faces().take(np.array([2, 0]))
    assert part.rows.tolist() == [12, 10]
    assert part.labels.tolist() == [1, -1]
    assert part.images[:, 0, 0].tolist() == [8, 0]
    assert part.distribution is not None
    assert part.distribution.argmax(axis=1).tolist() == [2, 0]
    assert faces(distribution=None).take(np.array([True, False, False, False])).distribution is None


def test_splits_and_labeled_rows() -> None:
    data = faces()
    assert data.split_names() == ["Training", "PublicTest"]
    assert data.split("PublicTest").rows.tolist() == [11, 13]
    assert data.labeled().rows.tolist() == [11, 12, 13]
    assert len(data) == 4
    with pytest.raises(DatasetError, match="somewhere has no split 'PrivateTest': it has Training, PublicTest"):
        data.split("PrivateTest")


def test_checks_itself() -> None:
    with pytest.raises(DatasetError, match=r"fer2013: images must be uint8 \(n, H, W\), but got \(4, 2\)"):
        faces(images=np.zeros((4, 2), dtype=np.uint8))
    with pytest.raises(DatasetError, match="images must be uint8"):
        faces(images=np.zeros((4, 2, 2)))
    with pytest.raises(DatasetError, match="fer2013: 4 images, but 3 annotations"):
        faces(labels=np.zeros(3, dtype=np.int64))


def test_content_hashes_tell_pixels_and_shape() -> None:
    a = np.arange(16, dtype=np.uint8)
    same = a.reshape(4, 4)
    digests = content_hashes([same, same.copy(), same + np.uint8(1), a.reshape(2, 8), np.asfortranarray(same)])
    assert digests[0] == digests[1] == digests[4]
    assert len(set(digests)) == 3
    assert all(len(d) == 16 for d in digests)
