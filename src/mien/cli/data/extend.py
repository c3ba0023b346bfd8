"""``mien data extend``: faces of rare emotions from an image service."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.errors import InputError

__all__ = ["command"]


@click.command(
    name="extend",
    cls=GroupedCommand,
    examples=(
        "mien data extend faces/ --emotion disgust --emotion fear --count 100 --dry-run",
        "mien data extend faces/ --emotion disgust --emotion fear --count 100 --limit 10",
    ),
)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--emotion", "emotions", multiple=True, required=True, metavar="NAME", help="Which; may be repeated.")
@click.option("--count", type=click.IntRange(1, 99_999), required=True, help="Images to ask for, of each emotion.")
@click.option("--base-url", default="https://api.openai.com/v1", show_default=True, help="Where the service is.")
@click.option("--model", default="gpt-image-1", show_default=True, help="The service's name of its model.")
@click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds the key.")
@click.option("--size", default="1024x1024", show_default=True, help="Size of the images, as the service takes it.")
@click.option("--min-face", type=click.FloatRange(min=1), default=48, show_default=True, help="Smallest face, px.")
@click.option("--image-host", multiple=True, metavar="HOST", help="Other host that images may be fetched from.")
@click.option("--limit", type=click.IntRange(min=1), help="Send at most so many requests in this run.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides whom to ask for.")
@click.option("--dry-run", is_flag=True, help="Print the prompts and send nothing.")
def command(
    out: Path,
    emotions: tuple[str, ...],
    count: int,
    base_url: str,
    model: str,
    api_key_env: str,
    size: str,
    min_face: float,
    image_host: tuple[str, ...],
    limit: int | None,
    seed: int,
    dry_run: bool,
) -> int:
    """Extend a data set with generated faces.

    SENDS TO A SERVICE: prompts (words, no images) go to the image service, and each image may cost money.
    No other command of mien sends anything; see first what this one would send with --dry-run.

    Asks for photographs of faces that vary in age, skin, sex, light and pose, the same people for every emotion, and
    keeps those in which exactly one face is found: OUT/<emotion>/*.png and OUT/manifest.csv.  The others are listed in
    OUT/rejected.csv.  The same command goes on where it was stopped; nothing is asked twice or written over.
    """
    from mien.data.prepare.extend import ImageService, ServiceError, extend, pending, plan

    requests = plan(emotions, count=count, seed=seed)
    left = pending(out, requests, limit=limit)
    known = f"{len(requests)} planned, {len(requests) - len(pending(out, requests))} done before"
    if dry_run:
        for one in left:
            shell.write(f"{one.file}\t{one.prompt}")
        shell.note(f"{len(left)} requests to {base_url} ({model}); {known}; nothing was sent")
        return 0
    key = os.environ.get(api_key_env, "")
    if left and not key:
        raise InputError(f"the variable {api_key_env} must hold the key of the service (any word where it needs none)")
    counts: Counter[str] = Counter()
    service = ImageService(
        key or "none", base_url=base_url, model=model, size=size, image_hosts=image_host, on_note=shell.note
    )
    stopped = False
    try:
        with shell.progress(len(left), "asking for faces", unit="images") as advance:
            for outcome in extend(out, requests, service, min_face_px=min_face, limit=limit):
                counts[outcome.status] += 1
                if outcome.reason:
                    shell.note(f"{outcome.request.file}: {outcome.status}: {outcome.reason}")
                advance(1)
    except ServiceError as error:
        stopped = True
        shell.note(str(error))
    finally:
        service.close()
        if counts or not stopped:
            done = ", ".join(f"{counts[status]} {status}" for status in ("kept", "rejected", "failed"))
            shell.note(f"{done}; {known}")
    if counts["kept"] == len(left) and not stopped:
        return 0
    return shell.SOME_FAILED if counts["kept"] + counts["rejected"] else shell.FAILED
