"""What is in a data set: counts by split and class, subjects, clips, sizes, and a sheet of samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer
from mien.data.base import FaceData, ImageList
from mien.errors import DatasetError
from mien.output.sheet import sheet

__all__ = ["SAMPLE", "Spread", "Summary", "sample_sheet", "summarize"]

SAMPLE = 500
"""Files that are read for their size, where not all are."""

_NONE = "none"


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
    """What is in a data set.

    Parameters
    ----------
    name, source, label_set : str
        Name of the data set, its file or folder, and the set that its labels index.
    counts : dict
        Images of each split (``""`` for none) and in it of each emotion, with ``"none"`` for those without a label.
    subjects : Spread or None
        Images of each subject; None where none is known.
    clips : int
        Number of clips that are known.
    widths, heights : Spread or None
        Sizes in pixels of the images that were read; None where none could be.
    sizes : dict
        How many of them have which (width, height), most frequent first.
    problems : tuple of str
        One line for everything that is missing, wrong or left out.
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

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(sum(row.values()) for row in self.counts.values())

    @property
    def measured(self) -> int:
        """Number of images whose size is known."""
        return sum(self.sizes.values())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON knows it."""
        parts = {key: getattr(self, key) for key in ("name", "source", "label_set", "images", "counts", "clips")}
        spreads = {key: getattr(self, key) for key in ("subjects", "widths", "heights")}
        return {
            **parts,
            **{key: None if spread is None else spread.to_dict() for key, spread in spreads.items()},
            "measured": self.measured,
            "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in self.sizes.items()],
            "problems": list(self.problems),
        }


def summarize(
    data: FaceData | ImageList,
    *,
    sample: int | None = SAMPLE,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Count a data set.

    Parameters
    ----------
    data : FaceData or ImageList
        The data set; of a list, files are read for their size.
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
    problems: list[str] = []
    if isinstance(data, FaceData):
        sizes = Counter({(data.images.shape[2], data.images.shape[1]): len(data)}) if len(data) else Counter()
    else:
        problems += data.problems
        sizes = _sizes(data, _drawn(len(data), sample, seed), problems, progress)
    return Summary(
        name=data.name,
        source=data.source,
        label_set=data.label_set.name,
        counts=_counts(data),
        subjects=_spread(list(Counter(_known(data.subjects)).values())),
        clips=len(set(_known(data.clips))),
        widths=_spread([width for (width, _), n in sizes.items() for _ in range(n)]),
        heights=_spread([height for (_, height), n in sizes.items() for _ in range(n)]),
        sizes=dict(sizes.most_common()),
        problems=tuple(problems),
    )


def sample_sheet(data: FaceData | ImageList, *, columns: int = 10, cell: int = 96, seed: int = 0) -> NDArray[np.uint8]:
    """Draw images of every class that is present, drawn at random: a row each.

    Parameters
    ----------
    data : FaceData or ImageList
        The data set; files that cannot be read are passed over.
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
        If there is no image that can be read.
    """
    check_integer(columns, "columns", low=1)
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
    title = f"{data.name}: {len(data)} images"
    return sheet(images, columns=columns, cell=cell, title=title, headings=headings)


def _counts(data: FaceData | ImageList) -> dict[str, dict[str, int]]:
    counts = {}
    for split in dict.fromkeys(data.splits.tolist()):
        labels = data.labels[data.splits == split]
        row = {emotion: int((labels == code).sum()) for code, emotion in enumerate(data.label_set.emotions)}
        counts[split] = {**row, _NONE: int((labels < 0).sum())}
    return counts


def _known(names: NDArray[np.str_] | None) -> list[str]:
    return [] if names is None else [name for name in names.tolist() if name]


def _spread(numbers: list[int]) -> Spread | None:
    if not numbers:
        return None
    return Spread(len(numbers), min(numbers), float(np.median(numbers)), max(numbers))


def _drawn(n: int, sample: int | None, seed: int) -> NDArray[np.int64]:
    if sample is None or n <= check_integer(sample, "sample", low=1):
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:sample])


def _sizes(
    data: ImageList, rows: NDArray[np.int64], problems: list[str], progress: Callable[[int], None] | None
) -> Counter[tuple[int, int]]:
    sizes: Counter[tuple[int, int]] = Counter()
    for row in rows:
        try:
            height, width = data.read(int(row)).shape[:2]
            sizes[width, height] += 1
        except DatasetError as error:
            problems.append(str(error))
        if progress is not None:
            progress(1)
    return sizes


def _readable(data: FaceData | ImageList, rows: NDArray[np.int64], most: int) -> list[NDArray[np.uint8]]:
    found: list[NDArray[np.uint8]] = []
    for row in rows:
        if len(found) == most:
            break
        try:
            found.append(data.read(int(row)))
        except DatasetError:  # `summarize` names it; a sheet shows what can be seen
            continue
    return found
