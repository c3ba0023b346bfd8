"""What every loader of face data returns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DatasetError
from mien.labels import LabelSet

__all__ = ["FaceData", "content_hashes"]


@dataclass(frozen=True, slots=True)
class FaceData:
    """Face crops of one size with labels, in the published order.

    Parameters
    ----------
    name : str
        Name of the data set, such as ``"fer2013"``.
    images : numpy.ndarray
        uint8 of shape (n, H, W), grey.
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

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            raise DatasetError(f"{self.name}: images must be uint8 (n, H, W), but got {self.images.shape}")
        for part in (self.labels, self.splits, self.rows, self.distribution):
            if part is not None and len(part) != n:
                raise DatasetError(f"{self.name}: {n} images, but {len(part)} annotations")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: NDArray[Any]) -> FaceData:
        """Return the rows that a boolean mask or an index array selects."""
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            splits=self.splits[index],
            rows=self.rows[index],
            distribution=None if self.distribution is None else self.distribution[index],
        )

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

    def labelled(self) -> FaceData:
        """Return the rows that the protocol gives a label."""
        return self.take(self.labels >= 0)


def content_hashes(images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """Return a digest of the pixels of each picture, for finding exact copies.

    Parameters
    ----------
    images : numpy.ndarray or sequence of numpy.ndarray
        uint8 pictures; the shape is part of the content.

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
