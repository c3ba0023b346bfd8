"""What is in a dataset: counts by split and class, subjects, clips, sizes, and a sheet of samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.data.samples import Samples
from mien.data.splits import suggest
from mien.errors import DatasetError, MienError
from mien.io.audio import read_audio
from mien.io.paths import format_path
from mien.output.sheet import sheet

__all__ = ["SAMPLE", "Spread", "Summary", "duration_s", "sample_sheet", "summarize"]

SAMPLE = 500
"""Files that are read for their size, where not all are."""

_NONE = "none"  # counts samples without a label


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, median and largest of some numbers, and how many there are."""

    n: int
    low: float
    median: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the four values under JSON's usual names."""
        return {"n": self.n, "min": self.low, "median": self.median, "max": self.high}


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in a dataset.

    Parameters
    ----------
    name, source, label_set : str
        Name of the dataset, its file or folder, and the set that its labels index.
    counts : dict
        Images of each split (``""`` for none) and in it of each emotion, with ``"none"`` for those without a label.
    subjects : Spread or None
        Images of each subject; None where none is known.
    clips : int
        Number of clips that are known.
    widths, heights : Spread or None
        Sizes in pixels of the images, or middle frames of videos, that were read; None where none could be.
    sizes : dict
        How many of them have which (width, height), most frequent first.
    problems : tuple of str
        One line for everything that is missing, wrong or left out.
    kind : {"image", "audio", "video"}
        What the samples are.
    seconds : Spread or None
        Durations of the audio files that were read.
    frames : Spread or None
        How many frames the videos in images have; None for video files, which need reading.
    people : tuple of dict
        Of each subject, by name: ``subject``, ``sex``, ``split`` (several are joined by a comma), ``suggested_split``
        (empty where the dataset has splits, or too few subjects, see `mien.data.splits.suggest`), ``n`` samples,
        ``measured`` and ``seconds`` in all of the audio files that were read, and ``counts`` by emotion.
    """

    name: str
    source: str
    label_set: str
    counts: dict[str, dict[str, int]]
    subjects: Spread | None
    clips: int
    widths: Spread | None
    heights: Spread | None
    sizes: dict[tuple[int, int], int]
    problems: tuple[str, ...]
    kind: str = "image"
    seconds: Spread | None = None
    frames: Spread | None = None
    people: tuple[dict[str, Any], ...] = ()

    @property
    def images(self) -> int:
        """Number of samples."""
        return sum(sum(row.values()) for row in self.counts.values())

    @property
    def measured(self) -> int:
        """Number of samples whose size or duration is known."""
        return sum(self.sizes.values()) if self.seconds is None else self.seconds.n

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON knows it."""
        parts = {key: getattr(self, key) for key in ("name", "source", "label_set", "images", "counts", "clips")}
        spreads = {key: getattr(self, key) for key in ("subjects", "widths", "heights")}
        more = {"audio": {"seconds": self.seconds}, "video": {"frames": self.frames}}.get(self.kind, {})
        return {
            **parts,
            **{key: None if spread is None else spread.to_dict() for key, spread in (spreads | more).items()},
            "measured": self.measured,
            "people": [dict(one) for one in self.people],
            "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in self.sizes.items()],
            "problems": list(self.problems),
        }


def summarize(
    data: Samples,
    *,
    sample: int | None = SAMPLE,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Count a dataset.

    Parameters
    ----------
    data : Samples
        The dataset; files are read for their size, or for their duration.
    sample : int, optional
        Read at most so many files, drawn at random; None reads all.
    seed : int
        Decides which.
    progress : callable, optional
        Called with the number of files read since the last call.

    Returns
    -------
    Summary
        The counts; files that cannot be read are among its problems.
    """
    problems = list(data.problems)
    sizes: Counter[tuple[int, int]] = Counter()
    seconds: dict[int, float] = {}
    if data.pixels is not None:
        sizes = Counter({(data.images.shape[2], data.images.shape[1]): len(data)} if len(data) else {})
    else:
        for row in _drawn(len(data), sample, seed).tolist():
            try:
                if data.kind == "audio":
                    seconds[row] = duration_s(data, row)
                else:
                    height, width = data.read(row).shape[:2]
                    sizes[width, height] += 1
            except DatasetError as error:
                problems.append(str(error))
            if progress is not None:
                progress(1)
    return Summary(
        name=data.name,
        source=data.source,
        label_set=data.label_set.name,
        counts=_counts(data),
        subjects=_spread(list(Counter(filter(None, data.subjects.tolist())).values())),
        clips=len(set(filter(None, data.clips.tolist()))),
        widths=_spread([width for (width, _), n in sizes.items() for _ in range(n)]),
        heights=_spread([height for (_, height), n in sizes.items() for _ in range(n)]),
        sizes=dict(sizes.most_common()),
        problems=tuple(problems),
        kind=data.kind,
        seconds=_spread([*seconds.values()]),
        frames=_spread([len(frames) for frames in data.frames if frames]),
        people=tuple(_people(data, seconds)),
    )


def duration_s(data: Samples, row: int) -> float:
    """Return the length of an audio file in seconds.

    Raises
    ------
    DatasetError
        If it cannot be read.
    """
    try:
        return read_audio(data.where(row)).duration_s
    except MienError as error:
        raise DatasetError(f"{format_path(data.where(row))}: {error}") from error


def sample_sheet(data: Samples, *, columns: int = 10, cell: int = 96, seed: int = 0) -> NDArray[np.uint8]:
    """Draw images of every class that is present, drawn at random: a row each.

    Parameters
    ----------
    data : Samples
        The dataset; files that cannot be read are passed over.
    columns : int
        Images of each class.
    cell : int
        Side of their squares in pixels.
    seed : int
        Decides which; the images of one class do not depend on the others.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    DatasetError
        If there is no image that can be read, or the dataset is of audio files.
    """
    check_integer(columns, "columns", low=1)
    if data.kind == "audio":
        raise DatasetError(f"{data.name} is a dataset of audio files: there are no images to draw")
    images: list[NDArray[np.uint8] | None] = []
    headings: list[str] = []
    for label in (*range(len(data.label_set)), -1):
        rows = np.flatnonzero(data.labels == label)
        if not len(rows):
            continue
        chosen = _readable(data, np.random.default_rng([seed, label + 1]).permutation(rows), columns)
        images += [*chosen, *[None] * (columns - len(chosen))]
        headings.append(f"{_NONE if label < 0 else data.label_set.emotions[label]} {len(rows)}")
    if all(image is None for image in images):
        raise DatasetError(f"{data.source} has no image that can be read")
    title = f"{data.name}: {len(data)} {data.kind}s"
    return sheet(images, columns=columns, cell=cell, title=title, headings=headings)


def _people(data: Samples, seconds: Mapping[int, float]) -> Iterator[dict[str, Any]]:
    suggested = np.full(len(data), "")
    if data.has("subject") and not data.has("split"):
        with suppress(DatasetError):
            suggested = suggest(data)
    columns = {"sex": data.column("sex"), "split": data.splits, "suggested_split": suggested}
    by_subject: defaultdict[str, list[int]] = defaultdict(list)
    for row, subject in enumerate(data.subjects.tolist()):
        by_subject[subject].append(row)
    for subject, rows in sorted(by_subject.items()):
        if not subject:
            continue
        known = [seconds[row] for row in rows if row in seconds]
        yield {
            "subject": subject,
            **{key: ", ".join(sorted(set(filter(None, column[rows].tolist())))) for key, column in columns.items()},
            "n": len(rows),
            "measured": len(known),
            "seconds": round(sum(known), 3),
            "counts": dict(Counter(data.emotion(row) or _NONE for row in rows)),
        }


def _counts(data: Samples) -> dict[str, dict[str, int]]:
    counts = {}
    for split in dict.fromkeys(data.splits.tolist()):
        labels = data.labels[data.splits == split]
        row = {emotion: int((labels == code).sum()) for code, emotion in enumerate(data.label_set.emotions)}
        counts[split] = {**row, _NONE: int((labels < 0).sum())}
    return counts


def _spread(numbers: Sequence[float]) -> Spread | None:
    if not numbers:
        return None
    return Spread(len(numbers), min(numbers), float(np.median(numbers)), max(numbers))


def _drawn(n: int, sample: int | None, seed: int) -> NDArray[np.int64]:
    if sample is None or n <= check_integer(sample, "sample", low=1):
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:sample])


def _readable(data: Samples, rows: NDArray[np.int64], most: int) -> list[NDArray[np.uint8]]:
    found: list[NDArray[np.uint8]] = []
    for row in rows:
        if len(found) == most:
            break
        try:
            found.append(data.read(int(row)))
        except DatasetError:  # `summarize` names it; a sheet shows what can be seen
            continue
    return found
