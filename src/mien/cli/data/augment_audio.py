"""``mien data augment-audio``: changed copies of the recordings of a corpus."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, dataset_arguments, open_samples, run_work, workers_option

__all__ = ["command"]


@click.command(
    name="augment-audio",
    cls=GroupedCommand,
    examples=(
        "mien data augment-audio ravdess --data RAVDESS --out augmented",
        "mien data augment-audio ravdess --data RAVDESS --out slow --stretch 0.9",
    ),
)
@dataset_arguments("audio")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option(
    "--stretch", type=float, multiple=True, default=(0.81, 1.07), show_default=True, help="Speed; may be repeated."
)
@click.option(
    "--pitch", type=float, multiple=True, default=(-1.0, 2.0), show_default=True, help="Semitones; may be repeated."
)
@click.option(
    "--noise",
    type=(float, float),
    default=(0.005, 0.008),
    show_default=True,
    help="Lowest and highest amount of white noise: its deviation on a recording scaled to full scale.",
)
@click.option(
    "--only",
    type=click.Choice(["stretch", "pitch", "noise"]),
    multiple=True,
    help="Only copies of this kind; may be repeated.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of amounts and noise.")
@click.option("--copies-only", is_flag=True, help="Do not write the originals into OUT, too.")
@click.option("--format", "file_format", type=click.Choice(["flac", "wav"]), default="flac", show_default=True)
@workers_option
def command(
    choice: Choice,
    out: Path,
    stretch: tuple[float, ...],
    pitch: tuple[float, ...],
    noise: tuple[float, float],
    only: tuple[str, ...],
    seed: int,
    copies_only: bool,
    file_format: str,
    workers: int,
) -> int:
    """Write changed copies of a corpus of speech: other speeds, other pitches, noise.

    Every copy keeps its origin: OUT/<recording>__pitch+2.flac, and OUT/manifest.csv with file, clip (the original
    recording), method, value, emotion, subject. The folder reads as the same corpus, and folds never separate a copy
    from its clip. With OUT the corpus itself, copies lie beside the originals. The same command goes on where it was
    stopped.
    """
    from mien.data.prepare.augment_audio import Changes, Copies

    given = {"stretch": stretch, "pitch": pitch, "noise": noise}
    chosen = {kind: amounts if not only or kind in only else () for kind, amounts in given.items()}
    changes = Changes(**chosen, seed=seed)
    clips = open_samples(choice, notes=True)
    work = Copies(clips, out, changes=changes, originals=not copies_only, file_format=file_format)
    return run_work(work, "changing", workers=workers)
