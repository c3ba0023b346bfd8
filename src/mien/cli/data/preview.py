"""``mien data preview``: what a recipe's augmentation does to its images, as a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mien._extras import import_extra
from mien.cli import shell
from mien.cli._options import GroupedCommand

__all__ = ["command"]


@click.command(
    name="preview",
    cls=GroupedCommand,
    examples=("mien data preview --recipe face-base --data fer2013.csv --out preview.png",),
)
@click.option("--recipe", "recipe_name", required=True, metavar="NAME|FILE", help="A recipe of mien, or a TOML file.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="File or folder of the data set.")
@click.option("--labels", type=click.Path(path_type=Path), help="FER+ votes, where the recipe wants them.")
@click.option("--dataset", metavar="NAME", help="Another data set than the recipe's.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("preview.png"), show_default=True)
@click.option("--rows", type=click.IntRange(1, 50), default=8, show_default=True, help="Images.")
@click.option("--columns", type=click.IntRange(1, 30), default=10, show_default=True, help="Views of each.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed than the recipe's.")
def command(
    recipe_name: str,
    data: Path,
    labels: Path | None,
    dataset: str | None,
    out: Path,
    rows: int,
    columns: int,
    seed: int | None,
) -> int:
    """Draw a sheet: images as they are on the left, then as training sees them."""
    import_extra("torch", extra="train", purpose="augmentation")
    from dataclasses import replace

    from mien.train.preview import preview
    from mien.train.recipe import load_recipe

    recipe = load_recipe(recipe_name)
    given: dict[str, Any] = {key: value for key, value in (("dataset", dataset), ("seed", seed)) if value is not None}
    recipe = replace(recipe, **given)
    shell.note(f"reading {data}")
    preview(recipe, data, out, votes=labels, rows=rows, columns=columns)
    shell.write(str(out))
    return 0
