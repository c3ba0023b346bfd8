"""Statistics over time of a face model's outputs for every frame: few enough numbers for a corpus of 147 clips.

A face model that was trained on tens of thousands of images knows more of faces than clips of fifty people can teach.
What it does not know is how its predictions for the frames of a video relate to the label of the clip; that is learned
here, by one linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import VideoNetwork, frames_first, masked_mean, mean_and_deviation

__all__ = ["POOLS", "Temporal"]

POOLS = ("mean", "top", "deviation", "change", "attention")
"""Ways to sum up the frames: see `Temporal`."""

_TOP = 0.25
"""Share of the frames that ``top`` averages."""


class Temporal(VideoNetwork):
    """One linear layer on statistics over time.

    Parameters
    ----------
    heads, dropout, frames, answers, embedding
        See `VideoNetwork`.
    pools : sequence of str
        Of each entry of the face model's distributions over the frames: its ``mean``; its mean over the quarter of the
        frames that have most of it, ``top`` (an emotion is often shown for a moment only); its ``deviation``; its
        ``change`` from the first to the last third; its mean weighted by learned ``attention`` to frames.
    width : int
        Entries to which the mean embedding of the frames is reduced by a learned layer; 0 leaves it out.

    Raises
    ------
    InputError
        If a pool is unknown, or there is none.
    """

    uses_features = True
    middle: Tensor
    spread: Tensor

    def __init__(
        self,
        *,
        heads: dict[str, int],
        pools: Sequence[str] = ("mean", "top"),
        width: int = 0,
        dropout: float = 0.0,
        frames: int = 16,
        answers: int = 15,
        embedding: int = 256,
    ) -> None:
        unknown = [name for name in pools if name not in POOLS]
        if unknown or not pools:
            raise InputError(f"pools must be some of {', '.join(POOLS)}, but got {', '.join(unknown) or 'none'}")
        entries = len(pools) * answers
        super().__init__(
            heads=heads, features=entries + width, dropout=dropout, frames=frames, answers=answers, embedding=embedding
        )
        self.pools, self.width = tuple(pools), width
        self.attention = nn.Linear(answers, 1) if "attention" in pools else None
        self.reduce = nn.Linear(embedding, width) if width else None
        pooled = entries + (embedding if width else 0)
        self.register_buffer("middle", torch.zeros(pooled))
        self.register_buffer("spread", torch.ones(pooled))
        # From zero: where training says little, the prediction stays near the shares of the classes.
        for part in (self.heads, self.attention):
            for parameter in () if part is None else part.parameters():
                nn.init.zeros_(parameter)

    def set_statistics(self, features: Tensor, mask: Tensor) -> None:
        """Take mean and deviation of all statistics from the training clips."""
        with torch.no_grad():
            middle, spread = mean_and_deviation(self.pooled(features, mask))
        self.middle.copy_(middle)
        self.spread.copy_(spread)

    def pooled(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the statistics of clips, float (N, D), before they are levelled."""
        shares = features[..., : self.answers]
        parts = [getattr(self, f"_{name}")(shares, mask) for name in self.pools]
        if self.reduce is not None:
            parts.append(masked_mean(features[..., self.answers :], mask))
        return torch.cat(parts, dim=1)

    def embed(self, images: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return the levelled statistics, and behind them the reduced embedding."""
        level = (self.pooled(features, mask) - self.middle) / self.spread
        if self.reduce is None:
            return level
        return torch.cat([level[:, : -self.embedding], self.reduce(self.dropout(level[:, -self.embedding :]))], dim=1)

    def _mean(self, shares: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(shares, mask)

    def _top(self, shares: Tensor, mask: Tensor) -> Tensor:
        ranked = shares.masked_fill(mask.unsqueeze(2) == 0, -1.0).sort(dim=1, descending=True).values
        count = (_TOP * mask.sum(dim=1, keepdim=True)).ceil().clamp(min=1)
        return masked_mean(ranked, (torch.arange(shares.shape[1], device=mask.device)[None] < count).to(shares.dtype))

    def _deviation(self, shares: Tensor, mask: Tensor) -> Tensor:
        away = shares - masked_mean(shares, mask).unsqueeze(1)
        # The floor keeps the slope of the root finite where a clip has one frame.
        return masked_mean(away * away, mask).clamp(min=1e-6).sqrt()

    def _change(self, shares: Tensor, mask: Tensor) -> Tensor:
        front, lengths = frames_first(shares, mask)
        third = (lengths / 3).ceil()[:, None]
        place = torch.arange(shares.shape[1], device=mask.device)[None]
        inside = place < lengths[:, None]
        first = inside & (place < third)
        last = inside & (place >= lengths[:, None] - third)
        return masked_mean(front, last.to(shares.dtype)) - masked_mean(front, first.to(shares.dtype))

    def _attention(self, shares: Tensor, mask: Tensor) -> Tensor:
        assert self.attention is not None
        weight: Tensor = self.attention(shares).squeeze(2).masked_fill(mask == 0, -1e4).softmax(dim=1)
        return (weight.unsqueeze(2) * shares).sum(dim=1)
