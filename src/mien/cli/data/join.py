"""``mien data join``: several datasets into one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, choose_named, open_images

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.data.join import Joined

__all__ = ["command"]


@click.command(
    name="join",
    cls=GroupedCommand,
    examples=(
        "mien data join all.csv ferplus=fer2013.csv iefdb=iefdb/ --drop-duplicates",
        "mien data join all.parquet fer2013=fer2013.csv ckplus48=CK+48/ --labels-as ferplus8",
    ),
)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True, metavar="NAME=PATH...")
@click.option("--labels-as", type=click.Choice(["fer7", "ferplus8"]), default="fer7", show_default=True)
@click.option("--size", type=click.IntRange(8, 1024), default=48, show_default=True, help="Side of the images, px.")
@click.option("--option", "pairs", multiple=True, metavar="NAME.KEY=VALUE", help="An option of a source.")
@click.option("--drop-duplicates", is_flag=True, help="Keep one copy of an image; one that is held out comes first.")
def command(
    out: Path, sources: tuple[str, ...], labels_as: str, size: int, pairs: tuple[str, ...], drop_duplicates: bool
) -> int:
    """Join datasets into one, with mapped labels and where each image comes from.

    OUT is a .csv (FER2013's columns with subject, clip and source), a .parquet, or else a folder
    <split>/<emotion>/*.png with manifest.csv; it must not exist. The first two are read as the dataset "table", the
    third as "folder". Splits keep their names. Images are taken whole: cut photographs first by mien data prepare.

    Copies are compared pixel for pixel, at the size that is written; without --drop-duplicates they are only counted.
    With it, nothing stands in two splits: of copies in a training split (its name begins with "train", or there is
    none) and in another, the other is kept; else the first.
    """
    from mien.data import table
    from mien.data.join import join

    table.form_of(out)
    table.check_free(out)
    choices = [choose_named(text, pairs) for text in sources]
    _known(pairs, choices)
    parts = [open_images(choice, size=size) for choice in choices]
    joined = join(parts, labels=labels_as, size=size, drop_duplicates=drop_duplicates)
    for line in joined.notes:
        shell.note(line)
    for line in _copies(joined, dropped=drop_duplicates):
        shell.note(line)
    data = joined.data
    with shell.progress(len(data), "writing", unit="images") as advance:

        def counted() -> Iterator[table.Face]:
            for row in table.faces_of(data, joined.sources):
                yield row
                advance(1)

        table.write(out, counted(), data.label_set, shares=data.distribution is not None)
    shell.write(_counts(data))
    shell.note(f"wrote {len(data)} images to {out}")
    return 0


def _known(pairs: tuple[str, ...], choices: list[Choice]) -> None:
    names = [choice.name for choice in choices]
    for pair in pairs:
        if pair.partition(".")[0] not in names:
            raise click.UsageError(f"--option must be NAME.KEY=VALUE of {', '.join(names)}, but got {pair!r}")


def _copies(joined: Joined, *, dropped: bool) -> list[str]:
    """Say in lines which copies there are."""
    lines = [
        f"{count} images of {second} {'come again in it' if first == second else f'are also in {first}'}"
        for first, second, count in joined.duplicates
    ]
    if joined.split_copies:
        lines.append(f"{joined.split_copies} images {'stood' if dropped else 'stand'} in more than one split")
    if joined.conflicts:
        lines.append(f"{joined.conflicts} images have copies with different labels")
    if joined.duplicates:
        lines.append(f"{joined.dropped} copies are left out" if dropped else "--drop-duplicates leaves copies out")
    return lines


def _counts(data: Samples) -> str:
    emotions = data.label_set.emotions
    rows = []
    for split in data.split_names():
        labels = data.labels[data.splits == split].tolist()
        rows.append((split or "-", *(labels.count(i) for i in range(len(emotions)))))
    return shell.table(("split", *emotions), rows, right=range(1, len(emotions) + 1))
