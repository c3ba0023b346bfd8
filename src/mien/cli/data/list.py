"""``mien data list``: the samples of a dataset, or the frames of videos, as a table."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, dataset_arguments, open_samples

__all__ = ["command"]


@click.command(
    name="list",
    cls=GroupedCommand,
    examples=(
        "mien data list baum2 --data BAUM-2 --out clips.csv",
        "mien data list faces --frames -n 12 --json",
        "mien data list ravdess --data RAVDESS --seconds --suggest-split --out RAVDESS/manifest.csv",
    ),
)
@dataset_arguments("video", "image", "audio")
@click.option("--frames", is_flag=True, help="List frames, not clips; those of videos are counted, which takes time.")
@click.option("-n", "--count", type=click.IntRange(1, 1_000_000), help="Of each clip so many, evenly spaced.")
@click.option("--seconds", is_flag=True, help="Read audio files, and list their durations.")
@click.option("--suggest-split", is_flag=True, help="Assign subjects to train, validation and test.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV (the default).")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of to stdout.")
def command(
    choice: Choice,
    frames: bool,
    count: int | None,
    seconds: bool,
    suggest_split: bool,
    as_csv: bool,
    as_json: bool,
    out: Path | None,
) -> int:
    """List the samples of a dataset, or the frames of its videos, with emotion and subject.

    NAME is a dataset ("mien data inspect --list"), such as baum2 (SNNN/avi/NNN.avi with SNNN/emotion/NNN.txt, or
    SNNN/NNN/* with emotion.txt), ckplus_sequences (cohn-kanade-images with Emotion), ravdess_videos (names like
    01-01-05-02-01-01-12.mp4) or video_folder (<emotion>/<subject>_*.mp4, <subject>/<emotion>/*.mp4, or a table by
    --option table=FILE); or a path, which is read as the dataset of videos that it looks like.

    Columns of videos: clip, file (or the folder of its frames), emotion, subject, split and frames (how many; empty for
    video files); with --frames: file, frame (its number in the clip, from 0), emotion, subject, clip, split. Of images
    and audio files: file, emotion, subject, clip, split, sex, intensity, statement, method; with --seconds the duration
    of audio files. With --suggest-split nobody stands in two splits; a list of audio files that is written as
    manifest.csv into their folder is read as speech_folder.
    """
    from mien.data.listing import format_rows, frame_rows, sample_rows
    from mien.data.splits import suggest
    from mien.evaluate.documents import write_text

    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    if count is not None and not frames:
        raise click.UsageError("-n needs --frames")
    if frames and (seconds or suggest_split):
        raise click.UsageError("--frames goes without --seconds and --suggest-split")
    samples = open_samples(choice, notes=True)
    if seconds and samples.kind != "audio":
        raise click.UsageError("--seconds is for datasets of audio files")
    splits = suggest(samples).tolist() if suggest_split else None
    failed: list[str] = []
    if frames:
        with shell.progress(len(samples), "listing", unit="clips") as advance:
            rows = list(frame_rows(samples, count, failed=failed, progress=advance))
    elif seconds:
        with shell.progress(len(samples), "reading", unit="files") as advance:
            rows = sample_rows(samples, splits=splits, failed=failed, progress=advance)
    else:
        rows = sample_rows(samples, splits=splits)
    for line in failed:
        shell.note(line)
    text = format_rows(rows, as_json=as_json)
    if out is None:
        shell.write(text.removesuffix("\n"))
    else:
        unit = "frames" if frames else "clips" if samples.kind == "video" else "files"
        write_text(out, text)
        shell.note(f"wrote {len(rows)} {unit} to {out}")
    if failed:
        return shell.SOME_FAILED if rows else shell.FAILED
    return 0
