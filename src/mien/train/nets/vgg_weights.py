"""Public VGG16 weights in the key layouts of their publishers, told by their keys, as weights of `VGG16`.

Only the thirteen convolutions (and their batch norms) are taken: the three dense layers of the paper are not part of
our net, and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mien.errors import ModelError
from mien.train.nets.vgg16 import VGG16

__all__ = ["Layout", "PublicWeights", "translate"]


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
        """Return what to change about the net's inputs, or nothing."""
        fitting = self.layout.inputs
        if net.inputs in fitting:
            return ""
        return (
            f"{self.layout.name} weights were trained on inputs = {' or '.join(map(repr, fitting))}, "
            f"but the net has inputs = {net.inputs!r}: fine-tuning has to make up for the difference"
        )


def translate(state: Mapping[str, Tensor], net: VGG16) -> PublicWeights | None:
    """Return public weights under our keys, or None when the keys are in none of the known layouts.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        The file's tensors.
    net : VGG16
        The net that they are for.

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
    _no_strangers(state, given, layout)
    normed = any(key.endswith("running_mean") for key in given)
    if normed != net.batch_norm:
        raise _norms(layout, normed)
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
    _no_strangers(state, set(found.values()), layout)
    if net.batch_norm:
        raise _norms(layout, False)
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


def _no_strangers(state: Mapping[str, Tensor], known: Mapping[str, Tensor] | set[str], layout: Layout) -> None:
    for key, value in state.items():
        if key not in known and not _DENSE.fullmatch(key):
            raise ModelError(f"{layout.name} weights: unexpected {key} {tuple(value.shape)}")


def _norms(layout: Layout, normed: bool) -> ModelError:
    has, option = ("have", "true") if normed else ("have no", "false")
    return ModelError(f"these {layout.name} weights {has} batch norms: give the net batch_norm = {option}")
