"""Samples, or the frames of videos, as rows with emotion and subject: lists that other programs train from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mien.data.samples import Samples, choose_frames, count_frames
from mien.data.summary import duration_s
from mien.errors import DatasetError

__all__ = ["FRAME_COLUMNS", "SAMPLE_COLUMNS", "VIDEO_COLUMNS", "format_rows", "frame_rows", "sample_rows"]

VIDEO_COLUMNS = ("clip", "file", "emotion", "subject", "split", "frames")
"""The video, or the folder of its frames; how many frames, or None for video files."""

SAMPLE_COLUMNS = ("file", "emotion", "subject", "clip", "split", "sex", "intensity", "statement", "method")
"""Of images and audio files; rows of a table have no file."""

FRAME_COLUMNS = ("file", "frame", "emotion", "subject", "clip", "split")
"""The image, or the video; the frame's number in the video, from 0."""


def sample_rows(
    samples: Samples,
    *,
    splits: Sequence[str] | None = None,
    failed: list[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Return a row a sample, by `VIDEO_COLUMNS` or `SAMPLE_COLUMNS`.

    Parameters
    ----------
    samples : Samples
        The samples; nothing of them is read without ``failed``.
    splits : sequence of str, optional
        One a sample, in the place of the dataset's own.
    failed : list of str, optional
        Read audio files for a further column, ``seconds``; it gets a line for each that cannot be read.
    progress : callable, optional
        Called with the number of files read since the last call.
    """
    rows = []
    names = VIDEO_COLUMNS if samples.kind == "video" else SAMPLE_COLUMNS
    columns = {name: samples.column(name).tolist() for name in names}
    for i in range(len(samples)):
        row: dict[str, Any] = {name: values[i] for name, values in columns.items()}
        row |= {"file": str(samples.files[i]), "emotion": samples.emotion(i)}
        if splits is not None:
            row["split"] = str(splits[i])
        if failed is not None and samples.kind == "audio":
            row["seconds"] = None
            try:
                row["seconds"] = round(duration_s(samples, i), 3)
            except DatasetError as error:
                failed.append(str(error))
            if progress is not None:
                progress(1)
        if samples.kind == "video":
            row["frames"] = len(samples.frames[i]) or None
        rows.append(row)
    return rows


def frame_rows(
    samples: Samples,
    count: int | None = None,
    *,
    failed: list[str],
    progress: Callable[[int], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a row a frame, by `FRAME_COLUMNS`.

    Parameters
    ----------
    samples : Samples
        Of videos; frames of video files are counted.
    count : int, optional
        Of each video so many, evenly spaced as in `choose_frames`; by default all.
    failed : list of str
        Gets a line for each video that cannot be counted.
    progress : callable, optional
        Called with the number of videos listed since the last call.

    Raises
    ------
    DatasetError
        If the samples are not of videos.
    """
    if samples.kind != "video":
        raise DatasetError(f"{samples.name} is a dataset of {samples.kind} files: only videos have frames")
    choose_frames(0, count)
    for i in range(len(samples)):
        frames, file = samples.frames[i], str(samples.files[i])
        try:
            length = len(frames) or count_frames(samples.where(i))
        except DatasetError as error:
            failed.append(str(error))
            length = 0
        about = (samples.emotion(i), *(str(part[i]) for part in (samples.subjects, samples.clips, samples.splits)))
        for number in choose_frames(length, count):
            row = (frames[number] if frames else file, number, *about)
            yield dict(zip(FRAME_COLUMNS, row, strict=True))
        if progress is not None:
            progress(1)


def format_rows(rows: Sequence[dict[str, Any]], *, as_json: bool = False) -> str:
    """Return rows as CSV with a header, or as a JSON list, with a line break at the end."""
    if as_json:
        return json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n"
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]) if rows else VIDEO_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
