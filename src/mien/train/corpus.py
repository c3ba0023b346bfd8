"""What a net learns from: images with targets for each head, some of them for training, some for choosing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mien.data import load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.data.samples import Samples, content_hashes
from mien.data.splits import holdout_mask
from mien.errors import DatasetError
from mien.face.align import fit_crop
from mien.train.recipe import BOTH, Recipe

__all__ = ["TRAINING", "VALIDATION", "Corpus", "Rows", "fitted", "load_all", "load_corpus", "split_corpus"]

TRAINING = ("Training", "training", "train")
"""Names of splits to train on."""

VALIDATION = ("PublicTest", "validation", "valid", "val", "dev")
"""Names of splits to choose on.  Any other, such as ``test`` or ``PrivateTest``, is an examination: never read here."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a net learns from, but for the input itself: labels for one head or more, and what belongs together.

    Parameters
    ----------
    name : str
        The data set.
    targets : dict of str to numpy.ndarray
        By head: float32 (n, classes), distributions to learn, all zero where there is none.
    truth : dict of str to numpy.ndarray
        By head: int64 (n,), labels to be measured against, -1 where there is none.
    group : numpy.ndarray
        int64 (n,): rows of one subject, clip or content share a number.
    splits : numpy.ndarray
        str (n,): the published splits, or empty.
    voted : tuple of str
        Heads whose targets are distributions of votes rather than single labels.
    subjects : numpy.ndarray or None
        str (n,), where the data set names them.
    """

    name: str
    targets: dict[str, NDArray[np.float32]]
    truth: dict[str, NDArray[np.int64]]
    group: NDArray[np.int64]
    splits: NDArray[np.str_]
    voted: tuple[str, ...] = ()
    subjects: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.group)

    @property
    def heads(self) -> dict[str, int]:
        """Number of classes of each head; a head is named after its label set."""
        return {head: part.shape[1] for head, part in self.targets.items()}

    def take(self, index: NDArray[Any]) -> Self:
        """Return the rows that a boolean mask or an index array selects."""
        return replace(self, **self._taken(index))

    def _taken(self, index: NDArray[Any]) -> dict[str, Any]:
        return {
            "targets": {head: part[index] for head, part in self.targets.items()},
            "truth": {head: part[index] for head, part in self.truth.items()},
            "group": self.group[index],
            "splits": self.splits[index],
            "subjects": None if self.subjects is None else self.subjects[index],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus(Rows):
    """Images with labels for one head or more.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S).
    """

    images: NDArray[np.uint8]

    def _taken(self, index: NDArray[Any]) -> dict[str, Any]:
        # Named, because `super()` without arguments does not work in a class with slots.
        return Rows._taken(self, index) | {"images": self.images[index]}


def fitted(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return gray crops, uint8 (n, H, W), at a net's size, uint8 (n, size, size); those of that size come back as is.

    Nets of other sizes are fed as they are at use: by the resampling of `mien.face.align.fit_crop`.
    """
    if images.shape[1:] == (size, size):
        return images
    return np.stack([fit_crop(image, size)[..., 0] for image in images])


def load_all(recipe: Recipe, path: str | Path, *, votes: str | Path | None = None) -> Corpus:
    """Read everything but the examination.

    Parameters
    ----------
    recipe : Recipe
        Names the data set and how its labels are used.
    path : str or pathlib.Path
        File or folder of the data set.
    votes : str or pathlib.Path, optional
        FER+ votes; by default beside FER2013's table.

    Returns
    -------
    Corpus
        Rows of the splits `TRAINING` and `VALIDATION`, or of a data set without splits all.

    Raises
    ------
    DatasetError
        If the data is missing or wrong, or nothing of it is for training.
    """
    options = dict(recipe.dataset_options)
    if recipe.dataset == BOTH:
        images = read_fer2013(path)
        voted = add_votes(images, votes)
        corpus = _corpus([voted, images], recipe)
    else:
        if recipe.dataset == "ferplus":
            options = {"labels": votes, **options}
        size = recipe.net_options.get("size")
        if size is not None and recipe.dataset not in ("fer2013", "ferplus", "table"):
            options = {"size": size, **options}
        corpus = _corpus([load_images(recipe.dataset, path, **options)], recipe)
    known = np.isin(corpus.splits, ("", "all", *TRAINING, *VALIDATION))
    if not known.any():
        raise DatasetError(
            f"{path} has only the splits {', '.join(sorted(set(corpus.splits.tolist())))}: training needs "
            f"one of {', '.join(TRAINING)}"
        )
    return corpus.take(known)


def _corpus(parts: Sequence[Samples], recipe: Recipe) -> Corpus:
    first = parts[0]
    voted = [part for part in parts if part.distribution is not None and recipe.labels != "hard"]
    return Corpus(
        name=recipe.dataset,
        images=first.images,
        targets={part.label_set.name: _targets(part, recipe.labels) for part in parts},
        truth={part.label_set.name: part.labels for part in parts},
        group=first.groups(),
        splits=first.splits,
        voted=tuple(part.label_set.name for part in voted),
        subjects=first.subjects if first.has("subject") else None,
    )


def _targets(data: Samples, way: str) -> NDArray[np.float32]:
    if data.distribution is not None and way != "hard":
        return data.distribution
    known = np.flatnonzero(data.labels >= 0)
    hard = np.zeros((len(data), len(data.label_set)), dtype=np.float32)
    hard[known, data.labels[known]] = 1
    return hard


def load_corpus(recipe: Recipe, path: str | Path, *, votes: str | Path | None = None) -> tuple[Corpus, Corpus]:
    """Read what a recipe trains on and chooses on.

    Parameters
    ----------
    recipe, path, votes
        See `load_all`.

    Returns
    -------
    training, validation : Corpus
        Disjoint in subject and clip where the data set names them, and in pixels.

    Raises
    ------
    DatasetError
        If a file or a split is missing.
    """
    return split_corpus(load_all(recipe, path, votes=votes), recipe, str(path))


def split_corpus(corpus: Corpus, recipe: Recipe, source: str) -> tuple[Corpus, Corpus]:
    """Divide rows into those for training and those for choosing.

    A split of the data set's own is taken; without one, a share is held out by groups.

    Parameters
    ----------
    corpus : Corpus
        All rows.
    recipe : Recipe
        Names the share, and whether copies are dropped.
    source : str
        Where the rows come from, for messages.

    Returns
    -------
    training, validation : Corpus
        The two sides.

    Raises
    ------
    DatasetError
        If a side would be empty.
    """
    chosen = np.isin(corpus.splits, VALIDATION)
    if chosen.all():
        raise DatasetError(f"{source} has rows for validation only: training needs one of {', '.join(TRAINING)}")
    if not chosen.any():
        if recipe.dataset in (BOTH, "fer2013", "ferplus"):
            raise DatasetError(f"{source} lacks the split PublicTest: training needs both Training and PublicTest")
        labels = next(iter(corpus.truth.values()))
        chosen = holdout_mask(labels, corpus.group, recipe.validation_share, seed=recipe.seed)
    training, validation = corpus.take(~chosen), corpus.take(chosen)
    if recipe.drop_overlap:
        held_out = set(content_hashes(validation.images))
        keep = np.array([digest not in held_out for digest in content_hashes(training.images)], dtype=bool)
        training = training.take(keep)
    if len(training) == 0:
        raise DatasetError(f"{source}: every training image is a copy of one for validation")
    return training, validation
