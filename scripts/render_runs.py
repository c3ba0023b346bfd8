"""Write tables of the docs from finished runs.

    python scripts/render_runs.py nets runs/mlp runs/cnn ...      into docs/training/networks.md
    python scripts/render_runs.py leaks runs/leaks                into docs/training/leaks.md
    python scripts/render_runs.py voices runs/mel-cnn             the same, for speech

Nets: accuracy with its interval, parameters, multiply-adds and size come from the record of each run, training time
from its history; the time of a face is measured here: 32 crops in one call, one thread, the median of 30 calls.
Leaks and voices: the table of ``folds.json``.  ``--print`` prints the table instead.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from pathlib import Path

import numpy as np

from mien.models import registry, runtime
from mien.models.spec import ModelSpec

DOCS = Path(__file__).resolve().parents[1] / "docs" / "training"
PAGES = {"nets": DOCS / "networks.md", "leaks": DOCS / "leaks.md", "voices": DOCS / "leaks.md"}
END = "<!-- end -->"
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
    value, low, high = found[0].value, found[0].low, found[0].high
    assert low is not None
    assert high is not None
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def milliseconds(spec: ModelSpec, faces: int = 32, calls: int = 30) -> float:
    session = runtime.load(spec, threads=1)
    assert spec.input is not None
    size = spec.input.size
    crops = np.random.default_rng(0).integers(0, 256, (faces, size, size, 3), dtype=np.uint8)
    times = []
    for _ in range(calls + 3):
        begin = time.perf_counter()
        session.run({"crops": crops})
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times[3:]) / faces


def nets(folders: list[Path]) -> str:
    return "\n".join([HEADER, *(row(folder) for folder in folders)])


def leaks(folders: list[Path]) -> str:
    (folder,) = folders
    results = json.loads((folder / "folds.json").read_text("utf-8"))["results"]
    honest = next(r for r in results if r["way"] == "subject")
    lines = ["| split | rows tested | accuracy | UAR | more than honest |", "|---|---|---|---|---|"]
    for r in results:
        more = "" if r is honest else f"+{100 * (r['accuracy'] - honest['accuracy']):.1f} points"
        segments = [
            f"{100 * r[m]:.1f} % [{100 * r[f'{m}_low']:.1f}, {100 * r[f'{m}_high']:.1f}]" for m in ("accuracy", "uar")
        ]
        lines.append(f"| `{r['way']}` | {r['n']} | {segments[0]} | {segments[1]} | {more.replace('+-', '-')} |")
    return "\n".join([*lines, "", f"The largest class alone would be right in {100 * honest['chance']:.1f} %."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(PAGES))
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--print", action="store_true", dest="show", help="print the table, write nothing")
    arguments = parser.parse_args()
    table = {"nets": nets, "leaks": leaks, "voices": leaks}[arguments.what](arguments.runs)
    if arguments.show:
        print(table)
        return
    page, begin = PAGES[arguments.what], f"<!-- {arguments.what} -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{begin}\n\n{table}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
