"""``mien data inspect``: what is in a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, dataset_arguments, open_samples

if TYPE_CHECKING:
    from mien.data.summary import Spread, Summary

__all__ = ["command"]

_MOST_LINES, _MOST_PEOPLE = 20, 30
_UNITS = {"image": "images", "audio": "files", "video": "clips"}


def _list(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from mien.data import DATASETS

        rows = [(name, DATASETS[name].kind, DATASETS[name].about) for name in DATASETS]
        shell.write(shell.table(("name", "kind", "what it is"), rows))
        ctx.exit()


@click.command(
    name="inspect",
    cls=GroupedCommand,
    examples=(
        "mien data inspect fer2013 --data fer2013.csv --sheet samples.png",
        "mien data inspect folder --data photos --all",
    ),
)
@dataset_arguments("image", "video", "audio")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List the datasets.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw samples of each class.")
@click.option("--all", "everything", is_flag=True, help="Read all files, not 500 of them.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides which are drawn.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(choice: Choice, sheet: Path | None, everything: bool, seed: int, as_json: bool) -> int:
    """Count a dataset by split, class, subject, clip and size, and list what is wrong with it.

    Up to 30 subjects are listed, and where the dataset has no splits, one that keeps them apart is suggested. Nothing
    is changed. Of a dataset in files, 500 are read for their size or duration; --all reads every one, and so
    finds every file that cannot be read. Of videos, the middle frames are read.
    """
    from mien.data.summary import SAMPLE, sample_sheet, summarize

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise click.UsageError(f"--sheet must end in .png, but is {sheet.name!r}")
    given = click.get_current_context().params["dataset"]
    if given != choice.name:
        shell.note(f"{given} is read as: mien data inspect {choice.name} --data {given}")
    data = open_samples(choice)
    unit = _UNITS[data.kind]
    most = len(data) if everything else min(len(data), SAMPLE)
    with shell.progress(most, "reading", unit=unit) as advance:
        summary = summarize(data, sample=None if everything else SAMPLE, seed=seed, progress=advance)
    if summary.measured and most < len(data) != summary.measured:
        shell.note(f"sizes are those of {most} of {len(data)} {unit}: --all reads every one")
    if as_json:
        shell.write(json.dumps(summary.to_dict(), indent=2, ensure_ascii=False))
    else:
        shell.write(_text(summary))
    if sheet is not None:
        from mien.output.write import write_image

        write_image(sheet, sample_sheet(data, seed=seed))
        shell.note(f"drew {sheet}")
    return 0


def _text(summary: Summary) -> str:
    unit = _UNITS[summary.kind]
    lines = [_counts(summary, unit), "", *_people(summary)]
    if summary.subjects is not None:
        lines.append(f"subjects  {summary.subjects.n}, with {_range(summary.subjects)} {unit} each")
    if summary.clips and summary.kind != "video":
        lines.append(f"clips     {summary.clips}")
    if summary.frames is not None:
        lines.append(f"frames    {_range(summary.frames)} in each of {summary.frames.n} clips of images")
    if summary.kind != "audio":
        lines.append(f"sizes     {_sizes(summary)}")
    elif summary.seconds is not None:
        lines.append(f"seconds   {_range(summary.seconds)}")
    lines.append(f"problems  {len(summary.problems) or 'none'}")
    lines += [f"  {shell.one_line(line)}" for line in summary.problems[:_MOST_LINES]]
    if len(summary.problems) > _MOST_LINES:
        lines.append(f"  and {len(summary.problems) - _MOST_LINES} more: --json lists all")
    return "\n".join(lines)


def _people(summary: Summary) -> list[str]:
    """Return a table of the subjects, if they are few, and the split that is suggested."""
    if not summary.people or len(summary.people) > _MOST_PEOPLE:
        return []
    heads = {"subject": "subject", "sex": "sex", "n": _UNITS[summary.kind], "split": "split"}
    heads["suggested_split"] = "suggested split"
    shown = {key: head for key, head in heads.items() if any(one[key] for one in summary.people)}
    rows: list[list[object]] = [[one[key] for key in shown] for one in summary.people]
    numbers = [list(shown).index("n")]
    if summary.kind == "audio" and summary.measured == summary.images:
        rows = [[*row, f"{one['seconds']:.1f}"] for row, one in zip(rows, summary.people, strict=True)]
        numbers.append(len(shown))
        shown["seconds"] = "seconds"
    return [shell.table(tuple(shown.values()), rows, right=numbers), ""]


def _counts(summary: Summary, unit: str) -> str:
    """Lay out classes as rows and splits as columns: a terminal has more lines than room for nine words."""
    splits = list(summary.counts)
    emotions = list(next(iter(summary.counts.values()), {}))
    rows: list[list[object]] = []
    for emotion in emotions:
        numbers = [summary.counts[split][emotion] for split in splits]
        if emotion != "none" or any(numbers):
            rows.append([emotion, *numbers, sum(numbers)])
    sums = [sum(summary.counts[split].values()) for split in splits]
    rows.append(["all", *sums, sum(sums)])
    if splits == [""]:
        return shell.table(("emotion", unit), [(row[0], row[-1]) for row in rows], right=(1,))
    head = ("emotion", *(split or "(no split)" for split in splits), "all")
    return shell.table(head, rows, right=range(1, len(head)))


def _range(spread: Spread) -> str:
    low, high = f"{spread.low:g}", f"{spread.high:g}"
    return low if low == high else f"{low} to {high} (median {spread.median:g})"


def _sizes(summary: Summary) -> str:
    if summary.widths is None or summary.heights is None:
        return "not known: no image could be read"
    if len(summary.sizes) == 1:
        return "{} x {}".format(*next(iter(summary.sizes)))
    (width, height), most = next(iter(summary.sizes.items()))
    return (
        f"{len(summary.sizes)} different; widths {_range(summary.widths)}, heights {_range(summary.heights)}; "
        f"most often {width} x {height} ({most})"
    )
