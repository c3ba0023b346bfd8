from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.data.samples import Row, Samples, choose_frames, concatenate, content_hashes
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import FER7


def table(n: int = 4, **changes: Any) -> Samples:
    """Return samples in memory."""
    parts: dict[str, Any] = {
        "name": "fer2013",
        "kind": "image",
        "pixels": np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2),
        "labels": np.arange(n) - 1,
        "label_set": FER7,
        "columns": {"split": ["Training", "PublicTest"] * (n // 2)},
        "rows": np.arange(n) + 10,
        "source": "somewhere",
        "distribution": np.eye(n, 7, dtype=np.float32),
    }
    return Samples(**parts | changes)


def encoded(value: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(value).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Samples:
    """Four files, of which the second is cut off and the third is none."""
    content = (encoded(0), encoded(1)[:-900], b"not an image", encoded(3))
    for number, data in enumerate(content):
        (tmp_path / f"{number}.png").write_bytes(data)
    rows = [Row(f"{n}.png", emotion) for n, emotion in enumerate(("anger", "fear", "sadness", "surprise"))]
    return Samples.from_rows(rows, name="made", kind="image", source=tmp_path, label_set=FER7)


def test_take_keeps_all_parts_together() -> None:
    part = table().take(np.array([2, 0]))
    assert part.rows.tolist() == [12, 10]
    assert part.labels.tolist() == [1, -1]
    assert part.images[:, 0, 0].tolist() == [8, 0]
    assert part.splits.tolist() == ["Training", "Training"]
    assert part.distribution is not None
    assert part.distribution.argmax(axis=1).tolist() == [2, 0]
    assert table(distribution=None).take([True, False, False, False]).distribution is None
    assert len(table().take([])) == 0


def test_splits_and_labeled_rows() -> None:
    data = table()
    assert data.split_names() == ["Training", "PublicTest"]
    assert data.split("PublicTest").rows.tolist() == [11, 13]
    assert data.labeled().rows.tolist() == [11, 12, 13]
    assert [data.emotion(i) for i in range(4)] == ["", "anger", "disgust", "fear"]
    with pytest.raises(DatasetError, match="somewhere has no split 'PrivateTest': it has Training, PublicTest"):
        data.split("PrivateTest")
    with pytest.raises(DatasetError, match="has no split 'x': it has none"):
        table(columns={}).split("x")


def test_unknown_columns_are_empty() -> None:
    data = table().with_columns(subject=["a", "", "a", "b"], sex=[""] * 4)
    assert data.subjects.tolist() == ["a", "", "a", "b"]
    assert data.column("statement").tolist() == [""] * 4
    assert [data.has(name) for name in ("subject", "sex", "statement", "split")] == [True, False, False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": np.zeros((4, 2), np.uint8)}, r"fer2013: images must be uint8 \(n, H, W\), but got"),
        ({"pixels": np.zeros((4, 2, 2))}, "images must be uint8"),
        ({"labels": np.zeros(3, np.int64)}, "fer2013: 3 labels, but 4 values of rows"),
        ({"columns": {"sex": ["male"]}}, "fer2013: 4 labels, but 1 values of sex"),
        ({"kind": "smell"}, "kind must be image, audio, video, but got 'smell'"),
        ({"kind": "video", "columns": {"clip": ["a", "b", "c", "a"]}}, "two videos have the same name"),
    ],
)
def test_parts_must_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        table(**changes)


def test_images_in_memory_are_read_as_rgb_and_stay_in_memory() -> None:
    data = table()
    np.testing.assert_array_equal(data.read(1), np.repeat(data.images[1][..., None], 3, axis=2))
    assert data.faces(99) is data
    assert data.where(1) == "somewhere, row 13"
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy.images, data.images)


def test_samples_in_files_have_no_images_in_memory(images: Samples) -> None:
    with pytest.raises(DatasetError, match=r"made: its image files are not in memory: faces\(\) reads them"):
        assert images.images is None
    assert images.where(3) == str(Path(images.source) / "3.png")
    sound = Samples.from_rows([Row("0.png", "fear")], name="x", kind="audio", source=images.source, label_set=FER7)
    with pytest.raises(DatasetError, match=r"0\.png is audio, no image"):
        sound.read(0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_truncated_images_are_rejected(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    whole = encoded(0, kind)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    one = Samples.from_rows([Row("a.png", "fear")], name="made", kind="image", source=tmp_path, label_set=FER7)
    with pytest.raises(DatasetError, match=r"a\.png: the file is truncated"):
        one.read(0)
    path.write_bytes(whole)
    assert one.read(0).shape == (40, 40, 3)


def test_unreadable_files_raise_or_are_left_out_by_name(images: Samples) -> None:
    with pytest.raises(DatasetError, match=r"1\.png: the file is truncated"):
        images.faces(8)
    with pytest.warns(MienWarning) as said:
        data = images.faces(8, problems="skip")
    assert [str(w.message).split(": ")[0].rsplit("/", 1)[1] for w in said] == ["1.png", "2.png"]
    assert data.rows.tolist() == [0, 3]
    assert data.labels.tolist() == [0, 5]
    assert data.files.tolist() == ["0.png", "3.png"]
    np.testing.assert_array_equal(data.images, images.take([0, 3]).faces(8).images)


def test_nothing_left_is_an_error(images: Samples) -> None:
    with pytest.warns(MienWarning), pytest.raises(DatasetError, match="has no images that can be read"):
        images.take([1, 2]).faces(problems="skip")
    with pytest.raises(DatasetError, match=r"has no images$"):
        images.take(np.zeros(4, dtype=bool)).faces()


def test_wrong_options_of_reading(images: Samples) -> None:
    with pytest.raises(InputError, match="problems must be raise or skip, but got 'ignore'"):
        images.faces(problems="ignore")
    with pytest.raises(InputError, match="size must be an integer of at least 1, but got 0"):
        images.faces(0)


def test_groups_follow_subject_clip_and_content() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)[[0, 1, 2, 3, 3, 4]]
    columns = {"subject": ["a", "a", "", "b", "", ""], "clip": ["1", "2", "2", "", "", ""]}
    data = table(6, pixels=pixels, columns=columns)
    # a ties 0 and 1, clip 2 ties 1 and 2, the same image ties 3 and 4; the last stands alone.
    assert data.groups().tolist() == [0, 0, 0, 1, 1, 2]
    assert data.groups(by=("subject",)).tolist() == [0, 0, 1, 2, 3, 4]
    assert data.groups(by=("sex",)).tolist() == [0, 1, 2, 3, 4, 5]


def test_groups_are_the_connected_components_of_scipy() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    generator = np.random.default_rng(1)
    n = 80
    subjects, clips = generator.integers(0, 40, n).astype(str), generator.integers(0, 60, n).astype(str)
    same = (subjects[:, None] == subjects) | (clips[:, None] == clips)
    expected = sparse.csgraph.connected_components(sparse.csr_matrix(same))[1]
    found = Samples(
        name="x",
        kind="image",
        source="x",
        labels=np.zeros(n, np.int64),
        label_set=FER7,
        columns={"subject": subjects, "clip": clips},
    ).groups()
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_two_datasets_of_files_become_one(images: Samples, tmp_path: Path) -> None:
    inner = tmp_path / "more"
    inner.mkdir()
    (inner / "4.png").write_bytes(encoded(4))
    row = Row("4.png", "fear", subject="p")
    other = Samples.from_rows([row], name="other", kind="image", source=inner, label_set=FER7, problems=["x"])
    both = concatenate(images, other)
    assert (both.name, both.source, both.problems) == ("made+other", str(tmp_path), ("x",))
    assert both.files.tolist()[-2:] == ["3.png", "more/4.png"]
    assert both.subjects.tolist() == ["", "", "", "", "p"]
    assert both.column("corpus").tolist() == ["made"] * 4 + ["other"]
    assert both.read(4).shape == (40, 40, 3)
    with pytest.raises(DatasetError, match="cannot join images in memory"):
        concatenate(table(), table())


def test_content_hashes_depend_on_pixels_and_shape() -> None:
    a = np.arange(16, dtype=np.uint8)
    same = a.reshape(4, 4)
    digests = content_hashes([same, same.copy(), same + np.uint8(1), a.reshape(2, 8), np.asfortranarray(same)])
    assert digests[0] == digests[1] == digests[4]
    assert len(set(digests)) == 3
    assert all(len(d) == 16 for d in digests)


@pytest.mark.parametrize("n", [*range(1, 20), 100, 1001])
def test_frames_are_evenly_spaced(n: int) -> None:
    assert choose_frames(n) == list(range(n))
    assert choose_frames(n, every=7) == [number for number in range(n) if number % 7 == 0]
    assert choose_frames(n, 1) == [(n - 1) // 2]
    for count in (2, 3, 16):
        chosen = choose_frames(n, count)
        assert len(chosen) == len(set(chosen)) == min(n, count)
        assert (chosen[0], chosen[-1]) == (0, n - 1) or n == 1
        ideal = np.linspace(0, n - 1, len(chosen))
        assert np.abs(np.array(chosen) - ideal).max() <= 0.5
    assert choose_frames(0, 16) == choose_frames(0, every=3) == []
