"""Make dlib's face recognition network a start for ``dlib_resnet``: a .safetensors file for ``mien train --init``.

    python scripts/convert_dlib.py dlib_face_recognition_resnet_model_v1.dat --data fer2013.csv --out dlib.safetensors

The weights (Davis King 2017, CC0) are in the package face-recognition-models 0.3.0 on PyPI, sha256 of the file
55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30.  The three colors of the first convolution are summed,
since mien's crops are gray and standardized.  dlib folds its batch norms into scale and offset; here they become norms
again, with the statistics of some images, such that the network computes what it did.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.data.fer2013 import read_fer2013
from mien.train.faces import fit_images
from mien.train.nets.dlib_resnet import DlibResNet

_TENSOR = re.compile(rb"(?:con_4|affine_)\x01\x02")
"""A layer's name in dlib's serialization, and the version of the tensor that follows."""

_CONTRAST = 0.22
"""Typical standard deviation of a face crop in dlib's input, (pixel - mean) / 256; mien's has 1."""

_ROWS = 2048


def read_tensors(content: bytes) -> Iterator[NDArray[np.float32]]:
    """Yield the parameters of all layers, from the input on, each float32 (n,)."""
    for match in _TENSOR.finditer(content):
        at, shape = match.end(), []
        for _ in range(4):  # an integer is its number of bytes, then these, the lowest first
            count = content[at]
            shape.append(int.from_bytes(content[at + 1 : at + 1 + count], "little"))
            at += 1 + count
        yield np.frombuffer(content, "<f4", int(np.prod(shape)), at)


def convert(content: bytes, net: DlibResNet) -> None:
    """Fill a network; its norms have mean 0 and variance 1."""
    tensors = iter([torch.from_numpy(values.copy()) for values in read_tensors(content)])
    # Convolutions and norms alternate in both, the norm behind its convolution.
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for conv, norm in zip(layers[::2], layers[1::2], strict=True):
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        values, affine = next(tensors), next(tensors)
        channels = len(norm.weight)
        weight = values[:-channels].reshape(channels, -1, *conv.kernel_size)
        scale, offset = affine.reshape(2, channels)
        if weight.shape[1] != conv.in_channels:
            weight = _CONTRAST * weight.sum(1, keepdim=True)
        with torch.no_grad():
            conv.weight.copy_(weight)
            norm.weight.copy_(scale * (1 + norm.eps) ** 0.5)
            norm.bias.copy_(offset + scale * values[-channels:])


def set_statistics(net: DlibResNet, gray: Tensor) -> None:
    """Give the norms the statistics of crops, float32 (N, 1, S, S) in 0..255; what the network computes stays."""

    def take(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        x = inputs[0].transpose(0, 1).flatten(1)
        mean, variance = x.mean(1), x.var(1)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(scale * (mean - norm.running_mean))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    hooks = [m.register_forward_pre_hook(take) for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        net.eval().classify(net.maps(net.prepare(gray)))
    for hook in hooks:
        hook.remove()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="FER2013, for the statistics of the norms")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    net = DlibResNet(heads={})
    convert(options.weights.read_bytes(), net)
    images = read_fer2013(options.data).split("Training").images
    some = images[np.linspace(0, len(images) - 1, _ROWS).astype(int)]
    gray = torch.from_numpy(fit_images(some, net.size)).unsqueeze(1).float()
    set_statistics(net, gray)
    save_file({name: t.contiguous() for name, t in net.state_dict().items()}, options.out)


if __name__ == "__main__":
    main()
