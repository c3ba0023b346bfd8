"""``mien train``: run a recipe, once or fold by fold."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien._extras import import_extra
from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import parse_pair

if TYPE_CHECKING:
    from mien.train.folds import FoldResult

__all__ = ["command"]


@click.command(
    name="train",
    cls=GroupedCommand,
    examples=(
        "mien train --recipe face-base --data fer2013.csv --labels fer2013new.csv",
        "mien train --recipe fine-tune --data my-faces/",
        r"mien train --recipe fine-tune --data moods/ --option classes=bored,engaged --option 'subject=/(\d+)_'",
        "mien train --recipe cnn --dataset baum2_frames --data frames/ --folds 5 --split subject --split random",
        "mien train --recipe speech-base --data ravdess/ --folds 5 --noise --out runs/speech-folds",
        "mien train --recipe speech-base --data ravdess/ --after runs/speech-folds",
        "mien train --recipe temporal --data baum2/ --folds 10",
    ),
)
@click.option("--recipe", "recipe_name", required=True, metavar="NAME|FILE", help="A recipe of mien, or a TOML file.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="File or folder of the dataset.")
@click.option(
    "--labels", type=click.Path(path_type=Path), help="FER+ votes.  [default: fer2013new.csv beside the data]"
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder.  [default: runs/NAME]")
@click.option("--name", help="Name of the run and its model.  [default: the recipe's]")
@click.option("--dataset", metavar="NAME", help="Another dataset than the recipe's (mien data inspect --list).")
@click.option("--init", metavar="NAME|RUN|FILE", help="Start from a shipped model, a run folder or a weights file.")
@click.option("--freeze", multiple=True, metavar="PART", help="Freeze a part of the network, such as 'body'.")
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs.  [default: the recipe's]")
@click.option("--batch", type=click.IntRange(min=2), help="Batch size.  [default: the recipe's]")
@click.option("--accumulate", type=click.IntRange(min=1), help="Batches a step, to save memory.  [default: 1]")
@click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Another option of the dataset.")
@click.option("--seed", type=click.IntRange(min=0), help="Random seed.  [default: the recipe's]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other value: optimizer.rate=0.01 ...")
@click.option("--folds", type=click.IntRange(min=2), metavar="K", help="Cross-validate: a new network for every fold.")
@click.option(
    "--split",
    "ways",
    multiple=True,
    type=click.Choice(("subject", "random", "copies", "continued")),
    help="How --folds splits the data; only 'subject' is free of leaks, the others show what leaks add."
    "  [default: subject]",
)
@click.option("--only", multiple=True, type=click.IntRange(min=1), help="Train this fold alone, to share the work.")
@click.option("--noise", is_flag=True, help="With --folds on speech: evaluate in noise, too.")
@click.option(
    "--after",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Speech: train on all recordings, with the number of epochs and the temperature of these folds.",
)
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs, or CPU processes.")
@click.option(
    "--precision",
    type=click.Choice(("auto", "float32", "bfloat16")),
    default="auto",
    show_default=True,
    help="auto is bfloat16 where the processor has instructions for it.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: PyTorch's choice]")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Processes that augment.")
@click.option(
    "--logger",
    "loggers",
    multiple=True,
    type=click.Choice(("csv", "tensorboard", "mlflow")),
    help="Also log every epoch there, in the run folder's logs/.",
)
def command(
    recipe_name: str,
    data: Path,
    labels: Path | None,
    out: Path | None,
    settings: tuple[str, ...],
    folds: int | None,
    ways: tuple[str, ...],
    only: tuple[int, ...],
    noise: bool,
    after: Path | None,
    device: str,
    devices: int,
    precision: str,
    threads: int | None,
    workers: int,
    loggers: tuple[str, ...],
    pairs: tuple[str, ...],
    **changes: Any,
) -> int:
    """Train a model from a recipe.

    Run the same command again to resume after an interruption, from the last finished epoch.  The run folder then holds
    report.md with its plots, config.toml, history.csv, checkpoints, and model.onnx with model.toml, which
    'mien analyze --model DIR' and 'mien evaluate DIR ...' take; models for clips are for --clip-model DIR.
    """
    from mien.models import runtime

    runtime.onnxruntime()  # without its telemetry, before Lightning imports it
    for module in ("torch", "lightning", "safetensors", "onnx", "onnxscript", "matplotlib"):
        import_extra(module, extra="train", purpose="training")
    from mien.train.recipe import check_members, load_recipe, override
    from mien.train.run import RunOptions, train

    if (ways or only or noise) and folds is None:
        raise click.UsageError("--split, --only and --noise need --folds")
    if after is not None and folds is not None:
        raise click.UsageError("--after trains one network from finished folds: leave out --folds")
    given = {key: value for key, value in changes.items() if value not in (None, ())}
    loaded = load_recipe(recipe_name)
    recipe = override(dataclasses.replace(loaded, **given), settings)
    recipe = dataclasses.replace(recipe, dataset_options=recipe.dataset_options | dict(map(parse_pair, pairs)))
    check_members(loaded, recipe)
    folder = out or Path("runs") / recipe.name
    options = RunOptions(
        device=device,
        devices=devices,
        precision=precision,
        threads=threads,
        workers=workers,
        loggers=loggers,
        progress=sys.stderr.isatty(),
    )
    if folds is not None:
        from mien.train.folds import train_folds

        results = train_folds(
            recipe,
            data=data,
            labels=labels,
            out=folder,
            k=folds,
            ways=ways or ("subject",),
            noise=noise,
            only=only,
            options=options,
            report=shell.note,
        )
        _write_results(results)
    elif after is not None:
        from mien.train.after_folds import train_final

        train_final(recipe, data=data, after=after, out=folder, options=options, report=shell.note)
    else:
        train(recipe, data=data, labels=labels, out=folder, options=options, report=shell.note)
    shell.write(str(folder))
    return 0


def _write_results(results: Sequence[FoldResult]) -> None:
    if not results:
        return
    rows = [
        (
            f"{r.way}, {r.net}" if r.net else r.way,
            r.head,
            str(r.n),
            str(r.groups),
            f"{100 * r.accuracy:.1f} % [{100 * r.accuracy_low:.1f}, {100 * r.accuracy_high:.1f}]",
            f"{100 * r.uar:.1f} % [{100 * r.uar_low:.1f}, {100 * r.uar_high:.1f}]",
            f"{100 * r.chance:.1f} %",
        )
        for r in results
    ]
    shell.write(shell.table(["split", "labels", "rows", "groups", "accuracy", "UAR", "largest class"], rows))
