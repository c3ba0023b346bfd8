"""Building blocks that several nets share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ResidualBlock"]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, in pre-activation order (He et al. 2016, arXiv:1603.05027).

    Parameters
    ----------
    before, after : int
        Channels of input and output.
    stride : int or (int, int)
        Of the first convolution, and of the 1 x 1 convolution in the shortcut where shapes differ.
    inner : int, optional
        Channels between the two convolutions; by default as many as come out.
    """

    def __init__(self, before: int, after: int, stride: int | tuple[int, int], inner: int | None = None) -> None:
        super().__init__()
        between = after if inner is None else inner
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, between, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(between)
        self.conv2 = nn.Conv2d(between, after, 3, padding=1, bias=False)
        same = before == after and stride in (1, (1, 1))
        self.skip = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, after, h, w) of float (N, before, H, W)."""
        active = torch.relu(self.norm1(x))
        skip = x if self.skip is None else self.skip(active)
        inner: Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return inner + skip
