"""``mien web``: the in-browser app as static files."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand, PathType, option

__all__ = ["command"]


@click.command(
    name="web",
    cls=GroupedCommand,
    examples=["mien web --out site", "mien web --out site --face face-base --compress"],
)
@option("--out", type=PathType(), required=True, metavar="DIR", help="Write the site here: a new or empty folder.")
@option("--face", default="face-small", show_default=True, help="The face model.")
@option("--speech", default="speech-base", show_default=True, help="The speech model.")
@option("--compress", is_flag=True, help="Write each file under Brotli, too, as NAME.br.")
def command(out: Path, face: str, speech: str, compress: bool) -> int:
    """Write the in-browser app as a static site.

    The page analyzes images, videos, recordings, camera and microphone in the browser: after it has loaded, nothing
    leaves it, and it works offline. Any web server can offer the folder; cameras need https or localhost.
    """
    from mien.io.paths import expand_home
    from mien.web import write_site

    with shell.progress(None, "writing the site", unit="file") as advance:
        files = write_site(
            out,
            face=expand_home(face),
            speech=expand_home(speech),
            compress=compress,
            on_file=lambda _: advance(1),
        )
    rows = []
    for title, parts in (("faces", ("page", "faces")), ("faces and voice", ("page", "faces", "voice"))):
        some = [file for file in files if file.part in parts]
        small = sum(file.brotli_bytes or 0 for file in some)
        rows.append((title, f"{sum(f.bytes for f in some) / 1e6:.1f} MB", f"{small / 1e6:.1f} MB" if compress else "-"))
    shell.write(shell.table(("download for", "size", "Brotli"), rows, right=(1, 2)))
    shell.note(f"{len(files)} files in {out}: offer them by any web server, for example python -m http.server")
    return 0
