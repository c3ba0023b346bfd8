"""What differs between training on faces, on voices and on clips; runs, folds and reports are the same for all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch.utils.data import DataLoader

from mien.data import splits
from mien.errors import InputError
from mien.models.spec import ModelSpec
from mien.train import corpus as faces
from mien.train import speech_corpus as voices
from mien.train.augment import Augmentation
from mien.train.corpus import Corpus, Rows
from mien.train.data import Batch, FaceBatches, TrainingBatches, training_loader, validation_loader
from mien.train.export import export_run, write_file
from mien.train.nets import EmotionNet, FaceNet, SpeechNet, VideoNet
from mien.train.recipe import Recipe
from mien.train.speech_corpus import SpeechCorpus
from mien.train.speech_data import SpeechBatches, speech_validation_loader
from mien.train.speech_export import export_speech, graph_logits
from mien.train.task import EmotionTask, FaceTask, SpeechTask, VideoTask, class_weights
from mien.train.video_corpus import VideoCorpus, load_videos, mirrored, split_videos
from mien.train.video_data import VideoBatches, video_validation_loader

__all__ = ["COPIES", "Faces", "Kind", "Videos", "Voices", "kind_of"]

R = TypeVar("R", bound=Rows)
N = TypeVar("N", FaceNet, SpeechNet, VideoNet)

Answers = dict[str, NDArray[np.float32]]

COPIES = 2
"""Augmented copies of each image in the folds ``copies``; of recordings there are those of `voices.COPIES`,
and of clips one, in the mirror."""


class Kind(ABC, Generic[R, N]):
    """One kind of data and nets."""

    noun: str
    """What a row is called."""

    @abstractmethod
    def load(self, recipe: Recipe, path: str | Path, *, votes: str | Path | None = None) -> R:
        """Read everything but the examination."""

    @abstractmethod
    def split(self, corpus: R, recipe: Recipe, source: str) -> tuple[R, R]:
        """Divide rows into those for training and those for choosing."""

    @abstractmethod
    def task(self, recipe: Recipe, training: R, teachers: Sequence[N]) -> EmotionTask:
        """Return the training task."""

    @abstractmethod
    def loaders(
        self, task: EmotionTask, training: R, validation: R | None
    ) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
        """Return the batches of both sides."""

    @abstractmethod
    def answered(self, net: N, corpus: R) -> Answers:
        """Return a trained net's logits by head, float32 (n, classes)."""

    @abstractmethod
    def dealt(self, corpus: R, k: int, seed: int) -> NDArray[np.int64]:
        """Deal rows into folds that share no subject, clip or copy, int64 (n,)."""

    @abstractmethod
    def with_copies(self, corpus: R, recipe: Recipe) -> tuple[R, Recipe]:
        """Return a corpus with augmented copies of all its rows behind them, and the recipe to train on them by.

        Copies are in the groups of their originals.
        """

    @abstractmethod
    def export(
        self,
        folder: Path,
        recipe: Recipe,
        net: N,
        training: R,
        validation: R,
        *,
        training_data: Sequence[str],
        report: Callable[[str], object],
    ) -> ModelSpec | None:
        """Write the files that inference uses."""


class Faces(Kind[Corpus, FaceNet]):
    """Images of faces."""

    noun = "images"

    def load(self, recipe: Recipe, path: str | Path, *, votes: str | Path | None = None) -> Corpus:
        """See `mien.train.corpus.load_all`."""
        return faces.load_all(recipe, path, votes=votes)

    def split(self, corpus: Corpus, recipe: Recipe, source: str) -> tuple[Corpus, Corpus]:
        """See `mien.train.corpus.split_corpus`."""
        return faces.split_corpus(corpus, recipe, source)

    def task(self, recipe: Recipe, training: Corpus, teachers: Sequence[FaceNet]) -> EmotionTask:
        """See `FaceTask`."""
        return FaceTask(
            recipe, training.heads, voted=training.voted, weights=_weights(recipe, training), teachers=teachers
        )

    def loaders(
        self, task: EmotionTask, training: Corpus, validation: Corpus | None
    ) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
        """See `FaceBatches`."""
        assert isinstance(task, FaceTask)
        recipe, size = task.recipe, task.net.size
        batches = FaceBatches(
            _sized(training, size),
            recipe.augmentation,
            seed=recipe.seed,
            drawn=recipe.labels == "probability",
            calm=_calm(recipe.augmentation) if recipe.calm_epochs else None,
            calm_from=recipe.epochs - recipe.calm_epochs,
        )
        return _dealt_out(batches, recipe), None if validation is None else validation_loader(_sized(validation, size))

    def answered(self, net: FaceNet, corpus: Corpus) -> Answers:
        """Return logits of the plain images."""
        return _logits(net, validation_loader(_sized(corpus, net.size)))

    def dealt(self, corpus: Corpus, k: int, seed: int) -> NDArray[np.int64]:
        """See `mien.data.splits.folds`."""
        return splits.fold_ids(next(iter(corpus.truth.values())), corpus.group, k, by="subject", seed=seed)

    def with_copies(self, corpus: Corpus, recipe: Recipe) -> tuple[Corpus, Recipe]:
        """Make `COPIES` of each image by the recipe's augmentation."""
        generator = torch.Generator().manual_seed(recipe.seed)
        gray = torch.from_numpy(corpus.images).unsqueeze(1).to(torch.float32)
        made = [
            recipe.augmentation(part, generator).round().clamp(0, 255).to(torch.uint8).squeeze(1).numpy()
            for _ in range(COPIES)
            for part in torch.split(gray, 1024)
        ]
        every = corpus.take(np.tile(np.arange(len(corpus)), 1 + COPIES))
        return replace(every, images=np.concatenate([corpus.images, *made])), recipe

    def export(
        self,
        folder: Path,
        recipe: Recipe,
        net: FaceNet,
        training: Corpus,
        validation: Corpus,
        *,
        training_data: Sequence[str],
        report: Callable[[str], object],
    ) -> ModelSpec:
        """See `mien.train.export.export_run`."""
        return export_run(folder, recipe, net, validation, training_data=training_data, report=report)


class Voices(Kind[SpeechCorpus, SpeechNet]):
    """Recordings of speech."""

    noun = "recordings"

    def load(self, recipe: Recipe, path: str | Path, *, votes: str | Path | None = None) -> SpeechCorpus:
        """See `mien.train.speech_corpus.load_speech`; no corpus of speech has a file of votes."""
        if votes is not None:
            raise InputError(f"{recipe.dataset} takes no file of labels: they are in the names of its recordings")
        return voices.load_speech(recipe, path)

    def split(self, corpus: SpeechCorpus, recipe: Recipe, source: str) -> tuple[SpeechCorpus, SpeechCorpus]:
        """See `mien.train.speech_corpus.split_speech`."""
        return voices.split_speech(corpus, recipe, source)

    def task(self, recipe: Recipe, training: SpeechCorpus, teachers: Sequence[SpeechNet]) -> EmotionTask:
        """See `SpeechTask`."""
        return SpeechTask(recipe, training.heads, weights=_weights(recipe, training), teachers=teachers)

    def loaders(
        self, task: EmotionTask, training: SpeechCorpus, validation: SpeechCorpus | None
    ) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
        """See `SpeechBatches`."""
        assert isinstance(task, SpeechTask)
        recipe, net = task.recipe, task.net
        batches = SpeechBatches(training, recipe.sound, net, seed=recipe.seed)
        return _dealt_out(batches, recipe), None if validation is None else speech_validation_loader(validation, net)

    def answered(self, net: SpeechNet, corpus: SpeechCorpus) -> Answers:
        """Return logits of the whole recordings: by the graph, on files cut as at use, so they are what users get.

        Of changed copies that are in no file, the net's own on their spectrograms.
        """
        if corpus.clips.has("method"):
            return _logits(net, speech_validation_loader(corpus, net))
        return graph_logits(net, corpus)

    def dealt(self, corpus: SpeechCorpus, k: int, seed: int) -> NDArray[np.int64]:
        """See `mien.data.splits.folds`: the sexes are spread evenly."""
        return splits.folds(corpus.clips, k, seed=seed)

    def with_copies(self, corpus: SpeechCorpus, recipe: Recipe) -> tuple[SpeechCorpus, Recipe]:
        """See `mien.train.speech_corpus.with_copies`; there are as many steps as without copies."""
        epochs = math.ceil(recipe.epochs / (1 + len(voices.COPIES)))
        return voices.with_copies(corpus, recipe), replace(recipe, epochs=epochs)

    def export(
        self,
        folder: Path,
        recipe: Recipe,
        net: SpeechNet,
        training: SpeechCorpus,
        validation: SpeechCorpus,
        *,
        training_data: Sequence[str],
        report: Callable[[str], object],
    ) -> ModelSpec:
        """See `mien.train.speech_export.export_speech`."""
        return export_speech(folder, recipe, net, training, validation, training_data=training_data, report=report)


class Videos(Kind[VideoCorpus, VideoNet]):
    """Clips of faces."""

    noun = "clips"

    def load(self, recipe: Recipe, path: str | Path, *, votes: str | Path | None = None) -> VideoCorpus:
        """See `mien.train.video_corpus.load_videos`; no corpus of clips has a file of votes."""
        if votes is not None:
            raise InputError(f"{recipe.dataset} takes no file of labels: they lie beside its clips")
        return load_videos(recipe, path)

    def split(self, corpus: VideoCorpus, recipe: Recipe, source: str) -> tuple[VideoCorpus, VideoCorpus]:
        """See `mien.train.video_corpus.split_videos`."""
        return split_videos(corpus, recipe, source)

    def task(self, recipe: Recipe, training: VideoCorpus, teachers: Sequence[VideoNet]) -> EmotionTask:
        """See `VideoTask`; the net begins with the means of the training clips."""
        task = VideoTask(recipe, training.heads, weights=_weights(recipe, training))
        if task.net.sees_features:
            features = torch.from_numpy(training.features.mean(axis=1))
            task.net.begin(features, torch.from_numpy(training.mask))
        return task

    def loaders(
        self, task: EmotionTask, training: VideoCorpus, validation: VideoCorpus | None
    ) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
        """See `VideoBatches`."""
        assert isinstance(task, VideoTask)
        recipe, net = task.recipe, task.net
        batches = VideoBatches(training, recipe.augmentation, net, drop=recipe.video.drop, seed=recipe.seed)
        return _dealt_out(batches, recipe), None if validation is None else video_validation_loader(validation, net)

    def answered(self, net: VideoNet, corpus: VideoCorpus) -> Answers:
        """Return logits of the whole clips."""
        return _logits(net, video_validation_loader(corpus, net))

    def dealt(self, corpus: VideoCorpus, k: int, seed: int) -> NDArray[np.int64]:
        """See `mien.data.splits.folds`."""
        return splits.fold_ids(next(iter(corpus.truth.values())), corpus.group, k, by="subject", seed=seed)

    def with_copies(self, corpus: VideoCorpus, recipe: Recipe) -> tuple[VideoCorpus, Recipe]:
        """See `mien.train.video_corpus.mirrored`; there are as many steps as without copies."""
        return mirrored(corpus), replace(recipe, epochs=math.ceil(recipe.epochs / 2))

    def export(
        self,
        folder: Path,
        recipe: Recipe,
        net: VideoNet,
        training: VideoCorpus,
        validation: VideoCorpus,
        *,
        training_data: Sequence[str],
        report: Callable[[str], object],
    ) -> None:
        """Write ``model.safetensors``; there is no graph, because analysis does not take nets for clips."""
        weights = {name: value.contiguous() for name, value in net.state_dict().items()}
        write_file(folder / "model.safetensors", save(weights))
        report(f"wrote {folder / 'model.safetensors'}")


def kind_of(recipe: Recipe) -> Kind[Any, Any]:
    """Return the kind of a recipe's data and net."""
    if recipe.is_video:
        return Videos()
    return Voices() if recipe.is_speech else Faces()


def _weights(recipe: Recipe, training: Rows) -> dict[str, torch.Tensor] | None:
    return class_weights(training) if recipe.loss.balance == "weights" else None


def _dealt_out(batches: TrainingBatches, recipe: Recipe) -> DataLoader[Batch]:
    balanced = recipe.loss.balance == "sampling"
    return training_loader(batches, batch=recipe.batch, seed=recipe.seed, balanced=balanced)


def _sized(corpus: Corpus, size: int) -> Corpus:
    return replace(corpus, images=faces.fitted(corpus.images, size))


def _logits(net: EmotionNet, batches: DataLoader[Batch]) -> Answers:
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for batch in batches:
        with torch.no_grad():
            logits = net.eval()(*batch.inputs)
        for head, values in logits.items():
            parts.setdefault(head, []).append(values.float().numpy())
    return {head: np.concatenate(values) for head, values in parts.items()}


def _calm(augmentation: Augmentation) -> Augmentation:
    geometry: dict[str, Any] = {
        name: getattr(augmentation, name) / 2 for name in ("rotation_deg", "scale", "aspect", "shear", "shift")
    }
    nothing = dict.fromkeys(("equalize", "gradient", "blur", "low_resolution", "noise", "jpeg", "erase"), 0.0)
    light = {"gamma": augmentation.gamma / 2, "contrast": augmentation.contrast / 2}
    return Augmentation(**geometry, **light, **nothing, flip=augmentation.flip)
