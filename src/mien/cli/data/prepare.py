"""``mien data prepare``: photographs become faces to train on."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, dataset_arguments, is_given, open_samples

__all__ = ["command"]

_WORDS = {"unreadable": "unreadable", "no_face": "without a face", "profile": "in profile"}


@click.command(
    name="prepare",
    cls=GroupedCommand,
    examples=(
        "mien data prepare folder --data photos/ --out faces/ --crop face-base",
        "mien data prepare ckplus --data CK+/ --out faces/ --workers 2",
    ),
)
@dataset_arguments("image")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .csv, a .parquet, or else a folder.")
@click.option(
    "--crop", "model", metavar="MODEL", help="Cut as this face model does, such as face-base: to fine-tune it."
)
@click.option(
    "--x-factor", type=click.FloatRange(0.1, 20), default=2.1, show_default=True, help="Width, eye distances."
)
@click.option("--y-factor", type=click.FloatRange(0.1, 20), default=3.2, show_default=True, help="Height, the same.")
@click.option("--size", type=click.IntRange(8, 1024), default=48, show_default=True, help="Side of the result, px.")
@click.option("--detector", default="mtcnn", show_default=True, help="mtcnn, haar or yunet.")
@click.option("--no-smooth", is_flag=True, help="Do not smooth the crops.")
@click.option("--color", is_flag=True, help="Keep colors.")
@click.option("--min-face", type=click.FloatRange(min=1), help="Smallest face, px; by default by the image's size.")
@click.option("--all-faces", is_flag=True, help="Keep all faces of an image, not the largest alone.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; by default the cores, at most four.")
def command(
    choice: Choice,
    out: Path,
    model: str | None,
    x_factor: float,
    y_factor: float,
    size: int,
    detector: str,
    no_smooth: bool,
    color: bool,
    min_face: float | None,
    all_faces: bool,
    workers: int | None,
) -> int:
    """Find the face of each image, turn it upright, cut it, and write it.

    By default by the distance of the eyes, as --x-factor, --y-factor and --size say.  With --crop face-base, as that
    model cuts faces at use: best for training that starts from it.

    OUT is a .csv (FER2013's columns with subject, clip, source and box), a .parquet, or else a folder
    <split>/<emotion>/*.png with manifest.csv; the first two are read as the dataset "table", the third as "folder".
    OUT must not exist. Images that give no face are listed with the reason in OUT/rejected.csv, or beside a table in
    <name>.rejected.csv.

    The same command goes on where it was interrupted or killed. Exit code 3 if images were rejected, 1 if not one
    face was found. The detector haar does not see eyes: its faces are cut where eyes mostly are, and not turned.
    """
    from mien.data.prepare.faces import Settings, prepare_to
    from mien.face.prepare import FaceCut
    from mien.models.runtime import default_threads

    given = [name for name in ("x_factor", "y_factor", "size", "no_smooth") if is_given(name)]
    if model and given:
        raise click.UsageError(f"--{given[0].replace('_', '-')}: not with --crop, which says how faces are cut")
    cut = FaceCut(x_factor=x_factor, y_factor=y_factor, size=size, smooth=not no_smooth, gray=not color)
    settings = Settings(cut, detector=detector, model=model or "", all_faces=all_faces, min_face_px=min_face)
    images = open_samples(choice)
    for line in images.problems:
        shell.note(line)
    with shell.progress(len(images), "preparing", unit="images") as advance:
        done = prepare_to(out, images, settings, workers=workers or default_threads(), progress=advance)
    before = f", {done.resumed} of them by an earlier run" if done.resumed else ""
    shell.write(f"{done.faces} faces of {done.images} images{before}")
    if done.rejected:
        counts = ", ".join(f"{done.rejected[kind]} {words}" for kind, words in _WORDS.items() if kind in done.rejected)
        shell.note(f"rejected: {counts}; see {done.rejected_file}")
    if not done.faces:
        return shell.FAILED
    return shell.SOME_FAILED if done.rejected else 0
