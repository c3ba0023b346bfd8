"""What nets for clips learn from: the faces of every clip, what a face net says of them, labels and subjects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.registry import load_dataset
from mien.data.samples import Samples
from mien.data.splits import holdout_mask
from mien.errors import DatasetError, InputError
from mien.labels import LabelSet
from mien.train.corpus import TRAINING, VALIDATION, Rows
from mien.train.nets import VideoNet, build_video
from mien.train.recipe import Recipe, load_recipe
from mien.train.video_features import FrameReader

__all__ = ["VideoCorpus", "load_videos", "mirrored", "nets_of", "split_videos"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoCorpus(Rows):
    """Clips with labels.

    Parameters
    ----------
    label_set : LabelSet
        The emotions.
    names : numpy.ndarray
        str (n,): the clips.
    images : numpy.ndarray
        uint8 (n, T, S, S): the faces of each clip in order, black behind its last.
    mask : numpy.ndarray
        float32 (n, T): 1 for frames that are there.
    features : numpy.ndarray
        float32 (n, 2, T, D): what a face net says of each frame and of its mirror image; zero behind the last, and
        D = 0 where no net of the recipe asks for it.
    """

    label_set: LabelSet
    names: NDArray[np.str_]
    images: NDArray[np.uint8]
    mask: NDArray[np.float32]
    features: NDArray[np.float32]

    def _taken(self, index: NDArray[Any]) -> dict[str, Any]:
        return Rows._taken(self, index) | {
            "names": self.names[index],
            "images": self.images[index],
            "mask": self.mask[index],
            "features": self.features[index],
        }


def nets_of(recipe: Recipe, heads: dict[str, int]) -> list[VideoNet]:
    """Build the net of a recipe for clips, or those of its members."""
    recipes = [load_recipe(member) for member in recipe.members] or [recipe]
    return [build_video(own.net, heads, **own.net_options) for own in recipes]


def load_videos(
    recipe: Recipe, path: str | Path, *, split: str | None = None, report: Callable[[str], object] = str
) -> VideoCorpus:
    """Read clips as the recipe's nets take them: for training, everything of a corpus but its examination.

    Parameters
    ----------
    recipe : Recipe
        Names corpus and net, how many frames are read, and by which face model.
    path : str or pathlib.Path
        Folder of the corpus.
    split : str, optional
        For an examination: only this split; ``"all"`` for every clip with a label.
    report : callable
        Gets progress lines; the default, `str`, drops them.

    Raises
    ------
    DatasetError
        If the corpus is missing or wrong, or nothing of it is for training.
    InputError
        If net, frames and face model do not fit each other.
    """
    clips = load_dataset(recipe.dataset, path, **recipe.dataset_options)
    if split is None:
        clips = clips.take(np.isin(clips.splits, ("", *TRAINING, *VALIDATION)))
    elif split != "all":
        clips = clips.split(split)
    clips = clips.take(clips.labels >= 0)
    if not len(clips):
        raise DatasetError(f"{path}: no clip with a label is for {'training' if split is None else 'examination'}")
    head = clips.label_set.name
    nets = nets_of(recipe, {head: len(clips.label_set)})
    frames, size = recipe.video.frames, recipe.video.size
    for net in nets:
        if net.frames != frames or (net.sees_images and net.size != size):
            told = f"but [video] gives {frames} of {size}"
            raise InputError(f"recipe {recipe.name!r}: its net takes {net.frames} frames of {net.size} pixels, {told}")
    images, mask = _read(clips, frames, size)
    report(f"read {int(mask.sum())} frames of {len(clips)} clips")
    features = _told(images, mask, recipe, [net for net in nets if net.sees_features])
    return VideoCorpus(
        name=clips.name,
        targets={head: np.eye(len(clips.label_set), dtype=np.float32)[clips.labels]},
        truth={head: clips.labels},
        group=clips.groups(),
        splits=clips.splits,
        subjects=clips.subjects if (clips.subjects != "").any() else None,
        label_set=clips.label_set,
        names=clips.clips,
        images=images,
        mask=mask,
        features=features,
    )


def _read(clips: Samples, frames: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    images = np.zeros((len(clips), frames, size, size), np.uint8)
    mask = np.zeros((len(clips), frames), np.float32)
    for row in range(len(clips)):
        read = clips.read_frames(row, frames, size=size)
        images[row, : len(read)] = read
        mask[row, : len(read)] = 1
    return images, mask


def _told(
    images: NDArray[np.uint8], mask: NDArray[np.float32], recipe: Recipe, nets: list[VideoNet]
) -> NDArray[np.float32]:
    if not nets:
        return np.zeros((len(images), 2, mask.shape[1], 0), np.float32)
    reader = FrameReader(recipe.video.model)
    there = mask > 0
    plain = images[there]
    told = [reader(plain), reader(np.ascontiguousarray(plain[..., ::-1]))]
    wide = told[0].shape[1]
    for net in nets:
        if (net.answers, net.answers + net.embedding) != (reader.answers, wide):
            raise InputError(
                f"{recipe.video.model} tells {reader.answers} answers and an embedding of {wide - reader.answers}: "
                f"set net_options.answers and net_options.embedding, which are {net.answers} and {net.embedding}"
            )
    features = np.zeros((len(images), 2, mask.shape[1], wide), np.float32)
    for side, values in enumerate(told):
        features[:, side][there] = values
    return features


def mirrored(corpus: VideoCorpus) -> VideoCorpus:
    """Return a corpus with the mirror image of every clip behind the clips, in the groups of their originals."""
    both = corpus.take(np.tile(np.arange(len(corpus)), 2))
    images = np.concatenate([corpus.images, corpus.images[..., ::-1]])
    features = np.concatenate([corpus.features, corpus.features[:, ::-1]])
    return replace(both, images=images, features=features)


def split_videos(corpus: VideoCorpus, recipe: Recipe, source: str) -> tuple[VideoCorpus, VideoCorpus]:
    """Divide clips into those for training and those for choosing; no subject is on both sides.

    Parameters
    ----------
    corpus : VideoCorpus
        All clips.
    recipe : Recipe
        Names the share, where the corpus has no split of its own.
    source : str
        Where they come from, for messages.

    Raises
    ------
    DatasetError
        If a side would be empty.
    """
    chosen = np.isin(corpus.splits, VALIDATION)
    if not chosen.any():
        chosen = holdout_mask(
            next(iter(corpus.truth.values())), corpus.group, recipe.validation_share, seed=recipe.seed
        )
    if chosen.all() or not chosen.any():
        raise DatasetError(f"{source} needs clips both for training and for validation, but one side is empty")
    return corpus.take(~chosen), corpus.take(chosen)
