"""A small convolutional network: four convolutions and one dense layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNetwork

__all__ = ["CNN"]


class CNN(FaceNetwork):
    """3 x 3 convolutions, each with ReLU and 2 x 2 pooling, then a dense layer.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each output head.
    widths : sequence of int
        Channels of each convolution.
    dense : int
        Units of the dense layer.
    dropout : float
        Dropout before the heads; half of it before the dense layer.
    size : int
        Side of the crops in pixels; a multiple of 2 to the number of convolutions.
    """

    def __init__(
        self,
        *,
        heads: dict[str, int],
        widths: Sequence[int] = (32, 64, 128, 128),
        dense: int = 512,
        dropout: float = 0.5,
        size: int = 48,
    ) -> None:
        if not widths:
            raise InputError("cnn needs at least one convolution, but got no widths")
        if size >> len(widths) < 1:
            least = 1 << len(widths)
            raise InputError(
                f"cnn takes crops of at least {least} pixels for {len(widths)} convolutions, but got {size}"
            )
        super().__init__(heads=heads, features=dense, dropout=dropout, size=size)
        layers: list[nn.Module] = []
        before = 1
        for number, width in enumerate(widths):
            # The last map is kept before its pooling: at 6 x 6 there is still something to see on it.
            layers += [nn.MaxPool2d(2)] * (number > 0) + [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers)
        self.pool = nn.MaxPool2d(2)
        self.drop_maps = nn.Dropout(dropout / 2)
        self.dense = nn.Linear(before * (size >> len(widths)) ** 2, dense)

    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map, float (N, widths[-1], h, w)."""
        features: Tensor = self.layers(x)
        return features

    def embed(self, features: Tensor) -> Tensor:
        """Return the dense layer's output, float (N, dense)."""
        return torch.relu(self.dense(self.drop_maps(self.pool(features).flatten(1))))
