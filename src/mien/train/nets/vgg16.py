"""VGG16 (Simonyan and Zisserman 2015, arXiv:1409.1556, configuration D), which systems A and D fine-tuned.

The convolutions lie in one sequence that is numbered as torchvision's is, so that public weights fit by their keys
(see `mien.train.nets.vgg_weights`).  Its three dense layers, 120 of its 138 million parameters, are replaced by one
of 512 units, as the two systems did.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.train.nets.base import FaceNet, standardize

__all__ = ["BLOCKS", "INPUTS", "VGG16"]

BLOCKS: tuple[tuple[int, ...], ...] = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the 3 x 3 convolutions of each block, a pooling after each (Simonyan and Zisserman, table 1, D)."""

# ImageNet: mean and deviation of RGB in 0..1 that torchvision's weights were trained with (its documentation).
# Caffe: mean of BGR in 0..255 of the authors' own ImageNet weights, which Keras ships (keras.applications, mode caffe).
# VGGFace: mean of BGR in 0..255 of Parkhi et al. 2015 (VGG_FACE, averageImage); ports differ in the channels' order,
# which on gray images decides about the means alone.
INPUTS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 255.0),
    "caffe": ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), 1.0),
    "vggface": ((93.5940, 104.7624, 129.1863), (1.0, 1.0, 1.0), 1.0),
    "vggface_rgb": ((129.1863, 104.7624, 93.5940), (1.0, 1.0, 1.0), 1.0),
}
"""Mean, deviation and divisor of the three channels that public weights expect."""


class VGG16(FaceNet):
    """Thirteen convolutions in five blocks, global average, one dense layer.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each output head.
    batch_norm : bool
        A batch norm behind each convolution, as in torchvision's ``vgg16_bn``: from scratch, thirteen layers hardly
        train without.
    inputs : {"standardized", "imagenet", "caffe", "vggface", "vggface_rgb"}
        How gray levels become the three channels: per image, or as public weights expect them (`INPUTS`).
    dense : int
        Units of the dense layer.
    dropout : float
        Dropout before the heads.
    size : int
        Side of the crops in pixels, at least 32.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        heads: dict[str, int],
        batch_norm: bool = False,
        inputs: str = "standardized",
        dense: int = 512,
        dropout: float = 0.5,
        size: int = 48,
    ) -> None:
        if size < 32:
            raise InputError(f"vgg16 takes crops of at least 32 pixels, but got {size}")
        if inputs != "standardized" and inputs not in INPUTS:
            raise InputError(f"vgg16: inputs must be one of standardized, {', '.join(INPUTS)}, but got {inputs!r}")
        super().__init__(heads=heads, features=dense, dropout=dropout, size=size)
        self.inputs = inputs
        self.batch_norm = batch_norm
        mean, deviation, self.divisor = INPUTS.get(inputs, ((0.0,) * 3, (1.0,) * 3, 1.0))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)
        self.features = nn.Sequential(*_layers(batch_norm))
        self.dense = nn.Linear(BLOCKS[-1][-1], dense)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def prepare(self, gray: Tensor) -> Tensor:
        """Return three channels, float (N, 3, S, S), as the weights expect them."""
        if self.inputs == "standardized":
            return standardize(gray).expand(-1, 3, -1, -1)
        return (gray / self.divisor - self.mean) / self.deviation

    def layer_names(self) -> dict[str, tuple[str, ...]]:
        """Return the paper's layer names, ``conv1_1`` to ``conv5_3``, each with its parts: convolution, batch norm."""
        at = [n for n, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d)]
        names = [f"conv{b}_{i}" for b, block in enumerate(BLOCKS, 1) for i in range(1, len(block) + 1)]
        parts = 2 if self.batch_norm else 1
        return {name: tuple(f"features.{n + k}" for k in range(parts)) for name, n in zip(names, at, strict=True)}

    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map before its pooling, float (N, 512, S/16, S/16)."""
        features: Tensor = self.features(x)
        return features

    def embed(self, features: Tensor) -> Tensor:
        """Return the dense layer's output, float (N, dense), of the pooled and averaged map."""
        pooled = nn.functional.max_pool2d(features, 2).mean(dim=(2, 3))
        return torch.relu(self.dense(pooled))


def _layers(batch_norm: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for number, block in enumerate(BLOCKS):
        layers += [nn.MaxPool2d(2)] * (number > 0)
        for width in block:
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            layers += [nn.Conv2d(before, width, 3, padding=1), *norm, nn.ReLU()]
            before = width
    return layers
