"""Measure the geometry of a model's crop by running the detectors over FER2013 itself.

    python scripts/measure_crop.py --data path/to/fer2013.csv.xz [--rows 3000] [--out crop.toml]

Every image (48 x 48) is enlarged and framed, so that the detectors, which want background around a face, find what
they can.  Where MTCNN finds a face, its five landmarks are brought back to the 48 x 48 frame; their medians are the
points of the crop, and what is left after the best similarity transform onto them is the scatter that a model meets
behind this detector: training augments over it.  The box maps say where the frame lies relative to a detector's box.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.fer2013 import read_fer2013
from mien.face.align import similarity
from mien.face.detect import Detection, get_detector

SIZE, ZOOM, FRAME = 48, 4, 48  # enlarged four times (the detectors' nets want 48 px and more), a quarter side around it
MIN_FACE = {"mtcnn": 72, "haar": 72}  # the faces fill the images: at least 18 of 48 px

Array = NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="FER2013, in any form that mien reads")
    parser.add_argument("--rows", type=int, default=0, help="so many random rows; default: all of the split Training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the [crop] table; default: standard output")
    options = parser.parse_args()
    images = read_fer2013(options.data, split="Training").images
    total = len(images)
    if options.rows:
        images = images[np.sort(np.random.default_rng(options.seed).permutation(total)[: options.rows])]
    found = {name: run(name, images) for name in ("mtcnn", "haar")}
    text = table(
        found,
        len(images),
        total,
        f"python scripts/measure_crop.py --data {options.data.name} --rows {options.rows} --seed {options.seed}",
    )
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)


def run(name: str, images: Array) -> list[Detection]:
    """Detect in every image; boxes and landmarks in the 48 x 48 frame, the largest first."""
    detector = get_detector(name, min_face_px=MIN_FACE[name])
    results, start = [], time.perf_counter()
    for number, image in enumerate(images):
        big = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
        big = cv2.copyMakeBorder(big, FRAME, FRAME, FRAME, FRAME, cv2.BORDER_REPLICATE)
        results.append(detector.detect(cv2.cvtColor(big, cv2.COLOR_GRAY2RGB)))
        if number % 1000 == 999:
            print(f"{name}: {number + 1} of {len(images)}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return results


def main_boxes(results: list[Detection]) -> tuple[Array, Array | None]:
    """Keep the largest face of each image; return boxes (n, 4) and landmarks (n, 5, 2) in the frame."""
    kept = [result for result in results if len(result)]
    boxes = (np.array([result.boxes[0] for result in kept], float) - FRAME) / ZOOM
    if not kept or kept[0].landmarks is None:
        return boxes, None
    return boxes, (
        np.array([result.landmarks[0] for result in kept if result.landmarks is not None], float) - FRAME
    ) / ZOOM


def symmetric(landmarks: Array) -> Array:
    """Mean of the landmarks and their mirror image: a face turned left is as frequent as one turned right."""
    mirrored = landmarks[[1, 0, 2, 4, 3]] * [-1, 1] + [SIZE, 0]
    mean: Array = (landmarks + mirrored) / 2
    return mean


def spread(values: Array) -> dict[str, float]:
    """Robust and plain deviation: 1.4826 MAD (equal to std for a normal distribution) and std."""
    middle = np.median(values)
    return {"mad": float(1.4826 * np.median(abs(values - middle))), "std": float(values.std())}


def scatter(landmarks: Array, target: Array) -> dict[str, dict[str, float]]:
    """How the frame of FER2013 lies in the aligned crop: log scale, rotation in degrees, shift in parts of the side."""
    middle = np.array([SIZE / 2, SIZE / 2])
    scale, angle, shift = [], [], []
    for face in landmarks:
        matrix, _ = similarity(face, target)
        scale.append(math.log(math.hypot(matrix[0, 0], matrix[1, 0])))
        angle.append(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
        shift.append((matrix[:, :2] @ middle + matrix[:, 2] - middle) / SIZE)
    moved = np.array(shift)
    return {
        "log_scale": spread(np.array(scale)),
        "rotation_deg": spread(np.array(angle)),
        "shift_x": spread(moved[:, 0]),
        "shift_y": spread(moved[:, 1]),
    }


def box_map(boxes: Array) -> dict[str, Any]:
    """Center and side of the 48 x 48 frame in units of the box's side sqrt(width * height), and their scatter."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = np.sqrt(size.prod(axis=1))
    offset = (SIZE / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2) / side[:, None]
    ratio = SIZE / side
    return {
        "center": np.median(offset, axis=0).tolist(),
        "side": float(np.median(ratio)),
        "spread": {
            "log_scale": spread(np.log(ratio)),
            "shift_x": spread(offset[:, 0] / np.median(ratio)),
            "shift_y": spread(offset[:, 1] / np.median(ratio)),
        },
    }


def table(found: dict[str, list[Detection]], rows: int, total: int, command: str) -> str:
    _, landmarks = main_boxes(found["mtcnn"])
    assert landmarks is not None
    target = symmetric(np.median(landmarks, axis=0))
    lines = [
        "[crop]",
        f"size = {SIZE}",
        f"points = [{', '.join(f'[{x:.2f}, {y:.2f}]' for x, y in target)}]",
        f'measured = "median over FER2013 Training, {rows} of {total} rows, enlarged {ZOOM} times and framed; '
        f'scripts/measure_crop.py"',
        f'command = "{command}"',
        f"date = {dt.datetime.now(tz=dt.UTC).date()}",
        "",
        "[crop.spread]",
        *inline(scatter(landmarks, target)),
    ]
    for name, results in found.items():
        result = box_map(main_boxes(results)[0])
        x, y = result["center"]
        lines += [
            "",
            f"[crop.boxes.{name}]",
            f"center = [{x:.4f}, {y:.4f}]",
            f"side = {result['side']:.4f}",
            f"found = {sum(len(one) > 0 for one in results) / rows:.4f}",
            *("spread_" + line for line in inline(result["spread"])),
        ]
    return "\n".join(lines) + "\n"


def inline(values: dict[str, dict[str, float]]) -> list[str]:
    return [f"{key} = {{ mad = {one['mad']:.4f}, std = {one['std']:.4f} }}" for key, one in values.items()]


if __name__ == "__main__":
    main()
