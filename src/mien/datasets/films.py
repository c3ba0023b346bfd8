"""Corpora of clips: films, or frames of films in order, each with one emotion.

They have a registry of their own, because they yield `FilmClips` where data sets of faces yield `FaceData`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mien._checks import describe, warn, whole_number
from mien.datasets import _film_frames
from mien.datasets.base import FaceData, PictureList, _square
from mien.datasets.summary import Spread
from mien.errors import DatasetError, InputError
from mien.labels import LabelSet
from mien.media.paths import shown

__all__ = ["FILM_DATASETS", "FilmClips", "MiddleFrames", "clip_lengths", "film_index"]

FILM_DATASETS: dict[str, str] = {
    "baum2": "BAUM-2 (Erdem et al. 2015): films by subject, or the face frames extracted from them, eight emotions",
    "ckplus_sequences": "CK+ (Lucey et al. 2010): labelled sequences from neutral to the peak, eight emotions",
    "ravdess_films": "RAVDESS (Livingstone and Russo 2018): films of 24 actors, eight emotions",
    "film_folder": "Any folder of films: <emotion>/<subject>_*, <subject>/<emotion>/*, or with a table",
}
"""The corpora with one line on each; each is the module of that name in `mien.datasets`."""

_TEXT = ("clips", "subjects", "splits")


@dataclass(frozen=True, slots=True)
class FilmClips:
    """Clips with labels, not yet read.

    Parameters
    ----------
    name : str
        Name of the corpus, such as ``"baum2"``.
    source : str
        The folder.
    files : tuple of tuple of str
        Of each clip its film alone, or its frames' pictures in order; paths relative to ``source``.
    films : numpy.ndarray
        bool of shape (n,): whether the clip is a film.
    labels : numpy.ndarray
        int64 of shape (n,): index into ``label_set``, or -1 for none.
    label_set : LabelSet
        The emotions that the labels index.
    clips : numpy.ndarray
        str of shape (n,): name of each clip, such as ``"S001/003"``; no two are the same.
    subjects, splits : numpy.ndarray
        str of shape (n,); empty where not known.
    problems : tuple of str
        One line for every clip that is missing or wrong, and for every kind that was left out.

    Raises
    ------
    DatasetError
        If the parts differ in length, a clip has no file, or two have the same name.
    """

    name: str
    source: str
    files: tuple[tuple[str, ...], ...]
    films: NDArray[np.bool_]
    labels: NDArray[np.int64]
    label_set: LabelSet
    clips: NDArray[np.str_]
    subjects: NDArray[np.str_]
    splits: NDArray[np.str_]
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("films", "labels", *_TEXT):
            if len(getattr(self, part)) != len(self.files):
                raise DatasetError(f"{self.name}: {len(self.files)} clips, but {len(getattr(self, part))} {part}")
        for clip, files, film in zip(self.clips, self.files, self.films, strict=True):
            if not files or (film and len(files) != 1):
                raise DatasetError(f"{self.name}: clip {shown(str(clip))} must be one film or some pictures")
        if len(set(self.clips.tolist())) != len(self.clips):
            raise DatasetError(f"{self.name}: two clips have the same name")

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: NDArray[Any]) -> FilmClips:
        """Return the clips that a boolean mask or an index array selects."""
        chosen = np.arange(len(self))[index]
        parts = {name: getattr(self, name)[chosen] for name in ("films", "labels", *_TEXT)}
        return replace(self, files=tuple(self.files[i] for i in chosen), **parts)

    def split(self, name: str) -> FilmClips:
        """Return the clips of one split.

        Raises
        ------
        DatasetError
            If no clip is of that split; the message names those present.
        """
        mask = self.splits == name
        if not mask.any():
            present = ", ".join(part for part in dict.fromkeys(self.splits.tolist()) if part)
            raise DatasetError(f"{shown(self.source)} has no split {name!r}: it has {present or 'none'}")
        return self.take(mask)

    def emotion(self, index: int) -> str:
        """Return the emotion of a clip in words; empty for none."""
        label = int(self.labels[index])
        return "" if label < 0 else self.label_set.emotions[label]

    def where(self, index: int) -> str:
        """Return the path of a clip's film, or of the folder of its frames."""
        files = self.files[index]
        inside = files[0] if self.films[index] else PurePosixPath(files[0]).parent.as_posix()
        return str(Path(self.source) / inside)

    def pictures(
        self, index: int, count: int | None = None, *, every: int = 1
    ) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
        """Yield frames of a clip in colour, with their numbers.

        Parameters
        ----------
        index : int
            Which clip.
        count : int, optional
            So many, evenly spaced from the first frame to the last; all where the clip has no more.  One is the middle.
        every : int
            Without a count: every so many frames, from the first on.

        Yields
        ------
        number : int
            The frame's place in the clip, from 0.
        image : numpy.ndarray
            uint8 of shape (H, W, 3), RGB.

        Raises
        ------
        DatasetError
            If a frame cannot be read, or the film ends before its end; the message names the file.  What comes before
            was yielded.
        """
        wanted = _film_frames.Wanted(
            None if count is None else whole_number(count, "count", low=1), whole_number(every, "every", low=1)
        )
        paths = [str(Path(self.source) / file) for file in self.files[index]]
        read = _film_frames.of_film(paths[0], wanted) if self.films[index] else _film_frames.of_pictures(paths, wanted)
        yield from read

    def frames(self, index: int, count: int | None = None, *, size: int = 48) -> NDArray[np.uint8]:
        """Read frames of a clip whole, as grey squares; for corpora that are cut to the face already.

        Frames of films that show more than a face become squares, too, but say little: run ``mien data frames`` on
        such a corpus first.

        Parameters
        ----------
        index : int
            Which clip.
        count : int, optional
            So many, evenly spaced from the first frame to the last; all where the clip has no more.  One is the middle.
        size : int
            Side of the squares in pixels; frames of another size are resampled (by area when they shrink).

        Returns
        -------
        numpy.ndarray
            uint8 of shape (k, size, size), grey, in order; k is at least 1, and at most ``count``.

        Raises
        ------
        DatasetError
            If a frame cannot be read, or the film ends before its end; the message names the file.
        """
        whole_number(size, "size", low=1)
        return np.stack([_square(image, size) for _, image in self.pictures(index, count)])

    def faces(
        self,
        count: int | None = 16,
        *,
        size: int = 48,
        problems: str = "raise",
        progress: Callable[[int], None] | None = None,
    ) -> FaceData:
        """Read frames of all clips as one data set of faces, a row each; `FaceData.clips` tells whose they are.

        Parameters
        ----------
        count, size
            See `frames`.
        problems : {"raise", "skip"}
            What to do with a clip that cannot be read: raise, or leave it out with a `MienWarning` that names it.
        progress : callable, optional
            Called with the number of clips read since the last call.

        Returns
        -------
        FaceData
            Its ``rows`` count frames; clips that were left out leave no gap.

        Raises
        ------
        DatasetError
            If a clip cannot be read, or there is none (left).
        """
        if problems not in ("raise", "skip"):
            raise InputError(f"problems must be raise or skip, but got {describe(problems)}")
        images: list[NDArray[np.uint8]] = []
        owners: list[int] = []
        files: list[str] = []
        for clip in range(len(self)):
            try:
                read = [(number, _square(image, size)) for number, image in self.pictures(clip, count)]
            except DatasetError as error:
                if problems == "raise":
                    raise
                warn(f"left out {error}")
                read = []
            images += [image for _, image in read]
            owners += [clip] * len(read)
            files += [self._frame_name(clip, number) for number, _ in read]
            if progress is not None:
                progress(1)
        if not images:
            raise DatasetError(f"{shown(self.source)} has no clips{' that can be read' if self.files else ''}")
        return FaceData(
            name=self.name,
            images=np.stack(images),
            labels=self.labels[owners],
            label_set=self.label_set,
            splits=self.splits[owners],
            rows=np.arange(len(images), dtype=np.int64),
            source=self.source,
            subjects=self.subjects[owners],
            clips=self.clips[owners],
            files=np.array(files),
        )

    def middles(self) -> MiddleFrames:
        """Return the clips as a list of pictures, the middle frame of each: for what looks at data sets of pictures."""
        return MiddleFrames(
            name=self.name,
            source=self.source,
            files=tuple(
                files[0] if film else files[(len(files) - 1) // 2]
                for files, film in zip(self.files, self.films, strict=True)
            ),
            labels=self.labels,
            label_set=self.label_set,
            subjects=self.subjects,
            clips=self.clips,
            splits=self.splits,
            problems=self.problems,
            of=self,
        )

    def _frame_name(self, clip: int, number: int) -> str:
        files = self.files[clip]
        return f"{files[0]}, frame {number}" if self.films[clip] else files[number]


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddleFrames(PictureList):
    """One picture a clip, its middle frame; see `FilmClips.middles`.

    Parameters
    ----------
    of : FilmClips
        The clips, in the same order.
    """

    of: FilmClips

    def take(self, index: NDArray[Any]) -> MiddleFrames:
        """Return the clips that a boolean mask or an index array selects."""
        return replace(self.of.take(index).middles(), problems=self.problems)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the middle frame of a clip as uint8 (H, W, 3) RGB.

        Raises
        ------
        DatasetError
            If it cannot be read; the message names the file.
        """
        ((_, image),) = self.of.pictures(index, 1)
        return image


def clip_lengths(clips: FilmClips) -> Spread | None:
    """Return how many frames the clips of pictures have; None where there are only films, which need reading."""
    lengths = [len(files) for files, film in zip(clips.files, clips.films, strict=True) if not film]
    return Spread(len(lengths), min(lengths), float(np.median(lengths)), max(lengths)) if lengths else None


def film_index(name: str, path: str | Path, **options: Any) -> FilmClips:
    """List the clips of a corpus, without reading them.

    Parameters
    ----------
    name : str
        One of `FILM_DATASETS`.
    path : str or pathlib.Path
        Its folder, as published.
    **options : object
        What the corpus takes; see the ``index`` of its module.

    Raises
    ------
    InputError
        If there is no such corpus, or it does not take an option.
    DatasetError
        If the folder is missing, or no clip of the corpus is in it.
    """
    if name not in FILM_DATASETS:
        raise InputError(f"unknown film corpus {name!r}: expected one of {', '.join(FILM_DATASETS)}")
    function = importlib.import_module(f"mien.datasets.{name}").index
    taken = [key for key in inspect.signature(function).parameters if key != "path"]
    for key in options:
        if key not in taken:
            raise InputError(f"film corpus {name!r} has no option {key!r}: it takes {', '.join(taken) or 'none'}")
    return cast(FilmClips, function(path, **options))
