"""Training on clips of faces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.data.samples import Samples
from mien.errors import InputError
from mien.train.augment import Augmentation
from mien.train.corpus import Corpus
from mien.train.data import Augment
from mien.train.export import Deployed
from mien.train.faces import crop_table, fit_images
from mien.train.kinds import Kind, build_for
from mien.train.nets import VideoNetwork
from mien.train.recipe import Recipe, member_recipes
from mien.video.clips import FaceFeatures

__all__ = ["Videos", "read_clips"]


class Videos(Kind[VideoNetwork]):
    """Clips of faces, cut to the face.

    The inputs of a corpus are ``images``, uint8 (n, T, S, S), the faces of each clip in order, black behind its last;
    ``mask``, float32 (n, T), 1 for frames that are there; and ``features``, float32 (n, 2, T, D), the outputs of a face
    model for each frame and for its mirror image, with D = 0 where no network of the recipe takes them.
    """

    noun = "clips"
    batch = 64

    def read_inputs(self, recipe: Recipe, samples: Samples) -> dict[str, NDArray[Any]]:
        """Read frames and, where a network takes them, the outputs of the recipe's face model.

        Raises
        ------
        InputError
            If networks, frames and face model do not fit each other.
        """
        heads = {samples.label_set.name: len(samples.label_set)}
        nets = [build_for(own, heads) for own in member_recipes(recipe).values()]
        frames, size = recipe.video.frames, recipe.video.size
        for net in nets:
            if net.frames != frames or (net.uses_images and net.size != size):
                raise InputError(
                    f"recipe {recipe.name!r}: its network takes {net.frames} frames of {net.size} pixels, but [video] "
                    f"gives {frames} of {size}"
                )
        inputs = read_clips(samples, frames, size)
        nets = [net for net in nets if net.uses_features]
        if not nets:
            return inputs | {"features": np.zeros((len(samples), 2, frames, 0), np.float32)}
        model = FaceFeatures(recipe.video.model)
        for net in nets:
            if (net.answers, net.embedding) != (model.answers, model.embedding):
                raise InputError(
                    f"{recipe.video.model} has {model.answers} probabilities and an embedding of {model.embedding}: "
                    f"set net_options.answers and net_options.embedding, which are {net.answers} and {net.embedding}"
                )
        return inputs | {"features": _features(model, **inputs)}

    def prepare(self, net: VideoNetwork, corpus: Corpus) -> None:
        """Give the network the means of the training clips."""
        if net.uses_features:
            features = torch.from_numpy(corpus.inputs["features"].mean(axis=1))
            net.set_statistics(features, torch.from_numpy(corpus.inputs["mask"]))

    def augment(self, recipe: Recipe, net: VideoNetwork, corpus: Corpus) -> Augment:
        """Leave frames out, another choice each time, and change those that stay.

        Of a face model's outputs, each frame is plain or in the mirror, by chance.  Images are augmented, all frames of
        a clip alike.
        """
        both_views = torch.from_numpy(corpus.inputs["features"])

        def augment(_epoch: int, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
            images, features, mask = self.inputs(net, corpus, index)
            mask = _drop_frames(mask, recipe.video.drop, generator)
            if net.uses_images:
                images = _augment_alike(images, recipe.augmentation, generator)
            if net.uses_features:
                clips, frames = mask.shape
                view = torch.randint(0, 2, (clips, frames), generator=generator)
                features = both_views[index[:, None], view, torch.arange(frames)[None]]
            return images, features, mask

        return augment

    def inputs(self, net: VideoNetwork, corpus: Corpus, index: Tensor) -> tuple[Tensor, ...]:
        """Return images, the mean of the features of both views, and the mask, as `VideoNetwork` takes them."""
        at = index.numpy()
        mask = torch.from_numpy(corpus.inputs["mask"][at])
        images = torch.zeros(len(at), 1, mask.shape[1], 0, 0)
        features = torch.zeros(len(at), mask.shape[1], 0)
        if net.uses_images:
            images = torch.from_numpy(corpus.inputs["images"][at]).unsqueeze(1).to(torch.float32)
        if net.uses_features:
            features = torch.from_numpy(corpus.inputs["features"][at].mean(axis=1))
        return images, features, mask

    def graph_inputs(self, deployed: Deployed, corpus: Corpus) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield ``crops``, ``features`` and ``mask`` of one clip at a time, as far as the graph takes them."""
        names = tuple(deployed.example())
        for row in range(len(corpus)):
            images, features, mask = (corpus.inputs[name][row] for name in ("images", "features", "mask"))
            clip = {
                "crops": np.repeat(images[None, ..., None], 3, axis=4),
                "features": features.mean(axis=0)[None],
                "mask": mask[None],
            }
            yield {name: clip[name] for name in names}

    def record(self, recipe: Recipe, deployed: Deployed) -> dict[str, Any]:
        """Return task, how frames are chosen, and crop."""
        inputs = deployed.example()
        clip: dict[str, Any] = {"frames": recipe.video.frames, "size": recipe.video.size, "crops": "crops" in inputs}
        if "features" in inputs:
            model = FaceFeatures(recipe.video.model)
            clip |= {"face_model": recipe.video.model, "face_sha256": model.spec.file().sha256}
        return {"task": "video-emotion", "clip": clip, "crop": crop_table(recipe, recipe.video.size)}

    def with_copies(self, recipe: Recipe, corpus: Corpus) -> tuple[Corpus, Recipe]:
        """Make the mirror image of every clip; there are as many steps as without them."""
        mirrored = {
            "images": corpus.inputs["images"][..., ::-1],
            "features": corpus.inputs["features"][:, ::-1],
            "mask": corpus.inputs["mask"],
        }
        return corpus.with_copies(["mirrored"], mirrored), replace(recipe, epochs=math.ceil(recipe.epochs / 2))


def read_clips(samples: Samples, frames: int, size: int) -> dict[str, NDArray[Any]]:
    """Read the frames of clips as gray squares: ``images`` and ``mask``, see `Videos`."""
    images = np.zeros((len(samples), frames, size, size), np.uint8)
    mask = np.zeros((len(samples), frames), np.float32)
    for row in range(len(samples)):
        read = samples.read_frames(row, frames, size=size)
        images[row, : len(read)] = read
        mask[row, : len(read)] = 1
    return {"images": images, "mask": mask}


def _features(model: FaceFeatures, images: NDArray[np.uint8], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    there = mask > 0
    crops = np.repeat(fit_images(images[there], model.size)[..., None], 3, axis=3)
    features = np.zeros((len(images), 2, mask.shape[1], model.answers + model.embedding), np.float32)
    for view, shown in enumerate((crops, crops[:, :, ::-1])):
        features[:, view][there] = model(np.ascontiguousarray(shown))
    return features


def _drop_frames(mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Leave frames out by chance; where none would be left, all stay."""
    kept = mask * (torch.rand(mask.shape, generator=generator) >= share).to(mask.dtype)
    return torch.where(kept.sum(dim=1, keepdim=True) > 0, kept, mask)


def _augment_alike(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Augment clips (N, 1, T, S, S): every frame with a generator in the same state."""
    state = generator.get_state()
    changed = []
    for frame in images.unbind(dim=2):
        generator.set_state(state)
        changed.append(augmentation(frame.contiguous(), generator))
    return torch.stack(changed, dim=2)
