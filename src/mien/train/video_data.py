"""Clips with labels as batches: reproducible order, frames left out, views and augmentation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mien.train.augment import Augmentation
from mien.train.data import Batch, Step, TrainingBatches, batch_of, ready_loader
from mien.train.nets import VideoNet
from mien.train.video_corpus import VideoCorpus

__all__ = ["VideoBatches", "video_validation_loader"]


class VideoBatches(TrainingBatches):
    """Augmented batches of a corpus.

    Of what a face net says, each frame is seen plain or in the mirror, by chance.  Images are augmented, all frames
    of a clip alike.  Some frames are left out, another choice each time.

    Parameters
    ----------
    corpus : VideoCorpus
        Faces, features and labels.
    augmentation : Augmentation
        What is done to images.
    net : VideoNet
        What it takes.
    drop : float
        Share of the frames left out.
    seed : int
        Seed of the run; each batch draws from a generator of (seed, epoch, step).
    """

    corpus: VideoCorpus

    def __init__(
        self, corpus: VideoCorpus, augmentation: Augmentation, net: VideoNet, *, drop: float, seed: int
    ) -> None:
        super().__init__(corpus, seed=seed)
        self.augmentation, self.net, self.drop = augmentation, net, drop
        self._features = torch.from_numpy(corpus.features)

    def __getitem__(self, step: Step) -> Batch:
        epoch, number, index = step
        generator = self.generator(epoch, number)
        mask = _thinned(torch.from_numpy(self.corpus.mask[index.numpy()]), self.drop, generator)
        images, features = _plain(self.corpus, self.net, index)
        if self.net.sees_images:
            images = _alike(images, self.augmentation, generator)
        if self.net.sees_features:
            clips, frames = mask.shape
            side = torch.randint(0, 2, (clips, frames), generator=generator)
            features = self._features[index[:, None], side, torch.arange(frames)[None]]
        return batch_of(self.corpus, (images, features, mask), index)


def _thinned(mask: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    """Leave frames out by chance; where none would be left, all stay."""
    kept = mask * (torch.rand(mask.shape, generator=generator) >= drop).to(mask.dtype)
    return torch.where(kept.sum(dim=1, keepdim=True) > 0, kept, mask)


def _alike(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Augment clips (N, 1, T, S, S): every frame with a generator in the same state."""
    state = generator.get_state()
    done = []
    for frame in images.unbind(dim=2):
        generator.set_state(state)
        done.append(augmentation(frame.contiguous(), generator))
    return torch.stack(done, dim=2)


def _plain(corpus: VideoCorpus, net: VideoNet, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a net takes of some clips, as at use: images, and the mean of what is said of both views."""
    at = index.numpy()
    frames = corpus.mask.shape[1]
    images = torch.zeros(len(at), 1, frames, 0, 0)
    features = torch.zeros(len(at), frames, 0)
    if net.sees_images:
        images = torch.from_numpy(corpus.images[at]).unsqueeze(1).to(torch.float32)
    if net.sees_features:
        features = torch.from_numpy(corpus.features[at].mean(axis=1))
    return images, features


def video_validation_loader(corpus: VideoCorpus, net: VideoNet, *, batch: int = 64) -> DataLoader[Batch]:
    """Return a loader over the plain clips in their order, whole, as at use; processes share each batch."""
    mask = torch.from_numpy(corpus.mask)
    parts = torch.split(torch.arange(len(corpus)), batch)
    return ready_loader([batch_of(corpus, (*_plain(corpus, net, i), mask[i]), i) for i in parts])
