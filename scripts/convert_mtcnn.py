"""Convert the three nets of MTCNN to the ONNX files that mien ships.

The weights are those of the wheel ``mtcnn`` 1.0.0 (MIT license, Ivan de Paz Centeno), which are the authors' published
weights (Zhang et al. 2016, arXiv:1604.02878) in TensorFlow's layout: lz4 files, each a list of arrays.  Reading them
needs joblib and lz4, but no TensorFlow.

    python scripts/convert_mtcnn.py path/to/mtcnn-1.0.0-py3-none-any.whl

Without an argument, the installed package is read.  Beside the files the record ``mtcnn.toml`` is written.

What is changed, exactly: kernels are transposed to ONNX's layout; the first dense layer's rows are put into the order
of an (N, C, H, W) map; ``(x - 127.5) / 128`` is folded into the first convolution, which has no padding; PReLU before a
max-pooling is computed after it (see `Graph.first_conv`), and as a product and a maximum where it can be (see
`Graph.prelu`); and the softmax over two classes becomes the sigmoid of their difference.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
OUT = Path(__file__).resolve().parents[1] / "src" / "mien" / "weights"
DATE = "2026-11-21"
MEAN, SCALE = 127.5, 128.0  # how the authors bring pixels to about -1..1

Array = NDArray[np.float32]

RECORD_HEAD = f"""\
name = "mtcnn"
task = "face-detection"
description = "MTCNN: a cascade of three small nets that finds faces and their five points (eyes, nose, mouth corners)"
version = "1.0"
date = {DATE}
"""
RECORD_TAIL = """
[license]
weights = "MIT"
data = "trained by its authors on WIDER FACE and CelebA, which are for research; nothing of them is shipped"
attribution = "Zhang, Zhang, Li and Qiao, Joint Face Detection and Alignment Using Multitask Cascaded Convolutional \
Networks, IEEE Signal Processing Letters 2016, arXiv:1604.02878; the weights in the layout of the Python package \
mtcnn 1.0.0, Copyright (c) 2019-2024 Ivan de Paz Centeno"

[training]
recipe = "none: converted by scripts/convert_mtcnn.py from the Python package mtcnn 1.0.0"
data = ["WIDER FACE", "CelebA"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", nargs="?", type=Path, help="the wheel mtcnn 1.0.0; default: the installed package")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into")
    options = parser.parse_args()
    record = RECORD_HEAD
    for name, builder in (("pnet", pnet), ("rnet", rnet), ("onet", onet)):
        path = options.out / f"mtcnn_{name}.onnx"
        path.write_bytes(builder(read_arrays(options.wheel, name)))
        record += entry(name, path)
        print(f"{path}: {path.stat().st_size:,} bytes")
    (options.out / "mtcnn.toml").write_text(record + RECORD_TAIL, encoding="utf-8")


def entry(role: str, path: Path) -> str:
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return f'\n[[files]]\nrole = "{role}"\nfile = "{path.name}"\nsha256 = "{digest}"\nbytes = {len(data)}\n'


def read_arrays(wheel: Path | None, name: str) -> list[Array]:
    inner = f"mtcnn/assets/weights/{name}.lz4"
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(inner)
    else:
        spec = importlib.util.find_spec("mtcnn")
        if spec is None or spec.origin is None:
            sys.exit("the package mtcnn is not installed: give the path of its wheel")
        data = (Path(spec.origin).parents[1] / inner).read_bytes()
    # joblib's format is a pickle: read it only from the wheel whose origin you trust.
    return [np.asarray(array, dtype=np.float32) for array in joblib.load(io.BytesIO(data))]


class Graph:
    """A chain of layers, built one call a layer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = "image"
        self.order: NDArray[np.intp] | None = None  # of the last map's channels, where it is not the authors'
        self.add("Transpose", perm=[0, 3, 1, 2])
        self.add("Cast", to=TensorProto.FLOAT)

    def add(self, op: str, *weights: str, source: str | None = None, **attributes: Any) -> str:
        """Append a node on the last output (or on ``source``); return the name of its output."""
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [source or self.last, *weights], [output], name=output, **attributes))
        self.last = output
        return output

    def weight(self, name: str, value: Array) -> str:
        """Store an initializer; return its name."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        return name

    def conv(self, name: str, kernel: Array, bias: Array, slope: Array | None = None) -> None:
        """Convolution, and PReLU with one slope a channel."""
        self._conv(name, self._kernel(kernel), bias)
        if slope is not None:
            self.prelu(name, slope.reshape(-1, 1, 1))

    def prelu(self, name: str, slope: Array, source: str | None = None) -> str:
        """PReLU; return the name of its output.

        With slopes a <= 1 it is max(x, a x), to the bit; the runtime computes a product and a maximum in less time than
        its PReLU.
        """
        weight = self.weight(f"{name}.slope", slope)
        if slope.max() > 1:
            return self.add("PRelu", weight, source=source)
        value = source or self.last
        return self.add("Max", self.add("Mul", weight, source=value), source=value)

    def first_conv(self, name: str, kernel: Array, bias: Array, slope: Array, *, pool: int) -> None:
        """Add normalization, convolution, PReLU and max-pooling; the activation is computed after the pooling.

        With a slope a >= 0, PReLU is monotone and changes places with the maximum.  With a < 0 it is max(x, a x), and
        the maximum of that over a window is the larger of the maxima of x and of a x, which the convolution gives as a
        second channel.  The runtime's PReLU costs more than the convolution, and the maps are four times smaller after
        the pooling.  The channels with negative slopes come first; the next layer's kernel is ordered accordingly.
        """
        kernel, slope = self._kernel(kernel), slope.ravel()
        bias = bias - kernel.sum(axis=(1, 2, 3)) * MEAN / SCALE
        kernel = kernel / SCALE
        order = np.argsort(slope >= 0, kind="stable")
        kernel, bias, slope = kernel[order], bias[order], slope[order]
        below = int((slope < 0).sum())
        factor = slope[:below]
        # Zeros fill up the runtime's blocks of sixteen channels: it keeps its fast layout only for whole blocks.
        spare = -(len(slope) + below) % 16
        zeros = np.zeros((spare, *kernel.shape[1:]))
        kernel = np.concatenate([kernel, kernel[:below] * factor[:, None, None, None], zeros])
        self._conv(name, kernel, np.concatenate([bias, bias[:below] * factor, np.zeros(spare)]))
        self.pool(pool)
        pooled = self.last
        lengths = {"below": below, "above": len(slope) - below, "scaled": below, "spare": spare}
        parts = [f"{name}_{part}" for part, length in lengths.items() if length]
        sizes = np.array([length for length in lengths.values() if length], np.int64)
        self.weights.append(numpy_helper.from_array(sizes, f"{name}.parts"))
        self.nodes.append(helper.make_node("Split", [pooled, f"{name}.parts"], parts, name=f"{name}_split", axis=1))
        above = self.prelu(name, slope[below:].reshape(-1, 1, 1), parts[1])
        self.add("Max", parts[2], source=parts[0])
        self.add("Concat", above, axis=1)
        self.order = order

    def pool(self, size: int, *, ceil: bool = True) -> None:
        """Max-pooling with stride 2."""
        # TensorFlow's "same" pads at the right and lower edge, which is what rounding the size up does.
        self.add("MaxPool", kernel_shape=[size, size], strides=[2, 2], ceil_mode=int(ceil))

    def _kernel(self, kernel: Array) -> Array:
        """From TensorFlow's order (height, width, in, out) to (out, in, height, width), channels in as they come."""
        kernel = kernel.transpose(3, 2, 0, 1).astype(np.float64)
        return kernel if self.order is None else kernel[:, self.order]

    def _conv(self, name: str, kernel: Array, bias: Array) -> None:
        weights = self.weight(f"{name}.weight", kernel), self.weight(f"{name}.bias", bias)
        self.add("Conv", *weights, kernel_shape=list(kernel.shape[2:]))
        self.order = None

    def dense(self, name: str, kernel: Array, bias: Array, source: str | None = None) -> str:
        """Dense layer; return the name of its output."""
        return self.add("Gemm", self.weight(f"{name}.weight", kernel), self.weight(f"{name}.bias", bias), source=source)

    def output(self, op: str, name: str, source: str, **attributes: Any) -> None:
        """Append a node that makes one of the graph's outputs."""
        self.nodes.append(helper.make_node(op, [source], [name], name=name, **attributes))

    def save(self, image: list[int | str], outputs: dict[str, list[int | str]]) -> bytes:
        """Check the graph and return it as a file's content."""
        graph = helper.make_graph(
            self.nodes,
            f"mtcnn_{self.name}",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, image)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mien")
        model.ir_version = 8  # the version of opset 17, so that older runtimes read the file
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content


def face_minus_other(kernel: Array, bias: Array) -> tuple[Array, Array]:
    """Two classes (other, face) and softmax, as one logit and sigmoid."""
    return kernel[..., 1:] - kernel[..., :1], bias[1:] - bias[:1]


def first_dense(kernel: Array, side: int) -> Array:
    """Rows in the order width, height, channels (MATLAB's columns come first) -> channels, height, width."""
    width_first = kernel.reshape(side, side, -1, kernel.shape[1])
    return width_first.transpose(2, 1, 0, 3).reshape(kernel.shape)


def pnet(w: list[Array]) -> bytes:
    graph = Graph("pnet")
    graph.first_conv("conv1", *w[0:3], pool=2)
    graph.conv("conv2", *w[3:6])
    graph.conv("conv3", *w[6:9])
    trunk = graph.last
    graph.conv("conv4_1", *w[9:11])
    graph.output("Identity", "offsets", graph.last)
    graph.last = trunk
    graph.conv("conv4_2", *face_minus_other(*w[11:13]))
    graph.output("Sigmoid", "scores", graph.last)
    return graph.save(
        ["n", "height", "width", 3], {"scores": ["n", 1, "rows", "columns"], "offsets": ["n", 4, "rows", "columns"]}
    )


def rnet(w: list[Array]) -> bytes:
    graph = Graph("rnet")
    graph.first_conv("conv1", *w[0:3], pool=3)
    graph.conv("conv2", *w[3:6])
    graph.pool(3, ceil=False)
    graph.conv("conv3", *w[6:9])
    heads(graph, w[9:], side=3, names=("fc4", "fc5"), points=False)
    return graph.save(["n", 24, 24, 3], {"scores": ["n", 1], "offsets": ["n", 4]})


def onet(w: list[Array]) -> bytes:
    graph = Graph("onet")
    graph.first_conv("conv1", *w[0:3], pool=3)
    graph.conv("conv2", *w[3:6])
    graph.pool(3, ceil=False)
    graph.conv("conv3", *w[6:9])
    graph.pool(2)
    graph.conv("conv4", *w[9:12])
    heads(graph, w[12:], side=3, names=("fc5", "fc6"), points=True)
    return graph.save(["n", 48, 48, 3], {"scores": ["n", 1], "offsets": ["n", 4], "points": ["n", 10]})


def heads(graph: Graph, w: list[Array], *, side: int, names: tuple[str, str], points: bool) -> None:
    graph.add("Flatten", axis=1)
    graph.dense(names[0], first_dense(w[0], side), w[1])
    trunk = graph.prelu(names[0], w[2])
    graph.output("Identity", "offsets", graph.dense(f"{names[1]}_1", w[3], w[4], source=trunk))
    if points:
        graph.output("Identity", "points", graph.dense(f"{names[1]}_2", w[5], w[6], source=trunk))
    kernel, bias = face_minus_other(*w[-2:])
    graph.output("Sigmoid", "scores", graph.dense(f"{names[1]}_3", kernel, bias, source=trunk))


if __name__ == "__main__":
    main()
