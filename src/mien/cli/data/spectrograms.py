"""``mien data spectrograms``: a corpus of speech as arrays and images."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, dataset_arguments, open_samples, run_work, workers_option

__all__ = ["command"]


@click.command(
    name="spectrograms",
    cls=GroupedCommand,
    examples=(
        "mien data spectrograms ravdess --data RAVDESS --out mels --png",
        "mien data spectrograms ravdess --data RAVDESS --out a --settings mel-cnn --option statement=1",
    ),
)
@dataset_arguments("audio")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--kind", type=click.Choice(["stft", "mel", "mfcc"]), default="mel", show_default=True)
@click.option(
    "--settings",
    type=click.Choice(["default", "mel-cnn"]),
    default="default",
    show_default=True,
    help="default: 16 kHz, transform 512, hop 160, 80 mels. mel-cnn: 22,050 Hz, 2048, 512, 40 mels, 272 frames.",
)
@click.option("--coefficients", type=click.IntRange(1, 80), default=20, show_default=True, help="Of mfcc.")
@click.option("--png", is_flag=True, help="Draw images, too: one pixel a value, low frequencies at the bottom.")
@click.option("--parquet", is_flag=True, help="One table, OUT/spectrograms.parquet, instead of .npy files.")
@workers_option
def command(
    choice: Choice,
    out: Path,
    kind: str,
    settings: str,
    coefficients: int,
    png: bool,
    parquet: bool,
    workers: int,
) -> int:
    """Turn a corpus of speech into spectrograms.

    Writes OUT/<recording>.npy (float32, bands x frames) and OUT/manifest.csv with what the corpus says about each.
    The same command goes on where it was stopped. What cannot be read is listed in OUT/rejected.csv.
    """
    from mien.data.prepare.spectrograms import Spectrograms

    clips = open_samples(choice, notes=True)
    work = Spectrograms(clips, out, kind=kind, settings=settings, coefficients=coefficients, png=png, parquet=parquet)
    return run_work(work, "spectrograms", workers=workers)
