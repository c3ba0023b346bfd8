"""Recordings with labels as batches: reproducible order, edges and augmentation, resumable at any epoch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from mien.train.augment_sound import SoundAugmentation
from mien.train.data import Batch, Step, TrainingBatches, batch_of, ready_loader
from mien.train.nets import SpeechNet
from mien.train.speech_corpus import SpeechCorpus

__all__ = ["SpeechBatches", "speech_validation_loader"]

_SILENCE_DB = -100.0
"""The floor of `mien.speech.features.log_mel`."""


class SpeechBatches(TrainingBatches):
    """Augmented batches of a corpus.

    Parameters
    ----------
    corpus : SpeechCorpus
        Spectrograms and labels.
    augmentation : SoundAugmentation
        What is done to them.
    net : SpeechNet
        How they are levelled, and how many frames they get.
    seed : int
        Seed of the run; each batch draws from a generator of (seed, epoch, step).
    """

    corpus: SpeechCorpus

    def __init__(self, corpus: SpeechCorpus, augmentation: SoundAugmentation, net: SpeechNet, *, seed: int) -> None:
        super().__init__(corpus, seed=seed)
        self.augmentation, self.net = augmentation, net

    def __getitem__(self, step: Step) -> Batch:
        epoch, number, index = step
        generator = self.generator(epoch, number)
        settings = self.corpus.settings
        rate = settings.rate_hz / settings.hop
        loose = int(self.augmentation.edges_s * rate) if self.net.trimmed else 0
        parts = [_moved(self.corpus.sounds[row], loose, self.net.frames, generator) for row in index.tolist()]
        db, lengths = _placed(parts, self.net.frames)
        db, lengths = self.augmentation.sound(db, lengths, generator, frames_per_s=rate)
        mask = _mask(lengths, self.net.frames)
        x = self.augmentation.masks(self.net.level(db, mask), lengths, generator)
        return batch_of(self.corpus, (x, mask), index)


def _moved(sound: NDArray[np.float32], loose: int, frames: int, generator: torch.Generator) -> NDArray[np.float32]:
    """Cut up to ``loose`` frames off each side, then a stretch of at most ``frames`` out of the rest."""
    before, after, at = torch.rand(3, generator=generator).tolist()
    have = sound.shape[1]
    loose = min(loose, have // 4)
    part = sound[:, round(before * loose) : have - round(after * loose)]
    over = part.shape[1] - frames
    return part[:, round(at * over) :][:, :frames] if over > 0 else part


def _placed(parts: list[NDArray[np.float32]], frames: int) -> tuple[Tensor, Tensor]:
    """Return spectrograms of one length, (N, 1, M, frames), padded behind, and their own lengths, (N,)."""
    db = torch.full((len(parts), 1, parts[0].shape[0], frames), _SILENCE_DB)
    for row, part in enumerate(parts):
        db[row, 0, :, : part.shape[1]] = torch.from_numpy(part)
    return db, torch.tensor([part.shape[1] for part in parts])


def _mask(lengths: Tensor, frames: int) -> Tensor:
    return (torch.arange(frames)[None] < lengths[:, None]).to(torch.float32)


def speech_validation_loader(corpus: SpeechCorpus, net: SpeechNet, *, batch: int = 60) -> DataLoader[Batch]:
    """Return a loader over the plain recordings in their order, whole, as at use; processes share each batch."""
    sounds = [
        sound[:, before : sound.shape[1] - after]
        for sound, (before, after) in zip(corpus.sounds, corpus.edges.tolist(), strict=True)
    ]
    ready = []
    for index in torch.split(torch.arange(len(corpus)), batch):
        parts = [sounds[row] for row in index.tolist()]
        frames = max(part.shape[1] for part in parts)
        db, lengths = _placed(parts, frames)
        mask = _mask(lengths, frames)
        ready.append(batch_of(corpus, (net.level(db, mask), mask), index))
    return ready_loader(ready)
