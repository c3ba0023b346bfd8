from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from face_tables import make_rows, pixels_of, table_text, votes_text, write_table  # noqa: E402
from mien.errors import DatasetError  # noqa: E402
from mien.training.augment import Augmentation  # noqa: E402
from mien.training.data import (  # noqa: E402
    Batch,
    Corpus,
    FaceBatches,
    load_corpus,
    training_loader,
    validation_loader,
)

N_TRAINING, N_PUBLIC, N_COPIES = 35, 14, 3


def corpus(n: int) -> Corpus:
    """Return a corpus whose labels tell which picture they belong to."""
    generator = np.random.default_rng(0)
    images = generator.integers(30, 220, (n, 48, 48), dtype=np.uint8)
    images[:, 24, 24] = 100 + np.arange(n)
    number = np.arange(n)
    return Corpus(images, number % 7, np.eye(8, dtype=np.float32)[number % 8], number)


def order(batches: list[Batch]) -> list[int]:
    return torch.cat([batch.majority for batch in batches]).tolist()


def loaded(own: Corpus, epoch: int, *, seed: int = 1, batch: int = 8, **more: object) -> list[Batch]:
    batches = FaceBatches(own, Augmentation(), seed=seed, **more)  # type: ignore[arg-type]
    loader = training_loader(batches, batch=batch, seed=seed)
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(torch.equal(a.grey, b.grey) for a, b in zip(one, two, strict=True))


def test_both_kinds_of_labels_are_joined(data: Path) -> None:
    training, validation = load_corpus(data, labels=None)
    assert (len(training), len(validation)) == (N_TRAINING - N_COPIES, N_PUBLIC)
    assert training.images.dtype == np.uint8
    assert training.images.shape[1:] == (48, 48)
    np.testing.assert_array_equal(validation.fer7, np.arange(N_PUBLIC) % 7)
    np.testing.assert_allclose(validation.ferplus8.sum(axis=1), 1, atol=1e-6)
    # anger: eight votes of anger, two of neutral
    np.testing.assert_allclose(validation.ferplus8[0], [0.2, 0, 0, 0, 0.8, 0, 0, 0], atol=1e-6)
    assert validation.majority[0] == 4
    # The picture without a face keeps FER2013's label.
    assert training.majority[4] == -1
    assert training.fer7[4] == 4
    assert training.ferplus8[4].sum() == 0


def test_copies_of_the_validation_pictures_are_dropped_from_training(data: Path) -> None:
    training, validation = load_corpus(data, labels=None)
    held_out = {image.tobytes() for image in validation.images}
    assert not any(image.tobytes() in held_out for image in training.images)
    everything, _ = load_corpus(data, labels=None, drop_overlap=False)
    assert len(everything) == N_TRAINING
    assert sum(image.tobytes() in held_out for image in everything.images) == N_COPIES
    np.testing.assert_array_equal(everything.images[: len(training)], training.images)
    np.testing.assert_array_equal(everything.fer7[: len(training)], training.fer7)


def test_votes_may_lie_elsewhere(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "votes.csv"
    elsewhere.write_bytes((data / "fer2013new.csv").read_bytes())
    _, validation = load_corpus(data / "fer2013.csv", labels=elsewhere)
    assert len(validation) == N_PUBLIC


def test_missing_files_and_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere"):
        load_corpus(tmp_path / "nowhere", labels=None)
    rows = make_rows(["Training"] * 4)
    write_table(tmp_path / "fer2013.csv", table_text(rows))
    with pytest.raises(DatasetError, match=r"fer2013new\.csv"):
        load_corpus(tmp_path, labels=None)
    write_table(tmp_path / "fer2013new.csv", votes_text([("Training", [10] + [0] * 9)] * 4))
    with pytest.raises(DatasetError, match="lacks the split PublicTest: training needs both"):
        load_corpus(tmp_path, labels=None)
    assert pixels_of(rows).shape == (4, 48, 48)


def test_an_epoch_shows_each_picture_once_and_leaves_the_short_batch_out() -> None:
    seen = order(loaded(corpus(35), 0))
    assert len(seen) == len(set(seen)) == 32
    assert sorted(order(loaded(corpus(32), 3))) == list(range(32))


def test_fewer_pictures_than_a_batch_are_one_batch() -> None:
    (batch,) = loaded(corpus(5), 0)
    assert len(batch.grey) == 5


def test_batches_depend_on_seed_epoch_and_step_alone() -> None:
    own = corpus(32)
    first = loaded(own, 2)
    torch.manual_seed(99)
    torch.rand(10)
    assert same(first, loaded(own, 2))
    for other in (loaded(own, 3), loaded(own, 2, seed=2)):
        assert not same(first, other)
        assert order(first) != order(other)
    # A step alone, without those before it.
    batches = FaceBatches(own, Augmentation(), seed=1)
    alone = batches[2, 3, torch.tensor(order(first)[24:32])]
    assert torch.equal(alone.grey, first[3].grey)


def test_labels_stay_with_their_picture() -> None:
    own = corpus(32)
    nothing = Augmentation(**dict.fromkeys(Augmentation.__slots__, 0.0))
    loader = training_loader(FaceBatches(own, nothing, seed=1), batch=8, seed=1)
    for batch in loader:
        shift = (batch.grey[:, 0] - torch.from_numpy(own.images[batch.majority.numpy()])).mean(dim=(1, 2))
        pictures = (batch.grey[:, 0] - shift.view(-1, 1, 1)).round().to(torch.uint8)
        np.testing.assert_array_equal(pictures.numpy(), own.images[batch.majority.numpy()])
        assert torch.equal(batch.fer7, batch.majority % 7)
        assert torch.equal(batch.ferplus8.argmax(1), batch.majority % 8)
        assert (batch.grey.dtype, batch.ferplus8.dtype, batch.fer7.dtype) == (torch.float32, torch.float32, torch.int64)


def test_the_last_epochs_are_calm() -> None:
    own = corpus(16)
    calm = replace(Augmentation(), jpeg=1.0, erase=0.0)  # JPEG leaves whole grey levels
    whole = [
        all(torch.equal(batch.grey, batch.grey.round()) for batch in loaded(own, epoch, calm=calm, calm_from=2))
        for epoch in range(4)
    ]
    assert whole == [False, False, True, True]


def test_validation_is_plain_and_in_order() -> None:
    own = corpus(20)
    batches = list(validation_loader(own, batch=8))
    assert [len(batch.grey) for batch in batches] == [8, 8, 4]
    assert order(batches) == list(range(20))
    found = torch.cat([batch.grey for batch in batches])[:, 0]
    np.testing.assert_array_equal(found.numpy(), own.images.astype(np.float32))
    assert same(batches, list(validation_loader(own, batch=8)))


def test_a_batch_moves_whole() -> None:
    (batch,) = loaded(corpus(5), 0)
    moved = batch.to(torch.device("cpu"))
    assert isinstance(moved, Batch)
    assert torch.equal(moved.grey, batch.grey)
