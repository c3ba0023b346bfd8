"""``mien cameras``: the cameras that give images."""

from __future__ import annotations

import json

import click

from mien.cli import shell

__all__ = ["command"]


@click.command(name="cameras")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a list, which is empty if there is no camera.")
def command(as_json: bool) -> int:
    """List the cameras that give images, with what they give when nothing is asked for.

    Each is opened for a moment.  One that is there but does not respond, or is used by another program, is named on
    stderr.  The exit code is 1 where there is no camera.
    """
    from mien.io.camera import find_cameras

    found, notes = find_cameras()
    for line in notes:
        shell.note(line)
    if as_json:
        shell.write(json.dumps([camera.to_dict() for camera in found], indent=2))
    elif found:
        rows = [
            (
                camera.index,
                camera.name,
                f"{camera.width}x{camera.height}",
                "" if camera.rate is None else f"{camera.rate:g}",
            )
            for camera in found
        ]
        shell.write(shell.table(("index", "name", "size", "rate"), rows, right=(0, 3)))
    if not found and not notes:
        shell.note("no camera found")
    return 0 if found else shell.FAILED
