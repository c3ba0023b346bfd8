"""The shipped family: a wide, shallow residual network for 48 x 48 gray faces.

Residual blocks in pre-activation order (He et al. 2016, arXiv:1603.05027), wide rather than deep as in Zagoruyko and
Komodakis 2016 (arXiv:1605.07146).  All 3 x 3 convolutions are dense, because on CPUs they reach the best share of
the machine's matrix rate; most of the work is done at 12 x 12 and 6 x 6, where it costs the least memory traffic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNetwork, ResidualBlock

__all__ = ["FaceResNet"]


class FaceResNet(FaceNetwork):
    """Stem, residual blocks, batch norm, global average, one dense layer a head.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    stem : int
        Channels of the first 3 x 3 convolution, at full resolution.
    widths, strides : sequence of int
        Channels and stride of each residual block.
    inner : sequence of int, optional
        Channels between the two convolutions of each block; by default its own.
    dropout : float
        Dropout before the heads.
    size : int
        Side of the crops in pixels.
    """

    def __init__(
        self,
        *,
        heads: dict[str, int],
        stem: int = 24,
        widths: Sequence[int] = (48, 128, 256, 256),
        strides: Sequence[int] = (2, 2, 2, 1),
        inner: Sequence[int] | None = None,
        dropout: float = 0.3,
        size: int = 48,
    ) -> None:
        if len(widths) != len(strides) or not widths:
            raise InputError(f"face_resnet needs a stride for each width, but got {widths} and {strides}")
        between = list(widths if inner is None else inner)
        if len(between) != len(widths):
            raise InputError(f"face_resnet needs inner channels for each width, but got {widths} and {inner}")
        super().__init__(heads=heads, features=widths[-1], dropout=dropout, size=size)
        self.step = math.prod(strides)
        self.stem = nn.Conv2d(1, stem, 3, padding=1, bias=False)
        before = [stem, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(ResidualBlock(i, o, s, b) for i, o, s, b in zip(before, widths, strides, between, strict=True)),
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def cells(self) -> tuple[float, float]:
        """Return where the cells look: a stride keeps the first pixel and leaves out those that follow."""
        return 0.5, float(self.step)

    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map, float (N, widths[-1], h, w)."""
        return torch.relu(self.norm(self.blocks(self.stem(x))))
