"""What every net has in common: the heads, what can be frozen, what it costs; and the input contract of face nets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

__all__ = ["Deployed", "EmotionNet", "FaceNet", "Layer", "multiply_adds", "parameters", "standardize", "summary"]

# ITU-R BT.601-7, section 2.5.1: luma of R'G'B'; the weights that FER2013's gray images and OpenCV share.
_LUMA = (0.299, 0.587, 0.114)
_FLOOR = 4.0  # gray levels; keeps a flat image from being blown up to pure noise


class EmotionNet(nn.Module, ABC):
    """What nets for faces and for voices share: heads, and parts that can be frozen.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    features : int
        Length of the embedding.
    dropout : float
        Probability of dropping an entry of the embedding while training.
    """

    def __init__(self, *, heads: dict[str, int], features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(features, classes) for name, classes in heads.items()})

    def train(self, mode: bool = True) -> Self:
        """Switch between training and answering; a batch norm whose parameters are frozen goes on answering.

        In training it would normalize by the batch and go on counting statistics that its frozen parameters were not
        made for.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self

    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """Return what the net takes for one face, or for one recording of the length that training gives it."""

    def layer_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names that a paper gives to layers, in their order, each with its parts; here none."""
        return {}


class FaceNet(EmotionNet):
    """A net from face crops to one vector of logits a head.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    features : int
        Length of the embedding.
    dropout : float
        Probability of dropping an entry of the embedding while training.
    size : int
        Side of the square crops in pixels.
    """

    def __init__(self, *, heads: dict[str, int], features: int, dropout: float, size: int) -> None:
        super().__init__(heads=heads, features=features, dropout=dropout)
        self.size = size

    def example(self) -> tuple[Tensor, ...]:
        """Return a black crop, float32 (1, 1, S, S)."""
        return (torch.zeros(1, 1, self.size, self.size),)

    def cells(self) -> tuple[float, float] | None:
        """Return where the cells of the last map look: the middle of the first and the distance to the next, in pixels.

        Pixel i covers i to i + 1.  With strided convolutions padded on both sides, a cell looks at the upper left of
        its share of the crop, not at the middle.  None where nobody needs it: the heads are not linear in the map.
        """
        return None

    def prepare(self, gray: Tensor) -> Tensor:
        """Return what `maps` takes, float (N, 1 or 3, S, S), of gray crops in 0..255; here `standardize`."""
        return standardize(gray)

    @abstractmethod
    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map, float (N, C, h, w), of prepared crops."""

    def embed(self, features: Tensor) -> Tensor:
        """Return the embedding, float (N, D), of the last feature map; here its average over space."""
        return features.mean(dim=(2, 3))

    def answer(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the logits of each head and the embedding of the last feature map."""
        embedding = self.embed(features)
        dropped = self.dropout(embedding)
        return {name: head(dropped) for name, head in self.heads.items()}, embedding

    def forward(self, gray: Tensor) -> dict[str, Tensor]:
        """Return logits.

        Parameters
        ----------
        gray : torch.Tensor
            float (N, 1, S, S) in 0..255.

        Returns
        -------
        dict of str to torch.Tensor
            float32 (N, classes) for each head.
        """
        return self.answer(self.maps(self.prepare(gray)))[0]


class Deployed(nn.Module):
    """A net with its preprocessing, as it is exported: RGB crops in, logits, embedding and last map out.

    Parameters
    ----------
    net : FaceNet
        The trained net.
    """

    luma: Tensor

    def __init__(self, net: FaceNet) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("luma", torch.tensor(_LUMA), persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return one logits tensor a head, then embedding (N, D) and features (N, C, h, w), of uint8 (N, S, S, 3)."""
        gray = (crops.to(torch.float32) * self.luma).sum(dim=3, keepdim=True).permute(0, 3, 1, 2)
        features = self.net.maps(self.net.prepare(gray))
        logits, embedding = self.net.answer(features)
        return (*logits.values(), embedding, features)


def standardize(gray: Tensor) -> Tensor:
    """Scale each image to zero mean and unit standard deviation, float (N, 1, S, S)."""
    mean = gray.mean(dim=(1, 2, 3), keepdim=True)
    centered = gray - mean
    deviation = (centered * centered).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return centered / (deviation + _FLOOR)


def parameters(net: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def multiply_adds(net: EmotionNet) -> int:
    """Return the multiply-adds of convolutions and dense layers for `EmotionNet.example`."""
    return sum(layer.multiply_adds for layer in summary(net))


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of `summary`.

    Parameters
    ----------
    name, kind : str
        As in the net, and the class of the layer.
    shape : tuple of int
        Shape of its output for one example.
    parameters, multiply_adds : int
        What it costs; norms are folded into convolutions when a graph is loaded, and count no multiply-adds.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def summary(net: EmotionNet) -> tuple[Layer, ...]:
    """Return the layers that have parameters, in the order in which they work, with what they cost for one example."""
    rows: list[Layer] = []
    names = {module: name for name, module in net.named_modules()}

    def count(module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        own = sum(p.numel() for p in module.parameters())
        shown = output if isinstance(output, Tensor) else output[0]
        cost = 0
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            cost = shown[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.GRU | nn.LSTM):
            cost = shown.shape[1] * sum(p.numel() for p in module.parameters() if p.ndim > 1)
        rows.append(Layer(names[module], type(module).__name__, tuple(shown.shape[1:]), own, cost))

    layers = [m for m in net.modules() if next(m.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(*net.example())
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return tuple(rows)
