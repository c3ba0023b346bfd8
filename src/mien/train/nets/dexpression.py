"""DeXpression (Burkert et al. 2015, arXiv:1509.05371), in the paper's form and for 48 x 48 pixels.

The paper gives the 224 x 224 net: a 7 x 7 convolution of stride 2, a pooling, a normalization, two FeatEx blocks (a
3 x 3 convolution behind a 1 x 1 one, beside a pooling followed by a 1 x 1 convolution, put together) and a dense
layer.  The form for 48 x 48 images, a common port, leaves the first convolution at full resolution and normalizes by
batch, which gives 485,799 trainable parameters with seven classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNetwork

__all__ = ["DeXpression"]

_MAPS = 272  # 208 + 64, both from the paper's table 1


class DeXpression(FaceNetwork):
    """Two FeatEx blocks and a dense layer on all of the last map.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each output head.
    size : {48, 224}
        Side of the crops in pixels: 224 is the paper's form.
    dropout : float
        Dropout before the heads.
    """

    def __init__(self, *, heads: dict[str, int], size: int = 48, dropout: float = 0.5) -> None:
        if size not in (48, 224):
            raise InputError(f"dexpression takes crops of 48 or 224 pixels, but got {size}")
        paper = size == 224
        side = 14 if paper else 6
        super().__init__(heads=heads, features=_MAPS * side * side, dropout=dropout, size=size)
        self.conv1 = nn.Conv2d(1, 64, 7, stride=2 if paper else 1, padding=3)
        # The paper's local response normalization has no size or strength in it; these are AlexNet's.
        self.norm1 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0) if paper else nn.BatchNorm2d(64)
        self.block2 = _FeatEx(64)
        self.block3 = _FeatEx(_MAPS)

    def cells(self) -> tuple[float, float]:
        """Return where the cells look: three poolings that keep the first pixel, and the paper's first stride."""
        return 0.5, 16.0 if self.size == 224 else 8.0

    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map, float (N, 272, 14, 14) or (N, 272, 6, 6)."""
        x = self.norm1(_halve(torch.relu(self.conv1(x))))
        return _halve(self.block3(_halve(self.block2(x))))

    def embed(self, features: Tensor) -> Tensor:
        """Return the whole map as one row, float (N, 272 h w)."""
        return features.flatten(1)


def _halve(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 3, stride=2, padding=1)


class _FeatEx(nn.Module):
    """Burkert et al. 2015, figure 3."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(before, 96, 1)
        self.wide = nn.Conv2d(96, 208, 3, padding=1)
        self.pooled = nn.Conv2d(before, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.relu(self.wide(torch.relu(self.reduce(x))))
        pooled = torch.relu(self.pooled(nn.functional.max_pool2d(x, 3, stride=1, padding=1)))
        return torch.cat([wide, pooled], dim=1)
