"""Images with labels as batches: reproducible order and augmentation, resumable at any epoch, on any device count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mien.train.augment import Augmentation
from mien.train.corpus import Corpus, Rows

__all__ = [
    "Batch",
    "FaceBatches",
    "Step",
    "TrainingBatches",
    "batch_of",
    "place",
    "ready_loader",
    "training_loader",
    "validation_loader",
]


def place() -> tuple[int, int]:
    """Return the number of this process and of all processes that train one net together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step gets.

    Parameters
    ----------
    inputs : tuple of torch.Tensor
        What the net takes: of faces, gray crops, float32 (N, 1, S, S) in 0..255; of voices, spectrograms and which of
        their frames are sound, float32 (N, 1, M, T) and (N, T).
    targets : dict of str to torch.Tensor
        By head: float32 (N, classes), a distribution to learn, all zero where there is none.
    truth : dict of str to torch.Tensor
        By head: int64 (N,), the label to be measured against, -1 where there is none.
    """

    inputs: tuple[Tensor, ...]
    targets: dict[str, Tensor]
    truth: dict[str, Tensor]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device (Lightning calls this)."""
        return self._each(lambda part: part.to(device))

    def rows(self, which: slice) -> Batch:
        """Return some of the rows."""
        return self._each(lambda part: part[which])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            tuple(change(part) for part in self.inputs),
            {head: change(part) for head, part in self.targets.items()},
            {head: change(part) for head, part in self.truth.items()},
        )


Step = tuple[int, int, Tensor]
"""Epoch, number of the step within it, and rows."""


class TrainingBatches(Dataset[Batch]):
    """Batches of a corpus, made anew for every step.

    Parameters
    ----------
    corpus : Rows
        Where they come from.
    seed : int
        Seed of the run; each batch draws from a generator of (seed, epoch, step).
    """

    def __init__(self, corpus: Rows, *, seed: int) -> None:
        self.corpus, self.seed = corpus, seed

    def __len__(self) -> int:
        return len(self.corpus)

    def generator(self, epoch: int, number: int) -> torch.Generator:
        """Return the source of all randomness of a step in this process."""
        rank = place()[0]
        return torch.Generator().manual_seed(_seed(self.seed, epoch, number + 1, *([rank] if rank else [])))


class _Order(Sampler[Step]):
    """Batches of indices in an order that depends on seed and epoch alone; processes share each batch between them."""

    def __init__(self, corpus: Rows, batch: int, seed: int, *, balanced: bool) -> None:
        self.n, self.batch, self.seed, self.epoch = len(corpus), batch, seed, 0
        self._weights = _rarity(corpus) if balanced else None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (Lightning calls this, also after a resumption)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(self.n // self.batch, 1)

    def __iter__(self) -> Iterator[Step]:
        generator = torch.Generator().manual_seed(_seed(self.seed, self.epoch, 0))
        if self._weights is None:
            order = torch.randperm(self.n, generator=generator)
        else:
            order = torch.multinomial(self._weights, self.n, replacement=True, generator=generator)
        rank, processes = place()
        for step in range(len(self)):
            yield self.epoch, step, order[step * self.batch : (step + 1) * self.batch][rank::processes]


def _rarity(corpus: Rows) -> Tensor:
    """Return a weight for each row: one over the rows of its class, in the head that measures most rows."""
    truth = max(corpus.truth.values(), key=lambda labels: int((labels >= 0).sum()))
    counts = np.bincount(truth[truth >= 0], minlength=1).astype(np.float64)
    weights = np.where(truth >= 0, 1 / np.maximum(counts, 1)[np.maximum(truth, 0)], 0.0)
    return torch.from_numpy(weights)


class FaceBatches(TrainingBatches):
    """Augmented batches of a corpus.

    Parameters
    ----------
    corpus : Corpus
        Images and labels.
    augmentation : Augmentation
        What is done to the images.
    seed : int
        Seed of the run; each batch draws from a generator of (seed, epoch, step).
    drawn : bool
        Draw a label from each distribution instead of giving the distribution itself.
    calm_from : int
        First epoch with `calm` augmentation.
    calm : Augmentation or None
        Augmentation of the last epochs.
    """

    def __init__(
        self,
        corpus: Corpus,
        augmentation: Augmentation,
        *,
        seed: int,
        drawn: bool = False,
        calm_from: int | None = None,
        calm: Augmentation | None = None,
    ) -> None:
        super().__init__(corpus, seed=seed)
        self.augmentation, self.drawn = augmentation, drawn
        self.calm_from, self.calm = calm_from, calm
        self._images = torch.from_numpy(corpus.images)

    def __getitem__(self, step: Step) -> Batch:
        epoch, number, index = step
        generator = self.generator(epoch, number)
        gray = self._images[index].unsqueeze(1).to(torch.float32)
        late = self.calm is not None and self.calm_from is not None and epoch >= self.calm_from
        augmentation = self.calm if late and self.calm is not None else self.augmentation
        batch = batch_of(self.corpus, (augmentation(gray, generator),), index)
        if self.drawn:
            drawn = {head: _draw(target, generator) for head, target in batch.targets.items()}
            return Batch(batch.inputs, drawn, batch.truth)
        return batch


def _draw(target: Tensor, generator: torch.Generator) -> Tensor:
    """Return one-hot rows drawn from distributions; rows of zeros stay so."""
    some = target.sum(dim=1) > 0
    result = torch.zeros_like(target)
    if some.any():
        chosen = torch.multinomial(target[some], 1, generator=generator)
        result[some] = torch.zeros_like(target[some]).scatter_(1, chosen, 1.0)
    return result


def training_loader(batches: TrainingBatches, *, batch: int, seed: int, balanced: bool = False) -> DataLoader[Batch]:
    """Return a loader over whole augmented batches; the last short one of an epoch is left out.

    Parameters
    ----------
    batches : TrainingBatches
        Where they come from.
    batch : int
        Rows a step, of all processes together.
    seed : int
        Seed of the order.
    balanced : bool
        Draw every class equally often, with repetition.
    """
    order = _Order(batches.corpus, min(batch, len(batches)), seed, balanced=balanced)
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=0)


def validation_loader(corpus: Corpus, *, batch: int = 256) -> DataLoader[Batch]:
    """Return a loader over the plain images in their order; processes share each batch."""
    images = torch.from_numpy(corpus.images).unsqueeze(1)
    parts = torch.split(torch.arange(len(corpus)), batch)
    # Plain images are small: one list of batches beats converting them anew at every epoch.
    return ready_loader([batch_of(corpus, (images[index].to(torch.float32),), index) for index in parts])


def ready_loader(batches: list[Batch]) -> DataLoader[Batch]:
    """Return a loader over batches made in advance; processes share each of them."""
    return DataLoader(_Ready(batches), batch_size=None, shuffle=False, num_workers=0)


class _Ready(Dataset[Batch]):
    """Batches made in advance; of several processes, each gets its share of the rows of every batch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        rank, processes = place()
        return self.batches[index].rows(slice(rank, None, processes))


def batch_of(corpus: Rows, inputs: tuple[Tensor, ...], index: Tensor) -> Batch:
    """Return a batch of some rows with their labels.

    Parameters
    ----------
    corpus : Rows
        Has the labels.
    inputs : tuple of torch.Tensor
        See `Batch`.
    index : torch.Tensor
        int64 (N,): which rows.
    """
    at: NDArray[np.int64] = index.numpy()
    return Batch(
        inputs,
        {head: torch.from_numpy(part[at]) for head, part in corpus.targets.items()},
        {head: torch.from_numpy(part[at]) for head, part in corpus.truth.items()},
    )


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
