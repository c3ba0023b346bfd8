"""``mien batch``: millions of files, resumable, on one machine or a cluster."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mien._checks import count_of
from mien.cli import shell
from mien.cli._options import GroupedCommand, PathType, add_options, choose_specs, models_option, only_option, option
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.options import AudioOptions, ModelOptions, VideoOptions, make_options

if TYPE_CHECKING:
    from mien.batch import Plan, Settings

__all__ = ["command"]

_MODELS, _FACES, _VIDEOS, _AUDIO = "Models and limits", "Faces", "Videos", "Audio"

_PATH = PathType()
_DATASET = click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path, file_okay=False))

_EXAMPLES = (
    "mien batch photos/ --out photos-emotions/",
    "mien batch list.csv clips.tar videos/ --out emotions/ --workers 8",
    "mien batch s3://bucket/photos/ --out emotions/ --cluster ray",
    "mien batch photos/ --out emotions/ --shard 3/16",
    "mien batch status emotions/",
    "mien batch export emotions/ --table faces --out faces.csv",
)


class _Group(click.Group):
    """A group whose default command takes inputs; the names of its other commands come first."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before anything that names no command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args or ["--help"])

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of the default command, and the names of the others."""
        with click.Context(_run, info_name=ctx.info_name, parent=ctx.parent) as inner:
            _run.format_help(inner, formatter)
        with formatter.section("Other commands"):
            others = [(f"{name} DATASET", self.commands[name].get_short_help_str(80)) for name in _OTHERS]
            formatter.write_dl(others)

    @property
    def examples(self) -> tuple[str, ...]:
        """The examples of the help."""
        return _EXAMPLES


_OTHERS = ("status", "retry", "export")


@click.group(name="batch", cls=_Group)
def command() -> None:
    """Read the emotions of many files into a dataset that can be resumed."""


class _ShardType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """The i-th of n machines, as ``i/n``, from 1."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the number from 0, and how many there are."""
        if isinstance(value, tuple):
            return value
        first, _, last = str(value).partition("/")
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
            self.fail(f"expected i/n with i from 1 to n, such as 3/16, but got {value!r}", param, ctx)
        return int(first) - 1, int(last)


_running = (
    option("--workers", type=click.IntRange(1), help="Processes, or actors of the cluster.  [default: cores]"),
    option(
        "--cluster",
        metavar="ray[://HOST:PORT]",
        help="Use Ray instead: start it here, or join a cluster (extra cluster).",
    ),
    option("--shard", type=_ShardType(), metavar="i/n", help="Read only every n-th part, from the i-th."),
)


def _running_options(command: Any) -> Any:
    for decorate in reversed(_running):
        command = decorate(command)
    return command


@command.command(name="run", cls=GroupedCommand, examples=_EXAMPLES, hidden=True)
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@option("--out", "folder", required=True, type=_PATH, metavar="DATASET", help="Folder of the results.")
@option("--resume", is_flag=True, help="Take inputs and settings from DATASET; no INPUT is needed.")
@_running_options
@option("--column", help="Column of lists and Parquet files with the paths or the bytes.  [default: path, bytes, ...]")
@option("--part-items", type=click.IntRange(1), help="Items of a part, at most.  [default: 500]")
@option("--plan-only", is_flag=True, help="Write the plan and read nothing, for many machines to begin with.")
@add_options(ModelOptions, "detector", "min_face_px", group=_FACES)
@only_option(_VIDEOS)
@add_options(VideoOptions, "step_s", "from_s", "to_s", "max_faces", "min_seen_s", "smooth_s", group=_VIDEOS)
@add_options(VideoOptions, "method", "fusion", "clip_model", group=_VIDEOS)
@add_options(AudioOptions, "channel", "window_s", "hop_s", group=_AUDIO)
@models_option(_MODELS)
@add_options(ModelOptions, "output", "flip", "device", "engine", "precision", "max_pixels", group=_MODELS)
@click.pass_context
def _run(ctx: click.Context, /, inputs: tuple[str, ...], folder: Path, **values: Any) -> int:
    """Read the emotions of many images, videos and audio files into a dataset that can be resumed.

    INPUT is a file, a folder, a pattern, a list (.txt: a path a line; .csv, .tsv, .parquet: a column of paths), a
    .tar archive, a .parquet file with media bytes, or an s3://, gs:// or az:// prefix.  DATASET gets a plan at the
    first run and then one Parquet file a part, with a row an item.  Run the same command again to do what is missing;
    nothing is read twice.  A file that cannot be read is a row with its error.
    """
    from mien.batch import Plan, list_entries
    from mien.batch.plan import MANIFEST, PART_ITEMS

    given = {name for name in values if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
    is_new = not (folder / MANIFEST).exists()
    if values["resume"]:
        fixed = sorted(given - {"resume", "workers", "cluster", "shard"})
        if inputs or fixed:
            raise click.UsageError("--resume takes inputs and settings from the dataset: leave out others")
        plan = Plan.load(folder)
        plan.check()
    elif not inputs:
        raise click.UsageError("name something to read, or give --resume")
    elif is_new:
        settings = _settings(values)
        _check_folder(folder)
        root = os.getcwd()  # noqa: PTH109 - names that are not UTF-8 stay
        skipped: list[str] = []
        with shell.terminable(), shell.progress(None, "listing", unit="items") as advance:
            entries = _counted(
                list_entries(inputs, column=values["column"], root=root, on_skipped=skipped.append), advance
            )
            plan = Plan.create(
                folder,
                entries,
                settings,
                inputs=inputs,
                root=root,
                column=values["column"],
                part_items=values["part_items"] or PART_ITEMS,
            )
        if skipped:
            shell.note(f"{len(skipped)} skipped (not named as an image, video or audio file)")
    else:
        plan = Plan.load(folder)
        plan.check(_settings(values), inputs)
    if values["plan_only"]:
        shell.note(f"planned {plan.items} items in {plan.parts} parts")
        return 0
    return _read(plan, values, plan.missing(values["shard"] or (0, 1)))


def _counted(entries: Any, advance: shell.Advance) -> Any:
    for count, entry in enumerate(entries, 1):
        if count % 1000 == 0:
            advance(1000)
        yield entry


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else."""
    if folder.is_file():
        raise InputError(f"--out {format_path(folder)} is a file: name a folder")
    if folder.is_dir():
        others = [path.name for path in folder.iterdir() if path.name != "plan" and not path.name.endswith(".tmp")]
        if others:
            raise DatasetError(f"{format_path(folder)} holds no batch, but other files, such as {others[0]}")


def _settings(values: dict[str, Any]) -> Settings:
    from mien.batch import Settings

    def check(spec: Any) -> None:
        if spec.task not in ("face-emotion", "speech-emotion"):
            raise click.UsageError(f"model {spec.name!r} is for {spec.task}")

    chosen: dict[str, Any] = {place: name for place, (name, _) in choose_specs(values["models"], check).items()}
    own = dict(values)
    models, video = make_options(ModelOptions, own), make_options(VideoOptions, own)
    return Settings(replace(models, **chosen), video, make_options(AudioOptions, own), values["only"])


def _read(plan: Plan, values: dict[str, Any], parts: Any, *, retry: bool = False) -> int:
    """Read parts, and return the exit code."""
    from mien.batch import LocalPool, run_parts
    from mien.models.runtime import count_cores

    todo = list(parts)
    if not todo:
        shell.note("nothing is missing")
        return _exit_code(plan)
    # Parts differ in size: of some of them, the number of items is an estimate.  What failed is not counted in advance.
    total = None if retry else round(plan.items * len(todo) / plan.parts)
    cluster = values["cluster"]
    if cluster is not None and not (cluster == "ray" or cluster.startswith("ray://")):
        raise click.UsageError(f"--cluster must be ray or ray://HOST:PORT, but got {cluster!r}")
    with (
        shell.terminable(),
        shell.progress(total, "reading", unit="items") as bar,
    ):
        if cluster is not None:
            from mien.batch.cluster import RayPool

            pool: Any = RayPool(plan.folder, cluster, values["workers"])
        else:
            workers = min(values["workers"] or count_cores(), len(todo))
            pool = LocalPool(plan.folder, workers, on_items=bar)
        counted = (lambda items, _: bar(items)) if cluster is not None else None
        items, failed = run_parts(plan, todo, pool, retry=retry, on_read=counted)
    shell.note(f"{count_of(items, 'item')} read, {failed} failed; in {format_path(plan.folder)}")
    return shell.FAILED if items and failed == items else shell.SOME_FAILED if failed else 0


def _exit_code(plan: Plan) -> int:
    from mien.batch import read_status

    status = read_status(plan)
    failed = sum(status.errors.values())
    return shell.FAILED if failed == status.done_items else shell.SOME_FAILED if failed else 0


@command.command(name="status")
@_DATASET
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def _status(dataset: Path, as_json: bool) -> int:
    """Show how much is done, and the errors."""
    import json
    from dataclasses import asdict

    from mien.batch import Plan, read_status

    plan = Plan.load(dataset)
    status = read_status(plan)
    if as_json:
        shell.write(json.dumps(asdict(status), indent=2))
        return 0
    share = status.done_items / status.items
    kinds = ", ".join(f"{count} {name}" for name, count in status.kinds.items())
    rows: list[tuple[str, object]] = [
        ("items", f"{status.done_items} of {status.items} ({share:.1%})"),
        ("parts", f"{status.done_parts} of {status.parts}"),
        *([("kinds", kinds)] if kinds else []),
        *((error, count) for error, count in status.errors.items()),
    ]
    shell.write(shell.table(("what", "count"), rows))
    return 0


@command.command(name="retry")
@_DATASET
@_running_options
def _retry(dataset: Path, **values: Any) -> int:
    """Read the items with an error again."""
    from mien.batch import Plan

    plan = Plan.load(dataset)
    plan.check()
    index, count = values["shard"] or (0, 1)
    missing = set(plan.missing())
    return _read(plan, values, (part for part in range(index, plan.parts, count) if part not in missing), retry=True)


@command.command(name="export")
@_DATASET
@click.option(
    "--table",
    default="items",
    show_default=True,
    help="items, or a table of mien analyze: faces, frames, tracks, segments, speech, fused.",
)
@click.option("--out", "target", type=_PATH, help="A .csv or .parquet file.  [default: CSV to standard output]")
def _export(dataset: Path, table: str, target: Path | None) -> int:
    """Write a table of all items as CSV or Parquet."""
    from mien.batch import Plan, export_table

    plan = Plan.load(dataset)
    rows = export_table(plan, table, sys.stdout if target is None else target)
    if target is not None:
        shell.note(f"wrote {rows} rows to {format_path(target)}")
    if any(True for _ in plan.missing()):
        shell.note("warning: the batch is not complete")
    return 0
