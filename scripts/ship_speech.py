"""Make a speech model that was trained after its folds the shipped one: graph, record with the folds' figures and card.

    python scripts/ship_speech.py runs/speech-base --folds runs/speech-folds

The figures are those that ``mien train --folds`` measured and ``mien train --after`` wrote into the run's record;
nothing is copied by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tomllib
from pathlib import Path

import mien
from mien.models import registry, store

WEIGHTS = Path(mien.__file__).resolve().parent / "weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--card", type=Path, default=Path(__file__).with_name("speech-base-card.toml"))
    options = parser.parse_args()

    spec = registry.get(options.run)
    k = json.loads((options.folds / "folds.json").read_text("utf-8"))["k"]
    figures = json.loads((options.folds / f"subject-{k}" / "out-of-fold.json").read_text("utf-8"))
    record = spec.to_dict()
    card = tomllib.loads(options.card.read_text("utf-8"))
    for part in ("by_sex", "by_intensity"):
        card[f"uar_{part}"] = {name: round(values["uar"], 3) for name, values in figures[part].items()}
    card[f"recall_by_class_{figures['dataset']}"] = {
        row["label"]: round(row["recall"], 3) for row in figures["per_class"] if row["recall"] is not None
    }
    card["uar_in_noise"] = {
        row["kind"] if row["ratio_db"] is None else f"{row['kind']}_{row['ratio_db']:g}_db": round(row["uar"], 3)
        for row in figures["noise"]
    }
    record["card"] = card

    graph = WEIGHTS / f"{spec.name}.onnx"
    shutil.copyfile(spec.path.parent / spec.file().file, graph)
    content = graph.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    record["files"] = [{"role": "graph", "file": graph.name, "sha256": digest, "bytes": len(content)}]
    shipped = store.write_record(record, WEIGHTS / f"{spec.name}.toml")
    store.verify(shipped)
    print(f"wrote {graph.name} ({len(content) / 1e6:.1f} MB) and {shipped.path.name}; LICENSES.md must name both")


if __name__ == "__main__":
    main()
