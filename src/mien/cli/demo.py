"""``mien demo``: the main job on an image that comes with mien."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from mien.cli import shell

__all__ = ["command"]


@click.command(name="demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("mien-out"),
    show_default=True,
    help="Folder for the sample and the drawn image.",
)
def command(out: Path) -> int:
    """Analyze a sample image, print what was found and draw it.

    The sample is a public-domain portrait of the astronaut Eileen Collins (NASA), 512 x 512 pixels.
    """
    from mien.api import analyze_image, read_image
    from mien.output import FORMATS, Context, write_image
    from mien.output.draw import draw
    from mien.samples import astronaut_path

    source = astronaut_path()
    result = analyze_image(source)
    with FORMATS["console"].open(sys.stdout, Context()) as writer:
        writer.write(result)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, out / "astronaut.jpg")
    target = out / "astronaut.png"
    write_image(target, draw(read_image(source), result))
    shell.write(f"The drawn image: {target.resolve()}")
    return 0
