from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.data import Samples  # noqa: E402
from mien.labels import FER7, FERPLUS8  # noqa: E402
from mien.train.augment import Augmentation  # noqa: E402
from mien.train.corpus import Corpus  # noqa: E402
from mien.train.data import Batch, TrainingBatches  # noqa: E402
from mien.train.faces import Faces  # noqa: E402
from mien.train.nets import FaceNetwork, build_network  # noqa: E402
from mien.train.recipe import Loss, Recipe  # noqa: E402

NET = build_network("face_resnet", {"ferplus8": 8, "fer7": 7}, stem=2, widths=[2], strides=[4])
assert isinstance(NET, FaceNetwork)
RECIPE = Recipe(name="own", batch=8)


def corpus(n: int) -> Corpus:
    """Return a corpus whose labels are the numbers of its images."""
    generator = np.random.default_rng(0)
    images = generator.integers(30, 220, (n, 48, 48), dtype=np.uint8)
    images[:, 24, 24] = 100 + np.arange(n)
    number = np.arange(n)
    return Corpus(
        samples=Samples(name="own", kind="image", source="x", labels=number, label_set=FERPLUS8),
        inputs={"images": images},
        targets={"ferplus8": np.eye(8, dtype=np.float32)[number % 8], "fer7": np.eye(7, dtype=np.float32)[number % 7]},
        truth={"ferplus8": number, "fer7": number % 7},
        label_sets={"ferplus8": FERPLUS8, "fer7": FER7},
        group=number,
    )


def order(batches: list[Batch]) -> list[int]:
    return torch.cat([batch.truth["ferplus8"] for batch in batches]).tolist()


def loaded(own: Corpus, epoch: int, **changes: object) -> list[Batch]:
    loader, _ = Faces().loaders(replace(RECIPE, **changes), NET, own, None)  # type: ignore[arg-type]
    loader.sampler.set_epoch(epoch)  # type: ignore[union-attr]
    return list(loader)


def validated(own: Corpus) -> list[Batch]:
    return list(Faces().loaders(RECIPE, NET, own, own)[1])  # type: ignore[arg-type]


def same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(torch.equal(a.inputs[0], b.inputs[0]) for a, b in zip(one, two, strict=True))


def test_an_epoch_has_each_image_once_and_leaves_the_short_batch_out() -> None:
    seen = order(loaded(corpus(35), 0))
    assert len(seen) == len(set(seen)) == 32
    assert sorted(order(loaded(corpus(32), 3))) == list(range(32))


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    (batch,) = loaded(corpus(5), 0)
    assert len(batch.inputs[0]) == 5


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
    batches = TrainingBatches(own, Faces().augment(RECIPE, NET, own), seed=1)
    alone = batches[2, 3, torch.tensor(order(first)[24:32])]
    assert torch.equal(alone.inputs[0], first[3].inputs[0])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="without fork there are no workers")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_worker_processes_make_the_same_batches(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # which has threads of its own, and may not be forked
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", request.node.nodeid]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        subprocess.run(command, check=True, cwd=request.config.rootpath, env=environment)
        return
    own = corpus(40)
    alone, shared = (Faces().loaders(RECIPE, NET, own, None, workers=n)[0] for n in (0, 2))  # type: ignore[arg-type]
    for epoch in (0, 1):
        for loader in (alone, shared):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for one, two in zip(alone, shared, strict=True):
            torch.testing.assert_close(one.inputs, two.inputs, rtol=0, atol=0)
            torch.testing.assert_close(one.truth, two.truth, rtol=0, atol=0)


def test_labels_stay_with_their_image() -> None:
    own = corpus(32)
    nothing = Augmentation(**dict.fromkeys(Augmentation.__slots__, 0.0))
    images = own.inputs["images"]
    for batch in loaded(own, 0, augmentation=nothing):
        which = batch.truth["ferplus8"]
        shift = (batch.inputs[0][:, 0] - torch.from_numpy(images[which.numpy()])).mean(dim=(1, 2))
        plain = (batch.inputs[0][:, 0] - shift.view(-1, 1, 1)).round().to(torch.uint8)
        np.testing.assert_array_equal(plain.numpy(), images[which.numpy()])
        assert torch.equal(batch.truth["fer7"], which % 7)
        assert torch.equal(batch.targets["fer7"].argmax(1), which % 7)
        assert torch.equal(batch.targets["ferplus8"].argmax(1), which % 8)
        assert (batch.inputs[0].dtype, batch.targets["fer7"].dtype, which.dtype) == (
            torch.float32,
            torch.float32,
            torch.int64,
        )


def test_the_last_epochs_are_calm() -> None:
    nothing = Augmentation(**dict.fromkeys(Augmentation.__slots__, 0.0))
    flat = [  # erasing leaves a flat rectangle, which calm epochs do without
        any(
            (batch.inputs[0][:, 0].diff(dim=2) == 0).float().mean() > 0.01
            for batch in loaded(corpus(16), epoch, epochs=4, calm_epochs=2, augmentation=replace(nothing, erase=1.0))
        )
        for epoch in range(4)
    ]
    assert flat == [True, True, False, False]


def test_validation_is_plain_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    own = corpus(20)
    monkeypatch.setattr(Faces, "batch", 8)
    batches = validated(own)
    assert [len(batch.inputs[0]) for batch in batches] == [8, 8, 4]
    assert order(batches) == list(range(20))
    found = torch.cat([batch.inputs[0] for batch in batches])[:, 0]
    np.testing.assert_array_equal(found.numpy(), own.inputs["images"].astype(np.float32))
    assert same(batches, validated(own))


def test_a_batch_moves_whole() -> None:
    (batch,) = loaded(corpus(5), 0)
    moved = batch.to(torch.device("cpu"))
    assert isinstance(moved, Batch)
    assert torch.equal(moved.inputs[0], batch.inputs[0])


def test_processes_share_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [set(order([batch])) for batch in loaded(corpus(32), 1)]
    parts = []
    for rank in range(2):
        monkeypatch.setattr("mien.train.data.rank_and_size", lambda rank=rank: (rank, 2))
        parts.append(loaded(corpus(32), 1))
        assert order(validated(corpus(32))) == list(range(rank, 32, 2))
    for one, two, both in zip(*parts, whole, strict=True):
        assert len(one.inputs[0]) == len(two.inputs[0]) == 4
        assert set(order([one])) | set(order([two])) == both


def test_balanced_batches_draw_every_class_equally_often() -> None:
    own = corpus(100)
    rare = np.where(np.arange(100) < 95, 0, 1)
    own = replace(own, truth={"fer7": rare}, targets={"fer7": np.eye(7, dtype=np.float32)[rare]})
    balanced = Loss(balance="sampling")
    drawn = [batch.truth["fer7"] for epoch in range(10) for batch in loaded(own, epoch, batch=50, loss=balanced)]
    share = float(torch.cat(drawn).float().mean())
    assert share == pytest.approx(0.5, abs=0.06)  # 1,000 draws: four standard deviations


def test_labels_are_drawn_from_their_distribution() -> None:
    own = corpus(64)
    votes = np.tile(np.array([0.25, 0, 0.75, 0, 0, 0, 0, 0], np.float32), (64, 1))
    votes[:8] = 0
    own = replace(own, targets={"ferplus8": votes})
    drawn: list[torch.Tensor] = []
    for epoch in range(20):
        for batch in loaded(own, epoch, batch=64, labels="probability"):
            target, nobody = batch.targets["ferplus8"], batch.truth["ferplus8"] < 8
            assert bool((target[nobody] == 0).all())
            assert bool((target[~nobody].max(dim=1).values == 1).all())
            drawn.append(target[~nobody])
    shares = torch.cat(drawn).mean(dim=0)
    assert shares.tolist() == pytest.approx([0.25, 0, 0.75, 0, 0, 0, 0, 0], abs=0.06)
