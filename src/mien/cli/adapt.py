"""``mien adapt``: fit a face model to the faces of one's own images, without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mien._checks import count_of
from mien.cli import shell
from mien.cli._options import GroupedCommand, PathType, add_options, option
from mien.options import ModelOptions

__all__ = ["command"]

_ONE_SIDED = 0.6
_FEW_FACES = 30


@click.command(
    name="adapt",
    cls=GroupedCommand,
    examples=["mien adapt photos/ --out my-camera.toml", "mien analyze new.jpg --model my-camera.toml"],
)
@click.argument("paths", metavar="IMAGE...", nargs=-1, required=True)
@option("--out", type=PathType(), required=True, metavar="NAME.toml", help="Write the adapted model here.")
@option("--model", default="face-base", show_default=True, help="A shipped model, a model.toml or a run folder.")
@option(
    "--strength",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="How much of the preference for some emotions to remove.  [default: 0.25]",
)
@add_options(ModelOptions, "detector", "min_face_px", "threads")
def command(paths: tuple[str, ...], out: Path, model: str, strength: float | None, **options: Any) -> int:
    """Adapt a face model to the faces of images without labels, such as those of one camera.

    IMAGE is an image, a folder or a pattern.  The model's files are copied beside NAME.toml, which --model takes.

    Adaptation makes emotions that the model finds often in these images rarer.  This helps where the images show many
    emotions, and hurts where they really show one emotion most of the time.
    """
    from mien.api import analyze_images
    from mien.errors import InputError
    from mien.face.adapt import STRENGTH, adapt, write_adapted
    from mien.io.paths import expand_home, iter_media_paths
    from mien.models import registry
    from mien.results import FailedItem

    spec = registry.get(expand_home(model))
    found: dict[str, list[Any]] = {output.name: [] for output in spec.outputs}
    failed = 0
    images = iter_media_paths(map(expand_home, paths), kinds=("image",))
    workers = options.pop("threads")
    for result in analyze_images(images, model=spec, workers=workers, **options):
        if isinstance(result, FailedItem):
            shell.note(result.message)
            failed += 1
            continue
        for face in result.faces:
            for name, emotion in face.outputs.items():
                found[name].append(emotion.to_array())
    count = len(found[spec.default_output.name])
    if not count:
        raise InputError("found no face to adapt to")
    adapted = adapt(spec, found, strength=STRENGTH if strength is None else strength)
    write_adapted(adapted, out)
    shares = sum(found[spec.default_output.name]) / count
    labels = spec.default_output.labels.emotions
    top = int(shares.argmax())
    if count < _FEW_FACES:
        shell.note(f"only {count_of(count, 'face')}: the adaptation is weak; {_FEW_FACES} or more are better")
    if shares[top] > _ONE_SIDED:
        shell.note(f"{labels[top]} is {100 * shares[top]:.0f}% of these faces: where that is true, do not adapt")
    bias = adapted.default_output.bias
    rows = [
        (label, f"{100 * share:.0f}%", f"{-value / spec.default_output.temperature:+.2f}")
        for label, share, value in zip(labels, shares, bias, strict=True)
    ]
    shell.write(shell.table(("emotion", "before", "log odds"), rows, right=(1, 2)))
    shell.note(f"wrote {out}, adapted to {count_of(count, 'face')}")
    return shell.SOME_FAILED if failed else 0
