"""Recall, false boxes and time of the face detectors, all at the very same (default) settings, one thread.

    python benchmarks/detectors.py [--data path/to/data] [--detector mtcnn] [--json]

``--data`` is the folder that holds ``face_boxes``, 43 true boxes in dlib's XML; by default what ``MIEN_DATA`` names, or
``../shared/data`` beside the checkout.  A true box is found when a box of the
detector overlaps it by an intersection over union of 0.4 or more; each box counts once, the best pairs first; a box
that finds nothing is false.  ``testing.xml`` was used to tune the detectors, ``training.xml`` was not.

By size: the images of ``training.xml`` at `SCALES` times their size, where every detector is asked for faces from
`SIZES_MIN_PX` on; a true box counts in the row of its longer side, a false one in that of its own.

A detector whose file is not there (``mien models get yunet``) is left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _here import here
from numpy.typing import NDArray

from mien import read_image
from mien.errors import ModelError
from mien.face.detect import DETECTORS, Detection, Detector, get_detector

IOU = 0.4
RUNS = 30
SCALES = (0.5, 1.0, 2.0, 4.0)
SIZES_MIN_PX = 16
EDGES = (0, 24, 40, 80, 160, 10_000)
"""Rows of the table by size, in pixels."""
PORTRAIT = Path(__file__).resolve().parents[1] / "src" / "mien" / "samples" / "astronaut.jpg"


def truth(file: Path) -> list[tuple[Path, NDArray[np.float64]]]:
    """Read dlib's XML: images with boxes x1, y1, x2, y2."""
    images = []
    for image in ET.parse(file).getroot().iter("image"):
        sides = [[int(box.get(key, "")) for key in ("left", "top", "width", "height")] for box in image.iter("box")]
        boxes = np.array([(x, y, x + width, y + height) for x, y, width, height in sides], dtype=float)
        images.append((file.parent / image.get("file", ""), boxes))
    return images


def overlap(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of every box of a with every box of b."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    area = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return np.asarray(common / (area[0][:, None] + area[1] - common), dtype=float)


def pairs(true: NDArray[Any], found: Detection) -> list[tuple[int, int]]:
    """Return which true box is found by which box, best pairs first."""
    table = overlap(true, found.boxes.astype(float))
    result = []
    while table.size and table.max() >= IOU:
        row, column = np.unravel_index(table.argmax(), table.shape)
        table[row], table[:, column] = -1, -1
        result.append((int(row), int(column)))
    return result


def matches(true: NDArray[Any], found: Detection) -> int:
    """Count the true boxes that are found."""
    return len(pairs(true, found))


def accuracy(detector: Detector, folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for file in ("testing.xml", "training.xml"):
        hit = true = found = 0
        for path, boxes in truth(folder / file):
            detection = detector.detect(read_image(path))
            hit, true, found = hit + matches(boxes, detection), true + len(boxes), found + len(detection)
        result[file] = {"found": hit, "true": true, "false": found - hit}
    for file in ("bald_guys.jpg", "dogs.jpg"):
        result[file] = {"boxes": len(detector.detect(read_image(folder / file)))}
    return result


def by_size(detector: Detector, folder: Path) -> dict[str, dict[str, int]]:
    """Count true, found and false boxes by their longer side in pixels."""
    counts = np.zeros((3, len(EDGES) - 1), int)
    for path, boxes in truth(folder / "training.xml"):
        original = read_image(path)
        for scale in SCALES:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            image = original if scale == 1 else cv2.resize(original, None, fx=scale, fy=scale, interpolation=how)
            found = detector.detect(np.asarray(image, dtype=np.uint8))
            hits = pairs(boxes * scale, found)
            wrong = sorted(set(range(len(found))) - {column for _, column in hits})
            sized: list[NDArray[Any]] = [boxes * scale, boxes[[row for row, _ in hits]] * scale, found.boxes[wrong]]
            for row, some in enumerate(sized):
                counts[row] += np.histogram((some[:, 2:] - some[:, :2]).max(axis=1, initial=0), EDGES)[0]
    names = [
        f"{low}-{high} px" if high < EDGES[-1] else f"{low} px and more" for low, high in itertools.pairwise(EDGES)
    ]
    return {
        name: {"true": int(true), "found": int(hit), "false": int(wrong)}
        for name, true, hit, wrong in zip(names, *counts, strict=True)
    }


def speed(detector: Detector, folder: Path) -> dict[str, Any]:
    """Median and middle half of the time of one call, in ms: a portrait, and a group of six enlarged to 720p."""
    group = cv2.resize(read_image(folder / "2008_002470.jpg"), (1280, 720), interpolation=cv2.INTER_LINEAR)
    images = {"512x512": read_image(PORTRAIT), "1280x720": np.asarray(group, dtype=np.uint8)}
    result = {}
    for name, image in images.items():
        times = []
        for _ in range(RUNS + 3):
            start = time.perf_counter()
            faces = len(detector.detect(image))
            times.append((time.perf_counter() - start) * 1e3)
        low, middle, high = np.percentile(times[3:], [25, 50, 75])
        result[name] = {
            "median_ms": round(middle, 2),
            "q25_ms": round(low, 2),
            "q75_ms": round(high, 2),
            "faces": faces,
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = os.environ.get("MIEN_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside), help="folder that holds face_boxes")
    parser.add_argument("--detector", action="append", choices=DETECTORS, help="default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    folder = options.data / "face_boxes"
    if not folder.is_dir():
        print(f"nothing measured: there is no {folder}; say --data FOLDER or set MIEN_DATA")
        return
    report: dict[str, Any] = {
        **here(),
        "detectors": {},
    }
    for name in options.detector or DETECTORS:
        try:
            detector = get_detector(name, threads=1)
        except ModelError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        sizes = by_size(get_detector(name, threads=1, min_face_px=SIZES_MIN_PX), folder)
        report["detectors"][name] = {**accuracy(detector, folder), **speed(detector, folder), "by_size": sizes}
    print(json.dumps(report, indent=2) if options.json else text(report))


def text(report: dict[str, Any]) -> str:
    lines = [f"{report['machine']}; Python {report['python']}; {report['date']}; IoU {IOU}, default settings, 1 thread"]
    head = f"{'detector':9} {'testing.xml':>18} {'training.xml':>18} {'bald_guys':>10} {'dogs':>5}"
    lines.append(f"{head} {'512x512':>22} {'1280x720':>25}")
    for name, row in report["detectors"].items():
        cells = [
            f"{row[f]['found']}/{row[f]['true']}, {row[f]['false']} false" for f in ("testing.xml", "training.xml")
        ]
        times = [
            f"{row[s]['median_ms']:.1f} ({row[s]['q25_ms']:.1f}-{row[s]['q75_ms']:.1f}) ms"
            for s in ("512x512", "1280x720")
        ]
        lines.append(
            f"{name:9} {cells[0]:>18} {cells[1]:>18} {row['bald_guys.jpg']['boxes']:>10} {row['dogs.jpg']['boxes']:>5}"
            f" {times[0]:>22} {times[1]:>25}"
        )
    lines += ["", f"training.xml at {', '.join(f'{s:g}' for s in SCALES)} times its size, from {SIZES_MIN_PX} px:"]
    for name, row in report["detectors"].items():
        cells = [f"{size}: {n['found']}/{n['true']}, {n['false']} false" for size, n in row["by_size"].items()]
        lines.append(f"{name:9} " + "; ".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
