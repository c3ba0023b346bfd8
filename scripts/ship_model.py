"""Make the trained model of a run the shipped one: graph, record with measured results and card, into the weights.

    python scripts/ship_model.py runs/face-base --data fer2013.csv [--labels fer2013new.csv] [--photographs DIR]
    python scripts/ship_model.py runs/face-small --int8 --card scripts/face-small-card.toml --data fer2013.csv

Every figure of the record is measured here, through the exported graph, by what ``mien evaluate`` runs; nothing is
copied by hand.  Only splits that the data holds are measured.  With ``--int8`` the graph in eight bits is shipped and
measured alone; without, ``scripts/quantize_model.py`` adds one.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from add_heads import add_heads
from quantize_model import MOST, ROLE, ROWS, SEED, card, chosen, measure, worst

import mien
from mien.data import Samples, load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.evaluate import Evaluation, evaluate
from mien.models import ModelSpec, registry, store
from mien.train.quantize import quantize

HARD = ("majority", "plurality")
"""Protocols of FER+ by which a record is measured: the others give each image the label of plurality, too."""

WEIGHTS = Path(mien.__file__).resolve().parent / "weights"


def figures(result: Evaluation, command: str) -> list[dict[str, Any]]:
    """Return the rows of the record's table for one evaluation."""
    common = {
        "dataset": result.dataset,
        "split": result.split,
        "protocol": result.protocol,
        "output": result.output,
        "n": result.n,
        "date": dt.datetime.now(dt.UTC).date(),
        "command": command,
    }
    rows = []
    for metric in ("accuracy", "uar", "accuracy_overlap_free"):
        value = getattr(result, metric)
        if value is not None:
            segment = result.intervals[metric]
            rows.append(
                {
                    **common,
                    "metric": metric,
                    "value": round(value, 4),
                    "low": round(segment.low, 4),
                    "high": round(segment.high, 4),
                }
            )
    for metric in ("ece_cross_fitted_above_floor", "brier", "nll"):
        value = getattr(result, metric)
        if value is not None:
            rows.append({**common, "metric": metric, "value": round(value, 4)})
    return rows


def by_class(result: Evaluation) -> dict[str, float]:
    """Return the recall of each class."""
    return {row.label: round(row.recall, 3) for row in result.per_class if row.recall is not None}


def files(path: Path, *roles: str) -> list[dict[str, Any]]:
    """Return a record's entries of one file in these roles."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return [{"role": role, "file": path.name, "sha256": digest, "bytes": len(content)} for role in roles]


def in_eight_bits(
    spec: ModelSpec, images: Samples, cases: list[Samples], folder: Path
) -> tuple[ModelSpec, dict[str, Any]]:
    """Return a copy of the model in a folder with its graph in eight bits, and what is told of it."""
    assert spec.input is not None
    content = quantize(store.read_weights(spec), chosen(images, ROWS, SEED, spec.input.size))
    found = measure(spec, content, cases)
    if worst(found) > MOST:
        raise SystemExit(f"int8 loses {worst(found):.2f} points, more than {MOST:g}: nothing is written")
    path = folder / spec.file().file
    path.write_bytes(content)
    record = tomllib.loads(spec.path.read_text("utf-8"))
    record["files"] = files(path, "graph", ROLE)
    return store.write_record(record, folder / spec.path.name), card(found, ROWS, SEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--int8", action="store_true", help="ship the graph in eight bits, and no other")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--photographs", type=Path, help="measure on the photographs of people not trained on, too")
    parser.add_argument("--card", type=Path, default=Path(__file__).with_name("face-base-card.toml"))
    options = parser.parse_args()

    spec = registry.get(options.run)
    images = read_fer2013(options.data)
    training, tested = images.split("Training"), images.split("PublicTest")
    cases: list[tuple[Samples, str]] = [
        (tested, ""),
        *((add_votes(tested, options.labels, protocol=p), f" --protocol {p}") for p in HARD),
    ]
    if options.photographs:
        assert spec.input is not None
        read = load_images("photographs", options.photographs, split="validation", size=spec.input.size)
        cases += [(read, f" --labels-as {output.name}") for output in spec.outputs]
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.int8:
            majority = [data for data, extra in cases if not extra or extra.endswith("majority")]
            spec, told["int8"] = in_eight_bits(spec, images, majority, Path(folder))
        ship(spec, cases, training, tomllib.loads(options.card.read_text("utf-8")) | told, str(options.run))


def ship(
    spec: ModelSpec, cases: list[tuple[Samples, str]], training: Samples, about: dict[str, Any], source: str
) -> None:
    """Measure a model and write its graph, heads and record."""
    analyzer = mien.FaceAnalyzer(spec, threads=2)
    record = spec.to_dict()
    record["results"] = []
    record["card"] = about
    for data, extra in cases:
        _, _, output = extra.partition("--labels-as ")
        result = evaluate(analyzer, data, training=None if output else training, labels_as=output or None)
        path = "photographs/" if output else "fer2013.csv"
        command = f"mien evaluate {spec.name} {result.dataset} --data {path} --split {result.split}{extra}"
        record["results"] += figures(result, command)
        if not extra or extra.endswith("majority"):
            record["card"][f"recall_by_class_{result.dataset}"] = by_class(result)
        print(
            f"{result.dataset} {result.protocol} {result.output}: accuracy {result.accuracy:.4f}, UAR {result.uar:.4f}"
        )

    graph = WEIGHTS / f"{spec.name}.onnx"
    shutil.copyfile(spec.path.parent / spec.file().file, graph)
    record["files"] = files(graph, "graph", *([ROLE] if "int8" in about else []))
    shipped = store.write_record(record, WEIGHTS / f"{spec.name}.toml")
    shipped = add_heads(shipped, source) or shipped
    store.verify(shipped)
    size = graph.stat().st_size / 1e6
    print(f"wrote {graph.name} ({size:.1f} MB) and {shipped.path.name}; LICENSES.md must name both")


if __name__ == "__main__":
    main()
