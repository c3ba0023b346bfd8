"""VGG16 (Simonyan and Zisserman 2015, arXiv:1409.1556, configuration D), to be fine-tuned.

The convolutions lie in one sequence that is numbered as torchvision's is, so that public weights fit by their keys;
`translate` reads them in the key layouts of their publishers.  Only the thirteen convolutions (and their batch norms)
are taken.  Its three dense layers, 120 of its 138 million parameters, are replaced by one
of 512 units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.errors import InputError, ModelError
from mien.train.nets.base import FaceNetwork, standardize

__all__ = ["BLOCKS", "INPUTS", "VGG16", "Layout", "PublicWeights", "translate"]

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


class VGG16(FaceNetwork):
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


# --- public weights ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """How a publisher names and stores the weights.

    Parameters
    ----------
    name : str
        What to call it in messages.
    inputs : tuple of str
        The ``inputs`` of `VGG16` that its weights can have been trained with, likeliest first.
    """

    name: str
    inputs: tuple[str, ...]


TORCHVISION = Layout("torchvision", ("imagenet",))
"""``features.N.weight``, then ``classifier.N``: torchvision's ``vgg16`` and ``vgg16_bn`` (its models/vgg.py)."""

TIMM = Layout("timm", ("imagenet",))
"""``features.N.weight``, then ``pre_logits.fc1`` and ``head.fc`` (timm's models/vgg.py)."""

VGGFACE = Layout("VGGFace", ("vggface", "vggface_rgb"))
"""``conv1_1.weight`` or ``conv_1_1.weight``, then ``fc6`` to ``fc8``: ports of Parkhi et al. 2015 to PyTorch."""

KERAS = Layout("Keras", ("caffe",))
"""``block1_conv1/kernel``, height x width x in x out, then ``fc1``: keras.applications.vgg16."""

KERAS_VGGFACE = Layout("Keras VGGFace", ("vggface",))
"""``conv1_1/kernel``, as `KERAS`, then ``fc6``: VGGFace as exported from Keras."""

_SEQUENCE = re.compile(r"features\.\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)")
# Keras repeats the layer's name in nested groups, and marks variables with ":0".
_NAMED = re.compile(r"(?:.*/)?(block(\d)_conv(\d)|conv_?(\d)_(\d))[./](?:.*[./])?(weight|kernel|bias)(?::0)?")
_DENSE = re.compile(r"(?:.*/)?(classifier|pre_logits|head|fc_?\d|predictions|flatten|dropout\w*|pool\w*)\b.*")


@dataclass(frozen=True, slots=True)
class PublicWeights:
    """Public weights under our keys.

    Parameters
    ----------
    layout : Layout
        Whose they were.
    tensors : dict of str to torch.Tensor
        All parameters and statistics of ``features``.
    """

    layout: Layout
    tensors: dict[str, Tensor]

    def advice(self, net: VGG16) -> str:
        """Return what to change about the network's inputs, or nothing."""
        fitting = self.layout.inputs
        if net.inputs in fitting:
            return ""
        return (
            f"{self.layout.name} weights were trained on inputs = {' or '.join(map(repr, fitting))}, "
            f"but the network has inputs = {net.inputs!r}: fine-tuning has to make up for the difference"
        )


def translate(state: Mapping[str, Tensor], net: VGG16) -> PublicWeights | None:
    """Return public weights under our keys, or None when the keys are in none of the known layouts.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        The file's tensors.
    net : VGG16
        The network that they are for.

    Returns
    -------
    PublicWeights or None
        None also for our own weights, which have a ``dense`` layer.

    Raises
    ------
    ModelError
        If the keys are in a known layout, but one is missing, unknown or wrongly shaped; names the first such key of
        the file, and both shapes.
    """
    if "dense.weight" in state:
        return None
    if any(_SEQUENCE.fullmatch(key) for key in state):
        timm = any(key.startswith(("pre_logits.", "head.")) for key in state)
        return _sequence(state, net, TIMM if timm else TORCHVISION)
    if any(_NAMED.fullmatch(key) for key in state):
        return _named(state, net)
    return None


def _sequence(state: Mapping[str, Tensor], net: VGG16, layout: Layout) -> PublicWeights:
    given = {key: value for key, value in state.items() if _SEQUENCE.fullmatch(key)}
    _check_known(state, given, layout)
    normed = any(key.endswith("running_mean") for key in given)
    if normed != net.batch_norm:
        raise _norm_error(layout, normed)
    own = {f"features.{key}": value for key, value in net.features.state_dict().items()}
    for key, value in own.items():
        if key.endswith("num_batches_tracked") and key not in given:
            given[key] = value
        _check(given, key, tuple(value.shape), layout)
    extra = sorted(set(given) - set(own))
    if extra:
        raise ModelError(f"{layout.name} weights: unexpected {extra[0]} {tuple(given[extra[0]].shape)}")
    return PublicWeights(layout, {key: given[key] for key in own})


def _named(state: Mapping[str, Tensor], net: VGG16) -> PublicWeights:
    found: dict[tuple[str, str], str] = {}
    kinds = set()
    for key in state:
        match = _NAMED.fullmatch(key)
        if match is None:
            continue
        layer = f"conv{match[2] or match[4]}_{match[3] or match[5]}"
        kinds.add((match[2] is not None, match[6] == "kernel") if match[6] != "bias" else None)
        found[layer, "bias" if match[6] == "bias" else "weight"] = key
    keras, vggface = any(kind and kind[1] for kind in kinds), not any(kind and kind[0] for kind in kinds)
    layout = (KERAS_VGGFACE if vggface else KERAS) if keras else VGGFACE
    _check_known(state, set(found.values()), layout)
    if net.batch_norm:
        raise _norm_error(layout, False)
    tensors = {}
    for layer, (place, *_) in net.layer_names().items():
        for part, value in net.get_submodule(place).state_dict().items():
            if (layer, part) not in found:
                raise ModelError(f"{layout.name} weights: {layer} has no {part}")
            key = found.pop((layer, part))
            turned = keras and part == "weight"
            shape = tuple(value.shape)
            _check(state, key, (*shape[2:], shape[1], shape[0]) if turned else shape, layout)
            tensors[f"{place}.{part}"] = state[key].permute(3, 2, 0, 1) if turned else state[key]
    if found:
        raise ModelError(f"{layout.name} weights: VGG16 has no layer for {sorted(found.values())[0]}")
    return PublicWeights(layout, tensors)


def _check(state: Mapping[str, Tensor], key: str, shape: tuple[int, ...], layout: Layout) -> None:
    if key not in state:
        raise ModelError(f"{layout.name} weights: {key} {shape} is missing")
    if tuple(state[key].shape) != shape:
        raise ModelError(f"{layout.name} weights: {key} must have the shape {shape}, but has {tuple(state[key].shape)}")


def _check_known(state: Mapping[str, Tensor], known: Mapping[str, Tensor] | set[str], layout: Layout) -> None:
    for key, value in state.items():
        if key not in known and not _DENSE.fullmatch(key):
            raise ModelError(f"{layout.name} weights: unexpected {key} {tuple(value.shape)}")


def _norm_error(layout: Layout, normed: bool) -> ModelError:
    has, option = ("have", "true") if normed else ("have no", "false")
    return ModelError(f"these {layout.name} weights {has} batch norms: give the network batch_norm = {option}")
