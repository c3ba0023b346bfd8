"""What every loader of face data returns: images in memory (`FaceData`), or a list of files (`ImageList`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien._checks import check_integer, describe, warn
from mien.errors import DatasetError, InputError, MienError
from mien.io.image import read_image
from mien.io.paths import format_path
from mien.labels import LabelSet

__all__ = ["FaceData", "ImageList", "content_hashes"]


@dataclass(frozen=True, slots=True)
class FaceData:
    """Face crops of one size with labels, in the published order.

    Parameters
    ----------
    name : str
        Name of the data set, such as ``"fer2013"``.
    images : numpy.ndarray
        uint8 of shape (n, H, W), gray.
    labels : numpy.ndarray
        int64 of shape (n,): index into ``label_set``, or -1 where the protocol gives no label.
    label_set : LabelSet
        The emotions that the labels index.
    splits : numpy.ndarray
        str of shape (n,): the published split of each row.
    rows : numpy.ndarray
        int64 of shape (n,): position in the published order, from 0.
    source : str
        The file or folder.
    protocol : str
        How labels were made of annotations, where there is a choice.
    distribution : numpy.ndarray or None
        float32 of shape (n, len(label_set)): label distribution where annotators voted; rows without any usable vote
        are all zero.
    subjects, clips : numpy.ndarray or None
        str of shape (n,): who is shown, and of which video or sequence the image is; empty where it is not known.
        None where the data set does not say.
    files : numpy.ndarray or None
        str of shape (n,): file of each image, relative to ``source``; None for rows of a table.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    label_set: LabelSet
    splits: NDArray[np.str_]
    rows: NDArray[np.int64]
    source: str
    protocol: str = ""
    distribution: NDArray[np.float32] | None = None
    subjects: NDArray[np.str_] | None = None
    clips: NDArray[np.str_] | None = None
    files: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            raise DatasetError(f"{self.name}: images must be uint8 (n, H, W), but got {self.images.shape}")
        for part in (self.labels, self.splits, self.rows, *(getattr(self, name) for name in _OPTIONAL)):
            if part is not None and len(part) != n:
                raise DatasetError(f"{self.name}: {n} images, but {len(part)} annotations")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: NDArray[Any]) -> FaceData:
        """Return the rows that a boolean mask or an index array selects."""
        optional: dict[str, Any] = {
            name: None if (part := getattr(self, name)) is None else part[index] for name in _OPTIONAL
        }
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            splits=self.splits[index],
            rows=self.rows[index],
            **optional,
        )

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return one image as uint8 (H, W, 3) RGB."""
        return np.repeat(self.images[index][..., None], 3, axis=2)

    def where(self, index: int) -> str:
        """Return where an image comes from, for messages: its file, or its row in the table."""
        if self.files is not None:
            return str(Path(self.source) / str(self.files[index]))
        return f"{self.source}, row {self.rows[index]}"

    def split(self, name: str) -> FaceData:
        """Return the rows of one published split.

        Raises
        ------
        DatasetError
            If no row is of that split; the message names those present.
        """
        mask = self.splits == name
        if not mask.any():
            raise DatasetError(f"{self.source} has no split {name!r}: it has {', '.join(self.split_names())}")
        return self.take(mask)

    def split_names(self) -> list[str]:
        """Return the splits present, in order of first appearance."""
        return list(dict.fromkeys(self.splits.tolist()))

    def labeled(self) -> FaceData:
        """Return the rows that the protocol gives a label."""
        return self.take(self.labels >= 0)


_OPTIONAL = ("distribution", "subjects", "clips", "files")


@dataclass(frozen=True, slots=True)
class ImageList:
    """Images in files with labels, not yet read: photographs of any size, in which a face may have to be found.

    Parameters
    ----------
    name : str
        Name of the data set, such as ``"jaffe"``.
    source : str
        The folder.
    files : tuple of str
        Paths relative to ``source``, in the order of the data set (sorted where it has none).
    labels : numpy.ndarray
        int64 of shape (n,): index into ``label_set``, or -1 for none.
    label_set : LabelSet
        The emotions that the labels index.
    subjects, clips, splits : numpy.ndarray
        str of shape (n,); empty where not known.
    problems : tuple of str
        One line for every file that is missing, wrong or left out, with its path.
    """

    name: str
    source: str
    files: tuple[str, ...]
    labels: NDArray[np.int64]
    label_set: LabelSet
    subjects: NDArray[np.str_]
    clips: NDArray[np.str_]
    splits: NDArray[np.str_]
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in (self.labels, self.subjects, self.clips, self.splits):
            if len(part) != len(self.files):
                raise DatasetError(f"{self.name}: {len(self.files)} files, but {len(part)} annotations")

    def __len__(self) -> int:
        return len(self.files)

    def take(self, index: NDArray[Any]) -> ImageList:
        """Return the images that a boolean mask or an index array selects."""
        chosen = np.arange(len(self))[index]
        return replace(
            self,
            files=tuple(self.files[i] for i in chosen),
            **{name: getattr(self, name)[chosen] for name in ("labels", "subjects", "clips", "splits")},
        )

    def where(self, index: int) -> str:
        """Return the path of an image."""
        return str(Path(self.source) / self.files[index])

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return one image as uint8 (H, W, 3) RGB.

        Raises
        ------
        DatasetError
            If it cannot be read, or not to its end; the message names the file.
        """
        try:
            image = read_image(self.where(index))
        except MienError as error:
            raise DatasetError(f"{format_path(self.where(index))}: {error}") from error
        for warning in image.warnings:
            if "truncated" in warning:  # the missing part would be learned as if it were the image
                raise DatasetError(f"{format_path(self.where(index))}: {warning}")
        return image.pixels

    def faces(
        self, size: int = 48, *, problems: str = "raise", progress: Callable[[int], None] | None = None
    ) -> FaceData:
        """Read all images whole, as gray squares; for images that are cut to the face already.

        Parameters
        ----------
        size : int
            Side of the squares in pixels; images of another size are resampled (by area when they shrink).
        problems : {"raise", "skip"}
            What to do with an image that cannot be read: raise, or leave it out with a `MienWarning` that names it.
            Left-out images keep their number: ``rows`` then has gaps.
        progress : callable, optional
            Called with the number of images read since the last call.

        Raises
        ------
        DatasetError
            If an image cannot be read, or there is none (left).
        InputError
            If an option has another value.
        """
        check_integer(size, "size", low=1)
        if problems not in ("raise", "skip"):
            raise InputError(f"problems must be raise or skip, but got {describe(problems)}")
        images: list[NDArray[np.uint8]] = []
        rows: list[int] = []
        for row in range(len(self)):
            try:
                images.append(_square(self.read(row), size))
                rows.append(row)
            except DatasetError as error:
                if problems == "raise":
                    raise
                warn(f"left out {error}")
            if progress is not None:
                progress(1)
        if not images:
            raise DatasetError(f"{format_path(self.source)} has no images{' that can be read' if self.files else ''}")
        kept = np.array(rows, dtype=np.int64)
        return FaceData(
            name=self.name,
            images=np.stack(images),
            labels=self.labels[kept],
            label_set=self.label_set,
            splits=self.splits[kept],
            rows=kept,
            source=self.source,
            subjects=self.subjects[kept],
            clips=self.clips[kept],
            files=np.array(self.files)[kept],
        )


def _square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    gray = image[..., 0] if (image[..., :1] == image).all() else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if gray.shape == (size, size):
        return np.ascontiguousarray(gray, dtype=np.uint8)
    shrinks = min(gray.shape) > size
    resized = cv2.resize(gray, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def content_hashes(images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """Return a digest of the pixels of each image, for finding exact copies.

    Parameters
    ----------
    images : numpy.ndarray or sequence of numpy.ndarray
        uint8 images; the shape is part of the content.

    Returns
    -------
    list of bytes
        BLAKE2b digests of 16 bytes.
    """
    digests = []
    for image in images:
        header = repr(image.shape).encode()
        digests.append(hashlib.blake2b(header + image.tobytes(), digest_size=16).digest())
    return digests
