"""``mien analyze``: the emotions of the faces in pictures, and of the voices in recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["command"]


@click.command(name="analyze")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a document for one item, a line each for many.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV: one row a face, or a span of speech.")
@click.option("--parquet", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows there, as Parquet.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write the drawn pictures there.")
@click.option("--save-faces", type=click.Path(path_type=Path), metavar="DIR", help="Write each face as a PNG there.")
@click.option("--explain", is_flag=True, help="Lay over each drawn face a map of what spoke for its emotion.")
@click.option(
    "--explain-by",
    type=click.Choice(("cam", "occlusion")),
    help="How: class activation maps, or hiding parts.  [default: cam where the model has them]",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE.png|DIR", help="Draw waveform, spectrogram and emotions."
)
@click.option("--window", type=float, metavar="S", help="Seconds of speech of one answer.  [default: the model's]")
@click.option("--hop", type=float, metavar="S", help="Seconds from answer to answer.  [default: half a window]")
@click.option(
    "--save-audio", type=click.Path(path_type=Path), metavar="FILE.wav|DIR", help="Write the sound there, mono."
)
@click.option("--audio-rate", type=click.IntRange(1000, 384_000), metavar="HZ", help="Its rate.  [default: its own]")
@click.option("--audio-float", is_flag=True, help="Write floats instead of 16-bit integers.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A shipped model, a model.toml or a run folder; one for each kind.  [default: face-base, speech-base]",
)
@click.option("--labels-as", metavar="OUTPUT", help="Which output of the model answers, or a label set such as fer7.")
@click.option("--detector", default="mtcnn", show_default=True, help="mtcnn or haar.")
@click.option("--min-face", type=float, metavar="PX", help="Width of the smallest face.  [default: by picture size]")
@click.option("--threads", type=click.IntRange(min=1), help="Items or computations at once.  [default: cores]")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True, help="Size limit.")
def command(paths: tuple[str, ...], **options: Any) -> int:
    r"""Read the emotions of the faces in pictures, and of the voices in recordings.

    PATH is a picture, a recording, a film (of which only the sound is read), a folder (with all its folders), a pattern
    such as 'photos/*.jpg', or - for standard input.  What a file is, its content says.  A bad file becomes a row with
    its error and stops nothing; the exit code is then 3, or 1 if nothing at all could be read.

    \b
    mien analyze team.jpg
    mien analyze photos/ --csv > faces.csv
    mien analyze team.jpg --out drawn/ --save-faces faces/
    mien analyze call.wav --plot call.png
    """
    from mien.cli._analyze_options import Options
    from mien.cli._analyze_run import Run
    from mien.cli._analyze_sources import plan, standard_input

    chosen = Options(**options)
    chosen.check()
    stdin = standard_input(paths)
    there = plan(paths, stdin)
    chosen.fit(there)
    return Run(paths, stdin, there, chosen).run()
