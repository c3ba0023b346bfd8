"""Print what face models predict together: the accuracy on PublicTest of every combination's averaged probabilities.

    python scripts/average_models.py face-base runs/face-teacher runs/vgg16 --data fer2013.csv [--labels fer2013new.csv]

Tells whether several nets would make a better teacher, or better predictions, than the best of them.  Probabilities are
those at temperature 1; FER+ by the majority protocol.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mien
from mien import metrics
from mien.data import Samples
from mien.data.fer2013 import add_votes, read_fer2013
from mien.evaluate import predict, softmax
from mien.evaluate.runs import find_model


def combinations(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every choice of one or more names, the small ones first."""
    return [some for count in range(1, len(names) + 1) for some in itertools.combinations(names, count)]


def averaged(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
    """Return the most likely class int64 (n,) of the mean of probabilities (n, k)."""
    return np.asarray(np.mean(parts, axis=0).argmax(axis=1), np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--flip", action="store_true", help="average each image with its mirror image, too")
    options = parser.parse_args()

    tested = read_fer2013(options.data).split("PublicTest")
    cases: list[Samples] = [tested, add_votes(tested, options.labels, protocol="majority")]
    found: dict[str, list[NDArray[np.float64]]] = {}
    truth: list[NDArray[np.int64]] = []
    for name in options.models:
        analyzer = mien.FaceAnalyzer(find_model(name), detector="haar")
        predictions = [predict(analyzer, data, flip=options.flip) for data in cases]
        found[name] = [softmax(one.logits) for one in predictions]
        truth = [one.truth for one in predictions]
    for some in combinations(options.models):
        rights = [
            metrics.accuracy(labels, averaged([found[name][case] for name in some]))
            for case, labels in enumerate(truth)
        ]
        print("  ".join(f"{100 * right:6.2f} %" for right in rights), " + ".join(some))


if __name__ == "__main__":
    main()
