"""A face model's graph in eight bits: convolutions and sums in int8, everything around them as it was.

Norms behind convolutions are folded into them first, so that what runs between two convolutions (sum, ReLU) is fused or
stays in int8 as well; a single tensor that goes back to float32 costs more time than it saves accuracy.  What comes
before the first convolution of many channels (gray, standardizing, the stem, which sees a single channel) and what
comes behind the last (norm, average, heads) is float32, so inputs and outputs are the same in name, type and shape, and
the heads are still linear in ``features``.

Weights are int8 per output channel, activations uint8 per tensor, and biases int32.  The file says so with pairs of
QuantizeLinear and DequantizeLinear, which ONNX Runtime and OpenVINO both turn into integer kernels.

``onnxruntime.quantization.quantize_static`` is no replacement: on FER2013's PublicTest its best settings (per channel,
reduced range, first convolution left out) lose 0.1 to 0.3 points against this with OpenVINO, and 0.2 on face-small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._extras import import_extra
from mien.errors import ModelError
from mien.models import runtime

__all__ = ["LEVELS", "quantize"]

LEVELS = 63
"""Largest weight.  Processors without VNNI add pairs of products in int16 (``vpmaddubsw``): with 63 the largest sum,
2 x 255 x 63 = 32,130, fits and with 127 it does not, so that answers would depend on the processor."""

_TOP = 255  # activations are uint8: ONNX Runtime's integer sums take nothing else on x86
_FEW_CHANNELS = 8  # below, a convolution is too small for integer kernels to pay
_BATCH = 64
_SAMPLES = 50_000  # values of a tensor that are sampled from each batch
_CLIPPED = np.linspace(0.3, 1.0, 36)
"""Shares of the largest value at which a range may end."""

Floats = NDArray[np.float64]


class _Graph:
    """An ONNX graph that is being changed: its nodes in order and its weights by name."""

    def __init__(self, content: bytes) -> None:
        self.onnx = import_extra("onnx", extra="train", purpose="quantizing a model")
        self.proto = self.onnx.load_from_string(content)
        self.nodes: list[Any] = list(self.proto.graph.node)
        self.weights: dict[str, NDArray[Any]] = {
            part.name: self.onnx.numpy_helper.to_array(part) for part in self.proto.graph.initializer
        }
        self.outputs = {output.name for output in self.proto.graph.output}

    def producer(self, tensor: str) -> Any:
        """Return the node that computes a tensor; None for inputs and weights."""
        return next((node for node in self.nodes if tensor in node.output), None)

    def consumers(self, tensor: str) -> list[Any]:
        """Return the nodes that use a tensor."""
        return [node for node in self.nodes if tensor in node.input]

    def node(self, kind: str, inputs: Sequence[str], output: str, **more: Any) -> Any:
        """Return a new node, not yet in the graph."""
        return self.onnx.helper.make_node(kind, list(inputs), [output], **more)

    def content(self, more: Sequence[str] = ()) -> bytes:
        """Return the file, with further tensors as outputs."""
        graph = self.proto.graph
        used = {name for node in self.nodes for name in node.input}
        for part, new in (
            (graph.node, self.nodes),
            (
                graph.initializer,
                [self.onnx.numpy_helper.from_array(v, k) for k, v in self.weights.items() if k in used],
            ),
            (graph.value_info, []),
        ):
            del part[:]
            part.extend(new)
        made = self.onnx.ModelProto()
        made.CopyFrom(self.proto)
        float32 = self.onnx.TensorProto.FLOAT
        made.graph.output.extend(self.onnx.helper.make_tensor_value_info(name, float32, None) for name in more)
        if not more:
            self.onnx.checker.check_model(made, full_check=True)
        content = made.SerializeToString()
        assert isinstance(content, bytes)
        return content


def quantize(content: bytes, crops: NDArray[np.uint8]) -> bytes:
    """Return the int8 graph of an exported face model.

    Parameters
    ----------
    content : bytes
        The float32 graph, as `mien.train.export.export_graph` makes it.
    crops : numpy.ndarray
        uint8 (N, S, S, 3), some hundred images of the training data, from which the ranges of activations are taken.

    Returns
    -------
    bytes
        A graph with the same inputs and outputs; the same bytes for the same images.

    Raises
    ------
    ModelError
        If the graph has no convolutions that can be in int8.

    Notes
    -----
    Ranges are those of the least squared error, of weights and activations alike.  What rounding the weights does to
    the mean of a convolution's output is subtracted from its bias, for the mean input of each channel.

    References
    ----------
    Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference,
    arXiv:1712.05877.  Nagel et al. 2019, Data-free quantization through weight equalization and bias correction,
    arXiv:1906.04721 (the bias).
    """
    graph = _Graph(content)
    while any(_fold(graph, node) for node in graph.nodes if node.op_type == "BatchNormalization"):
        pass
    convolutions = [node for node in graph.nodes if node.op_type == "Conv" and _channels(graph, node) >= _FEW_CHANNELS]
    if not convolutions:
        raise ModelError(f"the graph has no convolution of {_FEW_CHANNELS} channels or more: nothing can be int8")
    tensors = [node.input[0] for node in convolutions]
    for node in graph.nodes:
        # Of a sum, what convolutions give: integer kernels write nothing but integers.  What a block hands on
        # unchanged stays as it is.
        producers = [graph.producer(name) for name in node.input] if node.op_type == "Add" else []
        if all(producers) and any(producer in convolutions for producer in producers):
            tensors += [name for name in node.input if graph.producer(name) in convolutions]
    observed = _observe(graph, list(dict.fromkeys(tensors)), crops)
    _rewrite(graph, convolutions, observed)
    return graph.content()


def _fold(graph: _Graph, norm: Any) -> bool:
    """Fold a norm into the convolution before it, or into both before a sum; return whether that was possible."""
    source = norm.input[0]
    before = graph.producer(source)
    if before is None or not _has_one_consumer(graph, source):
        return False
    convolutions = [graph.producer(name) for name in before.input] if before.op_type == "Add" else [before]
    if not all(
        node is not None and node.op_type == "Conv" and _has_one_consumer(graph, node.output[0])
        for node in convolutions
    ):
        return False
    weight, bias, mean, variance = (graph.weights[name].astype(np.float64) for name in norm.input[1:5])
    scale = weight / np.sqrt(variance + next(part.f for part in norm.attribute if part.name == "epsilon"))
    for number, node in enumerate(convolutions):
        kernel = graph.weights[node.input[1]]
        own = graph.weights[node.input[2]] if len(node.input) > 2 else np.zeros(len(kernel))
        shift = bias - mean * scale if number == 0 else 0.0
        names = [f"{node.input[1]}.folded", f"{node.input[1]}.bias"]
        graph.weights[names[0]] = (kernel * scale[:, None, None, None]).astype(np.float32)
        graph.weights[names[1]] = (own * scale + shift).astype(np.float32)
        node.input[:] = [node.input[0], *names]
    graph.nodes.remove(norm)
    for user in graph.consumers(norm.output[0]):
        user.input[:] = [source if name == norm.output[0] else name for name in user.input]
    return True


def _has_one_consumer(graph: _Graph, tensor: str) -> bool:
    return len(graph.consumers(tensor)) == 1 and tensor not in graph.outputs


def _observe(graph: _Graph, tensors: list[str], crops: NDArray[np.uint8]) -> dict[str, tuple[Floats, Floats]]:
    """Return of each tensor a sample of its values, and the mean of each channel."""
    session = runtime.Session(graph.content(tensors), name="the graph", threads=1, device="cpu")
    random = np.random.default_rng(0)
    values: dict[str, list[Floats]] = {name: [] for name in tensors}
    means: dict[str, list[Floats]] = {name: [] for name in tensors}
    for start in range(0, len(crops), _BATCH):
        part = crops[start : start + _BATCH]
        for name, array in session.run({session.input_names[0]: part}, tensors).items():
            flat = array.reshape(-1)
            values[name].append(flat[random.integers(0, flat.size, _SAMPLES)].astype(np.float64))
            means[name].append(array.mean(axis=(0, 2, 3), dtype=np.float64) * len(part))
    return {name: (np.concatenate(values[name]), np.sum(means[name], axis=0) / len(crops)) for name in tensors}


def _step(values: Floats) -> float:
    """Return the step between the levels of weights, zero in the middle, that rounds with the least squared error."""
    steps = np.abs(values).max() / LEVELS * _CLIPPED
    if steps[-1] == 0:
        return 1.0  # nothing but zeros: any step gives them back
    errors = [np.square(np.clip(np.rint(values / s), -LEVELS, LEVELS) * s - values).mean() for s in steps]
    return float(steps[int(np.argmin(errors))])


def _range(values: Floats) -> tuple[float, int]:
    """Return step and zero point of activations, the same way; the zero point is zero behind a ReLU."""
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    if low == high:
        return 1.0, 0
    found: list[tuple[float, float, int]] = []
    for share in _CLIPPED:
        step = share * (high - low) / _TOP
        zero = round(-share * low / step)
        levels = np.clip(np.rint(values / step) + zero, 0, _TOP)
        found.append((float(np.square((levels - zero) * step - values).mean()), step, zero))
    return min(found)[1:]


def _rewrite(graph: _Graph, convolutions: list[Any], observed: dict[str, tuple[Floats, Floats]]) -> None:
    """Put the pairs of quantizing and its reverse in: behind what was observed, and before weights and biases."""
    ranges = {name: _range(values) for name, (values, _) in observed.items()}
    nodes: list[Any] = []
    for node in graph.nodes:
        if node in convolutions:
            source = node.input[0]
            nodes += _integer_weights(graph, node, ranges[source][0], observed[source][1])
        node.input[:] = [f"{name}.rounded" if name in ranges else name for name in node.input]
        nodes.append(node)
        for name in (name for name in node.output if name in ranges):
            about, (step, zero) = [f"{name}.step", f"{name}.zero"], ranges[name]
            graph.weights |= {a: np.asarray(v) for a, v in zip(about, (np.float32(step), np.uint8(zero)), strict=True)}
            nodes.append(graph.node("QuantizeLinear", [name, *about], f"{name}.integer"))
            nodes.append(graph.node("DequantizeLinear", [f"{name}.integer", *about], f"{name}.rounded"))
    graph.nodes = nodes


def _integer_weights(graph: _Graph, node: Any, step: float, means: Floats) -> list[Any]:
    """Give a convolution int8 weights and an int32 bias; return the nodes that make floats of them."""
    kernel = graph.weights[node.input[1]].astype(np.float64)
    steps = np.array([_step(row) for row in kernel.reshape(len(kernel), -1)], np.float32)
    by_row = steps.astype(np.float64)[:, None, None, None]
    whole = np.clip(np.rint(kernel / by_row), -LEVELS, LEVELS)
    groups = _groups(node)
    lost = (kernel - whole * by_row).sum(axis=(2, 3)).reshape(groups, -1, kernel.shape[1])
    shift = np.einsum("goi,gi->go", lost, means.reshape(groups, -1)).reshape(-1)
    bias = graph.weights[node.input[2]] if len(node.input) > 2 else np.zeros(len(kernel))
    # The runtimes add the bias to sums of products, so its step is the product of theirs.
    fine = (steps * np.float32(step)).astype(np.float32)
    parts = {
        f"{node.output[0]}.weight": (whole.astype(np.int8), steps),
        f"{node.output[0]}.bias": (np.rint((bias + shift) / fine.astype(np.float64)).astype(np.int32), fine),
    }
    nodes = []
    for name, (values, scale) in parts.items():
        about = [f"{name}.integer", f"{name}.step", f"{name}.zero"]
        graph.weights |= dict(zip(about, (values, scale, np.zeros(len(scale), values.dtype)), strict=True))
        nodes.append(graph.node("DequantizeLinear", about, name, axis=0))
    node.input[:] = [node.input[0], *parts]
    return nodes


def _channels(graph: _Graph, node: Any) -> int:
    """Return how many channels a convolution takes; none where its weights are not in the file as they are."""
    kernel = graph.weights.get(node.input[1])
    return 0 if kernel is None or kernel.ndim != 4 else kernel.shape[1] * _groups(node)


def _groups(node: Any) -> int:
    return next((int(part.i) for part in node.attribute if part.name == "group"), 1)
