"""From a trained network to its ONNX graph, with the preprocessing inside."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien._extras import import_extra
from mien.errors import ModelError
from mien.face.explain import class_maps
from mien.models import runtime
from mien.speech.features import AMIN, Settings, mel_matrix, window
from mien.train.nets.base import EmotionNetwork, FaceNetwork, SpeechNetwork, VideoNetwork

__all__ = [
    "PARITY",
    "STEP",
    "Deployed",
    "DeployedFace",
    "DeployedSpeech",
    "DeployedVideo",
    "FrontEnd",
    "check_parity",
    "deploy",
    "export_graph",
    "heads_file",
    "parity",
    "round_weights",
]

OPSET = 18
"""The lowest opset that PyTorch's exporter gives without a conversion."""

PARITY = 1e-4
"""Largest difference of logits between network and graph; float32 sums in another order stay far below."""

# ITU-R BT.601-7, section 2.5.1: luma of R'G'B'; the weights that FER2013's gray images and OpenCV share.
_LUMA = (0.299, 0.587, 0.114)

_LARGE = 1024
"""Entries of a tensor that is worth storing in a quarter of the size."""

STEP = ".step"
"""Behind the name of a weight that is stored as whole numbers: what each row of them is multiplied with."""

_TOP_LEVEL = 127
"""Largest weight in eight bits, with zero in the middle."""

_LONGEST = 1 << 24
"""Samples: 17 minutes at 16 kHz, more than any window."""

_TOLERANCE = 1e-3  # of the largest logit: the heads' sum over space runs in another order

Feed = Mapping[str, NDArray[Any]]
N = TypeVar("N", bound=nn.Module)


class Deployed(nn.Module):
    """A network with its preprocessing, as it is exported.

    Its outputs are ``logits_<head>`` for every head, and then those of `extra_outputs`.
    """

    net: EmotionNetwork
    heads: tuple[str, ...]
    extra_outputs: tuple[str, ...] = ()

    is_rounded = False
    """Whether its graph stores large weights in eight bits, a step for each output; it computes with float32."""

    def example(self) -> dict[str, Tensor]:
        """Return inputs of a possible size by name."""
        raise NotImplementedError

    def dynamic_shapes(self) -> dict[str, Any] | None:
        """Return which axes of each input may have another length; None where no axis may."""
        return None

    def networks(self) -> list[EmotionNetwork]:
        """Return all networks in it."""
        return [self.net]

    @property
    def output_names(self) -> list[str]:
        """Names of the graph's outputs, in the order of `forward`."""
        return [*(f"logits_{head}" for head in self.heads), *self.extra_outputs]


class DeployedFace(Deployed):
    """A face network from RGB crops.

    Parameters
    ----------
    net : FaceNetwork
        The trained network.
    """

    net: FaceNetwork
    luma: Tensor
    extra_outputs = ("embedding", "features")

    def __init__(self, net: FaceNetwork) -> None:
        super().__init__()
        self.net, self.heads = net, tuple(net.heads)
        self.register_buffer("luma", torch.tensor(_LUMA), persistent=False)

    def example(self) -> dict[str, Tensor]:
        """Return two black crops, uint8 (N, S, S, 3)."""
        return {"crops": torch.zeros(2, self.net.size, self.net.size, 3, dtype=torch.uint8)}

    def dynamic_shapes(self) -> dict[str, Any]:
        """Return the axis of the crops."""
        return {"crops": {0: torch.export.Dim("N", min=1, max=1 << 20)}}

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return one logits tensor a head, then embedding (N, D) and features (N, C, h, w), of uint8 (N, S, S, 3)."""
        gray = (crops.to(torch.float32) * self.luma).sum(dim=3, keepdim=True).permute(0, 3, 1, 2)
        features = self.net.maps(self.net.prepare(gray))
        logits, embedding = self.net.classify(features)
        return (*logits.values(), embedding, features)


class FrontEnd(nn.Module):
    """Waveform to mel energies in dB: `mien.speech.features.log_mel` as a fixed convolution and a matrix.

    The waveform is scaled to a largest magnitude of 1 first, so that the floor of -100 dB is under the recording's own
    peak, however quiet it is.  There is no Fourier operator in it, which not every engine has.

    Parameters
    ----------
    settings : Settings
        Rate, transform and bands.
    """

    bins: Tensor
    taper: Tensor
    filters: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        filters = torch.from_numpy(mel_matrix(settings).copy())
        # Bins that no band uses need not be computed.
        used = filters.sum(dim=0) > 0
        self.register_buffer("bins", used.nonzero()[:, 0], persistent=False)
        self.register_buffer("taper", torch.from_numpy(window(settings.n_fft).copy()), persistent=False)
        self.register_buffer("filters", filters[:, used].contiguous(), persistent=False)

    def kernel(self) -> Tensor:
        """Return the windowed cosines and sines of all bins, float32 (2 * bins, 1, n_fft).

        They are computed anew, so that a graph need not hold them: a runtime does it once, when it loads the graph.
        """
        n = self.settings.n_fft
        # Whole turns are left out while the numbers are whole: no rounding at high bins.
        turns = (self.bins[:, None] * torch.arange(n)) % n
        angle = turns.to(torch.float32) * (2 * torch.pi / n)
        return (torch.cat([angle.cos(), angle.sin()]) * self.taper).unsqueeze(1)

    def forward(self, wave: Tensor) -> Tensor:
        """Return dB under full scale, float32 (N, mels, 1 + n // hop), of waveforms, float32 (N, n)."""
        peak = wave.abs().amax(dim=1, keepdim=True).clamp(min=1e-9)
        padded = nn.functional.pad((wave / peak).unsqueeze(1), (self.settings.n_fft // 2,) * 2)
        parts = nn.functional.conv1d(padded, self.kernel(), stride=self.settings.hop)
        real, imaginary = parts.chunk(2, dim=1)
        energies = torch.matmul(self.filters, real * real + imaginary * imaginary)
        return 10 * energies.clamp(min=AMIN).log10()


class DeployedSpeech(Deployed):
    """A speech network from a waveform.

    Parameters
    ----------
    net : SpeechNetwork
        The trained network.
    """

    net: SpeechNetwork
    extra_outputs = ("embedding",)
    is_rounded = True

    def __init__(self, net: SpeechNetwork) -> None:
        super().__init__()
        self.net, self.heads = net, tuple(net.heads)
        self.front = FrontEnd(net.settings)

    def example(self) -> dict[str, Tensor]:
        """Return silence, float32 (1, n)."""
        return {"wave": torch.zeros(1, 2 * round(self.net.min_s * self.net.settings.rate_hz))}

    def dynamic_shapes(self) -> dict[str, Any]:
        """Return the axis of the samples."""
        return {"wave": {1: torch.export.Dim("n", min=self.net.settings.n_fft, max=_LONGEST)}}

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        """Return one logits tensor a head, then the embedding (N, D), of float32 (N, n) at the network's rate."""
        db = self.front(wave).unsqueeze(1)
        embedding = self.net.embed(self.net.level(db))
        scaled = self.net.scale(embedding)
        return (*(head(scaled) for head in self.net.heads.values()), embedding)


class DeployedVideo(Deployed):
    """One or several networks for clips; of several, the weighted sum of their probabilities.

    Parameters
    ----------
    nets : sequence of VideoNetwork
        The trained networks, of the same heads and frames.
    shares : sequence of float
        The share of each, above 0, with sum 1.
    """

    luma: Tensor

    def __init__(self, nets: Sequence[VideoNetwork], shares: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        # The first by the name that the weights of a single network have in every graph.
        self.net, self.others = nets[0], nn.ModuleList(nets[1:])
        self._nets = tuple(nets)
        self.shares, self.heads = tuple(shares), tuple(nets[0].heads)
        self.register_buffer("luma", torch.tensor(_LUMA), persistent=False)

    def networks(self) -> list[EmotionNetwork]:
        """Return all networks in it."""
        return list(self._nets)

    def example(self) -> dict[str, Tensor]:
        """Return a black clip: crops uint8 (1, T, S, S, 3), features float32 (1, T, D), mask float32 (1, T)."""
        inputs = {}
        for net in self._nets:
            _, features, mask = net.example()
            if net.uses_images:
                inputs["crops"] = torch.zeros(1, net.frames, net.size, net.size, 3, dtype=torch.uint8)
            if net.uses_features:
                inputs["features"] = features
            inputs["mask"] = mask
        return {name: inputs[name] for name in ("crops", "features", "mask") if name in inputs}

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Return one logits tensor a head, (1, classes), of the inputs that `example` names; see `DeployedVideo`."""
        inputs = dict(zip(self.example(), given, strict=True))
        mask = inputs["mask"]
        nothing = torch.zeros(len(mask), mask.shape[1], 0)
        images = nothing.reshape(len(mask), 1, mask.shape[1], 0, 0)
        if "crops" in inputs:
            images = (inputs["crops"].to(torch.float32) * self.luma).sum(dim=4).unsqueeze(1)
        features = inputs.get("features", nothing)
        found = [net(images, features, mask) for net in self._nets]
        if len(found) == 1:
            return tuple(found[0].values())
        logs = {head: [part[head].log_softmax(1) for part in found] for head in self.heads}
        weights = torch.tensor(self.shares).log()[:, None, None]
        return tuple((torch.stack(logs[head]) + weights).logsumexp(0) for head in self.heads)


def deploy(net: EmotionNetwork) -> Deployed:
    """Return a network with its preprocessing, in evaluation mode and float32."""
    net = net.eval().float()
    if isinstance(net, FaceNetwork):
        return DeployedFace(net).eval()
    if isinstance(net, SpeechNetwork):
        return DeployedSpeech(net).eval()
    assert isinstance(net, VideoNetwork)
    return DeployedVideo([net]).eval()


def export_graph(net: EmotionNetwork | Deployed) -> bytes:
    """Return the ONNX graph of a network, checked, without anything about the machine that made it.

    Parameters
    ----------
    net : EmotionNetwork or Deployed
        The trained network, on the CPU.

    Returns
    -------
    bytes
        A graph from the inputs of its kind (see `DeployedFace`, `DeployedSpeech`, `DeployedVideo`) to
        ``logits_<head>`` for every head, ``embedding`` and, for faces, ``features``.  Its initializers have the names
        of the network's parameters behind ``net.``.
    """
    onnx = import_extra("onnx", extra="train", purpose="exporting a model")
    optimizer = import_extra("onnxscript.optimizer", extra="train", purpose="exporting a model")
    deployed = net if isinstance(net, Deployed) else deploy(net)
    example = deployed.example()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns about its own use of deprecated parts of torch and Python.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            deployed,
            tuple(example.values()),
            input_names=list(example),
            output_names=deployed.output_names,
            dynamic_shapes=deployed.dynamic_shapes(),
            dynamo=True,
            opset_version=OPSET,
            # The full optimizer folds norms into convolutions, and then the network's parameters are gone from the
            # file.  The runtime does the same when it loads the graph, so nothing is lost by leaving them.
            optimize=False,
            verbose=False,
        )
    assert program is not None
    optimizer.fold_constants_ir(program.model)
    for node in program.model.graph:
        bias = node.inputs[2] if node.op_type == "Conv" and len(node.inputs) > 2 else None
        # For a 3-D convolution without a bias the exporter makes up zeros, of two axes where ONNX wants one.
        if bias is not None and bias.shape is not None and len(bias.shape) != 1:
            node.replace_input_with(2, None)
    optimizer.remove_unused_nodes(program.model)
    proto = program.model_proto
    _strip(proto)
    if deployed.is_rounded:
        _store_int8(proto)
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString()
    assert isinstance(content, bytes)
    return content


def _strip(proto: Any) -> None:
    """Drop the exporter's notes (source paths of this machine among them); they are no part of the model."""
    del proto.metadata_props[:]
    proto.doc_string = ""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _store_int8(proto: Any) -> None:
    """Store large weights as int8 with a step for each row; runtimes multiply them once, when they load the graph."""
    onnx = import_extra("onnx", extra="train", purpose="exporting a model")
    graph = proto.graph
    nodes = []
    stored = set()
    for weights in list(graph.initializer):
        name = weights.name
        is_net = name.startswith("net.") and weights.data_type == onnx.TensorProto.FLOAT
        if not is_net or not _is_large(weights.dims):
            continue
        levels, steps = _round(torch.from_numpy(onnx.numpy_helper.to_array(weights).copy()))
        weights.CopyFrom(onnx.numpy_helper.from_array(levels.to(torch.int8).numpy(), name))
        graph.initializer.append(onnx.numpy_helper.from_array(steps.numpy(), f"{name}{STEP}"))
        for node in graph.node:
            node.input[:] = [f"{name}.float32" if used == name else used for used in node.input]
        # By way of int32: OpenVINO 2026.4 takes int8 times a step for a quantized network, and computes wrong answers.
        nodes.append(onnx.helper.make_node("Cast", [name], [f"{name}.whole"], to=onnx.TensorProto.INT32))
        nodes.append(onnx.helper.make_node("Cast", [f"{name}.whole"], [f"{name}.level"], to=onnx.TensorProto.FLOAT))
        nodes.append(onnx.helper.make_node("Mul", [f"{name}.level", f"{name}{STEP}"], [f"{name}.float32"]))
        stored.add(name)
    nodes += graph.node
    # What the exporter notes about their type is not true any more, and initializers need no note.
    notes = [note for note in graph.value_info if note.name not in stored]
    for part, new in ((graph.node, nodes), (graph.value_info, notes)):
        del part[:]
        part.extend(new)


def _is_large(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and math.prod(shape) >= _LARGE


def _round(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return whole numbers of -127 to 127, and the step of each row of the first axis, to be multiplied with them."""
    steps = weights.abs().amax(dim=tuple(range(1, weights.ndim)), keepdim=True) / _TOP_LEVEL
    steps = torch.where(steps > 0, steps, torch.ones_like(steps))
    return (weights / steps).round(), steps


def round_weights(net: N) -> N:
    """Round the large weights of a network, in place, to what its graph stores in eight bits.

    Parameters
    ----------
    net : torch.nn.Module
        The network; it is also returned.
    """
    with torch.no_grad():
        for weights in net.parameters():
            if _is_large(weights.shape):
                levels, steps = _round(weights)
                weights.copy_(levels * steps)
    return net


def parity(net: EmotionNetwork | Deployed, session: runtime.Session, feeds: Iterable[Feed]) -> float:
    """Return the largest difference of logits between a network and its graph.

    Parameters
    ----------
    net : EmotionNetwork or Deployed
        The trained network.
    session : mien.models.runtime.Session
        Its graph.
    feeds : iterable of mapping
        Inputs of the graph by name.
    """
    deployed = net if isinstance(net, Deployed) else deploy(net)
    largest = 0.0
    for feed in feeds:
        with torch.no_grad():
            expected = deployed(*(torch.from_numpy(feed[name]) for name in deployed.example()))
        found = session.run(dict(feed))
        for head, logits in zip(deployed.heads, expected, strict=False):
            largest = max(largest, float(np.abs(found[f"logits_{head}"] - logits.numpy()).max()))
    return largest


def check_parity(net: EmotionNetwork | Deployed, session: runtime.Session, feeds: Iterable[Feed]) -> None:
    """Raise `ModelError` if network and graph differ by more than `PARITY` times the network's `rounding`."""
    limit = PARITY * (net.net if isinstance(net, Deployed) else net).rounding
    difference = parity(net, session, feeds)
    if difference > limit:
        raise ModelError(f"network and graph differ by {difference:.2g}, more than {limit:g}: the export is wrong")


def heads_file(net: FaceNetwork, session: runtime.Session, crops: NDArray[np.uint8]) -> bytes | None:
    """Return the weights of the heads as a file, from which class activation maps are made without reading the graph.

    Whether the heads are linear in the last feature map is not declared but measured: the maps' means and the biases
    have to give the graph's logits.

    Parameters
    ----------
    net : FaceNetwork
        The trained network, on the CPU.
    session : mien.models.runtime.Session
        Its graph.
    crops : numpy.ndarray
        uint8 (n, S, S, 3), some images to measure it on.

    Returns
    -------
    bytes or None
        A ``.npz`` without pickles: ``weight_<head>`` and ``bias_<head>``, float32, as
        `mien.face.explain.class_maps` takes them, and ``cells``, float32 (2,), where the network says where the cells
        of its map look.  None where the heads are not linear.
    """
    found = session.run({"crops": crops})
    arrays: dict[str, Any] = {}
    for name, head in net.heads.items():
        weights = {key: value.detach().numpy().astype(np.float32) for key, value in head.state_dict().items()}
        if not _is_linear(found, name, weights):
            return None
        arrays |= {f"{key}_{name}": value for key, value in weights.items()}
    cells = net.cells()
    if cells is not None:
        arrays["cells"] = np.array(cells, dtype=np.float32)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _is_linear(found: Feed, name: str, weights: Feed) -> bool:
    features, logits = found["features"], found[f"logits_{name}"]
    if features.shape[2] * features.shape[3] == 1 or set(weights) != {"weight", "bias"}:
        return False  # on a single cell there is nothing to see
    try:
        maps = class_maps(features, weights["weight"], bias=weights["bias"])
    except ModelError:  # a layer between map and heads, of another width
        return False
    return bool(np.abs(maps.mean(axis=(2, 3)) - logits).max() <= _TOLERANCE * max(1.0, float(np.abs(logits).max())))
