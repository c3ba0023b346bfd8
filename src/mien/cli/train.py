"""``mien train``: run a recipe."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from mien._extras import need
from mien.cli import _shell

__all__ = ["command"]


@click.command(name="train")
@click.option("--recipe", "recipe_name", required=True, metavar="NAME|FILE", help="A recipe of mien, or a TOML file.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="FER2013's CSV, or a folder with it.")
@click.option(
    "--labels", type=click.Path(path_type=Path), help="FER+ votes.  [default: fer2013new.csv beside the data]"
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder.  [default: runs/RECIPE]")
@click.option("--epochs", type=click.IntRange(min=1), help="Another length than the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed than the recipe's.")
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(("auto", "float32", "bfloat16")),
    default="auto",
    show_default=True,
    help="auto takes bfloat16 where the processor multiplies in it.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: PyTorch's choice]")
def command(
    recipe_name: str,
    data: Path,
    labels: Path | None,
    out: Path | None,
    epochs: int | None,
    seed: int | None,
    device: str,
    precision: str,
    threads: int | None,
) -> int:
    r"""Train a model from a recipe.

    Run the same command again to go on after an interruption: the run continues after the last finished epoch.  The
    run folder then holds config.toml, history.csv, checkpoints, and model.onnx with model.toml, which
    'mien analyze --model DIR' and 'mien evaluate DIR ...' take.

    \b
    mien train --recipe face-base --data fer2013.csv --labels fer2013new.csv
    """
    for module in ("torch", "lightning", "torchmetrics", "safetensors", "onnx", "onnxscript"):
        need(module, extra="train", purpose="training")
    from mien.training.recipe import load_recipe
    from mien.training.run import RunOptions, train

    recipe = load_recipe(recipe_name)
    if epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=epochs)
    if seed is not None:
        recipe = dataclasses.replace(recipe, seed=seed)
    options = RunOptions(device=device, precision=precision, threads=threads, progress=sys.stderr.isatty())
    folder = train(
        recipe, data=data, labels=labels, out=out or Path("runs") / recipe.name, options=options, report=_shell.note
    )
    _shell.write(str(folder))
    return 0
