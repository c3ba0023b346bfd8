"""Training on images of faces."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.data import load_images
from mien.data.fer2013 import add_votes, read_fer2013
from mien.data.samples import Samples
from mien.data.splits import TRAINING, is_split
from mien.errors import InputError
from mien.face.align import Crop, fit_crop
from mien.face.prepare import crop_name
from mien.models import registry
from mien.train.augment import Augmentation
from mien.train.corpus import Corpus
from mien.train.data import Augment
from mien.train.export import Deployed
from mien.train.folder import load_network, write_file
from mien.train.init import init_network
from mien.train.kinds import Kind
from mien.train.nets import FaceNetwork, build_network
from mien.train.recipe import BOTH, Recipe, load_recipe

__all__ = ["Faces", "crop_table", "fit_images", "follow_crop"]

COPIES = 2
"""Augmented copies of each image in the folds ``copies``."""

_CROP_SIZE = 48
"""Side of the crop whose points ``fer2013_crop.toml`` holds."""


class Faces(Kind[FaceNetwork]):
    """Images of faces, cut to the face, in gray."""

    noun = "images"
    batch = 256

    def list_samples(self, recipe: Recipe, path: str | Path, options: dict[str, Any]) -> tuple[Samples, ...]:
        """Return the images in memory; of FER2013 with FER+ twice, with the votes and with the published labels."""
        if recipe.dataset == BOTH:
            images = read_fer2013(path)
            return add_votes(images, options.get("labels")), images
        size = recipe.net_options.get("size", 48)
        return (load_images(recipe.dataset, path, **{"size": size, **options}),)

    def read_inputs(self, recipe: Recipe, samples: Samples) -> dict[str, NDArray[Any]]:
        """Return ``images``, uint8 (n, H, W)."""
        return {"images": samples.images}

    def extend(
        self, recipe: Recipe, training: Corpus, folder: Path, *, report: Callable[[str], object] = str
    ) -> Corpus:
        """Return the rows for training with those of the recipe's second dataset, and what its teachers say of them."""
        options, domain = recipe.distillation, recipe.domain
        size = recipe.net_options.get("size", _CROP_SIZE)
        teachers = [_load_teacher(name) for name in options.teachers if options.fixed]
        images = [training.inputs["images"]]
        training = replace(training, inputs={"images": fit_images(images[0], size)})
        index = np.arange(len(training))
        if domain.dataset:
            largest = max(size, *(teacher.size for teacher in teachers), 0)
            other = load_images(domain.dataset, domain.path, size=largest).labeled()
            other = other.take(is_split(other.splits, ("", *TRAINING)))
            images.append(other.images)
            smoothing = recipe.loss.label_smoothing
            training = training.with_domain(other, {"images": fit_images(other.images, size)}, smoothing=smoothing)
            index = np.concatenate([index, np.arange(len(index), len(training)).repeat(domain.repeat)])
        if teachers:
            known = folder / "teachers.npz"
            if not known.is_file():  # a run that goes on, and each of several processes, takes them from there
                report(f"probabilities of {', '.join(options.teachers)} for {len(training)} images")
                taught = [_mirrored(teacher, images, options.temperature) for teacher in teachers]
                buffer = io.BytesIO()
                np.savez(buffer, **{head: np.mean([one[head] for one in taught], axis=0) for head in training.targets})
                write_file(known, buffer.getvalue())
            with np.load(known) as means:
                training = training.with_teachers(means, options.weight)
        return training.take(index)

    def augment(self, recipe: Recipe, net: FaceNetwork, corpus: Corpus) -> Augment:
        """Return the recipe's augmentation; in its last epochs there is less."""
        images = torch.from_numpy(fit_images(corpus.inputs["images"], net.size))
        strong, calm = recipe.augmentation, _calm(recipe.augmentation)
        calm_from = recipe.epochs - recipe.calm_epochs

        def augment(epoch: int, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
            gray = images[index].unsqueeze(1).to(torch.float32)
            return ((strong if epoch < calm_from else calm)(gray, generator),)

        return augment

    def inputs(self, net: FaceNetwork, corpus: Corpus, index: Tensor) -> tuple[Tensor, ...]:
        """Return gray crops, float32 (N, 1, S, S)."""
        images = fit_images(corpus.inputs["images"][index.numpy()], net.size)
        return (torch.from_numpy(images).unsqueeze(1).to(torch.float32),)

    def graph_inputs(self, deployed: Deployed, corpus: Corpus) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield ``crops``, uint8 (N, S, S, 3)."""
        net = deployed.net
        assert isinstance(net, FaceNetwork)
        images = corpus.inputs["images"]
        for at in range(0, len(corpus), self.batch):
            gray = fit_images(images[at : at + self.batch], net.size)
            yield {"crops": np.repeat(gray[..., None], 3, axis=3)}

    def record(self, recipe: Recipe, deployed: Deployed) -> dict[str, Any]:
        """Return task, input and crop."""
        net = deployed.net
        assert isinstance(net, FaceNetwork)
        return {
            "task": "face-emotion",
            "input": {"size": net.size, "layout": "NHWC", "dtype": "uint8", "color": "RGB"},
            "crop": crop_table(recipe, net.size),
        }

    def with_copies(self, recipe: Recipe, corpus: Corpus) -> tuple[Corpus, Recipe]:
        """Make `COPIES` of each image by the recipe's augmentation."""
        generator = torch.Generator().manual_seed(recipe.seed)
        gray = torch.from_numpy(corpus.inputs["images"]).unsqueeze(1).to(torch.float32)
        made = [
            recipe.augmentation(part, generator).round().clamp(0, 255).to(torch.uint8).squeeze(1).numpy()
            for _ in range(COPIES)
            for part in torch.split(gray, 1024)
        ]
        return corpus.with_copies(["augmented"] * COPIES, {"images": np.concatenate(made)}), recipe


def _load_teacher(name: str) -> FaceNetwork:
    """Return the trained network of a run folder, or of a shipped model."""
    if name not in registry.MODELS:
        net = load_network(Path(name))
    else:
        recipe, outputs = load_recipe(name), registry.get(name).heads
        net = build_network(recipe.net, {o.name: len(o.labels) for o in outputs}, **recipe.net_options)
        init_network(net, name)
    if not isinstance(net, FaceNetwork):
        raise InputError(f"the teacher {name} must be a network for images, but is one for {net.kind}")
    return net.eval()


@torch.no_grad()
def _mirrored(net: FaceNetwork, images: Sequence[NDArray[np.uint8]], temperature: float) -> dict[str, NDArray[Any]]:
    """Return a network's probabilities by head, float (n, classes), averaged over each image and its mirror image."""
    found: dict[str, list[NDArray[Any]]] = {}
    for some in images:
        for at in range(0, len(some), Faces.batch):
            gray = torch.from_numpy(fit_images(some[at : at + Faces.batch], net.size)).unsqueeze(1).float()
            with torch.autocast("cpu", torch.bfloat16, enabled=net.has_autocast):
                both = net(torch.cat([gray, gray.flip(3)]).contiguous(memory_format=net.choose_layout()))
            for head, logits in both.items():
                shares = (logits.float() / temperature).softmax(1)
                found.setdefault(head, []).append(shares.unflatten(0, (2, -1)).mean(0).numpy())
    return {head: np.concatenate(parts) for head, parts in found.items()}


def fit_images(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return gray crops, uint8 (n, H, W), at a network's size, uint8 (n, size, size).

    They are resampled as at use, by `mien.face.align.fit_crop`; those of that size come back as they are.
    """
    if images.shape[1:] == (size, size):
        return images
    return np.stack([fit_crop(image, size)[..., 0] for image in images])


def crop_table(recipe: Recipe, size: int) -> dict[str, Any]:
    """Return the table ``crop`` of a record: how faces are cut at use as the recipe's training images were.

    Parameters
    ----------
    recipe : Recipe
        Says how they were cut.
    size : int
        Side of the crops in pixels.
    """
    text = (resources.files("mien.train") / "fer2013_crop.toml").read_text("utf-8")
    crop: dict[str, Any] = tomllib.loads(text)["crop"]
    crop["points"] = [[round(value * size / _CROP_SIZE, 4) for value in point] for point in crop["points"]]
    crop["size"] = size
    if recipe.crop.startswith("eye-distance"):
        # By default the factors of `mien data prepare`; the points still tell a face from what is none.
        x, y = (recipe.crop.removeprefix("eye-distance").removeprefix("-") or "2.1x3.2").split("x")
        crop["eyes"] = {"x_factor": float(x), "y_factor": float(y), "smooth": True}
    return crop


def follow_crop(recipe: Recipe, samples: Samples, report: Callable[[str], object]) -> Recipe:
    """Return a recipe with the crop that the data says it was cut by, if it does."""
    names = sorted(set(samples.column("crop").tolist()) - {""})
    if not names or samples.kind != "image":
        return recipe
    own = replace(recipe, crop=names[0] if names[0].startswith("eye-distance") else "fer2013")
    if names != [crop_name(Crop.from_dict(crop_table(own, _CROP_SIZE)))]:
        report(f"warning: faces were cut as {', '.join(names)}, but at use they will be cut as for {own.crop}")
    return own


def _calm(augmentation: Augmentation) -> Augmentation:
    geometry = {name: getattr(augmentation, name) / 2 for name in ("rotation_deg", "scale", "aspect", "shear", "shift")}
    light = {"gamma": augmentation.gamma / 2, "contrast": augmentation.contrast / 2}
    nothing = dict.fromkeys(("equalize", "gradient", "blur", "low_resolution", "noise", "jpeg", "erase"), 0.0)
    return replace(augmentation, **geometry, **light, **nothing)
