"""Write the tables of measured results into README and docs, from the records of the shipped models.

    python scripts/render_results.py [--check]

Each table stands between ``<!-- results: MODEL -->`` and ``<!-- end -->``.  ``--check`` writes nothing and exits with 1
where a page differs from the records.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from mien.models import registry
from mien.models.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
PLACE = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHARES = {
    "accuracy": "accuracy",
    "uar": "UAR",
    "macro_f1": "macro F1",
    "accuracy_overlap_free": "accuracy without copies of Training",
}
PLAIN = {
    "ece_cross_fitted_above_floor": "ECE above its floor, cross-fitted",
    "brier": "Brier",
    "nll": "NLL",
    "brier_cross_fitted": "Brier, cross-fitted",
    "nll_cross_fitted": "NLL, cross-fitted",
}

CHANNELS = {"telephone": "through a telephone line", "reverberation": "in a room of 0.8 s"}


def table(spec: ModelSpec) -> str:
    """Return a model's results as Markdown: one row a figure, and the commands below."""
    rows = "recordings" if spec.sound is not None else "images"
    lines = [
        f"| data | output | figure | value | 95 % interval | {rows} |",
        "|---|---|---|---|---|---|",
    ]
    for r in spec.results:
        name = f"{r.dataset} {r.split}, {r.protocol}"
        if r.metric in SHARES:
            interval = f"{100 * r.low:.1f} to {100 * r.high:.1f}" if r.low is not None and r.high is not None else ""
            lines.append(f"| {name} | `{r.output}` | {SHARES[r.metric]} | {100 * r.value:.1f} % | {interval} | {r.n} |")
        else:
            lines.append(f"| {name} | `{r.output}` | {PLAIN[r.metric]} | {r.value:.3f} | | {r.n} |")
    rare = {
        dataset.removeprefix("recall_by_class_"): ", ".join(f"{label} {100 * v:.0f}" for label, v in recalls.items())
        for dataset, recalls in spec.card.items()
        if dataset.startswith("recall_by_class_")
    }
    lines += ["", *(f"Recall by class on {dataset}, in %: {text}." for dataset, text in rare.items())]
    for part in ("sex", "intensity"):
        if found := spec.card.get(f"uar_by_{part}"):
            values = ", ".join(f"{name} {100 * value:.0f}" for name, value in found.items())
            lines.append(f"UAR by {part}, in %: {values}.")
    if curve := spec.card.get("uar_in_noise"):
        lines += ["", *noise_table(curve)]
        if lines_and_rooms := [f"{CHANNELS[name]} {100 * curve[name]:.1f} %" for name in CHANNELS if name in curve]:
            lines += ["", f"UAR, out of fold, {', '.join(lines_and_rooms)}."]
    return "\n".join(lines) + "\n"


def noise_table(curve: dict[str, float]) -> list[str]:
    """Return the noise curve of a model as a table: a row a kind of noise, a column a ratio."""
    ratios = list(dict.fromkeys(name.split("_")[1] for name in curve if "_" in name))
    kinds = list(dict.fromkeys(name.split("_")[0] for name in curve if "_" in name))
    heads = ["UAR, out of fold", "without noise", *(f"{ratio} dB" for ratio in ratios)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for kind in kinds:
        cells = [curve["clean"], *(curve[f"{kind}_{ratio}_db"] for ratio in ratios)]
        lines.append(f"| {kind} noise | {' | '.join(f'{100 * value:.1f} %' for value in cells)} |")
    return [line.replace("babble noise", "babble of other clips") for line in lines]


def headline(spec: ModelSpec) -> str:
    """Return the accuracies alone (the UAR of speech models), for README."""
    metric = "accuracy" if spec.sound is None else "uar"
    rows = [r for r in spec.results if r.metric == metric and r.low is not None and r.high is not None]
    lines = [f"| data | output | {SHARES[metric]} | 95 % interval |", "|---|---|---|---|"]
    for r in rows:
        interval = f"{100 * (r.low or 0):.1f} to {100 * (r.high or 0):.1f}"
        lines.append(f"| {r.dataset} {r.split}, {r.protocol} | `{r.output}` | {100 * r.value:.1f} % | {interval} |")
    return "\n".join(lines) + "\n"


def render(page: Path) -> str:
    """Return the page with its tables as the records have them."""
    make = headline if page.name == "README.md" else table
    return PLACE.sub(lambda m: f"{m[1]}\n{make(registry.get(m[2]))}\n{m[3]}", page.read_text("utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page differs")
    check = parser.parse_args().check
    different = [p for p in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if render(p) != p.read_text("utf-8")]
    for page in different:
        print(page.relative_to(ROOT))
        if not check:
            page.write_text(render(page), "utf-8")
    return int(check and bool(different))


if __name__ == "__main__":
    sys.exit(main())
