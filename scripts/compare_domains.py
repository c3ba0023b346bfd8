"""Print what face models are worth on several kinds of images, as one table, in percent.

    python scripts/compare_domains.py face-base runs/face-domains --fer2013 DIR --photographs DIR --baum2 DIR

PublicTest: accuracy by FER2013's label (fer7) and by FER+'s majority.  Photographs: accuracy and UAR of six emotions
on the half of the people that no recipe trains on, from the photograph to the answer, by each output and by both (the
geometric mean of their calibrated probabilities).  BAUM-2: accuracy by clip, the probabilities of its frames averaged.
Models are chosen by the mean of all columns.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mien
from mien import metrics
from mien.data import Samples, load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.evaluate import predict
from mien.evaluate.runs import find_model

COLUMNS = (
    *("PublicTest fer7", "majority", "photographs fer7", "UAR", "ferplus8", "UAR", "both", "UAR"),
    *("BAUM-2", "mean"),
)


def percents(analyzer: mien.FaceAnalyzer, faces: Samples, photographs: Samples, frames: Samples) -> list[float]:
    """Return the figures of a model in the order of `COLUMNS`."""
    found = [score(faces, predict(analyzer, faces, labels_as="fer7").probabilities)]
    votes = add_votes(faces, None, protocol="majority")
    voted = predict(analyzer, votes, labels_as="ferplus8")
    found.append(metrics.accuracy(voted.truth, voted.classes))
    outputs = {name: predict(analyzer, photographs, labels_as=name).probabilities for name in ("fer7", "ferplus8")}
    outputs["both"] = np.sqrt(outputs["fer7"] * outputs["ferplus8"])
    for probabilities in outputs.values():
        found += [score(photographs, probabilities), metrics.uar(photographs.labels, probabilities.argmax(1))]
    clips = predict(analyzer, frames, labels_as="fer7")
    names, first, owner = np.unique(clips.samples.clips, return_index=True, return_inverse=True)
    sums = np.zeros((len(names), clips.probabilities.shape[1]))
    np.add.at(sums, owner, clips.probabilities)
    found.append(metrics.accuracy(clips.truth[first], sums.argmax(1)))
    return [100 * value for value in (*found, float(np.mean(found)))]


def score(samples: Samples, probabilities: NDArray[np.float64]) -> float:
    """Return the accuracy of probabilities, float (n, classes)."""
    return metrics.accuracy(samples.labels, probabilities.argmax(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    for name in ("fer2013", "photographs", "baum2"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    faces = read_fer2013(options.fer2013).split("PublicTest")
    frames = load_images("baum2_frames", options.baum2)
    photographs: dict[int, Samples] = {}
    print(f"| model | {' | '.join(COLUMNS)} |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for name in options.models:
        analyzer = mien.FaceAnalyzer(find_model(name))
        if analyzer.size not in photographs:
            read = load_images("photographs", options.photographs, split="validation", size=analyzer.size)
            photographs[analyzer.size] = read.labeled()
        cells = percents(analyzer, faces, photographs[analyzer.size], frames)
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in cells)} |", flush=True)


if __name__ == "__main__":
    main()
