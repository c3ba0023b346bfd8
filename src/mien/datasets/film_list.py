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

from mien._checks import whole_number
from mien.datasets._film_frames import Wanted, length_of
from mien.datasets.films import FilmClips
from mien.errors import DatasetError
from mien.media.paths import shown

__all__ = ["CLIP_COLUMNS", "FRAME_COLUMNS", "clip_rows", "frame_rows", "listing", "write_listing"]

CLIP_COLUMNS = ("clip", "file", "emotion", "subject", "split", "frames")
"""The film, or the folder of the frames; how many frames, or None for films."""

FRAME_COLUMNS = ("file", "frame", "emotion", "subject", "clip", "split")
"""The picture, or the film; the frame's number in the clip, from 0."""


def clip_rows(clips: FilmClips) -> list[dict[str, Any]]:
    """Return a row a clip, by `CLIP_COLUMNS`; nothing is read."""
    rows = []
    for i, files in enumerate(clips.files):
        film = bool(clips.films[i])
        place = Path(clips.where(i)).relative_to(clips.source).as_posix()
        row = (str(clips.clips[i]), place, *_about(clips, i), None if film else len(files))
        rows.append(dict(zip(CLIP_COLUMNS, row, strict=True)))
    return rows


def frame_rows(
    clips: FilmClips,
    count: int | None = None,
    *,
    failed: list[str],
    progress: Callable[[int], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a row a frame, by `FRAME_COLUMNS`.

    Parameters
    ----------
    clips : FilmClips
        The corpus; frames of films are counted.
    count : int, optional
        Of each clip so many, evenly spaced as in `FilmClips.frames`; by default all.
    failed : list of str
        Gets a line for each film that cannot be counted.
    progress : callable, optional
        Called with the number of clips listed since the last call.
    """
    wanted = Wanted(None if count is None else whole_number(count, "count", low=1))
    for i, files in enumerate(clips.files):
        film = bool(clips.films[i])
        try:
            length = length_of(clips.where(i)) if film else len(files)
        except DatasetError as error:
            failed.append(str(error))
            length = 0
        emotion, subject, split = _about(clips, i)
        for number in wanted.of(length):
            row = (files[0] if film else files[number], number, emotion, subject, str(clips.clips[i]), split)
            yield dict(zip(FRAME_COLUMNS, row, strict=True))
        if progress is not None:
            progress(1)


def _about(clips: FilmClips, i: int) -> tuple[str, str, str]:
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
        raise DatasetError(f"cannot write {shown(path)}: {error.strerror or error}") from error
