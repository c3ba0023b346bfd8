"""Give a face model a graph in int8 beside its own, named and measured in its record: ``--precision int8``.

    python scripts/quantize_model.py face-base --data fer2013.csv [--labels fer2013new.csv]

The model is a shipped one, a ``model.toml`` or a run folder.  Ranges are taken from rows of FER2013's Training alone;
the accuracy is measured on PublicTest by every engine that is here, against the float32 graph.  Nothing is written
where int8 loses more than ``--most`` points.  To be run again whenever the graph itself is new.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mien
from mien.data import Samples
from mien.data.fer2013 import add_votes, read_fer2013
from mien.errors import MissingExtraError
from mien.evaluate import evaluate
from mien.face.align import fit_crop
from mien.models import ModelSpec, registry, runtime, store
from mien.models.runtime import INT8
from mien.train.quantize import quantize

ROLE = f"graph{INT8}"
ROWS, SEED, MOST = 1024, 1, 0.3


def chosen(images: Samples, count: int, seed: int, side: int) -> NDArray[np.uint8]:
    """Return some rows of Training as the graph takes them, uint8 (count, side, side, 3)."""
    rows = images.split("Training")
    where = np.sort(np.random.default_rng(seed).permutation(len(rows.labels))[:count])
    return np.stack([fit_crop(rows.images[row], side) for row in where])


def add_graph(spec: ModelSpec, content: bytes) -> ModelSpec:
    """Write an int8 graph beside a model's own and name it in the record."""
    path = spec.path.with_name(f"{Path(spec.file().file).stem}{INT8}.onnx")
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    record = tomllib.loads(spec.path.read_text("utf-8"))  # as it stands, so that the rest keeps its order
    record["files"] = [
        *(file for file in record["files"] if file["role"] != ROLE),
        {"role": ROLE, "file": path.name, "sha256": digest, "bytes": len(content)},
    ]
    return store.write_record(record, spec.path)


def measure(spec: ModelSpec, content: bytes, cases: list[Samples]) -> dict[str, dict[str, float]]:
    """Return the accuracy by engine and precision, in points, by data set, with the int8 graph in a copy."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (spec.path.name, *(file.file for file in spec.files)):
            shutil.copyfile(spec.path.with_name(name), Path(folder) / name)
        return _measure(add_graph(registry.get(Path(folder) / spec.path.name), content), cases)


def _measure(trial: ModelSpec, cases: list[Samples]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for engine, precision in (("onnxruntime", "float32"), *((engine, "int8") for engine in runtime.ENGINES)):
        try:
            analyzer = mien.FaceAnalyzer(trial, detector="haar", engine=engine, precision=precision)
        except MissingExtraError as error:
            print(f"left out: {error}")
            continue
        results = {data.name: evaluate(analyzer, data) for data in cases}
        found[f"{engine} {precision}"] = {name: round(100 * result.accuracy, 2) for name, result in results.items()}
        told = ", ".join(f"{r.dataset} {r.output} {100 * r.accuracy:.2f} %" for r in results.values())
        print(f"{engine:12} {precision:8} {told}")
    return found


def worst(found: dict[str, dict[str, float]]) -> float:
    """Return by how many points int8 is behind at most."""
    first, *others = found.values()
    return max(first[name] - row[name] for row in others for name in row)


def card(found: dict[str, dict[str, float]], rows: int, seed: int) -> dict[str, Any]:
    """Return what a record's card says of int8."""
    return {
        "ranges": f"from {rows} rows of FER2013 Training, seed {seed}; scripts/quantize_model.py",
        "percent_on_PublicTest": {key.replace(" ", "_"): row for key, row in found.items()},
    }


def note(spec: ModelSpec, told: dict[str, Any]) -> ModelSpec:
    """Write into the record's card what int8 was measured to do."""
    record: dict[str, Any] = tomllib.loads(spec.path.read_text("utf-8"))
    record.setdefault("card", {})["int8"] = told
    return store.write_record(record, spec.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--most", type=float, default=MOST, metavar="POINTS")
    options = parser.parse_args()

    spec = registry.get(options.model)
    assert spec.input is not None
    images = read_fer2013(options.data)
    crops = chosen(images, options.rows, options.seed, spec.input.size)
    content = quantize(store.read_weights(spec), crops)
    tested = images.split("PublicTest")
    cases = [tested, add_votes(tested, options.labels, protocol="majority")]
    found = measure(spec, content, cases)
    if worst(found) > options.most:
        raise SystemExit(f"int8 loses {worst(found):.2f} points, more than {options.most:g}: nothing is written")
    spec = add_graph(spec, content)
    spec = note(spec, card(found, options.rows, options.seed))
    store.verify(spec)
    entry = spec.file(ROLE)
    print(f"wrote {entry.file} ({entry.bytes / 1e6:.2f} MB) and {spec.path.name}; LICENSES.md must name both")


if __name__ == "__main__":
    main()
