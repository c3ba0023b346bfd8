"""Write the table of nets in docs/networks.md from finished runs: ``python scripts/nets_table.py runs/mlp runs/cnn``.

Accuracy with its interval, parameters, multiply-adds and size come from the record of each run, training time from its
history; the time of a face is measured here: 32 crops in one call, one thread, the median of 30 calls.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np

from mien.models import registry, runtime
from mien.models.spec import ModelSpec

PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
BEGIN, END = "<!-- nets -->", "<!-- end -->"
COLUMNS = (
    "net",
    "parameters",
    "multiply-adds",
    "ONNX",
    "FER2013, 7 classes",
    "FER+ majority, 8 classes",
    "ms a face",
    "epochs",
    "training",
)
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def row(folder: Path) -> str:
    spec = registry.get(folder)
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    minutes = sum(float(entry["seconds"]) for entry in history) / 60
    training = spec.training
    cells = [
        f"`{training['net']}`" + (f" ({spec.name})" if spec.name.replace("-", "_") != training["net"] else ""),
        f"{training['parameters']:,}",
        f"{training['multiply_adds'] / 1e6:.1f} M",
        f"{spec.file('graph').bytes / 1e6:.1f} MB",
        accuracy(spec, "fer7"),
        accuracy(spec, "ferplus8"),
        f"{milliseconds(spec):.2f}",
        str(len(history)),
        f"{minutes:.0f} min" if minutes >= 1.5 else f"{60 * minutes:.0f} s",
    ]
    return f"| {' | '.join(cells)} |"


def accuracy(spec: ModelSpec, output: str) -> str:
    found = [r for r in spec.results if r.output == output and r.metric == "accuracy"]
    if not found:
        return ""
    result = found[0]
    return f"{100 * result.value:.1f} % [{100 * result.low:.1f}, {100 * result.high:.1f}]"


def milliseconds(spec: ModelSpec, faces: int = 32, calls: int = 30) -> float:
    session = runtime.load(spec, threads=1)
    size = spec.input.size
    crops = np.random.default_rng(0).integers(0, 256, (faces, size, size, 3), dtype=np.uint8)
    times = []
    for _ in range(calls + 3):
        begin = time.perf_counter()
        session.run({"crops": crops})
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times[3:]) / faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help=f"put it into {PAGE.name} instead of printing it")
    arguments = parser.parse_args()
    table = "\n".join([HEADER, *(row(folder) for folder in arguments.runs)])
    if not arguments.write:
        print(table)
        return
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
