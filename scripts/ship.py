"""Make trained models the shipped ones, and add what a shipped model lacks: graphs, records, cards.

    python scripts/ship.py face runs/face-base --data fer2013.csv [--labels fer2013new.csv]
    python scripts/ship.py face runs/face-small --int8 --card scripts/face-small-card.toml --data fer2013.csv
    python scripts/ship.py speech runs/speech-base --folds runs/speech-folds --elsewhere runs/nemo/report.json
    python scripts/ship.py int8 face-base --data fer2013.csv
    python scripts/ship.py heads face-base
    python scripts/ship.py refit face-base --version 3 --data fer2013.csv --photographs DIR --baum2 DIR

Every figure of a face model's record is measured here, through the exported graph, by what ``mien evaluate`` runs, and
only on splits that the data holds; a speech model's are those that ``mien train --folds`` measured and ``--after``
wrote.  Nothing is copied by hand.  ``face --int8`` ships the graph in eight bits alone; ``int8`` adds one beside a
model's own, for ``--precision int8``, to be run again whenever the graph itself is new: ranges are taken from rows of
Training, the accuracy is measured on PublicTest by every engine that is here, and nothing is written where it falls by
more than ``--most`` points.  ``heads`` adds the file from which class activation maps are made, out of the graph.
``refit`` fits the heads of a shipped model anew on the body as it is, also one in eight bits, to two kinds of images.
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
from mien.evaluate import Evaluation, evaluate, predict, softmax
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

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
ROLE = f"graph{INT8}"
PARTS = ("weight", "bias")
PHOTOGRAPHS, TEACHER, NEAR = 15, (0.8, 0.6), 1e-4
"""How often a photograph counts in `fit_heads`, the share of the teacher in the targets of FER2013 and of photographs,
and how strongly weights are held where they were: chosen among 20 settings by the mean that
``scripts/compare_domains.py`` prints."""

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


def put(spec: ModelSpec, record: dict[str, Any], *roles: str, folder: Path = WEIGHTS) -> ModelSpec:
    """Copy a model's graph and write its record into the weights of the package, or another folder."""
    graph = folder / f"{record['name']}.onnx"
    shutil.copyfile(spec.path.parent / spec.file().file, graph)
    record["files"] = entries(graph, "graph", *roles)
    return store.write_record(record, folder / f"{record['name']}.toml")


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
    config = Path(source) / "config.toml"
    recipe = load_recipe(str(config if config.is_file() else spec.training["recipe"]))
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
    figures = {
        "ranges": f"from {rows} rows of FER2013 Training, seed {seed}; scripts/ship.py int8",
        "percent_on_PublicTest": {key.replace(" ", "_"): row for key, row in found.items()},
    }
    return content, {"int8": figures}


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
    """Make the geometric mean of both heads the default, at the temperature that fits several kinds of images alike."""
    if {output.name for output in spec.outputs} != {"ferplus8", "fer7"}:
        return spec
    both = Output("both", "", FERPLUS8, 1.0, default=True, mean_of=("ferplus8", "fer7"))
    heads = tuple(replace(output, default=False) for output in spec.outputs)
    analyzer = mien.FaceAnalyzer(replace(spec, outputs=(*heads, both)), threads=2)
    found = [predict(analyzer, data, labels_as=both.name) for data in domains]
    temperature = round(fit_shared_temperature([(p.logits, p.truth) for p in found]), 4)
    return replace(spec, outputs=(*heads, replace(both, temperature=temperature)))


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


Cases = list[tuple[Samples, str]]
"""Samples of one split, and what ``mien evaluate`` is told of them."""


def prepare_cases(
    spec: ModelSpec, tested: Samples, labels: Path | None, photographs: Path | None, baum2: Path | None
) -> tuple[ModelSpec, Cases]:
    """Return a model with both heads together, and its cases: FER2013's labels and FER+'s majority come first."""
    votes = {protocol: add_votes(tested, labels, protocol=protocol) for protocol in HARD}
    cases = [(tested, ""), *((voted, f" --protocol {protocol}") for protocol, voted in votes.items())]
    domains = [tested, votes["majority"]]
    if baum2 is not None:
        domains.append(load_images("baum2_frames", baum2))
    read = None
    if photographs is not None:
        assert spec.input is not None
        read = load_images("photographs", photographs, split="validation", size=spec.input.size)
        domains.append(read.labeled())
    spec = add_both(spec, domains)
    if read is not None:
        cases += [(read, f" --labels-as {output.name}") for output in spec.outputs]
    if (name := spec.default_output.name) == "both":
        cases += [(samples, f"{extra} --labels-as {name}") for samples, extra in cases[:2]]
    return spec, cases


def measure_record(spec: ModelSpec, cases: Cases, training: Samples, card: dict[str, Any]) -> dict[str, Any]:
    """Return ``results`` and ``card`` of a record, measured."""
    analyzer = mien.FaceAnalyzer(spec, threads=2)
    results = []
    for samples, extra in cases:
        _, _, output = extra.partition("--labels-as ")
        has_training = samples.name != "photographs"
        result = evaluate(analyzer, samples, training=training if has_training else None, labels_as=output or None)
        path = "fer2013.csv" if has_training else "photographs/"
        command = f"mien evaluate {spec.name} {result.dataset} --data {path} --split {result.split}{extra}"
        results += figures(result, command)
        if not extra or extra.endswith("majority"):
            recall = {row.label: round(row.recall, 3) for row in result.per_class if row.recall is not None}
            card[f"recall_by_class_{result.dataset}"] = recall
        print(f"{result.dataset} {result.protocol} {result.output}: {result.accuracy:.4f}, UAR {result.uar:.4f}")
    return {"results": results, "card": card}


# --- heads on a body as it is -------------------------------------------------------------------------


def relabel(faces: Samples, labels: Path | None, output: Output) -> Samples:
    """Return faces with the labels that the temperature of an output is fitted to."""
    return faces if output.labels == faces.label_set else add_votes(faces, labels, protocol="majority")


def distribute(samples: Samples, output: Output) -> NDArray[np.float32]:
    """Return labels as distributions over those of an output, float32 (n, k)."""
    columns = [output.labels.index(emotion) for emotion in samples.label_set.emotions]
    ones: NDArray[np.float32] = np.eye(len(output.labels), dtype=np.float32)[np.array(columns)[samples.labels]]
    return ones


def fit_head(
    features: NDArray[np.float32], targets: NDArray[np.float32], weights: NDArray[np.float32], start: Arrays
) -> Arrays:
    """Return weight and bias of a linear head by weighted cross-entropy, held near where they start by `NEAR`."""
    import torch

    x, y, w = (torch.from_numpy(array) for array in (features, targets, weights / weights.sum()))
    first = [torch.from_numpy(array) for array in start]
    weight, bias = (tensor.clone().requires_grad_() for tensor in first)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        error = -(w[:, None] * y * torch.log_softmax(x @ weight.T + bias, 1)).sum()
        error = error + NEAR * ((weight - first[0]) ** 2).sum()
        error.backward()  # type: ignore[no-untyped-call]
        return error

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach().numpy(), bias.detach().numpy()


def fit_heads(spec: ModelSpec, teacher: ModelSpec, faces: Samples, photographs: Samples) -> dict[str, Arrays]:
    """Return new weights and biases of a model's heads, by output.

    The targets are, of each image and its mirror image, the teacher's probabilities, averaged over both, and the label
    where there is a hard one, in the shares `TEACHER`.  Photographs count `PHOTOGRAPHS` times, rare emotions more.
    """
    body, guide = mien.FaceAnalyzer(spec, threads=2), mien.FaceAnalyzer(teacher, threads=2)
    arrays = store.read_arrays(spec, HEADS)
    tensors = [output.tensor for output in teacher.heads]
    features, targets = [], []
    for samples in (faces, photographs):
        crops = np.stack([fit_crop(image, body.size) for image in samples.images])
        mirrored = np.ascontiguousarray(crops[:, :, ::-1])
        read = [body.tensors(half, ["embedding", *tensors]) for half in (crops, mirrored)]
        features += [found["embedding"] for found in read]
        guided = read if teacher is spec else [guide.tensors(half, tensors) for half in (crops, mirrored)]
        shares = {
            o.name: [softmax(found[o.tensor], temperature=o.temperature) for found in guided] for o in teacher.heads
        }
        means = {name: np.sqrt(a * b) for name, (a, b) in shares.items()}
        targets.append({name: np.tile(p / p.sum(axis=1, keepdims=True), (2, 1)) for name, p in means.items()})
    rare = np.bincount(photographs.labels)[photographs.labels] ** -0.5
    weights = np.tile(PHOTOGRAPHS * rare / rare.mean(), 2)
    weights = np.concatenate([np.ones(2 * len(faces.labels)), weights]).astype(np.float32)
    heads: dict[str, Arrays] = {}
    for output in spec.heads:
        own = [targets[0][output.name], targets[1][output.name]]
        if output.labels == faces.label_set:
            own[0] = TEACHER[0] * own[0] + (1 - TEACHER[0]) * np.tile(distribute(faces, output), (2, 1))
        own[1] = TEACHER[1] * own[1] + (1 - TEACHER[1]) * np.tile(distribute(photographs, output), (2, 1))
        start = arrays[f"weight_{output.name}"], arrays[f"bias_{output.name}"]
        heads[output.name] = fit_head(np.concatenate(features), np.concatenate(own).astype(np.float32), weights, start)
    return heads


def replace_heads(content: bytes, heads: dict[str, Arrays]) -> bytes:
    """Return a graph with other weights and biases of its heads."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content)
    new = {f"net.heads.{name}.{part}": a for name, pair in heads.items() for part, a in zip(PARTS, pair, strict=True)}
    for tensor in graph.graph.initializer:
        if tensor.name in new:
            tensor.CopyFrom(numpy_helper.from_array(new.pop(tensor.name), tensor.name))
    if new:
        raise SystemExit(f"the graph has no {', '.join(new)}")
    return bytes(graph.SerializeToString())


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
@click.option("--version", default="2")
@click.option("--to", type=PATH, default=WEIGHTS, help="Write there, not into the weights of the package.")
def face(
    run: Path,
    int8: bool,
    data: Path,
    labels: Path | None,
    photographs: Path | None,
    baum2: Path | None,
    card: Path,
    version: str,
    to: Path,
) -> None:
    """Ship a face model: graph, heads and record with measured figures."""
    spec = replace(registry.get(run), version=version)
    images = read_fer2013(data)
    spec, cases = prepare_cases(spec, images.split("PublicTest"), labels, photographs, baum2)
    record_card = tomllib.loads(card.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        if int8:
            content, figures = make_int8(spec, images, [samples for samples, _ in cases[:2]])
            record_card |= figures
            path = Path(folder) / spec.file().file
            path.write_bytes(content)
            files = {"files": entries(path, "graph", ROLE)}
            record = spec.to_dict() | files
            spec = store.write_record(record, Path(folder) / spec.path.name)
        record = spec.to_dict() | measure_record(spec, cases, images.split("Training"), record_card)
        shipped = put(spec, record, *([ROLE] if int8 else []), folder=to)
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
    content, figures = make_int8(spec, images, cases, rows=rows, seed=seed, most=most)
    finish(add_file(spec, int8_name(spec), content, ROLE, figures), ROLE)


@main.command()
@click.argument("model")
def heads(model: str) -> None:
    """Add the heads file to a shipped face model that lacks it."""
    spec = registry.get(model)
    found = add_heads(spec, spec.name)
    if found is None:
        raise SystemExit("the heads are not linear in the last feature map: there is no such file for this model")
    finish(found, HEADS)


@main.command()
@click.argument("model")
@click.option("--teacher", default="face-base", show_default=True)
@click.option("--data", type=PATH, required=True)
@click.option("--labels", type=PATH)
@click.option("--photographs", type=PATH, required=True)
@click.option("--baum2", type=PATH, required=True, help="For the temperature of both heads together, alone.")
@click.option("--card", type=PATH, default=SCRIPTS / "face-base-card.toml")
@click.option("--version", required=True)
def refit(
    model: str, teacher: str, data: Path, labels: Path | None, photographs: Path, baum2: Path, card: Path, version: str
) -> None:
    """Fit the heads of a shipped face model anew, on FER2013's Training and the training half of the photographs."""
    spec, guide = registry.get(model), registry.get(teacher)
    assert spec.input is not None
    images = read_fer2013(data)
    training, tested = images.split("Training"), images.split("PublicTest")
    copies = {image.tobytes() for image in tested.images}
    faces = training.take(np.array([image.tobytes() not in copies for image in training.images]))
    others = load_images("photographs", photographs, split="training", size=spec.input.size).labeled()
    found = fit_heads(spec, spec if model == teacher else guide, faces, others)
    for name in sorted({file.file for file in spec.files if file.role.startswith("graph")}):
        path = spec.path.with_name(name)
        path.write_bytes(replace_heads(path.read_bytes(), found))
    arrays: dict[str, Any] = store.read_arrays(spec, HEADS)
    for name, pair in found.items():
        arrays |= {f"{part}_{name}": array for part, array in zip(PARTS, pair, strict=True)}
    np.savez(spec.path.with_name(spec.file(HEADS).file), **arrays)
    record = spec.to_dict() | {"version": version, "date": dt.datetime.now(dt.UTC).date()}
    record["files"] = [e for f in spec.files for e in entries(spec.path.with_name(f.file), f.role)]
    record["license"] = guide.to_dict()["license"]
    people = len(set(others.subjects.tolist()))
    learned = {key: guide.training[key] for key in ("dataset", "fingerprint")}
    record["training"] = learned | record["training"]
    record["training"]["heads"] = (
        f"fitted by scripts/ship.py refit to FER2013 Training without copies of PublicTest, to {len(others.labels)} "
        f"photographs of {people} people, and to what {guide.name} {guide.version} says of them and their mirror images"
    )
    spec = store.write_record(record, spec.path)
    heads = tuple(
        replace(output, temperature=round(fit_shared_temperature([(p.logits, p.truth)]), 4))
        for output, p in zip(
            spec.heads,
            (
                predict(mien.FaceAnalyzer(spec), relabel(tested, labels, output), labels_as=output.name)
                for output in spec.heads
            ),
            strict=True,
        )
    )
    spec, cases = prepare_cases(replace(spec, outputs=heads), tested, labels, photographs, baum2)
    record_card = tomllib.loads(card.read_text("utf-8"))
    if any(file.role == ROLE for file in spec.files):
        same = {"onnxruntime float32"} if spec.file(ROLE).file == spec.file().file else set()
        figures = measure(spec, [samples for samples, _ in cases[:2]])
        record_card["int8"] = {
            "ranges": f"from {ROWS} rows of FER2013 Training, seed {SEED}; scripts/ship.py int8",
            "percent_on_PublicTest": {key.replace(" ", "_"): row for key, row in figures.items() if key not in same},
        }
    measured = measure_record(spec, cases, training, record_card)
    finish(store.write_record(spec.to_dict() | measured, spec.path))


if __name__ == "__main__":
    main()
