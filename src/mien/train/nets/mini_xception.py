"""mini-Xception (Arriaga, Valdenegro-Toro, Ploeger 2017, arXiv:1710.07557), the most copied baseline of the field."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNetwork

__all__ = ["MiniXception"]

_SMALLEST = 8  # the first two convolutions, without padding, take four pixels off


class MiniXception(FaceNetwork):
    """Two small convolutions, four residual modules of separable convolutions, and a convolution as classifier.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each output head.
    stem : int
        Channels of the first two convolutions.
    widths : sequence of int
        Channels of each residual module.
    dropout : float
        The paper has none; here it acts on the last map.
    size : int
        Side of the crops in pixels; the paper's is 64.
    """

    def __init__(
        self,
        *,
        heads: dict[str, int],
        stem: int = 8,
        widths: Sequence[int] = (16, 32, 64, 128),
        dropout: float = 0.0,
        size: int = 48,
    ) -> None:
        if not widths:
            raise InputError("mini_xception needs at least one module, but got no widths")
        if size < _SMALLEST:
            raise InputError(f"mini_xception takes crops of at least {_SMALLEST} pixels, but got {size}")
        super().__init__(heads=heads, features=widths[-1], dropout=dropout, size=size)
        # No dense layer at the end: the classifier is a 3 x 3 convolution, averaged over space.
        self.heads = nn.ModuleDict({n: nn.Conv2d(widths[-1], classes, 3, padding=1) for n, classes in heads.items()})
        self.stem = nn.Sequential(*_convolution(1, stem), *_convolution(stem, stem))
        before = [stem, *widths[:-1]]
        self.modules_ = nn.Sequential(*(_Module(i, o) for i, o in zip(before, widths, strict=True)))

    def cells(self) -> tuple[float, float]:
        """Return where the cells look: two convolutions without padding take off two pixels, each module halves."""
        return 2.5, float(2 ** len(self.modules_))

    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map, float (N, widths[-1], h, w)."""
        features: Tensor = self.modules_(self.stem(x))
        return features

    def classify(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the logits of each head and the average of the last feature map."""
        dropped = self.dropout(features)
        return {n: head(dropped).mean(dim=(2, 3)) for n, head in self.heads.items()}, self.embed(features)


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _separable(before: int, after: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False)
    return [depthwise, nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)]


class _Module(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))
        self.path = nn.Sequential(*_separable(before, after), nn.ReLU(), *_separable(after, after))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(nn.functional.max_pool2d(self.path(x), 3, stride=2, padding=1), self.skip(x))
