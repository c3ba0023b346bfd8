"""The shipped family: a wide, shallow residual net for 48 x 48 grey faces.

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
from mien.training.nets.base import FaceNet

__all__ = ["FaceResNet"]


class FaceResNet(FaceNet):
    """Stem, residual blocks, batch norm, global average, one dense layer a head.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    stem : int
        Channels of the first 3 x 3 convolution, at full resolution.
    widths, strides : sequence of int
        Channels and stride of each residual block.
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
        dropout: float = 0.3,
        size: int = 48,
    ) -> None:
        if len(widths) != len(strides) or not widths:
            raise InputError(f"face_resnet needs a stride for each width, but got {widths} and {strides}")
        super().__init__(heads=heads, features=widths[-1], dropout=dropout, size=size)
        self.step = math.prod(strides)
        self.stem = nn.Conv2d(1, stem, 3, padding=1, bias=False)
        before = [stem, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(_Block(i, o, s) for i, o, s in zip(before, widths, strides, strict=True)),
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


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        same = before == after and stride == 1
        self.skip = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.norm1(x))
        skip = x if self.skip is None else self.skip(active)
        inner: Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return inner + skip
