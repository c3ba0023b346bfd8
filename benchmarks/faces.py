"""Time from image to emotions, and of ready crops, warm, at the default settings and with other engines.

    python benchmarks/faces.py [--model face-base] [--threads 1] [--runs 50] [--json]

Images are decoded beforehand: the sample portrait at its own 512 x 512 and laid into 1280 x 720.  The parts of the
portrait's time (detection, crop, net) are taken in the same run.  `OTHERS` that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from _here import here

import mien
from mien.errors import MissingExtraError, ModelError
from mien.face.align import Crop, model_crop
from mien.face.detect import get_detector
from mien.samples import astronaut_path

OTHERS = (
    ("mtcnn", "openvino", "bfloat16"),
    ("mtcnn", "onnxruntime", "int8"),
    ("yunet", "onnxruntime", "float32"),
    ("yunet", "openvino", "bfloat16"),
    ("yunet", "onnxruntime", "int8"),
)
"""Detector of faces, and engine and precision of emotions."""


def timed(call: Callable[[], Any], runs: int) -> dict[str, float]:
    """Fastest, median and middle half of the time of a call in ms, after five calls that do not count."""
    times = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    low, middle, high = np.percentile(times[5:], [25, 50, 75])
    found = {"best_ms": min(times), "median_ms": middle, "q25_ms": low, "q75_ms": high}
    return {name: round(float(value), 2) for name, value in found.items()}


def measure(model: str, threads: int, runs: int) -> dict[str, Any]:
    """Time everything with one analyzer."""
    analyzer = mien.FaceAnalyzer(model, threads=threads)
    portrait = mien.read_image(astronaut_path())
    wide = np.full((720, 1280, 3), 127, np.uint8)
    wide[100:612, 300:812] = portrait
    detector = get_detector(analyzer.detector, threads=threads)
    face = analyzer.analyze(portrait).faces[0]
    geometry = Crop.from_dict(analyzer.spec.crop)
    crop = model_crop(portrait, face.box, face.landmarks, geometry, analyzer.detector)
    ready = np.stack([crop] * 32)
    large = [np.asarray(cv2.resize(crop, (160, 160)), np.uint8)] * 32
    times = {
        "512x512, one face": timed(lambda: analyzer.analyze(portrait), runs),
        "  of it detection": timed(lambda: detector.detect(portrait), runs),
        "  of it the crop": timed(lambda: model_crop(portrait, face.box, face.landmarks, geometry, "mtcnn"), runs),
        "  of it the net": timed(lambda: analyzer.logits(ready[:1]), runs),
        "1280x720, one face": timed(lambda: analyzer.analyze(wide), runs),
        "32 ready crops, 48x48": timed(lambda: analyzer.classify(ready), runs),
        "32 ready crops, 160x160": timed(lambda: analyzer.classify(large), runs),
    }
    for name, other in others(model, threads).items():
        times[f"512x512, {name}"] = timed(partial(other.analyze, portrait), runs)
        times[f"1280x720, {name}"] = timed(partial(other.analyze, wide), runs)
    return times


def others(model: str, threads: int) -> dict[str, mien.FaceAnalyzer]:
    """Return analyzers with other detectors and engines, by name: those that are there."""
    found = {}
    for detector, engine, precision in OTHERS:
        try:
            analyzer = mien.FaceAnalyzer(model, threads=threads, detector=detector, engine=engine, precision=precision)
        except (ModelError, MissingExtraError):
            continue
        found[f"{detector}, {engine} {precision}"] = analyzer
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="face-base")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report: dict[str, Any] = {
        **here(),
        "model": options.model,
        "threads": options.threads,
        "times": measure(options.model, options.threads, options.runs),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; Python {report['python']}; {report['date']}")
    print(f"{options.model}, {options.threads} thread(s), {options.runs} runs: median (middle half), fastest")
    for name, row in report["times"].items():
        print(f"{name:40} {row['median_ms']:8.2f} ms  ({row['q25_ms']:.2f}-{row['q75_ms']:.2f}), {row['best_ms']:.2f}")


if __name__ == "__main__":
    main()
