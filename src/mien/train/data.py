"""Batches of a corpus: reproducible order and augmentation, resumable at any epoch, on any number of devices."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mien.train.corpus import Corpus

__all__ = [
    "Augment",
    "Batch",
    "TrainingBatches",
    "hash_seed",
    "make_batch",
    "rank_and_size",
    "training_loader",
    "validation_loader",
]

Augment = Callable[[int, Tensor, torch.Generator], tuple[Tensor, ...]]
"""Returns the inputs of a batch: takes the epoch, the rows int64 (N,), and the source of all randomness."""

Step = tuple[int, int, Tensor]
"""Epoch, number of the step within it, and rows."""


def rank_and_size() -> tuple[int, int]:
    """Return the number of this process and of all processes that train one network together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a corpus as tensors.

    Parameters
    ----------
    inputs : tuple of torch.Tensor
        What the network takes: of faces, gray crops, float32 (N, 1, S, S) in 0..255; of speech, spectrograms and which
        of their frames are sound, float32 (N, 1, M, T) and (N, T); of clips, see `mien.train.nets.VideoNetwork`.
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
        return self._map(lambda part: part.to(device))

    def rows(self, which: slice) -> Batch:
        """Return some of the rows."""
        return self._map(lambda part: part[which])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            tuple(change(part) for part in self.inputs),
            {head: change(part) for head, part in self.targets.items()},
            {head: change(part) for head, part in self.truth.items()},
        )


def make_batch(corpus: Corpus, inputs: tuple[Tensor, ...], index: Tensor) -> Batch:
    """Return a batch of some rows, int64 (N,), with their labels."""
    at: NDArray[np.int64] = index.numpy()
    return Batch(
        inputs,
        {head: torch.from_numpy(part[at]) for head, part in corpus.targets.items()},
        {head: torch.from_numpy(part[at]) for head, part in corpus.truth.items()},
    )


class TrainingBatches(Dataset[Batch]):
    """Augmented batches of a corpus, made anew for every step.

    Parameters
    ----------
    corpus : Corpus
        Where they come from.
    augment : callable
        See `Augment`.
    seed : int
        Seed of the run; each batch draws from a generator of (seed, epoch, step), and of the process, if several share
        the batches.
    draw_labels : bool
        Draw a label from each distribution instead of giving the distribution itself.
    """

    def __init__(self, corpus: Corpus, augment: Augment, *, seed: int, draw_labels: bool = False) -> None:
        self.corpus, self.augment, self.seed, self.draw_labels = corpus, augment, seed, draw_labels

    def __len__(self) -> int:
        return len(self.corpus)

    def __getitem__(self, step: Step) -> Batch:
        epoch, number, index = step
        rank = rank_and_size()[0]
        seed = hash_seed(self.seed, epoch, number + 1, *([rank] if rank else []))
        generator = torch.Generator().manual_seed(seed)
        batch = make_batch(self.corpus, self.augment(epoch, index, generator), index)
        if not self.draw_labels:
            return batch
        drawn = {head: _draw_labels(target, generator) for head, target in batch.targets.items()}
        return Batch(batch.inputs, drawn, batch.truth)


def _draw_labels(target: Tensor, generator: torch.Generator) -> Tensor:
    """Return one-hot rows drawn from distributions; rows of zeros stay so."""
    some = target.sum(dim=1) > 0
    result = torch.zeros_like(target)
    if some.any():
        chosen = torch.multinomial(target[some], 1, generator=generator)
        result[some] = torch.zeros_like(target[some]).scatter_(1, chosen, 1.0)
    return result


class _Order(Sampler[Step]):
    """Batches of indices in an order that depends on seed and epoch alone; processes share each batch between them."""

    def __init__(self, corpus: Corpus, batch: int, seed: int, *, balanced: bool) -> None:
        self.n, self.batch, self.seed, self.epoch = len(corpus), min(batch, len(corpus)), seed, 0
        self._weights = _rarity(corpus) if balanced else None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (Lightning calls this, also after a resumption)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(self.n // self.batch, 1)

    def __iter__(self) -> Iterator[Step]:
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch, 0))
        if self._weights is None:
            order = torch.randperm(self.n, generator=generator)
        else:
            order = torch.multinomial(self._weights, self.n, replacement=True, generator=generator)
        rank, processes = rank_and_size()
        for step in range(len(self)):
            yield self.epoch, step, order[step * self.batch : (step + 1) * self.batch][rank::processes]


def _rarity(corpus: Corpus) -> Tensor:
    """Return a weight for each row: one over the rows of its class, in the head that measures most rows."""
    truth = max(corpus.truth.values(), key=lambda labels: int((labels >= 0).sum()))
    counts = np.bincount(truth[truth >= 0], minlength=1).astype(np.float64)
    weights = np.where(truth >= 0, 1 / np.maximum(counts, 1)[np.maximum(truth, 0)], 0.0)
    return torch.from_numpy(weights)


def training_loader(
    batches: TrainingBatches, *, batch: int, balanced: bool = False, workers: int = 0
) -> DataLoader[Batch]:
    """Return a loader over whole augmented batches; the last short one of an epoch is left out.

    Parameters
    ----------
    batches : TrainingBatches
        Where they come from.
    batch : int
        Rows a step, of all processes together.
    balanced : bool
        Draw every class equally often, with repetition.
    workers : int
        Processes that make the batches.  They are forked, with the corpus in memory; without fork there are none.
    """
    order = _Order(batches.corpus, batch, batches.seed, balanced=balanced)
    if not workers or "fork" not in multiprocessing.get_all_start_methods():
        return DataLoader(batches, sampler=order, batch_size=None, num_workers=0)
    return DataLoader(
        batches,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork",
        persistent_workers=True,
    )


def validation_loader(
    corpus: Corpus, inputs: Callable[[Tensor], tuple[Tensor, ...]], *, batch: int
) -> DataLoader[Batch]:
    """Return a loader over the plain rows in their order; processes share each batch.

    Parameters
    ----------
    corpus : Corpus
        Where they come from.
    inputs : callable
        Returns the inputs of some rows, int64 (N,).
    batch : int
        Rows a step.
    """
    parts = torch.split(torch.arange(len(corpus)), batch)
    # Plain inputs are small: one list of batches beats making them anew at every epoch.
    ready = _ReadyBatches([make_batch(corpus, inputs(index), index) for index in parts])
    return DataLoader(ready, batch_size=None, shuffle=False, num_workers=0)


class _ReadyBatches(Dataset[Batch]):
    """Batches made in advance; of several processes, each gets its share of the rows of every batch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        rank, processes = rank_and_size()
        return self.batches[index].rows(slice(rank, None, processes))


def hash_seed(*parts: int) -> int:
    """Return a seed that depends on every number."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
