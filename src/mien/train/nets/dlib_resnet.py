"""The residual network of dlib's face recognition, for emotions: 29 convolutions, 5.6 million parameters.

The architecture is that of dlib's ``dnn_face_recognition_ex.cpp`` (Davis King 2017, Boost Software License): ResNet-34
(He et al. 2015, arXiv:1512.03385) with fewer layers and half the filters, whose shortcuts are averages and zeros
instead of convolutions.  Its published weights (CC0) are made a start by ``scripts/convert_dlib.py``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNetwork

__all__ = ["DlibResNet"]

_LEVELS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels and blocks of each level, and whether its first block halves the map."""

_SMALLEST = 104
"""Side of the smallest crops whose map at the fifth level is not empty: its first convolution is not padded."""


class DlibResNet(FaceNetwork):
    """Convolution, four levels of blocks whose map is averaged, and a fifth whose map is averaged, too.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    dropout : float
        Dropout before the heads.
    size : int
        Side of the crops in pixels.
    """

    def __init__(self, *, heads: dict[str, int], dropout: float = 0.3, size: int = 112) -> None:
        if size < _SMALLEST:
            raise InputError(f"dlib_resnet takes crops of at least {_SMALLEST} pixels, but got {size}")
        super().__init__(heads=heads, features=_LEVELS[-2][0] + _LEVELS[-1][0], dropout=dropout, size=size)
        self.stem = nn.Conv2d(1, 32, 7, 2, bias=False)
        self.norm = nn.BatchNorm2d(32)
        levels, before = [], 32
        for after, count, halves in _LEVELS:
            channels = [before, *[after] * count]
            blocks = [_Block(channels[i], after, 2 if halves and i == 0 else 1) for i in range(count)]
            levels.append(nn.Sequential(*blocks))
            before = after
        self.levels = nn.Sequential(*levels[:-1])
        self.last = levels[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, x: Tensor) -> Tensor:
        """Return the map of the fourth level, float (N, 256, h, w)."""
        maps: Tensor = self.levels(nnf.max_pool2d(torch.relu(self.norm(self.stem(x))), 3, 2))
        return maps

    def embed(self, features: Tensor) -> Tensor:
        """Return the averages of the fourth and fifth level's maps, float (N, 512)."""
        return torch.cat([super().embed(features), super().embed(self.last(features))], dim=1)


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; where they halve the map, the shortcut averages 2 x 2 pixels."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1 if stride == 1 else 0, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.stride == 1:
            return torch.relu(inner + x)
        # As in dlib, what is missing of the smaller map, or of channels, counts as zero.
        skip = nnf.avg_pool2d(x, 2)
        height, width = skip.shape[2] - inner.shape[2], skip.shape[3] - inner.shape[3]
        inner = nnf.pad(inner, (0, width, 0, height))
        return torch.relu(inner + nnf.pad(skip, (0, 0, 0, 0, 0, inner.shape[1] - skip.shape[1])))
