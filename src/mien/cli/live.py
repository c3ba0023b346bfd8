"""``mien live``: the faces before a camera and what they show, as it changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from mien.cli._engine import engine_options

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{2,5})[xX]([0-9]{2,5})", value, re.ASCII)
    if found is None:
        raise click.BadParameter(f"expected WIDTHxHEIGHT such as 1280x720, but got {value!r}", ctx=ctx, param=param)
    return int(found[1]), int(found[2])


@click.command(name="live")
@click.option(
    "--source", default="0", show_default=True, metavar="N|FILE|URL", help="Camera, video, rtsp:// or http://."
)
@click.option("--no-window", "windowless", is_flag=True, help="Write JSON Lines to stdout instead: a line an image.")
@click.option("--log", type=_PATH, metavar="FILE.csv", help="Write a row a face of every analyzed image there.")
@click.option("--record", type=_PATH, metavar="FILE.mp4", help="Record from the start: the video, and a CSV beside it.")
@click.option("--sound", is_flag=True, help="Listen to the microphone, too.")
@click.option("--mirror", is_flag=True, help="Show the image as a mirror does.")
@click.option("--size", callback=_size, metavar="WxH", help="What to ask a camera for.  [default: 1280x720]")
@click.option("--detector", default="mtcnn", show_default=True, help="mtcnn, haar or yunet.")
@click.option("--model", default="face-base", show_default=True, help="A shipped model, a model.toml or a run folder.")
@click.option("--max-faces", type=click.IntRange(min=1), metavar="N", help="Only the largest N faces.")
@click.option("--step", type=float, metavar="S", help="Analyze at most one image in S seconds.  [default: all it can]")
@click.option("--fps", type=float, metavar="N", help="The same as images a second.")
@engine_options
def command(**options: Any) -> int:
    """Show the faces before a camera with their emotions, as they change.

    Keys: q or Esc quits, space freezes, s saves a snapshot (image and JSON), r records (video and CSV), d switches the
    detector, m mirrors, h shows this list.  Files go to the current folder.  A video is played in its own time.

    A camera that is lost is looked for until it is back.  Ctrl-C ends everything, and recordings are whole.
    """
    from mien.cli._live_run import Run

    if options["step"] is not None and options["fps"] is not None:
        raise click.UsageError("--step and --fps say the same: give one of them")
    for name in ("step", "fps"):
        if options[name] is not None and not 0 < options[name] <= 1000:
            raise click.UsageError(f"--{name} must be above 0 and at most 1000, but got {options[name]:g}")
    return Run(**options).run()
