"""Clips, or their frames, as rows with emotion and subject: the lists that other programs train from."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mien._checks import check_integer
from mien.data._video_frames import Wanted, length_of
from mien.data.videos import VideoClips
from mien.errors import DatasetError
from mien.io.paths import format_path

__all__ = ["CLIP_COLUMNS", "FRAME_COLUMNS", "clip_rows", "frame_rows", "listing", "write_listing"]

CLIP_COLUMNS = ("clip", "file", "emotion", "subject", "split", "frames")
"""The video, or the folder of the frames; how many frames, or None for videos."""

FRAME_COLUMNS = ("file", "frame", "emotion", "subject", "clip", "split")
"""The image, or the video; the frame's number in the clip, from 0."""


def clip_rows(clips: VideoClips) -> list[dict[str, Any]]:
    """Return a row a clip, by `CLIP_COLUMNS`; nothing is read."""
    rows = []
    for i, files in enumerate(clips.files):
        video = bool(clips.videos[i])
        place = Path(clips.where(i)).relative_to(clips.source).as_posix()
        row = (str(clips.clips[i]), place, *_about(clips, i), None if video else len(files))
        rows.append(dict(zip(CLIP_COLUMNS, row, strict=True)))
    return rows


def frame_rows(
    clips: VideoClips,
    count: int | None = None,
    *,
    failed: list[str],
    progress: Callable[[int], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a row a frame, by `FRAME_COLUMNS`.

    Parameters
    ----------
    clips : VideoClips
        The corpus; frames of videos are counted.
    count : int, optional
        Of each clip so many, evenly spaced as in `VideoClips.frames`; by default all.
    failed : list of str
        Gets a line for each video that cannot be counted.
    progress : callable, optional
        Called with the number of clips listed since the last call.
    """
    wanted = Wanted(None if count is None else check_integer(count, "count", low=1))
    for i, files in enumerate(clips.files):
        video = bool(clips.videos[i])
        try:
            length = length_of(clips.where(i)) if video else len(files)
        except DatasetError as error:
            failed.append(str(error))
            length = 0
        emotion, subject, split = _about(clips, i)
        for number in wanted.of(length):
            row = (files[0] if video else files[number], number, emotion, subject, str(clips.clips[i]), split)
            yield dict(zip(FRAME_COLUMNS, row, strict=True))
        if progress is not None:
            progress(1)


def _about(clips: VideoClips, i: int) -> tuple[str, str, str]:
    return clips.emotion(i), str(clips.subjects[i]), str(clips.splits[i])


def listing(rows: Sequence[dict[str, Any]], *, as_json: bool = False) -> str:
    """Return rows as CSV with a header, or as a JSON list, with a line break at the end."""
    if as_json:
        return json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n"
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]) if rows else CLIP_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_listing(path: str | os.PathLike[str], text: str) -> None:
    """Write a list, whole or not at all; signs that UTF-8 does not have become their backslash form.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    target = Path(path)
    beside = target.with_name(f".mien-{secrets.token_hex(6)}.tmp")
    try:
        try:
            beside.write_bytes(text.encode("utf-8", "backslashreplace"))
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {format_path(path)}: {error.strerror or error}") from error
