"""``mien serve``: the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mien.cli import shell
from mien.cli._options import PathType
from mien.errors import InputError

__all__ = ["command"]

_PATH = PathType()


@click.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--root-path", default="", metavar="/PATH", help="Prefix of the URLs behind a proxy.")
@click.option("--token-file", type=_PATH, metavar="FILE", help="Requests must carry the token in this file.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="Pages of this origin may ask; several times.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Requests at a time.  [default: cores]")
@click.option("--max-body", type=click.IntRange(min=1), metavar="BYTES", help="Largest upload.  [default: 200000000]")
@click.option(
    "--max-pixels", type=click.IntRange(min=1), metavar="N", help="Largest width x height.  [default: 50000000]"
)
@click.option("--max-seconds", type=float, metavar="S", help="Longest recording or video.  [default: 3600]")
@click.option("--models", multiple=True, metavar="MODEL", help="Models to offer.  [default: face-base, speech-base]")
@click.option("--jobs-folder", type=_PATH, metavar="DIR", help="Where video jobs are kept.  [default: user's state]")
@click.option("--max-jobs", type=click.IntRange(min=1), metavar="N", help="Jobs to keep.  [default: 100]")
@click.option("--keep", "keep_s", type=float, metavar="S", help="Remove a job so long after its end.  [default: 3600]")
@click.option("--proxy-headers", metavar="ADDRESSES", help="Believe X-Forwarded-* of these proxies.")
def command(host: str, port: int, token_file: Path | None, proxy_headers: str | None, **values: Any) -> int:
    """Serve the analysis over HTTP and WebSocket, and a page at /.

    Nothing leaves the machine.  Ctrl-C and SIGTERM let open requests finish; video jobs go on at the next start.
    """
    from mien._extras import import_extra

    for module in ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "websockets"):
        import_extra(module, extra="serve", purpose="mien serve")
    from mien.serve.run import run
    from mien.serve.settings import Settings

    given = {name: value for name, value in values.items() if value not in (None, ())}
    if token_file is not None:
        given["token"] = _read_token(token_file)
    settings = Settings(**given)
    if host not in ("127.0.0.1", "::1", "localhost") and settings.token is None:
        shell.note("warning: everybody who reaches this address may use the service: set --token-file")
    return 0 if run(settings, host=host, port=port, trusted=proxy_headers) else shell.FAILED


def _read_token(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise InputError(f"the token cannot be read: {error}") from error
    if len(text) < 16 or not text.isascii() or any(c.isspace() for c in text):
        raise InputError("a token must have at least 16 ASCII characters and no space, such as of openssl rand -hex 32")
    return text
