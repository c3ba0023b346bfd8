"""Corpora of clips: videos, or frames of videos in order, each with one emotion.

They have a registry of their own, because they yield `VideoClips` where data sets of faces yield `FaceData`.
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

from mien._checks import check_integer, describe, warn
from mien.data import _video_frames
from mien.data.base import FaceData, ImageList, _square
from mien.data.summary import Spread
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path
from mien.labels import LabelSet

__all__ = ["VIDEO_DATASETS", "MiddleFrames", "VideoClips", "clip_lengths", "video_index"]

VIDEO_DATASETS: dict[str, str] = {
    "baum2": "BAUM-2 (Erdem et al. 2015): videos by subject, or the face frames extracted from them, eight emotions",
    "ckplus_sequences": "CK+ (Lucey et al. 2010): labeled sequences from neutral to the peak, eight emotions",
    "ravdess_videos": "RAVDESS (Livingstone and Russo 2018): videos of 24 actors, eight emotions",
    "video_folder": "Any folder of videos: <emotion>/<subject>_*, <subject>/<emotion>/*, or with a table",
}
"""The corpora with one line on each; each is the module of that name in `mien.data`."""

_TEXT = ("clips", "subjects", "splits")


@dataclass(frozen=True, slots=True)
class VideoClips:
    """Clips with labels, not yet read.

    Parameters
    ----------
    name : str
        Name of the corpus, such as ``"baum2"``.
    source : str
        The folder.
    files : tuple of tuple of str
        Of each clip its video alone, or its frames' images in order; paths relative to ``source``.
    videos : numpy.ndarray
        bool of shape (n,): whether the clip is a video.
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
    videos: NDArray[np.bool_]
    labels: NDArray[np.int64]
    label_set: LabelSet
    clips: NDArray[np.str_]
    subjects: NDArray[np.str_]
    splits: NDArray[np.str_]
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("videos", "labels", *_TEXT):
            if len(getattr(self, part)) != len(self.files):
                raise DatasetError(f"{self.name}: {len(self.files)} clips, but {len(getattr(self, part))} {part}")
        for clip, files, video in zip(self.clips, self.files, self.videos, strict=True):
            if not files or (video and len(files) != 1):
                raise DatasetError(f"{self.name}: clip {format_path(str(clip))} must be one video or some images")
        if len(set(self.clips.tolist())) != len(self.clips):
            raise DatasetError(f"{self.name}: two clips have the same name")

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: NDArray[Any]) -> VideoClips:
        """Return the clips that a boolean mask or an index array selects."""
        chosen = np.arange(len(self))[index]
        parts = {name: getattr(self, name)[chosen] for name in ("videos", "labels", *_TEXT)}
        return replace(self, files=tuple(self.files[i] for i in chosen), **parts)

    def split(self, name: str) -> VideoClips:
        """Return the clips of one split.

        Raises
        ------
        DatasetError
            If no clip is of that split; the message names those present.
        """
        mask = self.splits == name
        if not mask.any():
            present = ", ".join(part for part in dict.fromkeys(self.splits.tolist()) if part)
            raise DatasetError(f"{format_path(self.source)} has no split {name!r}: it has {present or 'none'}")
        return self.take(mask)

    def emotion(self, index: int) -> str:
        """Return the emotion of a clip in words; empty for none."""
        label = int(self.labels[index])
        return "" if label < 0 else self.label_set.emotions[label]

    def where(self, index: int) -> str:
        """Return the path of a clip's video, or of the folder of its frames."""
        files = self.files[index]
        inside = files[0] if self.videos[index] else PurePosixPath(files[0]).parent.as_posix()
        return str(Path(self.source) / inside)

    def images(
        self, index: int, count: int | None = None, *, every: int = 1
    ) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
        """Yield frames of a clip in color, with their numbers.

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
            If a frame cannot be read, or the video ends before its end; the message names the file.  What comes before
            was yielded.
        """
        wanted = _video_frames.Wanted(
            None if count is None else check_integer(count, "count", low=1), check_integer(every, "every", low=1)
        )
        paths = [str(Path(self.source) / file) for file in self.files[index]]
        read = (
            _video_frames.of_video(paths[0], wanted) if self.videos[index] else _video_frames.of_images(paths, wanted)
        )
        yield from read

    def frames(self, index: int, count: int | None = None, *, size: int = 48) -> NDArray[np.uint8]:
        """Read frames of a clip whole, as gray squares; for corpora that are cut to the face already.

        Frames of videos that show more than a face become squares, too, but say little: run ``mien data frames`` on
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
            uint8 of shape (k, size, size), gray, in order; k is at least 1, and at most ``count``.

        Raises
        ------
        DatasetError
            If a frame cannot be read, or the video ends before its end; the message names the file.
        """
        check_integer(size, "size", low=1)
        return np.stack([_square(image, size) for _, image in self.images(index, count)])

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
                read = [(number, _square(image, size)) for number, image in self.images(clip, count)]
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
            raise DatasetError(f"{format_path(self.source)} has no clips{' that can be read' if self.files else ''}")
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
        """Return the clips as a list of images, the middle frame of each: for what looks at data sets of images."""
        return MiddleFrames(
            name=self.name,
            source=self.source,
            files=tuple(
                files[0] if video else files[(len(files) - 1) // 2]
                for files, video in zip(self.files, self.videos, strict=True)
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
        return f"{files[0]}, frame {number}" if self.videos[clip] else files[number]


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddleFrames(ImageList):
    """One image a clip, its middle frame; see `VideoClips.middles`.

    Parameters
    ----------
    of : VideoClips
        The clips, in the same order.
    """

    of: VideoClips

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
        ((_, image),) = self.of.images(index, 1)
        return image


def clip_lengths(clips: VideoClips) -> Spread | None:
    """Return how many frames the clips of images have; None where there are only videos, which need reading."""
    lengths = [len(files) for files, video in zip(clips.files, clips.videos, strict=True) if not video]
    return Spread(len(lengths), min(lengths), float(np.median(lengths)), max(lengths)) if lengths else None


def video_index(name: str, path: str | Path, **options: Any) -> VideoClips:
    """List the clips of a corpus, without reading them.

    Parameters
    ----------
    name : str
        One of `VIDEO_DATASETS`.
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
    if name not in VIDEO_DATASETS:
        raise InputError(f"unknown video corpus {name!r}: expected one of {', '.join(VIDEO_DATASETS)}")
    function = importlib.import_module(f"mien.data.{name}").index
    taken = [key for key in inspect.signature(function).parameters if key != "path"]
    for key in options:
        if key not in taken:
            raise InputError(f"video corpus {name!r} has no option {key!r}: it takes {', '.join(taken) or 'none'}")
    return cast(VideoClips, function(path, **options))
