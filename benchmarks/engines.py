"""A face net in each engine and precision, against what the machine's matrix products allow; tables for the docs.

    python benchmarks/engines.py [--model face-base] [--batch 1,8,32] [--threads 1,2] [--rounds 30] [--json]
    python benchmarks/engines.py --accuracy fer2013.csv [--labels fer2013new.csv]

The graph's multiply-adds are counted in its file, without those that meet the zeros that pad its convolutions.  The
machine's rate is the best of matrix products of 768 x 768 on one thread in the same precision, by numpy and by each
engine, in int8 of uint8 by int8 into float32; the share is the net's own rate over that, times the threads.  Both are
taken from the fastest run, because other work on the machine only ever slows; the median is given beside.  All take
turns run by run, so that they see the same machine.  ``--accuracy`` gives instead what each engine and precision
answers to the rows of FER2013's PublicTest, as its own labels and as the majority of FER+ votes have them.

The last table is of finding faces (mtcnn, float32) in the sample image of 512 x 512 with one face.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from _here import here
from onnx import helper, numpy_helper
from threadpoolctl import threadpool_limits

from mien import read_image
from mien.data.fer2013 import add_votes, read_fer2013
from mien.errors import MissingExtraError, ModelError
from mien.face.analyzer import FaceAnalyzer
from mien.face.detect import get_detector
from mien.models import ModelSpec, registry, runtime
from mien.models.store import read_weights
from mien.samples import astronaut_path

SIDE = 768
WARM = 5
NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def kinds(spec: ModelSpec | None = None) -> list[tuple[str, str]]:
    """Return the engines and precisions that are here, and that a model has."""
    found = []
    for engine in runtime.ENGINES:
        for precision in runtime.PRECISIONS:
            if engine == "onnxruntime" and precision == "bfloat16":
                continue
            if spec is not None and runtime.closest_precision(spec, precision) != precision:
                continue
            try:
                product(engine, precision)
            except (MissingExtraError, ModelError):
                continue
            found.append((engine, precision))
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


def product(engine: str, precision: str) -> runtime.Session:
    """Return a session that multiplies by a matrix of `SIDE` x `SIDE`."""
    random = np.random.default_rng(0)
    makers: list[onnx.NodeProto] = []
    if precision == "int8":
        # Uint8 by int8, summed in int32: what a convolution of a net in int8 does.
        parts = {
            "b_whole": random.integers(-63, 64, (SIDE, SIDE)).astype(np.int8),
            "step": np.float32(0.01),
            "zero_a": np.uint8(0),
            "zero_b": np.int8(0),
        }
        makers.append(helper.make_node("DequantizeLinear", ["a", "step", "zero_a"], ["a_"]))
        makers.append(helper.make_node("DequantizeLinear", ["b_whole", "step", "zero_b"], ["b"]))
    else:
        parts = {"b": random.normal(0, 1, (SIDE, SIDE)).astype(np.float32)}
        makers.append(helper.make_node("Identity", ["a"], ["a_"]))
    makers.append(helper.make_node("MatMul", ["a_", "b"], ["c"]))
    kind = onnx.TensorProto.UINT8 if precision == "int8" else onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        makers,
        "product",
        [helper.make_tensor_value_info("a", kind, [SIDE, SIDE])],
        [helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [SIDE, SIDE])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in parts.items()],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    return runtime.Session(content, name="product", threads=1, device="cpu", engine=engine, precision=precision)


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


def products() -> dict[Any, Callable[[], Any]]:
    """Return matrix products of 768 x 768 by numpy and by each engine and precision, on one thread."""
    left = np.random.default_rng(1).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    whole = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), np.uint8)
    calls: dict[Any, Callable[[], Any]] = {("product", "numpy", "float32"): partial(np.matmul, left, left)}
    for engine, precision in kinds():
        given = {"a": whole if precision == "int8" else left}
        calls["product", engine, precision] = partial(product(engine, precision).run, given)
    return calls


def measure(model: str, batches: list[int], threads: list[int], rounds: int) -> dict[str, Any]:
    """Time the net in all ways, in turns with the matrix products."""
    spec = registry.get(model)
    every, real = multiply_adds(read_weights(spec))
    side = spec.input.size if spec.input else 48
    wanted = [head.tensor for head in spec.heads]
    rows: list[dict[str, Any]] = []
    best = dict.fromkeys(runtime.PRECISIONS, 0.0)
    timed: dict[int, dict[Any, dict[str, float]]] = {}
    for count in threads:
        calls = products()
        for engine, precision in kinds(spec):
            session = runtime.load(spec, threads=count, engine=engine, precision=precision)
            for batch in batches:
                crops = np.random.default_rng(batch).integers(0, 256, (batch, side, side, 3), np.uint8)
                calls[batch, engine, precision] = partial(session.run, {session.input_names[0]: crops}, wanted)
        with threadpool_limits(1):
            timed[count] = in_turns(calls, rounds)
        for (what, _, precision), taken in timed[count].items():
            if what == "product":
                best[precision] = max(best[precision], SIDE**3 / taken["best_ms"] * 1e3)
    for count, times in timed.items():
        for (batch, engine, precision), taken in times.items():
            if batch != "product":
                share = real * batch / taken["best_ms"] * 1e3 / (best[precision] * count)
                row = {"engine": engine, "precision": precision, "batch": batch, "threads": count}
                rows.append({**row, **{k: round(float(v), 2) for k, v in taken.items()}, "share": round(share, 3)})
    rows.sort(key=lambda row: (row["threads"], row["batch"]))
    return {"multiply_adds": every, "without_padding": real, "machine_multiply_adds_per_s": best, "rows": rows}


def finding(threads: list[int], rounds: int) -> list[dict[str, Any]]:
    """Time the detector by each engine, in turns."""
    image = read_image(astronaut_path())
    calls: dict[Any, Callable[[], Any]] = {}
    for engine in dict(kinds()):
        for count in threads:
            calls[engine, count] = partial(get_detector("mtcnn", threads=count, engine=engine).detect, image)
    times = in_turns(calls, rounds)
    return [{"engine": engine, "threads": count, **taken} for (engine, count), taken in times.items()]


def accuracy(model: str, table: Path, votes: Path | None) -> dict[str, Any]:
    """Return what each engine and precision answers to PublicTest, and how far that is from the first."""
    public = read_fer2013(table, split="PublicTest")
    majority = add_votes(public, votes, protocol="majority")
    spec = registry.get(model)
    found: dict[str, Any] = {}
    first: dict[str, np.ndarray] = {}
    for engine, precision in kinds(spec):
        analyzer = FaceAnalyzer(spec, detector="haar", threads=1, engine=engine, precision=precision)
        row = found[f"{engine} {precision}"] = {}
        for name, data in (("fer7", public), ("ferplus8", majority)):
            labeled = data.labels >= 0
            logits = analyzer.logits(data.images[labeled])[name]
            answers = np.array(spec.output(name).labels.emotions)[logits.argmax(axis=1)]
            right = answers == np.array(data.label_set.emotions)[data.labels[labeled]]
            exact = first.setdefault(name, logits)
            row[name] = {
                "accuracy": float(right.mean()),
                "rows": len(right),
                "other_answers": int((logits.argmax(axis=1) != exact.argmax(axis=1)).sum()),
                "farthest_logit": float(np.abs(logits - exact).max()),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="face-base")
    parser.add_argument("--batch", default="1,8,32")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--accuracy", type=Path, metavar="FER2013.CSV")
    parser.add_argument("--labels", type=Path, metavar="FER2013NEW.CSV")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report: dict[str, Any] = {
        **here(),
        "model": options.model,
    }
    if options.accuracy:
        report["accuracy"] = accuracy(options.model, options.accuracy, options.labels)
    else:
        batches, threads = ([int(n) for n in text.split(",")] for text in (options.batch, options.threads))
        report |= measure(options.model, batches, threads, options.rounds)
        report["finding"] = finding(threads, options.rounds)
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}; {options.model}")
    if options.accuracy:
        show_accuracy(report["accuracy"])
    else:
        show(report, batches, options.rounds)


def show_accuracy(rows: dict[str, Any]) -> None:
    """Print a table of Markdown."""
    print(
        "\n| engine | precision | `fer7` | `ferplus8` (majority) | other answers | farthest logit |\n"
        + 6 * "|---"
        + "|"
    )
    for name, row in rows.items():
        engine, precision = name.split()
        parts = [row["fer7"], row["ferplus8"]]
        right = " | ".join(f"{100 * part['accuracy']:.2f} %" for part in parts)
        others = ", ".join(f"{part['other_answers']} of {part['rows']:,}" for part in parts)
        print(f"| {NAMES[engine]} | {precision} | {right} | {others} | {max(p['farthest_logit'] for p in parts):.1g} |")


def show(report: dict[str, Any], batches: list[int], rounds: int) -> None:
    """Print a table of Markdown."""
    every, real = (report[key] / 1e6 for key in ("multiply_adds", "without_padding"))
    print(f"{every:.1f} million multiply-adds a crop, {real:.1f} without padded zeros")
    print(f"times: fastest of {rounds} rounds (median)")
    told = ", ".join(f"{r / 1e9:.0f} in {p}" for p, r in report["machine_multiply_adds_per_s"].items() if r)
    print(f"matrix products on one thread, thousand million multiply-adds a second: {told}")
    crops = " | ".join(f"{batch} crop{'s' * (batch > 1)}" for batch in batches)
    print(f"\n| threads | engine | precision | {crops} | share of the matrix rate at {', '.join(map(str, batches))} |")
    print((4 + len(batches)) * "|---" + "|")
    lines: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in report["rows"]:
        lines.setdefault((row["threads"], NAMES[row["engine"]], row["precision"]), []).append(row)
    for key, rows in lines.items():
        times = [f"{row['best_ms']:.2f} ms ({row['median_ms']:.2f})" for row in rows]
        share = ", ".join(f"{100 * row['share']:.0f}" for row in rows)
        print("| " + " | ".join([*map(str, key), *times, f"{share} %"]) + " |")
    print("\n| threads | engine | faces found in 512 x 512 |\n|---|---|---|")
    for row in sorted(report["finding"], key=lambda row: row["threads"]):
        print(f"| {row['threads']} | {NAMES[row['engine']]} | {row['best_ms']:.1f} ms ({row['median_ms']:.1f}) |")


if __name__ == "__main__":
    main()
