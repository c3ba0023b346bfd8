"""Take the voice-activity net that mien ships out of the wheel ``silero-vad`` (MIT license, Silero Team).

    python scripts/take_silero_vad.py path/to/silero_vad-6.2.3-py3-none-any.whl

The wheel itself needs torch; the graph in it does not.  It is the wheel's ``silero_vad_16k_sequence.onnx``, the net for
16 kHz that takes many frames in one call.  Each frame has only four windows, over which its convolutions run one frame
after the other; ``silero-vad.onnx`` has them as matrix products over all frames.  It is written if its outputs are
those of the wheel's graph, and beside it the record ``silero-vad.toml``.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OUT = Path(__file__).resolve().parents[1] / "src" / "mien" / "weights"
INNER = "silero_vad/data/silero_vad_16k_sequence.onnx"
FRAME, HOP, BINS = 576, 128, 129
STRIDES = (1, 2, 2, 1)
"""Of the convolutions behind the spectrum, with three taps each."""

TOLERANCE = 1e-4

RECORD = """\
name = "silero-vad"
task = "speech-activity"
description = "Silero VAD: a small recurrent net that says for every 32 ms how likely somebody speaks"
version = "6.2.3"
date = 2026-11-29

[[files]]
role = "graph"
file = "silero-vad.onnx"
sha256 = "{digest}"
bytes = {size}

[license]
weights = "MIT"
data = "trained by its authors on recordings that they do not publish; nothing of them is shipped"
attribution = "Silero Team, Silero VAD: pre-trained enterprise-grade Voice Activity Detector, \
https://github.com/snakers4/silero-vad, Copyright (c) 2020-present Silero Team"

[training]
recipe = "none: taken by scripts/take_silero_vad.py from the Python package silero-vad 6.2.3, convolutions as products"
"""


def as_products(content: bytes) -> bytes:
    """Return the net with its convolutions as products of all frames with one matrix each."""
    graph = onnx.load_from_string(content).graph
    weights = {part.name: numpy_helper.to_array(part) for part in graph.initializer}
    nodes: list[Any] = []

    def add(kind: str, inputs: list[str], *outputs: str, **more: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, list(outputs), **more))
        return outputs[0]

    def constant(name: str, *values: int) -> str:
        weights[name] = np.array(values, np.int64)
        return name

    # Windows of two hops, the last of them reflected at its end; the wheel's graph also takes one that it drops.
    padded = add("Pad", ["input", constant("padding", 0, 0, 0, HOP // 2)], "padded", mode="reflect")
    add("Reshape", [padded, constant("hops_shape", 0, 5, HOP)], "hops")
    for name, first in (("left", 0), ("right", 1)):
        edges = [constant(f"{name}_begin", first), constant(f"{name}_end", first + 4), constant("axis", 1)]
        add("Slice", ["hops", *edges], name)
    windows = add("Concat", ["left", "right"], "windows", axis=2)
    weights["basis"] = np.ascontiguousarray(weights["stft.forward_basis_buffer"][:, 0].T)
    bins = add("MatMul", [windows, "basis"], "bins")
    add("Split", [bins, constant("parts", BINS, BINS)], "real", "imaginary", axis=2)
    power = add("Add", [add("Mul", [part, part], f"{part}_squared") for part in ("real", "imaginary")], "power")
    flat = add("Reshape", [add("Sqrt", [power], "magnitude"), constant("flat_shape", 0, -1)], "flat")
    positions = 4
    for number, stride in enumerate(STRIDES):
        name = f"encoder.{number}"
        matrix = unroll(weights[f"{name}.weight"], positions, stride)
        positions = (positions - 1) // stride + 1
        weights[f"{name}.matrix"], weights[f"{name}.biases"] = matrix, np.tile(weights[f"{name}.bias"], positions)
        product = add("Gemm", [flat, f"{name}.matrix", f"{name}.biases"], f"{name}.product")
        flat = add("Relu", [product], f"{name}.output")
    first = next(place for place, node in enumerate(graph.node) if node.op_type == "LSTM")
    add("Unsqueeze", [flat, "axis"], graph.node[first].input[0])
    nodes += graph.node[first:]
    used = {name for node in nodes for name in node.input}
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items() if name in used]
    made = helper.make_model(
        helper.make_graph(nodes, graph.name, graph.input, graph.output, kept),
        opset_imports=[helper.make_opsetid("", 16)],
        ir_version=8,
    )
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


def unroll(weight: NDArray[np.float32], positions: int, stride: int) -> NDArray[np.float32]:
    """Return a convolution with three taps, padded by one, as the matrix (positions x channels in, ... x out)."""
    after, before, taps = weight.shape
    outputs = (positions - 1) // stride + 1
    matrix = np.zeros((positions, before, outputs, after), np.float32)
    for output in range(outputs):
        for tap in range(taps):
            place = output * stride + tap - 1
            if 0 <= place < positions:
                matrix[place, :, output] = weight[:, :, tap].T
    return matrix.reshape(positions * before, outputs * after)


def check_same(published: bytes, made: bytes) -> None:
    """Exit if two graphs differ in any output: on noise of many levels, frame after frame and in one call."""
    draw = np.random.default_rng(0)
    frames = (draw.normal(size=(500, FRAME)) * 10 ** draw.uniform(-4, 0, (500, 1))).astype(np.float32)
    memory = [draw.normal(size=(1, 1, 128)).astype(np.float32) for _ in range(2)]
    for some in (frames, frames[:1]):
        inputs = {"input": some, "h": memory[0], "c": memory[1]}
        one, other = (
            onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, inputs)
            for content in (published, made)
        )
        worst = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
        if worst > TOLERANCE:
            raise SystemExit(f"the graphs differ by {worst:.2g}, more than {TOLERANCE:g}: nothing is written")
        print(f"{len(some)} frames: the outputs differ by at most {worst:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="the wheel silero-vad 6.2.3")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into")
    options = parser.parse_args()
    with zipfile.ZipFile(options.wheel) as archive:
        published = archive.read(INNER)
    data = as_products(published)
    check_same(published, data)
    (options.out / "silero-vad.onnx").write_bytes(data)
    record = RECORD.format(digest=hashlib.sha256(data).hexdigest(), size=len(data))
    (options.out / "silero-vad.toml").write_text(record, encoding="utf-8")
    print(f"{options.out / 'silero-vad.onnx'}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
