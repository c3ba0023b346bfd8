"""Make trained models the shipped ones, and add what a shipped model lacks: graphs, records, cards.

    python scripts/ship.py face runs/face-base --data fer2013.csv [--labels fer2013new.csv]
    python scripts/ship.py face runs/face-small --int8 --card scripts/face-small-card.toml --data fer2013.csv
    python scripts/ship.py speech runs/speech-base --folds runs/speech-folds --elsewhere runs/nemo/report.json
    python scripts/ship.py int8 face-base --data fer2013.csv
    python scripts/ship.py heads face-base

Every figure of a face model's record is measured here, through the exported graph, by what ``mien evaluate`` runs, and
only on splits that the data holds; a speech model's are those that ``mien train --folds`` measured and ``--after``
wrote.  Nothing is copied by hand.  ``face --int8`` ships the graph in eight bits alone; ``int8`` adds one beside a
model's own, for ``--precision int8``, to be run again whenever the graph itself is new: ranges are taken from rows of
Training, the accuracy is measured on PublicTest by every engine that is here, and nothing is written where it falls by
more than ``--most`` points.  ``heads`` adds the file from which class activation maps are made, out of the graph.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import mien
from mien.data import Samples, load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.errors import MissingExtraError
from mien.evaluate import Evaluation, evaluate, predict
from mien.evaluate.calibration import fit_shared_temperature
from mien.face.align import fit_crop
from mien.face.explain import HEADS
from mien.labels import FERPLUS8
from mien.models import ModelSpec, Output, registry, runtime, store
from mien.models.runtime import INT8
from mien.train.export import heads_file
from mien.train.init import init_network
from mien.train.nets import FaceNetwork, build_network
from mien.train.quantize import quantize
from mien.train.recipe import load_recipe

HARD = ("majority", "plurality")
"""Protocols of FER+ by which a record is measured: the others give each image the label of plurality, too."""

BODIES = {
    "campplus_cn_en_common.pt": {
        "weights": "Apache License 2.0 for the body, CAM++ of 3D-Speaker; MIT for the numbers of the head; the data's "
        "terms below may bind their use"
    }
}
"""Terms of public weights that stay in a shipped model as they are."""

ROLE = f"graph{INT8}"
ROWS, SEED, MOST = 1024, 1, 0.3
SCRIPTS = Path(__file__).resolve().parent
WEIGHTS = Path(mien.__file__).resolve().parent / "weights"
PATH = click.Path(path_type=Path)


# --- files of a record --------------------------------------------------------------------------------


def entries(path: Path, *roles: str) -> list[dict[str, Any]]:
    """Return a record's entries of one file in these roles."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return [{"role": role, "file": path.name, "sha256": digest, "bytes": len(content)} for role in roles]


def add_file(spec: ModelSpec, name: str, content: bytes, role: str, card: dict[str, Any] | None = None) -> ModelSpec:
    """Write a file beside a model's record and name it there, and what is said of it in the card."""
    path = spec.path.with_name(name)
    path.write_bytes(content)
    record: dict[str, Any] = tomllib.loads(spec.path.read_text("utf-8"))  # as it stands: the rest keeps its order
    record["files"] = [*(file for file in record["files"] if file["role"] != role), *entries(path, role)]
    if card is not None:
        record.setdefault("card", {}).update(card)
    return store.write_record(record, spec.path)


def put(spec: ModelSpec, record: dict[str, Any], *roles: str) -> ModelSpec:
    """Copy a model's graph and write its record into the weights of the package."""
    graph = WEIGHTS / f"{record['name']}.onnx"
    shutil.copyfile(spec.path.parent / spec.file().file, graph)
    record["files"] = entries(graph, "graph", *roles)
    return store.write_record(record, WEIGHTS / f"{record['name']}.toml")


def finish(spec: ModelSpec, role: str = "graph") -> None:
    """Check what was written, and say what it is."""
    store.verify(spec)
    entry = spec.file(role)
    print(f"wrote {entry.file} ({entry.bytes / 1e6:.2f} MB) and {spec.path.name}; LICENSES.md must name both")


# --- heads --------------------------------------------------------------------------------------------


def add_heads(spec: ModelSpec, source: str) -> ModelSpec | None:
    """Write the heads file beside the graph and name it in the record; None where the heads are not linear.

    The weights are those of ``source``: of a run folder, where the graph itself is in eight bits.
    """
    assert spec.input is not None
    recipe = load_recipe(str(spec.training["recipe"]))
    net = build_network(recipe.net, {o.name: len(o.labels) for o in spec.heads}, **recipe.net_options)
    assert isinstance(net, FaceNetwork)
    init_network(net, source)
    side = spec.input.size
    crops = np.random.default_rng(0).integers(0, 256, (16, side, side, 3), dtype=np.uint8)
    content = heads_file(net.eval(), runtime.load(spec, threads=1), crops)
    return None if content is None else add_file(spec, f"{spec.name}.heads.npz", content, HEADS)


# --- eight bits ---------------------------------------------------------------------------------------


def chosen(images: Samples, count: int, seed: int, side: int) -> NDArray[np.uint8]:
    """Return some rows of Training as the graph takes them, uint8 (count, side, side, 3)."""
    rows = images.split("Training")
    where = np.sort(np.random.default_rng(seed).permutation(len(rows.labels))[:count])
    return np.stack([fit_crop(rows.images[row], side) for row in where])


def int8_name(spec: ModelSpec) -> str:
    return f"{Path(spec.file().file).stem}{INT8}.onnx"


def make_int8(
    spec: ModelSpec,
    images: Samples,
    cases: Sequence[Samples],
    *,
    rows: int = ROWS,
    seed: int = SEED,
    most: float = MOST,
) -> tuple[bytes, dict[str, Any]]:
    """Return a model's graph in eight bits, and what a record's card says of it; exit where it loses too much."""
    assert spec.input is not None
    content = quantize(store.read_weights(spec), chosen(images, rows, seed, spec.input.size))
    with tempfile.TemporaryDirectory() as folder:
        for name in (spec.path.name, *(file.file for file in spec.files)):
            shutil.copyfile(spec.path.with_name(name), Path(folder) / name)
        trial = add_file(registry.get(Path(folder) / spec.path.name), int8_name(spec), content, ROLE)
        found = measure(trial, cases)
    first, *others = found.values()
    worst = max(first[name] - row[name] for row in others for name in row)
    if worst > most:
        raise SystemExit(f"int8 loses {worst:.2f} points, more than {most:g}: nothing is written")
    said = {
        "ranges": f"from {rows} rows of FER2013 Training, seed {seed}; scripts/ship.py int8",
        "percent_on_PublicTest": {key.replace(" ", "_"): row for key, row in found.items()},
    }
    return content, {"int8": said}


def measure(trial: ModelSpec, cases: Sequence[Samples]) -> dict[str, dict[str, float]]:
    """Return the accuracy by engine and precision, in points, by dataset."""
    found: dict[str, dict[str, float]] = {}
    for engine, precision in (("onnxruntime", "float32"), *((engine, "int8") for engine in runtime.ENGINES)):
        try:
            analyzer = mien.FaceAnalyzer(trial, detector="haar", engine=engine, precision=precision)
        except MissingExtraError as error:
            print(f"left out: {error}")
            continue
        results = {data.name: evaluate(analyzer, data) for data in cases}
        found[f"{engine} {precision}"] = {name: round(100 * result.accuracy, 2) for name, result in results.items()}
        figures = ", ".join(f"{r.dataset} {r.output} {100 * r.accuracy:.2f} %" for r in results.values())
        print(f"{engine:12} {precision:8} {figures}")
    return found


# --- both heads together ------------------------------------------------------------------------------


def add_both(spec: ModelSpec, domains: Iterable[Samples]) -> ModelSpec:
    """Add the geometric mean of both heads, at the temperature that fits several kinds of images alike."""
    if {output.name for output in spec.outputs} != {"ferplus8", "fer7"}:
        return spec
    both = Output("both", "", FERPLUS8, 1.0, mean_of=("ferplus8", "fer7"))
    analyzer = mien.FaceAnalyzer(replace(spec, outputs=(*spec.outputs, both)), threads=2)
    found = [predict(analyzer, data, labels_as=both.name) for data in domains]
    temperature = round(fit_shared_temperature([(p.logits, p.truth) for p in found]), 4)
    return replace(spec, outputs=(*spec.outputs, replace(both, temperature=temperature)))


# --- figures of a record ------------------------------------------------------------------------------


def figures(result: Evaluation, command: str) -> list[dict[str, Any]]:
    """Return the rows of the record's table for one evaluation."""
    common = {key: getattr(result, key) for key in ("dataset", "split", "protocol", "output", "n")}
    common |= {"date": dt.datetime.now(dt.UTC).date(), "command": command}
    rows = []
    for metric in ("accuracy", "uar", "accuracy_overlap_free", "ece_cross_fitted_above_floor", "brier", "nll"):
        value = getattr(result, metric)
        if value is not None:
            ends = result.intervals.get(metric)
            limits = {} if ends is None else {"low": round(ends.low, 4), "high": round(ends.high, 4)}
            rows.append({**common, "metric": metric, "value": round(value, 4), **limits})
    return rows


# --- commands -----------------------------------------------------------------------------------------


@click.group(help=__doc__)
def main() -> None:
    """Ship."""


@main.command()
@click.argument("run", type=PATH)
@click.option("--int8", is_flag=True, help="Ship the graph in eight bits, and no other.")
@click.option("--data", type=PATH, required=True)
@click.option("--labels", type=PATH)
@click.option("--photographs", type=PATH, help="Measure on photographs of people not trained on, too.")
@click.option("--baum2", type=PATH, help="Fit the temperature of both heads together on these frames, too.")
@click.option("--card", type=PATH, default=SCRIPTS / "face-base-card.toml")
def face(
    run: Path, int8: bool, data: Path, labels: Path | None, photographs: Path | None, baum2: Path | None, card: Path
) -> None:
    """Ship a face model: graph, heads and record with measured figures."""
    spec = registry.get(run)
    images = read_fer2013(data)
    training, tested = images.split("Training"), images.split("PublicTest")
    cases = {"": tested, **{f" --protocol {p}": add_votes(tested, labels, protocol=p) for p in HARD}}
    domains = [cases[""], cases[" --protocol majority"]]
    if baum2 is not None:
        domains.append(load_images("baum2_frames", baum2))
    if photographs is not None:
        assert spec.input is not None
        read = load_images("photographs", photographs, split="validation", size=spec.input.size)
        spec = add_both(spec, [*domains, read.labeled()])
        cases |= {f" --labels-as {output.name}": read for output in spec.outputs}
    spec = add_both(spec, domains)
    record_card = tomllib.loads(card.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        if int8:
            content, said = make_int8(spec, images, [cases[""], cases[" --protocol majority"]])
            record_card |= said
            path = Path(folder) / spec.file().file
            path.write_bytes(content)
            files = {"files": entries(path, "graph", ROLE)}
            record = spec.to_dict() | files
            spec = store.write_record(record, Path(folder) / spec.path.name)
        analyzer = mien.FaceAnalyzer(spec, threads=2)
        record = spec.to_dict() | {"results": [], "card": record_card}
        for extra, samples in cases.items():
            _, _, output = extra.partition("--labels-as ")
            result = evaluate(analyzer, samples, training=None if output else training, labels_as=output or None)
            path = "photographs/" if output else "fer2013.csv"
            command = f"mien evaluate {spec.name} {result.dataset} --data {path} --split {result.split}{extra}"
            record["results"] += figures(result, command)
            if not extra or extra.endswith("majority"):
                recall = {row.label: round(row.recall, 3) for row in result.per_class if row.recall is not None}
                record_card[f"recall_by_class_{result.dataset}"] = recall
            print(f"{result.dataset} {result.protocol} {result.output}: {result.accuracy:.4f}, UAR {result.uar:.4f}")
        shipped = put(spec, record, *([ROLE] if int8 else []))
    finish(add_heads(shipped, str(run)) or shipped)


@main.command()
@click.argument("run", type=PATH)
@click.option("--folds", type=PATH, required=True)
@click.option(
    "--elsewhere", type=PATH, multiple=True, help="report.json of a model that did not learn from its corpus."
)
@click.option("--card", type=PATH, default=SCRIPTS / "speech-base-card.toml")
@click.option("--name", default="speech-base")
@click.option("--version", default="2")
@click.option("--hop", "hop_s", type=float, help="From one window to the next, in seconds.")
def speech(
    run: Path, folds: Path, elsewhere: tuple[Path, ...], card: Path, name: str, version: str, hop_s: float | None
) -> None:
    """Ship a speech model that was trained after its folds, with their figures.

    The temperature is the geometric mean of that of the folds and that of the first report ``--elsewhere``: voices at
    use are neither all like the corpus nor all as strange as another one.
    """
    spec = registry.get(run)
    record = spec.to_dict() | {"name": name, "version": version}
    if hop_s is not None:
        record["sound"]["hop_s"] = hop_s
    if started := record["training"].get("started_from"):
        content = Path(started).read_bytes()
        record["license"] = record["license"] | BODIES.get(Path(started).name, {})
        record["training"]["started_from"] = f"{Path(started).name}, sha256 {hashlib.sha256(content).hexdigest()}"
    for number, path in enumerate(elsewhere):
        report = json.loads(path.read_text("utf-8"))
        report = report[0] if isinstance(report, list) else report
        if not number:
            at_home, abroad = record["outputs"][0]["temperature"], report["temperature_fitted"]
            record["outputs"][0]["temperature"] = round(float(np.sqrt(at_home * abroad)), 4)
            record["training"]["temperature_fitted_on"] = (
                f"geometric mean of {at_home:.2f} for {record['training']['temperature_fitted_on']} and {abroad:.2f} "
                f"for {report['dataset']}, by a net that did not learn from it"
            )
        low, high = report["intervals"]["uar"]
        shared = len(report["per_class"])
        record["results"].append(
            {
                "dataset": report["dataset"],
                "split": "all",
                "protocol": f"trained without {report['dataset']}, among the {shared} emotions of both",
                "metric": "uar",
                "value": round(report["uar"], 6),
                "low": round(low, 6),
                "high": round(high, 6),
                "n": report["n"],
                "date": dt.date.fromisoformat(report["date"]),
                "command": "python benchmarks/transfer.py --init campplus_cn_en_common.pt",
                "output": record["outputs"][0]["name"],
            }
        )
    k = json.loads((folds / "folds.json").read_text("utf-8"))["k"]
    found = json.loads((folds / f"subject-{k}" / "out-of-fold.json").read_text("utf-8"))
    record_card = tomllib.loads(card.read_text("utf-8"))
    for part in ("sex", "intensity"):
        record_card[f"uar_by_{part}"] = {name: round(row["uar"], 3) for name, row in found["groups"][part].items()}
    record_card[f"recall_by_class_{found['dataset']}"] = {
        row["label"]: round(row["recall"], 3) for row in found["per_class"] if row["recall"] is not None
    }
    record_card["uar_in_noise"] = {
        row["kind"] if row["ratio_db"] is None else f"{row['kind']}_{row['ratio_db']:g}_db": round(row["uar"], 3)
        for row in found["noise"]
    }
    finish(put(spec, record | {"card": record_card}))


@main.command()
@click.argument("model")
@click.option("--data", type=PATH, required=True)
@click.option("--labels", type=PATH)
@click.option("--rows", type=int, default=ROWS)
@click.option("--seed", type=int, default=SEED)
@click.option("--most", type=float, default=MOST, metavar="POINTS")
def int8(model: str, data: Path, labels: Path | None, rows: int, seed: int, most: float) -> None:
    """Add a graph in eight bits to a face model: a shipped one, a record or a run folder."""
    spec = registry.get(model)
    images = read_fer2013(data)
    tested = images.split("PublicTest")
    cases = [tested, add_votes(tested, labels, protocol="majority")]
    content, said = make_int8(spec, images, cases, rows=rows, seed=seed, most=most)
    finish(add_file(spec, int8_name(spec), content, ROLE, said), ROLE)


@main.command()
@click.argument("model")
def heads(model: str) -> None:
    """Add the heads file to a shipped face model that lacks it."""
    spec = registry.get(model)
    found = add_heads(spec, spec.name)
    if found is None:
        raise SystemExit("the heads are not linear in the last feature map: there is no such file for this model")
    finish(found, HEADS)


if __name__ == "__main__":
    main()
