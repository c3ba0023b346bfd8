"""Identity switches, fragments, recall, ghosts and time of the face tracker on videos with planted faces.

    python benchmarks/tracking.py [--detector mtcnn] [--rate 30] [--rate 5] [--wandering 12] [--gray] [--json]

The videos are made on the spot (``tests/planted_faces.py``): the standard set, and people who walk about at random, so
many of whom cover each other that nobody could keep all of them.  What is counted: see ``tests/tracking_scores.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mien.face.detect import DETECTORS, Detector, get_detector
from mien.face.track import FaceTracker
from planted_faces import STANDARD, wandering
from tracking_scores import Score, measure, total


def costs(detector: Detector) -> dict[str, float]:
    """Return the milliseconds of a frame of 1280 x 720 with one face: the best of 60, searched and followed."""
    times: dict[bool, list[float]] = {True: [], False: []}
    video = STANDARD[0]
    tracker = FaceTracker(detector)
    shots = [video.shot(index / 30, zoom=1280 / 480) for index in range(31)]
    for turn in range(2):
        for shot in shots:
            before, start = tracker.searches, time.perf_counter()
            tracker.update(shot.image, shot.time_s + 1.1 * turn)
            times[tracker.searches > before].append((time.perf_counter() - start) * 1e3)
    return {"search_ms": round(min(times[True]), 2), "follow_ms": round(min(times[False]), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="mtcnn", choices=DETECTORS)
    parser.add_argument("--rate", type=int, action="append", help="frames a second; default: 30 and 5")
    parser.add_argument("--wandering", type=int, default=12, help="how many videos of people walking about")
    parser.add_argument("--gray", action="store_true", help="take the color away")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector = get_detector(options.detector, threads=1)
    scores = []
    for rate in options.rate or (30, 5):
        scores += [measure(video, detector, rate, gray=options.gray) for video in STANDARD]
        walks = [wandering(seed, people=2 + seed % 5) for seed in range(options.wandering)]
        many = [measure(video, detector, rate, gray=options.gray) for video in walks]
        scores += [total("all above", rate, [one for one in scores if one.rate == rate])]
        scores += [total(f"{len(many)} x wandering", rate, many)] if many else []
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    cost = costs(detector)
    if options.json:
        rows = [{**asdict(one), "recall": one.recall, "ms": float(np.mean(one.ms))} for one in scores]
        print(json.dumps({"machine": machine, "detector": options.detector, **cost, "videos": rows}, indent=2))
    else:
        print(f"{machine}; Python {platform.python_version()}; {options.detector}, one thread")
        print("\n".join(lines(scores)))
        print(f"1280x720, one face: searched {cost['search_ms']} ms, followed {cost['follow_ms']} ms")


def lines(scores: list[Score]) -> list[str]:
    head = f"{'video':24} {'rate':>4} {'recall':>7} {'switches':>9} {'fragments':>9} {'ghosts':>7} {'cuts missed':>11}"
    rows = [f"{head} {'false':>6} {'searches':>9} {'frames':>7} {'ms/frame':>9}"]
    rows += [
        f"{one.video:24} {one.rate:4} {one.recall:7.3f} {one.switches:9} {one.fragments:9} {one.ghosts:7} "
        f"{one.cuts_missed:11} {one.cuts_false:6} {one.searches:9} {one.frames:7} {np.mean(one.ms):9.2f}"
        for one in scores
    ]
    return rows


if __name__ == "__main__":
    main()
