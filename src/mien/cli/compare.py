"""``mien compare``: training runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import shell

if TYPE_CHECKING:
    from mien.evaluate.runs import Figure, Run

__all__ = ["command"]


@click.command(name="compare")
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metric", metavar="NAME", help="Column of the histories to show and to draw.  [default: val_score]")
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Draw it over the epochs, as PNG.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(folders: tuple[Path, ...], metric: str | None, chart: Path | None, as_json: bool) -> int:
    """Compare training runs: net, size, epochs, and what each head reached on its validation rows.

    RUN is a run folder; `mien compare runs/*` takes all there are.  Figures are those of the run's record with their
    95 % interval, or, of an unfinished run, those of its best epoch so far.  Files among the arguments are passed over.
    """
    from mien.errors import ModelError
    from mien.evaluate.runs import best_metric, chart_series, read_run

    if chart is not None and chart.suffix.lower() != ".png":
        raise click.UsageError(f"--chart must end in .png, but is {chart.name!r}")
    runs, failed = [], 0
    for folder in folders:
        if folder.is_file():
            shell.note(f"passed over: {folder} is no folder")
            continue
        try:
            runs.append(read_run(folder))
        except ModelError as error:
            shell.note(str(error))
            failed += 1
    if not runs:
        raise ModelError(f"none of the {len(folders)} paths is a run folder")
    if metric is not None or chart is not None:
        column = best_metric(runs, metric)
    if as_json:
        shell.write(json.dumps([run.to_dict() for run in runs], indent=2, ensure_ascii=False, allow_nan=False))
    else:
        shell.write(_table(runs, column if metric is not None else None))
    if chart is not None:
        from mien.evaluate.documents import write_bytes
        from mien.output.plots import compare_runs

        write_bytes(chart, compare_runs(chart_series(runs, column), column))
        shell.note(f"drew {chart}")
    return shell.SOME_FAILED if failed else 0


def _table(runs: list[Run], metric: str | None) -> str:
    heads = list(dict.fromkeys(head for run in runs for head in run.heads))
    head = ["run", "net", "parameters", "MB", "epochs", "best", "minutes"]
    head += [f"{name} {what}" for name in heads for what in ("accuracy", "UAR")]
    if metric is not None:
        head.append(f"{metric} at best")
    noted = any(run.notes for run in runs)
    rows = [[*_row(run, heads), *([_number(run.at_best(metric), 4)] if metric else [])] for run in runs]
    if noted:
        head.append("note")
        rows = [[*row, "; ".join(run.notes)] for row, run in zip(rows, runs, strict=True)]
    return shell.table(head, rows, right=range(2, len(head) - noted))


def _row(run: Run, heads: list[str]) -> list[str]:
    row = [run.name, run.net or "-", "-" if run.parameters is None else f"{run.parameters:,}"]
    row += [_number(run.size_mb, 1), run.epochs, str(run.best_epoch or "-"), _number(run.minutes, 1)]
    return row + [_share(run.figure(name, metric)) for name in heads for metric in ("accuracy", "uar")]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _share(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    text = f"{100 * figure.value:.2f}"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({100 * figure.low:.2f}-{100 * figure.high:.2f})"
