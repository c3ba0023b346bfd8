"""``mien data frames``: videos become face frames to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, dataset_arguments, open_samples

if TYPE_CHECKING:
    from mien.data.prepare.frames import FrameSummary

__all__ = ["command"]

_WORDS = {
    "unreadable": "clips unreadable",
    "damaged": "clips damaged",
    "no_face": "frames without a face",
    "profile": "frames in profile",
}


@click.command(
    name="frames",
    cls=GroupedCommand,
    examples=(
        "mien data frames baum2 --data BAUM-2 --out faces -n 16",
        "mien data frames ravdess_videos --data RAVDESS --out faces --layout emotions --every 15",
    ),
)
@dataset_arguments("video")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write; must not exist.")
@click.option("-n", "--count", type=click.IntRange(1, 1_000_000), help="Frames of a clip, evenly spaced [default: 16].")
@click.option("--every", type=click.IntRange(1, 1_000_000), help="Every so many frames instead.")
@click.option(
    "--layout",
    type=click.Choice(["clips", "emotions"]),
    default="clips",
    show_default=True,
    help="SNNN/NNN/frames/* with emotion.txt, or <emotion>/<clip>_<frame>.png; the latter takes every 15th by default.",
)
@click.option(
    "--x-factor", type=click.FloatRange(0.1, 20), default=2.1, show_default=True, help="Width, eye distances."
)
@click.option("--y-factor", type=click.FloatRange(0.1, 20), default=3.2, show_default=True, help="Height, the same.")
@click.option("--size", type=click.IntRange(8, 1024), default=48, show_default=True, help="Side of the result, px.")
@click.option("--detector", default="mtcnn", show_default=True, help="mtcnn, haar or yunet.")
@click.option("--no-smooth", is_flag=True, help="Do not smooth the crops.")
@click.option("--min-face", type=click.FloatRange(min=1), help="Smallest face, px; by default by the image's size.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; by default the cores, at most four.")
def command(
    choice: Choice,
    out: Path,
    count: int | None,
    every: int | None,
    layout: str,
    x_factor: float,
    y_factor: float,
    size: int,
    detector: str,
    no_smooth: bool,
    min_face: float | None,
    workers: int | None,
) -> int:
    """Take frames of every clip, and of each the largest face: turned upright, cut by the distance of the eyes, gray.

    NAME is a corpus of clips: baum2, ckplus_sequences, ravdess_videos or video_folder (see mien data list --help). OUT
    is, by --layout, a tree of clips that the datasets baum2 and baum2_frames read, or a folder of emotions that the
    dataset folder reads; in both, OUT/manifest.csv tells where each face comes from, and OUT/rejected.csv which frames
    and clips gave none, with the reason.

    The same command goes on where it was interrupted or killed. Exit code 3 if something was rejected, 1 if not one
    face was found.
    """
    from mien.data.prepare.faces import Settings
    from mien.data.prepare.frames import FrameSettings, frames_to
    from mien.face.prepare import FaceCut
    from mien.models.runtime import default_threads

    if count is not None and every is not None:
        raise click.UsageError("-n and --every exclude each other")
    if count is None and every is None:
        count, every = (16, None) if layout == "clips" else (None, 15)
    cut = FaceCut(x_factor=x_factor, y_factor=y_factor, size=size, smooth=not no_smooth)
    settings = FrameSettings(count, every, layout, Settings(cut, detector=detector, min_face_px=min_face))
    clips = open_samples(choice, notes=True)
    with shell.progress(len(clips), "extracting", unit="clips") as advance:
        done = frames_to(out, clips, settings, workers=workers or default_threads(), progress=advance)
    return _report(done, out)


def _report(done: FrameSummary, out: Path) -> int:
    for line in done.notes:
        shell.note(line)
    before = f", {done.resumed} of them by an earlier run" if done.resumed else ""
    shell.write(f"{out}: {done.faces} faces of {done.used} of {done.clips} clips{before}")
    if done.rejected:
        counts = ", ".join(f"{done.rejected[kind]} {words}" for kind, words in _WORDS.items() if kind in done.rejected)
        shell.note(f"rejected: {counts}; see {done.rejected_file}")
    if not done.faces:
        return shell.FAILED
    return shell.SOME_FAILED if done.rejected else 0
