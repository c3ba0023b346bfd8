"""``mien evaluate``: measure models on data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mien._extras import import_extra
from mien.cli._evaluate_faces import evaluate_faces, face_analyzers
from mien.cli._evaluate_fusion import fusion_asked, fusion_options
from mien.cli._evaluate_speech import evaluate_speech, is_speech
from mien.cli._evaluate_videos import evaluate_videos, is_videos
from mien.cli._options import ENGINE_OPTIONS, engine_options
from mien.cli.data.options import Choice, choose

__all__ = ["command"]


_NOT_FOR = {
    "faces": ("noise",),
    "speech": ("labels", "protocol", "flip", "batch", *ENGINE_OPTIONS),
    "clips": ("labels", "protocol", "flip", "batch", "noise", "labels_as", "threads", *ENGINE_OPTIONS),
    "--fusion": ENGINE_OPTIONS,
}
"""Options that mean nothing for a kind of data."""


@click.command(name="evaluate")
@click.argument("models", metavar="MODEL[,MODEL]...", required=False)
@click.argument("dataset", metavar="[NAME|PATH]", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="File or folder of the data set, as published.")
@click.option("--split", metavar="NAME", help="Which split to measure on; `all` for every row.")
@click.option("--labels", type=click.Path(path_type=Path), help="File of labels, such as FER+ votes.")
@click.option("--protocol", metavar="NAME", help="How annotations become labels, where there is a choice.")
@click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Another option of the data set.")
@click.option("--on", multiple=True, metavar="NAME[:SPLIT]=PATH", help="A data set more; may be given several times.")
@click.option("--labels-as", metavar="OUTPUT", help="Which output answers, if not the one that fits the data best.")
@click.option("--noise", is_flag=True, help="Speech: measure in white noise and babble too, at 20, 10, 5 and 0 dB.")
@click.option("--flip", is_flag=True, help="Average each image with its mirror image.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the model's runtime.")
@engine_options
@click.option("--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Images at once.")
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Write tables, charts and mistakes there."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@fusion_options
def command(
    models: str | None,
    dataset: str | None,
    data: Path | None,
    split: str | None,
    labels: Path | None,
    protocol: str | None,
    pairs: tuple[str, ...],
    on: tuple[str, ...],
    labels_as: str | None,
    noise: bool,
    flip: bool,
    threads: int | None,
    device: str,
    engine: str,
    precision: str,
    batch: int,
    report: Path | None,
    as_json: bool,
    **fused: Any,
) -> int:
    """Measure face models on labeled faces, speech models on corpora of speech, and nets for clips on clips.

    MODEL is a shipped name, a model.toml, a run folder, or an .onnx file with its record beside it; several are set
    against each other on the same rows.  NAME is a data set, see `mien data`; or give the path of a folder or table.
    By default the output answers whose labels fit the data best.

    Figures are accuracy and UAR with 95 % intervals (by subject where the data names them), the accuracy without
    images that also occur in Training (where those rows are in the data), scores by class, the confusion matrix, and
    calibration.  For speech also by sex, intensity and speaker, and apart over speakers not heard in training.  On
    corpora of clips MODEL is a folder of 'mien train' with a recipe for clips, or a face model, whose answers to 16
    frames of each clip are averaged; accuracy, UAR and macro F1.

    With --fusion, faces and voices together: simulated pairs of --faces and --speech, or labeled --videos; MODEL may
    then name a face model and a speech model.
    """
    from mien.evaluate.models import split_names

    words = split_names(models) if models else []
    if fused["fusion"] is not None:
        _refuse(_given(*_NOT_FOR["--fusion"]), "--fusion")
    code = fusion_asked(fused, words, dataset, report=report, as_json=as_json, threads=threads)
    if code is not None:
        return code
    if models is None:
        raise click.UsageError("Missing argument 'MODEL[,MODEL]...'.")
    names = [name for name in (dataset, *(part.partition("=")[0].partition(":")[0] for part in on)) if name]
    kind = "clips" if is_videos(names) else "speech" if is_speech(names, words) else "faces"
    _refuse(_given(*_NOT_FOR[kind]), kind)
    choices = _choices(dataset, data, split, labels, protocol, pairs, on, kind=kind)
    if report is not None:
        # Nobody should wait for the answers to learn that the charts cannot be drawn.
        import_extra("matplotlib", extra="plot", purpose="--report")
    if not words:
        raise click.UsageError(f"MODEL must name at least one model, but is {models!r}")
    if kind == "clips":
        return evaluate_videos(words, choices, report=report, as_json=as_json)
    if kind == "speech":
        return evaluate_speech(
            words, choices, labels_as=labels_as, threads=threads, noise=noise, report=report, as_json=as_json
        )
    options = {"labels_as": labels_as, "flip": flip, "batch_size": batch}
    how = {"device": device, "engine": engine, "precision": precision}
    given = _given(*how)
    told = "".join(f" --{name} {value}" for name, value in how.items() if given[f"--{name}"])
    analyzers = face_analyzers(words, threads=threads, **how)
    return evaluate_faces(words, analyzers, choices, options, report=report, as_json=as_json, told=told)


_DATA_KINDS = {"faces": "image", "speech": "audio", "clips": "video"}


def _choices(
    dataset: str | None,
    data: Path | None,
    split: str | None,
    labels: Path | None,
    protocol: str | None,
    pairs: tuple[str, ...],
    on: tuple[str, ...],
    *,
    kind: str,
) -> list[Choice]:
    found = []
    kinds = (_DATA_KINDS[kind],)
    if dataset is not None:
        found.append(choose(dataset, data, split=split, labels=labels, protocol=protocol, pairs=pairs, kinds=kinds))
    elif data or split or labels or protocol or pairs:
        raise click.UsageError("--data, --split, --labels, --protocol and --option are for the data set NAME")
    for words in on:
        named, sign, path = words.partition("=")
        name, _, part = named.partition(":")
        if not sign or not path or not name:
            raise click.UsageError(f"--on must be NAME[:SPLIT]=PATH, but is {words!r}")
        found.append(choose(name, Path(path), split=part or None, kinds=kinds))
    if not found:
        raise click.UsageError("name a data set, or give --on NAME[:SPLIT]=PATH")
    return found


def _given(*names: str) -> dict[str, bool]:
    """Return which options stand on the command line, by their flags."""
    source = click.get_current_context().get_parameter_source
    return {f"--{name.replace('_', '-')}": source(name) is ParameterSource.COMMANDLINE for name in names}


def _refuse(given: dict[str, bool], kind: str) -> None:
    wrong = [flag for flag, stands in given.items() if stands]
    if wrong:
        raise click.UsageError(f"{' and '.join(wrong)}: not for {kind}")
