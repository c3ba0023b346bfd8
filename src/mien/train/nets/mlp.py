"""A multilayer perceptron on pixels, as a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNetwork

__all__ = ["MLP"]


class MLP(FaceNetwork):
    """Dense layers on the flat image; it has no notion of neighbouring pixels, and shows what that costs.

    Its last "map" is its last hidden layer as a map of one pixel, so that it keeps the contract of the other networks;
    there is nothing to see on it.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each output head.
    widths : sequence of int
        Units of each hidden layer.
    dropout : float
        Dropout after each hidden layer.
    size : int
        Side of the crops in pixels.
    """

    def __init__(
        self, *, heads: dict[str, int], widths: Sequence[int] = (512, 256, 128), dropout: float = 0.5, size: int = 48
    ) -> None:
        if not widths:
            raise InputError("mlp needs at least one hidden layer, but got no widths")
        super().__init__(heads=heads, features=widths[-1], dropout=dropout, size=size)
        layers: list[nn.Module] = [nn.Flatten()]
        before = size * size
        for number, width in enumerate(widths):
            # The last dropout is the one before the heads.
            layers += [nn.Dropout(dropout)] * (number > 0) + [nn.Linear(before, width), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers)

    def maps(self, x: Tensor) -> Tensor:
        """Return the last hidden layer, float (N, widths[-1], 1, 1)."""
        hidden: Tensor = self.layers(x)
        return hidden[:, :, None, None]
