"""Convolutions over space and time, small: after C3D (Tran et al. 2015, arXiv:1412.0767).

The paper's network has eight convolutions of 64 to 512 maps on 16 frames of 112 pixels, and 78 million parameters.
Kept are its kernels of 3 x 3 x 3 throughout, its first pooling over space alone, and its dense layer; the rest is cut
to what faces of 48 pixels in gray, and some hundred clips, can bear.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import VideoNetwork, repeat_frames

__all__ = ["C3D"]

_FLOOR = 4.0  # gray levels, as for single faces


class C3D(VideoNetwork):
    """Convolutions over space and time.

    Parameters
    ----------
    heads, dropout, frames, size
        See `VideoNetwork`; a clip of fewer frames is repeat_frames to ``frames`` by repeating some.
    widths : sequence of int
        Maps of each convolution; the first moves in steps of two pixels, and behind each the map is halved: over space
        alone behind the first, over space and time behind the others.
    dense : int
        Width of the layer behind them.

    Raises
    ------
    InputError
        If frames or size are too small to be halved so often.
    """

    uses_images = True

    def __init__(
        self,
        *,
        heads: dict[str, int],
        widths: Sequence[int] = (24, 48, 96),
        dense: int = 128,
        dropout: float = 0.5,
        frames: int = 16,
        size: int = 48,
    ) -> None:
        super().__init__(heads=heads, features=dense, dropout=dropout, frames=frames, size=size)
        halvings = len(widths) - 1
        depth, side = frames >> halvings, (size + 1) // 2 >> (halvings + 1)
        if not widths or depth < 1 or side < 1:
            raise InputError(f"{len(widths)} widths are too many for {frames} frames of {size} pixels, or none")
        layers: list[nn.Module] = []
        for number, (before, width) in enumerate(zip((1, *widths[:-1]), widths, strict=True)):
            stride, pool = ((1, 2, 2), (1, 2, 2)) if number == 0 else ((1, 1, 1), (2, 2, 2))
            layers += [
                nn.Conv3d(before, width, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm3d(width),
                nn.ReLU(),
                nn.MaxPool3d(pool),
            ]
        self.body = nn.Sequential(*layers)
        self.dense = nn.Linear(widths[-1] * depth * side * side, dense)

    def embed(self, images: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return the dense layer's output."""
        clips = repeat_frames(images.squeeze(1), mask).unsqueeze(1)
        # By the clip, not by the frame: how the light changes within it stays.
        away = clips - clips.mean(dim=(2, 3, 4), keepdim=True)
        deviation = away.square().mean(dim=(2, 3, 4), keepdim=True).sqrt().clamp(min=_FLOOR)
        maps = self.body(away / deviation)
        return torch.relu(self.dense(self.dropout(maps.flatten(1))))
