"""Where a network's first weights come from, and which of its parts stay as they are."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from mien._extras import import_extra
from mien.errors import InputError, ModelError, UnknownModelError
from mien.labels import LABEL_SETS, LabelSet
from mien.models import registry, store
from mien.train.export import STEP
from mien.train.nets import campplus
from mien.train.nets.base import EmotionNetwork
from mien.train.nets.vgg16 import VGG16, translate

__all__ = ["BODY", "blend_weights", "freeze", "init_network", "read_state"]

BODY = "body"
"""Pattern of `freeze` for everything but the heads."""

_COUNTER = "num_batches_tracked"  # of no use in inference, so graphs do not hold it
_SUFFIXES = (".onnx", ".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_RANGE = re.compile(r"(?P<stem>.*\.)(?P<first>\d+)-(?P<last>\d+)")


def init_network(
    net: EmotionNetwork,
    source: str,
    *,
    label_sets: Mapping[str, LabelSet] | None = None,
    report: Callable[[str], object] = str,
) -> set[str]:
    """Give a network the weights of a model, a run, a file or a public collection.

    Heads with the same name and number of classes are copied; other heads stay as they are.  Residual blocks that come
    after the network's last are left out, so that a shallower one can start from a deeper one: its predictions change
    little without one of its blocks (Veit et al. 2016, arXiv:1605.06431).  Where the network's blocks have fewer inner
    channels, those are copied that contribute most to the block's output.

    Parameters
    ----------
    net : EmotionNetwork
        The network; changed in place.
    source : str
        See `read_state`.  For `VGG16` also public weights (see `mien.train.nets.vgg16.translate`), which leave the
        dense layer and the heads as they are.
    label_sets : mapping of str to LabelSet, optional
        The classes of the network's heads: a head of some emotions of a known set starts from that set's rows.
    report : callable
        Gets a line on what was copied and what not; the default, `str`, drops it.

    Returns
    -------
    set of str
        Names of the parameters that stay as they are, random.

    Raises
    ------
    ModelError
        If there is no such source, it cannot be read, or a tensor is missing, unexpected, wrongly shaped or not
        finite; names the first such key.
    """
    state = read_state(source)
    _check_finite(state, source)
    own = net.state_dict()
    fresh: set[str] = set()
    if isinstance(net, VGG16):
        try:
            public = translate(state, net)
        except ModelError as error:
            raise ModelError(f"cannot start from {source}: {error}") from None
        if public is not None:
            state = public.tensors
            fresh = {key for key in own if not key.startswith("features.")}
            report(f"{public.layout.name} weights: {len(state)} tensors of the convolutions")
            if advice := public.advice(net):
                report(f"warning: {advice}")
    if isinstance(net, campplus.CAMPlusPlus) and (public_state := campplus.translate(state, net)) is not None:
        state = public_state
        fresh = {key for key in own if key not in state}
        report(f"CAM++ weights: {len(state)} tensors")
    later = _later_blocks(state, own)
    state = {key: value for key, value in state.items() if _block(key) not in later}
    state, pruned = _prune(state, own)
    state |= _rows_of_heads(state, own, label_sets or {})
    heads = _fitting_heads(state, own)
    fresh |= {key for key in own if _head(key) and _head(key) not in heads}
    _check(state, own, fresh, source)
    copied = {key: value for key, value in state.items() if key in own and key not in fresh}
    with torch.no_grad():
        for key, value in copied.items():
            own[key].copy_(value)
    _report(report, source, len(copied), fresh, heads, state, later)
    if pruned:
        report(f"inner channels kept: {', '.join(pruned)}")
    return fresh


def blend_weights(net: EmotionNetwork, source: str, share: float) -> None:
    """Move a trained network towards the weights that it started from; norms' statistics, too.

    Parameters
    ----------
    net : EmotionNetwork
        The network; changed in place.
    source : str
        See `read_state`; a tensor that it lacks stays as it is.
    share : float
        How far: 0 changes nothing, 1 gives the weights of the source.
    """
    start = read_state(source)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if value.is_floating_point() and key in start and start[key].shape == value.shape:
                value.lerp_(start[key].to(value.dtype), share)


def read_state(source: str) -> dict[str, Tensor]:
    """Read named tensors.

    Parameters
    ----------
    source : str
        The name of a shipped model; a run folder (``model.safetensors``, else ``checkpoints/best.ckpt``, else
        ``model.onnx``); a file: a graph of mien (.onnx), .safetensors, or a state dict (.pt, .pth, .bin, .ckpt), read
        without running any code in it; or ``hub:owner/name`` with the file after another colon, ``model.safetensors``
        by default.

    Returns
    -------
    dict of str to torch.Tensor
        By name of the network's parameter or statistic.

    Raises
    ------
    ModelError
        If there is no such source, or it cannot be read.
    """
    if source.startswith("hub:"):
        return _read_file(_from_hub(source))
    if source in registry.MODELS:
        return _of_graph(store.read_weights(registry.get(source)), source)
    path = Path(source)
    if path.is_dir():
        for name in ("model.safetensors", "checkpoints/best.ckpt", "model.onnx"):
            if (path / name).is_file():
                return _read_file(path / name)
        raise ModelError(
            f"{path} holds no weights: expected model.safetensors or checkpoints/best.ckpt in a run folder"
        )
    if path.is_file():
        return _read_file(path)
    shipped = ", ".join(registry.names("face-emotion"))
    raise UnknownModelError(
        f"no weights at {source!r}: expected the name of a shipped model ({shipped}), a run folder, a file, "
        "or hub:owner/name"
    )


def _from_hub(source: str) -> Path:
    hub = import_extra("huggingface_hub", extra="hub", purpose=f"loading {source}")
    name, _, file = source.removeprefix("hub:").partition(":")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"a hub reference must be hub:owner/name or hub:owner/name:file, but got {source!r}")
    try:
        return Path(hub.hf_hub_download(name, file or "model.safetensors"))
    except (OSError, ValueError) as error:  # the hub's errors are one or the other
        raise ModelError(f"cannot load {source}: {' '.join(str(error).split())}") from error


def _read_file(path: Path) -> dict[str, Tensor]:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ModelError(f"cannot read weights from {path}: expected a file ending in {', '.join(_SUFFIXES)}")
    try:
        if suffix == ".onnx":
            return _of_graph(path.read_bytes(), str(path))
        if suffix == ".safetensors":
            return _named_tensors(load_safetensors(path.read_bytes()), path)
        return _named_tensors(_unpickled(path), path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read weights from {path}: {error}") from error


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises whatever the damaged archive makes its parts raise
        first = str(error).split("\n", 1)[0]
        raise ModelError(f"{path} is damaged, or holds more than tensors, which is not run: {first}") from error


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ModelError(f"{path} is no state dict: expected tensors by name")
    # Lightning puts the task's name before the net's, DataParallel its own.
    for prefix in ("module.", "net."):
        inner = {key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)}
        content = inner or content
    if not content:
        raise ModelError(f"{path} holds no tensors")
    return dict(content)


def _of_graph(content: bytes, source: str) -> dict[str, Tensor]:
    onnx = import_extra("onnx", extra="train", purpose="starting from a graph")
    try:
        graph = onnx.load_from_string(content).graph
    except Exception as error:  # protobuf's errors have no common base in onnx's interface
        raise ModelError(f"cannot read weights from {source}: it is no ONNX graph: {error}") from error
    named = {i.name.removeprefix("net."): i for i in graph.initializer if i.name.startswith("net.")}
    if not named:
        raise ModelError(
            f"{source} has no weights named net.*: only graphs in floats that mien exported can be started from"
        )
    stored = {name: torch.from_numpy(onnx.numpy_helper.to_array(entry).copy()) for name, entry in named.items()}
    # Speech models have large weights as whole numbers and the step of each row (mien.train.export).
    steps = {name: stored.pop(f"{name}{STEP}") for name in list(stored) if f"{name}{STEP}" in stored}
    return stored | {name: stored[name] * step for name, step in steps.items()}


def _check_finite(state: Mapping[str, Tensor], source: str) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(f"cannot start from {source}: {key} holds numbers that are not finite")


def _head(key: str) -> str:
    """Return the head that a key belongs to, or nothing."""
    parts = key.split(".")
    return ".".join(parts[1:-1]) if parts[0] == "heads" else ""


def _block(key: str) -> str:
    """Return the residual block that a key belongs to, such as ``blocks.3``, or nothing."""
    parts = key.split(".")
    return ".".join(parts[:2]) if parts[0] == "blocks" and len(parts) > 2 and parts[1].isdecimal() else ""


def _later_blocks(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> set[str]:
    """Return the blocks of the source that come after the network's last."""
    count = len({_block(key) for key in own} - {""})
    blocks = {_block(key) for key in state} - {""}
    return {block for block in blocks if count and int(block.split(".")[1]) >= count}


_INNER = {
    "conv1.weight": 0,
    "norm2.weight": 0,
    "norm2.bias": 0,
    "norm2.running_mean": 0,
    "norm2.running_var": 0,
    "conv2.weight": 1,
}
"""Tensors of a residual block that have its inner channels, and along which axis."""


def _prune(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Leave out inner channels of residual blocks that have more than the network's; return how many were kept, too."""
    result, lines = dict(state), []
    for block in sorted({_block(key) for key in own} - {""}):
        inner = {f"{block}.{name}": axis for name, axis in _INNER.items()}
        if not _is_only_wider(state, own, inner):
            continue  # the check of all tensors says what does not fit
        weight, bias, after = (state[f"{block}.{name}"] for name in ("norm2.weight", "norm2.bias", "conv2.weight"))
        count = len(own[f"{block}.conv1.weight"])
        kept = _contribution(weight.double(), bias.double(), after.double()).topk(count).indices.sort().values
        result |= {key: state[key].index_select(axis, kept) for key, axis in inner.items()}
        lines.append(f"{block} {count} of {len(weight)}")
    return result, lines


def _is_only_wider(state: Mapping[str, Tensor], own: Mapping[str, Tensor], inner: Mapping[str, int]) -> bool:
    """Return whether these tensors differ from the network's only in more channels along their axes, all as many."""
    if not all(key in state and key in own and state[key].ndim == own[key].ndim for key in inner):
        return False
    counts = {(state[key].shape[axis], own[key].shape[axis]) for key, axis in inner.items()}
    others = all(
        size == mine
        for key, axis in inner.items()
        for place, (size, mine) in enumerate(zip(state[key].shape, own[key].shape, strict=True))
        if place != axis
    )
    return others and len(counts) == 1 and all(have > want for have, want in counts)


def _contribution(weight: Tensor, bias: Tensor, after: Tensor) -> Tensor:
    """Return what each inner channel contributes to its block, (n,), by its norm (n,) and next weights (m, n, 3, 3).

    Between the two convolutions of a block nothing else hangs on a channel, so that only it is missing without it (Li
    et al. 2017, arXiv:1608.08710).  It contributes the size of its weights in the second convolution, times the root
    mean square of their input: the positive part of a normal variable with the mean and deviation that the norm sets.
    """
    deviation = weight.abs().clamp_min(1e-12)
    ratio = bias / deviation
    density = (-(ratio**2) / 2).exp() / math.sqrt(2 * math.pi)
    power = (bias**2 + deviation**2) * torch.special.ndtr(ratio) + bias * deviation * density
    share: Tensor = power.clamp_min(0).sqrt() * after.pow(2).sum(dim=(0, 2, 3)).sqrt()
    return share


def _rows_of_heads(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], label_sets: Mapping[str, LabelSet]
) -> dict[str, Tensor]:
    """Return tensors of heads that the source has only with more emotions."""
    found = {}
    for head, labels in label_sets.items():
        names = [n for n in {_head(key) for key in state} if n in LABEL_SETS and head not in LABEL_SETS]
        wider = [LABEL_SETS[n] for n in sorted(names) if set(labels.emotions) < set(LABEL_SETS[n].emotions)]
        if not wider:
            continue
        source = min(wider, key=len)
        rows = torch.tensor([source.index(emotion) for emotion in labels.emotions])
        for key in (key for key in own if _head(key) == head):
            value = state.get(key.replace(f"heads.{head}.", f"heads.{source.name}."))
            if value is not None and len(value) == len(source):
                found[key] = value[rows]
    return found


def _fitting_heads(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> set[str]:
    """Return the heads that both have with as many classes."""
    return {
        _head(key)
        for key in own
        if _head(key) and key.endswith(".bias") and key in state and state[key].shape == own[key].shape
    }


def _check(state: Mapping[str, Tensor], own: Mapping[str, Tensor], fresh: set[str], source: str) -> None:
    for key, value in own.items():
        if key in fresh or (key.endswith(_COUNTER) and key not in state):
            continue
        shape = tuple(value.shape)
        if key not in state:
            raise ModelError(
                f"cannot start from {source}: it has no {key}, which the network has with the shape {shape}"
            )
        if tuple(state[key].shape) != shape:
            raise ModelError(
                f"cannot start from {source}: {key} has the shape {tuple(state[key].shape)}, but needs {shape}"
            )
    for key, value in state.items():
        if key not in own and not _head(key):
            raise ModelError(
                f"cannot start from {source}: the network has no {key}, which it has as {tuple(value.shape)}"
            )


def _report(
    report: Callable[[str], object],
    source: str,
    copied: int,
    fresh: set[str],
    heads: set[str],
    state: Mapping[str, Tensor],
    later: set[str],
) -> None:
    others = sorted({_head(key) or key.split(".")[0] for key in fresh})
    unused = sorted({_head(key) for key in state if _head(key)} - heads - set(others)) + sorted(later)
    text = f"started from {source}: {copied} tensors"
    text += f", with the heads {', '.join(sorted(heads))}" if heads else ""
    text += f"; fresh: {', '.join(others)}" if others else ""
    text += f"; left out: {', '.join(unused)}" if unused else ""
    report(text)


def freeze(net: EmotionNetwork, patterns: Sequence[str]) -> list[str]:
    """Keep parts of a network as they are in training.

    Batch norms whose parameters are all frozen use and keep their statistics, also after ``net.train()``.

    Parameters
    ----------
    net : EmotionNetwork
        The network; changed in place.
    patterns : sequence of str
        ``"body"`` (everything but the heads); the beginning of a parameter's name, up to a dot (``"stem"``,
        ``"blocks.0"``); a range of numbered parts, both ends included (``"blocks.0-2"``); for VGG16
        and others with layer names, a name or range of names in their order (``"block1-block4"``, ``"conv1_1"``).

    Returns
    -------
    list of str
        Names of the frozen parameters, in the network's order.

    Raises
    ------
    InputError
        If a pattern fits nothing, with what there is, or nothing would be left to train.
    """
    names = [name for name, _ in net.named_parameters()]
    frozen: set[str] = set()
    for pattern in patterns:
        prefixes = _prefixes(net, pattern.strip())
        found = {n for n in names if any(n == prefix or n.startswith(f"{prefix}.") for prefix in prefixes)}
        if not found:
            raise InputError(f"nothing to freeze is called {pattern!r}: expected {', '.join(_choices(net, names))}")
        frozen |= found
    if frozen and len(frozen) == len(names):
        raise InputError("nothing would be left to train: freeze fewer parts")
    for name, parameter in net.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    net.train(net.training)
    return [name for name in names if name in frozen]


def _prefixes(net: EmotionNetwork, pattern: str) -> list[str]:
    if pattern == BODY:
        return [name for name, _ in net.named_children() if name != "heads"]
    layers = net.layer_names()
    first, _, last = pattern.partition("-")
    ends = [_layers(layers, end) for end in (first, last or first)]
    if all(ends):
        order = list(layers)
        chosen = order[order.index(ends[0][0]) : order.index(ends[1][-1]) + 1]
        return [place for name in chosen for place in layers[name]]
    match = _RANGE.fullmatch(pattern)
    if match is None:
        return [pattern]
    return [f"{match['stem']}{number}" for number in range(int(match["first"]), int(match["last"]) + 1)]


def _layers(layers: Mapping[str, Sequence[str]], word: str) -> list[str]:
    """Return the layers that a word names: one, or those of a block (``block2`` holds ``conv2_1``)."""
    if word in layers:
        return [word]
    number = word.removeprefix("block")
    return [name for name in layers if word != number and name.startswith(f"conv{number}_")]


def _choices(net: EmotionNetwork, names: Sequence[str]) -> list[str]:
    """Return what can be frozen, short: the parts of the first level, numbered ones as a range, and layer names."""
    parts: dict[str, set[int]] = {}
    for name in names:
        part, second, *_ = (*name.split("."), "")
        if part != "heads":
            parts.setdefault(part, set()).update({int(second)} if second.isdigit() else ())
    known = [f"{p}.{min(n)}-{max(n)}" if len(n) > 1 else p for p, n in parts.items()]
    if layers := list(net.layer_names()):
        known += [f"block{layers[0][4]}-block{layers[-1][4]}", f"{layers[0]}-{layers[-1]}"]
    return [BODY, *known]
