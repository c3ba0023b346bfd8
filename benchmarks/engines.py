"""A face net in each engine, against what the machine's matrix products allow.

    python benchmarks/engines.py [--model face-base] [--batch 1,8,32] [--threads 1,2] [--rounds 30] [--json]
    python benchmarks/engines.py --accuracy fer2013.csv

The graph's multiply-adds are counted in its file, without those that meet the zeros that pad its convolutions.  The
machine's rate is the best of matrix products of 768 x 768 with the same threads and precision, by numpy and by each
engine; the share is the net's own rate over that.  Both are taken from the fastest run, because other work on the
machine only ever slows; median and middle half are given beside.  All take turns run by run, so that they see the same
machine.  ``--accuracy`` gives instead what each engine and precision answers to the rows of FER2013's PublicTest.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from threadpoolctl import threadpool_limits

from mien.analyzers import FaceAnalyzer
from mien.datasets import fer2013
from mien.models import registry, runtime
from mien.models.store import read_weights

SIDE = 768
WARM = 5


def kinds() -> list[tuple[str, str]]:
    """Return the engines and precisions that are here."""
    found = [("onnxruntime", "float32")]
    for precision in runtime.PRECISIONS:
        try:
            product(1, "openvino", precision)
        except (ImportError, runtime.ModelError):
            continue
        found.append(("openvino", precision))
    return found


def multiply_adds(content: bytes) -> tuple[int, int]:
    """Count the multiply-adds of one crop in convolutions and matrix products: all, and those not with padded zeros."""
    model = onnx.load_from_string(content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {part.name: tuple(part.dims) for part in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    every = real = 0
    for node in graph.node:
        made = shapes[node.output[0]]
        if node.op_type == "Conv":
            kernel = shapes[node.input[1]]
            every += math.prod(made) * math.prod(kernel[1:])
            real += made[1] * kernel[1] * taps(node, shapes[node.input[0]][2:], kernel[2:], made[2:])
        elif node.op_type in ("Gemm", "MatMul"):
            count = math.prod(made) * shapes[node.input[0]][-1]
            every, real = every + count, real + count
    return every, real


def taps(node: onnx.NodeProto, size: tuple[int, ...], kernel: tuple[int, ...], made: tuple[int, ...]) -> int:
    """Count the pairs of output place and kernel place that meet a pixel, and not the padding around."""
    given = {part.name: list(part.ints) for part in node.attribute}
    count = 1
    for axis, (length, width, places) in enumerate(zip(size, kernel, made, strict=True)):
        pad, stride, step = (
            given.get(key, [usual] * 4)[axis] for key, usual in (("pads", 0), ("strides", 1), ("dilations", 1))
        )
        at = np.arange(places)[:, None] * stride - pad + np.arange(width) * step
        count *= int(((at >= 0) & (at < length)).sum())
    return count


def product(threads: int, engine: str, precision: str) -> runtime.Session:
    """Return a session that multiplies by a matrix of `SIDE` x `SIDE`."""
    weights = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [SIDE, SIDE]) for name in "ac"]
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    graph = helper.make_graph(nodes, "product", values[:1], values[1:], [numpy_helper.from_array(weights, "b")])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    return runtime.Session(content, name="product", threads=threads, device="cpu", engine=engine, precision=precision)


def in_turns(calls: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, dict[str, float]]:
    """Time calls one after the other, round by round; fastest, median and middle half in ms."""
    times: dict[Any, list[float]] = {key: [] for key in calls}
    for _ in range(rounds + WARM):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            times[key].append((time.perf_counter() - start) * 1e3)
    found = {}
    for key, taken in times.items():
        low, middle, high = np.percentile(taken[WARM:], [25, 50, 75])
        found[key] = {"best_ms": min(taken), "median_ms": middle, "q25_ms": low, "q75_ms": high}
    return found


def products(threads: int) -> dict[Any, Callable[[], Any]]:
    """Return matrix products of 768 x 768 by numpy and by each engine and precision."""
    left = np.random.default_rng(1).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    calls: dict[Any, Callable[[], Any]] = {("product", "numpy", "float32"): partial(np.matmul, left, left)}
    for engine, precision in kinds():
        calls["product", engine, precision] = partial(product(threads, engine, precision).run, {"a": left})
    return calls


def measure(model: str, batches: list[int], threads: list[int], rounds: int) -> dict[str, Any]:
    """Time the net in all ways, in turns with the matrix products."""
    spec = registry.get(model)
    every, real = multiply_adds(read_weights(spec))
    side = spec.input.size if spec.input else 48
    wanted = [output.tensor for output in spec.outputs]
    rows: list[dict[str, Any]] = []
    rates: dict[int, dict[str, float]] = {}
    for count in threads:
        calls = products(count)
        for engine, precision in kinds():
            session = runtime.load(spec, threads=count, engine=engine, precision=precision)
            for batch in batches:
                crops = np.random.default_rng(batch).integers(0, 256, (batch, side, side, 3), np.uint8)
                calls[batch, engine, precision] = partial(session.run, {session.input_names[0]: crops}, wanted)
        with threadpool_limits(count):
            times = in_turns(calls, rounds)
        best = rates[count] = dict.fromkeys(runtime.PRECISIONS, 0.0)
        for (what, _, precision), taken in times.items():
            if what == "product":
                best[precision] = max(best[precision], SIDE**3 / taken["best_ms"] * 1e3)
        for (batch, engine, precision), taken in times.items():
            if batch != "product":
                share = real * batch / taken["best_ms"] * 1e3 / best[precision]
                row = {"engine": engine, "precision": precision, "batch": batch, "threads": count}
                rows.append({**row, **{k: round(float(v), 2) for k, v in taken.items()}, "share": round(share, 3)})
    rows.sort(key=lambda row: (row["threads"], row["batch"]))
    return {"multiply_adds": every, "without_padding": real, "machine_multiply_adds_per_s": rates, "rows": rows}


def accuracy(model: str, table: Path) -> dict[str, Any]:
    """Return the accuracy of each engine and precision on PublicTest, and how far its answers are from the first."""
    data = fer2013.load(table, split="PublicTest")
    truth = np.array(data.label_set.emotions)[data.labels]
    found: dict[str, Any] = {}
    first: np.ndarray | None = None
    for engine, precision in kinds():
        analyzer = FaceAnalyzer(model, detector="haar", output="fer7", threads=1, engine=engine, precision=precision)
        logits = analyzer.logits(data.images)["fer7"]
        names = np.array(analyzer.output.labels.emotions)[logits.argmax(axis=1)]
        right = float(np.mean(names == truth))
        first = logits if first is None else first
        found[f"{engine} {precision}"] = {
            "accuracy": round(right, 4),
            "rows": len(names),
            "other answers": int((logits.argmax(axis=1) != first.argmax(axis=1)).sum()),
            "farthest logit": float(np.abs(logits - first).max()),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="face-base")
    parser.add_argument("--batch", default="1,8,32")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--accuracy", type=Path, metavar="FER2013.CSV")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "model": options.model,
    }
    if options.accuracy:
        report["accuracy"] = accuracy(options.model, options.accuracy)
    else:
        batches, threads = ([int(n) for n in text.split(",")] for text in (options.batch, options.threads))
        report |= measure(options.model, batches, threads, options.rounds)
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}; {options.model}")
    for name, row in report.get("accuracy", {}).items():
        print(f"{name:22}", "  ".join(f"{key} {value:.6g}" for key, value in row.items()))
    if "rows" in report:
        show(report, options.rounds)


def show(report: dict[str, Any], rounds: int) -> None:
    """Print the table."""
    every, real = (report[key] / 1e6 for key in ("multiply_adds", "without_padding"))
    print(f"{every:.1f} million multiply-adds a crop, {real:.1f} without padded zeros; {rounds} rounds")
    for count, rates in report["machine_multiply_adds_per_s"].items():
        told = ", ".join(f"{rate / 1e9:.1f} in {precision}" for precision, rate in rates.items() if rate)
        print(f"matrix products, {count} thread(s), thousand million multiply-adds a second: {told}")
    print("engine       precision  batch  threads  best ms  median (middle half)     share of the matrix rate")
    for row in report["rows"]:
        spread = f"{row['median_ms']:.2f} ({row['q25_ms']:.2f}-{row['q75_ms']:.2f})"
        start = f"{row['engine']:12} {row['precision']:9} {row['batch']:6} {row['threads']:8}"
        print(f"{start} {row['best_ms']:8.2f}  {spread:24} {row['share']:.0%}")


if __name__ == "__main__":
    main()
