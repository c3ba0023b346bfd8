"""Print what face models are worth on several kinds of images, as one table, in percent.

    python scripts/compare_domains.py face-base runs/face-domains --fer2013 DIR --photographs DIR --baum2 DIR

PublicTest: accuracy by FER2013's label (fer7) and by FER+'s majority.  Photographs: accuracy and UAR of six emotions
on the half of the people that no recipe trains on, from the photograph to the answer, by each output and by both (the
geometric mean of their calibrated probabilities).  BAUM-2: accuracy by clip, the probabilities of its frames averaged.
Models are chosen by the mean of all columns.

``--calibration`` prints, instead, for every output the temperature that fits each domain, the calibration error above
its floor on a domain under the temperature that fits the others, and the accuracy of the most confident answers;
``--adaptation`` prints accuracy and UAR on one half of the people after `mien adapt` to the other half, without labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mien
from mien import metrics
from mien.data import Samples, load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.evaluate import Predictions, predict, softmax
from mien.evaluate.calibration import fit_shared_temperature
from mien.evaluate.runs import find_model
from mien.face.adapt import PRIOR_FACES, adapt

COLUMNS = (
    *("PublicTest fer7", "majority", "photographs fer7", "UAR", "ferplus8", "UAR", "both", "UAR"),
    *("BAUM-2", "mean"),
)


COVERAGE = (1.0, 0.8, 0.6, 0.4)
STRENGTHS = (0.0, 0.25, 0.5, 1.0)
REPEATS = 20


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


def calibration(analyzer: mien.FaceAnalyzer, domains: dict[str, Samples]) -> Iterator[list[str]]:
    """Yield rows: how calibration travels to each domain from the others, by output."""
    yield [
        "output",
        "left out",
        "T of the others",
        "its own T",
        "ECE above floor",
        "confidence",
        *map(_percent, COVERAGE),
    ]
    for output in analyzer.spec.outputs:
        found = {name: predict(analyzer, data, labels_as=output.name) for name, data in domains.items()}
        pairs = {name: (p.logits, p.truth) for name, p in found.items()}
        for name, (logits, truth) in pairs.items():
            others = fit_shared_temperature([pair for other, pair in pairs.items() if other != name])
            own = fit_shared_temperature([(logits, truth)])
            p = softmax(logits, temperature=others)
            error = max(metrics.ece(p, truth) - metrics.ece_floor(p), 0.0)
            order = np.argsort(-p.max(axis=1), kind="stable")
            right = (p.argmax(axis=1) == truth)[order]
            curve = [_percent(right[: round(share * len(right))].mean()) for share in COVERAGE]
            yield [
                output.name,
                name,
                f"{others:.3f}",
                f"{own:.3f}",
                f"{error:.3f}",
                _percent(p.max(axis=1).mean()),
                *curve,
            ]
        yield [output.name, "none", f"{fit_shared_temperature(list(pairs.values())):.3f}", *[""] * (3 + len(COVERAGE))]


def adaptation(analyzer: mien.FaceAnalyzer, domains: dict[str, Samples]) -> Iterator[list[str]]:
    """Yield rows: accuracy / UAR on people left out, adapted to the others of the domain, by strength."""
    name = "both" if "both" in [output.name for output in analyzer.spec.outputs] else analyzer.output.name
    yield ["domain", "adapted to", *(f"strength {strength:g}" for strength in STRENGTHS)]
    for domain, data in domains.items():
        found = predict(analyzer, data, labels_as=name)
        have = np.unique(found.truth)
        emotions = [found.label_set.emotions[k] for k in have]
        cases: dict[str, tuple[int | None, int | None]] = {"the other half of the people": (None, None)}
        cases[f"{PRIOR_FACES} faces of them"] = (None, PRIOR_FACES)
        cases |= {f"their {e} only": (int(have[emotions.index(e)]), None) for e in ("happiness", "neutral")}
        for case, (emotion, most) in cases.items():
            cells = [adapted_scores(analyzer, found, strength, emotion, most) for strength in STRENGTHS]
            yield [domain, case, *(f"{100 * a:.1f} / {100 * u:.1f}" for a, u in cells)]


def adapted_scores(
    analyzer: mien.FaceAnalyzer, found: Predictions, strength: float, emotion: int | None, most: int | None
) -> tuple[float, float]:
    """Return accuracy and UAR on half of the people after adaptation to faces of the others, means of 20 halvings."""
    generator = np.random.default_rng(0)
    output = analyzer.spec.output(found.output)
    spec = replace(analyzer.spec, outputs=(output,))
    names = found.label_set.emotions
    columns = [names.index(e) if e in names else -1 for e in output.labels]
    people = found.samples.groups()
    scores = []
    for _ in range(REPEATS):
        half = generator.permutation(people.max() + 1)[: (people.max() + 1) // 2]
        ours = np.isin(people, half)
        rows = np.flatnonzero(ours if emotion is None else ours & (found.truth == emotion))
        rows = generator.permutation(rows)[:most]
        shares = np.where(np.array(columns) >= 0, found.probabilities[rows][:, columns], 1e-6)
        bias = np.array(adapt(spec, {output.name: shares}, strength=strength).outputs[0].bias)
        own = np.zeros(len(names))
        own[[k for k in columns if k >= 0]] = bias[np.array(columns) >= 0]
        classes, truth = (found.logits - own)[~ours].argmax(axis=1), found.truth[~ours]
        scores.append((metrics.accuracy(truth, classes), metrics.uar(truth, classes)))
    accuracy, uar = np.mean(scores, axis=0)
    return float(accuracy), float(uar)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def score(samples: Samples, probabilities: NDArray[np.float64]) -> float:
    """Return the accuracy of probabilities, float (n, classes)."""
    return metrics.accuracy(samples.labels, probabilities.argmax(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    for name in ("fer2013", "photographs", "baum2"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--calibration", action="store_true")
    parser.add_argument("--adaptation", action="store_true")
    options = parser.parse_args()
    faces = read_fer2013(options.fer2013).split("PublicTest")
    frames = load_images("baum2_frames", options.baum2)
    photographs: dict[int, Samples] = {}
    further = [work for work in (calibration, adaptation) if getattr(options, work.__name__)]
    if not further:
        print(f"| model | {' | '.join(COLUMNS)} |")
        print("|---" * (1 + len(COLUMNS)) + "|")
    for name in options.models:
        analyzer = mien.FaceAnalyzer(find_model(name))
        if analyzer.size not in photographs:
            read = load_images("photographs", options.photographs, split="validation", size=analyzer.size)
            photographs[analyzer.size] = read.labeled()
        for work in further:
            domains = {"photographs": photographs[analyzer.size], "BAUM-2": frames}
            if work is calibration:
                votes = add_votes(faces, None, protocol="majority")
                domains = {"PublicTest": faces, "PublicTest, FER+ majority": votes, **domains}
            for number, row in enumerate(work(analyzer, domains)):
                print(f"| {' | '.join(row)} |", flush=True)
                if number == 0:
                    print("|---" * len(row) + "|")
        if further:
            continue
        cells = percents(analyzer, faces, photographs[analyzer.size], frames)
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in cells)} |", flush=True)


if __name__ == "__main__":
    main()
