"""What every net for clips has in common: the input contract, and clips of unequal length."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from mien.train.nets.base import EmotionNet

__all__ = ["VideoNet", "in_front", "masked_mean", "stretched"]

_FLAT = 0.05
"""Deviations below are taken for it: an entry that is the same in all clips must not be blown up."""


def in_front(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the frames that are there to the front, in their order.

    Parameters
    ----------
    values : torch.Tensor
        (N, T, ...).
    mask : torch.Tensor
        float (N, T): 1 for frames that are there, 0 for others.

    Returns
    -------
    values : torch.Tensor
        Of the same shape.
    lengths : torch.Tensor
        int64 (N,): how many are there, at least 1.
    """
    order = torch.argsort(mask, dim=1, descending=True, stable=True)
    index = order.reshape(*order.shape, *[1] * (values.ndim - 2)).expand_as(values)
    return values.gather(1, index), mask.sum(dim=1).long().clamp(min=1)


def stretched(values: Tensor, mask: Tensor) -> Tensor:
    """Fill all T places with the frames that are there, evenly repeated: 0, 1, 2 become 0, 0, 1, 1, 2, 2.

    Parameters
    ----------
    values, mask
        See `in_front`.
    """
    front, lengths = in_front(values, mask)
    places = torch.arange(values.shape[1], device=values.device)
    order = places[None] * lengths[:, None] // values.shape[1]
    return front.gather(1, order.reshape(*order.shape, *[1] * (values.ndim - 2)).expand_as(front))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the frames that are there, (N, D), of values (N, T, D)."""
    inside = mask.unsqueeze(2)
    return (values * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)


class VideoNet(EmotionNet):
    """A net from the faces of a clip to one vector of logits a head.

    Clips have up to ``frames`` frames; a mask says which are there, so that short ones are not filled with invented
    faces.  What is computed on each face alone comes from a trained face net (`mien.train.video_features`), once.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    features : int
        Length of the embedding of a clip.
    dropout : float
        Probability of dropping an entry of the embedding while training.
    frames : int
        Frames of a clip at most.
    size : int
        Side of the images in pixels.
    answers, embedding : int
        What the face net tells of a face: entries of all its distributions together, and of its embedding.
    """

    sees_images = False
    """Whether it takes images."""

    sees_features = False
    """Whether it takes what a face net tells."""

    def __init__(
        self,
        *,
        heads: dict[str, int],
        features: int,
        dropout: float,
        frames: int = 16,
        size: int = 48,
        answers: int = 15,
        embedding: int = 256,
    ) -> None:
        super().__init__(heads=heads, features=features, dropout=dropout)
        self.frames, self.size, self.answers, self.embedding = frames, size, answers, embedding

    def example(self) -> tuple[Tensor, ...]:
        """Return a black clip of full length, as `forward` takes it."""
        side = self.size if self.sees_images else 0
        told = self.answers + self.embedding if self.sees_features else 0
        return (
            torch.zeros(1, 1, self.frames, side, side),
            torch.zeros(1, self.frames, told),
            torch.ones(1, self.frames),
        )

    def begin(self, features: Tensor, mask: Tensor) -> None:
        """Take from the training clips what stays fixed, such as means to subtract; here nothing.

        Parameters
        ----------
        features, mask
            See `forward`.
        """

    @abstractmethod
    def embed(self, images: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return the embedding of clips, float (N, D)."""

    def forward(self, images: Tensor, features: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return logits.

        Parameters
        ----------
        images : torch.Tensor
            float (N, 1, T, S, S) in 0..255; (N, 1, T, 0, 0) where the net does not see them.
        features : torch.Tensor
            float (N, T, answers + embedding): distributions, then the embedding; (N, T, 0) where it does not see them.
        mask : torch.Tensor
            float (N, T): 1 for frames that are there.

        Returns
        -------
        dict of str to torch.Tensor
            float32 (N, classes) for each head.
        """
        embedding = self.dropout(self.embed(images, features, mask))
        return {name: head(embedding) for name, head in self.heads.items()}


def scale_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each column, (D,) each, of values (n, D); no deviation is less than 0.05."""
    return values.mean(dim=0), values.std(dim=0, correction=0).clamp(min=_FLAT)
