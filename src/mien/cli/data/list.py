"""``mien data list``: the clips of a corpus, or their frames, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import _shell
from mien.cli.data._videos import video_arguments

if TYPE_CHECKING:
    from mien.data.videos import VideoClips

__all__ = ["command"]


@click.command(name="list")
@video_arguments
@click.option("--frames", is_flag=True, help="List frames, not clips; those of videos are counted, which takes time.")
@click.option("-n", "--count", type=click.IntRange(1, 1_000_000), help="Of each clip so many, evenly spaced.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV (the default).")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of to stdout.")
def command(clips: VideoClips, frames: bool, count: int | None, as_csv: bool, as_json: bool, out: Path | None) -> int:
    r"""List the clips of a corpus, or their frames, with emotion and subject.

    \b
    NAME is one of
      baum2             BAUM-2: SNNN/avi/NNN.avi with SNNN/emotion/NNN.txt, or SNNN/NNN/* with emotion.txt
      ckplus_sequences  CK+: cohn-kanade-images with Emotion, from neutral to the peak
      ravdess_videos     RAVDESS: names like 01-01-05-02-01-01-12.mp4
      video_folder       <emotion>/<subject>_*.mp4, <subject>/<emotion>/*.mp4, or a table (--option table=FILE)
    or a path, which is read as what it looks like.

    Columns: clip, file (or the folder of its frames), emotion, subject, split and frames (how many; empty for videos);
    with --frames: file, frame (its number in the clip, from 0), emotion, subject, clip, split.

    \b
    mien data list baum2 --data BAUM-2 --out clips.csv
    mien data list faces --frames -n 12 --json
    """
    from mien.data.video_list import clip_rows, frame_rows, listing, write_listing

    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    if count is not None and not frames:
        raise click.UsageError("-n needs --frames")
    failed: list[str] = []
    if frames:
        with _shell.progress(len(clips), "listing", unit="clips") as advance:
            rows = list(frame_rows(clips, count, failed=failed, progress=advance))
    else:
        rows = clip_rows(clips)
    for line in failed:
        _shell.note(line)
    text = listing(rows, as_json=as_json)
    if out is None:
        _shell.write(text.removesuffix("\n"))
    else:
        write_listing(out, text)
        _shell.note(f"wrote {len(rows)} {'frames' if frames else 'clips'} to {out}")
    if failed:
        return _shell.SOME_FAILED if rows else _shell.FAILED
    return 0
