"""FER2013 with both kinds of labels as batches: reproducible order and augmentation, resumable at any epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mien.datasets import FaceData, ferplus
from mien.datasets.base import content_hashes
from mien.datasets.fer2013 import load as load_fer2013
from mien.errors import DatasetError
from mien.training.augment import Augmentation

__all__ = ["Batch", "Corpus", "FaceBatches", "load_corpus", "training_loader", "validation_loader"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step gets.

    Parameters
    ----------
    grey : torch.Tensor
        float32 (N, 1, S, S) in 0..255.
    fer7 : torch.Tensor
        int64 (N,): FER2013's label.
    ferplus8 : torch.Tensor
        float32 (N, 8): distribution of FER+ votes, all zero where there is none.
    majority : torch.Tensor
        int64 (N,): FER+ label by majority, -1 where there is none.
    """

    grey: Tensor
    fer7: Tensor
    ferplus8: Tensor
    majority: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device (Lightning calls this)."""
        return Batch(*(getattr(self, name).to(device) for name in ("grey", "fer7", "ferplus8", "majority")))


@dataclass(frozen=True, slots=True)
class Corpus:
    """Pictures with both kinds of labels.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S).
    fer7, majority : numpy.ndarray
        int64 (n,).
    ferplus8 : numpy.ndarray
        float32 (n, 8).
    """

    images: NDArray[np.uint8]
    fer7: NDArray[np.int64]
    ferplus8: NDArray[np.float32]
    majority: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


def load_corpus(path: str | Path, *, labels: str | Path | None, drop_overlap: bool = True) -> tuple[Corpus, Corpus]:
    """Read Training and PublicTest of FER2013 with the votes of FER+.

    Parameters
    ----------
    path : str or pathlib.Path
        FER2013's table, or a folder with it.
    labels : str or pathlib.Path or None
        ``fer2013new.csv``; by default beside the table.
    drop_overlap : bool
        Drop the Training rows whose pixels also occur in PublicTest, so that validation is not remembered.

    Returns
    -------
    training, validation : Corpus
        The two splits.

    Raises
    ------
    DatasetError
        If a file or a split is missing.
    """
    table = ferplus.table_of(path)
    pictures = load_fer2013(table)
    votes = ferplus.with_votes(pictures, labels or ferplus.votes_beside(table))
    missing = {"Training", "PublicTest"} - set(pictures.split_names())
    if missing:
        raise DatasetError(f"{path} lacks the split {', '.join(sorted(missing))}: training needs both")
    training, validation = (
        _corpus(votes, pictures.labels, votes.splits == name) for name in ("Training", "PublicTest")
    )
    if drop_overlap:
        held_out = set(content_hashes(validation.images))
        keep = np.array([digest not in held_out for digest in content_hashes(training.images)])
        training = _take(training, keep)
    return training, validation


def _corpus(votes: FaceData, classes: NDArray[np.int64], mask: NDArray[np.bool_]) -> Corpus:
    assert votes.distribution is not None
    return Corpus(votes.images[mask], classes[mask], votes.distribution[mask], votes.labels[mask])


def _take(corpus: Corpus, mask: NDArray[np.bool_]) -> Corpus:
    return replace(
        corpus,
        images=corpus.images[mask],
        fer7=corpus.fer7[mask],
        ferplus8=corpus.ferplus8[mask],
        majority=corpus.majority[mask],
    )


_Step = tuple[int, int, Tensor]


class _Order(Sampler[_Step]):
    """Batches of indices in an order that depends on seed and epoch alone."""

    def __init__(self, n: int, batch: int, seed: int) -> None:
        self.n, self.batch, self.seed, self.epoch = n, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (Lightning calls this, also after a resumption)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(self.n // self.batch, 1)

    def __iter__(self) -> Iterator[_Step]:
        generator = torch.Generator().manual_seed(_seed(self.seed, self.epoch, 0))
        order = torch.randperm(self.n, generator=generator)
        for step in range(len(self)):
            yield self.epoch, step, order[step * self.batch : (step + 1) * self.batch]


class FaceBatches(Dataset[Batch]):
    """Augmented batches of a corpus.

    Parameters
    ----------
    corpus : Corpus
        Pictures and labels.
    augmentation : Augmentation
        What is done to the pictures.
    seed : int
        Seed of the run; each batch draws from a generator of (seed, epoch, step).
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
        calm_from: int | None = None,
        calm: Augmentation | None = None,
    ) -> None:
        self.corpus, self.augmentation, self.seed = corpus, augmentation, seed
        self.calm_from, self.calm = calm_from, calm
        self._images = torch.from_numpy(corpus.images)

    def __len__(self) -> int:
        return len(self.corpus)

    def __getitem__(self, step: _Step) -> Batch:
        epoch, number, index = step
        generator = torch.Generator().manual_seed(_seed(self.seed, epoch, number + 1))
        grey = self._images[index].unsqueeze(1).to(torch.float32)
        late = self.calm is not None and self.calm_from is not None and epoch >= self.calm_from
        augmentation = self.calm if late and self.calm is not None else self.augmentation
        return _batch(self.corpus, augmentation(grey, generator), index)


def training_loader(batches: FaceBatches, *, batch: int, seed: int) -> DataLoader[Batch]:
    """Return a loader over whole augmented batches; the last short one of an epoch is left out."""
    order = _Order(len(batches), batch, seed)
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=0)


def validation_loader(corpus: Corpus, *, batch: int = 256) -> DataLoader[Batch]:
    """Return a loader over the plain pictures in their order."""
    images = torch.from_numpy(corpus.images).unsqueeze(1)
    parts = torch.split(torch.arange(len(corpus)), batch)
    # Plain pictures are small: one list of batches beats converting them anew at every epoch.
    ready = [_batch(corpus, images[index].to(torch.float32), index) for index in parts]
    return DataLoader(_Ready(ready), batch_size=None, shuffle=False, num_workers=0)


class _Ready(Dataset[Batch]):
    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def _batch(corpus: Corpus, grey: Tensor, index: Tensor) -> Batch:
    at = index.numpy()
    labels = (torch.from_numpy(part[at]) for part in (corpus.fer7, corpus.ferplus8, corpus.majority))
    return Batch(grey, *labels)


def _seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, step)).generate_state(1, np.uint64)[0] >> 1)
