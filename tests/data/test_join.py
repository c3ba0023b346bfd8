from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from face_tables import table_samples
from mien.data import Samples
from mien.data.join import is_training, join
from mien.errors import DatasetError, InputError
from mien.labels import BAUM8, FER7, FERPLUS8, RAVDESS8, LabelSet


def faces(
    name: str,
    images: list[int],
    words: list[str],
    labels: LabelSet = FER7,
    *,
    splits: list[str] | None = None,
    side: int = 48,
    subjects: list[str] | None = None,
    clips: list[str] | None = None,
    distribution: list[list[float]] | None = None,
    source: str = "",
) -> Samples:
    """Build a data set whose image number n is the same everywhere."""
    images = np.stack([np.random.default_rng(n).integers(0, 256, (side, side), dtype=np.uint8) for n in images])
    return table_samples(
        images,
        np.array([labels.index(word) if word else -1 for word in words]),
        labels,
        name=name,
        source=source or f"/data/{name}",
        distribution=None if distribution is None else np.float32(distribution),
        split=splits or "Training",
        subject=subjects,
        clip=clips,
    )


def words(data: Samples) -> list[str]:
    return [data.label_set.emotions[label] for label in data.labels]


def test_images_labels_and_splits_follow_each_other() -> None:
    one = faces("fer2013", [0, 1], ["fear", "anger"], splits=["Training", "PublicTest"])
    two = faces("baum2", [2, 3], ["sadness", "neutral"], BAUM8, splits=["", "val"])
    joined = join([one, two])
    data = joined.data
    np.testing.assert_array_equal(data.images, np.concatenate([one.images, two.images]))
    assert words(data) == ["fear", "anger", "sadness", "neutral"]
    assert data.label_set is FER7
    assert data.splits.tolist() == ["Training", "PublicTest", "", "val"]
    assert data.rows.tolist() == [0, 1, 2, 3]
    assert joined.sources == ("fer2013:row 0", "fer2013:row 1", "baum2:row 0", "baum2:row 1")
    assert (joined.notes, joined.duplicates, joined.dropped) == ((), (), 0)
    assert (joined.split_copies, joined.conflicts) == (0, 0)
    assert (data.has("subject"), data.has("clip"), data.distribution) == (False, False, None)


def test_what_has_no_place_is_left_out_and_said() -> None:
    plus = faces("ferplus", [0, 1, 2, 3], ["contempt", "fear", "", "contempt"], FERPLUS8)
    speech = faces("actors", [4, 5], ["calm", "neutral"], RAVDESS8)
    joined = join([plus, speech])
    assert words(joined.data) == ["fear", "neutral", "neutral"]
    assert joined.sources == ("ferplus:row 1", "actors:row 0", "actors:row 1")
    assert joined.notes == (
        "ferplus: 1 images without a label are left out",
        "ferplus: 2 images of contempt are left out",
        "actors: 1 images of calm count as neutral",
    )
    kept = join([plus, faces("fer2013", [4], ["happiness"])], labels="ferplus8")
    assert words(kept.data) == ["contempt", "fear", "contempt", "happiness"]
    assert kept.data.label_set is FERPLUS8


def test_people_and_videos_of_different_sets_stay_apart() -> None:
    one = faces("jaffe", [0, 1], ["fear", "anger"], subjects=["KA", ""], clips=["a", "b"])
    two = faces("folder", [2], ["fear"], subjects=["KA"], source="/data/x")
    three = faces("folder", [3], ["fear"], subjects=["KA"], source="/data/y")
    four = faces("folder", [4], ["fear"], subjects=["KA"], source="/data/x")
    joined = join([one, two, three, four])
    assert joined.data.subjects.tolist() == ["jaffe:KA", "", "folder:KA", "folder-2:KA", "folder:KA"]
    assert joined.data.clips.tolist() == ["jaffe:a", "jaffe:b", "", "", ""]
    assert joined.sources[2:] == ("folder:row 0", "folder-2:row 0", "folder:row 0")


def test_files_say_where_images_come_from() -> None:
    one = replace(faces("jaffe", [0], ["fear"]), files=np.array(["a/KA.tiff"]))
    assert join([one]).sources == ("jaffe:a/KA.tiff",)


def test_votes_are_mapped_and_kept_where_all_have_them() -> None:
    votes = [[0.5, 0, 0, 0, 0, 0, 0, 0.5], [0, 0, 0, 0, 0, 0, 0, 1.0], [0] * 8]
    plus = faces("ferplus", [0, 1, 2], ["neutral"] * 3, FERPLUS8, distribution=votes)
    joined = join([plus])
    assert joined.data.distribution is not None
    np.testing.assert_array_equal(joined.data.distribution, np.float32([[0, 0, 0, 0, 0, 0, 1], [0] * 7, [0] * 7]))
    mixed = join([plus, faces("fer2013", [3], ["fear"])])
    assert mixed.data.distribution is None
    assert mixed.notes == ("the distributions of votes are left out: not all sources have them",)


def test_other_sizes_are_resampled() -> None:
    one = faces("small", [0], ["fear"], side=24)
    flat = replace(one, pixels=np.full((1, 96, 96), 77, np.uint8), name="large")
    joined = join([one, flat, faces("fer2013", [1], ["fear"])])
    assert joined.data.images.shape == (3, 48, 48)
    assert (joined.data.images[1] == 77).all()
    assert joined.notes == (
        "small: images of 24 x 24 are resampled to 48 x 48",
        "large: images of 96 x 96 are resampled to 48 x 48",
    )
    assert join([one], size=24).notes == ()


# --- copies ---------------------------------------------------------------------------------------


def copies() -> list[Samples]:
    one = faces("one", [0, 1, 2, 0], ["fear"] * 4, splits=["Training"] * 4)
    two = faces("two", [1, 3, 2], ["fear", "fear", "anger"], splits=["PublicTest", "train", "train"])
    three = faces("three", [1, 4], ["fear", "fear"], splits=["test", "val"])
    return [one, two, three]


def test_copies_are_counted() -> None:
    joined = join(copies())
    assert joined.duplicates == (("one", "one", 1), ("one", "two", 2), ("one", "three", 1))
    assert joined.split_copies == 2  # 1 in three splits, 2 in Training and train
    assert joined.conflicts == 1  # 2 is fear and anger
    assert joined.dropped == 0
    assert len(joined.data) == 9


def test_of_copies_the_first_is_kept_that_is_held_out() -> None:
    joined = join(copies(), drop_duplicates=True)
    assert joined.sources == ("one:row 0", "one:row 2", "two:row 0", "two:row 1", "three:row 1")
    assert joined.data.splits.tolist() == ["Training", "Training", "PublicTest", "train", "val"]
    assert joined.data.rows.tolist() == [0, 1, 2, 3, 4]
    assert joined.dropped == 4
    assert joined.duplicates == join(copies()).duplicates


@pytest.mark.parametrize("seed", range(5))
def test_no_image_is_lost_and_none_stands_twice(seed: int) -> None:
    draw = np.random.default_rng(seed)
    parts = [
        faces(
            f"set{i}",
            draw.integers(0, 12, 20).tolist(),
            [FER7.emotions[k] for k in draw.integers(0, 7, 20)],
            splits=[("Training", "PublicTest", "", "val")[k] for k in draw.integers(0, 4, 20)],
            side=8,
        )
        for i in range(3)
    ]
    joined = join(parts, size=8, drop_duplicates=True)
    kept = [image.tobytes() for image in joined.data.images]
    held_out: dict[bytes, bool] = {}
    for part in parts:
        for image, split in zip(part.images, part.splits.tolist(), strict=True):
            held_out[image.tobytes()] = held_out.get(image.tobytes(), False) or split in ("PublicTest", "val")
    assert len(set(kept)) == len(kept) == len(held_out)
    for content, split in zip(kept, joined.data.splits.tolist(), strict=True):
        assert held_out[content] == (split in ("PublicTest", "val"))
    assert joined.dropped == 60 - len(kept) == sum(count for *_, count in joined.duplicates)


def test_copies_are_compared_at_the_size_that_is_written() -> None:
    flat = faces("a", [0], ["fear"])
    large = replace(flat, name="b", pixels=np.full((1, 96, 96), 7, np.uint8))
    small = replace(flat, name="c", pixels=np.full((1, 48, 48), 7, np.uint8))
    assert join([large, small]).duplicates == (("b", "c", 1),)


@pytest.mark.parametrize("name", ["", "train", "Training", "TRAIN2"])
def test_splits_for_training(name: str) -> None:
    assert is_training(name)


@pytest.mark.parametrize("name", ["PublicTest", "PrivateTest", "val", "validation", "test", "fold 1"])
def test_splits_held_out(name: str) -> None:
    assert not is_training(name)


# --- what is refused ------------------------------------------------------------------------------


def test_nothing_to_join() -> None:
    with pytest.raises(InputError, match="at least one dataset, but got none"):
        join([])
    with pytest.raises(InputError, match="labels must be one of fer7, ferplus8, but got 'fer8'"):
        join([faces("a", [0], ["fear"])], labels="fer8")
    with pytest.raises(InputError, match="size must be an integer from 8 to 1024, but got 4"):
        join([faces("a", [0], ["fear"])], size=4)
    with pytest.raises(DatasetError, match="nothing is left to join: no image has a label of the set fer7"):
        join([faces("a", [0, 1], ["contempt", ""], FERPLUS8)])


@pytest.mark.data
def test_fer2013_joined_with_its_votes_holds_no_copy(fer2013_copy: Path) -> None:
    from mien.data import load_dataset

    data = load_dataset("ferplus", fer2013_copy)
    joined = join([data], drop_duplicates=True)
    assert joined.split_copies > 200
    assert len({image.tobytes() for image in joined.data.images}) == len(joined.data)
    public = data.take((data.splits == "PublicTest") & (data.labels >= 0))
    kept = {image.tobytes() for image in joined.data.images[joined.data.splits == "PublicTest"]}
    contempt = FERPLUS8.index("contempt")
    assert kept == {image.tobytes() for image in public.images[public.labels != contempt]}
