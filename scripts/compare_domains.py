"""Print what face models are worth on several kinds of images, as one table, in percent.

    python scripts/compare_domains.py face-base runs/face-domains --fer2013 DIR --photographs DIR --baum2 DIR

PublicTest: accuracy by FER2013's label (fer7) and by FER+'s majority.  Photographs: accuracy and UAR of six emotions
on the half of the people that no recipe trains on, from the photograph to the answer, by each output and by both (the
geometric mean of their calibrated probabilities).  BAUM-2: accuracy by clip, the probabilities of its frames averaged.
Models are chosen by the mean of all columns.

``--calibration`` prints, instead, for every output the temperature that fits each domain, the calibration error above
its floor on a domain under the temperature that fits the others, UAR, and the accuracy of the most confident answers;
``--adaptation`` prints accuracy and UAR on one half of the people after `mien adapt` to the other half, without labels;
``--baseline`` those of people with a neutral clip or photograph, on their others, with that one as baseline: of the
faces as they are, and with all faces changed by a warp, as if theirs were so at rest.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import mien
from mien import metrics
from mien.data import Samples, load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.evaluate import Predictions, predict, softmax
from mien.evaluate.calibration import fit_shared_temperature
from mien.evaluate.runs import find_model
from mien.face.adapt import PRIOR_FACES, adapt, baseline_bias, subtract_bias

COLUMNS = (
    *("PublicTest fer7", "majority", "photographs fer7", "UAR", "ferplus8", "UAR", "both", "UAR"),
    *("BAUM-2", "mean"),
)


COVERAGE = (1.0, 0.8, 0.6, 0.4)
STRENGTHS = (0.0, 0.25, 0.5, 1.0)
RESTING_STRENGTHS = (0.0, 0.1, 0.25, 0.5, 1.0)
REPEATS = 20
MOUTH, BROWS = ((16.6, 37.7), (31.4, 37.7)), ((20.0, 13.0), (28.0, 13.0))
CHANGES: dict[str, Any] = {
    "none": None,
    "mouth corners 3 px lower": (MOUTH, 3.0),
    "mouth corners 3 px higher": (MOUTH, -3.0),
    "brows 3 px lower": (BROWS, 3.0),
    "brows 3 px higher": (BROWS, -3.0),
}
"""Where crops of 48 px are moved and how far down, in pixels: what the face of a person may look like at rest."""

SPREAD_PX = 4.0
"""Standard deviation of the movement around each of these points."""


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
        "UAR",
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
                _percent(metrics.uar(truth, p.argmax(axis=1))),
                *curve,
            ]
        yield [output.name, "none", f"{fit_shared_temperature(list(pairs.values())):.3f}", *[""] * (4 + len(COVERAGE))]


def adaptation(analyzer: mien.FaceAnalyzer, domains: dict[str, Samples]) -> Iterator[list[str]]:
    """Yield rows: accuracy / UAR on people left out, adapted to the others of the domain, by strength."""
    name = analyzer.output.name
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


def baseline(analyzer: mien.FaceAnalyzer, domains: dict[str, Samples]) -> Iterator[list[str]]:
    """Yield rows: accuracy / UAR of people with one of their neutral clips or photographs as baseline, by strength."""
    yield [
        "domain",
        "faces changed by",
        "people",
        "tests",
        *(f"strength {s:g}" for s in RESTING_STRENGTHS),
        "chosen on others",
    ]
    for domain in ("photographs", "BAUM-2"):
        for change, moved in CHANGES.items():
            data = domains[domain]
            own = data if moved is None else replace(data, pixels=warp(data.images, *moved))
            found = predict(analyzer, own, labels_as=analyzer.output.name)
            tests = {strength: baseline_tests(found, strength) for strength in RESTING_STRENGTHS}
            people = tests[0.0][:, 0]
            chosen = np.zeros_like(tests[0.0])
            for person in np.unique(people):
                others = {strength: weighted_scores(rows[people != person])[0] for strength, rows in tests.items()}
                chosen[people == person] = tests[max(others, key=others.__getitem__)][people == person]
            cells = [f"{100 * a:.1f} / {100 * u:.1f}" for a, u in map(weighted_scores, [*tests.values(), chosen])]
            yield [domain, change, str(len(np.unique(people))), f"{chosen[:, 3].sum():.0f}", *cells]
    logs = []
    for domain in ("PublicTest, FER+ majority", "photographs"):
        data, output = domains[domain], analyzer.output
        neutral = data.images[data.labels == data.label_set.index("neutral")]
        logs.append(np.log(softmax(analyzer.logits(neutral)[output.name], temperature=output.temperature)).mean(axis=0))
    typical = softmax(np.mean(logs, axis=0)[None])[0]
    faces = ", ".join(f"{e} {share:.3f}" for e, share in zip(output.labels, typical, strict=True))
    yield ["typical neutral face", faces, *[""] * (3 + len(RESTING_STRENGTHS))]


def warp(images: NDArray[np.uint8], points: tuple[tuple[float, float], ...], down_px: float) -> NDArray[np.uint8]:
    """Return crops, uint8 (n, 48, 48), moved down around some points."""
    y, x = np.mgrid[: images.shape[1], : images.shape[2]].astype(np.float32)
    near = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * SPREAD_PX**2)) for a, b in points)
    rows = (y - np.float32(down_px) * near).astype(np.float32)
    return np.stack([cv2.remap(i, x, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for i in images])


def baseline_tests(found: Predictions, strength: float) -> NDArray[np.float64]:
    """Return person, truth, class and weight of every clip but the baseline, for each baseline of its person."""
    data, p = found.samples, found.probabilities
    neutral = found.label_set.index("neutral")
    names = np.where(data.clips == "", data.files, data.clips)
    people = data.groups()
    tests = []
    for person in np.unique(people):
        clips = [np.flatnonzero((names == name) & (people == person)) for name in np.unique(names[people == person])]
        resting = [rows for rows in clips if found.truth[rows[0]] == neutral]
        for rest in resting if len(clips) > 1 else ():
            bias = baseline_bias(p[rest], found.label_set, strength=strength)
            for rows in clips:
                if rows is not rest:
                    top = subtract_bias(p[rows], bias).mean(axis=0).argmax()
                    tests.append((person, found.truth[rows[0]], top, 1 / len(resting)))
    return np.array(tests, np.float64)


def weighted_scores(tests: NDArray[np.float64]) -> tuple[float, float]:
    """Return accuracy and UAR of what `baseline_tests` returned, or some of it."""
    truth, weight = tests[:, 1], tests[:, 3]
    right = (truth == tests[:, 2]) * weight
    recalls = [right[truth == k].sum() / weight[truth == k].sum() for k in np.unique(truth)]
    return float(right.sum() / weight.sum()), float(np.mean(recalls))


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
    parser.add_argument("--baseline", action="store_true")
    options = parser.parse_args()
    faces = read_fer2013(options.fer2013).split("PublicTest")
    frames = load_images("baum2_frames", options.baum2)
    photographs: dict[int, Samples] = {}
    further = [work for work in (calibration, adaptation, baseline) if getattr(options, work.__name__)]
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
            if work is not adaptation:
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
