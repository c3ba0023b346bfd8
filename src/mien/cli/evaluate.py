"""``mien evaluate``: measure models on datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mien._extras import import_extra
from mien.cli import shell
from mien.cli._evaluate_fusion import evaluate_fusion, fusion_options
from mien.cli._options import ENGINE_OPTIONS, engine_options
from mien.cli.data.options import Choice, choose, is_given, note_some, open_images
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.evaluate import Evaluation, NoiseFigures, PairedResult, Predictions

__all__ = ["command"]

_NOUNS = {"image": "faces", "audio": "speech", "video": "clips"}

_NOT_FOR = {
    "image": ("noise",),
    "audio": ("labels", "protocol", "flip", "batch", *ENGINE_OPTIONS),
    "video": ("labels", "protocol", "flip", "batch", "noise", "labels_as", *ENGINE_OPTIONS),
    "--fusion": ENGINE_OPTIONS,
}
"""Options that mean nothing for a kind of data."""


class _Done(NamedTuple):
    name: str
    model: Any
    choice: Choice
    predictions: Predictions
    evaluation: Evaluation


@click.command(name="evaluate")
@click.argument("models", metavar="MODEL[,MODEL]...", required=False)
@click.argument("dataset", metavar="[NAME|PATH]", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="File or folder of the dataset, as published.")
@click.option("--split", metavar="NAME", help="Which split to measure on; `all` for every sample.")
@click.option("--labels", type=click.Path(path_type=Path), help="File of labels, such as FER+ votes.")
@click.option("--protocol", metavar="NAME", help="How annotations become labels, where there is a choice.")
@click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Another option of the dataset.")
@click.option("--on", multiple=True, metavar="NAME[:SPLIT]=PATH", help="Another dataset; may be given several times.")
@click.option("--labels-as", metavar="OUTPUT", help="Which output to use, if not the one that fits the data best.")
@click.option(
    "--classes", metavar="A,B,...", help="Measure among these classes alone: those that a dataset has, of more."
)
@click.option(
    "--noise", is_flag=True, help="Speech: also in white noise and babble at 20 to 0 dB, by telephone and in a room."
)
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
    classes: str | None,
    noise: bool,
    flip: bool,
    threads: int | None,
    device: str,
    engine: str,
    precision: str,
    batch: int,
    report: Path | None,
    as_json: bool,
    **fusion: Any,
) -> int:
    """Measure face models on labeled faces, speech models on audio files, and models for clips on videos.

    MODEL is a shipped name, a model.toml, a run folder, or an .onnx file with its record beside it; several are
    compared on the same samples.  NAME is a dataset, see `mien data`; or give the path of a folder or table.  By
    default the output whose labels fit the data best is used.

    Figures are accuracy and UAR with 95 % intervals (by subject where the data names them), the accuracy without
    images that also occur in Training (where those are in the data) and without subjects seen in training, scores by
    class, the confusion matrix, calibration, and figures by sex, intensity, corpus and subject.  On videos MODEL is a
    folder of 'mien train' with a recipe for clips, or a face model, whose predictions for 16 frames of each clip are
    averaged.

    With --fusion, faces and voices together: simulated pairs of --faces and --speech, or labeled --videos; MODEL may
    then name a face model and a speech model.
    """
    from mien.evaluate.runs import split_names

    words = split_names(models) if models else []
    if fusion["fusion"] is not None:
        _reject("--fusion")
    code = evaluate_fusion(fusion, words, dataset, report=report, as_json=as_json, threads=threads)
    if code is not None:
        return code
    if models is None:
        raise click.UsageError("Missing argument 'MODEL[,MODEL]...'.")
    names = [name for name in (dataset, *(part.partition("=")[0].partition(":")[0] for part in on)) if name]
    kind = _detect_kind(names, words)
    _reject(kind)
    among = tuple(filter(None, map(str.strip, (classes or "").split(","))))
    if among and noise:
        raise click.UsageError("--noise is for all classes of the data: leave out --classes")
    choices = _choices(dataset, data, split, labels, protocol, pairs, on, kind=kind)
    if report is not None:
        # Nobody should wait for the predictions to learn that the charts cannot be drawn.
        import_extra("matplotlib", extra="plot", purpose="--report")
    if not words:
        raise click.UsageError(f"MODEL must name at least one model, but is {models!r}")
    engines = {"device": device, "engine": engine, "precision": precision}
    # The models first: a wrong name must not wait for the data to be read.
    loaded = [_load_model(word, kind, threads=threads, engines=engines) for word in words]
    options: dict[str, Any] = {"labels_as": labels_as, "flip": flip, "batch_size": batch}
    named = list(zip(_distinct_names(words, [model.spec.name for model in loaded]), loaded, strict=True))
    several = len(choices) * len(words) > 1
    done: list[_Done] = []
    comparisons: list[PairedResult] = []
    for choice in choices:
        some = _evaluate(choice, named, kind, options, among=among, noise=noise, several=several)
        comparisons += _compare(some)
        done += some
    if not done:
        return shell.FAILED
    if report is not None:
        given = {"forced": labels_as is not None, "restricted": bool(among), "engines": engines}
        _write_reports(report, done, comparisons, given, several=several)
        shell.note(f"wrote {report}")
    _show(done, comparisons, as_json=as_json, several=several)
    failed = len(done) < len(choices) * len(words) or any(d.evaluation.n_unreadable for d in done)
    return shell.SOME_FAILED if failed else 0


def _detect_kind(names: Sequence[str], models: Sequence[str]) -> str:
    """Return the kind of data: that of a dataset among the names, or, for folders, what the first model is for."""
    from mien.data import dataset_names
    from mien.evaluate.runs import find_model

    for kind in ("video", "audio"):
        if not set(names).isdisjoint(dataset_names(kind)):
            return kind
    if models and any(name not in dataset_names() and Path(name).is_dir() for name in names):
        try:
            return {"speech-emotion": "audio", "video-emotion": "video"}.get(find_model(models[0]).task, "image")
        except MienError:
            pass  # what is wrong with it is said where it is needed
    return "image"


def _load_model(word: str, kind: str, *, threads: int | None, engines: dict[str, Any]) -> Any:
    from mien.evaluate.runs import find_model

    spec = find_model(word)
    if kind == "audio":
        from mien.speech.analyzer import SpeechAnalyzer

        return SpeechAnalyzer(spec, threads=threads)
    if kind == "video":
        from mien.video.clips import ClipModel, FaceFeatures

        return (ClipModel if spec.task == "video-emotion" else FaceFeatures)(spec, threads=threads)
    from mien.face.analyzer import FaceAnalyzer

    return FaceAnalyzer(spec, threads=threads, **engines)


def _distinct_names(words: list[str], names: list[str]) -> list[str]:
    """Return what to call each model: as its record does, or, where two records have one name, as it was given."""
    if len(set(names)) == len(names):
        return names
    return words if len(set(words)) == len(words) else [f"{word} ({i})" for i, word in enumerate(words, start=1)]


def _evaluate(
    choice: Choice,
    models: list[tuple[str, Any]],
    kind: str,
    options: dict[str, Any],
    *,
    among: tuple[str, ...],
    noise: bool,
    several: bool,
) -> list[_Done]:
    """Evaluate all models on one dataset; where there is more to do, what fails is noted and passed over."""
    from mien.evaluate import measure, predict
    from mien.evaluate.predictions import UNITS

    done: list[_Done] = []
    # Models of one input size share the images, read at that size.
    opened: dict[int | None, tuple[Samples, Samples | None]] = {}
    for name, model in models:
        try:
            samples, training = _open(choice, kind, model, opened)
            count, unit = int((samples.labels >= 0).sum()), UNITS[kind]
            with shell.progress(count, f"evaluating {name}" if several else "evaluating", unit=unit) as advance:
                predictions = predict(model, samples, progress=advance, **options)
            if among:
                predictions = predictions.restrict(among)
            curve = _noise_curve(model, predictions, name if several else "") if noise else ()
            evaluation = measure(predictions, training=training, noise=curve)
        except MienError as error:
            if not several:
                raise
            shell.note(f"{name} on {choice.name}: {error}")
            continue
        if evaluation.caveat:
            shell.note(f"caution: {evaluation.caveat}")
        note_some([f"left out {line}" for line in predictions.unreadable])
        done.append(_Done(name, model, choice, predictions, evaluation))
    return done


def _open(
    choice: Choice, kind: str, model: Any, opened: dict[int | None, tuple[Samples, Samples | None]]
) -> tuple[Samples, Samples | None]:
    """Return the samples to measure on, and those of Training where they are at hand."""
    from mien.data import DATASETS, load_dataset
    from mien.evaluate import take_split

    size = model.size if kind == "image" and not DATASETS[choice.name].in_memory else None
    if size not in opened:
        # All splits are read: copies of Training's images can be found only where those are at hand.
        if kind == "image":
            samples = open_images(replace(choice, split=None), size=size)
        else:
            samples = load_dataset(choice.name, choice.path, **choice.options)
        # Whole datasets of videos were always measured where no split is named.
        opened[size] = take_split(samples, choice.split or ("all" if kind == "video" else None))
    return opened[size]


def _noise_curve(model: Any, predictions: Predictions, name: str) -> tuple[NoiseFigures, ...]:
    from mien.evaluate.noise import CHANNELS, KINDS, can_babble, model_noise_curve

    babbles = can_babble(predictions.samples)
    kinds = (*(KINDS if babbles else ("white",)), *CHANNELS)
    if not babbles:
        shell.note(f"no babble: all clips of {predictions.samples.name} are of one subject")
    what = f"evaluating {name} in noise" if name else "evaluating in noise"
    with shell.progress(len(predictions.samples), what, unit="clips") as advance:
        return model_noise_curve(model, predictions, kinds=kinds, progress=advance)


def _compare(done: list[_Done]) -> list[PairedResult]:
    from mien.evaluate import compare

    return [compare(a.predictions, b.predictions, names=(a.name, b.name)) for a, b in combinations(done, 2)]


def _show(done: list[_Done], comparisons: list[PairedResult], *, as_json: bool, several: bool) -> None:
    from mien.evaluate import report

    if as_json and not several:
        shell.write(report.to_json(done[0].evaluation))
    elif as_json:
        plain = {
            "results": [{"name": d.name, **d.evaluation.to_dict()} for d in done],
            "comparisons": [comparison.to_dict() for comparison in comparisons],
        }
        shell.write(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        parts = [report.to_text(d.evaluation) for d in done]
        if len(done) > 1:
            parts.append(report.summary([(d.name, d.evaluation) for d in done]))
        unit = done[0].predictions.unit
        parts += ["\n".join(report.paired_lines(comparison, unit=unit)) for comparison in comparisons]
        shell.write("\n\n".join(parts))


def _write_reports(
    folder: Path,
    done: list[_Done],
    comparisons: list[PairedResult],
    given: dict[str, Any],
    *,
    several: bool,
) -> None:
    """Write the report of each evaluation; where there are several, the overview that leads to them, too.

    ``given`` is what `_describe_command` takes.
    """
    from mien.evaluate.report import attention_maps, folder_names, write_overview, write_report

    places = [folder]
    if several:
        names = folder_names([f"{d.name}-{d.evaluation.dataset}-{d.evaluation.split}" for d in done])
        listed = [(d.name, name, d.evaluation) for d, name in zip(done, names, strict=True)]
        write_overview(folder, listed, comparisons, unit=done[0].predictions.unit)
        places = [folder / name for name in names]
    for d, place in zip(done, places, strict=True):
        command = _describe_command(d, **given)
        attention = attention_maps(d.model, d.predictions) if d.evaluation.kind == "image" else []
        write_report(place, d.evaluation, d.predictions, attention=attention, command=command)


def _describe_command(d: _Done, *, forced: bool, restricted: bool, engines: dict[str, Any]) -> str:
    """Return the command that makes a report, without the paths of data."""
    parts = [f"mien evaluate {d.name} {d.choice.name} --data DATA"]
    if d.choice.split or d.evaluation.split != "all":
        parts.append(f"--split {d.choice.split or d.evaluation.split}")
    for key, value in d.choice.options.items():
        named = {"labels": "--labels LABELS", "protocol": f"--protocol {value}"}
        parts.append(named.get(key, f"--option {key}={value}"))
    if forced:
        parts.append(f"--labels-as {d.evaluation.output}")
    if restricted:
        parts.append(f"--classes {','.join(d.predictions.label_set)}")
    parts += [flag for flag, used in (("--flip", d.evaluation.views == 2), ("--noise", d.evaluation.noise)) if used]
    parts += [f"--{name} {value}" for name, value in engines.items() if is_given(name)]
    return " ".join(parts)


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
    if dataset is not None:
        found.append(choose(dataset, data, split=split, labels=labels, protocol=protocol, pairs=pairs, kinds=(kind,)))
    elif data or split or labels or protocol or pairs:
        raise click.UsageError("--data, --split, --labels, --protocol and --option are for the dataset NAME")
    for words in on:
        named, sign, path = words.partition("=")
        name, _, part = named.partition(":")
        if not sign or not path or not name:
            raise click.UsageError(f"--on must be NAME[:SPLIT]=PATH, but is {words!r}")
        found.append(choose(name, Path(path), split=part or None, kinds=(kind,)))
    if not found:
        raise click.UsageError("name a dataset, or give --on NAME[:SPLIT]=PATH")
    return found


def _reject(kind: str) -> None:
    """Raise a usage error for options on the command line that mean nothing for a kind of data."""
    wrong = [f"--{name.replace('_', '-')}" for name in _NOT_FOR[kind] if is_given(name)]
    if wrong:
        raise click.UsageError(f"{' and '.join(wrong)}: not for {_NOUNS.get(kind, kind)}")
